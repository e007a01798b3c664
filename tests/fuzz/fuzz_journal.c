/*
 * The journal of an interrupted rewind. The first byte says what is made of the rest:
 *
 *   0   it is the file, but for the three pg_control, which are zeros and not in the input
 *   1   the same, with a CRC that fits
 *   2   it is the entries, as they stand in the file; head, trailer and CRC fit
 *   3   it is entries in a short form, which are written into a journal that fits in all
 *
 * Short form: kind, size of path, size of other, path, other, offset, data offset, size (each 8
 * bytes).
 */
#include "apply/journal.h"
#include "format/crc32c.h"
#include "io/file.h"
#include "plan/listing.h"

#include "memory_files.h"

#include <string.h>

#define TARGET "/fuzz/target"
#define HEAD_SIZE (RUN_ID_SIZE + 1 + 3 * CONTROL_FILE_SIZE + 3 * (4 + 3))
#define CONTROLS_AT (8 + 4 + 4 + RUN_ID_SIZE + 1)
#define RANGE_KIND 4

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The entries as the reader will count them: by their sizes. */
static void count_entries(const uint8_t *bytes, size_t size, uint64_t *count, uint64_t *range_bytes)
{
    *count = 0;
    *range_bytes = 0;
    for (size_t position = 0; size - position >= 4;)
    {
        const uint32_t length = load_u32(bytes + position);

        position += 4;
        if (length > size - position)
            break;
        ++*count;
        if (length >= 25 && bytes[position] == RANGE_KIND)
            *range_bytes += load_u64(bytes + position + 17);
        position += length;
    }
}

static void append_crc(Buffer *file)
{
    buffer_append_u32(file, crc32c(file->bytes, file->size));
}

static const uint8_t zeros[3 * CONTROL_FILE_SIZE];

static void make_raw(Buffer *file, const uint8_t *bytes, size_t size)
{
    const size_t before = size < CONTROLS_AT ? size : CONTROLS_AT;

    buffer_append(file, bytes, before);
    if (size > before)
        buffer_append(file, zeros, sizeof(zeros));
    buffer_append(file, bytes + before, size - before);
}

static void make_fitting(Buffer *file, const uint8_t *entries, size_t size)
{
    uint64_t count;
    uint64_t range_bytes;

    buffer_append(file, "PGRWJRNL", 8);
    buffer_append_u32(file, 1);
    buffer_append_u32(file, HEAD_SIZE);
    buffer_append(file, zeros, RUN_ID_SIZE + 1);
    buffer_append(file, zeros, sizeof(zeros));
    for (int i = 0; i < 3; i++)
    {
        buffer_append_u32(file, 3);
        buffer_append(file, "abc", 3);
    }
    buffer_append(file, entries, size);
    count_entries(entries, size, &count, &range_bytes);
    buffer_append_u64(file, count);
    buffer_append_u64(file, range_bytes);
    append_crc(file);
}

static void make_entries(Buffer *entries, const uint8_t *bytes, size_t size)
{
    Cursor cursor = cursor_over(bytes, size);

    while (cursor_left(&cursor) >= 3)
    {
        const uint8_t kind = cursor_u8(&cursor);
        const uint8_t path_size = cursor_u8(&cursor);
        const uint8_t other_size = cursor_u8(&cursor);
        const uint8_t *path = cursor_bytes(&cursor, path_size);
        const uint8_t *other = cursor_bytes(&cursor, other_size);
        uint64_t numbers[3];

        for (int i = 0; i < 3; i++)
            numbers[i] = cursor_left(&cursor) >= 8 ? cursor_u64(&cursor) : 0;
        if (path == NULL || other == NULL)
            break;
        buffer_append_u32(entries, 1 + 3 * 8 + 2 + 2 + (uint32_t) path_size + other_size);
        buffer_append_u8(entries, kind);
        for (int i = 0; i < 3; i++)
            buffer_append_u64(entries, numbers[i]);
        buffer_append_u16(entries, path_size);
        buffer_append(entries, path, path_size);
        buffer_append_u16(entries, other_size);
        buffer_append(entries, other, other_size);
    }
}

/* Is there a part ".." in the path? Not asked of the code that is tested. */
static bool leaves_directory(const char *path)
{
    for (const char *part = path; part != NULL; part = strchr(part, '/'))
    {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
            return true;
    }
    return false;
}

static void check_entry(const JournalEntry *entry)
{
    switch (entry->kind)
    {
    case JOURNAL_MAKE_DIRECTORY:
    case JOURNAL_MAKE_LINK:
    case JOURNAL_INSTALL:
    case JOURNAL_PATCH:
    case JOURNAL_REMOVE:
    case JOURNAL_REMOVE_DIRECTORY:
        if (entry->path[0] == '/' || entry->path[0] == '\0' || leaves_directory(entry->path))
            __builtin_trap();
        break;
    case JOURNAL_RANGE:
    case JOURNAL_WORK_DIRECTORY:
        break;
    default:
        __builtin_trap();
    }
    if ((entry->kind == JOURNAL_INSTALL || entry->kind == JOURNAL_RANGE) &&
        ((strstr(entry->other, WORK_DIRECTORY "/") == NULL &&
          strstr(entry->other, WORK_DIRECTORY_OF "PG_") == NULL) ||
         leaves_directory(entry->other)))
        __builtin_trap();
    if (entry->kind == JOURNAL_WORK_DIRECTORY &&
        (strstr(entry->path, WORK_DIRECTORY) == NULL || leaves_directory(entry->path)))
        __builtin_trap();
    if (entry->kind == JOURNAL_RANGE && entry->offset + entry->size > INT64_MAX)
        __builtin_trap();
}

static void read_journal(void)
{
    static JournalHead head;
    static Error error;
    Arena *arena = arena_create();
    JournalReader *reader = NULL;
    JournalEntry entry;
    uint64_t bytes = 0;
    bool found;
    bool end = false;

    if (journal_open(TARGET, arena, &reader, &head, &found, &error))
    {
        if (!found || strlen(head.run_id) >= RUN_ID_SIZE)
            __builtin_trap();
        (void) (strlen(head.source) + strlen(head.divergence) + strlen(head.backup_label) +
                (head.options != NULL ? strlen(head.options) : 0));
        while (!end)
        {
            /* journal_open has checked the whole file, so no entry fails. */
            if (!journal_next(reader, &entry, &end, &error))
                __builtin_trap();
            if (end)
                break;
            check_entry(&entry);
            if (entry.kind == JOURNAL_RANGE)
                bytes += entry.size;
        }
        if (bytes != journal_bytes(reader))
            __builtin_trap();
        journal_close_reader(reader);
    }
    arena_destroy(arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Buffer file = {0};
    Buffer entries = {0};

    if (size < 1)
        return 0;
    switch (bytes[0] % 4)
    {
    case 0:
    case 1:
        make_raw(&file, bytes + 1, size - 1);
        if (bytes[0] % 4 == 1)
            append_crc(&file);
        break;
    case 2:
        make_fitting(&file, bytes + 1, size - 1);
        break;
    default:
        make_entries(&entries, bytes + 1, size - 1);
        make_fitting(&file, entries.bytes, entries.size);
    }
    memory_files_clear();
    memory_files_put(TARGET "/" WORK_DIRECTORY "/" JOURNAL_NAME, file.bytes, file.size);
    read_journal();
    buffer_free(&entries);
    buffer_free(&file);
    return 0;
}
