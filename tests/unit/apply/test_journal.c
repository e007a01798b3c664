/*
 * The journal comes back as it was written, and no damaged one is believed. (Invariants 2, 9.)
 */
#include "apply/journal.h"

#include "format/crc32c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Error error;
static char journal_path[] = WORK_DIRECTORY "/" JOURNAL_NAME;

#define OF_15 WORK_DIRECTORY_OF "PG_15_202209061"

static const JournalEntry entries[] = {
    {.kind = JOURNAL_WORK_DIRECTORY, .path = "/mnt/space/" OF_15, .other = ""},
    {.kind = JOURNAL_WORK_DIRECTORY, .path = "/of/1.0.0/" WORK_DIRECTORY, .other = ""},
    {.kind = JOURNAL_WORK_DIRECTORY, .path = "pg_wal/" WORK_DIRECTORY, .other = ""},
    {.kind = JOURNAL_REMOVE, .path = "base/5/1000", .other = ""},
    {.kind = JOURNAL_REMOVE_DIRECTORY, .path = "base/6", .other = ""},
    {.kind = JOURNAL_MAKE_DIRECTORY, .path = "base/7", .other = ""},
    {.kind = JOURNAL_MAKE_LINK, .path = "pg_tblspc/16400", .other = "/mnt/space"},
    {.kind = JOURNAL_INSTALL, .path = "base/7/1", .other = WORK_DIRECTORY "/f7"},
    {.kind = JOURNAL_INSTALL,
     .path = "pg_tblspc/16400/PG_15_202209061/5/1",
     .other = "/mnt/space/" OF_15 "/f8"},
    {.kind = JOURNAL_PATCH, .path = "base/5/1001", .other = "", .size = 81920},
    {.kind = JOURNAL_RANGE,
     .path = "",
     .other = WORK_DIRECTORY "/data",
     .offset = 8192,
     .data_offset = 0x123456789A,
     .size = 16384},
};
#define ENTRY_COUNT (sizeof(entries) / sizeof(entries[0]))

static JournalHead sample_head(void)
{
    JournalHead head = {.run_id = "0123456789abcdef0123456789abcdef",
                        .source = "the server at \"host=a\"",
                        .divergence = "0/3000148 on timeline 1",
                        .backup_label = "START WAL LOCATION: 0/2000028\n",
                        .options = "--keep-config\n",
                        .group_access = true};

    memset(head.old_control, 1, sizeof(head.old_control));
    memset(head.poison, 2, sizeof(head.poison));
    memset(head.new_control, 3, sizeof(head.new_control));
    return head;
}

static void write_sample(void)
{
    JournalHead head = sample_head();
    JournalWriter *writer;

    assert_true(journal_create(".", &head, &writer, &error));
    for (size_t index = 0; index < ENTRY_COUNT; index++)
        assert_true(journal_add(writer, &entries[index], &error));
    assert_true(journal_close(writer, &error));
}

static size_t read_file(uint8_t *bytes, size_t size)
{
    const int fd = open(journal_path, O_RDONLY);
    ssize_t length;

    assert_true(fd >= 0);
    length = read(fd, bytes, size);
    assert_true(length > 0 && (size_t) length < size);
    close(fd);
    return (size_t) length;
}

static void write_file(const uint8_t *bytes, size_t size)
{
    const int fd = open(journal_path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), size);
    close(fd);
}

/* Can what stands there now be opened? */
static bool opens(void)
{
    Arena *arena = arena_create();
    JournalHead head;
    JournalReader *reader;
    bool found;
    const bool ok = journal_open(".", arena, &reader, &head, &found, &error);

    journal_close_reader(reader);
    arena_destroy(arena);
    return ok && found;
}

static void test_round_trip(void **state)
{
    const JournalHead expected = sample_head();
    Arena *arena = arena_create();
    JournalHead head;
    JournalReader *reader;
    JournalEntry entry;
    bool found;
    bool end;

    (void) state;
    write_sample();
    assert_true(journal_open(".", arena, &reader, &head, &found, &error));
    assert_true(found);
    assert_string_equal(head.run_id, expected.run_id);
    assert_string_equal(head.source, expected.source);
    assert_string_equal(head.divergence, expected.divergence);
    assert_string_equal(head.backup_label, expected.backup_label);
    assert_string_equal(head.options, expected.options);
    assert_false(head.is_of_earlier);
    assert_true(head.group_access);
    assert_memory_equal(head.old_control, expected.old_control, CONTROL_FILE_SIZE);
    assert_memory_equal(head.poison, expected.poison, CONTROL_FILE_SIZE);
    assert_memory_equal(head.new_control, expected.new_control, CONTROL_FILE_SIZE);
    assert_int_equal(journal_bytes(reader), 16384);
    for (int pass = 0; pass < 2; pass++)
    {
        for (size_t index = 0; index < ENTRY_COUNT; index++)
        {
            assert_true(journal_next(reader, &entry, &end, &error));
            assert_false(end);
            assert_int_equal(entry.kind, entries[index].kind);
            assert_string_equal(entry.path, entries[index].path);
            assert_string_equal(entry.other, entries[index].other);
            assert_int_equal(entry.offset, entries[index].offset);
            assert_int_equal(entry.data_offset, entries[index].data_offset);
            assert_int_equal(entry.size, entries[index].size);
        }
        assert_true(journal_next(reader, &entry, &end, &error));
        assert_true(end);
        journal_restart(reader);
    }
    journal_close_reader(reader);
    arena_destroy(arena);
}

static void test_many_entries(void **state)
{
    JournalHead head = sample_head();
    Arena *arena = arena_create();
    JournalWriter *writer;
    JournalReader *reader;
    JournalEntry entry;
    char path[64];
    bool found;
    bool end;

    (void) state;
    assert_true(journal_create(".", &head, &writer, &error));
    for (int number = 0; number < 20000; number++)
    {
        snprintf(path, sizeof(path), "base/5/%d", number);
        entry = (JournalEntry){.kind = JOURNAL_REMOVE, .path = path};
        assert_true(journal_add(writer, &entry, &error));
    }
    assert_true(journal_close(writer, &error));
    assert_true(journal_open(".", arena, &reader, &head, &found, &error));
    for (int number = 0; number < 20000; number++)
    {
        snprintf(path, sizeof(path), "base/5/%d", number);
        assert_true(journal_next(reader, &entry, &end, &error));
        assert_string_equal(entry.path, path);
    }
    assert_true(journal_next(reader, &entry, &end, &error));
    assert_true(end);
    journal_close_reader(reader);
    arena_destroy(arena);
}

/* An earlier release wrote no options, and format 1: a rewind that it began can be finished. */
static void test_without_options(void **state)
{
    static uint8_t bytes[65536];
    const JournalHead expected = sample_head();
    const size_t front = 16, options = 4 + strlen(expected.options);
    Arena *arena = arena_create();
    JournalHead head;
    JournalReader *reader;
    size_t size, end;
    bool found;

    (void) state;
    write_sample();
    size = read_file(bytes, sizeof(bytes)) - options;
    end = front + load_u32(bytes + front - 4);
    memmove(bytes + end - options, bytes + end, size + options - end);
    store_u32(bytes + front - 8, 1);
    store_u32(bytes + front - 4, (uint32_t) (end - options - front));
    store_u32(bytes + size - 4, crc32c_finish(crc32c_update(CRC32C_INIT, bytes, size - 4)));
    write_file(bytes, size);
    assert_true(journal_open(".", arena, &reader, &head, &found, &error));
    assert_true(found);
    assert_null(head.options);
    assert_true(head.is_of_earlier);
    assert_string_equal(head.backup_label, expected.backup_label);
    assert_int_equal(journal_bytes(reader), 16384);
    journal_close_reader(reader);
    arena_destroy(arena);
}

static void test_missing(void **state)
{
    Arena *arena = arena_create();
    JournalHead head;
    JournalReader *reader;
    bool found;

    (void) state;
    unlink(journal_path);
    assert_true(journal_open(".", arena, &reader, &head, &found, &error));
    assert_false(found);
    assert_null(reader);
    arena_destroy(arena);
}

static void test_every_truncation(void **state)
{
    static uint8_t bytes[65536];
    size_t size;

    (void) state;
    write_sample();
    size = read_file(bytes, sizeof(bytes));
    for (size_t length = 0; length < size; length += length < size - 600 ? 97 : 1)
    {
        assert_int_equal(truncate(journal_path, (off_t) length), 0);
        assert_false(opens());
        write_file(bytes, size);
    }
    assert_true(opens());
}

static void test_every_changed_byte(void **state)
{
    static uint8_t bytes[65536];
    size_t size;
    int fd;

    (void) state;
    write_sample();
    size = read_file(bytes, sizeof(bytes));
    fd = open(journal_path, O_WRONLY);
    assert_true(fd >= 0);
    for (size_t index = 0; index<size; index += index> 100 && index < size - 800 ? 61 : 1)
    {
        const uint8_t changed = bytes[index] ^ (uint8_t) (1u << index % 8);

        assert_int_equal(pwrite(fd, &changed, 1, (off_t) index), 1);
        assert_false(opens());
        assert_int_equal(pwrite(fd, &bytes[index], 1, (off_t) index), 1);
    }
    close(fd);
    assert_true(opens());
}

/* A journal names nothing outside of the target but work directories. */
static void test_unsafe_entries(void **state)
{
    static const JournalEntry unsafe[] = {
        {.kind = JOURNAL_REMOVE, .path = "../x"},
        {.kind = JOURNAL_REMOVE, .path = "/etc/passwd"},
        {.kind = JOURNAL_REMOVE, .path = ""},
        {.kind = JOURNAL_INSTALL, .path = "a", .other = "/etc/passwd"},
        {.kind = JOURNAL_INSTALL, .path = "a", .other = "b"},
        {.kind = JOURNAL_INSTALL, .path = "a", .other = WORK_DIRECTORY "/../b"},
        {.kind = JOURNAL_INSTALL, .path = "a", .other = "not" WORK_DIRECTORY "/b"},
        {.kind = JOURNAL_WORK_DIRECTORY, .path = "/home"},
        {.kind = JOURNAL_WORK_DIRECTORY, .path = "/mnt/not" OF_15},
        {.kind = JOURNAL_WORK_DIRECTORY, .path = "/mnt/" OF_15 "/f8"},
        {.kind = JOURNAL_WORK_DIRECTORY, .path = "/mnt/" WORK_DIRECTORY ".wal"},
        {.kind = JOURNAL_WORK_DIRECTORY, .path = "/mnt/" WORK_DIRECTORY "ing"},
        {.kind = JOURNAL_WORK_DIRECTORY, .path = "/"},
        {.kind = JOURNAL_MAKE_LINK, .path = "a"},
        {.kind = JOURNAL_RANGE, .other = WORK_DIRECTORY "/data", .offset = UINT64_MAX, .size = 2},
        {.kind = (JournalKind) 99, .path = "a"},
    };
    JournalHead head = sample_head();
    JournalWriter *writer;

    (void) state;
    assert_true(journal_create(".", &head, &writer, &error));
    for (size_t index = 0; index < sizeof(unsafe) / sizeof(unsafe[0]); index++)
        assert_false(journal_add(writer, &unsafe[index], &error));
    journal_discard(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_many_entries),
        cmocka_unit_test(test_without_options),  cmocka_unit_test(test_missing),
        cmocka_unit_test(test_every_truncation), cmocka_unit_test(test_every_changed_byte),
        cmocka_unit_test(test_unsafe_entries),
    };
    char directory[] = "/tmp/test_journal.XXXXXX";
    int failed;

    if (mkdtemp(directory) == NULL || chdir(directory) != 0 || mkdir(WORK_DIRECTORY, 0700) != 0)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(journal_path);
    unlink(WORK_DIRECTORY "/" JOURNAL_NAME ".new");
    rmdir(WORK_DIRECTORY);
    if (chdir("/") != 0 || rmdir(directory) != 0)
        return 1;
    return failed;
}
