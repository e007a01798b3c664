#include "format/history.h"

#include <stdio.h>
#include <string.h>

#define ENTRIES_MAX 100000
/* "1A/1" (timeline 1, switch point A/1) and a newline, which the last line may lack. */
#define ENTRY_SIZE_MIN 5
#define LINE_SHOWN_MAX 1000 /* bytes of an invalid line that an error message shows */

void history_file_name(Timeline timeline, char name[HISTORY_NAME_SIZE])
{
    snprintf(name, HISTORY_NAME_SIZE, "%08X.history", timeline);
}

bool history_file_name_parse(const char *name, Timeline *timeline)
{
    TextCursor text = text_cursor(name);

    return strspn(name, UPPER_HEX_DIGITS) == 8 && text_take_hex(&text, 8, timeline) &&
           strcmp(text.position, ".history") == 0 && *timeline != 0;
}

static bool error_line(const TextCursor *whole, Error *error, const char *what, const char *detail)
{
    size_t size = (size_t) (whole->end - whole->position);

    if (size > LINE_SHOWN_MAX)
        size = LINE_SHOWN_MAX;
    error_set(error, ERROR_FAILED, "%s in history file: %.*s", what, (int) size, whole->position);
    return error_detail(error, "%s", detail);
}

static bool add_line(TextCursor line, History *history, Error *error)
{
    const TextCursor whole = line;
    const HistoryEntry *last = history->count == 0 ? NULL : &history->entries[history->count - 1];
    Timeline timeline;
    Lsn switch_point;

    if (!text_take_u32(&line, &timeline))
        return error_line(&whole, error, "syntax error", "Expected a numeric timeline ID.");
    /* The rest of the line, after the switch point, is a reason for people. */
    text_skip_blanks(&line);
    if (!lsn_take(&line, &switch_point))
        return error_line(&whole, error, "syntax error",
                          "Expected a write-ahead log switchpoint location.");
    /* 0 is our sign for an entry without an end. */
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

bool history_parse(Arena *arena, Timeline timeline, const char *text, size_t size, History *history,
                   Error *error)
{
    const size_t entries_max = size / ENTRY_SIZE_MIN + 1;
    TextCursor left = {text, text == NULL ? NULL : text + size};
    TextCursor line;

    *history = (History){0};
    history->entries =
        arena_allocate(arena, ((entries_max > ENTRIES_MAX ? ENTRIES_MAX : entries_max) + 1) *
                                  sizeof(HistoryEntry));
    while (text_take_line(&left, &line))
    {
        text_skip_blanks(&line);
        if (text_at_end(&line) || *line.position == '#')
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
    /*
     * End earlier entries at later switch points that lie before theirs. A standby that is promoted
     * before it reaches the switch to its target timeline writes its own, earlier switch point
     * after a later one. It never had the WAL between the two: the server searches a position from
     * the newest entry backwards.
     */
    for (size_t i = history->count; i-- > 1;)
        if (history->entries[i - 1].end > history->entries[i].end)
            history->entries[i - 1].end = history->entries[i].end;
    for (size_t i = 1; i < history->count; i++)
        history->entries[i].begin = history->entries[i - 1].end;
    history->entries[history->count - 1].end = LSN_INVALID;
    return true;
}

void history_complete(Arena *arena, History *history, const History *other)
{
    const HistoryEntry *first = &history->entries[0];
    size_t added = 0;
    HistoryEntry *entries;

    while (added < other->count && other->entries[added].timeline < first->timeline)
        added++;
    if (added == 0 || added == other->count || other->entries[added].timeline != first->timeline)
        return;
    entries = arena_allocate(arena, (added + history->count) * sizeof(*entries));
    memcpy(entries, other->entries, added * sizeof(*entries));
    memcpy(entries + added, history->entries, history->count * sizeof(*entries));
    entries[added].begin = other->entries[added].begin;
    history->entries = entries;
    history->count += added;
    history->added = added;
}

bool history_is_own(const History *history)
{
    return !history->foreign && history->added == 0 && history->entries[0].timeline == 1;
}

bool history_is_same(const History *one, const History *other)
{
    const size_t count_one = one->count - one->added, count_other = other->count - other->added;
    const size_t count = count_one < count_other ? count_one : count_other;
    const HistoryEntry *entries = &one->entries[one->count - count];
    const HistoryEntry *others = &other->entries[other->count - count];

    /* Only a file that does not begin with timeline 1 lacks entries. */
    if (count_one != count_other && (entries[0].timeline == 1 || others[0].timeline == 1))
        return false;
    for (size_t i = 0; i < count; i++)
        if (entries[i].timeline != others[i].timeline || entries[i].end != others[i].end)
            return false;
    return true;
}

bool history_has_file(const History *history, Arena *arena, Timeline timeline, const char *text,
                      size_t size)
{
    History file, expected = *history;
    Error error;

    if (!history_has(history, timeline) ||
        !history_parse(arena, timeline, text, size, &file, &error))
        return false;
    while (history_last_timeline(&expected) != timeline)
        expected.count--;
    /* The file ends with its own timeline, which has no end there. Of added entries nothing else is
     * known than what they are. */
    expected.entries = arena_allocate(arena, expected.count * sizeof(*expected.entries));
    memcpy(expected.entries, history->entries, expected.count * sizeof(*expected.entries));
    expected.entries[expected.count - 1].end = LSN_INVALID;
    if (expected.added >= expected.count)
        expected.added = 0;
    return history_is_same(&file, &expected);
}

Timeline history_last_timeline(const History *history)
{
    return history->entries[history->count - 1].timeline;
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

Timeline history_timeline_of_segment(const History *history, Lsn segment_end)
{
    for (size_t i = history->count; i-- > 1;)
        if (history->entries[i].begin < segment_end)
            return history->entries[i].timeline;
    return history->entries[0].timeline;
}

bool history_has(const History *history, Timeline timeline)
{
    for (size_t i = 0; i < history->count; i++)
        if (history->entries[i].timeline == timeline)
            return true;
    return false;
}

bool history_holds(const History *history, Timeline timeline, Lsn begin, Lsn end)
{
    for (size_t i = 0; i < history->count; i++)
    {
        const HistoryEntry *entry = &history->entries[i];

        if (entry->timeline == timeline)
            return entry->begin < end && (entry->end == LSN_INVALID || entry->end > begin);
    }
    return false;
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
    *end = end_a - 1 < end_b - 1 ? end_a : end_b; /* LSN_INVALID - 1 is the highest number */
    return true;
}
