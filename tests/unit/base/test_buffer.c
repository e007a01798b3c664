#include "base/buffer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static void test_numbers_are_little_endian(void **state)
{
    Buffer buffer = {0};
    Cursor cursor;

    (void) state;
    buffer_append_u8(&buffer, 0x01);
    buffer_append_u16(&buffer, 0x0302);
    buffer_append_u32(&buffer, 0x07060504);
    buffer_append_u64(&buffer, 0x0F0E0D0C0B0A0908);
    assert_int_equal(buffer.size, 15);
    for (size_t index = 0; index < 15; index++)
        assert_int_equal(buffer.bytes[index], index + 1);

    cursor = cursor_over(buffer.bytes, buffer.size);
    assert_int_equal(cursor_u8(&cursor), 0x01);
    assert_int_equal(cursor_u16(&cursor), 0x0302);
    assert_int_equal(cursor_u32(&cursor), 0x07060504);
    assert_true(cursor_u64(&cursor) == 0x0F0E0D0C0B0A0908);
    assert_false(cursor.failed);
    assert_int_equal(cursor_left(&cursor), 0);
    buffer_free(&buffer);
}

static void test_a_failed_cursor_gives_zeros_and_stays_failed(void **state)
{
    const uint8_t bytes[] = {1, 2, 3};
    Cursor cursor = cursor_over(bytes, sizeof(bytes));

    (void) state;
    assert_int_equal(cursor_u32(&cursor), 0);
    assert_true(cursor.failed);
    assert_int_equal(cursor_u8(&cursor), 0);
    cursor_seek(&cursor, 0);
    assert_int_equal(cursor_u8(&cursor), 0);
    assert_true(cursor_bytes(&cursor, 0) == NULL);
    assert_int_equal(cursor_left(&cursor), 0);
}

static void test_a_huge_size_does_not_wrap(void **state)
{
    const uint8_t bytes[] = {1, 2, 3};
    Cursor cursor = cursor_over(bytes, sizeof(bytes));

    (void) state;
    cursor_skip(&cursor, 2);
    cursor_skip(&cursor, SIZE_MAX);
    assert_true(cursor.failed);
}

static void test_seek(void **state)
{
    const uint8_t bytes[] = {1, 2, 3};
    Cursor cursor = cursor_over(bytes, sizeof(bytes));

    (void) state;
    cursor_seek(&cursor, 2);
    assert_int_equal(cursor_u8(&cursor), 3);
    cursor_seek(&cursor, 3);
    assert_false(cursor.failed);
    cursor_seek(&cursor, 4);
    assert_true(cursor.failed);
}

static void test_buffer_grows_and_formats(void **state)
{
    Buffer buffer = {0};

    (void) state;
    assert_string_equal(buffer_string(&buffer), "");
    for (int number = 0; number < 1000; number++)
        buffer_printf(&buffer, "%d,", number % 10);
    assert_int_equal(buffer.size, 2000);
    assert_int_equal(strlen(buffer_string(&buffer)), 2000);
    buffer_clear(&buffer);
    buffer_append_string(&buffer, "abc");
    buffer_append(&buffer, NULL, 0);
    assert_string_equal(buffer_string(&buffer), "abc");
    assert_int_equal(buffer.size, 3);
    buffer_free(&buffer);
    assert_true(buffer.bytes == NULL);
}

static void test_words_of_a_shell(void **state)
{
    Buffer buffer = {0};

    (void) state;
    buffer_append_word(&buffer, "/var/lib/postgresql/15/main");
    buffer_append_u8(&buffer, ' ');
    buffer_append_word(&buffer, "");
    buffer_append_u8(&buffer, ' ');
    buffer_append_word(&buffer, "/a b/it's");
    assert_string_equal(buffer_string(&buffer), "/var/lib/postgresql/15/main '' '/a b/it'\\''s'");
    buffer_clear(&buffer);
    buffer_append_word(&buffer, "$(id)\"`id`");
    assert_string_equal(buffer_string(&buffer), "'$(id)\"`id`'");
    buffer_free(&buffer);
    assert_string_equal(plural(1), "");
    assert_string_equal(plural(0), "s");
    assert_string_equal(plural(2), "s");
}

static void test_literals_of_sql(void **state)
{
    Buffer buffer = {0};

    (void) state;
    buffer_append_literal(&buffer, "it's", LITERAL_ANY);
    buffer_append_literal(&buffer, "it's $(id) \\", LITERAL_ANY);
    assert_string_equal(buffer_string(&buffer), "'it''s'E'it''s $(id) \\\\'");
    buffer_clear(&buffer);
    buffer_append_name(&buffer, "it's \"odd\"");
    assert_string_equal(buffer_string(&buffer), "\"it's \"\"odd\"\"\"");
    buffer_free(&buffer);
}

static void test_load_undoes_store(void **state)
{
    uint8_t bytes[8];

    (void) state;
    store_u32(bytes, 0xFEDCBA98);
    assert_true(load_u32(bytes) == 0xFEDCBA98);
    assert_int_equal(load_u16(bytes), 0xBA98);
    store_u64(bytes, 0xFEDCBA9876543210);
    assert_true(load_u64(bytes) == 0xFEDCBA9876543210);
    assert_int_equal(bytes[0], 0x10);
}

static void test_a_path_has_one_slash_between_directory_and_name(void **state)
{
    AUTO_BUFFER Buffer path = {0};

    (void) state;
    assert_string_equal(path_in(&path, "/a/b", "c/d"), "/a/b/c/d");
    assert_string_equal(path_in(&path, "/a/", "b"), "/a/b");
    assert_string_equal(path_in(&path, "", "b"), "b");
    assert_string_equal(path_in(&path, "/a", ""), "/a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_numbers_are_little_endian),
        cmocka_unit_test(test_a_failed_cursor_gives_zeros_and_stays_failed),
        cmocka_unit_test(test_a_huge_size_does_not_wrap),
        cmocka_unit_test(test_seek),
        cmocka_unit_test(test_buffer_grows_and_formats),
        cmocka_unit_test(test_words_of_a_shell),
        cmocka_unit_test(test_literals_of_sql),
        cmocka_unit_test(test_a_path_has_one_slash_between_directory_and_name),
        cmocka_unit_test(test_load_undoes_store),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
