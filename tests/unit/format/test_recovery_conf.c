/* What -R writes, settings that we read, restore_command. */
#include "data.h"

#include "format/recovery_conf.h"

/* Seen with the original: password it's \x. */
static void connection_strings_are_quoted_twice(void **state)
{
    Buffer conninfo = {0};
    Buffer text = {0};
    Buffer value = {0};

    (void) state;
    conninfo_append(&conninfo, "user", "rep_1.x");
    conninfo_append(&conninfo, "password", "it's \\x");
    conninfo_append(&conninfo, "host", "/run/pg");
    conninfo_append(&conninfo, "options", "");
    assert_string_equal(buffer_string(&conninfo),
                        "user=rep_1.x password='it\\'s \\\\x' host='/run/pg' options=''");
    setting_append(&text, "primary_conninfo", buffer_string(&conninfo));
    assert_string_equal(buffer_string(&text),
                        "primary_conninfo = 'user=rep_1.x password=''it\\\\''s \\\\\\\\x'' "
                        "host=''/run/pg'' options='''''\n");
    /* And what is read is what was written. */
    assert_true(setting_find((const char *) text.bytes, text.size, "primary_conninfo", &value));
    assert_string_equal(buffer_string(&value), buffer_string(&conninfo));
    buffer_free(&conninfo);
    buffer_free(&text);
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

static void recovery_conf_of_10_and_11(void **state)
{
    Buffer text = {0};

    (void) state;
    recovery_conf_make("host=a user='b c'", &text);
    assert_string_equal(buffer_string(&text), "standby_mode = 'on'\n"
                                              "primary_conninfo = 'host=a user=''b c'''\n"
                                              "recovery_target_timeline = 'latest'\n");
    buffer_free(&text);
}

static void check_find(const char *text, const char *expected)
{
    char *copy = malloc(strlen(text) + 1);
    Buffer value = {0};
    bool found;

    memcpy(copy, text, strlen(text)); /* without NUL: nothing may be read behind */
    found = setting_find(copy, strlen(text), "restore_command", &value);
    if (found != (expected != NULL))
        fail_msg("found %d in: %s", found, text);
    if (found)
        assert_string_equal(buffer_string(&value), expected);
    free(copy);
    buffer_free(&value);
}

static void settings_are_found(void **state)
{
    (void) state;
    check_find("restore_command = 'cp /a/%f %p'\n", "cp /a/%f %p");
    check_find("restore_command='cp'", "cp");
    check_find("restore_command 'cp'", "cp");
    check_find("  \tRestore_Command\t=\t'cp' # comment\r\n", "cp");
    check_find("restore_command = cp#comment", "cp");
    check_find("restore_command = /bin/true\n", "/bin/true");
    check_find("restore_command = ''", "");
    check_find("restore_command = 'a''b\\'c\\\\d\\n\\101\\q # no comment'",
               "a'b'c\\d\nAq # no comment");
    check_find("restore_command = 'first'\n#restore_command = 'no'\nrestore_command = 'last'\n",
               "last");
    check_find("# restore_command = 'x'\n", NULL);
    check_find("restore_command = 'open\n", NULL);
    check_find("restore_command = 'open\\", NULL);
    check_find("restore_command\n", NULL);
    check_find("restore_command =", NULL);
    check_find("restore_command_x = 'x'\n", NULL);
    check_find("a.restore_command = 'x'\nrestore_command.a = 'y'", NULL);
    check_find("xrestore_command = 'x'", NULL);
    check_find("", NULL);
}

static void check_replace(const char *old, const char *expected)
{
    Buffer text = {0};

    setting_replace(old, strlen(old), "primary_conninfo", "host=a", &text);
    assert_string_equal(buffer_string(&text), expected);
    buffer_free(&text);
}

static void settings_are_replaced(void **state)
{
    (void) state;
    check_replace("", "primary_conninfo = 'host=a'\n");
    check_replace("# comment", "# comment\nprimary_conninfo = 'host=a'\n");
    check_replace("a = 1\nprimary_conninfo = 'old'\nb = 2\nPRIMARY_CONNINFO 'older'",
                  "a = 1\nb = 2\nprimary_conninfo = 'host=a'\n");
    check_replace("#primary_conninfo = 'old'\nprimary_conninfo_x = 1\n",
                  "#primary_conninfo = 'old'\nprimary_conninfo_x = 1\n"
                  "primary_conninfo = 'host=a'\n");
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
    assert_string_equal(error_detail_text(&error),
                        "String contains unexpected placeholder \"%x\".");
    assert_false(restore_command_expand("cp %", "F", "P", "R", &expanded, &error));
    assert_string_equal(error_detail_text(&error),
                        "String ends unexpectedly after escape character \"%\".");
    assert_false(restore_command_expand("cp %r", "F", "P", NULL, &expanded, &error));
    assert_string_equal(error_detail_text(&error),
                        "String contains unexpected placeholder \"%r\".");
    buffer_free(&expanded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connection_strings_are_quoted_twice),
        cmocka_unit_test(connection_strings_are_read),
        cmocka_unit_test(recovery_conf_of_10_and_11),
        cmocka_unit_test(settings_are_found),
        cmocka_unit_test(settings_are_replaced),
        cmocka_unit_test(restore_commands_are_expanded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
