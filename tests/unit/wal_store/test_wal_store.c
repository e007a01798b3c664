/* Rule C61. */
#include "wal_store/wal_store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/dir.h"
#include "io/file.h"
#include "wal_store/held_wal.h"
#include "wal_store/target_wal.h"
#include "../wal/wal_writer.h"

#define NAME(n) "00000001000000000000000" #n

static char root[64];
static Error error;
static WalWriter *writer;
static int fetch_count;

static const char *path_of(const char *name)
{
    static char paths[4][256];
    static int next;

    next = (next + 1) % 4;
    snprintf(paths[next], sizeof(paths[next]), "%s/%s", root, name);
    return paths[next];
}

/* Write the segment's content to a file. */
static void put_segment(const char *name, uint64_t segment, size_t size)
{
    FILE *file = fopen(path_of(name), "wb");

    assert_non_null(file);
    assert_int_equal(fwrite(writer->bytes + segment * SEGMENT_SIZE, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static bool exists(const char *name)
{
    return access(path_of(name), F_OK) == 0;
}

/* The message ends so: that there is another size than a segment's. */
static void assert_size_said(const char *before)
{
    char expected[128];

    snprintf(expected, sizeof(expected), "%s instead of %u", before, SEGMENT_SIZE);
    assert_non_null(strstr(error.message, expected));
}

static int set_up(void **state)
{
    (void) state;
    strcpy(root, "/tmp/test_archive.XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_int_equal(mkdir(path_of("data"), 0700), 0);
    assert_int_equal(mkdir(path_of("data/pg_wal"), 0700), 0);
    assert_int_equal(mkdir(path_of("archive"), 0700), 0);
    writer = writer_create();
    for (uint64_t segment = 1; segment < 8; segment++)
    {
        writer_filler(writer, 100);
        writer_switch(writer);
    }
    fetch_count = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    free(writer);
    return dir_remove_tree(root, &error) ? 0 : -1;
}

static bool fetch(void *context, const char *name, const char *path, bool *found, Error *unused)
{
    Timeline timeline;
    uint64_t segment;

    (void) context;
    (void) unused;
    fetch_count += path != NULL ? 1 : 0;
    assert_true(wal_segment_name_parse(&writer->shape, name, &timeline, &segment));
    *found = segment != 3;
    if (*found && path != NULL)
        put_segment(path + strlen(root) + 1, segment, 20000);
    return true;
}

static const char *archive_directory(void)
{
    static char path[256];

    snprintf(path, sizeof(path), "%s", path_of("archive"));
    return path;
}

static WalStore options(void)
{
    static char paths[3][256];
    static Scratch scratch;

    snprintf(paths[0], sizeof(paths[0]), "%s", path_of("data"));
    snprintf(paths[1], sizeof(paths[1]), "%s", path_of("data/pg_wal"));
    snprintf(paths[2], sizeof(paths[2]), "%s", path_of("data/scratch"));
    scratch = (Scratch){.path = paths[2], .lock = PTHREAD_MUTEX_INITIALIZER, .lock_fd = -1};
    return (WalStore){.kind = WAL_STORE_OF_TARGET,
                      .stream = {.shape = writer->shape,
                                 .data_block_size = DATA_BLOCK_SIZE,
                                 .history = &writer->history},
                      .data_directory = paths[0],
                      .wal_directory = paths[1],
                      .scratch = &scratch,
                      .restore = {.data_directory = paths[0], .redo_file_name = NAME(1)}};
}

static bool is_found(WalStore *store, uint64_t segment)
{
    bool found;
    int fd;

    if (!wal_store_open(store, segment, &fd, &found, &error))
        fail_msg("%s", error.message);
    if (found)
    {
        uint8_t byte;
        assert_int_equal(read(fd, &byte, 1), 1);
        assert_int_equal(close(fd), 0);
    }
    return found;
}

/* Path at which wal_store_find finds the segment, or NULL. */
static const char *path_found(WalStore *store, uint64_t segment)
{
    static char path[PATH_SIZE];
    Buffer found_path = {0};
    bool found;

    if (!wal_store_find(store, segment, &found_path, &found, &error))
        fail_msg("%s", error.message);
    snprintf(path, sizeof(path), "%s", buffer_string(&found_path));
    buffer_free(&found_path);
    return found ? path : NULL;
}

static void test_a_recycled_file_is_not_there(void **state)
{
    WalStore wanted = options();
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(2), 1, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(3), 3, 0);
    assert_true(is_found(store, 1));
    assert_false(is_found(store, 2));
    assert_false(is_found(store, 3));
    assert_false(is_found(store, 4));
    assert_string_equal(path_found(store, 1), path_of("data/pg_wal/" NAME(1)));
    assert_null(path_found(store, 2));
    assert_false(exists("data/scratch"));

    assert_false(error_missing_in_wal_store(store, 4, &error));
    char expected[256];
    snprintf(expected, sizeof(expected),
             "could not open file \"%s/data/pg_wal/" NAME(4) "\": No such file or directory", root);
    assert_string_equal(error.message, expected);
    assert_string_equal(error.detail, "Missing: " NAME(4) ". Older ones may be needed as well.");
    wal_store_destroy(store);
}

#define HELD "data/pg_wal/" HELD_WAL_DIRECTORY "/"

static uint64_t links_of(const char *name)
{
    struct stat status;

    assert_int_equal(stat(path_of(name), &status), 0);
    return status.st_nlink;
}

static void hold(uint64_t needed_segment)
{
    char wal_directory[PATH_SIZE];
    const HeldWal held = {.shape = writer->shape,
                          .wal_directory = wal_directory,
                          .needed_from = wal_segment_start(&writer->shape, needed_segment)};

    snprintf(wal_directory, sizeof(wal_directory), "%s", path_of("data/pg_wal"));
    if (!held_wal_take(&held, &error))
        fail_msg("%s", error.message);
}

/* A server recycles a segment: its file gets another name, and is overwritten under that. What was
 * copied is still there, and what was only linked counts as not there. */
static void test_held_wal(void **state)
{
    WalStore wanted = options();
    WalStore *store = wal_store_create(&wanted);
    char wal_directory[PATH_SIZE], from[PATH_SIZE];

    (void) state;
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(2), 2, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(3), 3, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(4), 1, SEGMENT_SIZE); /* made in advance */
    hold(2);
    assert_int_equal(links_of(HELD NAME(1)), 2); /* not needed */
    assert_int_equal(links_of(HELD NAME(2)), 1);
    assert_int_equal(links_of(HELD NAME(3)), 2); /* the newest */
    assert_int_equal(links_of(HELD NAME(4)), 2);

    snprintf(from, sizeof(from), "%s", path_of("data/pg_wal/" NAME(1)));
    assert_int_equal(rename(from, path_of("data/pg_wal/" NAME(5))), 0);
    snprintf(from, sizeof(from), "%s", path_of("data/pg_wal/" NAME(2)));
    assert_int_equal(rename(from, path_of("data/pg_wal/" NAME(6))), 0);
    put_segment("data/pg_wal/" NAME(4), 4, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(5), 5, SEGMENT_SIZE);
    assert_int_equal(unlink(path_of("data/pg_wal/" NAME(3))), 0);
    assert_int_equal(unlink(path_of("data/pg_wal/" NAME(4))), 0);
    assert_false(is_found(store, 1));
    assert_true(is_found(store, 2));
    assert_true(is_found(store, 3));
    assert_true(is_found(store, 4));

    /* Held again, what is no longer in pg_wal stays, and what is not the segment gives way. */
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    hold(1);
    for (uint64_t segment = 1; segment <= 4; segment++)
        assert_true(is_found(store, segment));
    assert_int_equal(links_of(HELD NAME(1)), 1);
    assert_false(exists(HELD "incoming"));

    snprintf(wal_directory, sizeof(wal_directory), "%s", path_of("data/pg_wal"));
    assert_true(held_wal_release(wal_directory, &error));
    assert_true(held_wal_release(wal_directory, &error));
    assert_false(is_found(store, 2));
    wal_store_destroy(store);
}

/* Needed, and not what it should be: that is damage, and not "No such file". */
static void test_a_damaged_first_page_is_named(void **state)
{
    WalStore wanted = options();
    WalStore *store = wal_store_create(&wanted);
    char expected[256], lsn[LSN_TEXT_SIZE];
    int fd;

    (void) state;
    writer_page(writer, SEGMENT_SIZE + BLOCK_SIZE, 0, 0);
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    fd = open(path_of("data/pg_wal/" NAME(1)), O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_int_equal(close(fd), 0);
    assert_false(is_found(store, 1));
    assert_false(error_missing_in_wal_store(store, 1, &error));
    lsn_text(writer->shape.version, SEGMENT_SIZE, lsn);
    snprintf(expected, sizeof(expected),
             "WAL is damaged at %s in segment \"" NAME(
                 1) "\": invalid magic number %04X in WAL page at LSN %s, offset 0",
             lsn, (writer->shape.version->wal_magic & 0xFF00) | 'x', lsn);
    assert_string_equal(error.message, expected);

    /* Without a second page of the segment's it is a file for later use. */
    put_segment("data/pg_wal/" NAME(1), 2, SEGMENT_SIZE);
    assert_false(error_missing_in_wal_store(store, 1, &error));
    assert_non_null(strstr(error.message, "No such file or directory"));
    wal_store_destroy(store);
}

static void test_common_history_comes_from_the_source(void **state)
{
    WalStore wanted = options();
    wanted.fetch = fetch;
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    assert_false(is_found(store, 2));
    assert_int_equal(fetch_count, 0);
    store->limits.is_proven = true;
    store->limits.divergence = 4 * SEGMENT_SIZE + 1000;
    assert_false(is_found(store, 4));
    assert_int_equal(fetch_count, 0);
    assert_true(is_found(store, 2));
    assert_int_equal(fetch_count, 1);
    assert_true(exists("data/scratch/" NAME(2)));
    assert_false(exists("data/pg_wal/" NAME(2)));
    /* The segment is not requested a second time. */
    assert_true(is_found(store, 2));
    assert_int_equal(fetch_count, 1);
    assert_false(is_found(store, 3));
    wal_store_destroy(store);
}

static void test_an_archive_directory(void **state)
{
    WalStore wanted = options();
    wanted.archives[0] = archive_directory();
    WalStore *store = wal_store_create(&wanted);
    bool found;
    int fd;

    (void) state;
    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, 1000);
    assert_true(is_found(store, 2));
    assert_false(is_found(store, 4));
    assert_false(wal_store_open(store, 3, &fd, &found, &error));
    assert_non_null(strstr(error.message, "unexpected file size for \""));
    assert_size_said("\": 1000");
    assert_false(exists("data/scratch"));
    wal_store_destroy(store);
}

static void test_behind_the_known_end_only_pg_wal_counts(void **state)
{
    WalStore wanted = options();
    wanted.archives[0] = archive_directory();
    wanted.restore.command = "cp ../archive/%f %p";
    wanted.limits.known_end = 3 * SEGMENT_SIZE;
    wanted.fetch = fetch;
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    store->limits.is_proven = true;
    store->limits.divergence = 7 * SEGMENT_SIZE;
    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(4), 4, SEGMENT_SIZE);
    assert_true(is_found(store, 2));
    assert_false(is_found(store, 3));
    assert_true(is_found(store, 4));
    assert_false(is_found(store, 5));
    wal_store_destroy(store);
}

/* Archives are asked up to the newest segment; files that are not what their name says, and those
 * of another timeline, do not count. */
static void test_the_newest_segment_is_a_known_end(void **state)
{
    WalStore wanted = options();
    wanted.archives[0] = archive_directory();
    wanted.limits.known_end = 2 * SEGMENT_SIZE;
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    assert_true(target_wal_find_newest(store, &error));
    assert_int_equal(store->stream.newest, 0);
    assert_int_equal(store->limits.known_end, 2 * SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, SEGMENT_SIZE);
    put_segment("archive/" NAME(5), 5, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(4), 4, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(6), 2, SEGMENT_SIZE);
    put_segment("data/pg_wal/000000020000000000000007", 7, SEGMENT_SIZE);
    assert_true(target_wal_find_newest(store, &error));
    assert_int_equal(store->stream.newest, 4);
    assert_true(is_found(store, 3));
    assert_false(is_found(store, 5));
    store->limits.known_end = 6 * SEGMENT_SIZE;
    assert_true(target_wal_find_newest(store, &error));
    assert_int_equal(store->limits.known_end, 6 * SEGMENT_SIZE);
    wal_store_destroy(store);
}

static void test_a_restore_command(void **state)
{
    WalStore wanted = options();
    /* Paths hold from the data directory; the status of the last command counts. */
    wanted.restore.command =
        "echo 100%% %f %r >> log; test %p = scratch/incoming/%f && cp ../archive/%f %p";
    WalStore *store = wal_store_create(&wanted);
    bool found;
    int fd;

    (void) state;
    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, 1000);
    put_segment("archive/" NAME(5), 4, SEGMENT_SIZE);
    assert_true(is_found(store, 2));
    assert_true(is_found(store, 2));
    assert_false(is_found(store, 4));
    assert_false(is_found(store, 4));
    assert_false(is_found(store, 5)); /* another segment's content */
    assert_true(exists("data/scratch/" NAME(2)));
    assert_false(exists("data/scratch/" NAME(5)));
    assert_false(wal_store_open(store, 3, &fd, &found, &error));
    assert_size_said("\": 1000");
    assert_false(error_missing_in_wal_store(store, 4, &error));
    assert_string_equal(error.detail,
                        "could not restore file \"" NAME(
                            4) "\" from archive\n"
                               "Missing: " NAME(4) ". Older ones may be needed as well.");
    assert_string_equal(error.hint,
                        "Compare all blocks instead with --compare, which needs none of the "
                        "target's WAL.");

    Buffer log = {0};
    assert_true(file_read_all(path_of("data/log"), 1000, &log, NULL, &error));
    assert_string_equal(buffer_string(&log),
                        "100% " NAME(2) " " NAME(1) "\n100% " NAME(4) " " NAME(1) "\n100% " NAME(
                            5) " " NAME(1) "\n100% " NAME(3) " " NAME(1) "\n");
    buffer_free(&log);
    wal_store_destroy(store);
}

static void test_a_restore_command_that_is_broken(void **state)
{
    const struct
    {
        const char *command;
        const char *message;
        const char *detail;
    } rows[] = {
        {"exit 200", "\"restore_command\" failed: child process exited with exit code 200", ""},
        {"kill -9 $$", "\"restore_command\" failed: child process was terminated by signal 9", ""},
        {"cp %x", "invalid value for parameter \"restore_command\": \"cp %x\"",
         "String contains unexpected placeholder \"%x\"."},
        {"cp %", "invalid value for parameter \"restore_command\": \"cp %\"",
         "String ends unexpectedly after escape character \"%\"."},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        WalStore wanted = options();
        wanted.restore.command = rows[i].command;
        WalStore *store = wal_store_create(&wanted);
        bool found;
        int fd;

        assert_false(wal_store_open(store, 4, &fd, &found, &error));
        assert_memory_equal(error.message, rows[i].message, strlen(rows[i].message));
        assert_string_equal(error.detail, rows[i].detail);
        wal_store_destroy(store);
    }
}

static void run_shell(const char *format, ...)
{
    char command[1024];
    int length = snprintf(command, sizeof(command), "cd %s && ", root);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(command + length, sizeof(command) - (size_t) length, format, arguments);
    va_end(arguments);
    assert_int_equal(system(command), 0);
}

static bool fails_to_open(WalStore *store, uint64_t segment)
{
    bool found;
    int fd;

    return !wal_store_open(store, segment, &fd, &found, &error);
}

static void test_each_form_of_a_file_in_an_archive(void **state)
{
    WalStore wanted = options();
    wanted.archives[0] = archive_directory();
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    for (uint64_t segment = 1; segment < 5; segment++)
    {
        char name[64];
        snprintf(name, sizeof(name), "archive/00000001000000000000000%d", (int) segment);
        put_segment(name, segment, SEGMENT_SIZE);
    }
    run_shell("cd archive && gzip " NAME(2) " && zstd -q --rm " NAME(3) " && lz4 -qc " NAME(
        4) " > " NAME(4) ".lz4 && rm " NAME(4));
    assert_string_equal(path_found(store, 1), path_of("archive/" NAME(1)));
    assert_string_equal(path_found(store, 2), path_of("data/scratch/" NAME(2)));
    assert_string_equal(path_found(store, 3), path_of("data/scratch/" NAME(3)));
    assert_string_equal(path_found(store, 4), path_of("data/scratch/" NAME(4)));
    run_shell("gzip -dc archive/" NAME(2) ".gz | cmp - data/scratch/" NAME(2));
    run_shell("zstd -dqc archive/" NAME(3) ".zst | cmp - data/scratch/" NAME(3));
    run_shell("lz4 -dc archive/" NAME(4) ".lz4 2>/dev/null | cmp - data/scratch/" NAME(4));
    assert_true(is_found(store, 3));
    run_shell("test -z \"$(ls data/scratch/incoming)\"");
    wal_store_destroy(store);
}

static void test_a_wrong_file_in_an_archive(void **state)
{
    WalStore wanted = options();
    wanted.archives[0] = archive_directory();
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    /* A file with another segment's content is skipped; another format may hold the segment. */
    put_segment("archive/" NAME(1), 5, SEGMENT_SIZE);
    run_shell("gzip archive/" NAME(1));
    assert_false(is_found(store, 1));
    put_segment("archive/" NAME(1), 1, SEGMENT_SIZE);
    run_shell("zstd -q --rm archive/" NAME(1));
    assert_true(is_found(store, 1));

    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    run_shell("cd archive && gzip " NAME(2) " && truncate -s -9 " NAME(2) ".gz");
    assert_true(fails_to_open(store, 2));
    assert_non_null(strstr(error.message, "/archive/" NAME(2) ".gz\" ends early"));

    put_segment("archive/" NAME(3), 3, SEGMENT_SIZE);
    run_shell(
        "cd archive && cat " NAME(3) " " NAME(3) " | lz4 -qc > " NAME(3) ".lz4 && rm " NAME(3));
    assert_true(fails_to_open(store, 3));
    char expected[128];
    snprintf(expected, sizeof(expected), "/archive/" NAME(3) ".lz4\" holds more than %u bytes",
             SEGMENT_SIZE);
    assert_non_null(strstr(error.message, expected));

    put_segment("archive/" NAME(4), 4, 1000);
    run_shell("zstd -q --rm archive/" NAME(4));
    assert_true(fails_to_open(store, 4));
    assert_non_null(strstr(error.message, "unexpected file size for \""));
    assert_size_said(".zst\": 1000");

    run_shell("mkfifo archive/" NAME(5) ".gz");
    assert_true(fails_to_open(store, 5));
    assert_non_null(strstr(error.message, ".gz\" is not a regular file"));
    run_shell("test -z \"$(ls data/scratch/incoming)\"");
    run_shell("test \"$(ls data/scratch)\" = \"%s\"", NAME(1) "\nincoming");
    wal_store_destroy(store);
}

/* A segment with records up to its end, and one in which WAL ends. */
static void test_a_partial_file_is_the_last_resort(void **state)
{
    WalStore wanted = options();
    wanted.archives[0] = archive_directory();
    wanted.restore.command = "cp ../archive/other.%f %p 2>/dev/null";
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    put_segment("archive/" NAME(1) ".partial", 1, SEGMENT_SIZE);
    put_segment("archive/" NAME(2) ".partial", 2, SEGMENT_SIZE);
    put_segment("archive/other." NAME(2), 2, SEGMENT_SIZE);
    put_segment("archive/" NAME(3) ".partial", 3, SEGMENT_SIZE);
    run_shell("gzip archive/" NAME(3) ".partial");
    assert_string_equal(path_found(store, 1), path_of("archive/" NAME(1) ".partial"));
    assert_string_equal(path_found(store, 2), path_of("data/scratch/" NAME(2)));
    assert_string_equal(path_found(store, 3), path_of("data/scratch/" NAME(3) ".partial"));
    assert_true(is_found(store, 3));

    /* Its records end early. */
    run_shell("cd archive && truncate -s 100 %1$s.partial && truncate -s %3$u %1$s.partial && "
              "cp %1$s.partial %2$s.partial",
              NAME(1), NAME(4), SEGMENT_SIZE);
    assert_false(is_found(store, 1));
    put_segment("archive/" NAME(4) ".partial", 4, 100);
    assert_false(is_found(store, 4));
    run_shell("gzip archive/" NAME(4) ".partial");
    assert_false(is_found(store, 4));
    wal_store_destroy(store);

    wanted.limits.last_needed = 4 * SEGMENT_SIZE + 200;
    store = wal_store_create(&wanted);
    assert_false(is_found(store, 1));
    assert_true(is_found(store, 4));
    run_shell("cd archive && rm " NAME(4) "* && head -c 700000 /dev/zero > " NAME(4) ".partial");
    assert_true(is_found(store, 4)); /* was brought before */
    run_shell("rm data/scratch/" NAME(4) ".partial");
    assert_true(fails_to_open(store, 4));
    assert_size_said(".partial\": 700000");
    wal_store_destroy(store);
}

/* A restored segment is a copy: by a link a server would later overwrite the archive's file. */
static void test_what_was_brought_is_our_own(void **state)
{
    static const char *const commands[] = {"ln ../archive/%f %p", "ln -s $PWD/../archive/%f %p",
                                           "cp ../archive/%f %p; chmod 0444 %p"};

    (void) state;
    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
    {
        WalStore wanted = options();
        wanted.restore.command = commands[i];
        WalStore *store = wal_store_create(&wanted);
        struct stat status;

        assert_true(is_found(store, 2));
        assert_int_equal(lstat(path_of("data/scratch/" NAME(2)), &status), 0);
        assert_true(S_ISREG(status.st_mode));
        assert_int_equal(status.st_nlink, 1);
        assert_int_equal(status.st_mode & 0777, 0600);
        run_shell("cmp archive/" NAME(2) " data/scratch/" NAME(2) " && rm -r data/scratch");
        wal_store_destroy(store);
    }
}

/* Tools that fetch in advance have directories and temporary names of their own. */
static void test_a_command_may_write_beside_its_file(void **state)
{
    WalStore wanted = options();
    wanted.restore.command =
        "d=$(dirname %p); mkdir -p $d/.wal-g/prefetch/running && echo half > $d/" NAME(
            4) " && echo half > $d/.wal-g/prefetch/running/%f && "
               "cp ../archive/%f %p.tmp && mv %p.tmp %p";
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    put_segment("archive/" NAME(3), 3, SEGMENT_SIZE);
    put_segment("archive/" NAME(4), 4, SEGMENT_SIZE);
    assert_true(is_found(store, 3));
    assert_true(is_found(store, 4));
    run_shell("cmp archive/" NAME(4) " data/scratch/" NAME(4));
    assert_false(exists("data/pg_wal/.wal-g"));
    wal_store_destroy(store);
}

static void test_a_half_restored_file_is_not_taken(void **state)
{
    WalStore wanted = options();
    wanted.restore.command = "cp ../archive/%f %p; exit 1";
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    put_segment("archive/" NAME(3), 3, SEGMENT_SIZE);
    assert_false(is_found(store, 3));
    run_shell("test -z \"$(ls data/scratch/incoming)\"");
    wal_store_destroy(store);
}

/* From the first that is known to be needed to the last that the target had. */
static void test_all_that_is_missing_is_listed(void **state)
{
    WalStore wanted = options();
    wanted.archives[0] = archive_directory();
    wanted.restore.command = "cp ../archive/other.%f %p 2>/dev/null";
    wanted.limits.known_end = 7 * SEGMENT_SIZE;
    WalStore *store = wal_store_create(&wanted);

    (void) state;
    store->needed_from = SEGMENT_SIZE + 100;
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, SEGMENT_SIZE);
    put_segment("archive/other." NAME(5), 5, SEGMENT_SIZE);
    assert_false(error_missing_in_wal_store(store, 4, &error));
    assert_non_null(strstr(error.message, "/pg_wal/" NAME(4) "\": No such file or directory"));
    assert_string_equal(error.detail, "Missing: " NAME(2) ", " NAME(4) ", " NAME(6) ".");
    assert_false(exists("data/scratch/" NAME(5)));

    /* One that was asked for outside of that counts as well. */
    store->needed_from = 6 * SEGMENT_SIZE;
    assert_false(error_missing_in_wal_store(store, 7, &error));
    assert_string_equal(error.detail,
                        "Missing: " NAME(6) ", " NAME(7) ". Older ones may be needed as well.");
    wal_store_destroy(store);

    wanted.restore.command = NULL;
    wanted.limits.known_end = 10000 * (Lsn) SEGMENT_SIZE;
    store = wal_store_create(&wanted);
    assert_false(error_missing_in_wal_store(store, 2, &error));
    assert_true(strlen(error.detail) < 1200);
    assert_non_null(strstr(error.detail, ", ..."));
    assert_non_null(
        strstr(error.hint, "--wal-archive, --restore-command, or --restore-target-wal"));
    wal_store_destroy(store);
}

static void test_another_file_is_read(void **state)
{
    WalStore wanted = options();
    WalStore *store = wal_store_create(&wanted);
    Buffer text = {0};
    bool found;

    (void) state;
    assert_true(wal_store_read_file(store, "00000002.history", 1000, &text, &found, &error));
    assert_false(found);
    wal_store_destroy(store);

    wanted.archives[0] = archive_directory();
    wanted.restore.command = "cp ../archive/other.%f %p 2>/dev/null";
    store = wal_store_create(&wanted);
    run_shell("echo two > archive/00000002.history && zstd -q --rm archive/00000002.history && "
              "echo three > archive/other.00000003.history");
    assert_true(wal_store_read_file(store, "00000002.history", 1000, &text, &found, &error));
    assert_true(found);
    assert_true(wal_store_read_file(store, "00000003.history", 1000, &text, &found, &error));
    assert_true(found);
    assert_string_equal(buffer_string(&text), "two\nthree\n");
    assert_true(wal_store_read_file(store, "00000004.history", 1000, &text, &found, &error));
    assert_false(found);
    assert_false(wal_store_read_file(store, "00000002.history", 3, &text, &found, &error));
    run_shell("test -z \"$(ls data/scratch/incoming)\"");
    buffer_free(&text);
    wal_store_destroy(store);
}

/* Each limit alone, and those that meet. Segments of the rows are counted from 0; S is the size of
 * one. */
static void test_what_holds_for_a_segment(void **state)
{
#define S ((Lsn) SEGMENT_SIZE)
    static const struct
    {
        const char *name;
        WalLimits limits;
        uint64_t segment;
        WalSpan span;
    } rows[] = {
        {"nothing is known", {0}, 0, {.asks_archives = true}},
        {"before the divergence",
         {.divergence = 4 * S, .is_proven = true},
         3,
         {.is_common = true, .asks_archives = true}},
        {"with the divergence in it",
         {.divergence = 4 * S - 1, .is_proven = true},
         3,
         {.asks_archives = true}},
        {"after the divergence",
         {.divergence = 4 * S, .is_proven = true},
         4,
         {.asks_archives = true}},
        {"before one of the history files", {.divergence = 4 * S}, 3, {0}},
        {"with one of the history files in it",
         {.divergence = 4 * S + 1},
         4,
         {.asks_archives = true}},
        {"before the known end", {.known_end = 4 * S + 1}, 4, {.asks_archives = true}},
        {"after the known end", {.known_end = 4 * S}, 4, {0}},
        {"common, after the known end",
         {.known_end = 3 * S, .divergence = 7 * S, .is_proven = true},
         4,
         {.is_common = true}},
        {"before the last that is needed", {.last_needed = 4 * S}, 3, {.asks_archives = true}},
        {"with the last that is needed",
         {.last_needed = 5 * S - 1},
         4,
         {.asks_archives = true, .may_end = true}},
        {"after the last that is needed",
         {.last_needed = 4 * S, .known_end = 5 * S},
         5,
         {.may_end = true}},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const WalSpan span = wal_span_of(&writer->shape, &rows[i].limits, rows[i].segment);

        if (span.is_common != rows[i].span.is_common ||
            span.asks_archives != rows[i].span.asks_archives ||
            span.may_end != rows[i].span.may_end)
            fail_msg("%s: %d %d %d", rows[i].name, span.is_common, span.asks_archives,
                     span.may_end);
    }
#undef S
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_recycled_file_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_held_wal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_first_page_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_common_history_comes_from_the_source, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_what_holds_for_a_segment, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_an_archive_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_behind_the_known_end_only_pg_wal_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_the_newest_segment_is_a_known_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_restore_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_restore_command_that_is_broken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_each_form_of_a_file_in_an_archive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_wrong_file_in_an_archive, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_partial_file_is_the_last_resort, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_what_was_brought_is_our_own, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_command_may_write_beside_its_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_half_restored_file_is_not_taken, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_all_that_is_missing_is_listed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_another_file_is_read, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
