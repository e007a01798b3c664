/*
 * Choose where recovery of the rewound target starts. Declared here: the positions where recovery
 * can start, the hazards of replay from a start, and the choice by cost.
 *
 * Early: at the last common checkpoint, or at the source's last one if that is older (a standby
 * whose restartpoint lags). Late: at the source's last checkpoint, as the recovery of a base backup
 * would; then the blocks that the source's WAL between both starts changes are fetched as well.
 */
#ifndef RECOVERY_START_RECOVERY_START_H
#define RECOVERY_START_RECOVERY_START_H

#include "base/advice.h"
#include "divergence/target_changes.h"
#include "format/relpath.h"
#include "recovery_start/start_decision.h"

/* ---- Positions: start.c ---- */

typedef struct Start
{
    Lsn redo;
    Lsn checkpoint;    /* start of the checkpoint record */
    Timeline timeline; /* timeline of the checkpoint */
    uint64_t next_xid;
    Oid next_oid;           /* relations created before the checkpoint have smaller numbers */
    bool commit_timestamps; /* track_commit_timestamp was on */
} Start;

/*
 * The early start. common is the last common checkpoint, a record of the target's
 * that it finished itself. (Rule C12.)
 */
Start start_early(const ScanCheckpoint *common, const Control *source);

/* The start at the source's last checkpoint, as for recovery of a base backup of the source. */
Start start_of_source(const Control *source);

/*
 * Set *start to the checkpoint in the source's pg_control, and return true, if recovery can start
 * late there: full_page_writes was on, and its redo position is at or after the divergence and past
 * the LSN `after` (LSN_INVALID: past any). (Rule C35.)
 */
bool start_late(const Control *source, Lsn divergence, Lsn after, Start *start);

/* True if the cost of a late start is worth estimating: at least ESTIMATE_WAL_MIN bytes of WAL lie
 * between both starts. Before 12 a
 * standby that starts at a shutdown checkpoint (whose record lies at its redo position) takes
 * subtransactions of prepared transactions for aborted: false then. */
bool start_may_be_cheaper(const Version *version, const Start *early, const Start *late);

/*
 * The moment when a hot standby takes connections, found in the WAL that was scanned from its start
 * up to `end`. The standby must know all running transactions: from a shutdown checkpoint, from a
 * complete list of them, or, after an incomplete list, once all its transactions have ended
 * (ProcArrayApplyRecoveryInfo, storage/ipc/procarray.c, 9.3 to 19).
 */
typedef enum StartOpening
{
    OPENING_UNKNOWN, /* no list of running transactions was scanned */
    OPENING_AT_ONCE, /* connections as soon as the standby is consistent */
    OPENING_LATER    /* transactions of an incomplete list still run at `end` */
} StartOpening;
StartOpening start_opening(const Start *start, const ScanResult *scanned, Lsn end);

/* ---- Hazards: faults of replay from a start ---- */

/* The last copy of a database's files in the WAL to be replayed: CREATE DATABASE by file copy, or
 * SET TABLESPACE. NULL if there is no copy. */
const ScanDatabase *start_last_copy(const ScanResult *chain);

/* A copy of a database that replay would make different from the source's. */
typedef struct UnsafeCopy
{
    bool found;
    ScanDatabase copy;
    bool dropped; /* the source dropped the template; else it changed the template */
} UnsafeCopy;

/*
 * Find a copy whose template the source changed or dropped afterwards. stream is the source's WAL
 * from the start on, chain its scan. The answer is complete only if the source's WAL has a record
 * for each directory that the source has removed: a standby, and a primary that has completed no
 * checkpoint since its promotion (start_is_as_promoted; design/correctness.md, "Copied databases").
 * (Rule C32.)
 */
MUST_CHECK bool start_find_unsafe_copy(const WalStream *stream, int jobs, const ScanResult *chain,
                                       UnsafeCopy *unsafe, Error *error);

/* True if the source is a primary that has completed no checkpoint since its promotion, whose LSN
 * is stored in *promoted. DROP DATABASE makes a checkpoint before it removes a directory, so the
 * source has not begun to remove a directory since then. (Rule C33.) */
bool start_is_as_promoted(const Control *source, const History *history, Lsn *promoted);

/*
 * The hazards of replay from one start, that is faults of its result: replay may copy a template
 * database that has changed since, create a tablespace in a wrong place, leave torn pages
 * (full_page_writes off), miss a block of a visibility map, or lack changes that wal_level =
 * minimal did not log. A start past the hazard avoids it.
 */
typedef struct ReplayHazard
{
    bool tablespaces_exist; /* input: the directories of new tablespaces already exist, made by
                               this rewind */
    ListedLink *links;      /* input, needed if replay creates tablespaces: the source's links, each
                               with the path that the plan would give it on the target */
    size_t link_count;
    bool found;
    bool checkpoint_follows;   /* the source makes a checkpoint soon without being asked: it was
                                  promoted, or has copied a database */
    bool copies_are_identical; /* the only hazards found are copies of databases, and each copy
                                  is identical to the source's: harmless without a late start */
    Lsn lsn;                   /* record that a safe start must lie past; LSN_INVALID if unknown */
    Error error;               /* error if the source has no start past the hazard */
    /* Records that are no hazards, but better avoided by a later start; or LSN_INVALID.
     */
    Lsn former_limits_lsn; /* last record that needs a higher max_connections, or another limit,
                              than the source has now */
    NeededLimits needed; /* settings that replay needs: limits, at least the source's; origins that
                            this WAL names, with those of the file that the server loads before it,
                            0 if the WAL names none */
    Lsn origin_drop_lsn; /* last drop of a replication origin that replay needs up to there, in
                            addition to those that the source has now */
} ReplayHazard;

/* Look for hazards in the source's WAL from a start on: `chain` is the scan of all of `stream`,
 * state the source as it was read last. Sets all fields of *hazard but the inputs. */
MUST_CHECK bool replay_hazard_find(const Clusters *clusters, const SourceState *state,
                                   const Options *options, const WalStream *stream,
                                   const ScanResult *chain, ReplayHazard *hazard, Error *error);

/* Add a hazard by the record at lsn (LSN_INVALID if unknown), from which replay is wrong:
 * hazard->lsn becomes lsn if that is later. Clears copies_are_identical and checkpoint_follows; the
 * caller sets the error. */
void replay_hazard_add(ReplayHazard *hazard, Lsn lsn);

/* A database whose files the source has removed, while its WAL never says that the database was
 * dropped. */
typedef struct UnloggedDrop
{
    Lsn start; /* redo position of the last start from which replay is known to change the database;
                  LSN_INVALID: none was found */
    char directory[RELPATH_SIZE]; /* directory of the database in one tablespace */
} UnloggedDrop;

/* Add the hazard of replay from drop->start: the rewound target would lack files that this WAL
 * changes. (Rule C110.) */
void replay_hazard_add_unlogged_drop(ReplayHazard *hazard, const UnloggedDrop *drop);

/* Add warnings of WAL that may only be replayed with higher settings than the source has now:
 * ReplayHazard.origin_drop_lsn and former_limits_lsn; LSN_INVALID: none. */
#define REPLAY_LACKS_ORIGINS "replication_origins" /* id of the first one */
void replay_hazard_advise_on_settings(const Version *version, Lsn origin_drop, Lsn former_limits,
                                      AdviceList *list);

/* ---- The choice: choose.c ---- */

/* The decision, for the report. */
typedef struct StartChoice
{
    bool late;
    bool compares; /* all blocks are compared: with --compare; or at a late start, where reading the
                      WAL before it costs more or cannot be done */
    StartReason reason;
    Lsn late_redo; /* redo position of the late start that could be chosen; else LSN_INVALID */
    StartEstimate estimate; /* with START_ESTIMATE; or where all blocks are compared by choice */
    bool checkpoint_made;   /* a CHECKPOINT was run on the source for this start, or for one of a
                               former plan of the run */
    CheckpointEstimate checkpoint; /* estimate of the checkpoint that was made, or else could be
                                      made; replay_seconds is 0 if no estimate was made */
} StartChoice;

/* The start that was chosen. recovery_start_free destroys the maps `rebuilt`, `made`, `made_before`
 * and `owned_blocks`; strings and lists are the arena's. */
typedef struct RecoveryStart
{
    SourceState source; /* the source as it was when this was decided */
    Start earliest;     /* the early start; with --compare the source's last checkpoint */
    Start chosen;       /* where recovery starts */
    StartChoice choice;
    Lsn wal_from;       /* WAL is staged from here on */
    Lsn wal_end;        /* the source's WAL was read up to here */
    ScanResult changes; /* blocks to fetch: those that the target changed; for a late start,
                           those that the source changed before it as well; none where all
                           blocks are compared */
    Lsn whole_from;     /* relfilenodes created or dropped from this LSN on are fetched whole */
    Error lack;         /* dry run only: the rewind would have no room for the source's WAL
                           from the start on (ERROR_FAILED); else ERROR_NONE */
    bool opens_later;   /* the standby takes connections only after consistency: OPENING_LATER */
    bool copies_are_replayed; /* replay from this start copies databases' files */
    BlockMap *rebuilt;        /* blocks that replay writes whole up to rebuilt_end, so not fetched;
                                 NULL: none is relied on */
    Lsn rebuilt_end;          /* end of the WAL that `rebuilt` was read from */
    BlockMap *made; /* relfilenodes that replay creates or drops after the divergence; NULL with
                       --compare */
    BlockMap *made_before; /* relfilenodes that the source created or dropped between the early
                              start and a late one; by summaries, which do not tell creation from
                              change, changed ones too; NULL if none were read */
    NeededLimits needed;   /* settings that replay of this WAL needs: ReplayHazard.needed */
    AdviceList advice;     /* warnings of replay from this start; they were printed */
    const ScanPrepared *prepared; /* PREPARE records in the source's WAL from the start on */
    size_t prepared_count;
    BlockMap *owned_blocks; /* map that this struct frees: changes.blocks, if it is not
                               TargetChanges'; or NULL */
} RecoveryStart;

/* Input of the choice. All values that it points to must live as long as the RecoveryStart. */
typedef struct StartInput
{
    const Clusters *clusters;
    const SourceState *source; /* the source as it was read last */
    const Divergence *divergence;
    const TargetChanges *changes; /* NULL with --compare, and to foretell */
    SourceWal *source_wal;
    const Options *options;
    bool archives;                     /* the rewound standby archives the WAL that it receives */
    const UnloggedDrop *unlogged_drop; /* found when a former plan was staged: no start up to its
                                          `start` is safe; NULL: none was looked for */
} StartInput;

/*
 * Decide once where recovery starts, and read the source's WAL from there on. Recovery starts early
 * unless a StartReason makes it late; with --compare, at the source's last checkpoint. Waits for a
 * checkpoint of the source if one must follow; with --checkpoint runs one; without, reports if one
 * would pay. Fails if no start is safe. The arena owns strings and lists. Call recovery_start_free
 * after success and after failure.
 */
MUST_CHECK bool recovery_start_choose(const StartInput *input, Arena *arena, RecoveryStart *start,
                                      Error *error);

void recovery_start_free(RecoveryStart *start);

/* Place of the first WAL that the rewound target replays. */
typedef enum ReplayedWal
{
    REPLAYED_WAL_UNKNOWN, /* not looked for */
    REPLAYED_WAL_OF_SOURCE,
    REPLAYED_WAL_OF_ARCHIVE,
    REPLAYED_WAL_IN_SUMMARIES, /* gone from the source, but its summaries replace that WAL: a rewind
                                  starts late */
    REPLAYED_WAL_NOT_NEEDED,   /* missing, or no WAL tells what the target changed; a rewind does
                                  without: it starts late and compares all blocks */
    REPLAYED_WAL_MISSING       /* missing, and a late start is not possible: a rewind fails */
} ReplayedWal;

/* Prediction of the start, made before WAL is read. */
typedef struct StartForetold
{
    ReplayedWal replayed;
    uint64_t segment; /* first segment from the early start on that is gone from the source, or if
                         none is, the first one that the target does not keep; 0: not looked for */
    bool lacks_room;  /* no room for the source's WAL from the start on */
} StartForetold;

/*
 * Predict the decision of recovery_start_choose without reading WAL: of the source only file names
 * are listed, and no checkpoint is made or waited for. has_room: assume that there is room for the
 * WAL, without measuring. Fails if the rewind would fail; *foretold is set even then.
 */
MUST_CHECK bool recovery_start_foretell(const StartInput *input, Arena *arena, bool has_room,
                                        StartForetold *foretold, Error *error);

#endif
