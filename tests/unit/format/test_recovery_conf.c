/* Connection strings, restore_command. */
#include "data.h"

#include "format/settings.h"

/* Seen with the original: password it's \x. */
static void connection_strings_are_quoted_twice(void **state)
{
    Buffer conninfo = {0};
    Buffer text = {0};
    Buffer name = {0}, value = {0};
    TextCursor written;

    (void) state;
    conninfo_append(&conninfo, "user", "rep_1.x");
    conninfo_append(&conninfo, "password", "it's \\x");
    conninfo_append(&conninfo, "host", "/run/pg");
    conninfo_append(&conninfo, "options", "");
    assert_string_equal(buffer_string(&conninfo),
                        "user=rep_1.x password='it\\'s \\\\x' host='/run/pg' options=''");
    setting_replace(&text, "primary_conninfo", buffer_string(&conninfo));
    assert_string_equal(buffer_string(&text),
                        "primary_conninfo = 'user=rep_1.x password=''it\\\\''s \\\\\\\\x'' "
                        "host=''/run/pg'' options='''''\n");
    /* And what is read is what was written. */
    written = text_cursor(buffer_string(&text));
    assert_true(setting_next(&written, &name, &value));
    assert_string_equal(buffer_string(&name), "primary_conninfo");
    assert_string_equal(buffer_string(&value), buffer_string(&conninfo));
    buffer_free(&conninfo);
    buffer_free(&text);
    buffer_free(&name);
    buffer_free(&value);
}

/* Each pair as "keyword|value;", and what could not be read. */
static void check_conninfo(const char *text, const char *expected)
{
    Buffer keyword = {0}, value = {0}, all = {0};

    while (conninfo_next(&text, &keyword, &value))
        buffer_printf(&all, "%s|%s;", buffer_string(&keyword), buffer_string(&value));
    buffer_append_string(&all, text);
    assert_string_equal(buffer_string(&all), expected);
    buffer_free(&keyword);
    buffer_free(&value);
    buffer_free(&all);
}

static void connection_strings_are_read(void **state)
{
    (void) state;
    check_conninfo("", "");
    check_conninfo("  ", "");
    check_conninfo("host=a port = 5432\n user= b ", "host|a;port|5432;user|b;");
    check_conninfo("password='it\\'s \\\\x' host='/run/pg' options=''",
                   "password|it's \\x;host|/run/pg;options|;");
    check_conninfo("password=a\\ b'c new_option=1", "password|a b'c;new_option|1;");
    check_conninfo("host= ", "host|;");
    check_conninfo("a=1 host", "a|1;host");
    check_conninfo("a=1 =b", "a|1;=b");
    check_conninfo("a=1 password='x\\'", "a|1;password='x\\'");
    check_conninfo("postgresql://a/b", "postgresql://a/b");
}

static void restore_commands_are_expanded(void **state)
{
    Buffer expanded = {0};
    Error error;

    (void) state;
    assert_true(restore_command_expand("cp /a/%f \"%p\" %r 100%%%f", "F", "/d/pg_wal/F", "R",
                                       &expanded, &error));
    assert_string_equal(buffer_string(&expanded), "cp /a/F \"/d/pg_wal/F\" R 100%F");
    assert_true(restore_command_expand("", "F", "P", NULL, &expanded, &error));
    assert_string_equal(buffer_string(&expanded), "");

    assert_false(restore_command_expand("cp %x", "F", "P", "R", &expanded, &error));
    assert_string_equal(error.message,
                        "invalid value for parameter \"restore_command\": \"cp %x\"");
    assert_string_equal(error.detail, "String contains unexpected placeholder \"%x\".");
    assert_false(restore_command_expand("cp %", "F", "P", "R", &expanded, &error));
    assert_string_equal(error.detail, "String ends unexpectedly after escape character \"%\".");
    assert_false(restore_command_expand("cp %r", "F", "P", NULL, &expanded, &error));
    assert_string_equal(error.detail, "String contains unexpected placeholder \"%r\".");
    buffer_free(&expanded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_strings_are_quoted_twice),
        cmocka_unit_test(connection_strings_are_read),
        cmocka_unit_test(restore_commands_are_expanded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
