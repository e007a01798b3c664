#include "base/text_cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void test_decimal_numbers(void **state)
{
    TextCursor text = text_cursor("0 007x4294967295 4294967296 18446744073709551615 -1");
    uint32_t number = 1;
    uint64_t large;

    (void) state;
    assert_true(text_take_u32(&text, &number));
    assert_int_equal(number, 0);
    assert_false(text_take_u32(&text, &number)); /* blanks are the caller's */
    text_skip_blanks(&text);
    assert_true(text_take_u32(&text, &number));
    assert_int_equal(number, 7);
    assert_true(text_take(&text, "x"));
    assert_true(text_take_u32(&text, &number));
    assert_int_equal(number, UINT32_MAX);
    text_skip_blanks(&text);
    assert_false(text_take_u32(&text, &number));
    assert_int_equal(number, UINT32_MAX);
    assert_true(text_take_u64(&text, &large));
    assert_true(large == 4294967296);
    text_skip_blanks(&text);
    assert_true(text_take_u64(&text, &large));
    assert_true(large == UINT64_MAX);
    text_skip_blanks(&text);
    assert_false(text_take_u64(&text, &large));
    assert_string_equal(text.position, "-1");

    text = text_cursor("18446744073709551616");
    assert_false(text_take_u64(&text, &large));
    text = text_cursor("99999999999999999999999999");
    assert_false(text_take_u64(&text, &large));

    assert_int_equal(text_number("1795900000\n5432"), 1795900000);
    assert_true(text_number("9223372036854775807") == INT64_MAX);
    assert_int_equal(text_number("9223372036854775808"), 0);
    assert_int_equal(text_number("-1"), 0);
    assert_int_equal(text_number(""), 0);
    assert_int_equal(text_number(NULL), 0);
}

static void test_hexadecimal_numbers(void **state)
{
    TextCursor text = text_cursor("000000Ab12345678ffFFffFFF/g");
    uint32_t number;

    (void) state;
    assert_true(text_take_hex(&text, 8, &number));
    assert_int_equal(number, 0xAB);
    assert_true(text_take_hex(&text, 2, &number));
    assert_int_equal(number, 0x12);
    assert_true(text_take_hex(&text, 6, &number));
    assert_int_equal(number, 0x345678);
    assert_true(text_take_hex(&text, 8, &number));
    assert_int_equal(number, UINT32_MAX);
    assert_true(text_take_hex(&text, 8, &number)); /* fewer than there may be */
    assert_int_equal(number, 15);
    assert_false(text_take_hex(&text, 8, &number));
    assert_true(text_take(&text, "/"));
    assert_false(text_take_hex(&text, 8, &number));
    assert_string_equal(text.position, "g");
}

static void test_nothing_is_read_behind_the_end(void **state)
{
    const char bytes[] = "ab12";
    TextCursor text = {bytes, bytes + 1};
    uint32_t number;

    (void) state;
    assert_false(text_take(&text, "ab"));
    assert_true(text_take_hex(&text, 8, &number));
    assert_int_equal(number, 0xA);
    assert_true(text_at_end(&text));
    text_skip_blanks(&text);
    assert_false(text_take_u32(&text, &number));
    assert_true(text_take(&text, ""));
    assert_false(text_take_line(&text, &text));
}

static void test_lines(void **state)
{
    TextCursor text = text_cursor("\n \t\v\f\rone\ntwo");
    TextCursor line;

    (void) state;
    assert_true(text_take_line(&text, &line));
    assert_true(text_at_end(&line));
    assert_true(text_take_line(&text, &line));
    text_skip_blanks(&line);
    assert_true(text_take(&line, "one"));
    assert_true(text_at_end(&line));
    assert_true(text_take_line(&text, &line));
    assert_true(text_take(&line, "two"));
    assert_true(text_at_end(&line));
    assert_false(text_take_line(&text, &line));
}

static void test_suffixes(void **state)
{
    (void) state;
    assert_true(text_ends_with("postgresql.conf", ".conf"));
    assert_true(text_ends_with(".conf", ".conf"));
    assert_true(text_ends_with("any", ""));
    assert_false(text_ends_with("conf", ".conf"));
    assert_false(text_ends_with("a.conf.bak", ".conf"));
    assert_true(text_is_same("a", "a"));
    assert_false(text_is_same("a", "b"));
    assert_false(text_is_same("a", NULL));
    assert_false(text_is_same(NULL, NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decimal_numbers),
        cmocka_unit_test(test_hexadecimal_numbers),
        cmocka_unit_test(test_nothing_is_read_behind_the_end),
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_suffixes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
