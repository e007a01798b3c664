#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

static void PRINTF_LIKE(3, 4) shown_is(const char *expected, ShownLines lines, const char *format, ...)
{
    AUTO_BUFFER Buffer buffer = {0};
    char cut[8];
    va_list arguments, again;
    int length;

    va_start(arguments, format);
    va_copy(again, arguments);
    buffer_vshown(&buffer, lines, format, arguments);
    assert_string_equal(buffer_string(&buffer), expected);
    length = shown_vprintf(cut, sizeof(cut), lines, format, again);
    assert_int_equal(length, strlen(expected));
    assert_memory_equal(cut, expected, strlen(expected) < 7 ? strlen(expected) : 7);
    assert_int_equal(cut[strlen(expected) < 7 ? strlen(expected) : 7], '\0');
    va_end(arguments);
    va_end(again);
}

static void test_control_characters(void **state)
{
    (void) state;
    shown_is("a?[2Jb??c d", SHOWN_ONE_LINE, "%s", "a\033[2Jb\r\ac\td");
    shown_is("e\u00e9 ?? \u2026", SHOWN_OWN_LINES, "%s", "e\u00e9 \xc2\x9b \u2026");
    shown_is("\xe9?\xff", SHOWN_OWN_LINES, "%s", "\xe9\x9b\xff"); /* Latin-1 */
    shown_is("?", SHOWN_OWN_LINES, "%s", "\x7f");
}

/* Between quotes stands a name. */
static void test_line_breaks(void **state)
{
    (void) state;
    shown_is("file \"a?b\": x\ny\nz", SHOWN_OWN_LINES, "file \"%s\": %s\nz", "a\nb", "x\ny");
    shown_is("a?b\nc", SHOWN_ONE_LINE, "%s\nc", "a\nb");
}

/* Each kind of directive that the program uses comes out as by vsnprintf. */
static void test_directives(void **state)
{
    char expected[256];

#define SAME(...)                                                                                  \
    snprintf(expected, sizeof(expected), __VA_ARGS__);                                             \
    shown_is(expected, SHOWN_OWN_LINES, __VA_ARGS__)

    (void) state;
    SAME("%d %i %5d|%-5d|%05d|%+d", -1, 2, 3, 4, 5, 6);
    SAME("%u %08X %x %#x %o %c%%", 7u, 0xABCu, 0xabcu, 16u, 8u, 'c');
    SAME("%ld %lu %lld %llu %zu %zd %jd", -1L, 2UL, -3LL, 4ULL, (size_t) 5, (ssize_t) -6, (intmax_t) 7);
    SAME("%.2f %5.1f%% %.0f %g", 1.005, 2.25, 3.5, 1e300);
    SAME("%.*s|%.3s|%8s|%-8s|%*s|%-*s|", 2, "abc", "abcd", "r", "l", 4, "w", 4, "v");
    SAME("%.*f %hu %hhu %llX/%08llX", 3, 2.0, (unsigned short) 9, (unsigned char) 10, 1ULL, 2ULL);
    SAME("%s", "");
    SAME("nothing");
}

static void test_literals_and_names(void **state)
{
    AUTO_BUFFER Buffer text = {0};

    (void) state;
    buffer_append_literal(&text, "a\033'\\\n", LITERAL_ANY);
    buffer_append_literal(&text, "a\\", LITERAL_ANY);
    buffer_append_literal(&text, "a\n\\", LITERAL_SETTING);
    assert_string_equal(buffer_string(&text), "E'a\\x1b''\\\\\\n'E'a\\\\''a\\n\\\\'");
    buffer_clear(&text);
    buffer_append_shown_name(&text, "a\"b\\");
    buffer_append_shown_name(&text, "a\"b\\\n");
    assert_string_equal(buffer_string(&text), "\"a\"\"b\\\"U&\"a\"\"b\\\\\\000a\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_control_characters),
        cmocka_unit_test(test_line_breaks),
        cmocka_unit_test(test_directives),
        cmocka_unit_test(test_literals_and_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
