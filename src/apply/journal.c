/*
 * Format of the journal, little-endian: magic, format, size of the head, head | entries, each after
 * its size | trailer: count of entries, bytes of all ranges, CRC-32C of everything before the CRC.
 */
#include "apply/journal.h"

#include "format/crc32c.h"
#include "io/file.h"
#include "plan/listing.h"

#include <stdlib.h>
#include <string.h>

#define JOURNAL_MAGIC "PGRWJRNL"
#define MAGIC_SIZE 8
#define JOURNAL_FORMAT 3
/* Formats of builds before 1.1.0, which are still read. Format 2 differs from 3 by its number
 * alone. (Rule I78.) */
#define JOURNAL_FORMAT_WITHOUT_OPTIONS 1
#define JOURNAL_FORMAT_OF_1_0_0 2
#define FRONT_SIZE (MAGIC_SIZE + 4 + 4)
#define TRAILER_SIZE (8 + 8 + 4)
#define HEAD_SIZE_MAX (1024 * 1024)
#define STRING_SIZE_MAX 65535
#define ENTRY_FIXED_SIZE (1 + 3 * 8 + 2 + 2)
#define ENTRY_SIZE_MAX (ENTRY_FIXED_SIZE + 2 * STRING_SIZE_MAX)
#define WINDOW_SIZE (4 + ENTRY_SIZE_MAX + 65536)
#define FLUSH_SIZE 65536

struct JournalWriter
{
    const char *target_directory;
    Buffer path_buffer;
    const char *path; /* path of journal.new, in path_buffer */
    int fd;
    Buffer buffer; /* bytes that are not yet written */
    uint64_t offset;
    uint32_t crc;
    uint64_t count;
    uint64_t range_bytes;
};

struct JournalReader
{
    Buffer path_buffer;
    const char *path;
    int fd;
    uint64_t entries_begin, entries_end; /* offsets into the file */
    uint64_t offset;                     /* offset of the next entry in the file */
    uint64_t count;                      /* number of entries, from the trailer */
    uint64_t range_bytes;
    uint64_t window_offset; /* offset of the window in the file */
    size_t window_size;
    uint32_t format;
    uint8_t window[WINDOW_SIZE];
    char strings[2 * (STRING_SIZE_MAX + 1)]; /* path and other of the last entry that was read */
};

const char *target_path(Buffer *buffer, const char *target_directory, const char *path)
{
    return path_in(buffer, path[0] == '/' ? "" : target_directory, path);
}

/* ---- Checks, the same before writing and after reading ---- */

bool path_is_work(const char *path, bool inside)
{
    static const char in_tablespace[] = WORK_DIRECTORY_OF "PG_";
    const char *end = inside ? strrchr(path, '/') : path + strlen(path);
    const char *name = end;

    if (end == NULL || !path_is_safe(path[0] == '/' ? path + 1 : path))
        return false;
    while (name > path && name[-1] != '/')
        name--;
    return strncmp(name, in_tablespace, strlen(in_tablespace)) == 0 ||
           ((size_t) (end - name) == strlen(WORK_DIRECTORY) &&
            strncmp(name, WORK_DIRECTORY, strlen(WORK_DIRECTORY)) == 0);
}

static bool entry_is_valid(const JournalEntry *entry)
{
    const bool has_other = entry->other[0] != '\0';

    switch (entry->kind)
    {
    case JOURNAL_MAKE_DIRECTORY:
    case JOURNAL_REMOVE:
    case JOURNAL_REMOVE_DIRECTORY:
    case JOURNAL_PATCH:
        return path_is_safe(entry->path) && !has_other;
    case JOURNAL_MAKE_LINK:
        return path_is_safe(entry->path) && has_other;
    case JOURNAL_INSTALL:
        return path_is_safe(entry->path) && path_is_work(entry->other, true);
    case JOURNAL_RANGE:
        return entry->path[0] == '\0' && path_is_work(entry->other, true) &&
               entry->size <= INT64_MAX && entry->offset <= INT64_MAX - entry->size &&
               entry->data_offset <= INT64_MAX - entry->size;
    case JOURNAL_WORK_DIRECTORY:
        return path_is_work(entry->path, false) && !has_other;
    }
    return false;
}

/* ---- Writing ---- */

static bool writer_flush(JournalWriter *writer, Error *error)
{
    if (!file_write_at(writer->fd, writer->path, writer->buffer.bytes, writer->buffer.size,
                       writer->offset, error))
        return false;
    writer->crc = crc32c_update(writer->crc, writer->buffer.bytes, writer->buffer.size);
    writer->offset += writer->buffer.size;
    buffer_clear(&writer->buffer);
    return true;
}

static void append_long_string(Buffer *buffer, const char *string)
{
    const size_t length = strlen(string);

    buffer_append_u32(buffer, (uint32_t) length);
    buffer_append(buffer, string, length);
}

static void append_head(Buffer *buffer, const JournalHead *head)
{
    size_t begin;

    buffer_append(buffer, JOURNAL_MAGIC, MAGIC_SIZE);
    buffer_append_u32(buffer, JOURNAL_FORMAT);
    buffer_append_u32(buffer, 0); /* the head's size, which is set below */
    begin = buffer->size;
    buffer_append(buffer, head->run_id, RUN_ID_SIZE);
    buffer_append_u8(buffer, head->group_access ? 1 : 0);
    buffer_append(buffer, head->old_control, CONTROL_FILE_SIZE);
    buffer_append(buffer, head->poison, CONTROL_FILE_SIZE);
    buffer_append(buffer, head->new_control, CONTROL_FILE_SIZE);
    append_long_string(buffer, head->source);
    append_long_string(buffer, head->divergence);
    append_long_string(buffer, head->backup_label);
    append_long_string(buffer, head->options);
    store_u32(buffer->bytes + begin - 4, (uint32_t) (buffer->size - begin));
}

void journal_discard(JournalWriter *writer)
{
    file_close(writer->fd);
    buffer_free(&writer->path_buffer);
    buffer_free(&writer->buffer);
    free(writer);
}

bool journal_create(const char *target_directory, const JournalHead *head, JournalWriter **writer,
                    Error *error)
{
    JournalWriter *made = memory_allocate_zeroed(1, sizeof(JournalWriter));

    *writer = made;
    made->target_directory = target_directory;
    made->path = target_path(&made->path_buffer, target_directory, JOURNAL_PATH ".new");
    made->fd = -1;
    made->crc = CRC32C_INIT;
    append_head(&made->buffer, head);
    if (made->buffer.size - FRONT_SIZE > HEAD_SIZE_MAX)
        return error_set(error, ERROR_FAILED, "the texts for the journal are too long");
    return file_create(made->path, CREATE_EMPTY, &made->fd, error);
}

bool journal_add(JournalWriter *writer, const JournalEntry *entry, Error *error)
{
    JournalEntry checked = *entry;
    size_t path_length;
    size_t other_length;

    checked.path = entry->path != NULL ? entry->path : "";
    checked.other = entry->other != NULL ? entry->other : "";
    path_length = strlen(checked.path);
    other_length = strlen(checked.other);
    if (path_length > STRING_SIZE_MAX || other_length > STRING_SIZE_MAX ||
        !entry_is_valid(&checked))
        return error_set(error, ERROR_FAILED,
                         "path \"%s\" or \"%s\" cannot be written to the journal", checked.path,
                         checked.other);

    buffer_append_u32(&writer->buffer, (uint32_t) (ENTRY_FIXED_SIZE + path_length + other_length));
    buffer_append_u8(&writer->buffer, (uint8_t) checked.kind);
    buffer_append_u64(&writer->buffer, checked.offset);
    buffer_append_u64(&writer->buffer, checked.data_offset);
    buffer_append_u64(&writer->buffer, checked.size);
    buffer_append_u16(&writer->buffer, (uint16_t) path_length);
    buffer_append(&writer->buffer, checked.path, path_length);
    buffer_append_u16(&writer->buffer, (uint16_t) other_length);
    buffer_append(&writer->buffer, checked.other, other_length);
    writer->count++;
    if (checked.kind == JOURNAL_RANGE)
        writer->range_bytes += checked.size;
    return writer->buffer.size < FLUSH_SIZE || writer_flush(writer, error);
}

/* Write the trailer, whose CRC covers all bytes before the CRC. */
static bool write_trailer(JournalWriter *writer, Error *error)
{
    buffer_append_u64(&writer->buffer, writer->count);
    buffer_append_u64(&writer->buffer, writer->range_bytes);
    if (!writer_flush(writer, error))
        return false;
    buffer_append_u32(&writer->buffer, crc32c_finish(writer->crc));
    return writer_flush(writer, error);
}

/* Read the journal from the disk with all checks, as the apply will. */
static bool read_back(const JournalWriter *writer, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    JournalHead *head = arena_allocate(arena, sizeof(JournalHead));
    JournalReader *reader;
    bool same;

    if (!journal_open(writer->target_directory, arena, &reader, head, NULL, error))
        return false;
    same = reader->count == writer->count;
    journal_close_reader(reader);
    return same ||
           error_set(error, ERROR_FAILED, "the journal that was just written cannot be read back");
}

bool journal_close(JournalWriter *writer, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    const bool ok =
        write_trailer(writer, error) && file_sync(writer->fd, writer->path, error) &&
        durable_rename(writer->path, target_path(&path, writer->target_directory, JOURNAL_PATH),
                       error) &&
        read_back(writer, error);

    journal_discard(writer);
    return ok;
}

/* ---- Reading ---- */

static bool error_damaged(const JournalReader *reader, Error *error)
{
    error_set(error, ERROR_FAILED, "journal \"%s\" is damaged", reader->path);
    return error_detail(error, "It was written by pg_rewind to finish a rewind of this directory "
                               "after an interruption.");
}

static bool read_exactly(const JournalReader *reader, void *bytes, size_t size, uint64_t offset,
                         Error *error)
{
    size_t length;

    if (!file_read_at(reader->fd, reader->path, bytes, size, offset, &length, error))
        return false;
    if (length != size)
        return error_damaged(reader, error);
    return true;
}

/* Check size, CRC and front, and locate the entries. */
static bool check_whole_file(JournalReader *reader, uint64_t size, uint32_t *head_size,
                             Error *error)
{
    uint8_t trailer[TRAILER_SIZE];
    uint8_t front[FRONT_SIZE];
    uint32_t crc = CRC32C_INIT;
    Cursor cursor;

    if (size < FRONT_SIZE + TRAILER_SIZE)
        return error_damaged(reader, error);
    for (uint64_t offset = 0; offset < size - 4;)
    {
        const uint64_t left = size - 4 - offset;
        const size_t piece = left < WINDOW_SIZE ? (size_t) left : WINDOW_SIZE;

        if (!read_exactly(reader, reader->window, piece, offset, error))
            return false;
        crc = crc32c_update(crc, reader->window, piece);
        offset += piece;
    }
    if (!read_exactly(reader, trailer, sizeof(trailer), size - TRAILER_SIZE, error) ||
        !read_exactly(reader, front, sizeof(front), 0, error))
        return false;
    cursor = cursor_over(trailer, sizeof(trailer));
    reader->count = cursor_u64(&cursor);
    reader->range_bytes = cursor_u64(&cursor);
    if (cursor_u32(&cursor) != crc32c_finish(crc) || memcmp(front, JOURNAL_MAGIC, MAGIC_SIZE) != 0)
        return error_damaged(reader, error);

    cursor = cursor_over(front, sizeof(front));
    cursor_skip(&cursor, MAGIC_SIZE);
    reader->format = cursor_u32(&cursor);
    if (reader->format < JOURNAL_FORMAT_WITHOUT_OPTIONS || reader->format > JOURNAL_FORMAT)
    {
        error_set(error, ERROR_FAILED, "journal \"%s\" was written by another version of pg_rewind",
                  reader->path);
        return error_hint(error, "Finish the rewind with the version that began it.");
    }
    *head_size = cursor_u32(&cursor);
    if (*head_size > HEAD_SIZE_MAX || *head_size > size - FRONT_SIZE - TRAILER_SIZE)
        return error_damaged(reader, error);
    reader->entries_begin = FRONT_SIZE + *head_size;
    reader->entries_end = size - TRAILER_SIZE;
    return true;
}

static const char *take_long_string(Cursor *cursor, Arena *arena)
{
    const uint32_t length = cursor_u32(cursor);
    const uint8_t *bytes = cursor_bytes(cursor, length);

    return bytes != NULL ? arena_strndup(arena, (const char *) bytes, length) : "";
}

static void take_array(Cursor *cursor, void *out, size_t size)
{
    const uint8_t *bytes = cursor_bytes(cursor, size);

    if (bytes != NULL)
        memcpy(out, bytes, size);
}

static bool read_head(JournalReader *reader, uint32_t head_size, Arena *arena, JournalHead *head,
                      Error *error)
{
    uint8_t *bytes = arena_allocate(arena, head_size);
    Cursor cursor = cursor_over(bytes, head_size);

    if (!read_exactly(reader, bytes, head_size, FRONT_SIZE, error))
        return false;
    *head = (JournalHead){0};
    take_array(&cursor, head->run_id, RUN_ID_SIZE);
    head->group_access = cursor_u8(&cursor) != 0;
    take_array(&cursor, head->old_control, CONTROL_FILE_SIZE);
    take_array(&cursor, head->poison, CONTROL_FILE_SIZE);
    take_array(&cursor, head->new_control, CONTROL_FILE_SIZE);
    head->source = take_long_string(&cursor, arena);
    head->divergence = take_long_string(&cursor, arena);
    head->backup_label = take_long_string(&cursor, arena);
    head->options =
        reader->format != JOURNAL_FORMAT_WITHOUT_OPTIONS ? take_long_string(&cursor, arena) : NULL;
    head->is_of_earlier = reader->format <= JOURNAL_FORMAT_OF_1_0_0;
    if (cursor.failed || cursor_left(&cursor) != 0 || head->run_id[RUN_ID_SIZE - 1] != '\0')
        return error_damaged(reader, error);
    return true;
}

/* Set *bytes to `size` bytes of the entries at reader->offset, in the window. */
static bool window_take(JournalReader *reader, size_t size, const uint8_t **bytes, Error *error)
{
    if (size > WINDOW_SIZE || size > reader->entries_end - reader->offset)
        return error_damaged(reader, error);
    if (reader->offset < reader->window_offset ||
        reader->offset - reader->window_offset > reader->window_size ||
        size > reader->window_size - (size_t) (reader->offset - reader->window_offset))
    {
        const uint64_t left = reader->entries_end - reader->offset;
        const size_t piece = left < WINDOW_SIZE ? (size_t) left : WINDOW_SIZE;

        reader->window_size = 0;
        if (!read_exactly(reader, reader->window, piece, reader->offset, error))
            return false;
        reader->window_offset = reader->offset;
        reader->window_size = piece;
    }
    *bytes = reader->window + (reader->offset - reader->window_offset);
    return true;
}

/* Read a string of at most STRING_SIZE_MAX bytes into out and return its length. A NUL inside fails
 * the cursor. */
static size_t take_string(Cursor *cursor, char *out)
{
    const uint16_t length = cursor_u16(cursor);
    const uint8_t *bytes = cursor_bytes(cursor, length);

    if (bytes == NULL || memchr(bytes, '\0', length) != NULL)
    {
        cursor->failed = true;
        out[0] = '\0';
        return 0;
    }
    memcpy(out, bytes, length);
    out[length] = '\0';
    return length;
}

bool journal_next(JournalReader *reader, JournalEntry *entry, bool *end, Error *error)
{
    const uint8_t *bytes;
    uint32_t size;
    size_t path_length;
    Cursor cursor;

    *end = reader->offset == reader->entries_end;
    if (*end)
        return true;
    if (!window_take(reader, 4, &bytes, error))
        return false;
    size = load_u32(bytes);
    if (size > ENTRY_SIZE_MAX)
        return error_damaged(reader, error);
    if (!window_take(reader, 4 + (size_t) size, &bytes, error))
        return false;

    cursor = cursor_over(bytes + 4, size);
    *entry = (JournalEntry){.kind = (JournalKind) cursor_u8(&cursor)};
    entry->offset = cursor_u64(&cursor);
    entry->data_offset = cursor_u64(&cursor);
    entry->size = cursor_u64(&cursor);
    path_length = take_string(&cursor, reader->strings);
    entry->path = reader->strings;
    entry->other = reader->strings + path_length + 1;
    take_string(&cursor, reader->strings + path_length + 1);
    if (cursor.failed || cursor_left(&cursor) != 0 || !entry_is_valid(entry))
        return error_damaged(reader, error);
    reader->offset += 4 + (uint64_t) size;
    return true;
}

/* Read every entry, and check their number and bytes against the trailer. */
static bool check_all_entries(JournalReader *reader, Error *error)
{
    JournalEntry entry;
    uint64_t count = 0, range_bytes = 0;
    bool end;

    for (journal_restart(reader);; count++)
    {
        if (!journal_next(reader, &entry, &end, error))
            return false;
        if (end)
            break;
        if (entry.kind == JOURNAL_RANGE)
            range_bytes += entry.size;
    }
    journal_restart(reader);
    if (count != reader->count || range_bytes != reader->range_bytes)
        return error_damaged(reader, error);
    return true;
}

static bool open_and_check(JournalReader *reader, Arena *arena, JournalHead *head, bool *found,
                           Error *error)
{
    struct stat status;
    uint32_t head_size = 0;

    if (!file_lstat(reader->path, &status, found, error))
        return false;
    if (!*found)
        return true;
    if (!S_ISREG(status.st_mode))
        return error_damaged(reader, error);
    return file_open_read(reader->path, &reader->fd, NULL, error) &&
           check_whole_file(reader, (uint64_t) status.st_size, &head_size, error) &&
           read_head(reader, head_size, arena, head, error) && check_all_entries(reader, error);
}

bool journal_open(const char *target_directory, Arena *arena, JournalReader **reader,
                  JournalHead *head, bool *found, Error *error)
{
    JournalReader *made = memory_allocate_zeroed(1, sizeof(JournalReader));
    bool ok, there = false;

    made->path = target_path(&made->path_buffer, target_directory, JOURNAL_PATH);
    made->fd = -1;
    ok = open_and_check(made, arena, head, &there, error);
    if (found != NULL)
        *found = there;
    else if (ok && !there)
        ok = error_set(error, ERROR_FAILED, "there is no journal in \"%s\"", target_directory);
    if (reader != NULL)
        *reader = ok && there ? made : NULL;
    if (reader == NULL || *reader == NULL)
        journal_close_reader(made);
    return ok;
}

void journal_restart(JournalReader *reader)
{
    reader->offset = reader->entries_begin;
}

uint64_t journal_bytes(const JournalReader *reader)
{
    return reader->range_bytes;
}

void journal_close_reader(JournalReader *reader)
{
    if (reader == NULL)
        return;
    file_close(reader->fd);
    buffer_free(&reader->path_buffer);
    free(reader);
}

bool journal_check_place(const JournalReader *reader, const char *target_directory, Error *error)
{
    struct stat opened, status;
    bool found;

    if (fstat(reader->fd, &opened) != 0)
        return error_set_errno(error, "could not stat file \"%s\"", reader->path);
    if (!file_lstat(reader->path, &status, &found, error))
        return false;
    if (found && status.st_dev == opened.st_dev && status.st_ino == opened.st_ino)
        return true;
    error_set(error, ERROR_FAILED, "directory \"%s\" was replaced by another one",
              target_directory);
    return error_hint(error, "Nothing more is done with it. The former one, wherever it is now, is "
                             "half rewound: no server can use it.");
}

/* ---- Options ---- */

#define STANDBY_OPTION "--write-recovery-conf"
#define SLOT_OPTION "--slot="

static bool has_line(const char *text, const TextCursor *line)
{
    const size_t length = (size_t) (line->end - line->position);
    TextCursor left = text_cursor(text), found;

    while (text_take_line(&left, &found))
        if ((size_t) (found.end - found.position) == length &&
            memcmp(found.position, line->position, length) == 0)
            return true;
    return false;
}

void journal_options_missing(const char *text, const char *other, bool still_heeded,
                             Buffer *options)
{
    TextCursor left = text_cursor(text), line;

    while (text_take_line(&left, &line))
    {
        TextCursor option = line;

        if (text_at_end(&line) || has_line(other, &line) ||
            (!still_heeded &&
             (text_take(&option, STANDBY_OPTION) || text_take(&option, SLOT_OPTION))))
            continue;
        buffer_printf(options, "%s%.*s", options->size > 0 ? ", " : "",
                      (int) (line.end - line.position), line.position);
    }
}
