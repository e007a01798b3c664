/* FormerCatalogs recognizes storage that was a catalog's, and catalogs that are not certain. */
#include "lost/former_catalogs.h"

#include "base/buffer.h"
#include "format/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#define DATABASE 5
#define XID 800
#define UPDATE_LSN 0x3000
#define PG_TYPE 1247
#define PG_CLASS 1259
#define PG_CLASS_INDEX 2662
#define CLASS_COLUMNS 33

static FormerCatalogs former;

static RelationId storage(Oid filenode)
{
    return (RelationId){1663, DATABASE, filenode};
}

static void make(Oid filenode)
{
    const WalRecord record = {.rmgr = RM_SMGR};
    const WalEvent event = {.kind = WAL_EVENT_RELATION_CREATE, .relation = storage(filenode)};

    former_catalogs_add_record(&former, version_of_server_number(150000), &record, &event);
}

/* A map with the storage of three catalogs. */
static void change_map(Lsn lsn, Oid pg_class, Oid pg_class_index, Oid pg_type)
{
    const Oid items[][2] = {{PG_CLASS, pg_class}, {PG_CLASS_INDEX, pg_class_index}, {PG_TYPE, pg_type}};
    const WalEvent event = {0};
    uint8_t data[12 + 512] = {0}, *map = data + 12;

    store_u32(data, DATABASE);
    store_u32(data + 8, 512);
    store_u32(map, 0x592717);
    store_u32(map + 4, 3);
    for (size_t i = 0; i < 3; i++)
    {
        store_u32(map + 8 + i * 8, items[i][0]);
        store_u32(map + 12 + i * 8, items[i][1]);
    }
    store_u32(map + 504, crc_of_version(version_of_server_number(150000), map, 504));
    former_catalogs_add_record(
        &former, version_of_server_number(150000),
        &(WalRecord){.lsn = lsn, .rmgr = RM_RELMAP, .xid = XID, .data = data, .data_size = sizeof(data)},
        &event);
}

static void commit(const Oid *dropped, uint32_t count)
{
    const WalRecord record = {.rmgr = RM_XACT};
    uint8_t list[4 * RELATION_ID_SIZE];

    for (uint32_t i = 0; i < count; i++)
    {
        store_u32(list + i * RELATION_ID_SIZE, 1663);
        store_u32(list + i * RELATION_ID_SIZE + 4, DATABASE);
        store_u32(list + i * RELATION_ID_SIZE + 8, dropped[i]);
    }
    former_catalogs_add_record(&former, version_of_server_number(150000), &record,
                               &(WalEvent){.kind = WAL_EVENT_COMMIT,
                                           .xid = XID,
                                           .dropped_count = count,
                                           .dropped = list});
}

/* A change of a row with that many columns; 0: it is not known. */
static void change_row(Oid filenode, unsigned columns)
{
    uint8_t row[24] = {0};
    const RelationId relation = storage(filenode);

    row[18] = (uint8_t) columns;
    row[22] = 24;
    former_catalogs_add_change(&former, &relation,
                               columns > 0 ? (Slice){row, sizeof(row)} : (Slice){0});
}

static Oid catalog_of(Oid filenode)
{
    const RelationId relation = storage(filenode);

    return catalogs_oid(&former.storages, &relation);
}

/* VACUUM FULL of pg_class, whose storage was 20001. */
static void rewrite_class(void)
{
    make(30001);
    make(30002);
    change_map(UPDATE_LSN, 30001, 30002, PG_TYPE);
    commit((Oid[]){20001, 20002}, 2);
}

/* True if catalogs before the change of the map are certain. Catalogs from the change on, and those
 * of another database, must always be certain. */
static bool end_is_sure(void)
{
    const bool sure = !former_catalogs_unsure(&former, DATABASE, UPDATE_LSN - 1);

    assert_false(former_catalogs_unsure(&former, DATABASE, UPDATE_LSN));
    assert_false(former_catalogs_unsure(&former, DATABASE + 1, 0));
    return sure;
}

static int clear(void **state)
{
    (void) state;
    former_catalogs_free(&former);
    former = (FormerCatalogs){0};
    return 0;
}

static void test_one_catalog(void **state)
{
    (void) state;
    rewrite_class();
    assert_int_equal(catalog_of(20001), CATALOG_UNSURE);
    change_row(20001, 0);
    change_row(20002, 3); /* a chunk */
    change_row(20001, CLASS_COLUMNS);
    make(40001);
    make(40002);
    change_map(UPDATE_LSN + 100, 40001, 40002, 40003);
    former_catalogs_end(&former);
    assert_int_equal(catalog_of(20001), PG_CLASS);
    assert_int_equal(catalog_of(30001), PG_CLASS);
    assert_int_equal(catalog_of(40003), PG_TYPE);
    assert_int_equal(catalog_of(20002), CATALOG_UNSURE);
    assert_int_equal(catalog_of(20003), 20003);
    assert_true(end_is_sure());
}

static void test_no_change_before(void **state)
{
    (void) state;
    rewrite_class();
    change_row(20002, 3);
    former_catalogs_end(&former);
    assert_true(end_is_sure());
}

static void test_unknown_rows(void **state)
{
    (void) state;
    rewrite_class();
    change_row(20001, 0);
    former_catalogs_end(&former);
    assert_false(end_is_sure());
}

static void test_two_storages_with_rows(void **state)
{
    (void) state;
    rewrite_class();
    change_row(20001, CLASS_COLUMNS);
    change_row(20002, 2);
    former_catalogs_end(&former);
    assert_int_equal(catalog_of(20001), CATALOG_UNSURE);
    assert_false(end_is_sure());
}

static void test_table_dropped_as_well(void **state)
{
    (void) state;
    make(30001);
    make(30002);
    change_map(UPDATE_LSN, 30001, 30002, PG_TYPE);
    commit((Oid[]){20001, 20002, 20003}, 3);
    change_row(20003, 2);
    former_catalogs_end(&former);
    assert_int_equal(catalog_of(20003), CATALOG_UNSURE);
    assert_false(end_is_sure());
}

static void test_two_catalogs(void **state)
{
    (void) state;
    make(30001);
    make(30002);
    change_map(UPDATE_LSN, 30001, PG_CLASS_INDEX, 30002);
    commit((Oid[]){20001, 20002}, 2);
    change_row(20001, CLASS_COLUMNS);
    former_catalogs_end(&former);
    assert_int_equal(catalog_of(20001), CATALOG_UNSURE);
    assert_false(end_is_sure());
}

/* The server crashed after the change of the map. */
static void test_no_commit(void **state)
{
    (void) state;
    make(30001);
    change_map(UPDATE_LSN, 30001, PG_CLASS_INDEX, PG_TYPE);
    former_catalogs_end(&former);
    assert_false(end_is_sure());
}

/* Storage by the catalog's own number needs no proof. */
static void test_first_rewriting(void **state)
{
    (void) state;
    make(30001);
    make(30002);
    change_map(UPDATE_LSN, 30001, 30002, PG_TYPE);
    commit((Oid[]){PG_CLASS, PG_CLASS_INDEX}, 2);
    former_catalogs_end(&former);
    assert_int_equal(catalog_of(PG_CLASS), PG_CLASS);
    assert_true(end_is_sure());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(test_one_catalog, clear),
        cmocka_unit_test_teardown(test_no_change_before, clear),
        cmocka_unit_test_teardown(test_unknown_rows, clear),
        cmocka_unit_test_teardown(test_two_storages_with_rows, clear),
        cmocka_unit_test_teardown(test_table_dropped_as_well, clear),
        cmocka_unit_test_teardown(test_two_catalogs, clear),
        cmocka_unit_test_teardown(test_no_commit, clear),
        cmocka_unit_test_teardown(test_first_rewriting, clear),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
