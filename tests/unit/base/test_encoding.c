#include "base/encoding.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* Numbers of encodings: pg_enc, mb/pg_wchar.h. */
#define SQL_ASCII 0
#define EUC_JP 1
#define EUC_JIS_2004 5
#define UTF8 6
#define MULE_INTERNAL 7
#define LATIN1 8
#define WIN1258 19
#define WIN1255 32

/* text is what the bytes become; NULL: nothing, they stay as they are. */
static void becomes(uint32_t encoding, const char *bytes, const char *text)
{
    AUTO_BUFFER Buffer buffer = {0};
    iconv_t conversion = encoding_open(encoding);

    buffer_append_string(&buffer, "before ");
    buffer_append_string(&buffer, bytes);
    assert_int_equal(encoding_convert(conversion, &buffer, 7), text != NULL);
    assert_memory_equal(buffer_string(&buffer), "before ", 7);
    assert_string_equal(buffer_string(&buffer) + 7, text != NULL ? text : bytes);
    encoding_close(conversion);
}

static void text_becomes_utf8(void **state)
{
    (void) state;
    becomes(LATIN1, "\xe9\xff", "\u00e9\u00ff");
    becomes(UTF8, "\u00e9", "\u00e9");
    becomes(UTF8, "\xe9", NULL);
    becomes(SQL_ASCII, "\xc3\xa9", "\u00e9");
    becomes(SQL_ASCII, "\xe9", NULL);
    becomes(LATIN1, "", "");
}

/* The table of iconv's EUC-JP has other characters for these seven, and lacks some. */
static void euc_jp_is_converted_as_by_the_server(void **state)
{
    (void) state;
    becomes(EUC_JP, "\xa1\xc1\xa1\xc2\xa1\xdd\xa1\xf1\xa1\xf2\xa2\xcc\x8f\xa2\xc3",
            "\uff5e\u2225\uff0d\uffe0\uffe1\uffe2\uffe4");
    becomes(EUC_JP, "\xad\xa1", "\u2460");
    becomes(EUC_JP, "\xa4", NULL);
}

static void where_no_table_is_equal_to_the_servers_only_ascii_is_text(void **state)
{
    (void) state;
    becomes(EUC_JIS_2004, "ascii\n", "ascii\n");
    becomes(EUC_JIS_2004, "\xa1\xb1", NULL);
    becomes(EUC_JIS_2004, "\xc4\xa3", NULL); /* the bytes are valid UTF-8, too */
    becomes(MULE_INTERNAL, "ascii", "ascii");
    becomes(MULE_INTERNAL, "\x81\xe9", NULL);
    becomes(WIN1258, "data", "data"); /* iconv keeps a letter back that it could compose */
    becomes(WIN1258, "a\xec", NULL);
    becomes(WIN1255, "\xf9\xd1", NULL);
}

static void shared_names_have_the_encoding_of_all_databases(void **state)
{
    (void) state;
    assert_int_equal(encoding_of_shared(ENCODING_NONE, LATIN1), LATIN1);
    assert_int_equal(encoding_of_shared(LATIN1, LATIN1), LATIN1);
    assert_int_equal(encoding_of_shared(LATIN1, UTF8), SQL_ASCII);
    assert_int_equal(encoding_of_shared(SQL_ASCII, UTF8), SQL_ASCII);
    assert_true(encoding_open(ENCODING_NONE) == NO_CONVERSION);
}

static void name_becomes(uint32_t encoding, const char *bytes, const char *expected)
{
    AUTO_ARENA Arena *arena = arena_create();
    iconv_t conversion = encoding_open(encoding);

    assert_string_equal(encoding_name(conversion, bytes, strlen(bytes), arena), expected);
    encoding_close(conversion);
}

static void a_name_that_cannot_be_converted_is_never_valid(void **state)
{
    (void) state;
    name_becomes(LATIN1, "caf\xe9", "caf\u00e9");
    name_becomes(UTF8, "caf\u00e9", "caf\u00e9");
    name_becomes(SQL_ASCII, "caf\xe9", "caf\xe9");
    name_becomes(EUC_JIS_2004, "a\xc4\xab", "a\xff\xff"); /* the bytes are valid UTF-8, too */
    name_becomes(EUC_JP, "a\xa4", "a\xff");
}

/* psql sends comments, too, and the server refuses what is not UTF-8. */
static void what_is_not_utf8_is_replaced(void **state)
{
    AUTO_BUFFER Buffer text = {0};

    (void) state;
    utf8_append(&text, "a\nb\xe9 \u00e9\xe2\x82");
    assert_string_equal(buffer_string(&text), "a\nb\ufffd \u00e9\ufffd\ufffd");
    buffer_clear(&text);
    utf8_append_comment(&text, "a\nb\xe9 \u00e9");
    assert_string_equal(buffer_string(&text), "a?b? \u00e9");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_utf8),
        cmocka_unit_test(euc_jp_is_converted_as_by_the_server),
        cmocka_unit_test(a_name_that_cannot_be_converted_is_never_valid),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(shared_names_have_the_encoding_of_all_databases),
        cmocka_unit_test(where_no_table_is_equal_to_the_servers_only_ascii_is_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
