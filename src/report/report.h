/*
 * What diverged, what is lost, what was done: one document, also for a dry run and for failures.
 *
 * findings.c makes it at the end of the run from what the steps of rewind.c found; main.c writes
 * it.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "format/history.h"
#include "options.h"
#include "plan/plan.h"
#include "recovery_start/choose.h"
#include "standby/next_start.h"
#include "wal/lost.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef enum ReportPhase
{
    PHASE_IDENTIFY,
    PHASE_SCAN,
    PHASE_PLAN,
    PHASE_STAGE,
    PHASE_APPLY,
    PHASE_COUNT
} ReportPhase;

#define REPORT_STEPS_MAX 16

/* What --rejoin did with the target's server. */
typedef struct ReportRejoin
{
    bool stopped, started;     /* by this run */
    bool stopping;             /* asked to stop by this run, and not stopped yet */
    bool running;              /* at the end */
    bool followed;             /* it streams from the source and has replayed the WAL up to */
    Lsn awaited;               /* what the source had when the server was started; LSN_INVALID */
    bool was_primary;          /* before the rewind */
    const char *start_command; /* NULL: not known */
    Lsn sent, replayed; /* when it followed; of pg_stat_replication, empty where the role may not
                           see it: */
    char application_name[128], sync_state[32];
} ReportRejoin;

typedef struct ReportPrepared
{
    uint32_t xid;
    const char *gid; /* NULL: only the number is known */
} ReportPrepared;

typedef struct Report
{
    Arena *arena; /* holds what the pointers point into; the caller that asked for the report frees
                     it */
    const char *program_version; /* set with the next three when it is written */
    int64_t begin, end;          /* microseconds since 2000-01-01 UTC */
    double run_seconds;
    const char *source;                       /* description, or NULL when not known yet */
    bool connected;                           /* to a server; the following are set */
    const char *source_host, *source_address; /* that answered; NULL: there is no such thing */
    uint32_t source_port;
    uint64_t system_identifier; /* 0: not known */
    const char *target;
    const Version *version; /* NULL: not known yet */
    const Error *const
        *errors; /* all that were printed, the run's own last or alone; set at the end */
    size_t error_count;
    bool dry_run;
    bool rewind_needed;
    bool resumed;  /* an interrupted run was finished */
    bool diverged; /* the following are set */
    Lsn divergence;
    Timeline divergence_timeline;
    Lsn checkpoint;   /* last common checkpoint */
    Lsn redo;         /* its redo position, or that of the source's checkpoint if that is older */
    bool start_known; /* the next three are set */
    StartChoice start;
    Lsn start_checkpoint, start_redo;
    Timeline checkpoint_timeline;
    const History *source_history;
    const History *target_history;
    Lsn source_end; /* end of WAL of each side */
    Lsn target_end;
    bool scanned; /* the following are set */
    uint64_t lost_commits;
    int64_t first_lost_commit, last_lost_commit; /* microseconds since 2000-01-01 UTC */
    uint64_t lost_prepared;
    uint64_t target_wal_bytes; /* read */
    Lost *lost; /* what is lost in detail; NULL: not read. The caller that frees the arena destroys
                   it */
    ReportTransactions transactions; /* how much of that is listed */
    const char *const *lost_gids;    /* lost_prepared; NULL like lost */
    const char *saved_wal;           /* where the diverged WAL is kept, or NULL */
    const char *saved_wal_command;   /* how to read it */
    bool planned;
    uint64_t planned_bytes; /* to be fetched at most, without WAL */
    uint64_t planned_wal_bytes;
    uint64_t rebuilt_bytes; /* not fetched, since recovery rebuilds them */
    uint64_t source_bytes;  /* total size of the source directory */
    const PlanRemoved *removed;
    size_t removed_count;
    Lsn replay_from; /* what the target's server replays before it is consistent; as far as known */
    Lsn replay_to;
    uint64_t replay_segments;
    const ReportPrepared *prepared_stay, *prepared_go; /* prepared transactions; NULL: not known */
    size_t prepared_stay_count, prepared_go_count;
    const char *const *archived; /* names of files with lost history that the target has archived;
                                    NULL: not known */
    size_t archived_count;
    bool full_backup;  /* incremental backups are made, and need a new full one */
    bool one_timeline; /* both sides are on a timeline of the same number */
    uint64_t fetched_bytes_by_kind[KIND_COUNT];
    uint64_t fetched_bytes;
    bool compare;            /* blocks were compared, no WAL of the target was scanned */
    uint64_t compared_bytes; /* of relations, block by block */
    uint64_t equal_bytes;    /* compared and found equal, not fetched */
    Lsn min_recovery_point;
    Timeline min_recovery_timeline;
    double seconds[PHASE_COUNT];         /* time a phase took */
    const NextStart *next_start;         /* of the target's server; NULL: not known */
    Lsn wal_needed_from;                 /* the source must have WAL from here on for it */
    const char *steps[REPORT_STEPS_MAX]; /* what is to be done before and when it starts: sentences,
                                            in order; by report_next_steps */
    size_t step_count;
    bool will_be_started;       /* --rejoin: no step for people */
    const ReportRejoin *rejoin; /* NULL: without --rejoin */
} Report;

/*
 * The text document, for people, appended to text; what the run did not find out is left out.
 * Times are local (TZ), with UTC beside them. Only messages and paths can make a
 * line longer than 100 columns.
 */
void report_text(const Report *report, int exit_status, Buffer *text);

/*
 * One JSON object, the same facts; docs/report.schema.json says what each key is. Every key is
 * always there; null: the run did not come to know
 * it, or there is no such thing. LSNs are strings as the server prints them, times ISO 8601 in UTC,
 * sizes bytes; what is not UTF-8 in a path or message becomes U+FFFD.
 * It is appended to text; what is long already goes to file, unless that is NULL, and errors stay
 * there (ferror).
 */
void report_json(const Report *report, int exit_status, Buffer *text, FILE *file);

/*
 * Both timelines as a small picture, such as
 *
 *   source   1 ──●──┬── 2 ── 3 ──▶ 0/5000000     ● last common checkpoint 0/3000060
 *   target          └── 1 ──▶ 0/4000000          ┬ divergence 0/3000148
 *
 * Nothing as long as the histories are not known. Of many timelines only the first and the last two
 * are named. Without utf8 its signs are - + ` > * and a dot.
 */
void report_picture(const Report *report, bool utf8, Buffer *text);

/* Make the steps from report->next_start, which is known; in the report's arena. */
void report_next_steps(Report *report);

/* Print what differs, then the steps in order, on stderr. */
void report_next_log(const Report *report);

#endif
