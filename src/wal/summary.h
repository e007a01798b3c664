/*
 * The content of one segment: the blocks that its records name, and short lists of what else
 * matters. Made by a worker, read by scan.
 */
#ifndef WAL_SUMMARY_H
#define WAL_SUMMARY_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "format/wal_event.h"
#include "wal/blockmap.h"
#include "wal/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ScanCheckpoint
{
    Lsn lsn;
    Lsn end;
    bool online;
    CheckPoint checkpoint;
} ScanCheckpoint;

/* A database whose directory was made by file copy, made by WAL, or dropped (an entry for each of
 * its tablespaces). */
typedef struct ScanDatabase
{
    Lsn lsn;
    WalEventKind kind; /* DATABASE_FILE_COPY, DATABASE_CREATE, DATABASE_DROP */
    Oid tablespace, database, source_tablespace, source_database;
} ScanDatabase;

typedef struct ScanTablespace
{
    Lsn lsn;
    bool created; /* else dropped */
    Oid tablespace;
    const char *path; /* where created */
} ScanTablespace;

typedef struct ScanPrepared
{
    Lsn lsn;
    uint32_t xid;
    const char *gid;
    bool finished; /* COMMIT or ROLLBACK PREPARED came later */
} ScanPrepared;

/* A list of running transactions. */
typedef struct ScanRunning
{
    Lsn lsn;
    uint32_t next_xid, oldest_xid; /* oldest_xid: the oldest that runs, or next_xid */
    bool complete;                 /* with all subtransactions; none runs: so as well */
} ScanRunning;

/* A change of settings that WAL tells. */
typedef struct ScanParameters
{
    Lsn lsn;
    int32_t wal_level;
    bool log_hints;
} ScanParameters;

/* Lists hold items one after the other, in order of lsn. */
typedef struct Summary
{
    const WalStream *stream;
    Lsn from;              /* read from there on; LSN_INVALID: the whole segment */
    Lsn floor;             /* records that start before it were passed over */
    Lsn divergence;        /* commits that start before it were passed over */
    WalSegmentFacts facts; /* of all records, floor or not */
    uint64_t record_count; /* from the floor on */
    BlockMap *blocks;      /* NULL: handed over */
    BlockMap *rebuilt;     /* blocks whose first record here restores them, whatever they hold;
                            * NULL: the stream does not ask for them */
    bool rebuilds;         /* rebuilt is filled */
    Buffer checkpoints;    /* ScanCheckpoint */
    Buffer databases;      /* ScanDatabase */
    Buffer tablespaces;    /* ScanTablespace; paths in strings */
    Buffer prepared;       /* ScanPrepared; gids in strings */
    Buffer finished;       /* u32: of COMMIT PREPARED and ROLLBACK PREPARED */
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
                                    0: without one */
    Oid next_oid; /* of the last XLOG_NEXTOID: lower numbers may be given away; 0: without one */
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

/* a is before b in the circular order of 32-bit transaction numbers. */
bool xid_precedes(uint32_t a, uint32_t b);

#endif
