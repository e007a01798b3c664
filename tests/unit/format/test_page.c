/* Rule U5. */
/* Pages of relations: which may hold entries that were marked as dead. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/buffer.h"
#include "format/page.h"

#ifndef BLOCK /* tests/meson.build has other sizes */
#define BLOCK 8192
#endif
#define SIZE BLOCK
#define NORMAL 1
#define DEAD 3
#define BTREE 0
#define HASH 0xFF80
#define GIST 0xFF81
#define BLOOM 0xFF83
#define HNSW 0xFF90 /* page ID of pgvector's hnsw */

static uint8_t page[SIZE];

static void store_u16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t) value;
    at[1] = (uint8_t) (value >> 8);
}

/* A page with a special area of that size, which ends with kind, and room for that many items. */
static void make_page(unsigned special_size, unsigned kind, unsigned items)
{
    memset(page, 0, sizeof(page));
    store_u16(page + 12, 24 + 4 * items);
    store_u16(page + 14, SIZE - special_size - 32 * items);
    store_u16(page + 16, SIZE - special_size);
    store_u16(page + 18, SIZE | 4);
    if (special_size > 0)
        store_u16(page + SIZE - 2, kind);
    for (unsigned i = 0; i < items; i++)
        store_u32(page + 24 + (size_t) i * 4,
                  (SIZE - special_size - 32 * (i + 1)) | NORMAL << 15 | 32u << 17);
}

static void mark(unsigned item, uint32_t length)
{
    const uint32_t old = load_u32(page + 24 + (size_t) item * 4);

    store_u32(page + 24 + (size_t) item * 4, (old & 0x7FFF) | (uint32_t) DEAD << 15 | length << 17);
}

static bool judged(void)
{
    return page_may_have_dead_entries(page, SIZE);
}

static void marked_entries_are_found(void **state)
{
    static const unsigned kinds[] = {BTREE, HASH, GIST};

    (void) state;
    for (size_t k = 0; k < 3; k++)
    {
        for (unsigned item = 0; item < 100; item += 33)
        {
            make_page(16, kinds[k], 100);
            assert_false(judged());
            mark(item, 32);
            assert_true(judged());
        }
    }
    make_page(16, BTREE, 0);
    assert_false(judged());
}

static void dead_items_of_a_heap_have_no_storage(void **state)
{
    (void) state;
    make_page(0, 0, 10);
    mark(3, 0);
    assert_false(judged());
}

static void what_cannot_be_judged_may_have_them(void **state)
{
    (void) state;
    make_page(8, BLOOM, 0);
    assert_false(judged());
    make_page(8, HNSW, 3);
    assert_true(judged());
    make_page(24, 0, 3);
    assert_true(judged());
    make_page(16, BTREE, 3);
    store_u16(page + 12, 20); /* the lower end lies in the header */
    assert_true(judged());
    make_page(16, BTREE, 3);
    store_u16(page + 14, 20);
    assert_true(judged());
    make_page(16, BTREE, 3);
    store_u16(page + 16, SIZE + 8);
    assert_true(judged());
}

static void an_empty_or_cut_page_has_none(void **state)
{
    (void) state;
    memset(page, 0, sizeof(page));
    assert_false(judged());
    make_page(16, BTREE, 3);
    mark(0, 32);
    assert_false(page_may_have_dead_entries(page, 23));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marked_entries_are_found),
        cmocka_unit_test(dead_items_of_a_heap_have_no_storage),
        cmocka_unit_test(what_cannot_be_judged_may_have_them),
        cmocka_unit_test(an_empty_or_cut_page_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
