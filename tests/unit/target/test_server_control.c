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

static void test_service(void **state)
{
    static const struct
    {
        const char *cgroup, *service;
    } cases[] = {
        {"0::/system.slice/rejoin.service\n", "rejoin.service"},
        {"12:cpu:/\n1:name=systemd:/system.slice/cron.service\n0::/\n", "cron.service"},
        {"0::/user.slice/user-0.slice/user@0.service/app.slice/run-1.service", "run-1.service"},
        {"0::/user.slice/user-0.slice/session-1.scope\n", ""},
        {"0::/user.slice/user-0.slice/user@0.service/init.scope\n", ""},
        {"0::/system.slice/docker.service/0123\n", ""},
        {"0::/\n", ""},
        {"", ""},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        char service[64];

        server_control_service(cases[i].cgroup, service, sizeof(service));
        assert_string_equal(service, cases[i].service);
    }
}

/* The text of postmaster.opts, its arguments with a "|" behind each, and the options for a shell. */
static void test_options_of_the_last_start(void **state)
{
    static const struct
    {
        const char *text, *arguments, *options;
    } cases[] = {
        {"/bin/postgres \"-D\" \"/data\" \"-c\" \"port=5433\"\n", "/bin/postgres|-D|/data|-c|port=5433|", "-c port=5433"},
        {"/bin/postgres \"-c\" \"port=5433\" \"-D\" \"/data\"\n", "/bin/postgres|-c|port=5433|-D|/data|", "-c port=5433"},
        {"/bin/postgres \"-D/data\" \"-iF\"\n", "/bin/postgres|-D/data|-iF|", "-i -F"},
        {"/b in/postgres \"--port=1\" \"-ip2\"\n", "/b in/postgres|--port=1|-ip2|", "--port=1 -i -p 2"},
        {"/bin/postgres\n", "/bin/postgres|", ""},
        {"/bin/postgres \"-c\" \"a=\"\n", "/bin/postgres|-c|a=|", "-c a="},
        {"/bin/postgres \"-c\" \"a=cp \"%p\" \"/x y/%f\"\" \"-i\"\n", "/bin/postgres|-c|a=cp \"%p\" \"/x y/%f\"|-i|", "-c 'a=cp \"%p\" \"/x y/%f\"' -i"},
        {"/bin/postgres \"-c\" \"a=\"$user\", `b`\nc\"\n", "/bin/postgres|-c|a=\"$user\", `b`\nc|", "-c 'a=\"$user\", `b`\nc'"},
        {"/bin/postgres \"-c\" \"a=it's\" \"-S\" \"\"\n", "/bin/postgres|-c|a=it's|-S||", "-c 'a=it'\\''s' -S ''"},
        {"/bin/postgres \"-D\" \"/da", NULL, NULL},
        {"", NULL, NULL},
    };
    Arena *arena = arena_create();

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        const char *const *arguments = last_start_parse(arena, cases[i].text);
        Buffer joined = {0};

        if (cases[i].arguments == NULL)
        {
            assert_null(arguments);
            continue;
        }
        assert_non_null(arguments);
        for (size_t j = 0; arguments[j] != NULL; j++)
            buffer_printf(&joined, "%s|", arguments[j]);
        assert_string_equal(buffer_string(&joined), cases[i].arguments);
        assert_string_equal(server_control_options(arena, arguments, NULL, NULL), cases[i].options);
        buffer_free(&joined);
    }
    arena_destroy(arena);
}

/* Rule T12. */
static void test_secrets_of_the_last_start(void **state)
{
    static const char *const secret[] = {"/bin/postgres", "-D", "/data", "-c", "Primary-Conninfo=host=h password=SECRET", "--My.Password=SECRET", "-iparchive", "-cssl-passphrase-command=echo SECRET", "-o", "-c a.b=SECRET", "-cwork_mem=5MB", NULL};
    static const char *const plain[] = {"/bin/postgres", "-c", "primary_conninfo=host=h", "-c", "a.b=", "-cport", NULL};
    Arena *arena = arena_create();
    bool hides = false;

    (void) state;
    assert_string_equal(server_control_options(arena, plain, NULL, &hides), server_control_options(arena, plain, NULL, NULL));
    assert_false(hides);
    assert_string_equal(server_control_options(arena, secret, NULL, &hides), "-c 'Primary-Conninfo=host=h password=********' '--My.Password=********' -i -p archive -c 'ssl-passphrase-command=********' -o '********' -c work_mem=5MB");
    assert_true(hides);
    assert_non_null(strstr(server_control_options(arena, secret, NULL, NULL), "SECRET"));
    arena_destroy(arena);
}

static void test_settings_of_the_last_start(void **state)
{
    static const char *const arguments[] = {"/bin/postgres", "-D", "/data", "-c", "Config-File=/a b.conf", "-ip", "5433", "--archive-mode=off", "-p1", NULL};
    Arena *arena = arena_create();
    const LastStart start = {.arguments = arguments};
    Settings settings = {.arena = arena};

    (void) state;
    last_start_settings(&start, &settings);
    assert_int_equal(settings.count, 4);
    assert_string_equal(settings_value(&settings, "config_file"), "/a b.conf");
    assert_string_equal(settings_value(&settings, "listen_addresses"), "*");
    assert_string_equal(settings_value(&settings, "archive_mode"), "off");
    assert_string_equal(settings_value(&settings, "port"), "1");
    assert_string_equal(last_start_directory(&start), "/data");
    assert_string_equal(last_start_config_file(&start, arena), "/a b.conf");
    arena_destroy(arena);
}

static void test_config_file_of_the_last_start(void **state)
{
    static const char *const cases[][5] = {
        /* arguments; the environment; the main file, NULL: in the data directory */
        {"-D", "/etc", "PGDATA=/dev", "PWD=/", "/etc/postgresql.conf"},
        {"-D", "etc", "PGDATA=/dev", "PWD=/", "/etc/postgresql.conf"},
        {"-i", "-F", "PGDATA=/etc", "PWD=/dev", "/etc/postgresql.conf"},
        {"-i", "-F", "PGDATA=etc", "PWD=/", "/etc/postgresql.conf"},
        {"-c", "config_file=passwd", "PGDATA=/dev", "PWD=/etc", "/etc/passwd"},
        {"-c", "config_file=passwd", "PGDATA=/dev", "PWD=/nowhere", "passwd"},
        {"-D", "/nowhere", "PGDATA=/etc", "PWD=/", NULL},
        {"-D", "etc", "PGDATA=/etc", "PWD=/nowhere", NULL},
        {"-D", "etc", "PGDATA=/etc", "OLDPWD=/", NULL},
    };
    Arena *arena = arena_create();

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        const char *const arguments[] = {"/bin/postgres", cases[i][0], cases[i][1], NULL};
        const char *const environment[] = {cases[i][2], cases[i][3], NULL};
        const LastStart start = {.arguments = arguments, .environment = environment};
        const char *file = last_start_config_file(&start, arena);

        assert_string_equal(file != NULL ? file : "", cases[i][4] != NULL ? cases[i][4] : "");
    }
    assert_null(last_start_config_file(&(LastStart){0}, arena));
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
        cmocka_unit_test(test_service),
        cmocka_unit_test(test_options_of_the_last_start),
        cmocka_unit_test(test_secrets_of_the_last_start),
        cmocka_unit_test(test_settings_of_the_last_start),
        cmocka_unit_test(test_config_file_of_the_last_start),
        cmocka_unit_test(test_one_server_in_two_files),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
