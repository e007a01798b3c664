/*
 * The segments that a scan has read, without a gap: each is linked to its neighbours by position
 * and xl_prev when it is taken in. Read in parallel, taken in one by one.
 */
#ifndef WAL_CHAIN_H
#define WAL_CHAIN_H

#include "base/error.h"
#include "wal/blockmap.h"
#include "wal/reader.h"
#include "wal/summary.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `ahead` goes up from first_segment, `before` down from the one before it. */
typedef struct Chain
{
    const WalStream *stream;
    int jobs;
    Lsn floor_at_most;
    bool begun;
    uint64_t first_segment;
    Summary **ahead;
    size_t ahead_count;
    Summary **before;
    size_t before_count;
    Lsn begin_lsn; /* of the first record, also one given up by its writer; LSN_INVALID: none */
    Lsn first_lsn; /* of the first record; LSN_INVALID: none yet */
    Lsn first_prev;
    Lsn last_lsn;       /* of the last record */
    Lsn next_lsn;       /* where one would follow */
    BlockMap *blocks;   /* of segments whose map was handed over: those that no floor can cut */
    BlockMap *rebuilt;  /* likewise, of blocks whose first record restores them; NULL: not wanted */
    size_t kept_memory; /* of the other maps */
    uint64_t bytes_read;
} Chain;

/* stream lives as long as the chain. */
Chain *chain_create(const WalStream *stream, int jobs, Lsn floor_at_most);
void chain_destroy(Chain *chain); /* NULL is allowed */

/* In order: 0 is the lowest segment. */
size_t chain_count(const Chain *chain);
Summary *chain_at(const Chain *chain, size_t index);

/* The end of reading forward. */
typedef struct ChainEnd
{
    bool reached;
    bool missing;
    uint64_t missing_segment;
    Timeline missing_timeline;
    Lsn invalid_lsn;
    char reason[256];
} ChainEnd;

/* Begin the chain at `from` and read to the end of WAL. Fails on damage, as scan_forward. */
MUST_CHECK bool chain_read_forward(Chain *chain, Lsn from, ChainEnd *end, Error *error);

/* Lengthen the chain at its lower end, by at most `jobs` segments; first complete a segment that
 * was read from its middle. */
MUST_CHECK bool chain_read_back(Chain *chain, Error *error);

/* Put a segment's maps into the whole; they are left empty. earlier: it comes before all that are
 * there. */
void chain_merge(Chain *chain, const Summary *summary, bool earlier);

/* The same with a segment's own maps, which it then has no longer. */
void chain_take_blocks(Chain *chain, Summary *summary, bool earlier);

/* Was the lowest segment read from its middle on? */
bool chain_first_is_partial(const Chain *chain);

/* Set the error for a segment that is nowhere. Returns false. */
bool error_missing_wal(const WalStream *stream, Timeline timeline, uint64_t segment, Error *error);

/* Add a hint to an error about WAL that cannot be read: which segment has to be replaced, if it is
 * the target's. False. */
bool error_damaged_wal(const WalStream *stream, uint64_t segment, Error *error);

#endif
