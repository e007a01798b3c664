#include "wal/lost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wal_writer.h"

static Error error;
static const RelationId one = {.tablespace = 1663, .database = 5, .relation = 16400};
static const RelationId two = {.tablespace = 1663, .database = 5, .relation = 16401};
static const RelationId class = {.tablespace = 1663, .database = 5, .relation = 1259};

/* A heap record: 0x00 insert, 0x10 delete, 0x20 update. */
static Lsn write_heap(WalWriter *writer, uint32_t xid, RelationId relation, uint8_t opcode)
{
    BlockReference block = {.fork = FORK_MAIN, .relation = relation, .block = 1};

    return writer_record(writer, 10, opcode, xid, &block, "data", 4);
}

/* COMMIT (0x00) or ABORT (0x20), with one subtransaction if that is not 0. */
static Lsn write_end(WalWriter *writer, uint8_t opcode, uint32_t xid, uint32_t subxid)
{
    uint8_t bytes[20] = {0};

    store_u64(bytes, 1000);
    store_u32(bytes + 8, 2); /* subtransactions */
    store_u32(bytes + 12, 1);
    store_u32(bytes + 16, subxid);
    return writer_record(writer, RM_XACT, subxid != 0 ? opcode | 0x80 : opcode, xid, NULL, bytes,
                         subxid != 0 ? 20 : 8);
}

static Lsn write_created(WalWriter *writer, uint32_t xid, RelationId relation)
{
    uint8_t bytes[16] = {0};

    store_u32(bytes, relation.tablespace);
    store_u32(bytes + 4, relation.database);
    store_u32(bytes + 8, relation.relation);
    return writer_record(writer, RM_SMGR, 0x11, xid, NULL, bytes, sizeof(bytes));
}

static Lost *read_all(WalWriter *writer, Lsn from)
{
    const LostWanted wanted = {
        .first_known_xid = 700, .from = from, .end = UINT64_MAX, .list = true};
    Lost *lost = lost_create(writer->shape.version, &wanted);
    WalSegmentFacts facts;

    if (!wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error))
        fail_msg("%s", error.message);
    return lost;
}

static unsigned done_to(const Lost *lost, const LostTransaction *transaction, Oid relation)
{
    const LostSet *set = lost_set(lost, transaction);

    for (size_t i = 0; i < set->count; i++)
        if (lost->relations[set->items[i].relation].id.relation == relation)
            return set->items[i].what;
    return 0;
}

static void test_subtransactions(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 700, one, 0);
    write_heap(writer, 701, two, 0);
    write_heap(writer, 702, two, 0);
    write_end(writer, 0x20, 702, 0);
    write_heap(writer, 705, two, 0); /* never ends */
    write_heap(writer, 701, two, 0);
    const Lsn lsn = write_end(writer, 0x00, 700, 701);
    write_end(writer, 0x20, 706, 0);
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 1);
    assert_int_equal(list[0].xid, 700);
    assert_int_equal(list[0].lsn, lsn);
    assert_int_equal(list[0].time, 1000);
    assert_int_equal(list[0].records, 4);
    assert_int_equal(list[0].subtransactions, 1);
    assert_int_equal(done_to(lost, &list[0], one.relation), LOST_TOUCHED);
    assert_int_equal(done_to(lost, &list[0], two.relation), LOST_TOUCHED);
    assert_int_equal(lost->relations[1].records, 2);
    assert_int_equal(lost->relation_count, 2);
    assert_true(!lost->incomplete);
    lost_destroy(lost);
    free(writer);
}

/* Records before the divergence are common history; what they did is lost with their transaction.
 */
static void test_from(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 700, one, 0);
    write_heap(writer, 699, two, 0);
    write_end(writer, 0x00, 699, 0);
    const Lsn from = write_heap(writer, 700, two, 0);
    write_end(writer, 0x00, 700, 0);
    Lost *lost = read_all(writer, from);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 1);
    assert_int_equal(list[0].records, 2);
    assert_int_equal(done_to(lost, &list[0], one.relation), LOST_TOUCHED);
    const LostRelation *relations = lost->relations;
    assert_int_equal(lost->relation_count, 2);
    assert_int_equal(relations[0].rows.inserted, 1);
    assert_int_equal(relations[0].records, 0);
    assert_int_equal(relations[1].rows.inserted, 1);
    lost_destroy(lost);
    free(writer);
}

/* Storage is made before there is a number; the next row of pg_class tells whose it is. */
static void test_storage_without_a_number(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_created(writer, 0, one);
    write_heap(writer, 699, two, 0);
    write_heap(writer, 700, class, 0);
    write_end(writer, 0x00, 699, 0);
    write_end(writer, 0x00, 700, 0);
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 2);
    assert_int_equal(done_to(lost, &list[0], one.relation), 0);
    assert_int_equal(done_to(lost, &list[1], one.relation), LOST_CREATED);
    assert_int_equal(lost_set(lost, &list[0])->changes_schema, 0);
    assert_int_equal(lost_set(lost, &list[1])->changes_schema, 1);
    assert_true(lost->relations[0].created);
    lost_destroy(lost);
    free(writer);
}

/* Catalogs to which initdb gave other relfilenodes are known by their OIDs: 11871 holds
 * pg_statistic, 11900 pg_class. */
static void test_catalogs_with_other_storage(void **state)
{
    const RelationId moved_class = {1663, 5, 11900}, statistic = {1663, 5, 11871};
    WalWriter *writer = writer_create();
    LostWanted wanted = {.first_known_xid = 700, .end = UINT64_MAX, .list = true};
    WalSegmentFacts facts;

    (void) state;
    write_created(writer, 0, one);
    write_heap(writer, 700, moved_class, 0);
    write_end(writer, 0x00, 700, 0);
    write_heap(writer, 701, statistic, 0);
    write_end(writer, 0x00, 701, 0);
    wanted.catalogs.items = memory_allocate(2 * sizeof(CatalogStorage));
    wanted.catalogs.items[0] = (CatalogStorage){11871, 5, 2619};
    wanted.catalogs.items[1] = (CatalogStorage){11900, 5, 1259};
    wanted.catalogs.count = 2;
    Lost *lost = lost_create(writer->shape.version, &wanted);
    assert_true(
        wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error));
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 2);
    assert_int_equal(lost_set(lost, &list[0])->changes_schema, 1);
    assert_int_equal(done_to(lost, &list[0], one.relation), LOST_CREATED);
    assert_false(list[0].maintenance);
    assert_true(list[1].maintenance);
    assert_int_equal(done_to(lost, &list[1], 11871), LOST_TOUCHED);
    assert_int_equal(lost->relations[2].oid, 2619);
    assert_int_equal(lost->relations[0].oid, one.relation);
    lost_destroy(lost);
    free(writer);
}

static void test_many_share_a_set(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    for (uint32_t xid = 700; xid < 1000; xid++)
    {
        write_heap(writer, xid, xid % 2 ? one : two, 0x20);
        write_end(writer, 0x00, xid, 0);
    }
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 300);
    assert_int_equal(list[0].set, list[298].set);
    assert_int_equal(list[1].set, list[299].set);
    assert_int_not_equal(list[0].set, list[1].set);
    assert_int_equal(lost->relations[0].transactions, 150);
    lost_destroy(lost);
    free(writer);
}

/* Rows that are counted are those of transactions that committed. */
static void test_rows(void **state)
{
    static const uint8_t multi[] = {0, 0, 7, 0};
    const BlockReference block = {.fork = FORK_MAIN, .relation = one, .block = 1};
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 700, one, 0x80); /* insert on a new page */
    write_heap(writer, 700, one, 0x20);
    write_heap(writer, 700, one, 0x40); /* within the page */
    write_heap(writer, 700, one, 0x10);
    write_heap(writer, 700, one, 0x60); /* lock */
    writer_record(writer, 9, 0x50, 700, &block, multi, sizeof(multi));
    write_end(writer, 0x00, 700, 0);
    write_heap(writer, 701, one, 0);
    write_end(writer, 0x20, 701, 0);
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostRelation *relation = lost->relations;
    assert_int_equal(relation->rows.inserted, 8);
    assert_int_equal(relation->rows.updated, 2);
    assert_int_equal(relation->rows.deleted, 1);
    lost_destroy(lost);
    free(writer);
}

/* Statistics and nothing else, by a transaction of which nothing can be missing. */
static void test_maintenance(void **state)
{
    static const RelationId statistics = {.tablespace = 1663, .database = 5, .relation = 2619};
    static const RelationId statistics_index = {
        .tablespace = 1663, .database = 5, .relation = 2696};
    const BlockReference index = {.fork = FORK_MAIN, .relation = statistics_index, .block = 1};
    static const bool expected[] = {false, true, false, false, true, false};
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 699, statistics, 0x20); /* may have begun earlier */
    write_end(writer, 0x00, 699, 0);
    write_heap(writer, 700, statistics, 0x20);
    writer_record(writer, 11, 0, 700, &index, "data", 4);
    write_heap(writer, 700, class, 0x70); /* in place */
    write_end(writer, 0x00, 700, 0);
    write_heap(writer, 701, statistics, 0x20);
    write_heap(writer, 702, one, 0x00);
    write_end(writer, 0x00, 701, 702);
    write_heap(writer, 703, class, 0x20); /* not in place */
    write_heap(writer, 703, statistics, 0x20);
    write_end(writer, 0x00, 703, 0);
    writer_record(writer, RM_SMGR, 0x21, 704, NULL,
                  "\0\0\0\0\x7f\6\0\0\5\0\0\0\x10\x40\0\0\7\0\0\0", 20);
    write_end(writer, 0x00, 704, 0);
    write_end(writer, 0x00, 705, 0); /* nothing at all */
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < lost->transaction_count; i++)
        assert_int_equal(list[i].maintenance, expected[i]);
    assert_int_equal(lost->maintenance_count, 2);
    lost_destroy(lost);
    free(writer);
}

/* Sums are the same without the list. */
static void test_no_list(void **state)
{
    WalWriter *writer = writer_create();
    const LostWanted wanted = {.end = UINT64_MAX};
    Lost *lost = lost_create(writer->shape.version, &wanted);
    WalSegmentFacts facts;

    (void) state;
    write_heap(writer, 700, one, 0);
    write_end(writer, 0x00, 700, 0);
    assert_true(
        wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error));
    assert_int_equal(lost->transaction_count, 0);
    assert_int_equal(lost->relations->transactions, 1);
    assert_int_equal(lost->relations->rows.inserted, 1);
    assert_true(!lost->incomplete);
    lost_destroy(lost);
    free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subtransactions),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_storage_without_a_number),
        cmocka_unit_test(test_catalogs_with_other_storage),
        cmocka_unit_test(test_many_share_a_set),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_maintenance),
        cmocka_unit_test(test_no_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
