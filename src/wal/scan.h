/*
 * One pass over a cluster's WAL, either side's, segment by segment in parallel: blocks,
 * checkpoints, commits, file copies, parameter changes.
 *
 * How it is used on the target: forward from a record known to be valid (pg_control's checkpoint)
 * to the end of WAL; then back, until the checkpoint wanted is found; then finish with the floor
 * that follows from it. Nothing is read twice but at most two segments: those that hold floor and
 * divergence. On the source's staged WAL: forward from the redo position to a limit, and finish.
 */
#ifndef WAL_SCAN_H
#define WAL_SCAN_H

#include "format/wal_event.h"
#include "wal/blockmap.h"
#include "wal/reader.h"

/* ---- One segment: summary.c ---- */

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
    uint32_t limits[LIMITS_MAX];
    Lsn last_work_lsn; /* the last record from the floor on, before this one, that is not of
                          RM_XLOG; LSN_INVALID: none */
} ScanParameters;

/* A replication origin that is dropped; its number may be given out again. */
typedef struct ScanOriginDrop
{
    Lsn lsn;
    uint16_t origin;
} ScanOriginDrop;

/*
 * The content of one segment: the blocks that its records name, and short lists of what else
 * matters. Lists hold items one after the other, in order of lsn. Made by a worker.
 */
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
    BlockMap *map_blocks;  /* of visibility maps; NULL with `rebuilt` */
    BlockMap *map_reads;   /* of these, the ones that replay of their first record here reads */
    Lsn map_read_lsn;      /* the last of these records */
    Buffer checkpoints;    /* ScanCheckpoint */
    Buffer databases;      /* ScanDatabase */
    Buffer tablespaces;    /* ScanTablespace; paths in strings */
    Buffer prepared;       /* ScanPrepared; gids in strings */
    Buffer finished;       /* u32: of COMMIT PREPARED and ROLLBACK PREPARED */
    Buffer running;        /* ScanRunning */
    Buffer parameters;     /* ScanParameters */
    Buffer hint_images;    /* Lsn: see ScanResult */
    Buffer origin_drops;   /* ScanOriginDrop */
    Lsn first_work_lsn;    /* the first record that is not of RM_XLOG; LSN_INVALID: none */
    Lsn last_work_lsn;     /* the last one */
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

/* ---- All segments ---- */

/*
 * The segments that were read, without a gap: each is linked to its neighbours by position and
 * xl_prev when it is taken in. Only scan_read.c and scan_result.c set the fields.
 */
typedef struct WalScan
{
    const WalStream *stream;
    int jobs;
    Lsn floor_at_most;
    bool begun;
    Summary **segments; /* lowest first */
    size_t segment_count;
    uint64_t lowest; /* the number of the first one; without one, of the one after the first to
                        be read */
    Lsn begin_lsn;   /* of the first record, also one given up by its writer; LSN_INVALID: none */
    Lsn first_lsn;   /* of the first record; LSN_INVALID: none yet */
    Lsn first_prev;
    Lsn last_lsn;      /* of the last record */
    Lsn next_lsn;      /* where one would follow */
    BlockMap *blocks;  /* of segments whose map was handed over: those that no floor can cut */
    BlockMap *rebuilt; /* likewise, of blocks whose first record restores them; NULL: not wanted */
    BlockMap *map_blocks; /* as in Summary */
    Lsn map_read_lsn;     /* see ScanResult */
    size_t kept_memory;   /* of the other maps */
    uint64_t bytes_read;
} WalScan;

/* ---- Reading: scan_read.c ---- */

/*
 * floor_at_most: no later call will set a floor above it, so that segments after the one that holds
 * it can be merged at once. stream lives as long as the scan.
 */
WalScan *scan_create(const WalStream *stream, int jobs, Lsn floor_at_most);
void scan_destroy(WalScan *scan); /* NULL is allowed */

/*
 * Read from `from` (a record that starts there, or would) to the end of valid WAL, or to the
 * stream's limit. *end is of the last segment, and says why no valid record follows, in
 * xlogreader.c's words; its next_lsn is where the last valid record ends (== `from` without one).
 * It is an error (ERROR_FAILED, "damage", with the LSN) when the segment after the end begins with
 * a valid page of the stream's history and is linked, so that WAL continues after damaged bytes. A
 * missing segment is the end as well, unless WAL continues after it.
 */
MUST_CHECK bool scan_forward(WalScan *scan, Lsn from, WalSegmentFacts *end, Error *error);

/* The number of segments that scan_forward reads, or that wait to be taken in, at a time. */
size_t scan_forward_window(const WalShape *shape, int jobs);

/* That end is one because the next record, valid or not, is not whole before the stream's limit. */
bool scan_ended_at_limit(const WalStream *stream, const WalSegmentFacts *end);

/* Read at most `jobs` segments before the lowest one; first complete one that was read from its
 * middle. */
MUST_CHECK bool scan_back(WalScan *scan, Error *error);

/* True if the lowest segment was read from its middle on. */
bool scan_first_is_partial(const WalScan *scan);

/* Put a segment's maps into those of the scan; it has none afterwards. Where `rebuilt` is wanted,
 * segments come in their order. */
void scan_take_maps(WalScan *scan, Summary *summary);

/* ---- Results: scan_result.c ---- */

/*
 * The last checkpoint record that starts before `before` and at or before `not_after` (LSN_INVALID:
 * any), whose redo is at or before `redo_not_after` (LSN_INVALID: any) and whose next xid is at
 * most `next_xid_not_after` in the low 32 bits' circular order (0: any). Reads back as far as
 * needed. A segment that is nowhere is an error: the contract's lines `could not open file ...` and
 * `could not find previous WAL record at %X/%X` (as detail; the stream's `missing` makes the
 * first).
 */
typedef struct ScanCheckpointWanted
{
    Lsn before;
    Lsn not_after;
    Lsn redo_not_after;
    uint32_t next_xid_not_after;
} ScanCheckpointWanted;
MUST_CHECK bool scan_find_checkpoint(WalScan *scan, const ScanCheckpointWanted *wanted,
                                     ScanCheckpoint *found, Error *error);

/* The record that holds the byte at lsn (a page header belongs to the record before): where it
 * starts. Reads its segment if needed. */
MUST_CHECK bool scan_record_at(WalScan *scan, Lsn lsn, Lsn *start, Error *error);

/*
 * Sets *after if the byte at lsn lies after a record that ends its segment early (XLOG_SWITCH).
 * Nothing reads what is there, to the end of the segment: headers of pages, zeros, or older bytes.
 * Reads as scan_record_at. The context is the WalScan (WalSides.is_no_content).
 */
MUST_CHECK bool scan_is_behind_switch(void *context, Lsn lsn, bool *after, Error *error);

/* The findings from the floor on; lists in the arena given. */
typedef struct ScanResult
{
    BlockMap *blocks;  /* from the floor on; owned by the scan. Where much WAL was read, also some
                          from before it */
    BlockMap *rebuilt; /* of these, the blocks whose first record from the floor on makes replay
                          write them whole without reading them; owned by the scan. NULL: the stream
                          does not ask for them, or there is a record that may read other blocks
                          than it names */
    Lsn map_read_lsn;  /* a visibility map's block is read by replay of its first record from the
                          floor on, which has no image; up to here. LSN_INVALID: none, or the stream
                          does not ask for `rebuilt` */
    uint64_t record_count; /* from the floor on, except that segments count whole where not cut */
    uint64_t wal_bytes;    /* read */
    /* From the divergence on: */
    uint64_t commit_count;
    int64_t first_commit_time, last_commit_time; /* microseconds since 2000; only if commit_count */
    Lsn first_commit_lsn;                        /* only if commit_count */
    ScanPrepared *prepared;                      /* from the floor on */
    size_t prepared_count;
    ScanDatabase *databases; /* from the floor on, in order of lsn */
    size_t database_count;
    ScanTablespace *tablespaces;
    size_t tablespace_count;
    ScanCheckpoint *checkpoints; /* from the floor on, in order of lsn */
    size_t checkpoint_count;
    ScanRunning *running; /* from the floor on, in order of lsn */
    size_t running_count;
    ScanParameters *parameters; /* from the floor on, in order of lsn */
    size_t parameter_count;
    Lsn *hint_images; /* full-page images for hints: of those between two shutdown checkpoints or
                         ends of recovery at least one, in order of lsn */
    size_t hint_image_count;
    ScanOriginDrop *origin_drops; /* from the floor on, in order of lsn */
    size_t origin_drop_count;
    Lsn first_work_lsn; /* the first record from the floor on that is not of RM_XLOG; LSN_INVALID:
                           none */
    bool full_page_writes_off; /* a checkpoint or FPW_CHANGE says off, from the floor on */
    /*
     * The parameter change after or before which hints may not have been logged (without checksums
     * it matters), else LSN_INVALID: one to wal_log_hints off; or the first one, unless a full-page
     * image for a hint between the floor and it proves that hints were logged before.
     */
    Lsn hints_not_logged_at;
    bool wal_level_proven;    /* it was not minimal before the first parameter change: a list of
                                 running transactions, or a stop right before that, proves it */
    bool wal_level_from_stop; /* that is proven by a stop right before that change alone: of the
                                 level before the stop nothing is known */
    Lsn minimal_record_at;    /* the first change record that says so itself, or LSN_INVALID */
    Lsn unknown_relation_update_at; /* a record marked XLR_SPECIAL_REL_UPDATE that we do not know */
    uint8_t unknown_rmgr, unknown_info;
    bool custom_rmgr_seen;
    Oid next_oid; /* of the last XLOG_NEXTOID from the floor on: numbers below it may have been
                     given away; 0: without one */
    uint32_t lowest_committed_xid; /* circularly lowest (sub)xid committed from the divergence on,
                                      or prepared and rolled back; 0: none */
    uint32_t oldest_running_xid;   /* by the last list of running transactions between floor and
                                      divergence; 0: without one */
} ScanResult;

/*
 * Everything from `floor` (a redo position) on: nothing that starts before it counts, commits only
 * from `divergence` on. The WAL from the floor on must have been read by the calls above (else it
 * is read now). Segments are linked: each one's first record must name the last of the one before,
 * else an error.
 */
MUST_CHECK bool scan_finish(WalScan *scan, Arena *arena, Lsn floor, Lsn divergence,
                            ScanResult *result, Error *error);

/*
 * Read the WAL from `from` on, and give all that it says: scan_create, scan_forward and scan_finish
 * in one. NULL with error set on failure.
 */
MUST_CHECK WalScan *scan_read(const WalStream *stream, int jobs, Lsn from, Arena *arena,
                              WalSegmentFacts *end, ScanResult *result, Error *error);

/* Fails unless the blocks of every record are known. A rewind that fetches its blocks needs that.
 */
MUST_CHECK bool scan_check_known_updates(const Version *version, const ScanResult *scanned,
                                         Error *error);

#endif
