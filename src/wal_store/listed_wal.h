/*
 * The segments in the source's pg_wal, as it was listed once.
 *
 * A list ages. A listed segment may be gone when it is fetched: fetching handles that. A segment
 * that appears after the listing is newer than all listed ones: only older ones count as gone.
 */
#ifndef WAL_STORE_LISTED_WAL_H
#define WAL_STORE_LISTED_WAL_H

#include "source/source.h"
#include "wal/reader.h"

typedef struct ListedWal
{
    bool is_known; /* the source was listed; false: the other fields are unset, and no segment
                      counts as gone */
    uint64_t *
        segments; /* numbers of the segments that were listed, on the stream's history; ascending */
    size_t count;
    uint64_t newest; /* number of the last segment that the source had; later ones may still be
                        written */
} ListedWal;

/* List the source's pg_wal; memory is the arena's. end: WAL before this LSN was on the source's
 * disk; LSN_INVALID: not known, because the source is stopped. A segment counts only under the
 * name, with the timeline, that the stream's history gives it. */
MUST_CHECK bool listed_wal_read(Source *source, const WalStream *stream, Lsn end, Arena *arena,
                                ListedWal *listed, Error *error);

/* True if the source no longer had this segment: it is not listed, and not after `newest`. */
bool listed_wal_is_gone(const ListedWal *listed, uint64_t segment);

/* The first segment at or after this one that is not gone. */
uint64_t listed_wal_next(const ListedWal *listed, uint64_t segment);

/* The first segment at or after this one that is gone; UINT64_MAX: none is. */
uint64_t listed_wal_next_gone(const ListedWal *listed, uint64_t segment);

#endif
