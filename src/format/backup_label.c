#include "format/backup_label.h"

#include <string.h>

bool backup_label_make(const WalShape *shape, Lsn redo, Lsn checkpoint, Timeline timeline,
                       time_t now, Buffer *text, Error *error)
{
    char segment_name[WAL_NAME_SIZE];
    char now_text[128];
    struct tm parts;

    if (localtime_r(&now, &parts) == NULL ||
        strftime(now_text, sizeof(now_text), "%Y-%m-%d %H:%M:%S %Z", &parts) == 0)
        return error_set(error, ERROR_FAILED, "could not print the time for file \"%s\"",
                         BACKUP_LABEL_PATH);
    wal_segment_name(shape, timeline, wal_segment_of(shape, redo), segment_name);
    buffer_clear(text);
    buffer_printf(text,
                  "START WAL LOCATION: %s (file %s)\n"
                  "CHECKPOINT LOCATION: %s\n"
                  "BACKUP METHOD: pg_rewind\n"
                  "BACKUP FROM: standby\n"
                  "START TIME: %s\n",
                  LSN_TEXT(shape->version, redo), segment_name,
                  LSN_TEXT(shape->version, checkpoint), now_text);
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
    AUTO_BUFFER Buffer expected = {0};

    backup_label_make_blocker(run_id, &expected);
    return size == expected.size && memcmp(text, expected.bytes, size) == 0;
}

void backup_label_parse(const char *text, size_t size, bool *valid, Lsn *redo, Lsn *checkpoint,
                        Timeline *timeline)
{
    TextCursor label = {text, text + size}, line;
    uint32_t segment_high, segment_low;
    Timeline start_timeline;

    *valid = text_take(&label, "START WAL LOCATION: ") && lsn_take(&label, redo) &&
             text_take(&label, " (file ") && text_take_hex(&label, 8, timeline) &&
             text_take_hex(&label, 8, &segment_high) && text_take_hex(&label, 8, &segment_low) &&
             text_take(&label, ")\nCHECKPOINT LOCATION: ") && lsn_take(&label, checkpoint) &&
             text_take(&label, "\n") && *redo <= LSN_HIGHEST && *checkpoint <= LSN_HIGHEST;
    /* START TIMELINE, which base backups of 11 and later have, must be the timeline of the file's
     * name. */
    while (*valid && text_take_line(&label, &line))
        if (text_take(&line, "START TIMELINE: "))
            *valid = text_take_u32(&line, &start_timeline) && start_timeline == *timeline;
}
