#include "io/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/workers.h"
#include "io/file.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static Error error;

static void test_output_is_collected(void **state)
{
    const char *const arguments[] = {"/bin/echo", "a b", "$HOME", NULL};
    Buffer output = {0};
    int status;

    (void) state;
    assert_true(process_run(arguments, false, &output, &status, &error));
    assert_int_equal(status, 0);
    assert_string_equal(buffer_string(&output), "a b $HOME\n");
    buffer_free(&output);
}

static void test_stdin_is_empty_and_descriptors_are_not_inherited(void **state)
{
    char command[64];
    const char *const arguments[] = {"/bin/sh", "-c", command, NULL};
    Buffer output = {0};
    int status;
    int fd;

    (void) state;
    assert_true(file_open_read("/proc/self/exe", &fd, NULL, &error));
    snprintf(command, sizeof(command), "cat; ls /proc/self/fd/%d || echo none; echo x >&2", fd);
    assert_true(process_run(arguments, true, &output, &status, &error));
    assert_string_equal(buffer_string(&output), "none\n");
    file_close(fd);
    buffer_free(&output);
}

static void test_a_program_that_is_not_there(void **state)
{
    const char *const arguments[] = {"/no/such/program", NULL};
    Buffer output = {0};
    int status;

    (void) state;
    if (getenv("EMULATOR") != NULL)
    {
        puts("skipped: qemu-user forks for posix_spawn, so the caller does not get the child's "
             "errno");
        skip();
    }
    assert_false(process_run(arguments, false, &output, &status, &error));
    assert_string_equal(
        error.message, "could not execute command \"/no/such/program\": No such file or directory");
}

static void test_output_has_a_limit(void **state)
{
    const char *const arguments[] = {"/usr/bin/yes", NULL};
    Buffer output = {0};
    int status;

    (void) state;
    assert_false(process_run(arguments, true, &output, &status, &error));
    assert_string_equal(error.message,
                        "output of command \"/usr/bin/yes\" is larger than 1048576 bytes");
    buffer_free(&output);
}

static void test_a_shell_writes_to_stderr(void **state)
{
    char text[16] = "";
    int ends[2];
    int before;
    int status;

    (void) state;
    assert_int_equal(pipe(ends), 0);
    before = dup(STDERR_FILENO);
    dup2(ends[1], STDERR_FILENO);
    assert_true(process_shell(&(ShellCommand){.text = "echo out"}, &status, &error));
    dup2(before, STDERR_FILENO);
    assert_int_equal(status, 0);
    assert_int_equal(read(ends[0], text, sizeof(text) - 1), 4);
    assert_string_equal(text, "out\n");
}

static void assert_described(const char *command, const char *expected)
{
    char text[128];
    int status;

    assert_true(process_shell(&(ShellCommand){.text = command}, &status, &error));
    process_describe(status, text, sizeof(text));
    assert_string_equal(text, expected);
}

static void test_how_it_ended_is_described(void **state)
{
    (void) state;
    assert_described("exit 3", "child process exited with exit code 3");
    assert_described("exit 127", "command not found");
    assert_described("exit 126", "command not executable");
    assert_described("kill -9 $$", "child process was terminated by signal 9: Killed");
}

static void test_what_we_ignore_is_not_ignored_in_a_child(void **state)
{
    int status;

    (void) state;
    signal(SIGPIPE, SIG_IGN);
    assert_true(process_shell(&(ShellCommand){.text = "kill -PIPE $$"}, &status, &error));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGPIPE);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_IGN);
    assert_true(process_shell(&(ShellCommand){.text = "kill -XFSZ $$"}, &status, &error));
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGXFSZ);
    signal(SIGXFSZ, SIG_DFL);
}

/* In a process of its own, because the stop is for the whole process. */
static void test_a_stop_ends_the_child(void **state)
{
    const time_t begin = time(NULL);
    const pid_t pid = fork();
    int status;

    (void) state;
    if (pid == 0)
    {
        signals_install();
        if (process_shell(&(ShellCommand){.text = "kill $PPID; exec sleep 600"}, &status, &error))
            _exit(1);
        _exit(strcmp(error.message, "terminated by signal 15") == 0 ? 0 : 2);
    }
    waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_true(time(NULL) - begin < 120);
}

static void test_a_limit_ends_the_child(void **state)
{
    int status;

    (void) state;
    assert_false(process_shell(&(ShellCommand){.text = "sleep 600; true", .limit_seconds = 1}, &status, &error));
    assert_string_equal(error.message, "command did not end within 1 s");
    assert_true(WIFSIGNALED(status));
    assert_true(process_shell(&(ShellCommand){.text = "true", .limit_seconds = 600}, &status, &error));
    assert_false(process_shell(&(ShellCommand){.text = "trap '' TERM; sleep 600; sleep 600", .limit_seconds = 1}, &status, &error));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

/* A server gets what it is given, and we keep ours. */
static void test_surroundings_of_a_server(void **state)
{
    static const char *const environment[] = {"GIVEN=a b", "PGPORT=1", NULL};
    const ServerSurroundings bare = {0};
    struct rlimit limits[RLIM_NLIMITS], before, after;
    const ServerSurroundings server = {.limits = limits};
    int status;

    (void) state;
    for (int i = 0; i < RLIM_NLIMITS; i++)
        getrlimit((__rlimit_resource_t) i, &limits[i]);
    getrlimit(RLIMIT_NOFILE, &before);
    limits[RLIMIT_NOFILE].rlim_cur = 57;
    setenv("OURS", "1", 1);
    setenv("PGPORT", "2", 1);
    assert_true(process_shell(&(ShellCommand){.text = "test \"$GIVEN$PGPORT$OURS\" = 'a b1' && test $(ulimit -S -n) = 57", .environment = environment, .server = &server}, &status, &error));
    assert_int_equal(status, 0);
    getrlimit(RLIMIT_NOFILE, &after);
    assert_int_equal(after.rlim_cur, before.rlim_cur);
    /* Its session is its own: field 6 of stat, see proc(5). */
    assert_true(process_shell(&(ShellCommand){.text = "test \"$PGPORT$OURS\" = 1 && read -r line </proc/$$/stat && set -- $line && test $6 = $$", .server = &bare}, &status, &error));
    assert_int_equal(status, 0);
    assert_true(process_shell(&(ShellCommand){.text = "test \"$PGPORT$OURS\" = 21"}, &status, &error));
    assert_int_equal(status, 0);
    assert_true(process_shell(&(ShellCommand){.text = "test \"$GIVEN$PGPORT$OURS\" = 'a b1'", .environment = environment}, &status, &error));
    assert_int_equal(status, 0);
    unsetenv("PGPORT");
}

static void test_own_directory(void **state)
{
    AUTO_BUFFER Buffer directory = {0};
    AUTO_BUFFER Buffer path = {0};

    (void) state;
    assert_true(process_own_directory(&directory, NULL, &error));
    path_in(&path, buffer_string(&directory), "test_process");
    assert_int_equal(access(buffer_string(&path), X_OK), 0);
}

/* As the wrapper of the portable directory hands it on (packages/portable_start.c). */
static void test_what_the_wrapper_kept_is_put_back(void **state)
{
    const char *const arguments[] = {"/bin/sh", "-c", "echo \"$HIDDEN $PLAIN $GCONV_PATH\"", NULL};
    AUTO_BUFFER Buffer output = {0};
    int status;

    (void) state;
    setenv(PROCESS_KEPT_PREFIX "HIDDEN", "a=b", 1);
    setenv("PLAIN", PROCESS_KEPT_PREFIX, 1);
    process_begin();
    assert_string_equal(getenv("HIDDEN"), "a=b");
    assert_null(getenv(PROCESS_KEPT_PREFIX "HIDDEN"));
    assert_true(process_run(arguments, false, &output, &status, &error));
    assert_string_equal(buffer_string(&output), "a=b " PROCESS_KEPT_PREFIX " \n");
    unsetenv("HIDDEN");
    unsetenv("PLAIN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_is_collected),
        cmocka_unit_test(test_stdin_is_empty_and_descriptors_are_not_inherited),
        cmocka_unit_test(test_a_program_that_is_not_there),
        cmocka_unit_test(test_output_has_a_limit),
        cmocka_unit_test(test_a_shell_writes_to_stderr),
        cmocka_unit_test(test_how_it_ended_is_described),
        cmocka_unit_test(test_what_we_ignore_is_not_ignored_in_a_child),
        cmocka_unit_test(test_a_stop_ends_the_child),
        cmocka_unit_test(test_a_limit_ends_the_child),
        cmocka_unit_test(test_surroundings_of_a_server),
        cmocka_unit_test(test_own_directory),
        cmocka_unit_test(test_what_the_wrapper_kept_is_put_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
