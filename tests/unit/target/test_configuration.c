/* Rule D6. */
/*
 * Settings of the target, and files that its configuration names.
 */
#include "../../every_version.h"
#include "../standby/target.h"

#include "target/configuration.h"

static bool is_named(const Configuration *configuration, const char *path)
{
    size_t count;
    const char **files = configuration_named_files(configuration, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(files[i], path) == 0)
            return true;
    return false;
}

static void test_settings(void **state)
{
    const Configuration configuration = {target_directory, NULL, NULL, arena, false};
    const SettingsReader reader = configuration_reader(&configuration);
    Settings settings;

    (void) state;
    assert_int_equal(configuration_read(&configuration, &reader).count, 0);
    assert_int_equal(mkdir("target/conf.d", 0700), 0);
    put_text("target/postgresql.conf", "port = 1\ninclude_dir = 'conf.d'\nssl = on\n");
    put_text("target/conf.d/b.conf", "port = 3\n");
    put_text("target/conf.d/a.conf", "port = 2\nwork_mem = '1MB'\n");
    put_text("target/postgresql.auto.conf", "ssl = off\n");
    settings = configuration_read(&configuration, &reader);
    assert_string_equal(settings_value(&settings, "port"), "3");
    assert_string_equal(settings_value(&settings, "work_mem"), "1MB");
    assert_string_equal(settings_value(&settings, "ssl"), "off");
    assert_false(settings.incomplete);
}

/* --config-file: by a relative path, and one in the target by an absolute one. */
static void test_config_file(void **state)
{
    char inside[512];
    Configuration configuration = {target_directory, "other.conf", NULL, arena, false};
    const SettingsReader reader = configuration_reader(&configuration);
    Settings settings;

    (void) state;
    put_text("other.conf", "port = 7\n");
    settings = configuration_read(&configuration, &reader);
    assert_string_equal(settings_value(&settings, "port"), "7");
    put_text("target/own.conf", "port = 8\nhba_file = 'a_hba.conf'\n");
    snprintf(inside, sizeof(inside), "%s//own.conf", target_directory);
    configuration.config_file = inside;
    settings = configuration_read(&configuration, &reader);
    assert_string_equal(settings_value(&settings, "port"), "8");
    assert_true(is_named(&configuration, "own.conf"));
    assert_true(is_named(&configuration, "a_hba.conf"));
    assert_false(is_named(&configuration, "postgresql.conf"));
    configuration.config_file = "nowhere.conf";
    settings = configuration_read(&configuration, &reader);
    assert_null(settings_value(&settings, "port"));
}

/* Debian's: found by its data_directory, which must be this target, of this major version. */
static void test_file_outside(void **state)
{
    char text[512], root[512], expected[1024];
    Configuration configuration = {target_directory, NULL, NULL, arena, false};

    (void) state;
    assert_non_null(getcwd(root, sizeof(root)));
    strcat(root, "/etc");
    assert_int_equal(setenv("PG_CLUSTER_CONF_ROOT", root, 1), 0);
    assert_null(configuration_find_file(&configuration, version_of_major(15)));
    assert_int_equal(system("mkdir -p etc/15/other etc/15/ours/conf.d etc/15/relative etc/16/main"),
                     0);
    snprintf(text, sizeof(text), "data_directory = '%s/'\n", target_directory);
    put_text("etc/16/main/postgresql.conf", text);
    put_text("etc/15/other/postgresql.conf", "data_directory = '/nowhere'\n");
    put_text("etc/15/relative/postgresql.conf", "data_directory = 'target'\n");
    assert_null(configuration_find_file(&configuration, version_of_major(15)));

    put_text("etc/15/ours/postgresql.conf", "data_directory = '/nowhere'\ninclude_dir 'conf.d'\n");
    put_text("etc/15/ours/conf.d/place.conf", text);
    snprintf(expected, sizeof(expected), "%s/15/ours/postgresql.conf", root);
    assert_string_equal(configuration_find_file(&configuration, version_of_major(15)), expected);
    configuration.config_file = "other.conf";
    assert_string_equal(configuration_find_file(&configuration, version_of_major(15)),
                        "other.conf");
    configuration.config_file = NULL;

    put_text("target/postgresql.conf", "");
    assert_null(configuration_find_file(&configuration, version_of_major(15)));
    assert_int_equal(unlink("target/postgresql.conf"), 0);
    put_text("etc/15/other/postgresql.conf", text);
    assert_null(configuration_find_file(&configuration, version_of_major(15)));
    unsetenv("PG_CLUSTER_CONF_ROOT");
}

static void test_named_files(void **state)
{
    const Configuration configuration = {target_directory, NULL, NULL, arena, false};
    char text[1024];

    (void) state;
    snprintf(text, sizeof(text),
             "ssl_cert_file = '%s/certificates/own.crt'\nssl_ca_file = '/etc/ssl/ca.crt'\n"
             "ssl_key_file = 'key'\ninclude 'more.conf'\n",
             target_directory);
    put_text("target/postgresql.conf", text);
    put_text("target/more.conf", "");
    put_text("target/real_key", "");
    assert_int_equal(symlink("real_key", "target/key"), 0);
    assert_true(is_named(&configuration, "postgresql.conf"));
    assert_true(is_named(&configuration, "more.conf"));
    assert_true(is_named(&configuration, "pg_hba.conf")); /* the default */
    assert_true(is_named(&configuration, "certificates/own.crt"));
    assert_false(is_named(&configuration, "server.crt"));
    assert_false(is_named(&configuration, "/etc/ssl/ca.crt"));
    assert_true(is_named(&configuration, "key"));
    assert_true(is_named(&configuration, "real_key"));

    /* Links that lead to each other end. */
    assert_int_equal(unlink("target/key"), 0);
    assert_int_equal(unlink("target/real_key"), 0);
    assert_int_equal(symlink("real_key", "target/key"), 0);
    assert_int_equal(symlink("key", "target/real_key"), 0);
    assert_true(is_named(&configuration, "real_key"));
}

/* pg_hba.conf, pg_ident.conf and pg_hosts.conf name files, and include others. */
static void test_authentication_files(void **state)
{
    static const char *const named[] = {
        "people", "auth/more", "auth/a file",  "auth/joined", "auth/d",   "auth/d/1.conf",
        "here",   "mapped",    "certs/a\"crt", "certs/a.key", "absolute",
    };
    const Configuration configuration = {target_directory, NULL, NULL, arena, false};
    char text[1024];

    (void) state;
    assert_int_equal(system("mkdir -p target/auth/d target/certs"), 0);
    put_text("target/postgresql.conf", "hba_file = 'auth/hba'\n");
    snprintf(text, sizeof(text),
             "local all,@../people @more trust # @comment\n"
             "# not continued \\\nlocal all @\"a file\" trust\r\n"
             "include_dir \\\nd\nlocal all @joi\\\r\nned\ninclude hba\ninclude %s/absolute\n",
             target_directory);
    put_text("target/auth/hba", text);
    put_text("target/auth/d/1.conf", "include ../../here");
    put_text("target/auth/d/.2.conf", "include ../../hidden");
    put_text("target/auth/d/3.other", "include ../../other");
    put_text("target/pg_ident.conf", "include_if_exists mapped\n");
    put_text("target/pg_hba.conf", "include unused\n");
    put_text("target/pg_hosts.conf", "example.org \"certs/a\"\"crt\" certs/a.key missing\n");
    put_text("target/certs/a\"crt", "");
    put_text("target/certs/a.key", "");
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++)
        if (!is_named(&configuration, named[i]))
            fail_msg("%s is not named", named[i]);
    assert_false(is_named(&configuration, "auth/comment"));
    assert_false(is_named(&configuration, "hidden"));
    assert_false(is_named(&configuration, "other"));
    assert_false(is_named(&configuration, "unused"));
    assert_false(is_named(&configuration, "missing"));

    /* Ever longer paths end. */
    assert_int_equal(symlink(".", "target/auth/a"), 0);
    assert_int_equal(symlink(".", "target/auth/b"), 0);
    put_text("target/auth/hba", "include a/hba\ninclude b/hba\n");
    assert_true(is_named(&configuration, "auth/a/a/hba"));
}

/* Rule S13: the fifth field of a line is a command; what a comma joins is one field. */
static void test_host_commands(void **state)
{
    const Configuration configuration = {target_directory, NULL, NULL, arena, false};
    const SettingsReader reader = configuration_reader(&configuration);
    const char *const *commands;
    Settings settings;

    (void) state;
    assert_int_equal(system("mkdir -p target/hosts"), 0);
    put_text("target/postgresql.conf", "hosts_file = 'hosts/main'\nssl_sni = on\n");
    put_text("target/hosts/main",
             "# a b c d commented\none c k \"\" \"one command\" on\na,\"b\",c c k ca two\n"
             "three c k ca\nfour c k ca \"\" on\ninclude more\n");
    put_text("target/hosts/more", "five c k ca 'five\n");
    settings = configuration_read(&configuration, NULL);
    commands = configuration_host_commands(&configuration, &reader, &settings);
    assert_string_equal(commands[0], "one command");
    assert_string_equal(commands[1], "two");
    assert_string_equal(commands[2], "'five");
    assert_null(commands[3]);

    settings_set(&settings, "ssl_sni", "off");
    commands = configuration_host_commands(&configuration, &reader, &settings);
    assert_null(commands[0]);
}

static void test_log_directory(void **state)
{
    static const struct
    {
        const char *setting, *directory;
    } cases[] = {{"", NULL},
                 {"log_directory = 'logs/'", "logs"},
                 {"log_directory = './my/logs'", "my/logs"},
                 {"log_directory = '/var/log/postgresql'", NULL},
                 {"log_directory = '../logs'", NULL},
                 {"log_directory = '.'", NULL}};
    const Configuration configuration = {target_directory, NULL, NULL, arena, false};

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        const char *directory;

        put_text("target/postgresql.conf", cases[i].setting);
        directory = configuration_log_directory(&configuration);
        if (cases[i].directory == NULL)
            assert_null(directory);
        else
        {
            assert_non_null(directory);
            assert_string_equal(directory, cases[i].directory);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_settings, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_config_file, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_file_outside, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_named_files, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_authentication_files, make_directories,
                                        remove_directories),
        cmocka_unit_test_setup_teardown(test_host_commands, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_log_directory, make_directories, remove_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
