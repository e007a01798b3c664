/*
 * The run: a session, and the values that the steps of design/overview.md have found out, as far as
 * they came. rewind.c gives each step the values that it needs, and keeps the one that it returns;
 * the report reads them when the run is over.
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

/* Stop, start and follow are --rejoin's; the look before the stop is part of the first. */
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

/* The source, known also after its connection was closed. */
typedef struct SourceAddress
{
    const char *description;    /* NULL: the source was not reached */
    bool is_server;             /* the next three are set */
    const char *host, *address; /* that answered; NULL: there is no such thing */
    uint32_t port;
} SourceAddress;

typedef struct Planned
{
    bool known; /* there is a plan, with all blocks that must be fetched */
    Listing source_files;
    Listing target_files;
    PlanInput input; /* that the plan was made from */
    Plan plan;
    SourceState source;      /* as it was read last */
    Keep keep;               /* what the options say, and the files that the configuration names */
    BlockMap *named;         /* input.scan's, where the target's WAL does not name them all */
    ScanResult changes;      /* input.scan */
    uint64_t compared_bytes; /* read of both sides to find blocks that no WAL names */
} Planned;

typedef struct Staged
{
    const Planned *planned; /* what it was made from */
    const RecoveryStart *start;
    Stage *stage;  /* NULL: nothing was staged; stage_abandon or apply, then stage_free */
    bool obsolete; /* the source has since done something that recovery from this start would replay
                      wrongly: throw away and plan again */
    SourceState source; /* when everything was fetched */
    Lsn source_end;     /* the source's WAL is staged up to here */
    Lsn min_recovery_point;
    Timeline min_recovery_timeline;
} Staged;

/* --save-lost-rows: what was written. */
typedef struct SavedRows
{
    const char *program_version;    /* set by the caller */
    uint64_t rewind_bytes;          /* set by the caller: what the rewind is going to fetch */
    const char *json, *sql;         /* paths; NULL: nothing was written */
    const char *incomplete;         /* why not all is there; NULL: all that is known is */
    uint64_t transactions, changes; /* changes: of rows of tables that are no catalogs */
    uint64_t untold;                /* of changes and of values */
    uint64_t left_out;              /* changes that the SQL does not have */
} SavedRows;

/* Writes the rows that the lost transactions changed to options->save_lost_rows, before the commit
 * takes them from the target: saved_rows_write, which main.c gives to the run, since nothing else
 * depends on lost. *saved is in the arena. */
typedef bool (*RowSaver)(const Options *options, const Clusters *clusters,
                         const Divergence *divergence, Arena *arena, SavedRows *saved,
                         Error *error);

/* Gives names to what the source does not know of it, from the target's catalogs: lost_names_read.
 * It cannot fail: without names there are numbers, also where the catalogs would need too much
 * memory. */
typedef void (*LostNamer)(const Clusters *clusters, const Divergence *divergence, Arena *arena,
                          Lost *lost);

typedef struct Run
{
    double patience_seconds;  /* set by the caller, to --wait-timeout; all waits for others that use
                                 the target share it */
    RowSaver save_rows;       /* set by the caller; used with --save-lost-rows */
    LostNamer name_lost;      /* set by the caller; used with a report. */
    bool server_stopped;      /* set by the caller: it has stopped the target's server */
    bool needs_own_file;      /* set by the caller: it starts the server with postgresql.conf of the
                                 data directory */
    Session session;          /* its arena is set by the caller, and run_free destroys it */
    SourceAddress source;     /* set at the end */
    SourceState source_state; /* when the pair was identified */
    Divergence divergence;
    TargetChanges changes;
    LostCount lost_count; /* not counted where the run failed before it could be */
    Lost *lost;
    RecoveryStart start;
    Planned planned;
    StandbySettings *standby_settings; /* what -R sets; NULL: without -R, or not made */
    bool slot_made;                    /* by --create-slot, in this run */
    TargetSlots slots;                 /* of a target that needs no rewind */
    const NextStart *next_start;       /* NULL: not found out */
    MisleadingWal misleading;          /* that its server would find */
    Staged staged;
    const char *saved_wal_command; /* that reads the diverged WAL; NULL: it is not saved, or
                                      not known (--compare) */
    SavedRows saved_rows;
    StageStatistics fetched;     /* also by attempts that were thrown away */
    uint64_t reread_wal_bytes;   /* WAL that was fetched only to be read; set at the end */
    uint64_t compared_bytes;     /* also by attempts that were thrown away */
    RunPhase phase;              /* the one at hand */
    double phase_begin;          /* in clock_seconds' */
    double seconds[PHASE_COUNT]; /* time a phase took */
    AdviceList advice;           /* to be followed before and when the server starts, in order */
} Run;

/* ---- rewind.c ---- */

/*
 * Rewind. *run, zero before except for what the caller sets and for earlier phases, is filled as
 * far as the run came, also on failure. run_free in any case.
 */
MUST_CHECK bool rewind_run(const Options *options, Run *run, Error *error);

/* The time since the last call is the last phase's. PHASE_NONE: what follows is no phase's. */
void run_begin_phase(Run *run, RunPhase phase);

void run_free(Run *run);

/* ---- prepare.c ---- */

/*
 * Make the plan for this start: list both directories, decide upon each file, find blocks that no
 * WAL names (those of dead entries, if reads_dead). What *planned had, of an earlier attempt, is
 * freed; if it was known, remarks on patterns and tablespace mappings have been printed. settings:
 * of -R, or NULL. With problems the run ends before anything is staged, so the files are not read
 * for more blocks.
 */
MUST_CHECK bool prepare_plan(Session *session, const Divergence *divergence,
                             const RecoveryStart *start, bool reads_dead,
                             const StandbySettings *settings, Planned *planned, Error *error);

/*
 * A plan without any blocks: what a rewind would do at least. It finds what is wrong with the
 * files of both sides where a real plan cannot be made. settings: of -R, or NULL.
 */
MUST_CHECK bool prepare_least_plan(Session *session, const SourceState *source,
                                   const StandbySettings *settings, Planned *planned, Error *error);

void planned_free(Planned *planned);

/* ---- transfer.c: everything that the rewind needs comes to the target's disks, and is proved,
 * before anything in the target is changed ---- */

/*
 * Claim the pid file; stage the files and the source's WAL, up to a position past everything that
 * was fetched; prove that WAL with the files that the rewound target will have. archives_always:
 * the rewound standby archives what it receives. `final` makes an error of what is obsolete.
 * *staged is set also after a failure; it points to the plan and to the start.
 */
MUST_CHECK bool transfer_make(const Session *session, const Planned *planned,
                              const RecoveryStart *start, bool archives_always, bool final,
                              Staged *staged, Error *error);

/* Then the files of these settings (NULL: none), and the journal. All is on the disk when this
 * returns. */
MUST_CHECK bool transfer_finish(const Session *session, const Divergence *divergence,
                                const StandbySettings *settings, const Staged *staged,
                                Error *error);

/* ---- next_steps.c: the last messages of a run that succeeded ---- */

/* End of the source's WAL, as far as it is known. */
Lsn run_source_end(const Run *run);

/* The rewound target does not get all of the source's WAL since the divergence: of a late start. */
bool run_lacks_wal(const Run *run);

/* Why a full backup is to be taken, sentences in the run's arena; NULL: there is no need. */
const char *run_full_backup(const Run *run);

/* Collect in run->advice the steps that people take next, from run->next_start. */
void next_steps_make(const Options *options, Run *run);

/* Print them, and what differs on the target from before. */
void next_steps_print(const Options *options, const Run *run);

/* The lists of what differs: settings, files, slots, options of primary_conninfo. */
typedef enum NextList
{
    NEXT_SETTINGS,
    NEXT_FILES,
    NEXT_SLOTS,
    NEXT_CONNINFO, /* that it has from the former one, and those that changed */
    NEXT_KEPT      /* files that stay as they are */
} NextList;

/* Append one of them to text; nothing where nothing differs. separator and shown_max are for
 * settings. */
void next_append(const NextStart *next, NextList which, const char *separator, size_t shown_max,
                 Buffer *text);

#endif
