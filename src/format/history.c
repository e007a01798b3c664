#include "format/history.h"

#include <assert.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define ENTRIES_MAX 100000
#define LINE_SHOWN_MAX 1000 /* bytes of a bad line that an error shows */

void history_file_name(Timeline timeline, char name[HISTORY_NAME_SIZE])
{
    snprintf(name, HISTORY_NAME_SIZE, "%08X.history", timeline);
}

bool history_file_name_parse(const char *name, Timeline *timeline)
{
    if (strlen(name) != HISTORY_NAME_SIZE - 1 || strcmp(name + 8, ".history") != 0)
        return false;
    *timeline = 0;
    for (int i = 0; i < 8; i++)
    {
        char digit = name[i];
        if (digit >= '0' && digit <= '9')
            *timeline = *timeline << 4 | (uint32_t) (digit - '0');
        else if (digit >= 'A' && digit <= 'F')
            *timeline = *timeline << 4 | (uint32_t) (digit - 'A' + 10);
        else
            return false;
    }
    return *timeline != 0;
}

/* What is left of a line. */
typedef struct Line
{
    const char *position;
    const char *end;
} Line;

static bool is_blank(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static void skip_blanks(Line *line)
{
    while (line->position < line->end && is_blank(*line->position))
        line->position++;
}

/* A number of 32 bits; false, and the line as it was, where there is none or it is too large. */
static bool take_number(Line *line, unsigned base, uint32_t *value)
{
    const char *position = line->position;
    uint64_t number = 0;

    for (; position < line->end; position++)
    {
        char byte = *position;
        unsigned digit = base;
        if (byte >= '0' && byte <= '9')
            digit = (unsigned) (byte - '0');
        else if (byte >= 'A' && byte <= 'F')
            digit = (unsigned) (byte - 'A') + 10;
        else if (byte >= 'a' && byte <= 'f')
            digit = (unsigned) (byte - 'a') + 10;
        if (digit >= base)
            break;
        number = number * base + digit;
        if (number > UINT32_MAX)
            return false;
    }
    if (position == line->position)
        return false;
    line->position = position;
    *value = (uint32_t) number;
    return true;
}

/* XXXXXXXX/XXXXXXXX. The rest of the line is a reason for people. */
static bool take_lsn(Line *line, Lsn *lsn)
{
    uint32_t high;
    uint32_t low;

    skip_blanks(line);
    if (!take_number(line, 16, &high))
        return false;
    if (line->position == line->end || *line->position != '/')
        return false;
    line->position++;
    if (!take_number(line, 16, &low))
        return false;
    *lsn = (Lsn) high << 32 | low;
    return true;
}

static bool error_line(const Line *whole, Error *error, const char *what, const char *detail)
{
    size_t size = (size_t) (whole->end - whole->position);

    if (size > LINE_SHOWN_MAX)
        size = LINE_SHOWN_MAX;
    error_set(error, ERROR_FAILED, "%s in history file: %.*s", what, (int) size, whole->position);
    return error_detail(error, "%s", detail);
}

static bool add_line(Line line, History *history, Error *error)
{
    const Line whole = line;
    const HistoryEntry *last = history->count == 0 ? NULL : &history->entries[history->count - 1];
    Timeline timeline;
    Lsn switch_point;

    if (!take_number(&line, 10, &timeline))
        return error_line(&whole, error, "syntax error", "Expected a numeric timeline ID.");
    if (!take_lsn(&line, &switch_point))
        return error_line(&whole, error, "syntax error",
                          "Expected a write-ahead log switchpoint location.");
    /* 0 stands for no end, in the last entry only. */
    if (switch_point == LSN_INVALID || switch_point > LSN_HIGHEST)
        return error_line(&whole, error, "invalid data", "No timeline ends there.");
    if (timeline == 0 || (last != NULL && timeline <= last->timeline))
        return error_line(&whole, error, "invalid data",
                          "Timeline IDs must be in increasing sequence.");
    if (history->count == ENTRIES_MAX)
        return error_line(&whole, error, "too many timelines", "The limit is 100000.");
    history->entries[history->count++] = (HistoryEntry){.timeline = timeline, .end = switch_point};
    return true;
}

/*
 * A standby that is promoted before it reaches the switch of the timeline that it aims at writes
 * its own switch point after a later one. It never had what lies between them: the server looks for
 * a position from the newest entry on, so the last point cuts all before it.
 */
static void join_entries(History *history)
{
    for (size_t i = history->count; i-- > 1;)
        if (history->entries[i - 1].end > history->entries[i].end)
            history->entries[i - 1].end = history->entries[i].end;
    for (size_t i = 1; i < history->count; i++)
        history->entries[i].begin = history->entries[i - 1].end;
}

static size_t count_lines(const char *text, size_t size)
{
    size_t lines = 1;

    for (size_t i = 0; i < size; i++)
        if (text[i] == '\n')
            lines++;
    return lines;
}

bool history_parse(Arena *arena, Timeline timeline, const char *text, size_t size, History *history,
                   Error *error)
{
    size_t lines = text == NULL ? 0 : count_lines(text, size);
    const char *end = text == NULL ? NULL : text + size;

    history->count = 0;
    history->entries = arena_allocate(arena, ((lines > ENTRIES_MAX ? ENTRIES_MAX : lines) + 1) *
                                                 sizeof(HistoryEntry));
    for (const char *start = text; start < end;)
    {
        const char *newline = memchr(start, '\n', (size_t) (end - start));
        Line line = {start, newline == NULL ? end : newline};

        start = newline == NULL ? end : newline + 1;
        skip_blanks(&line);
        if (line.position == line.end || *line.position == '#')
            continue;
        if (!add_line(line, history, error))
            return false;
    }

    if (history->count > 0 && history->entries[history->count - 1].timeline >= timeline)
    {
        error_set(error, ERROR_FAILED, "invalid data in history file"); /* contract */
        return error_detail(error, "Timeline IDs must be less than child timeline's ID.");
    }
    history->entries[history->count++] = (HistoryEntry){.timeline = timeline, .end = LSN_HIGHEST};
    join_entries(history);
    history->entries[history->count - 1].end = LSN_INVALID;
    return true;
}

size_t history_entry_at(const History *history, Lsn lsn)
{
    for (size_t i = 0; i + 1 < history->count; i++)
        if (lsn < history->entries[i].end)
            return i;
    return history->count - 1;
}

Timeline history_timeline_at(const History *history, Lsn lsn)
{
    return history->entries[history_entry_at(history, lsn)].timeline;
}

Timeline history_timeline_of_segment(const History *history, Lsn segment_start, Lsn segment_end)
{
    assert(segment_start < segment_end);
    for (size_t i = history->count; i-- > 1;)
        if (history->entries[i].begin < segment_end)
            return history->entries[i].timeline;
    return history->entries[0].timeline;
}

bool history_common(const History *a, const History *b, size_t *index, Lsn *end)
{
    size_t equal = 0;

    while (equal < a->count && equal < b->count &&
           a->entries[equal].timeline == b->entries[equal].timeline &&
           a->entries[equal].begin == b->entries[equal].begin)
        equal++;
    if (equal == 0)
        return false;
    *index = equal - 1;

    Lsn end_a = a->entries[*index].end;
    Lsn end_b = b->entries[*index].end;
    if (end_a == LSN_INVALID || (end_b != LSN_INVALID && end_b < end_a))
        *end = end_b;
    else
        *end = end_a;
    return true;
}
