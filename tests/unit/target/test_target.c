#include "target/target.h"
#include "source/directory.h"
#include "target/pid_file.h"

#include "../source/directory.h"

#include <limits.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

static Error error;
static Arena *arena;

static int setup(void **state)
{
    arena = arena_create();
    return enter_directory(state);
}

static int teardown(void **state)
{
    arena_destroy(arena);
    return leave_directory(state);
}

/* Make a data directory ./data, open it as the target and read it. */
static Target *make_target(const Version *version)
{
    Target *target = arena_allocate(arena, sizeof(*target));

    make_data_directory("data", version, CONTROL_IN_PRODUCTION);
    assert_true(target_open(arena, "data", target, &error));
    if (!target_read(target, &error))
        fail_msg("%s", error.message);
    return target;
}

static void test_modes_follow_the_directory(void **state)
{
    static const char *const spellings[] = {"data", "data//", "./data/.", "link", "link/"};
    char canonical[PATH_MAX];
    Target target;

    (void) state;
    assert_int_equal(mkdir("data", 0700), 0);
    /* Every spelling of the directory's path leads to its canonical path. */
    assert_non_null(realpath("data", canonical));
    assert_int_equal(symlink("data", "link"), 0);
    for (size_t i = 0; i < sizeof(spellings) / sizeof(spellings[0]); i++)
    {
        assert_true(target_open(arena, spellings[i], &target, &error));
        assert_string_equal(target.directory, canonical);
    }
    assert_false(target.group_access);
    assert_int_equal(file_mode(), 0600);
    assert_int_equal(umask(0), 0077);

    assert_int_equal(chmod("data", 0750), 0);
    assert_true(target_open(arena, "data", &target, &error));
    assert_true(target.group_access);
    assert_int_equal(file_mode(), 0640);
    assert_int_equal(umask(0), 0027);

    assert_false(target_open(arena, "missing", &target, &error));
    assert_string_equal(error.message, "could not read permissions of directory \"missing\": "
                                       "No such file or directory");
    make_text("file", "");
    assert_false(target_open(arena, "file", &target, &error));
}

static void test_every_version_is_read(void **state)
{
    const Version *version;

    (void) state;
    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const Target *target = make_target(version);

        assert_ptr_equal(target->control.version, version);
        assert_int_equal(target->control.state,
                         version->number < 1000 ? STATE_SHUTDOWNED : STATE_IN_PRODUCTION);
        assert_false(target->has_backup_label);
    }
}

static void test_backup_label_is_read(void **state)
{
    Target *target = make_target(version_of_major(15));

    (void) state;
    make_text("data/backup_label", "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
                                   "CHECKPOINT LOCATION: 0/2000060\n"
                                   "BACKUP METHOD: streamed\n");
    assert_true(target_read(target, &error));
    assert_true(target->has_backup_label);
    assert_int_equal(target->label_redo, 0x2000028);
    assert_int_equal(target->label_checkpoint, 0x2000060);
    assert_true(target->label_of_base_backup);

    make_text("data/backup_label", "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n"
                                   "CHECKPOINT LOCATION: 0/2000060\n"
                                   "BACKUP METHOD: pg_rewind\n");
    assert_true(target_read(target, &error));
    assert_true(target->has_backup_label);
    assert_false(target->label_of_base_backup);

    make_text("data/backup_label", "something else\n");
    assert_true(target_read(target, &error));
    assert_false(target->has_backup_label);
}

static void test_mixed_up_versions_are_refused(void **state)
{
    Target *target = make_target(version_of_major(15));

    (void) state;
    make_text("data/PG_VERSION", "14\n");
    assert_false(target_read(target, &error));
    assert_string_equal(error.detail, "PG_VERSION contains \"14\", pg_control is of version 15.");
    make_text("data/PG_VERSION", "");
    assert_false(target_read(target, &error));
    assert_int_equal(unlink("data/PG_VERSION"), 0);
    assert_false(target_read(target, &error));
    assert_non_null(strstr(error.message, "PG_VERSION\": No such file"));
}

static void test_a_damaged_control_file_is_refused(void **state)
{
    Target *target = make_target(version_of_major(15));

    (void) state;
    make_text("data/global/pg_control", "short");
    assert_false(target_read(target, &error));
    assert_non_null(strstr(error.message, "unexpected control file size 5, expected 8192"));
    assert_int_equal(unlink("data/global/pg_control"), 0);
    assert_false(target_read(target, &error));
    assert_non_null(strstr(error.message, "data/global/pg_control"));
}

static void test_a_running_server_is_seen(void **state)
{
    Target *target = make_target(version_of_major(15));
    long pid;
    pid_t server;
    char text[64];

    (void) state;
    assert_true(pid_file_find_server(target->directory, NULL, &pid, &error));
    assert_int_equal(pid, 0);
    server = fork();
    if (server == 0)
    {
        pause();
        _exit(0);
    }
    snprintf(text, sizeof(text), "%d\n/data\n%lld\n", (int) server, (long long) time(NULL));
    make_text("data/postmaster.pid", text);
    assert_true(pid_file_find_server(target->directory, NULL, &pid, &error));
    assert_int_equal(pid, server);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    make_text("data/postmaster.pid", "-2147483648\npg_rewind was interrupted here\n");
    assert_true(pid_file_find_server(target->directory, NULL, &pid, &error));
    assert_int_equal(pid, 0);
    make_text("data/postmaster.pid", "0\n"); /* left by an earlier version of pg_rewind */
    assert_true(pid_file_find_server(target->directory, NULL, &pid, &error));
    assert_int_equal(pid, 0);
}

/* A program that pretends to be postgres of that version and prints its arguments when asked for a
 * setting. */
static void make_program(const char *directory, const char *version)
{
    char path[PATH_SIZE];
    char text[512];

    snprintf(path, sizeof(path), "%s/postgres", directory);
    snprintf(text, sizeof(text),
             "#!/bin/sh\n"
             "if [ \"$1\" = -V ]; then echo 'postgres (PostgreSQL) %s'; exit 0; fi\n"
             "echo \"$@\"\n"
             "echo more\n"
             "test ! -e fail\n",
             version);
    make_text(path, text);
    assert_int_equal(chmod(path, 0755), 0);
}

static void test_the_program_is_asked(void **state)
{
    Target *target = make_target(version_of_major(15));
    char *command;

    (void) state;
    make_program("bin", "15.1 (Debian 15.1-1)");
    assert_true(
        target_restore_command(arena, target, &(Options){.bindir = "bin"}, &command, &error));
    assert_string_equal(command,
                        arena_printf(arena, "-D %s -C restore_command", target->directory));
    target->config_file = "/etc/pg.conf";
    assert_true(
        target_restore_command(arena, target, &(Options){.bindir = "bin"}, &command, &error));
    assert_string_equal(command,
                        arena_printf(arena, "-D %s -C restore_command -c config_file=/etc/pg.conf",
                                     target->directory));

    make_text("fail", "");
    assert_false(
        target_restore_command(arena, target, &(Options){.bindir = "bin"}, &command, &error));
    assert_string_equal(error.message, "could not read \"restore_command\" from target cluster");
}

static void test_the_program_is_found_in_path(void **state)
{
    const Target *target = make_target(version_of_major(15));
    char *command;
    char path[PATH_SIZE + 64];
    char old[PATH_SIZE];

    (void) state;
    make_program("wrong", "14.9");
    make_program("also_wrong", "150.1");
    make_program("right", "15beta1");
    snprintf(old, sizeof(old), "%s", getenv("PATH"));
    snprintf(path, sizeof(path), "wrong::missing:also_wrong:right:%s", old);
    setenv("PATH", path, 1);
    assert_true(
        target_restore_command(arena, target, &(Options){.bindir = NULL}, &command, &error));
    setenv("PATH", old, 1);
    assert_string_equal(command,
                        arena_printf(arena, "-D %s -C restore_command", target->directory));

    assert_false(
        target_restore_command(arena, target, &(Options){.bindir = "wrong"}, &command, &error));
    assert_string_equal(error.message,
                        "no program \"postgres\" of version 15 was found in directory \"wrong\"");
}

static void test_recovery_conf_of_old_versions(void **state)
{
    const Target *target = make_target(version_of_major(11));
    char *command;

    (void) state;
    assert_false(
        target_restore_command(arena, target, &(Options){.bindir = NULL}, &command, &error));
    assert_string_equal(error.message, "\"restore_command\" is not set in the target cluster");
    make_text("data/recovery.done", "restore_command = 'cp /old/%f %p'\n");
    assert_true(
        target_restore_command(arena, target, &(Options){.bindir = NULL}, &command, &error));
    assert_string_equal(command, "cp /old/%f %p");
    make_text("data/recovery.conf", "standby_mode = on\nrestore_command = 'cp ''/a b/%f'' %p'\n");
    assert_true(
        target_restore_command(arena, target, &(Options){.bindir = NULL}, &command, &error));
    assert_string_equal(command, "cp '/a b/%f' %p");
    make_text("data/recovery.conf", "standby_mode = on\n"); /* recovery.done may be the source's */
    assert_false(
        target_restore_command(arena, target, &(Options){.bindir = NULL}, &command, &error));
    make_text("data/recovery.conf", "include 'more.conf'\n");
    make_text("data/more.conf", "restore_command = 'included %f'\n");
    assert_true(
        target_restore_command(arena, target, &(Options){.bindir = NULL}, &command, &error));
    assert_string_equal(command, "included %f");
}

static bool collect(void *context, const VisitedFile *file, Error *unused)
{
    Buffer *text = context;

    (void) unused;
    buffer_printf(text, "%c %s", "fdlo"[file->type], file -> path);
    if (file->type == FILE_REGULAR)
        buffer_printf(text, " %llu", (unsigned long long) file->size);
    if (file->link_target != NULL)
        buffer_printf(text, " -> %s", file->link_target);
    buffer_append_u8(text, '\n');
    return true;
}

static void test_the_walk_follows_the_servers_links_only(void **state)
{
    static const char *const expected[] = {
        "d base\n",
        "f base/1 3\n",
        "f PG_VERSION 3\n",
        "d pg_wal\n",
        "f pg_wal/000000010000000000000001 2\n",
        "l pg_tblspc/16384 -> ../../space\n",
        "f pg_tblspc/16384/PG_15/2 1\n",
        "d pg_tblspc/16385\n",
        "f pg_tblspc/16385/3 0\n",
        "l pg_tblspc/16386 -> /nowhere\n",
        "l pg_tblspc/other -> ../../space\n",
        "l log -> ../logs\n",
        "l dangling -> nowhere\n",
        "o fifo\n",
    };
    Buffer list = {0};
    const Target *target = make_target(version_of_major(15));

    (void) state;
    make_text("data/base/1", "abc");
    make_text("wal/000000010000000000000001", "ab");
    make_text("space/PG_15/2", "a");
    make_text("data/pg_tblspc/16385/3", "");
    make_text("logs/log", "abc");
    assert_int_equal(symlink("../wal", "data/pg_wal"), 0);
    assert_int_equal(symlink("../../space", "data/pg_tblspc/16384"), 0);
    assert_int_equal(symlink("/nowhere", "data/pg_tblspc/16386"), 0);
    assert_int_equal(symlink("../../space", "data/pg_tblspc/other"), 0);
    assert_int_equal(symlink("../logs", "data/log"), 0);
    assert_int_equal(symlink("nowhere", "data/dangling"), 0);
    assert_int_equal(mkfifo("data/fifo", 0600), 0);

    assert_true(data_directory_list(target->directory, target->control.version, true, collect,
                                    &list, &error));
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++)
        if (strstr(buffer_string(&list), expected[i]) == NULL)
            fail_msg("not listed: %s", expected[i]);
    assert_null(strstr(buffer_string(&list), "log/"));
    assert_null(strstr(buffer_string(&list), "other/"));
    buffer_free(&list);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

static void set_time(const char *path, int64_t seconds, long nanoseconds)
{
    const struct timespec time = {.tv_sec = seconds, .tv_nsec = nanoseconds};
    const struct timespec times[] = {time, time};

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static WalShape shape_of(const Target *target)
{
    return (WalShape){.version = target->control.version,
                      .segment_size = target->control.wal_segment_size,
                      .block_size = target->control.wal_block_size};
}

/* initdb, start, stop: all within a second or two. */
static void test_a_cluster_made_a_moment_before_its_stop(void **state)
{
    Target *target = make_target(version_of_major(15));
    const WalShape shape = shape_of(target);
    const int64_t stopped = target->control.checkpoint.time;
    char segment[PATH_SIZE] = "data/pg_wal/";
    bool rewritten, written;

    (void) state;
    target->control.state = STATE_SHUTDOWNED;
    wal_segment_name(&shape, target->control.checkpoint.timeline,
                     wal_segment_of(&shape, target->control.checkpoint_lsn),
                     segment + strlen(segment));
    make_text(segment, "x");
    make_text("data/base/1/1259", "x");
    set_time(segment, stopped + 1, 500 * 1000 * 1000);
    set_time("data/base/1/1259", stopped + 1, 400 * 1000 * 1000);
    /* Not even at a look at every file: pg_control was written later. */
    set_time("data/global/pg_control", stopped + 9, 0);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_false(rewritten);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_SOME, &written, &error));
    assert_false(written);
    set_time("data/base/1/1259", stopped + 1, 600 * 1000 * 1000);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_true(rewritten);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_SOME, &written, &error));
    assert_true(written);
    set_time("data/global/pg_control", stopped + 1, 504 * 1000 * 1000);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_false(rewritten);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_SOME, &written, &error));
    assert_false(written);
}

static void test_files_that_are_all_newer_than_the_checkpoint(void **state)
{
    Target *target = make_target(version_of_major(15));
    const WalShape shape = shape_of(target);
    const int64_t stopped = target->control.checkpoint.time;
    bool rewritten = true;

    (void) state;
    target->control.state = STATE_SHUTDOWNED;
    assert_false(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error) &&
                 rewritten);
    make_text("data/base/1/1259", "x");
    make_text("data/base/1/PG_VERSION", "15\n");
    make_text("data/base/1/1260", "");
    make_text("data/base/5/1259", "x");
    make_text("data/base/5/1259_fsm", "x");
    for (size_t i = 0; i < 2; i++)
        set_time(i == 0 ? "data/base/1/PG_VERSION" : "data/base/1/1260", stopped - 100, 0);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_true(rewritten);
    target->control.state = STATE_SHUTDOWNED_IN_RECOVERY;
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_false(rewritten);
    target->control.state = STATE_SHUTDOWNED_IN_CRASH_RECOVERY;
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_true(rewritten);
    /* pg_checksums, and after that a start that failed */
    target->control.state = STATE_IN_CRASH_RECOVERY;
    target->control.min_recovery_point = LSN_INVALID;
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_true(rewritten);
    target->control.min_recovery_point = 1;
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_false(rewritten);
    target->control.state = STATE_IN_PRODUCTION;
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_false(rewritten);
    target->control.state = STATE_SHUTDOWNED;
    set_time("data/base/5/1259", stopped, 0);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_true(rewritten);
    /* Pages that were never used are not written. */
    make_text("data/base/5/1260_fsm", "");
    assert_int_equal(truncate("data/base/5/1260_fsm", 8192), 0);
    set_time("data/base/5/1260_fsm", stopped - 1, 0);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_true(rewritten);
    set_time("data/base/5/1259_fsm", stopped - 1, 0);
    assert_true(target_written_since_stop(target, &shape, WRITES_OF_ALL, &rewritten, &error));
    assert_false(rewritten);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_modes_follow_the_directory),
        TEST(test_a_cluster_made_a_moment_before_its_stop),
        TEST(test_files_that_are_all_newer_than_the_checkpoint),
        TEST(test_every_version_is_read),
        TEST(test_backup_label_is_read),
        TEST(test_mixed_up_versions_are_refused),
        TEST(test_a_damaged_control_file_is_refused),
        TEST(test_a_running_server_is_seen),
        TEST(test_the_program_is_asked),
        TEST(test_the_program_is_found_in_path),
        TEST(test_recovery_conf_of_old_versions),
        TEST(test_the_walk_follows_the_servers_links_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
