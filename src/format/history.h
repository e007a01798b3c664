/*
 * Timeline history files, and the history of a server as a list of timelines.
 */
#ifndef FORMAT_HISTORY_H
#define FORMAT_HISTORY_H

#include "format/versions.h"

typedef struct HistoryEntry
{
    Timeline timeline;
    Lsn begin; /* LSN of the first byte on this timeline; 0 for the first timeline */
    Lsn end;   /* switch point: LSN of the first byte that is not on this timeline; LSN_INVALID for
                  the last entry, which has no end */
} HistoryEntry;

typedef struct History
{
    HistoryEntry *entries; /* ascending by timeline, at least one, in the arena */
    size_t count;
    size_t added; /* number of first entries that history_complete took from another history */
    bool foreign; /* the file was not in the server's own pg_wal, but in an archive or on the other
                     side */
} History;

#define HISTORY_SIZE_MAX (16 * 1024 * 1024) /* largest file that is read, in bytes */

/* Name of a history file: "%08X.history". history_file_name_parse returns false for another
 * name. */
#define HISTORY_NAME_SIZE 17
void history_file_name(Timeline timeline, char name[HISTORY_NAME_SIZE]);
bool history_file_name_parse(const char *name, Timeline *timeline);

/*
 * Parse the history file of `timeline`: text of size bytes, or NULL for timeline 1, which has no
 * file. Lines have any length; at most 100000 entries. Error messages are those of
 * rewind_parseTimeLineHistory in bin/pg_rewind/timeline.c. If a switch point is before earlier
 * ones, the earlier entries end there, and can become empty.
 */
MUST_CHECK bool history_parse(Arena *arena, Timeline timeline, const char *text, size_t size,
                              History *history, Error *error);

/*
 * Add the older entries that the history lacks, from `other`. A server that is promoted after an
 * older history file was lost writes a history that begins with a later timeline than 1. If `other`
 * has that timeline, its earlier entries are added; otherwise nothing is. Added entries are an
 * assumption: the caller must prove, by comparing WAL, that both mean the same timeline (see
 * history_is_own). (Rule C26.)
 */
void history_complete(Arena *arena, History *history, const History *other);

/* True if the whole history, from timeline 1 on, comes from the server's own file. Otherwise equal
 * entries of two histories prove nothing. (Rule C27.) */
bool history_is_own(const History *history);

/* True if both histories can be of one server: their own entries, without added ones, are equal;
 * the longer one may have more entries at its start. */
bool history_is_same(const History *one, const History *other);

/* True if the text of size bytes is the history file of this timeline as a server with the history
 * has it: the timeline is one of the history, and the entries up to it are the same. */
bool history_has_file(const History *history, Arena *arena, Timeline timeline, const char *text,
                      size_t size);

/* The timeline of the last entry, which the server is on. */
Timeline history_last_timeline(const History *history);

/* Index of the entry that holds the byte at lsn, and its timeline. The last entry has no end. */
size_t history_entry_at(const History *history, Lsn lsn);
Timeline history_timeline_at(const History *history, Lsn lsn);

/* The timeline of the file in which recovery reads the segment that ends at segment_end: that of
 * the last entry that begins before segment_end. */
Timeline history_timeline_of_segment(const History *history, Lsn segment_end);

/* True if the history has this timeline. */
bool history_has(const History *history, Timeline timeline);

/* True if the history has any byte of [begin, end) on this timeline. */
bool history_holds(const History *history, Timeline timeline, Lsn begin, Lsn end);

/*
 * Find the last entry that both histories have in common (same timeline and begin). *index is its
 * index in both, *end the earlier of its two ends, where the histories diverge; LSN_INVALID if
 * neither has an end. Returns false if not even the first entries are equal.
 */
bool history_common(const History *a, const History *b, size_t *index, Lsn *end);

#endif
