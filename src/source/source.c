#include "source/source.h"

#include "base/text_cursor.h"
#include "format/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define CONTROL_ATTEMPTS_MAX 10
#define CONTROL_PAUSE_NANOSECONDS 20000000L
#define HISTORY_SIZE_MAX (16 * 1024 * 1024)

bool source_control_read(SourceControlRead read, void *context, const char *name, Control *control,
                         Error *error)
{
    Buffer buffer = {0};
    bool crc_wrong = false;
    bool success = false;

    for (int attempt = 1; attempt <= CONTROL_ATTEMPTS_MAX; attempt++)
    {
        struct timespec pause = {.tv_nsec = CONTROL_PAUSE_NANOSECONDS};

        buffer_clear(&buffer);
        crc_wrong = false;
        if (!read(context, &buffer, error))
            break;
        success = control_parse(buffer.bytes, buffer.size, name, control, &crc_wrong, error);
        if (success || !crc_wrong)
            break;
        /* A running server may have been writing it while it was read. */
        nanosleep(&pause, NULL);
    }
    buffer_free(&buffer);
    return success;
}

/* *is_on: this timeline came out of pg_control's, and begins where the standby has been. */
static bool is_on_timeline(Source *source, const Control *control, Timeline timeline, Lsn replayed,
                           bool *is_on, Error *error)
{
    Timeline old = control_timeline(control);
    char name[HISTORY_NAME_SIZE], path[64];
    Arena *arena = arena_create();
    Buffer text = {0};
    History history;
    bool result;

    *is_on = false;
    history_file_name(timeline, name);
    snprintf(path, sizeof(path), "%s/%s", control->version->wal_directory, name);
    result = source->operations->read_file(source, path, HISTORY_SIZE_MAX, &text, is_on, error);
    if (result && *is_on)
    {
        result =
            history_parse(arena, timeline, (const char *) text.bytes, text.size, &history, error);
        *is_on = false;
        for (size_t i = 0; result && i + 1 < history.count; i++)
            *is_on = *is_on || (history.entries[i].timeline == old &&
                                history.entries[i].end >= control->min_recovery_point);
        if (result && replayed != LSN_INVALID &&
            history.entries[history.count - 1].begin > replayed)
            *is_on = false;
    }
    buffer_free(&text);
    arena_destroy(arena);
    return result;
}

bool source_standby_timeline(Source *source, const Control *control, const char *newer,
                             Lsn replayed, Timeline *timeline, Error *error)
{
    TextCursor left = text_cursor(newer);
    Timeline candidate;

    *timeline = control_timeline(control);
    for (text_skip_blanks(&left); text_take_hex(&left, 8, &candidate); text_skip_blanks(&left))
    {
        bool is_on;

        if (candidate <= *timeline)
            continue;
        if (!is_on_timeline(source, control, candidate, replayed, &is_on, error))
            return false;
        if (is_on)
            *timeline = candidate;
    }
    return true;
}

uint32_t source_piece_size(const Source *source, uint32_t most)
{
    return rate_piece(source->rate, most);
}

void source_close(Source *source)
{
    if (source != NULL)
        source->operations->close(source);
}
