/* Rule T4. */
/* postgresql.conf with what it includes, and what must not be shown of it. */
#include "data.h"

#include "format/settings.h"

typedef struct File
{
    const char *path;
    const char *content; /* the file's text; NULL if the file cannot be read */
} File;

static bool read_one(void *context, const char *path, Buffer *content, bool *found)
{
    *found = false;
    for (const File *file = context; file->path != NULL; file++)
    {
        if (strcmp(file->path, path) != 0)
            continue;
        if (file->content == NULL)
            return false;
        buffer_append_string(content, file->content);
        *found = true;
    }
    return true;
}

static const char *const *list_all(void *context, const char *directory, Arena *arena)
{
    const size_t length = strlen(directory);
    const char **list = arena_allocate(arena, 10 * sizeof(*list));
    size_t count = 0;

    for (const File *file = context; file->path != NULL; file++)
        if (strncmp(file->path, directory, length) == 0 && file->path[length] == '/')
            list[count++] = file->path + length + 1;
    return count > 0 ? list : NULL;
}

static const char *below_data(const char *path, const char *directory)
{
    const size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

static Settings read_all(Arena *arena, const File *files)
{
    const SettingsReader reader = {read_one, list_all, below_data, "/data",
                                   (void *) (uintptr_t) files};
    Settings settings = {.arena = arena};

    settings_read(&settings, &reader, "postgresql.conf");
    settings_read(&settings, &reader, "postgresql.auto.conf");
    return settings;
}

static void check_value(const Settings *settings, const char *name, const char *expected)
{
    const char *value = settings_value(settings, name);

    if (expected == NULL)
        assert_null(value);
    else if (value == NULL)
        fail_msg("%s is not set", name);
    else
        assert_string_equal(value, expected);
}

static void the_last_one_wins(void **state)
{
    const File files[] = {
        {"postgresql.conf", "port = 5432 # port\n"
                            "#work_mem = 1\n"
                            "Listen_Addresses='it''s' \n"
                            "include 'sub/a.conf'\n"
                            "include_if_exists 'missing.conf'\n"
                            "include_dir = 'conf.d'\n"
                            "no value follows\n=\n'x\nz = 'open\n"
                            "my.var yes"},
        {"sub/a.conf", "include 'b.conf'\na = from_a\ninclude '/data/sub//./c.conf'\n"},
        {"sub/b.conf", "a = from_b\nb = from_b\n"},
        {"sub/c.conf", "from_c = 1\n"},
        {"conf.d/.x.conf", "c = hidden\n"},
        {"conf.d/1.conf", "c = 1\n"},
        {"conf.d/2.conf", "c = 2\n"},
        {"conf.d/3.bak", "c = 3\n"},
        {"postgresql.auto.conf", "PORT = '5433'\n"},
        {NULL, NULL},
    };
    Arena *arena = arena_create();
    Settings settings = read_all(arena, files);

    (void) state;
    check_value(&settings, "port", "5433");
    check_value(&settings, "listen_addresses", "it's");
    check_value(&settings, "work_mem", NULL);
    check_value(&settings, "a", "from_a");
    check_value(&settings, "b", "from_b");
    check_value(&settings, "c", "2");
    check_value(&settings, "my.var", "yes");
    check_value(&settings, "z", NULL);
    check_value(&settings, "from_c", "1");
    assert_int_equal(settings.file_count, 9);
    assert_string_equal(settings.files[1], "sub/a.conf");
    assert_false(settings.incomplete);
    for (size_t i = 1; i < settings.count; i++)
        assert_true(strcmp(settings.items[i - 1].name, settings.items[i].name) < 0);
    arena_destroy(arena);
}

/* As the server finds them: by an absolute path, by "..", and from a file that lies there. */
static void what_lies_outside_is_read(void **state)
{
    const File files[] = {
        {"postgresql.conf", "include '/etc/x.conf'\ninclude_dir '../more/./d'\n"},
        {"/etc/x.conf", "a = 1\ninclude 'y.conf'\ninclude_if_exists '../none.conf'\n"},
        {"/etc/y.conf", "b = 2\ninclude '/data/z.conf'\n"},
        {"z.conf", "c = 3\n"},
        {"/more/d/1.conf", "d = 4\n"},
        {NULL, NULL},
    };
    Arena *arena = arena_create();
    Settings settings = read_all(arena, files);

    (void) state;
    check_value(&settings, "a", "1");
    check_value(&settings, "b", "2");
    check_value(&settings, "c", "3");
    check_value(&settings, "d", "4");
    assert_false(settings.incomplete);
    assert_null(settings.unread);
    arena_destroy(arena);
}

/* Files that include each other, that are missing, that cannot be read. */
static void what_is_not_read_is_known(void **state)
{
    static const char *const unread[] = {"postgresql.conf", "/etc/x.conf", "x/../..", "none", "/", "postgresql.auto.conf"};
    static const File cases[][3] = {
        {{"postgresql.conf", "a = 1\ninclude 'postgresql.conf'\n"}, {NULL, NULL}, {NULL, NULL}},
        {{"postgresql.conf", "a = 1\ninclude '/etc/x.conf'\n"}, {NULL, NULL}, {NULL, NULL}},
        {{"postgresql.conf", "a = 1\ninclude_dir 'x/../..'\n"}, {NULL, NULL}, {NULL, NULL}},
        {{"postgresql.conf", "a = 1\ninclude_dir 'none'\n"}, {NULL, NULL}, {NULL, NULL}},
        {{"postgresql.conf", "a = 1\ninclude_dir '/'\n"}, {NULL, NULL}, {NULL, NULL}},
        {{"postgresql.conf", "a = 1\n"}, {"postgresql.auto.conf", NULL}, {NULL, NULL}},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        Arena *arena = arena_create();
        Settings settings = read_all(arena, cases[i]);

        assert_true(settings.incomplete);
        assert_string_equal(settings.unread, unread[i]);
        check_value(&settings, "a", "1");
        arena_destroy(arena);
    }
}

static void paths_are_relative_to_the_data_directory(void **state)
{
    static const struct
    {
        const char *base, *value, *expected;
    } cases[] = {
        {"a.conf", "b", "b"},           {"d/a.conf", "b", "d/b"},
        {"a.conf", ".//b/./c/", "b/c"}, {"d/e/a.conf", "../../b", "b"},
        {"d/a.conf", "x/../b", "d/b"},  {"a.conf", "..b/...", "..b/..."},
        {"d/a.conf", "../../b", NULL},  {"a.conf", "x/../../data/b", NULL},
        {"/etc/a.conf", "../b", "/b"},  {"/etc/d/a.conf", "x", "/etc/d/x"},
        {"/a.conf", "b", "/b"},         {"a.conf", "/b", NULL},
        {"a.conf", "", NULL},
    };
    Arena *arena = arena_create();

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        const char *path = settings_path(arena, cases[i].base, cases[i].value);

        if (cases[i].expected == NULL)
            assert_null(path);
        else
            assert_string_equal(path, cases[i].expected);
    }
    arena_destroy(arena);
}

/* Whatever a file holds, nothing is read behind its end. */
static void damaged_files_do_no_harm(void **state)
{
    static const char text[] = "a = 'x''y\\n\\101' # c\ninclude 'q'\nB.c=1\nprimary_conninfo 'x=y'";

    (void) state;
    for (size_t length = 0; length <= strlen(text); length++)
        for (int flip = 0; flip < 256; flip += 17)
        {
            char *copy = strndup(text, length);
            const File files[] = {{"postgresql.conf", copy}, {NULL, NULL}};
            Arena *arena = arena_create();

            if (length > 0)
                copy[length - 1] = (char) flip;
            read_all(arena, files);
            arena_destroy(arena);
            free(copy);
        }
}

static void passwords_are_not_shown(void **state)
{
    static const struct
    {
        const char *name, *value, *shown;
    } cases[] = {
        {"primary_conninfo", "host=a password=b\\'c port=1", "host=a password=******** port=1"},
        {"primary_conninfo", "user=a password = 'b \\' c' port=1",
         "user=a password = ******** port=1"},
        {"primary_conninfo", "passfile=/x sslpassword=y", "passfile=/x sslpassword=********"},
        {"primary_conninfo", "postgresql://u:p%20w@h:1/db?x=1",
         "postgresql://u:********@h:1/db?x=1"},
        {"primary_conninfo", "postgresql://u@h:1/db?password=x&a=b",
         "postgresql://u@h:1/db?password=********&a=b"},
        {"cluster_name", "PGPASSWORD=\"a b\" get %f %p", "PGPASSWORD=******** get %f %p"},
        {"cluster_name", "get --token abc %f", "get --token ******** %f"},
        {"primary_conninfo", "postgresql://u:a b@c@h:1/db", "postgresql://u:********@h:1/db"},
        {"restore_command", "curl -u u:PW %f", "********"},
        {"ssl_passphrase_command", "echo x", "********"},
        {"pgsodium.getkey_script", "x", "********"},
        {"anon.salt", "x", "********"},
        {"ldap.bind_password", "x", "********"},
        {"password_encryption", "md5", "md5"},
        {"ssl_key_file", "server.key", "server.key"},
        {"listen_addresses", "a, b", "a, b"},
        {"x", "http://h:80/x", "http://h:80/x"},
    };
    Arena *arena = arena_create();

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_string_equal(setting_masked(arena, cases[i].name, cases[i].value), cases[i].shown);
    arena_destroy(arena);
}

static void check_find(const char *text, const char *expected)
{
    char *copy = malloc(strlen(text) + 1);
    TextCursor left = {copy, copy + strlen(text)};
    Buffer name = {0}, any = {0}, value = {0};
    bool found = false;

    memcpy(copy, text, strlen(text)); /* without NUL: nothing may be read behind */
    while (setting_next(&left, &name, &any))
    {
        if (strcmp(buffer_string(&name), "restore_command") != 0)
            continue;
        found = true;
        buffer_clear(&value);
        buffer_append_string(&value, buffer_string(&any));
    }
    if (found != (expected != NULL))
        fail_msg("found %d in: %s", found, text);
    if (found)
        assert_string_equal(buffer_string(&value), expected);
    free(copy);
    buffer_free(&name);
    buffer_free(&any);
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
    check_find("restore_command\xc3\xa9 = 'x'", NULL);
    check_find("1restore_command = 'x'", NULL);
    check_find("", NULL);
}

static void check_replace(const char *old, const char *expected)
{
    Buffer text = {0};

    buffer_append_string(&text, old);
    setting_replace(&text, "primary_conninfo", "host=a");
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

static void booleans_are_read_as_the_server_reads_them(void **state)
{
    static const char *const on[] = {"on", "ON", "On", "true", "TRUE", "t", "tru", "yes", "Y", "1"};
    static const char *const off[] = {"off", "of", "o", "false", "f",     "no",   "n",
                                      "0",   "11", "",  "ons",   "truex", "yesx", " on"};

    (void) state;
    for (size_t i = 0; i < sizeof(on) / sizeof(on[0]); i++)
        if (!setting_is_on(on[i]))
            fail_msg("\"%s\" is on", on[i]);
    for (size_t i = 0; i < sizeof(off) / sizeof(off[0]); i++)
        if (setting_is_on(off[i]))
            fail_msg("\"%s\" is not on", off[i]);
    assert_false(setting_is_on(NULL));
}

static void integers_are_read_as_by_the_server(void **state)
{
    static const struct
    {
        const char *value;
        int64_t number;
    } good[] = {{"100", 100},  {"0x64", 100}, {"0144", 100}, {" 100 ", 100},
                {"99.6", 100}, {"1e2", 100},  {"-1", -1}};
    static const char *const bad[] = {"", "many", "100 connections", "1.x", "99999999999999999999"};
    int64_t number;

    (void) state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
    {
        assert_true(setting_integer(good[i].value, &number));
        assert_int_equal(number, good[i].number);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(setting_integer(bad[i], &number));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_one_wins),
        cmocka_unit_test(what_lies_outside_is_read),
        cmocka_unit_test(what_is_not_read_is_known),
        cmocka_unit_test(paths_are_relative_to_the_data_directory),
        cmocka_unit_test(damaged_files_do_no_harm),
        cmocka_unit_test(passwords_are_not_shown),
        cmocka_unit_test(settings_are_found),
        cmocka_unit_test(settings_are_replaced),
        cmocka_unit_test(booleans_are_read_as_the_server_reads_them),
        cmocka_unit_test(integers_are_read_as_by_the_server),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
