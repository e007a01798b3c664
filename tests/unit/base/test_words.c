#include "base/text_cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* The words of text in brackets. */
static const char *split(const char *text)
{
    static char joined[256];
    Arena *arena = arena_create();
    const char *wrong;
    size_t count;
    char **words = words_split(arena, text, &count, &wrong);

    joined[0] = '\0';
    if (words == NULL)
        strcat(joined, wrong);
    else
        for (size_t i = 0; i < count; i++)
        {
            strcat(joined, "[");
            strcat(joined, words[i]);
            strcat(joined, "]");
        }
    arena_destroy(arena);
    return joined;
}

static void test_blanks_lie_between_words(void **state)
{
    (void) state;
    assert_string_equal(split(""), "");
    assert_string_equal(split(" \t\n"), "");
    assert_string_equal(split("a"), "[a]");
    assert_string_equal(split(" -n  --jobs=2\t-c\n"), "[-n][--jobs=2][-c]");
    assert_string_equal(split("a b c d e"), "[a][b][c][d][e]");
}

static void test_quotes_hold_a_word_together(void **state)
{
    (void) state;
    assert_string_equal(split("--source-server='host=a user=b'"),
                        "[--source-server=host=a user=b]");
    assert_string_equal(split("'a \"b\" \\ c'"), "[a \"b\" \\ c]");
    assert_string_equal(split("\"a 'b'\""), "[a 'b']");
    assert_string_equal(split("a'b'\"c\"d"), "[abcd]");
    assert_string_equal(split("'' \"\" x"), "[][][x]");
}

static void test_backslashes(void **state)
{
    (void) state;
    assert_string_equal(split("a\\ b \\'c\\\" \\\\ \\x"), "[a b]['c\"][\\][x]");
    assert_string_equal(split("\"\\\" \\\\ \\$ \\` \\x\""), "[\" \\ $ ` \\x]");
    assert_string_equal(split("a\\\nb \"c\\\nd\""), "[ab][cd]");
}

static void test_nothing_is_expanded(void **state)
{
    (void) state;
    assert_string_equal(split("$HOME `date` ~ * # a;b >c"), "[$HOME][`date`][~][*][#][a;b][>c]");
}

static void test_what_is_not_closed_is_an_error(void **state)
{
    (void) state;
    assert_string_equal(split("a 'b"), "a quote that is not closed");
    assert_string_equal(split("\"a\\\""), "a quote that is not closed");
    assert_string_equal(split("a\\"), "a backslash at the end");
    assert_string_equal(split("\"a\\"), "a backslash at the end");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blanks_lie_between_words),
        cmocka_unit_test(test_quotes_hold_a_word_together),
        cmocka_unit_test(test_backslashes),
        cmocka_unit_test(test_nothing_is_expanded),
        cmocka_unit_test(test_what_is_not_closed_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
