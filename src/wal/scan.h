/*
 * One pass over a cluster's WAL, source's or target's, segment by segment in parallel: changed
 * blocks, checkpoints, commits, file copies, parameter changes.
 *
 * Two LSNs limit what counts. The *floor* is a checkpoint's redo position: records that start
 * before it count for nothing. The *divergence* lies at or after the floor: commits count only from
 * there on.
 *
 * On the target: read forward from a record known to be valid (pg_control's checkpoint) to the end
 * of WAL; then back, until the wanted checkpoint is found; then finish with the floor that follows
 * from that checkpoint. At most two segments are read twice: those that hold floor and divergence.
 * On the source's staged WAL: forward from the redo position to a limit, and finish.
 */
#ifndef WAL_SCAN_H
#define WAL_SCAN_H

#include "format/wal_event.h"
#include "wal/blockmap.h"
#include "wal/reader.h"

/* ---- One segment: segment_content.c ---- */

typedef struct ScanCheckpoint
{
    Lsn lsn;     /* start of the checkpoint record */
    Lsn end;     /* end of the record */
    bool online; /* an online checkpoint; false: one at a shutdown or at the end of recovery */
    CheckPoint checkpoint;
} ScanCheckpoint;

/* A database that was created by file copy, created by WAL, or dropped; one entry for each
 * tablespace of a dropped database. */
typedef struct ScanDatabase
{
    Lsn lsn;
    WalEventKind kind; /* DATABASE_FILE_COPY, DATABASE_CREATE, DATABASE_DROP */
    Oid tablespace, database, source_tablespace, source_database;
} ScanDatabase;

typedef struct ScanTablespace
{
    Lsn lsn;
    bool created; /* created rather than dropped */
    Oid tablespace;
    const char *path; /* directory of a created tablespace; NULL: dropped */
} ScanTablespace;

/* A database's map of catalogs (pg_filenode.map) that is written. */
typedef struct ScanMap
{
    Lsn lsn;
    Oid tablespace, database;
} ScanMap;

typedef struct ScanPrepared
{
    Lsn lsn;
    uint32_t xid;
    const char *gid;
    bool finished; /* COMMIT or ROLLBACK PREPARED came later */
} ScanPrepared;

/* A list of running transactions (XLOG_RUNNING_XACTS). */
typedef struct ScanRunning
{
    Lsn lsn;
    uint32_t next_xid, oldest_xid; /* oldest_xid: the oldest running one; next_xid if none runs */
    bool complete;                 /* the list has all subtransactions, or no transaction runs */
} ScanRunning;

/* A change of settings that are WAL-logged (XLOG_PARAMETER_CHANGE), with the new values. */
typedef struct ScanParameters
{
    Lsn lsn;
    int32_t wal_level;
    bool log_hints;
    uint32_t limits[LIMITS_MAX];
    Lsn last_work_lsn; /* LSN of the last record from the floor on, before this change, that is not
                          of RM_XLOG; LSN_INVALID: none */
} ScanParameters;

/* A dropped replication origin, whose number may be assigned again. */
typedef struct ScanOriginDrop
{
    Lsn lsn;
    uint16_t origin;
} ScanOriginDrop;

/* Content of the records in one WAL segment: changed blocks, and short lists of all else that
 * matters. Each list holds items one after another, in order of lsn. Filled by a worker. */
typedef struct SegmentContent
{
    const WalStream *stream;
    Lsn from;              /* first LSN that was read; LSN_INVALID: the whole segment */
    Lsn floor;             /* records that start before this LSN were skipped */
    Lsn divergence;        /* commits that start before this LSN were skipped */
    WalSegmentFacts facts; /* facts about the whole reading, including records before the floor */
    uint64_t record_count; /* number of records from the floor on */
    BlockMap *blocks;      /* changed blocks; NULL after scan_take_maps */
    BlockMap *rebuilt;     /* blocks whose first record here writes them whole, so that their old
                              content does not matter; NULL: the stream does not ask for such blocks */
    bool rebuilds;         /* recovery is certain to replay this segment, so `rebuilt` is filled */
    BlockMap *vm_blocks;   /* blocks of visibility maps that records change; NULL if `blocks` is */
    BlockMap *vm_reads;    /* subset of vm_blocks: replay of the first record here reads the block;
                              NULL if `blocks` is */
    Lsn vm_read_lsn;       /* LSN of the last record that reads a block of vm_reads */
    Buffer checkpoints;    /* ScanCheckpoint */
    Buffer databases;      /* ScanDatabase */
    Buffer tablespaces;    /* ScanTablespace; paths in strings */
    Buffer maps;           /* ScanMap */
    Buffer prepared;       /* ScanPrepared; gids in strings */
    Buffer finished;       /* u32: xids of COMMIT PREPARED and ROLLBACK PREPARED */
    Buffer running;        /* ScanRunning */
    Buffer parameters;     /* ScanParameters */
    Buffer hint_images;    /* Lsn: see ScanResult */
    Buffer origin_drops;   /* ScanOriginDrop */
    Buffer origins;        /* u32: numbers of replication origins, each once; see ScanResult */
    Lsn first_work_lsn;    /* LSN of the first record that is not of RM_XLOG; LSN_INVALID: none */
    Lsn last_work_lsn;     /* LSN of the last record that is not of RM_XLOG; LSN_INVALID: none */
    Lsn recovery_end;      /* end of the first end-of-recovery record; LSN_INVALID: none */
    bool hint_image_noted; /* hint_images has one since the server's last start: further ones are
                              not listed */
    Arena *strings;        /* owns paths and gids; NULL until the first */
    uint64_t commit_count;
    Lsn first_commit_lsn; /* valid only if commit_count > 0 */
    int64_t first_commit_time, last_commit_time;
    uint32_t lowest_committed_xid; /* 0: none */
    uint32_t oldest_running_xid;   /* oldest xid in the last list of running transactions before the
                                      divergence; 0: no list */
    Oid next_oid; /* value of the last XLOG_NEXTOID, below which OIDs may be assigned; 0: none */
    bool full_page_writes_off;
    bool custom_rmgr_seen;
    Lsn unknown_lsn; /* LSN of the first record that changes a relation in an unknown way;
                        LSN_INVALID: none */
    uint8_t unknown_rmgr, unknown_info;
} SegmentContent;

/* Read the records of a segment from `from` on (LSN_INVALID: all). floor and divergence
 * LSN_INVALID: everything counts. As with wal_read_segment, invalid WAL is a fact, not an error.
 * NULL with error set on failure. */
MUST_CHECK SegmentContent *segment_content_read(const WalStream *stream, uint64_t segment, Lsn from,
                                                Lsn floor, Lsn divergence, Error *error);
void segment_content_destroy(SegmentContent *content); /* NULL is allowed */

/* Bytes of memory of a segment's maps, before scan_take_maps. `rebuilt` does not count: a scan that
 * asks for it keeps no maps of single segments. */
size_t segment_content_memory(const SegmentContent *content);

/* True if a precedes b in the circular order of 32-bit transaction numbers. */
bool xid_precedes(uint32_t a, uint32_t b);

/* ---- All segments ---- */

/* The segments that were read, without a gap: each one is linked to its neighbours by position and
 * xl_prev when it is added. Only scan_read.c and scan_result.c set the fields. */
typedef struct WalScan
{
    const WalStream *stream;
    int jobs;
    Lsn floor_at_most;         /* see scan_create */
    bool begun;                /* `lowest` is set: reading has begun */
    SegmentContent **segments; /* ascending */
    size_t segment_count;
    uint64_t lowest; /* number of the lowest segment that was read; while none was read, one more
                        than the first to read */
    Lsn begin_lsn;   /* LSN of the first record, complete or aborted by a crash of its writer;
                        LSN_INVALID: none */
    Lsn first_lsn;   /* LSN of the first complete record; LSN_INVALID: none yet */
    Lsn first_prev;
    Lsn last_lsn;      /* LSN of the last record */
    Lsn next_lsn;      /* LSN at which the next record would start */
    BlockMap *blocks;  /* changed blocks of the segments whose maps were merged: those that no floor
                          can cut */
    BlockMap *rebuilt; /* blocks of those segments whose first record writes them whole; NULL: the
                          stream does not ask for them */
    BlockMap *vm_blocks; /* changed blocks of visibility maps there */
    Lsn vm_read_lsn;     /* see ScanResult */
    size_t kept_memory;  /* bytes of memory of the maps that were not merged yet */
    uint64_t bytes_read;
} WalScan;

/* ---- Reading: scan_read.c ---- */

/* floor_at_most: highest LSN that a later call may set as floor; segments after that LSN's segment
 * can therefore be merged at once. stream must live as long as the scan. */
WalScan *scan_create(const WalStream *stream, int jobs, Lsn floor_at_most);
void scan_destroy(WalScan *scan); /* NULL is allowed */

/*
 * Read from `from`, the start of an existing or future record, to the end of valid WAL, or to the
 * stream's limit. *end has the facts of the last segment: why no valid record follows, in
 * xlogreader.c's words, and in next_lsn where the last valid record ends (`from` without a record).
 *
 * An error (ERROR_FAILED, with "damage" and the LSN) if WAL continues after invalid bytes: the next
 * segment begins with a valid page of the stream's history that links to this one. A missing
 * segment is the end, too, unless WAL continues after it.
 */
MUST_CHECK bool scan_forward(WalScan *scan, Lsn from, WalSegmentFacts *end, Error *error);

/* The number of segments that scan_forward reads ahead at a time, including those read and not yet
 * added to the scan. */
size_t scan_forward_window(const WalShape *shape, int jobs);

/* True if scan_forward ended only because of the stream's limit: the next record, valid or not,
 * reaches past the limit. */
bool scan_ended_at_limit(const WalStream *stream, const WalSegmentFacts *end);

/* Read at most `jobs` segments before the lowest one. But if the lowest one was read from its
 * middle on, read only the whole of that segment. */
MUST_CHECK bool scan_back(WalScan *scan, Error *error);

/* True if the lowest segment was read from its middle on. */
bool scan_first_is_partial(const WalScan *scan);

/* Merge a segment's maps into those of the scan and free them: the SegmentContent has no maps
 * afterwards. If the stream asks for `rebuilt`, segments must come in ascending order. */
void scan_take_maps(WalScan *scan, SegmentContent *content);

/* ---- Results: scan_result.c ---- */

/*
 * Find the last checkpoint record for which all of this holds: it starts before `before`; it starts
 * at or before `not_after` (LSN_INVALID: any); its redo is at or before `redo_not_after`
 * (LSN_INVALID: any); its next xid, in the circular order of 32 bits, is at most
 * `next_xid_not_after` (0: any). Reads back as far as needed.
 *
 * A segment that no place has is an error, in two lines of the contract: `could not open file ...`
 * (the stream's `missing` makes it) and, as detail, `could not find previous WAL record at %X/%X`.
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

/* Find where the record starts that holds the byte at lsn; a page header belongs to the record
 * before it. Reads that record's segment if needed. */
MUST_CHECK bool scan_record_at(WalScan *scan, Lsn lsn, Lsn *start, Error *error);

/* Set *after if the byte at lsn lies in the unused rest of a segment, after a record that ends the
 * segment early (XLOG_SWITCH). Nothing reads the bytes there: page headers, zeros or older bytes.
 * Reads like scan_record_at. The context is the WalScan (WalSides.is_no_content). */
MUST_CHECK bool scan_is_after_switch(void *context, Lsn lsn, bool *after, Error *error);

/* Return the end of the first end-of-recovery record that was read, which a promotion writes;
 * LSN_INVALID: none. */
Lsn scan_recovery_end(const WalScan *scan);

/* The findings of a scan, from the floor on unless a comment says otherwise. Lists are in the arena
 * of scan_finish, in order of lsn. */
typedef struct ScanResult
{
    BlockMap *blocks;  /* changed blocks, owned by the scan; after a long scan some from before the
                          floor as well */
    BlockMap *rebuilt; /* blocks whose first record makes replay write them whole without reading
                          them, owned by the scan. NULL: the stream does not ask for them, or a
                          record may read other blocks than it names */
    Lsn vm_read_lsn;   /* LSN of the last record whose replay reads a block of a visibility map that
                          no earlier record changed: the record has no image of the block.
                          LSN_INVALID: none. Unspecified if the scan has merged a segment after a
                          later one (scan_back, or a floor after the first record read) */
    uint64_t record_count; /* number of records from the floor on */
    uint64_t wal_bytes;    /* WAL bytes that were read */
    uint64_t commit_count; /* commits from the divergence on */
    /* Times, in microseconds since 2000, and LSN of these commits; valid if commit_count > 0. */
    int64_t first_commit_time, last_commit_time;
    Lsn first_commit_lsn;
    ScanPrepared *prepared;
    size_t prepared_count;
    ScanDatabase *databases;
    size_t database_count;
    ScanTablespace *tablespaces;
    size_t tablespace_count;
    ScanMap *maps;
    size_t map_count;
    ScanCheckpoint *checkpoints;
    size_t checkpoint_count;
    ScanRunning *running;
    size_t running_count;
    ScanParameters *parameters;
    size_t parameter_count;
    Lsn *hint_images; /* LSNs of full-page images for hints: at least one of those between two
                         shutdown checkpoints or ends of recovery */
    size_t hint_image_count;
    ScanOriginDrop *origin_drops;
    size_t origin_drop_count;
    uint32_t *origins; /* numbers of the replication origins whose progress replay notes, ascending,
                          each once */
    size_t origin_count;
    Lsn first_work_lsn; /* LSN of the first record that is not of RM_XLOG; LSN_INVALID: none */
    bool full_page_writes_off; /* a checkpoint or an FPW_CHANGE record says that full_page_writes
                                  was off */
    /*
     * LSN of a parameter change that shows that hints may not have been logged, which matters
     * without checksums: the first change, if hints may not have been logged before it, or the
     * first one that turns wal_log_hints off; LSN_INVALID: neither. A full-page image for a hint
     * between the floor and the first change proves that hints were logged before it.
     */
    Lsn hints_not_logged_at;
    bool wal_level_proven; /* wal_level was not minimal before the first parameter change: a list of
                              running transactions before it, or wal_level_from_stop, proves that */
    bool wal_level_from_stop; /* the server did nothing between the floor, a shutdown checkpoint,
                                 and the first parameter change: so nothing is known of wal_level
                                 before that stop */
    Lsn minimal_record_at; /* LSN of the first parameter change to wal_level minimal; LSN_INVALID:
                              none */
    Lsn unknown_relation_update_at; /* LSN of the first record marked XLR_SPECIAL_REL_UPDATE whose
                                       effect is unknown; LSN_INVALID: none */
    uint8_t unknown_rmgr, unknown_info;
    bool custom_rmgr_seen;
    Oid next_oid; /* value of the last XLOG_NEXTOID, below which OIDs may have been assigned; 0:
                     none */
    uint32_t lowest_committed_xid; /* circularly lowest (sub)xid that was committed, or prepared and
                                      rolled back, from the divergence on; 0: none */
    uint32_t oldest_running_xid;   /* oldest xid in the last list of running transactions between
                                      floor and divergence; 0: no list */
} ScanResult;

/*
 * Compute the result from `floor`, a redo position, on: nothing that starts before it counts, and
 * commits count only from `divergence` on. WAL from the floor on that was not read yet is read now.
 * Segments are linked: an error if a segment's first record does not name the last record of the
 * segment before.
 */
MUST_CHECK bool scan_finish(WalScan *scan, Arena *arena, Lsn floor, Lsn divergence,
                            ScanResult *result, Error *error);

/* Read the WAL from `from` on and compute its result: scan_create, scan_forward and scan_finish in
 * one. NULL with error set on failure. The caller destroys the scan. */
MUST_CHECK WalScan *scan_read(const WalStream *stream, int jobs, Lsn from, Arena *arena,
                              WalSegmentFacts *end, ScanResult *result, Error *error);

/* True if the WAL creates the tablespace (created), or drops it (not created), after `from` and
 * before `until`. */
bool scan_has_tablespace_event(const ScanResult *scanned, bool created, Oid tablespace, Lsn from,
                               Lsn until);

/* True if the WAL has such an event of the relation's database from `from` on: a copy of its files
 * in the relation's tablespace, which have the numbers of the template's and no record; its making
 * block by block, with the template's numbers; or its drop. */
bool scan_has_database_event(const ScanResult *scanned, WalEventKind kind, RelationId id, Lsn from);

/* Fail if the WAL has a record whose effect on relations is unknown (unknown_relation_update_at): a
 * rewind that fetches changed blocks must know all of them. Records of custom resource managers do
 * not count. */
MUST_CHECK bool scan_check_known_updates(const Version *version, const ScanResult *scanned,
                                         Error *error);

#endif
