/*
 * What a run knows, and its phases: one file each, called in this order by rewind.c.
 */
#ifndef PHASES_RUN_H
#define PHASES_RUN_H

#include "apply/stage.h"
#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "cluster/interlock.h"
#include "cluster/pid_file.h"
#include "cluster/source.h"
#include "cluster/target.h"
#include "format/history.h"
#include "io/file.h"
#include "plan/listing.h"
#include "plan/plan.h"
#include "plan/start.h"
#include "report/report.h"
#include "rewind.h"
#include "wal/archive.h"
#include "wal/scan.h"

#include <stdbool.h>

/*
 * What a rewind is about: both clusters as they were found. Nobody changes it afterwards.
 * Strings and histories are in the run's arena.
 */
typedef struct Clusters
{
    Target target;
    Source *source;
    WalShape shape; /* of both */
    History source_history;
    History target_history; /* with --compare it may have no entries: not known */
} Clusters;

/* A source at one moment. A server that runs is asked again, which gives another one. */
typedef struct SourceState
{
    Control control;
    SourcePosition position; /* never before the control's checkpoint */
} SourceState;

/* Where the target's WAL is read from. */
typedef struct TargetWal
{
    Archive *archive; /* its pg_wal, and where segments are looked for that are no longer there */
    Archive *own;     /* its pg_wal, nothing else */
    WalStream stream; /* of the archive */
} TargetWal;

/* Where the two histories diverge. */
typedef struct Divergence
{
    Lsn lsn;               /* LSN_INVALID: not known (--compare) */
    Lsn target_end;        /* end of the target's WAL */
    ScanCheckpoint common; /* the last common checkpoint; nothing with --compare */
    WalScan *scan;         /* of the target's WAL up to its end; NULL with --compare */
} Divergence;

/* What the target changed since, by its WAL. */
typedef struct TargetChanges
{
    ScanResult scanned;
    bool dead_entries_unlogged; /* indexes of the target may mark entries as dead that the source
                                   needs, on pages that no WAL names: see run_find_dead_entries */
} TargetChanges;

/* Where recovery of the rewound target starts. */
typedef struct RecoveryStart
{
    Start early;              /* where it can at the earliest; WAL is staged from there */
    Start start;              /* where it does */
    bool copies_are_replayed; /* files of databases, from a start before the copies */
    BlockMap *compared;       /* blocks that differ (--compare); NULL: the WAL is scanned */
    BlockMap *rebuilt; /* blocks that replay from the start writes whole; NULL: not relied on */
    Lsn rebuilt_end;   /* by WAL up to here */
} RecoveryStart;

/* The plan and what it was made from. */
typedef struct Planned
{
    Listing source_files;
    Listing target_files;
    PlanInput input;
    Plan plan;
} Planned;

/* What was staged. */
typedef struct Staged
{
    Stage *stage;
    Lsn min_recovery_point;
    Timeline min_recovery_timeline;
} Staged;

/* All that a run knows. Strings and histories are in the arena. */
typedef struct Run
{
    const Options *options;
    Report *report;
    Arena *arena;
    Interlock *interlock;
    char *restore_command;
    char *scratch;    /* directory for WAL that is brought for the scan */
    int scratch_lock; /* of a dry run's, else -1 */

    bool resumed;     /* an interrupted rewind was finished first */
    bool lock_waited; /* another pg_rewind had the target before */

    /* What is wrong is said when it is found, and the run goes on looking for more. Nothing is
     * staged then. */
    size_t problems;
    bool identified; /* source and target are of one cluster, and neither is running or unsafe to
                        look at */
    ErrorKind worst; /* of them; ERROR_NONE: there are none */

    bool kept_named_files; /* the files that --keep-config keeps by their settings were added */

    Clusters clusters;
    SourceState source_state;
    TargetWal target_wal;
    Archive *source_archive;           /* of the source's that it no longer has */
    WalStream source_directory_stream; /* only for a source that is a directory */
    Divergence diverged;
    TargetChanges changes;
    RecoveryStart recovery;
    Lsn source_wal_brought_end; /* the source's WAL was brought here up to this position */
    Planned planned;
    bool archives_always; /* archive_mode = always in the rewound target, as far as is known */
    Staged staged;
} Run;

/* An LSN as the target's version prints it; text holds LSN_TEXT_SIZE bytes. */
const char *run_lsn_text(const Run *run, Lsn lsn, char *text);

/*
 * A problem that does not keep the run from looking for others: it is said now, and the run ends
 * before anything is staged. In whatever order they come, the worst kind is the run's:
 * ERROR_IMPOSSIBLE, then ERROR_FAILED, then ERROR_RETRY.
 */
void run_add_problem(Run *run, const Error *problem);

/* Without the target's WAL it can be done: say so. */
bool run_hint_compare(Error *error);

/* Were there any? Then the error, whose message is empty since each was said already. */
MUST_CHECK bool run_check_problems(const Run *run, Error *error);

/* 1. Open: lock the target; finish or throw away what an earlier run left. *finished: nothing more
 * is to be said. */
MUST_CHECK bool phase_open(Run *run, bool *finished, RewindOutcome *outcome, Error *error);

/*
 * 2. Identify: both clusters, all prerequisites, the source's position, both histories. *finished:
 * an interrupted rewind was finished, and the source cannot be asked whether it is still the one to
 * follow: that is a warning. Problems that let the next phases work are only noted.
 */
MUST_CHECK bool phase_identify(Run *run, bool *finished, Error *error);

/* 3. Find the divergence and the last common checkpoint. *needed: the target holds WAL behind the
 * divergence. */
MUST_CHECK bool phase_diverge(Run *run, bool *needed, Error *error);

/* 4. Scan the target's WAL from where it names every block that may differ. */
MUST_CHECK bool phase_scan(Run *run, Error *error);

/*
 * Then decide where recovery starts: reads the source's WAL from the last common checkpoint on. May
 * be called again, after run_begin_again.
 */
MUST_CHECK bool phase_start(Run *run, Error *error);

/*
 * --compare instead of 3. and 4.: nothing of the target's WAL is read. First in place of the
 * divergence; then, before each plan, recovery starts at the source's last checkpoint, and no block
 * is known to differ.
 */
void run_skip_divergence(Run *run);
void run_begin_comparison(Run *run);

/* Then, when the plan knows all files: name the blocks that differ. Claims the pid file but in a
 * dry run. */
MUST_CHECK bool run_compare(Run *run, Error *error);

/*
 * After a plan was made: the target's indexes are read for entries that were marked as dead without
 * WAL, and pages that have any are named as if WAL did. Does nothing where the scan found that
 * there can be none.
 */
MUST_CHECK bool run_find_dead_entries(Run *run, Error *error);

/* 5. and 6. List both directories, decide, and check all that can be checked before anything is
 * written. */
MUST_CHECK bool phase_plan(Run *run, Error *error);

/*
 * After a phase before that has failed: what can be said of the target's files and disks without
 * it, as problems. Nothing is said where even that is not known.
 */
void run_survey(Run *run);

/*
 * 7. Stage everything, prove the chain of WAL, write the journal. *obsolete: nothing was written,
 * since the source has done something meanwhile that recovery from this start would replay wrongly;
 * `final` makes an error of that.
 */
MUST_CHECK bool phase_stage(Run *run, bool final, bool *obsolete, Error *error);

/* Throw away what was staged and planned, and look at the source as it is now. */
MUST_CHECK bool run_begin_again(Run *run, Error *error);

/* The source once more: its pg_control, then its position. An error if it is not the same any more.
 */
MUST_CHECK bool run_read_source_again(Run *run, Control *control, Error *error);

/* Add what was staged to the report. */
void run_report_staged(Run *run);

/* 8. Commit and apply. */
MUST_CHECK bool phase_apply(Run *run, RewindOutcome *outcome, Error *error);

/* Its second half: carry out the journal that is committed, of this run or of an interrupted one.
 */
MUST_CHECK bool run_finish_apply(Run *run, Error *error);

/* Make run->archive and run->source_archive, before the histories are known. */
MUST_CHECK bool run_open_archives(Run *run, Error *error);

/*
 * Remove what was brought. A restore command that fetches in advance may have left a process behind
 * that still writes there: it is tried again for some seconds.
 */
MUST_CHECK bool run_remove_scratch(const Run *run, Error *error);

/* What a plan is made from: both listings, which are made later, the scan, and what --keep says. */
PlanInput run_plan_input(Run *run, Lsn divergence);

/* Of use to several phases: WAL segments that the rewound target needs. */
Lsn run_wal_end(const Run *run); /* the last position that it must have */
bool run_keeps_segment(const Run *run,
                       uint64_t segment); /* it has the segment already, and keeps it */
void run_segment_name(const Run *run, uint64_t segment, char name[WAL_NAME_SIZE]);

/* Is a timeline left inside of a segment that the rewound target needs, and of the older one too?
 */
bool run_stages_left_segment(const Run *run, const HistoryEntry *left, Lsn end);
bool run_missing_wal_error(const char *names, Error *error);

/* Add a segment to the names for that. False: they are many enough, look for no more. */
bool run_add_missing(Buffer *names, const char *name);

/* Bring the source's segment NAME to the file path, which is there only when it is whole. Any
 * worker's connection. */
MUST_CHECK bool run_fetch_segment(Run *run, int worker, const char *name, const char *path,
                                  bool *found, Error *error);

/* Bring the source's segments of [from, end) to the scratch directory, as far as the source has
 * them. */
MUST_CHECK bool run_bring_source_wal(Run *run, Lsn from, Lsn end, Error *error);

/*
 * A file on this machine that holds a segment of the source's history: kept by the target, of the
 * source directory, brought here, or restored from the archive. *found false: it is nowhere.
 */
MUST_CHECK bool run_find_source_segment(Run *run, uint64_t segment, char path[PATH_SIZE],
                                        bool *found, Error *error);

/* Is that a file that was brought here, so that it can be moved to where it is wanted? Others are
 * an archive's, or a cluster's. */
bool run_may_take(const Run *run, const char *path);

/* Remove the copy of a segment that was brought, if there is one. */
MUST_CHECK bool run_forget_brought_segment(Run *run, uint64_t segment, Error *error);

/* Is that segment one that the source has, or the target? (An archive's is not relied on where it
 * need not be.) For WalStream's `rebuilds`; the context is the run. */
MUST_CHECK bool run_segment_rebuilds(void *context, uint64_t segment, bool *rebuilds, Error *error);

/* The same as a WalOpen; the context is the run. */
MUST_CHECK bool run_open_source_segment(void *context, Timeline timeline, uint64_t segment, int *fd,
                                        bool *found, Error *error);

/*
 * Read the source's WAL from `from`, where recovery may start, to `end`: each record is checked,
 * *result tells what they say (with run_open_source_segment also what is rebuilt), *last_end where
 * the last whole one ends. A hole or damage before the
 * end is an error. *scan is the caller's to destroy on success.
 */
MUST_CHECK bool run_scan_source_wal(Run *run, WalOpen open, Lsn from, Lsn end, WalScan **scan,
                                    ScanResult *result, Lsn *last_end, Error *error);

/* Is it known of every record which blocks it changes? Where its blocks are fetched they must be.
 */
MUST_CHECK bool run_check_known_updates(const Run *run, const ScanResult *scanned, Error *error);

/*
 * What replay from a start may do wrongly: copy a database that is not what it was, make a
 * tablespace where it must not be, leave torn pages (full_page_writes off). A start behind it is
 * right.
 */
typedef struct Hazard
{
    bool found;
    bool checkpoint_follows; /* a primary makes a checkpoint at once, unasked */
    bool harmless;           /* there are copies, and each comes out right */
    Lsn lsn;                 /* a start must lie behind this record; LSN_INVALID: not known */
    Error error;             /* what is to be said when there is no such start */
} Hazard;

/* Look for one in the source's WAL from the start on: `chain` is the scan of all of `stream`,
 * control the source's as read last. */
MUST_CHECK bool run_find_hazard(const Run *run, const Control *control, const WalStream *stream,
                                const ScanResult *chain, Hazard *hazard, Error *error);

#endif
