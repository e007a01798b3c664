/* Rule L46. */
/*
 * A page in memory has one entry for each place, however often rows are put there.
 */
#include "wal/heap_pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static Error error;
static const RelationId table = {.tablespace = 1663, .database = 5, .relation = 16400};

static Slice put(HeapPages *pages, HeapPage *page, uint16_t item, const char *row)
{
    Slice copy;

    if (!heap_page_put(pages, page, item,
                       (Slice){(const uint8_t *) row, row != NULL ? strlen(row) : 0}, &copy,
                       &error))
        fail_msg("%s", error.message);
    return copy;
}

static void assert_row(Slice row, const char *text)
{
    assert_int_equal(row.size, strlen(text));
    assert_memory_equal(row.bytes, text, row.size);
}

static void test_last_row_of_a_place(void **state)
{
    Spool *spool = spool_create(NULL, &error);
    HeapPages *pages = heap_pages_create(spool);
    HeapPage *page = heap_pages_make(pages, &table, 7);
    Slice first, second, other;

    (void) state;
    first = put(pages, page, 1, "first");
    other = put(pages, page, 2, "other");
    second = put(pages, page, 1, "second row");
    assert_row(heap_page_row(page, 1), "second row");
    assert_row(heap_page_row(page, 2), "other");
    /* Copies that were handed out before stay. */
    assert_row(first, "first");
    assert_row(second, "second row");
    put(pages, page, 1, NULL);
    assert_null(heap_page_row(page, 1).bytes);
    assert_row(second, "second row");
    assert_row(other, "other");
    put(pages, page, 1, "third");
    assert_row(heap_page_row(page, 1), "third");
    heap_page_reset(page, NULL);
    assert_null(heap_page_row(page, 1).bytes);
    assert_null(heap_page_row(page, 2).bytes);
    put(pages, page, 2, "after the image");
    assert_row(heap_page_row(page, 2), "after the image");
    assert_null(heap_page_row(page, 1).bytes);
    heap_pages_free(pages);
    spool_free(spool);
}

/* An entry takes memory of the spool, an unknown row takes none. So the limit of a spool in memory
 * is reached if each of the rows has an entry. */
static void test_one_entry_for_a_place(void **state)
{
    Spool *spool = spool_create(NULL, &error);
    HeapPages *pages = heap_pages_create(spool);
    HeapPage *page = heap_pages_make(pages, &table, 7);

    (void) state;
    put(pages, page, 2, "of another place");
    for (uint64_t i = 0; i < SPOOL_MEMORY_MAX / sizeof(Slice); i++)
        put(pages, page, 1, NULL);
    assert_row(heap_page_row(page, 2), "of another place");
    heap_pages_free(pages);
    spool_free(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_row_of_a_place),
        cmocka_unit_test(test_one_entry_for_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
