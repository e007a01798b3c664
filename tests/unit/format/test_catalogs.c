#include "format/catalogs.h"

#include "base/buffer.h"
#include "format/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define PAGE_SIZE 8192
#define DATA_OFFSET 32
#define ROW_SIZE (DATA_OFFSET + 88)

#define OLD_MAP_SIZE 512

static uint8_t map[CATALOGS_MAP_SIZE_MAX];
static uint8_t page[PAGE_SIZE];
static unsigned rows;

static void finish_map(uint32_t count)
{
    store_u32(map, 0x592717);
    store_u32(map + 4, count);
    store_u32(map + 504, crc32c_finish(old_crc_update(CRC32C_INIT, map, 504)));
}

static void store_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t) value;
    at[1] = (uint8_t) (value >> 8);
}

static void empty_page(void)
{
    memset(page, 0, sizeof(page));
    store_u16(page + 12, 24);
    store_u16(page + 14, PAGE_SIZE);
    store_u16(page + 16, PAGE_SIZE);
    store_u16(page + 18, PAGE_SIZE | 4);
    rows = 0;
}

/* A row of pg_class; the item that points to it. */
static uint8_t *add_class(Oid oid, Oid filenode)
{
    uint8_t *item = page + 24 + (size_t) rows * 4;
    const uint32_t offset = PAGE_SIZE - (++rows) * ROW_SIZE;
    uint8_t *row = page + offset;

    store_u16(row + 20, 0x0008);
    row[22] = DATA_OFFSET;
    store_u32(row + DATA_OFFSET - 4, oid);
    store_u32(row + DATA_OFFSET + 84, filenode);
    store_u32(item, offset | 1u << 15 | (uint32_t) ROW_SIZE << 17);
    store_u16(page + 12, 24 + rows * 4);
    store_u16(page + 14, offset);
    store_u16(page + 14, offset);
    return item;
}

static bool add_map(Catalogs *catalogs, int number, Oid database, size_t size, Oid *pg_class)
{
    return catalogs_add_map(catalogs, version_of_server_number(number), database,
                            &(Buffer){.bytes = map, .size = size}, pg_class);
}

static Oid oid_of(const Catalogs *catalogs, Oid database, Oid filenode)
{
    return catalogs_oid(catalogs, &(RelationId){1663, database, filenode});
}

static void test_map(void **state)
{
    Catalogs catalogs = {0};
    Oid pg_class = 0;

    (void) state;
    store_u32(map + 8, 1259);
    store_u32(map + 12, 11900);
    store_u32(map + 16, 1260);
    store_u32(map + 20, 11881);
    finish_map(2);
    assert_true(add_map(&catalogs, 90400, 5, OLD_MAP_SIZE, &pg_class));
    assert_int_equal(pg_class, 11900);
    finish_map(1);
    assert_true(add_map(&catalogs, 90400, 0, OLD_MAP_SIZE, &pg_class));
    catalogs_sort(&catalogs);
    assert_int_equal(catalogs.count, 3);
    assert_int_equal(oid_of(&catalogs, 5, 11900), 1259);
    assert_int_equal(oid_of(&catalogs, 5, 11881), 1260);
    assert_int_equal(oid_of(&catalogs, 0, 11881), 11881); /* 11881 is only in database 5's map */
    assert_int_equal(oid_of(&catalogs, 6, 11900), 11900);

    assert_false(add_map(&catalogs, 90400, 5, OLD_MAP_SIZE - 1, &pg_class));
    finish_map(63);
    assert_false(add_map(&catalogs, 90400, 5, OLD_MAP_SIZE, &pg_class));
    finish_map(2);
    map[20]++;
    assert_false(add_map(&catalogs, 90400, 5, OLD_MAP_SIZE, &pg_class));
    assert_int_equal(catalogs.count, 3);
    free(catalogs.items);
}

static void test_rows_of_pg_class(void **state)
{
    Catalogs catalogs = {0};

    (void) state;
    empty_page();
    add_class(2619, 11871);
    add_class(16400, 16500);                                                  /* a table */
    add_class(1259, 0);                                                       /* in the map */
    store_u32(add_class(2613, 12096), 0);                                     /* unused */
    store_u32(add_class(2614, 12097), 8100 | 1u << 15 | (uint32_t) 99 << 17); /* over the end */
    store_u32(add_class(2615, 12098), 4000 | 1u << 15 | (uint32_t) 20 << 17); /* short */
    add_class(2620, 11971);
    catalogs_add_page(&catalogs, 5, page, sizeof(page));
    catalogs_sort(&catalogs);
    assert_int_equal(catalogs.count, 2);
    assert_int_equal(oid_of(&catalogs, 5, 11871), 2619);
    assert_int_equal(oid_of(&catalogs, 5, 11971), 2620);
    assert_int_equal(oid_of(&catalogs, 5, 16500), 16500);
    memset(page, 0, sizeof(page));
    catalogs_add_page(&catalogs, 5, page, sizeof(page));
    assert_int_equal(catalogs.count, 2);
    free(catalogs.items);
}

/* From 12 on a number is a column; from 16 on the map has room for 64 items. */
static void test_later_versions(void **state)
{
    Catalogs catalogs = {0};
    Oid pg_class = 0;
    uint8_t *row;

    (void) state;
    empty_page();
    add_class(2619, 0);
    row = page + PAGE_SIZE - ROW_SIZE;
    store_u16(row + 20, 0);
    row[22] = DATA_OFFSET - 4;
    store_u32(row + DATA_OFFSET + 84, 16600);
    catalogs_add_page(&catalogs, 5, page, sizeof(page));

    memset(map, 0, sizeof(map));
    store_u32(map, 0x592717);
    store_u32(map + 4, 1);
    store_u32(map + 8, 1259);
    store_u32(map + 12, 16700);
    store_u32(map + 520, crc32c(map, 520));
    assert_true(add_map(&catalogs, 190000, 5, sizeof(map), &pg_class));
    assert_int_equal(pg_class, 16700);
    assert_false(add_map(&catalogs, 190000, 5, OLD_MAP_SIZE, &pg_class));
    store_u32(map + 504, crc32c(map, 504));
    assert_true(add_map(&catalogs, 150000, 5, OLD_MAP_SIZE, &pg_class));

    catalogs_sort(&catalogs);
    assert_int_equal(oid_of(&catalogs, 5, 16600), 2619);
    assert_int_equal(oid_of(&catalogs, 5, 16700), 1259);
    free(catalogs.items);
}

static void test_none(void **state)
{
    Catalogs catalogs = {0};

    (void) state;
    catalogs_sort(&catalogs);
    assert_int_equal(oid_of(&catalogs, 5, 1259), 1259);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_map),
        cmocka_unit_test(test_rows_of_pg_class),
        cmocka_unit_test(test_later_versions),
        cmocka_unit_test(test_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
