/*
 * The segments in the source's pg_wal, as it was listed once.
 *
 * A list ages. A segment that was there and is gone when it is asked for is not there: fetching
 * copes with that. A segment that comes later is newer than all that the source had; only older
 * ones count as gone.
 */
#ifndef WAL_STORE_LISTED_WAL_H
#define WAL_STORE_LISTED_WAL_H

#include "source/source.h"
#include "wal/reader.h"

typedef struct ListedWal
{
    bool is_known;      /* it was listed; else none of the others is set, and no segment is gone */
    uint64_t *segments; /* ascending; of the stream's history */
    size_t count;
    uint64_t newest; /* segments after this one may come yet */
} ListedWal;

/*
 * List the source's pg_wal. end: WAL before it was on the source's disk; LSN_INVALID: not known,
 * the source is at rest. Numbers are of the segments that have the name by which the stream calls
 * them. Memory is the arena's.
 */
MUST_CHECK bool listed_wal_read(Source *source, const WalStream *stream, Lsn end, Arena *arena,
                                ListedWal *listed, Error *error);

/* True if the source no longer had this segment. */
bool listed_wal_is_gone(const ListedWal *listed, uint64_t segment);

/* The first segment at or after this one that is not gone. */
uint64_t listed_wal_next(const ListedWal *listed, uint64_t segment);

/* The first one that is gone; UINT64_MAX: none is. */
uint64_t listed_wal_next_gone(const ListedWal *listed, uint64_t segment);

#endif
