#include "base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

static void test_there_is_always_room_for_one_more(void **state)
{
    int *items = NULL;
    size_t count = 0;

    (void) state;
    for (int number = 0; number < 5000; number++)
    {
        ARRAY_GROW(items, count);
        items[count++] = number;
    }
    /* ARRAY_GROW works even after items were removed. */
    for (count -= 1000; count < 5000;)
    {
        ARRAY_GROW(items, count);
        items[count] = (int) count;
        count++;
    }
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i], i);
    free(items);
}

static void test_an_array_in_an_arena_grows_likewise(void **state)
{
    Arena *arena = arena_create();
    int *items = NULL;
    size_t count = 0;

    (void) state;
    for (int number = 0; number < 5000; number++)
        ARRAY_ADD_IN(arena, items, count, number);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(items[i], i);
    assert_int_equal(count, 5000);
    arena_destroy(arena);
}

static void test_an_item_is_inserted_in_front_of_others(void **state)
{
    int *items = NULL;
    size_t count = 0;

    (void) state;
    for (int number = 0; number < 100; number++)
        ARRAY_INSERT(items, count, (size_t) number / 2, number);
    assert_int_equal(count, 100);
    for (int i = 0; i < 50; i++)
    {
        assert_int_equal(items[i], 2 * i + 1);
        assert_int_equal(items[99 - i], 2 * i);
    }
    free(items);
}

static int compare_numbers(const void *key, const void *item)
{
    return *(const int *) key - *(const int *) item;
}

static size_t search(int key, const int *items, size_t count, bool *found)
{
    return array_search(&key, items, count, sizeof(*items), compare_numbers, found);
}

static void test_search_finds_the_item_or_its_place(void **state)
{
    static const int items[] = {10, 20, 30, 40, 50};
    bool found;

    (void) state;
    for (size_t count = 0; count <= 5; count++)
    {
        for (size_t i = 0; i < count; i++)
        {
            assert_int_equal(search(items[i], items, count, &found), i);
            assert_true(found);
            assert_int_equal(search(items[i] - 5, items, count, &found), i);
            assert_false(found);
        }
        assert_int_equal(search(60, items, count, &found), count);
        assert_false(found);
    }
    assert_int_equal(search(1, NULL, 0, &found), 0);
    assert_false(found);
}

static void test_search_finds_the_first_of_equal_items(void **state)
{
    static const int items[] = {1, 2, 2, 2, 2, 3};
    bool found;

    (void) state;
    assert_int_equal(search(2, items, 6, &found), 1);
    assert_true(found);
}

static void test_no_items_are_sorted_and_found(void **state)
{
    int items[] = {30, 10, 20}, *none = NULL;
    const int *found;

    (void) state;
    ARRAY_SORT(none, 0, compare_numbers);
    ARRAY_SORT(items, 3, compare_numbers);
    assert_null(ARRAY_FIND(&items[0], none, 0, compare_numbers));
    found = ARRAY_FIND(&(int){20}, items, 3, compare_numbers);
    assert_ptr_equal(found, &items[1]);
    assert_null(ARRAY_FIND(&(int){25}, items, 3, compare_numbers));
    assert_int_equal(ARRAY_LOWER_BOUND(&(int){25}, items, 3, compare_numbers), 2);
}

static void test_numbers_and_pairs_are_compared(void **state)
{
    const uint64_t numbers[] = {1, UINT64_C(1) << 40};
    const uint32_t pairs[][2] = {{1, UINT32_MAX}, {2, 3}, {2, 4}};

    (void) state;
    assert_true(compare_u64(&numbers[0], &numbers[1]) < 0);
    assert_true(compare_u64(&numbers[1], &numbers[0]) > 0);
    assert_int_equal(compare_u64(&numbers[1], &numbers[1]), 0);
    assert_true(compare_u32_pairs(pairs[0], pairs[1]) < 0);
    assert_true(compare_u32_pairs(pairs[2], pairs[1]) > 0);
    assert_int_equal(compare_u32_pairs(pairs[1], pairs[1]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_is_always_room_for_one_more),
        cmocka_unit_test(test_an_array_in_an_arena_grows_likewise),
        cmocka_unit_test(test_an_item_is_inserted_in_front_of_others),
        cmocka_unit_test(test_no_items_are_sorted_and_found),
        cmocka_unit_test(test_search_finds_the_item_or_its_place),
        cmocka_unit_test(test_search_finds_the_first_of_equal_items),
        cmocka_unit_test(test_numbers_and_pairs_are_compared),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
