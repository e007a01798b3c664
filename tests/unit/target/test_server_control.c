#include "target/server_control.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "target/pid_file.h"

#include <string.h>

static void test_unit_of_systemd(void **state)
{
    static const struct
    {
        const char *cgroup, *unit;
    } cases[] = {
        {"0::/system.slice/system-postgresql.slice/postgresql@15-main.service\n",
         "postgresql@15-main.service"},
        {"12:cpu:/\n1:name=systemd:/system.slice/postgresql-14.service\n0::/\n",
         "postgresql-14.service"},
        {"0::/system.slice/patroni.service\n", ""},
        {"0::/user.slice/user-0.slice/session-1.scope\n", ""},
        {"0::/postgresql\n", ""},
        {"0::/user.slice/user-1000.slice/user@1000.service/app.slice/postgresql.service\n", ""},
        {"", ""},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        char unit[64];

        server_control_unit(cases[i].cgroup, unit, sizeof(unit));
        assert_string_equal(unit, cases[i].unit);
    }
}

static void test_options_of_the_last_start(void **state)
{
    static const struct
    {
        const char *text, *options, *directory;
    } cases[] = {
        {"/usr/bin/postgres \"-D\" \"/data\" \"-c\" \"port=5433\"\n", "\"-c\" \"port=5433\"",
         "/data"},
        {"/usr/bin/postgres \"-c\" \"port=5433\" \"-D\" \"/data\"\n", "\"-c\" \"port=5433\" ",
         "/data"},
        {"/usr/bin/postgres \"-D\" \"/data\"\n", "", "/data"},
        {"/usr/bin/postgres \"-i\"\n", "\"-i\"", NULL},
        {"/usr/bin/postgres\n", "", NULL},
        {"/usr/bin/postgres \"-D\" \"/da", "\"-D\" \"/da", NULL},
        {"", "", NULL},
    };
    Arena *arena = arena_create();

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        char *directory;

        assert_string_equal(server_control_options(arena, cases[i].text, &directory),
                            cases[i].options);
        if (cases[i].directory == NULL)
            assert_null(directory);
        else
            assert_string_equal(directory, cases[i].directory);
    }
    arena_destroy(arena);
}

static void test_config_file_of_the_last_start(void **state)
{
    Arena *arena = arena_create();

    (void) state;
    assert_string_equal(server_control_config_file(arena, "/bin/postgres \"-c\" \"config_file=/a b.conf\""), "/a b.conf");
    assert_string_equal(server_control_config_file(arena, "/bin/postgres \"--config-file=/c\" \"-D\" \"/d\"\n"), "/c");
    assert_null(server_control_config_file(arena, "/bin/postgres \"-D\" \"/d\""));
    arena_destroy(arena);
}

static void test_one_server_in_two_files(void **state)
{
    static const char text[] = "4711\n/data\n1700000000\n5432\n/run\n*\n  1234 5678\nready   \n";
    Buffer file = {0};
    PidFileServer one, other;

    (void) state;
    buffer_append_string(&file, text);
    pid_file_parse(&file, &one);
    assert_string_equal(one.port, "5432");
    assert_string_equal(one.socket_directory, "/run");
    other = one;
    assert_true(pid_file_same_server(&one, &other));
    strcpy(other.start_time, "1700000001");
    assert_false(pid_file_same_server(&one, &other));
    buffer_clear(&file);
    pid_file_parse(&file, &one);
    assert_false(pid_file_same_server(&one, &one)); /* of nothing */
    buffer_free(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_unit_of_systemd),
        cmocka_unit_test(test_options_of_the_last_start),
        cmocka_unit_test(test_config_file_of_the_last_start),
        cmocka_unit_test(test_one_server_in_two_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
