/*
 * Choose where recovery of the rewound target starts. This has the positions that it can start
 * from, what replay from there would do wrongly, and what each costs.
 *
 * Early: at the last common checkpoint (or the source's own when that is older: a standby whose
 * restartpoint lags). Late: at the source's last checkpoint, as the recovery of a base backup
 * would; then whatever the source's WAL up to there touches is fetched as well.
 */
#ifndef RECOVERY_START_RECOVERY_START_H
#define RECOVERY_START_RECOVERY_START_H

#include "divergence/target_changes.h"
#include "recovery_start/start_decision.h"

/* ---- Positions: start.c ---- */

typedef struct Start
{
    Lsn redo;
    Lsn checkpoint;    /* where its record starts */
    Timeline timeline; /* of the checkpoint */
    uint64_t next_xid;
    Oid next_oid; /* no relation made before the checkpoint has this number, or a greater one */
    bool commit_timestamps; /* track_commit_timestamp was on */
} Start;

/*
 * The start for this divergence. common is the last common checkpoint, a record of the target's
 * that it finished itself. (Rule C12.)
 */
Start start_early(const ScanCheckpoint *common, const Control *source);

/* Recovery as that of a base backup of the source: from its own last checkpoint. */
Start start_of_source(const Control *source);

/*
 * The late start, at the checkpoint in the source's pg_control, if it is one: at or after the
 * divergence, after the record at `after` (LSN_INVALID: none), with full_page_writes. (Rule C35.)
 */
bool start_late(const Control *source, Lsn divergence, Lsn after, Start *start);

/* True if a late start is worth a look at its cost. A shutdown checkpoint, whose record lies at its
 * own redo position, is no place where a standby should start. */
bool start_may_be_cheaper(const Version *version, const Start *early, const Start *late);

/*
 * When a standby whose recovery starts there takes connections, by the WAL that was scanned, up to
 * `end`. It must know all running transactions: from a shutdown checkpoint, from a list that is
 * complete, or, after one that is not, when all have ended that ran then
 * (ProcArrayApplyRecoveryInfo, storage/ipc/procarray.c, 9.3 to 19).
 */
typedef enum StartOpening
{
    OPENING_UNKNOWN, /* no list of running transactions was scanned */
    OPENING_AT_ONCE,
    OPENING_LATER
} StartOpening;
StartOpening start_opening(const Start *start, const ScanResult *scanned, Lsn end);

/* ---- Hazards: things that replay from a start would do wrongly ---- */

/* The last copy of a database's files in the WAL to be replayed: CREATE DATABASE by file copy, or
 * SET TABLESPACE. NULL if there is no copy. */
const ScanDatabase *start_last_copy(const ScanResult *chain);

/* A database whose replayed copy would not be what the source has. */
typedef struct UnsafeCopy
{
    bool found;
    ScanDatabase copy;
    bool dropped; /* the template is gone; else it was changed */
} UnsafeCopy;

/*
 * Find a copy whose template the source changed or dropped afterwards. chain is the scan of the
 * source's WAL from the start on, stream the same WAL. The answer is complete only for a source
 * whose WAL tells of all that it has removed: a standby, and a primary that is as it was promoted
 * (design/correctness.md, "Copied databases"). (Rule C32.)
 */
MUST_CHECK bool start_find_unsafe_copy(const WalStream *stream, int jobs, const ScanResult *chain,
                                       UnsafeCopy *unsafe, Error *error);

/* True if the source is a primary that has not completed a checkpoint since it was promoted, at
 * *promoted. Then it has not begun to remove a directory since. (Rule C33.) */
bool start_is_as_promoted(const Control *source, const History *history, Lsn *promoted);

/*
 * Replay would copy a database that is not what it was, make a tablespace where it must not be,
 * leave torn pages (full_page_writes off), miss a block of a visibility map, or lack what wal_level
 * minimal did not log. A start past it is right.
 */
typedef struct ReplayHazard
{
    bool is_staged; /* set before: the directories of new tablespaces were made */
    bool found;
    bool checkpoint_follows;    /* a primary makes a checkpoint soon, unasked */
    bool copies_come_out_right; /* there are copies of databases, and nothing else: each comes out
                                   as it is on the source */
    Lsn lsn;                    /* a start must lie past this record; LSN_INVALID: not known */
    Error error;                /* to be reported where there is no such start */
    /* No hazards, but a late start past them is better; LSN_INVALID: none. */
    Lsn former_limits_lsn; /* the last record that needs more than the source's server has now */
    uint32_t limits[LIMITS_MAX]; /* version_limit: that replay needs, at least the source's */
    Lsn origin_drop_lsn; /* the last one that drops a replication origin which replay needs beside
                            those that the source has now */
} ReplayHazard;

/* Look for one in the source's WAL from a start on: `chain` is the scan of all of `stream`, state
 * the source as it was read last. */
MUST_CHECK bool replay_hazard_find(const Clusters *clusters, const SourceState *state,
                                   const Options *options, const WalStream *stream,
                                   const ScanResult *chain, ReplayHazard *hazard, Error *error);

/* One more, by the record at lsn (LSN_INVALID: not known): no copy comes out right, and no
 * checkpoint follows unasked. The caller sets the error. */
void replay_hazard_add(ReplayHazard *hazard, Lsn lsn);

/* Warn of what was dropped up to there: origin_drop_lsn. */
void replay_hazard_warn_of_origins(const Version *version, Lsn last);

/* ---- The choice: choose.c ---- */

/* The decision, for the report. */
typedef struct StartChoice
{
    bool late;
    bool compares; /* all blocks are compared: --compare; or a late start, where reading the WAL
                      before it would cost more, or that WAL is nowhere */
    StartReason reason;
    Lsn late_redo;          /* of the late start, where there was a choice; else LSN_INVALID */
    StartEstimate estimate; /* with START_ESTIMATE; or where all blocks are compared by choice */
    bool checkpoint_made;   /* this run made one for this start */
    CheckpointEstimate checkpoint; /* estimate of the checkpoint that was made, else of one that
                                      could be; replay_seconds is 0 where none was weighed */
} StartChoice;

typedef struct RecoveryStart
{
    SourceState source; /* the source as it was when this was decided */
    Start earliest;     /* where recovery can start at the earliest */
    Start chosen;       /* where it does */
    StartChoice choice;
    Lsn wal_from;             /* WAL is staged from here on */
    Lsn wal_end;              /* the source's WAL was read up to here */
    ScanResult changes;       /* what must be fetched: what the target changed; from a late start
                                 also what the source changed before it; nothing where all blocks
                                 are compared */
    Lsn whole_from;           /* storage made or dropped from here on is fetched whole */
    Error lack;               /* ERROR_FAILED: a rewind would have no room for the source's WAL from
                                 the start on; only in a dry run, which tells the whole of it */
    bool opens_later;         /* not when it is consistent: see start_opening */
    bool copies_are_replayed; /* files of databases, from a start before the copies */
    BlockMap *rebuilt;        /* blocks that replay writes whole; NULL: not relied on */
    Lsn rebuilt_end;          /* by WAL up to here */
    BlockMap *made; /* storage that replay makes or drops after the divergence; NULL: --compare */
    BlockMap *made_before; /* storage that the source made or dropped between the earliest start and
                              a late one, with summaries also what it changed; NULL: nothing, or
                              not known */
    uint32_t limits[LIMITS_MAX];  /* version_limit: that replay of this WAL needs */
    const ScanPrepared *prepared; /* in the source's WAL, from the start on */
    size_t prepared_count;
    BlockMap *own_blocks; /* changes.blocks where they are not the target's alone; or NULL */
} RecoveryStart;

/* The values that decide. They must live as long as the RecoveryStart. */
typedef struct StartInput
{
    const Clusters *clusters;
    const SourceState *source; /* as it was read last */
    const Divergence *divergence;
    const TargetChanges *changes; /* NULL with --compare; and for recovery_start_foretell */
    SourceWal *source_wal;
    const Options *options;
    bool archives; /* the rewound standby archives the WAL that it receives */
} StartInput;

/*
 * Decide once where recovery starts, and read the source's WAL from there on. StartReason has the
 * reasons for a late start; otherwise it is early. With --compare it is at the source's last
 * checkpoint. Waits for a checkpoint of the source where one must come, and runs one with
 * --checkpoint, or says that it would pay. An error if no start is right. Strings are in the arena.
 * recovery_start_free in any case.
 */
MUST_CHECK bool recovery_start_choose(const StartInput *input, Arena *arena, RecoveryStart *start,
                                      Error *error);

void recovery_start_free(RecoveryStart *start);

/* The place of the WAL with which replay in the rewound target begins. */
typedef enum ReplayedWal
{
    REPLAYED_WAL_UNKNOWN, /* not looked for */
    REPLAYED_WAL_OF_SOURCE,
    REPLAYED_WAL_OF_ARCHIVE,
    REPLAYED_WAL_IN_SUMMARIES, /* gone from the source, whose summaries tell what it changed: a
                                  rewind starts late */
    REPLAYED_WAL_NOT_NEEDED,   /* nowhere, or no WAL tells what the target changed: a rewind starts
                                  late and compares all blocks */
    REPLAYED_WAL_MISSING       /* nowhere, and there is no other way: a problem */
} ReplayedWal;

/* What can be said of the start before the WAL is read. */
typedef struct StartForetold
{
    ReplayedWal replayed;
    uint64_t segment; /* the first that the target does not keep, or that is gone from the source */
    bool lacks_room;  /* for the source's WAL from the start on */
} StartForetold;

/*
 * Make the same decision as far as it needs no reading of WAL, and nothing of the source but lists
 * of its files: no checkpoint is made or waited for. has_room: room is not asked for. An error if
 * the rewind would fail; *foretold is set then as well.
 */
MUST_CHECK bool recovery_start_foretell(const StartInput *input, Arena *arena, bool has_room,
                                        StartForetold *foretold, Error *error);

#endif
