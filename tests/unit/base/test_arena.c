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

#ifndef ARENA_PIECES_APART
static void test_large_pieces_leave_the_current_block_in_use(void **state)
{
    Arena *arena = arena_create();
    char *before;

    (void) state;
    before = arena_allocate(arena, 16);
    memset(arena_allocate(arena, 10000000), 1, 10000000);
    assert_ptr_equal(arena_allocate(arena, 16), before + 16);
    arena_destroy(arena);
}

static void test_strings_are_packed(void **state)
{
    Arena *arena = arena_create();
    const char *last = NULL;
    int apart = 0;

    (void) state;
    for (int index = 0; index < 100000; index++)
    {
        const char *string = arena_strdup(arena, "1234567"); /* 8 bytes each, from above */

        apart += last != NULL && string != last - 8;
        last = string;
    }
    assert_true(apart < 100); /* where a block begins */
    arena_destroy(arena);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_memory_is_zeroed_aligned_and_apart),
        cmocka_unit_test(test_strings_are_copied),
#ifndef ARENA_PIECES_APART
        cmocka_unit_test(test_large_pieces_leave_the_current_block_in_use),
        cmocka_unit_test(test_strings_are_packed),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
