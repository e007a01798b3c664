#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdalign.h>
#include <string.h>

static void test_memory_is_zeroed_aligned_and_apart(void **state)
{
    Arena *arena = arena_create();
    uint8_t *pieces[1000];

    (void) state;
    for (size_t index = 0; index < 1000; index++)
    {
        const size_t size = index * 7 % 501;

        pieces[index] = arena_allocate(arena, size);
        assert_int_equal((uintptr_t) pieces[index] % alignof(max_align_t), 0);
        for (size_t byte = 0; byte < size; byte++)
            assert_int_equal(pieces[index][byte], 0);
        memset(pieces[index], (int) (index % 256), size);
        arena_strdup(arena, "a string between");
    }
    for (size_t index = 0; index < 1000; index++)
        for (size_t byte = 0; byte < index * 7 % 501; byte++)
            assert_int_equal(pieces[index][byte], index % 256);
    arena_destroy(arena);
}

static void test_strings_are_copied(void **state)
{
    Arena *arena = arena_create();

    (void) state;
    assert_string_equal(arena_strdup(arena, "base/1/1259"), "base/1/1259");
    assert_string_equal(arena_strdup(arena, ""), "");
    assert_string_equal(arena_strndup(arena, "abcdef", 3), "abc");
    assert_string_equal(arena_strndup(arena, "ab", 30), "ab");
    assert_string_equal(arena_printf(arena, "%s/%d", "base", 5), "base/5");
    arena_destroy(arena);
    arena_destroy(NULL);
}

static void test_large_pieces_leave_the_current_block_in_use(void **state)
{
    Arena *arena = arena_create();
    size_t size;

    (void) state;
    arena_allocate(arena, 16);
    memset(arena_allocate(arena, 10000000), 1, 10000000);
    size = arena_size(arena);
    assert_true(size > 10000000 && size < 10020000);
    arena_allocate(arena, 16);
    assert_int_equal(arena_size(arena), size);
    arena_destroy(arena);
}

static void test_strings_are_packed(void **state)
{
    Arena *arena = arena_create();

    (void) state;
    for (int index = 0; index < 100000; index++)
        arena_strdup(arena, "1234567"); /* 8 bytes each */
    assert_true(arena_size(arena) < 100000 * 8 * 2);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(test_strings_are_copied),
        cmocka_unit_test(test_large_pieces_leave_the_current_block_in_use),
        cmocka_unit_test(test_strings_are_packed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
