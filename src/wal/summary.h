/*
 * What the records of one segment say: their blocks, and short lists of what else matters. Made by
 * a worker, read by scan.
 */
#ifndef WAL_SUMMARY_H
#define WAL_SUMMARY_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "wal/blockmap.h"
#include "wal/reader.h"
#include "wal/scan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* COMMIT PREPARED or ROLLBACK PREPARED. */
typedef struct SummaryFinished
{
    Lsn lsn;
    uint32_t xid;
} SummaryFinished;

/* Lists hold items one after the other, in order of lsn. */
typedef struct Summary
{
    const WalStream *stream;
    Lsn from;              /* read from there on; LSN_INVALID: the whole segment */
    Lsn floor;             /* records that start before it were passed over */
    Lsn divergence;        /* commits that start before it were passed over */
    WalSegmentFacts facts; /* of all records, floor or not */
    uint64_t record_count; /* from the floor on */
    BlockMap *blocks;      /* NULL: not wanted, or handed over */
    BlockMap *rebuilt;     /* blocks whose first record here restores them, whatever they hold:
                            * the stream wants to know; else NULL */
    bool rebuilds;         /* rebuilt is filled */
    Buffer checkpoints;    /* ScanCheckpoint */
    Buffer databases;      /* ScanDatabase */
    Buffer tablespaces;    /* ScanTablespace; paths in strings */
    Buffer prepared;       /* ScanPrepared; gids in strings */
    Buffer finished;       /* SummaryFinished */
    Buffer running;        /* ScanRunning */
    Buffer parameters;     /* ScanParameters */
    Buffer hint_images;    /* Lsn: see ScanResult */
    bool hint_image_noted; /* the next one is not listed */
    Arena *strings;        /* NULL: none yet */
    uint64_t commit_count;
    Lsn first_commit_lsn; /* only if commit_count */
    int64_t first_commit_time, last_commit_time;
    uint32_t lowest_committed_xid; /* 0: none */
    uint32_t oldest_running_xid; /* of the last list of running transactions before the divergence;
                                    0: there is none */
    Oid next_oid; /* of the last XLOG_NEXTOID: lower numbers may be given away; 0: there is none */
    Lsn running_xacts_lsn; /* the first list of running transactions: wal_level is not minimal */
    bool full_page_writes_off;
    bool custom_rmgr_seen;
    Lsn unknown_lsn; /* the first record that does something unknown to a relation */
    uint8_t unknown_rmgr, unknown_info;
} Summary;

/*
 * Read the records of a segment from `from` (LSN_INVALID: all). As wal_read_segment, bad WAL is a
 * fact, not an error. With floor and divergence LSN_INVALID everything counts. NULL with error set
 * on failure.
 */
MUST_CHECK Summary *summary_read(const WalStream *stream, uint64_t segment, Lsn from, Lsn floor,
                                 Lsn divergence, Error *error);
void summary_destroy(Summary *summary); /* NULL is allowed */

/* Is a before b in the circular order of 32-bit transaction numbers? */
bool xid_precedes(uint32_t a, uint32_t b);

#endif
