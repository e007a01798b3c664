/* Rule I1. */
/*
 * A rewind that is killed at any instant, or whose calls fail at any instant, ends after the next
 * run like an undisturbed one; before the commit nothing has changed. (Invariants 1, 2, 3, 4, 5.)
 */
#include "rewind.h"

#include "../../faults/faults.h"

#include <signal.h>
#include <sys/mman.h>

static char before[SNAPSHOT_SIZE]; /* snapshot before a run, as a server sees the target */
static char after[SNAPSHOT_SIZE];  /* snapshot of everything after an undisturbed run */
static uint64_t *calls; /* calls that change something, in the last child that was not killed */

static pid_t start_child(const char *fault)
{
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0)
    {
        int status;

        if (fault != NULL)
            dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        faults_set(fault);
        status = run_rewind();
        *calls = faults_count();
        _exit(status);
    }
    return pid;
}

/* In a child, with a fault ("kill:17") or NULL: its exit status, or minus the signal. */
static int run_in_child(const char *fault)
{
    return wait_for(start_child(fault));
}

static void test_undisturbed(void **state)
{
    (void) state;
    reset_target();
    assert_int_equal(run_in_child(NULL), 0);

    assert_int_equal(block_letter("target/global/pg_control", 0), 'n');
    assert_int_equal(block_letter("target/base/5/1000", 2), 'c');
    assert_int_equal(block_letter("target/base/5/1000", 3), 'D');
    assert_int_equal(block_letter("target/base/5/1000", 7), 'H');
    assert_int_equal(block_letter("target/base/5/1001", 1), 'b');
    assert_int_equal(block_letter("target/base/5/1001", 2), 'C');
    assert_int_equal(block_letter("target/base/5/1001", 299), 'A' + 299 % 20);
    assert_int_equal(size_of("target/base/5/1001"), 300 * BLOCK);
    assert_int_equal(size_of("target/base/5/1002"), 5 * BLOCK);
    assert_int_equal(block_letter("target/base/5/1002", 1), 'B');
    assert_int_equal(size_of("target/base/5/1003"), -1);
    assert_int_equal(size_of("target/base/5/1005"), 0);
    assert_int_equal(size_of("target/base/5/1009_fsm"), -1);
    assert_int_equal(size_of("target/base/5/1010"), 3 * BLOCK);
    assert_int_equal(block_letter("target/base/5/1010", 0), 'A');
    assert_int_equal(block_letter("target/base/5/1010", 1), 'b');
    assert_int_equal(size_of("target/base/5/1011"), -1);
    assert_int_equal(block_letter("target/base/5/1012", 2), 'C');
    assert_int_equal(size_of("target/base/6"), -1);
    assert_int_equal(size_of("target/base/8/1"), -1);
    assert_int_equal(size_of("target/base/8/server.log"), 5);
    assert_int_equal(size_of("target/pg_wal/000000010000000000000002"), -1);
    assert_int_equal(size_of("target/pg_wal/000000010000000000000003"), SEGMENT);
    assert_int_equal(block_letter("target/pg_wal/000000010000000000000003", 64), 'A' + 64 % 20);
    assert_int_equal(block_letter("target/pg_wal/000000010000000000000003", 65), 0);
    assert_int_equal(size_of("target/pg_wal/archive_status/000000010000000000000003.done"), 0);
    assert_int_equal(size_of("target/postgresql.conf"), size_of("source/postgresql.conf"));
    assert_int_equal(size_of("target/postmaster.pid"), -1);
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    shell("cmp -s source/base/5/1004 target/base/5/1004");
    shell("cmp -s source/base/5/1006 target/base/5/1006");
    shell("cmp -s source/base/5/1008_vm target/base/5/1008_vm");
    shell("cmp -s source/pg_wal/000000010000000000000003 target/pg_wal/000000010000000000000004");
    shell("cmp -s source_location/PG_15/5/1 target/pg_tblspc/16401/PG_15/5/1");
    shell("test \"$(cat target/standby.signal)\" = new");
    shell("test \"$(cat target/backup_label)\" = 'the real label'");
    shell("test \"$(stat -c %%a target/base/5/1004)\" = 640");
    shell("test ! -L target/pg_tblspc/16400 && test -z \"$(ls old_location)\"");
    shell("test \"$(ls -A %s/location)\" = PG_15", fixture.space_directory);
}

/* Done twice is harmless. */
static void test_second_run(void **state)
{
    char again[SNAPSHOT_SIZE];

    (void) state;
    take_snapshot(false, after);
    assert_int_equal(run_in_child(NULL), 0);
    take_snapshot(false, again);
    assert_string_equal(again, after);
}

static void lose_pid_file(void)
{
    unlink("target/postmaster.pid");
}

/*
 * `happens` after the last check before the commit, and the next sees it. The target is as it was,
 * but for that; with its own backup_label, or without.
 */
static void check_taken_back(void (*happens)(void), bool has_label)
{
    pid_t pid;
    int status;

    reset_target();
    if (has_label)
        put_text("target/backup_label", "the target's own\n");
    pid = start_child("stop:rename@target/" BACKUP_LABEL_PATH);
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
    happens();
    assert_int_equal(kill(pid, SIGCONT), 0);
    assert_int_equal(wait_for(pid), 1);
    if (has_label)
        shell("test \"$(cat target/backup_label)\" = \"the target's own\"");
    else
        assert_int_equal(size_of("target/backup_label"), -1);
    assert_int_equal(block_letter("target/base/5/1000", 3), 'd');
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    shell("test ! -e %s/location", fixture.space_directory);
}

/* A server may have come between the checks and the rename: the commit is taken back.
 * (Invariant 1.) */
static void test_commit_taken_back(void **state)
{
    (void) state;
    check_taken_back(lose_pid_file, true);
    check_taken_back(lose_pid_file, false);
    check_taken_back(put_server_control, true);
}

/* No commit is made if pg_control has changed since the plan. */
static void test_control_changed(void **state)
{
    (void) state;
    reset_target();
    put_server_control();
    assert_int_equal(run_in_child(NULL), 1);
    assert_int_equal(size_of("target/backup_label"), -1);
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    check_server_control();
}

/* The new tablespace's directory is another cluster's: refused, and not touched. */
static void test_location_taken(void **state)
{
    (void) state;
    reset_target();
    shell("mkdir -p %s/location/PG_15/5", fixture.space_directory);
    assert_int_equal(run_in_child(NULL), 1);
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    shell("test -d %s/location/PG_15/5", fixture.space_directory);
    take_snapshot(true, after);
    assert_string_equal(after, before);
}

/* A tablespace takes over the directory of one that goes; both hold a file of the same name. */
static void test_location_taken_over(void **state)
{
    (void) state;
    reset_target();
    shell("ln -s %s/old_location %s/location", fixture.directory, fixture.space_directory);
    assert_int_equal(run_in_child(NULL), 0);
    shell("cmp -s source_location/PG_15/5/1 target/pg_tblspc/16401/PG_15/5/1");
    assert_int_equal(run_in_child(NULL), 0);
    shell("cmp -s source_location/PG_15/5/1 target/pg_tblspc/16401/PG_15/5/1");
    shell("rm %s/location", fixture.space_directory);
}

/* True if the target's files show a commit. apply_pending is under test, so it is not asked. */
static bool is_committed(void)
{
    return size_of("target/backup_label") >= 0 ||
           block_letter("target/global/pg_control", 0) != 'o';
}

/* pg_control is whole, and one of three. (Invariant 4.) */
static void check_control(void)
{
    const int letter = block_letter("target/global/pg_control", 0);

    assert_int_equal(size_of("target/global/pg_control"), CONTROL_FILE_SIZE);
    assert_true(letter == 'o' || letter == 'p' || letter == 'n');
}

/* Between commit and end a blocker or the poison is in place. (Invariant 5.) */
static void check_guarded(void)
{
    char changed[SNAPSHOT_SIZE];

    take_snapshot(true, changed);
    if (!is_committed())
        assert_string_equal(changed, before);
    else if (block_letter("target/global/pg_control", 0) == 'o')
        shell("grep -q %s target/backup_label", RUN_ID);
}

/* Number of calls of an undisturbed run; threads may order them differently each time. */
static int count_calls(void)
{
    reset_target();
    assert_int_equal(run_in_child(NULL), 0);
    take_snapshot(false, after);
    return (int) *calls;
}

/* Disturb one run and kill the next: the third must end in the state of an undisturbed run. */
static void disturb_at(const char *action, int number, const char *how)
{
    char snapshot[SNAPSHOT_SIZE];
    char fault[32];
    int status;

    reset_target();
    snprintf(fault, sizeof(fault), "%s:%d%s", action, number, how);
    status = run_in_child(fault);
    check_control();
    check_guarded();
    assert_true(status != 1 || !is_committed());
    assert_true(status != 2 || is_committed());
    if (status != 0)
    {
        snprintf(fault, sizeof(fault), "kill:%d", number % 41 + 1);
        (void) run_in_child(fault);
        check_control();
        check_guarded();
    }
    assert_int_equal(run_in_child(NULL), 0);
    take_snapshot(false, snapshot);
    assert_string_equal(snapshot, after);
}

static void disturb_everywhere(const char *action, const char *how, int step)
{
    const int count = count_calls();

    assert_true(count > 100);
    for (int number = 1; number <= count; number += step)
        disturb_at(action, number, how);
    print_message("%s%s: %d calls\n", action, how, count);
}

static void test_killed_anywhere(void **state)
{
    (void) state;
    disturb_everywhere("kill", "", 1);
}

static void test_failing_anywhere(void **state)
{
    (void) state;
    disturb_everywhere("fail", ":EIO", 3);
}

static void test_full_from_anywhere(void **state)
{
    (void) state;
    disturb_everywhere("fail", "+:ENOSPC", 7);
}

static int set_up(void **state)
{
    (void) state;
    calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(calls != MAP_FAILED);
    make_fixture();
    take_snapshot(true, before);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    remove_fixture();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_undisturbed),        cmocka_unit_test(test_second_run),
        cmocka_unit_test(test_commit_taken_back),  cmocka_unit_test(test_control_changed),
        cmocka_unit_test(test_location_taken),     cmocka_unit_test(test_location_taken_over),
        cmocka_unit_test(test_killed_anywhere),    cmocka_unit_test(test_failing_anywhere),
        cmocka_unit_test(test_full_from_anywhere),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
