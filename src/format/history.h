/*
 * Timeline history files, and the history of a server as a list of timelines.
 */
#ifndef FORMAT_HISTORY_H
#define FORMAT_HISTORY_H

#include "format/versions.h"

typedef struct HistoryEntry
{
    Timeline timeline;
    Lsn begin; /* first byte on this timeline; 0 for the first */
    Lsn end;   /* switch point: first byte that is not on it; LSN_INVALID for the last entry: no end
                */
} HistoryEntry;

typedef struct History
{
    HistoryEntry *entries; /* ascending; at least one; in the arena */
    size_t count;
    size_t added; /* number of first entries that its file lacks and another history has */
    bool foreign; /* the server's own pg_wal has no such file: it was found elsewhere */
} History;

#define HISTORY_SIZE_MAX (16 * 1024 * 1024) /* bytes of a file that is read */

/* "%08X.history" */
#define HISTORY_NAME_SIZE 17
void history_file_name(Timeline timeline, char name[HISTORY_NAME_SIZE]);
bool history_file_name_parse(const char *name, Timeline *timeline);

/*
 * Parse the history file of `timeline` (text of size bytes; NULL for timeline 1, which has none).
 * Lines of any length; at most 100000 entries. Errors as rewind_parseTimeLineHistory of
 * bin/pg_rewind/timeline.c words them. A switch point that lies before earlier ones cuts these:
 * they may be empty.
 */
MUST_CHECK bool history_parse(Arena *arena, Timeline timeline, const char *text, size_t size,
                              History *history, Error *error);

/*
 * A server that is promoted while an older history file is lost writes a history that begins at a
 * later timeline than 1. Where the other history has that timeline, its entries before are added.
 * The bytes must prove that both mean the same timeline: see history_is_own. (Rule C26.)
 */
void history_complete(Arena *arena, History *history, const History *other);

/* True if all of it, from timeline 1 on, is from the server's own file. Otherwise equal entries of
 * two histories prove nothing. (Rule C27.) */
bool history_is_own(const History *history);

/* True if both are of one server, as far as their files go back. */
bool history_is_same(const History *one, const History *other);

/* The last entry's, which is the server's own. */
Timeline history_last_timeline(const History *history);

/* Index of the entry that holds the byte at lsn. */
size_t history_entry_at(const History *history, Lsn lsn);
Timeline history_timeline_at(const History *history, Lsn lsn);

/* The timeline in whose file recovery reads the segment that ends there: the last entry that begins
 * before. */
Timeline history_timeline_of_segment(const History *history, Lsn segment_end);

/* The timeline is one of the history. */
bool history_has(const History *history, Timeline timeline);

/* The history holds a byte of [begin, end) on this timeline. */
bool history_holds(const History *history, Timeline timeline, Lsn begin, Lsn end);

/*
 * The last entry that both have in common (same timeline and begin), by index, and where it ends on
 * the one that leaves it first (LSN_INVALID: both are still on it). False when not even the first
 * is common.
 */
bool history_common(const History *a, const History *b, size_t *index, Lsn *end);

#endif
