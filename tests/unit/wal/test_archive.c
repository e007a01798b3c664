#include "wal/archive.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/dir.h"
#include "io/file.h"
#include "wal_writer.h"

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
    fetch_count++;
    assert_true(wal_segment_name_parse(&writer->shape, name, &timeline, &segment));
    *found = segment != 3;
    if (*found)
        put_segment(path + strlen(root) + 1, segment, 20000);
    return true;
}

static ArchiveOptions options(void)
{
    static char paths[4][256];

    snprintf(paths[0], sizeof(paths[0]), "%s", path_of("data"));
    snprintf(paths[1], sizeof(paths[1]), "%s", path_of("data/pg_wal"));
    snprintf(paths[2], sizeof(paths[2]), "%s", path_of("data/scratch"));
    snprintf(paths[3], sizeof(paths[3]), "%s", path_of("archive"));
    return (ArchiveOptions){.shape = writer->shape,
                            .data_directory = paths[0],
                            .wal_directory = paths[1],
                            .scratch_directory = paths[2],
                            .redo_file_name = NAME(1)};
}

static bool is_found(Archive *archive, uint64_t segment)
{
    bool found;
    int fd;

    if (!archive_open(archive, 1, segment, &fd, &found, &error))
        fail_msg("%s", error.message);
    if (found)
    {
        uint8_t byte;
        assert_int_equal(read(fd, &byte, 1), 1);
        assert_int_equal(close(fd), 0);
    }
    return found;
}

static void test_a_recycled_file_is_not_there(void **state)
{
    ArchiveOptions wanted = options();
    Archive *archive = archive_create(&wanted);
    Arena *arena = arena_create();

    (void) state;
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(2), 1, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(3), 3, 0);
    assert_true(is_found(archive, 1));
    assert_false(is_found(archive, 2));
    assert_false(is_found(archive, 3));
    assert_false(is_found(archive, 4));
    assert_string_equal(archive_path(archive, arena, 1, 1), path_of("data/pg_wal/" NAME(1)));
    assert_null(archive_path(archive, arena, 1, 2));
    assert_false(exists("data/scratch"));

    assert_false(archive_missing_error(archive, 1, 4, &error));
    char expected[256];
    snprintf(expected, sizeof(expected),
             "could not open file \"%s/data/pg_wal/" NAME(4) "\": No such file or directory", root);
    assert_string_equal(error.message, expected);
    assert_string_equal(error.detail, "");
    arena_destroy(arena);
    archive_destroy(archive);
}

/* Needed, and not what it should be: that is damage, and not "No such file". */
static void test_a_damaged_first_page_is_named(void **state)
{
    ArchiveOptions wanted = options();
    Archive *archive = archive_create(&wanted);
    int fd;

    (void) state;
    writer_page(writer, SEGMENT_SIZE + BLOCK_SIZE, 0, 0);
    put_segment("data/pg_wal/" NAME(1), 1, SEGMENT_SIZE);
    fd = open(path_of("data/pg_wal/" NAME(1)), O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_int_equal(close(fd), 0);
    assert_false(is_found(archive, 1));
    assert_false(archive_missing_error(archive, 1, 1, &error));
    assert_string_equal(error.message,
                        "WAL is damaged at 0/10000 in segment \"" NAME(
                            1) "\": "
                               "invalid magic number D178 in WAL page at LSN 0/10000, "
                               "offset 0");

    /* Without a second page of the segment's it is a file for later use. */
    put_segment("data/pg_wal/" NAME(1), 2, SEGMENT_SIZE);
    assert_false(archive_missing_error(archive, 1, 1, &error));
    assert_non_null(strstr(error.message, "No such file or directory"));
    archive_destroy(archive);
}

static void test_common_history_comes_from_the_source(void **state)
{
    ArchiveOptions wanted = options();
    wanted.fetch = fetch;
    Archive *archive = archive_create(&wanted);

    (void) state;
    assert_false(is_found(archive, 2));
    assert_int_equal(fetch_count, 0);
    archive_set_common_end(archive, 4 * SEGMENT_SIZE + 1000);
    assert_false(is_found(archive, 4));
    assert_int_equal(fetch_count, 0);
    assert_true(is_found(archive, 2));
    assert_int_equal(fetch_count, 1);
    assert_true(exists("data/scratch/" NAME(2)));
    assert_false(exists("data/pg_wal/" NAME(2)));
    /* It is not asked for a second time. */
    assert_true(is_found(archive, 2));
    assert_int_equal(fetch_count, 1);
    assert_false(is_found(archive, 3));
    archive_destroy(archive);
}

static void test_an_archive_directory(void **state)
{
    ArchiveOptions wanted = options();
    wanted.archive_directory = path_of("archive");
    Archive *archive = archive_create(&wanted);
    bool found;
    int fd;

    (void) state;
    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, 1000);
    assert_true(is_found(archive, 2));
    assert_false(is_found(archive, 4));
    assert_false(archive_open(archive, 1, 3, &fd, &found, &error));
    assert_non_null(strstr(error.message, "unexpected file size for \""));
    assert_non_null(strstr(error.message, "\": 1000 instead of 65536"));
    assert_false(exists("data/scratch"));
    archive_destroy(archive);
}

static void test_behind_the_known_end_only_pg_wal_counts(void **state)
{
    ArchiveOptions wanted = options();
    wanted.archive_directory = path_of("archive");
    wanted.restore_command = "cp ../archive/%f %p";
    wanted.known_end = 3 * SEGMENT_SIZE;
    wanted.fetch = fetch;
    Archive *archive = archive_create(&wanted);
    Arena *arena = arena_create();

    (void) state;
    archive_set_common_end(archive, 7 * SEGMENT_SIZE);
    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, SEGMENT_SIZE);
    put_segment("data/pg_wal/" NAME(4), 4, SEGMENT_SIZE);
    assert_true(is_found(archive, 2));
    assert_false(is_found(archive, 3));
    assert_true(is_found(archive, 4));
    assert_false(is_found(archive, 5));
    assert_null(archive_path(archive, arena, 1, 3));
    arena_destroy(arena);
    archive_destroy(archive);
}

static void test_a_restore_command(void **state)
{
    ArchiveOptions wanted = options();
    /* Paths hold from the data directory; the status of the last command counts. */
    wanted.restore_command =
        "echo 100%% %f %r >> log; test %p = scratch/incoming/%f && cp ../archive/%f %p";
    Archive *archive = archive_create(&wanted);
    bool found;
    int fd;

    (void) state;
    put_segment("archive/" NAME(2), 2, SEGMENT_SIZE);
    put_segment("archive/" NAME(3), 3, 1000);
    put_segment("archive/" NAME(5), 4, SEGMENT_SIZE);
    assert_true(is_found(archive, 2));
    assert_true(is_found(archive, 2));
    assert_false(is_found(archive, 4));
    assert_false(is_found(archive, 4));
    assert_false(is_found(archive, 5)); /* another segment's content */
    assert_true(exists("data/scratch/" NAME(2)));
    assert_false(exists("data/scratch/" NAME(5)));
    assert_false(archive_open(archive, 1, 3, &fd, &found, &error));
    assert_non_null(strstr(error.message, "\": 1000 instead of 65536"));
    assert_false(archive_missing_error(archive, 1, 4, &error));
    assert_string_equal(error.detail, "could not restore file \"" NAME(4) "\" from archive");

    Buffer log = {0};
    assert_true(file_read_all(path_of("data/log"), 1000, &log, NULL, &error));
    assert_string_equal(buffer_string(&log),
                        "100% " NAME(2) " " NAME(1) "\n100% " NAME(4) " " NAME(1) "\n100% " NAME(
                            5) " " NAME(1) "\n100% " NAME(3) " " NAME(1) "\n");
    buffer_free(&log);
    archive_destroy(archive);
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
        ArchiveOptions wanted = options();
        wanted.restore_command = rows[i].command;
        Archive *archive = archive_create(&wanted);
        bool found;
        int fd;

        error.detail[0] = '\0';
        assert_false(archive_open(archive, 1, 4, &fd, &found, &error));
        assert_memory_equal(error.message, rows[i].message, strlen(rows[i].message));
        assert_string_equal(error.detail, rows[i].detail);
        archive_destroy(archive);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_recycled_file_is_not_there, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_damaged_first_page_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_common_history_comes_from_the_source, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_an_archive_directory, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_behind_the_known_end_only_pg_wal_counts, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_a_restore_command, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_restore_command_that_is_broken, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
