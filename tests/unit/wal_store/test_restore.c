#include "wal_store/restore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/workers.h"
#include "io/dir.h"
#include "io/file.h"

static char root[64];
static Error error;

static const char *path_of(const char *name)
{
    static char paths[4][256];
    static int next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", root, name);
    return paths[next];
}

static int set_up(void **state)
{
    (void) state;
    strcpy(root, "/tmp/test_restore.XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_int_equal(mkdir(path_of("it's data"), 0700), 0);
    assert_int_equal(mkdir(path_of("it's data/in"), 0700), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    return dir_remove_tree(root, &error) ? 0 : -1;
}

/* Each command writes a line to data/tries. */
static size_t tries(void)
{
    Buffer text = {0};
    bool found;

    assert_true(file_read_all(path_of("it's data/tries"), 1000, &text, &found, &error));
    size_t size = text.size;
    buffer_free(&text);
    return size / 2;
}

static bool restores(const char *command, int seconds, bool *ended_well)
{
    char data[256];
    snprintf(data, sizeof(data), "%s", path_of("it's data"));
    RestoreCommand restore = {.command = command,
                              .data_directory = data,
                              .redo_file_name = "REDO",
                              .retry_timeout_seconds = seconds};

    char outcome[RESTORE_OUTCOME_SIZE];

    return restore_run(&restore, "NAME", path_of("it's data/in/NAME"), ended_well, outcome, &error);
}

static void test_placeholders_have_values(void **state)
{
    Buffer text = {0};
    bool ended_well;

    (void) state;
    assert_true(restores("echo \"%f %p %r 100%%\" > %p", 0, &ended_well));
    assert_true(ended_well);
    assert_true(file_read_all(path_of("it's data/in/NAME"), 1000, &text, NULL, &error));
    assert_string_equal(buffer_string(&text), "NAME in/NAME REDO 100%\n");
    buffer_free(&text);
}

static void test_what_is_not_there_is_not_tried_again(void **state)
{
    bool ended_well;

    (void) state;
    assert_true(restores("echo 1 >> tries; exit 1", 60, &ended_well));
    assert_false(ended_well);
    assert_true(restores("echo 1 >> tries; exit 125", 60, &ended_well));
    assert_false(ended_well);
    assert_int_equal(tries(), 2);
}

/* And what the try before has left is not in its way. */
static void test_what_fails_is_tried_again(void **state)
{
    static const char *const failures[] = {"kill -9 $$", "exit 255"};
    char command[256];
    bool ended_well;

    (void) state;
    for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++)
    {
        unlink(path_of("it's data/tries"));
        unlink(path_of("it's data/in/NAME"));
        snprintf(command, sizeof(command),
                 "echo 1 >> tries; test ! -e %%p || exit 1; echo half > %%p; "
                 "test $(wc -l < tries) = 3 || %s",
                 failures[i]);
        assert_true(restores(command, 60, &ended_well));
        assert_true(ended_well);
        assert_int_equal(tries(), 3);
    }
}

static void test_trying_has_an_end(void **state)
{
    bool ended_well;

    (void) state;
    assert_false(restores("echo 1 >> tries; exit 200", 0, &ended_well));
    assert_int_equal(tries(), 1);
    assert_false(ended_well);
    assert_string_equal(error.message,
                        "\"restore_command\" failed: child process exited with exit code 200");
    /* After 0, 0.2, 0.6 and 1.4 seconds, or later; the next try would be after 3. */
    assert_false(restores("echo 1 >> tries; exit 200", 2, &ended_well));
    assert_in_range(tries(), 3, 5); /* one of them by the run before */
    unlink(path_of("it's data/tries"));
    assert_false(restores("echo 1 >> tries; kill -9 $$", 1000, &ended_well));
    assert_int_equal(tries(), 6);
    assert_non_null(strstr(error.message, "child process was terminated by signal 9"));
}

static void test_what_the_shell_cannot_run_is_not_tried_again(void **state)
{
    bool ended_well;

    (void) state;
    assert_false(restores("echo 1 >> tries; /nowhere/at_all %f", 60, &ended_well));
    assert_string_equal(error.message, "\"restore_command\" failed: command not found");
    assert_false(restores("echo 1 >> tries; /dev/null", 60, &ended_well));
    assert_string_equal(error.message, "\"restore_command\" failed: command not executable");
    assert_int_equal(tries(), 2);
}

/* In a process of its own, because the stop is for the whole process. */
static void test_a_stop_ends_the_pause(void **state)
{
    const time_t begin = time(NULL);
    const pid_t pid = fork();
    int status;

    (void) state;
    if (pid == 0)
    {
        bool ended_well;

        signals_install();
        if (restores("echo 1 >> tries; test $(wc -l < tries) != 4 || kill $PPID; exit 255", 1000,
                     &ended_well))
            _exit(1);
        _exit(strcmp(error.message, "terminated by signal 15") == 0 && tries() == 4 ? 0 : 2);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_true(time(NULL) - begin < 120);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_placeholders_have_values, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_is_not_there_is_not_tried_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_fails_is_tried_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_trying_has_an_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_the_shell_cannot_run_is_not_tried_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_stop_ends_the_pause, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
