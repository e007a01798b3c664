/*
 * The run: a session, and the results of the steps of design/overview.md that were taken so far.
 * rewind.c passes each step the results that it needs and stores what it returns; the report reads
 * them when the run is over.
 */
#ifndef REWIND_RUN_H
#define REWIND_RUN_H

#include "divergence/lost_count.h"
#include "divergence/lost_transactions.h"
#include "recovery_start/recovery_start.h"
#include "rewind/session.h"
#include "stage/stage.h"
#include "standby/next_start.h"
#include "wal_store/standby_archive.h"

/* Phases of a run whose time is measured. Only --rejoin has PHASE_STOP (its look before the stop
 * included), PHASE_START and PHASE_FOLLOW. */
typedef enum RunPhase
{
    PHASE_NONE,
    PHASE_STOP,
    PHASE_IDENTIFY,
    PHASE_SCAN,
    PHASE_PLAN,
    PHASE_STAGE,
    PHASE_APPLY,
    PHASE_START,
    PHASE_FOLLOW,
    PHASE_COUNT
} RunPhase;

/* Copy of what identifies the source, with strings in the session's arena; stays valid after the
 * connection is closed. */
typedef struct SourceAddress
{
    const char *description;    /* text that names the source; NULL if it was not reached */
    bool is_server;             /* the source is a server: the next four are set */
    const char *host, *address; /* host name and IP address of the server that answered; NULL if the
                                   connection has none, as over a socket */
    uint32_t port;
    uint64_t round_trips; /* round trips to the source; see Source */
} SourceAddress;

typedef struct Planned
{
    bool known; /* the plan is complete: all blocks that must be fetched are known */
    Listing source_files;
    Listing target_files;
    PlanInput input; /* input from which the plan was made */
    Plan plan;
    SourceState source; /* state of the source when the files were listed or compared last */
    Keep keep;          /* files to keep: by the options, and those that the configuration names */
    BlockMap *named; /* blocks to fetch, owned, if more are needed than the target's WAL names; NULL
                        otherwise. `changes` then points to this map */
    ScanResult changes;      /* changes by the target's WAL, to which input.scan points */
    uint64_t compared_bytes; /* bytes read on both sides to find changed blocks that no WAL names */
} Planned;

typedef struct Staged
{
    const Planned *planned; /* the plan that was carried out */
    const RecoveryStart *start;
    Stage *stage;  /* the stage; NULL: nothing was staged. Pass it to stage_abandon or apply,
                      then to stage_free */
    bool obsolete; /* the source's WAL since the plan has records that recovery from this start
                      would replay wrongly, or replication origins that a later start avoids;
                      or unlogged_drop was found: throw the stage away and plan again */
    UnloggedDrop unlogged_drop;     /* found in the list of the source's files and in its WAL */
    SourceState source;             /* state of the source when everything was fetched */
    Lsn source_end;                 /* the source's WAL is staged up to here */
    Lsn min_recovery_point;         /* minRecoveryPoint that the rewound target's pg_control gets */
    Timeline min_recovery_timeline; /* timeline of min_recovery_point; 0 until both are known */
    NeededLimits needed; /* settings that replay of the staged WAL needs: ReplayHazard.needed */
    AdviceList advice;   /* warnings of what was found when all was staged; they were printed */
} Staged;

/* --save-lost-rows: what was written. */
typedef struct SavedRows
{
    const char *program_version;    /* set by the caller */
    uint64_t rewind_bytes;          /* set by the caller: what the rewind is going to fetch */
    const char *json, *sql;         /* paths; NULL: nothing was written */
    const char *incomplete;         /* why the files lack changes; NULL: nothing known is missing */
    uint64_t transactions, changes; /* how many were written; changes: of rows of tables that
                                       are not catalogs */
    uint64_t untold;                /* number of changes and values that could not be read */
    uint64_t left_out;              /* number of changes that the JSON has and the SQL does not */
} SavedRows;

/* Saves what the lost transactions did to rows in options->save_lost_rows, before the commit
 * destroys it in the target. main.c passes saved_rows_write to the run by this type, since no other
 * folder may depend on src/lost. *saved is in the arena. */
typedef bool (*RowSaver)(const Options *options, const Clusters *clusters,
                         const Divergence *divergence, Arena *arena, SavedRows *saved,
                         Error *error);

/* Adds to *lost the names of relations and databases that the source did not know, from the
 * target's catalogs. main.c passes lost_names_read to the run by this type. Cannot fail: what has
 * no name keeps its number, and everything does if the catalogs would need too much memory. */
typedef void (*LostNamer)(const Clusters *clusters, const Divergence *divergence, Arena *arena,
                          Lost *lost);

typedef struct Run
{
    double patience_seconds; /* seconds left of --wait-timeout, set by the caller. All waits for
                                others that use the target share them */
    RowSaver save_rows;      /* set by the caller; used with --save-lost-rows */
    LostNamer name_lost;     /* set by the caller; used for a report */
    bool server_stopped;     /* set by the caller, which has stopped the target's server */
    bool needs_own_file; /* set by the caller, which will start the server with the data directory's
                            own postgresql.conf */
    Session session;     /* session; the caller sets session.arena, and run_free destroys it */
    SourceAddress source;     /* identity of the source, copied at the end of the run */
    SourceState source_state; /* state of the source when the pair was identified */
    Divergence divergence;
    TargetChanges changes;
    bool direction_told; /* an error or a warning has said so if source and target may be swapped */
    LostCount lost_count; /* number of lost transactions; not counted if the run failed earlier */
    Lost *lost;
    RecoveryStart start;
    Planned planned;
    StandbySettings *standby_settings; /* settings that -R writes; NULL: no -R, or not made */
    bool slot_made;                    /* --create-slot: the slot was created by this run */
    TargetSlots slots;                 /* slots of a target that needs no rewind; none otherwise */
    const char *const *given_up_histories; /* files to remove of a target that needs no rewind, up
                                              to a NULL; NULL: not looked for */
    const NextStart *next_start; /* facts of the server's next start; NULL: not found out */
    AdviceList left_behind; /* without a rewind: the warning that the WAL that follows the target's
                               is lost; else empty */
    MisleadingWal misleading; /* WAL that would mislead the server's recovery */
    Staged staged;
    UnloggedDrop unlogged_drop;    /* last one that was found when a plan of this run was staged */
    const char *saved_wal_command; /* pg_waldump command for the saved diverged WAL; NULL: that WAL
                                      is not saved, or its range is not known (--compare) */
    SavedRows saved_rows;
    StageStatistics fetched;   /* amounts fetched; include attempts that were thrown away */
    uint64_t reread_wal_bytes; /* bytes of WAL that was fetched for reading, not for the target; set
                                  at the end */
    uint64_t compared_bytes;   /* bytes compared; include attempts that were thrown away */
    RunPhase phase;            /* current phase */
    double phase_begin;        /* start of the current phase, by clock_seconds */
    double seconds[PHASE_COUNT]; /* seconds that each phase took */
    AdviceList advice; /* steps for the operator before and at the server's start, in order */
} Run;

/* ---- rewind.c ---- */

/*
 * Rewind. *run must be zero, except for what the caller sets and what earlier phases have set. It
 * holds the results so far, even after a failure. Call run_free in any case.
 */
MUST_CHECK bool rewind_run(const Options *options, Run *run, Error *error);

/* Begin a phase: the time since the last call is added to the phase that was current until now.
 * PHASE_NONE: the time until the next call is counted for no phase. */
void run_begin_phase(Run *run, RunPhase phase);

void run_free(Run *run);

/* ---- prepare.c ---- */

/*
 * Make the plan for this start of recovery: list both directories, decide what to do with each
 * file, find changed blocks that no WAL names (with reads_dead, those that hold dead index
 * entries). Frees the plan of an earlier attempt in *planned; if that plan was complete, remarks on
 * patterns and tablespace mappings are not printed a second time. settings: of -R, or NULL. If
 * there are problems the run will stop before it stages anything, so the files are not read for
 * more blocks.
 */
MUST_CHECK bool prepare_plan(Session *session, const Divergence *divergence,
                             const RecoveryStart *start, bool reads_dead,
                             const StandbySettings *settings, Planned *planned, Error *error);

/*
 * Make a plan without any blocks: the least that a rewind would do. Where a real plan cannot be
 * made, this one finds what is wrong with the files of both sides. settings: of -R, or NULL.
 */
MUST_CHECK bool prepare_least_plan(Session *session, const SourceState *source,
                                   const StandbySettings *settings, Planned *planned, Error *error);

void planned_free(Planned *planned);

/* ---- transfer.c: everything that the rewind needs comes to the target's disks, and is proved,
 * before anything in the target is changed ---- */

/*
 * Claim the pid file. Stage the files and the source's WAL, up to a position past everything that
 * was fetched. Prove that WAL with the files that the rewound target will have. archives_always:
 * the rewound standby archives what it receives. `final`: no attempt follows, so staged->obsolete
 * is not set: records that would be replayed wrongly are an error, origins a warning. *staged is
 * set even after a failure; it points to the plan and to the start.
 */
MUST_CHECK bool transfer_make(const Session *session, const Planned *planned,
                              const RecoveryStart *start, bool archives_always, bool final,
                              Staged *staged, Error *error);

/* Complete the stage after transfer_make: add the files of these settings (NULL: none) and the
 * journal. Everything is on disk when this returns. */
MUST_CHECK bool transfer_finish(const Session *session, const Divergence *divergence,
                                const StandbySettings *settings, const Staged *staged,
                                Error *error);

/* ---- next_steps.c: the last messages of a run that succeeded ---- */

/* Last known end of the source's WAL; LSN_INVALID if no end is known. */
Lsn run_source_end(const Run *run);

/* True if the rewound target lacks a part of the source's WAL since the divergence, because of a
 * late start. */
bool run_lacks_wal(const Run *run);

/* Add warnings about the state after the rewind, shown when the plan is made and again as next
 * steps: gaps in the target's WAL, or in the archive of a standby that archives what it receives;
 * indexes that are not WAL-logged. */
void run_advise_on_plan(const Run *run, AdviceList *list);

/* Reasons for a full backup after this rewind: sentences in the run's arena; NULL: none is
 * needed. */
const char *run_full_backup(const Run *run);

/* Collect in run->advice the operator's next steps, from run->next_start. */
void next_steps_make(const Options *options, Run *run);

/* Print the steps in run->advice, and what differs on the target from before. */
void next_steps_print(const Options *options, const Run *run);

/* The lists of what differs: settings, files, slots, options of primary_conninfo. */
typedef enum NextList
{
    NEXT_SETTINGS,
    NEXT_FILES,
    NEXT_SLOTS,
    NEXT_CONNINFO, /* options kept from the former primary_conninfo, and changed ones */
    NEXT_KEPT      /* files that stay as they are */
} NextList;

/* Append one list to text; nothing if the list is empty. separator, and shown_max (items), apply to
 * NEXT_SETTINGS. */
void next_append(const NextStart *next, NextList which, const char *separator, size_t shown_max,
                 Buffer *text);

#endif
