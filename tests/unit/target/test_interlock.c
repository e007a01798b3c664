#include "target/interlock.h"
#include "target/pid_file.h"

#include "../source/directory.h"

#include <limits.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

static Error error;

/* A process that does nothing and has this name. */
static pid_t start_process(const char *name)
{
    int ends[2];
    char byte;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0)
    {
        prctl(PR_SET_NAME, name);
        if (write(ends[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

static void end_process(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* The pid of a process that has ended. */
static pid_t dead_pid(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
    return pid;
}

static Interlock *acquire(void)
{
    Interlock *interlock = NULL;

    assert_true(interlock_acquire(".", &interlock, &error));
    return interlock;
}

static void make_pid_file(long number, const char *rest)
{
    char text[PATH_MAX + 128];

    snprintf(text, sizeof(text), "%ld\n%s", number, rest);
    make_text("postmaster.pid", text);
}

static void check_nothing_beside(void)
{
    assert_false(exists("postmaster.pid.pg_rewind"));
    assert_false(exists("postmaster.pid.pg_rewind.server"));
}

/* Claim succeeds over what is there; a server's file is there again afterwards. */
static void check_claimed(void)
{
    char *before = exists("postmaster.pid") ? read_text("postmaster.pid") : NULL;
    Interlock *interlock = acquire();
    bool ours = false;

    if (!interlock_claim_pid_file(interlock, &error))
        fail_msg("%s", error.message);
    assert_true(interlock_still_ours(interlock, &ours, &error));
    assert_true(ours);
    interlock_release(interlock);
    if (before != NULL && strtol(before, NULL, 10) > 0)
    {
        char *after = read_text("postmaster.pid");

        assert_string_equal(before, after);
        free(after);
        assert_int_equal(unlink("postmaster.pid"), 0);
    }
    free(before);
    assert_false(exists("postmaster.pid"));
    check_nothing_beside();
}

/* Claim fails with this message and leaves what is there. */
static void check_refused(const char *message)
{
    Interlock *interlock = acquire();
    char *before = read_text("postmaster.pid");
    char *after;

    assert_false(interlock_claim_pid_file(interlock, &error));
    assert_non_null(strstr(error.message, message));
    interlock_release(interlock);
    after = read_text("postmaster.pid");
    assert_non_null(after);
    assert_string_equal(before, after);
    assert_false(exists("postmaster.pid.pg_rewind"));
    free(before);
    free(after);
}

static void test_acquiring_writes_nothing(void **state)
{
    struct stat before;
    struct stat after;

    (void) state;
    assert_int_equal(stat(".", &before), 0);
    interlock_release(acquire());
    assert_int_equal(stat(".", &after), 0);
    assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
}

static void test_a_second_pg_rewind_does_not_get_it(void **state)
{
    Interlock *interlock = acquire();
    int status;
    pid_t pid;

    (void) state;
    pid = fork();
    if (pid == 0)
    {
        Interlock *second = interlock;

        _exit(interlock_acquire(".", &second, &error) && second == NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    interlock_release(interlock);
    interlock_release(acquire());
}

/* A process that has ended, and whose parent has not asked how. */
static void test_a_zombie_is_no_server(void **state)
{
    bool found;
    long named;
    pid_t pid = fork();
    siginfo_t info;

    (void) state;
    if (pid == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT), 0);
    make_pid_file(pid, "/data\n4000000000\n");
    assert_true(pid_file_find_server(".", &found, &named, &error));
    assert_true(found);
    assert_int_equal(named, 0);
    waitpid(pid, NULL, 0);
}

static void test_a_server_that_is_stopping(void **state)
{
    (void) state;
    assert_false(pid_file_has_status(".", PID_FILE_STOPPING));
    make_pid_file(1, "/data\n1700000000\n5432\n/tmp\nlocalhost\n  5432001         0\nstopping\n");
    assert_true(pid_file_has_status(".", PID_FILE_STOPPING));
    make_pid_file(1, "/data\n1700000000\n5432\n/tmp\nlocalhost\n  5432001         0\nready   \n");
    assert_false(pid_file_has_status(".", PID_FILE_STOPPING));
    make_pid_file(1, "/data\n1700000000\n");
    assert_false(pid_file_has_status(".", PID_FILE_STOPPING));
}

static void test_a_killed_pg_rewind_leaves_no_lock(void **state)
{
    int ends[2];
    char byte;
    pid_t pid;
    char *text;
    char first[32];

    (void) state;
    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0)
    {
        Interlock *interlock = NULL;

        if (interlock_acquire(".", &interlock, &error) &&
            interlock_claim_pid_file(interlock, &error) && write(ends[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    end_process(pid);
    text = read_text("postmaster.pid");
    snprintf(first, sizeof(first), "-%ld\n", (long) pid);
    assert_memory_equal(text, first, strlen(first));
    free(text);
    close(ends[0]);
    close(ends[1]);
    check_claimed();
}

static void test_the_pid_file_is_a_standalone_backends(void **state)
{
    Interlock *interlock = acquire();
    char directory[PATH_SIZE];
    char expected[PATH_SIZE + 64];
    char *text;
    long long start_time;
    const char *line;

    (void) state;
    assert_true(interlock_claim_pid_file(interlock, &error));
    text = read_text("postmaster.pid");
    assert_non_null(getcwd(directory, sizeof(directory)));
    snprintf(expected, sizeof(expected), "-%ld\n%s\n", (long) getpid(), directory);
    assert_memory_equal(text, expected, strlen(expected));
    start_time = strtoll(text + strlen(expected), NULL, 10);
    assert_true(start_time > (long long) time(NULL) - 100 &&
                start_time <= (long long) time(NULL) + 2);
    line = strchr(text + strlen(expected), '\n');
    assert_string_equal(line, "\n5432\n\n\n\n");
    free(text);
    interlock_release(interlock);
}

static void test_stale_files_are_replaced(void **state)
{
    static const char rest[] = "/data\n1700000000\n5432\n/tmp\nlocalhost\n  5432001    123456\n";

    (void) state;
    check_claimed();
    make_pid_file(dead_pid(), rest);
    check_claimed();
    make_pid_file(-dead_pid(), rest);
    check_claimed();
    make_pid_file(0, "pg_rewind was interrupted here\n");
    check_claimed();
    make_pid_file(getpid(), rest);
    check_claimed();
    make_pid_file(getppid(), rest);
    check_claimed();
}

/* A server's pid file is kept until the commit, even by a run that is killed. */
static void test_a_servers_file_is_kept(void **state)
{
    Interlock *interlock = acquire();
    struct stat before, after;

    (void) state;
    make_pid_file(dead_pid(), "/data\n1700000000\n");
    assert_int_equal(stat("postmaster.pid", &before), 0);
    assert_true(interlock_claim_pid_file(interlock, &error));
    assert_true(exists("postmaster.pid.pg_rewind.server"));

    /* After a kill, the next run puts the server's file back in its place. */
    assert_true(interlock_remove_leftover(interlock, &error));
    assert_int_equal(stat("postmaster.pid", &after), 0);
    assert_true(before.st_ino == after.st_ino);
    check_nothing_beside();

    /* A server that came since, or came and went, has the last word. */
    assert_true(interlock_claim_pid_file(interlock, &error));
    make_pid_file(dead_pid(), "/data\n1800000000\n");
    assert_true(interlock_remove_leftover(interlock, &error));
    check_nothing_beside();
    make_text("postmaster.pid.pg_rewind.server", "1\n");
    assert_int_equal(unlink("postmaster.pid"), 0);
    assert_true(interlock_remove_leftover(interlock, &error));
    check_nothing_beside();
    assert_false(exists("postmaster.pid"));

    /* Killed before its own file was there, of which it had the text already. */
    make_text("postmaster.pid.pg_rewind.server", "1\n");
    make_text("postmaster.pid.pg_rewind", "-1\n");
    assert_true(interlock_remove_leftover(interlock, &error));
    check_nothing_beside();
    assert_int_equal(unlink("postmaster.pid"), 0);

    /* From the commit on it is gone. */
    make_pid_file(dead_pid(), "/data\n1700000000\n");
    assert_true(interlock_claim_pid_file(interlock, &error));
    assert_true(interlock_show_interrupted(interlock, &error));
    assert_true(interlock_restore_pid_file(interlock, &error));
    interlock_release(interlock);
    assert_false(exists("postmaster.pid"));
    check_nothing_beside();
}

/* A copy keeps the time at which the server started, but was made later. */
static void test_whose_pid_file_it_is(void **state)
{
    char directory[PATH_MAX], lines[PATH_MAX + 64];

    (void) state;
    assert_false(pid_file_is_original("."));
    assert_non_null(getcwd(directory, sizeof(directory)));
    snprintf(lines, sizeof(lines), "%s\n%lld\n", directory, (long long) time(NULL));
    make_pid_file(dead_pid(), lines);
    assert_true(pid_file_is_original("."));
    assert_int_equal(unlink("postmaster.pid"), 0);
    snprintf(lines, sizeof(lines), "%s\n%lld\n", directory, (long long) time(NULL) - 60);
    make_pid_file(dead_pid(), lines);
    assert_false(pid_file_is_original("."));
    snprintf(lines, sizeof(lines), "/data\n%lld\n", (long long) time(NULL));
    make_pid_file(dead_pid(), lines);
    assert_false(pid_file_is_original("."));
}

static void test_live_processes_are_respected(void **state)
{
    pid_t server = start_process("postgres");
    pid_t other = start_process("other");
    char lines[64], here[PATH_MAX];
    bool found;
    long pid;
    pid_t elsewhere;

    (void) state;
    assert_non_null(getcwd(here, sizeof(here)));
    snprintf(lines, sizeof(lines), "/data\n%lld\n", (long long) time(NULL));
    make_pid_file(server, lines);
    check_refused("already exists");
    make_pid_file(other, lines);
    check_refused("already exists");
    /* Whatever the clock said when the file was written: a server works in its directory. */
    make_pid_file(server, "/data\n1700000000\n");
    check_refused("already exists");

    snprintf(lines, sizeof(lines), "/data\n%lld\n5432\n\n\n\n", (long long) time(NULL));
    make_pid_file(-server, lines);
    check_refused("already exists");
    assert_true(pid_file_find_server(".", &found, &pid, &error));
    assert_true(found);
    assert_int_equal(pid, server);
    make_pid_file(-other, "/data\n1700000000\n5432\n\n\n  5432001    123456\n");
    check_refused("already exists");

    /* They began after the file was written: they only got the number. */
    assert_int_equal(chdir("/"), 0);
    elsewhere = start_process("postgres");
    assert_int_equal(chdir(here), 0);
    make_pid_file(elsewhere, "/data\n1700000000\n");
    assert_true(pid_file_find_server(".", &found, &pid, &error));
    assert_true(found && pid == 0);
    check_claimed();
    end_process(elsewhere);
    make_pid_file(1, "/data\n1000000000\n"); /* process 1 is usually another user's */
    assert_true(pid_file_find_server(".", &found, &pid, &error));
    assert_true(found && pid == 0);
    make_pid_file(-server, "/data\n1700000000\n5432\n\n\n\n");
    assert_true(pid_file_find_server(".", &found, &pid, &error));
    assert_true(found && pid == 0);
    check_claimed();

    /* No backend's name and no shared memory key: a pg_rewind that was killed, its number in use
     * again. */
    make_pid_file(-other, "/data\n1700000000\n5432\n\n\n\n");
    assert_true(pid_file_find_server(".", &found, &pid, &error));
    assert_true(found && pid == 0);
    check_claimed();
    end_process(server);
    end_process(other);
}

static void test_files_that_say_nothing_are_errors(void **state)
{
    (void) state;
    make_text("postmaster.pid", "");
    check_refused("is empty");
    make_text("postmaster.pid", "do not start\n");
    check_refused("bogus data in lock file");
    make_text("postmaster.pid", "99999999999999999999\n");
    check_refused("bogus data in lock file");
}

/* Write the file of another process over what is there; it is not ours then, and stays. */
static void check_file_of_another_stays(Interlock *interlock)
{
    bool ours = true;

    make_pid_file(12345, "/data\n");
    assert_true(interlock_still_ours(interlock, &ours, &error));
    assert_false(ours);
    interlock_release(interlock);
    assert_true(exists("postmaster.pid"));
}

static void test_a_foreign_file_is_noticed_and_left(void **state)
{
    Interlock *interlock = acquire();
    bool ours = true;

    (void) state;
    assert_true(interlock_claim_pid_file(interlock, &error));
    assert_int_equal(unlink("postmaster.pid"), 0);
    assert_true(interlock_still_ours(interlock, &ours, &error));
    assert_false(ours);
    check_file_of_another_stays(interlock);
}

static void test_the_same_file_with_other_content_is_not_ours(void **state)
{
    Interlock *interlock = acquire();

    (void) state;
    assert_true(interlock_claim_pid_file(interlock, &error));
    check_file_of_another_stays(interlock); /* in place */
}

static void test_an_interrupted_run_stays_visible(void **state)
{
    Interlock *interlock = acquire();
    char *text;
    bool ours;

    (void) state;
    assert_true(interlock_claim_pid_file(interlock, &error));
    assert_true(interlock_show_interrupted(interlock, &error));
    assert_true(interlock_still_ours(interlock, &ours, &error));
    assert_true(ours);
    interlock_release(interlock);

    text = read_text("postmaster.pid");
    assert_non_null(text);
    assert_memory_equal(
        text, "-2147483648\npg_rewind was interrupted here: run the same pg_rewind command again",
        79);
    assert_true(strlen(text) < 1024);
    free(text);
    check_claimed();
}

static void test_the_negative_pid_comes_back(void **state)
{
    Interlock *interlock = acquire();
    char *text;
    bool ours;

    (void) state;
    assert_true(interlock_claim_pid_file(interlock, &error));
    assert_true(interlock_show_interrupted(interlock, &error));
    assert_true(interlock_restore_pid_file(interlock, &error));
    text = read_text("postmaster.pid");
    assert_int_equal(text[0], '-');
    free(text);
    assert_true(interlock_still_ours(interlock, &ours, &error));
    assert_true(ours);
    interlock_release(interlock);
    assert_false(exists("postmaster.pid"));
}

static void test_a_missing_directory_is_an_error(void **state)
{
    Interlock *interlock;

    (void) state;
    assert_false(interlock_acquire("missing", &interlock, &error));
    interlock_release(NULL);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_acquiring_writes_nothing),
        TEST(test_a_second_pg_rewind_does_not_get_it),
        TEST(test_a_killed_pg_rewind_leaves_no_lock),
        TEST(test_a_zombie_is_no_server),
        TEST(test_a_server_that_is_stopping),
        TEST(test_the_pid_file_is_a_standalone_backends),
        TEST(test_stale_files_are_replaced),
        TEST(test_a_servers_file_is_kept),
        TEST(test_whose_pid_file_it_is),
        TEST(test_live_processes_are_respected),
        TEST(test_files_that_say_nothing_are_errors),
        TEST(test_a_foreign_file_is_noticed_and_left),
        TEST(test_the_same_file_with_other_content_is_not_ours),
        TEST(test_an_interrupted_run_stays_visible),
        TEST(test_the_negative_pid_comes_back),
        TEST(test_a_missing_directory_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
