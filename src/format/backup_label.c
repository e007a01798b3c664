#include "format/backup_label.h"

#include <stdio.h>
#include <string.h>

bool backup_label_make(const WalShape *shape, Lsn redo, Lsn checkpoint, Timeline timeline,
                       time_t now, Buffer *text, Error *error)
{
    char segment_name[WAL_NAME_SIZE];
    char redo_text[LSN_TEXT_SIZE];
    char checkpoint_text[LSN_TEXT_SIZE];
    char now_text[128];
    struct tm parts;

    if (localtime_r(&now, &parts) == NULL ||
        strftime(now_text, sizeof(now_text), "%Y-%m-%d %H:%M:%S %Z", &parts) == 0)
        return error_set(error, ERROR_FAILED, "could not print the time for file \"%s\"",
                         BACKUP_LABEL_PATH);
    wal_segment_name(shape, timeline, wal_segment_of(shape, redo), segment_name);
    buffer_clear(text);
    buffer_printf(text, "START WAL LOCATION: %s (file %s)\n",
                  lsn_text(shape->version, redo, redo_text), segment_name);
    buffer_printf(text, "CHECKPOINT LOCATION: %s\n",
                  lsn_text(shape->version, checkpoint, checkpoint_text));
    buffer_append_string(text, "BACKUP METHOD: pg_rewind\n");
    buffer_append_string(text, "BACKUP FROM: standby\n");
    buffer_printf(text, "START TIME: %s\n", now_text);
    return true;
}

void backup_label_make_blocker(const char *run_id, Buffer *text)
{
    buffer_clear(text);
    buffer_append_string(text,
                         "pg_rewind has begun to change this data directory and has not finished.\n"
                         "No server can start on it before pg_rewind has finished:\n"
                         "run the same pg_rewind command again. It continues where it stopped.\n"
                         "Do not remove this file or any other file here: that would not help.\n");
    buffer_printf(text, "RUN: %s\n", run_id);
}

bool backup_label_is_blocker(const char *text, size_t size, const char *run_id)
{
    Buffer expected = {0};
    bool equal;

    backup_label_make_blocker(run_id, &expected);
    equal = size == expected.size && memcmp(text, expected.bytes, size) == 0;
    buffer_free(&expected);
    return equal;
}

/* Text before position has been read. */
typedef struct Reader
{
    const char *position;
    const char *end;
    bool failed;
} Reader;

static void expect(Reader *reader, const char *literal)
{
    size_t length = strlen(literal);

    if (reader->failed || length > (size_t) (reader->end - reader->position) ||
        memcmp(reader->position, literal, length) != 0)
        reader->failed = true;
    else
        reader->position += length;
}

/* 1 to digits_max digits. */
static uint32_t take_number(Reader *reader, unsigned base, int digits_max)
{
    uint64_t value = 0;
    int digits = 0;

    for (; !reader->failed && digits < digits_max && reader->position < reader->end; digits++)
    {
        char byte = *reader->position;
        unsigned digit = base;
        if (byte >= '0' && byte <= '9')
            digit = (unsigned) (byte - '0');
        else if (byte >= 'A' && byte <= 'F')
            digit = (unsigned) (byte - 'A') + 10;
        else if (byte >= 'a' && byte <= 'f')
            digit = (unsigned) (byte - 'a') + 10;
        if (digit >= base)
            break;
        value = value * base + digit;
        reader->position++;
    }
    if (digits == 0 || value > UINT32_MAX)
        reader->failed = true;
    return (uint32_t) value;
}

static Lsn take_lsn(Reader *reader)
{
    Lsn high = take_number(reader, 16, 8);

    expect(reader, "/");
    return high << 32 | take_number(reader, 16, 8);
}

/* START TIMELINE, where there is one (base backups of 11 and later), repeats the file's timeline.
 */
static bool start_timeline_agrees(Reader reader, Timeline timeline)
{
    static const char literal[] = "START TIMELINE: ";

    while (reader.position < reader.end)
    {
        const char *newline =
            memchr(reader.position, '\n', (size_t) (reader.end - reader.position));
        Reader line = reader;
        expect(&line, literal);
        if (!line.failed)
            return take_number(&line, 10, 10) == timeline && !line.failed;
        if (newline == NULL)
            return true;
        reader.position = newline + 1;
    }
    return true;
}

void backup_label_parse(const char *text, size_t size, bool *valid, Lsn *redo, Lsn *checkpoint,
                        Timeline *timeline)
{
    Reader reader = {text, text + size, false};

    expect(&reader, "START WAL LOCATION: ");
    *redo = take_lsn(&reader);
    expect(&reader, " (file ");
    *timeline = take_number(&reader, 16, 8);
    take_number(&reader, 16, 8);
    take_number(&reader, 16, 8);
    expect(&reader, ")\nCHECKPOINT LOCATION: ");
    *checkpoint = take_lsn(&reader);
    expect(&reader, "\n");
    *valid = !reader.failed && *redo <= LSN_HIGHEST && *checkpoint <= LSN_HIGHEST &&
             start_timeline_agrees(reader, *timeline);
}
