#include "rewind.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "phases/lost_transactions.h"
#include "phases/run.h"
#include "standby/next_start.h"
#include "standby/standby_files.h"

#define PLAN_ATTEMPTS_MAX 4 /* a copy meanwhile, and another */

/* The time that a phase took, and the clock for the next. */
static double mark(Run *run, ReportPhase phase, double since)
{
    double now = clock_seconds();

    run->report->seconds[phase] += now - since;
    return now;
}

static bool no_rewind_required(Run *run, Error *error)
{
    bool found, running;
    long pid;

    log_info("no rewind required"); /* contract */
    if (run->options->dry_run)
        return true;
    /* A run that was killed while it cleaned up has left its own: taken over now, it is removed at
     * the end. */
    if (!pid_file_look(run->clusters.target.directory, &found, &running, &pid, error) ||
        (found && !running && !interlock_claim_pid_file(run->interlock, error)))
        return false;
    return !run->options->write_recovery_conf ||
           standby_files_write(run->clusters.target.directory, run->clusters.source,
                               run->clusters.shape.version, run->options->source_server,
                               run->options->keep, error);
}

static bool list_lost_transactions(Run *run, Error *error)
{
    LostTransactions lost;
    bool result;

    if (!run->options->report_wanted)
        return true;
    result = lost_transactions_read(&run->clusters, &run->target_wal, &run->diverged, &run->changes,
                                    run->arena, &lost, error);
    run->report->lost = lost.lost;
    run->report->lost_gids = lost.gids;
    return result;
}

/* With a plan: of the rewound target; else of the target as it is. */
static bool find_next_start(Run *run, Error *error)
{
    const Options *options = run->options;
    const NextStartInput input = {.target = &run->clusters.target,
                                  .source = run->clusters.source,
                                  .plan = run->report->planned ? &run->planned.plan : NULL,
                                  .source_files = &run->planned.source_files,
                                  .target_files = &run->planned.target_files,
                                  .config_file = options->config_file,
                                  .source_server = options->source_server,
                                  .write_recovery_conf = options->write_recovery_conf};
    NextStart *next = arena_allocate(run->arena, sizeof(*next));

    if (!next_start_find(&input, run->arena, next, error))
        return false;
    run->report->next_start = next;
    run->archives_always = next->archives_always;
    return true;
}

/* After a run that succeeded: what is to be done next. */
static void report_next(Run *run)
{
    Report *report = run->report;
    const WalShape *shape = &run->clusters.shape;
    const Lsn source_end =
        report->source_end != LSN_INVALID ? report->source_end : run_wal_end(run);
    Error ignored;

    if (report->dry_run && report->resumed) /* nothing else was looked at */
        report->next_start = arena_allocate(run->arena, sizeof(*report->next_start));
    else if (report->next_start == NULL &&
             (run->clusters.target.control.version == NULL || !find_next_start(run, &ignored)))
        return;
    report->wal_needed_from = report->planned
                                  ? wal_segment_start(shape, wal_segment_of(shape, source_end))
                                  : run->diverged.target_end;
    report_next_steps(report);
    report_next_say(report);
}

/*
 * Scan to stage. While the source copies databases, a plan may be out of date when it is carried
 * out; a new one starts behind the copy.
 */
static bool prepare(Run *run, Error *error)
{
    double clock = clock_seconds();
    bool obsolete = false;

    if (!run->options->compare && (!phase_scan(run, error) || !list_lost_transactions(run, error)))
        return false;
    for (int attempt = 1;; attempt++)
    {
        if (!phase_start(run, error))
            return false;
        clock = mark(run, PHASE_SCAN, clock);
        if (!phase_plan(run, error))
            return false;
        if (!run_check_problems(run, error) || !find_next_start(run, error))
            return false;
        clock = mark(run, PHASE_PLAN, clock);
        if (run->options->dry_run)
            return true;
        if (!phase_stage(run, attempt == PLAN_ATTEMPTS_MAX, &obsolete, error))
            return false;
        clock = mark(run, PHASE_STAGE, clock);
        if (!obsolete)
            return true;
        if (!run_begin_again(run, error))
            return false;
    }
}

/* To the plan, or to the end of a dry run, or to where nothing is to be done: *done. */
static bool look_and_decide(Run *run, bool *done, Error *error)
{
    double clock = clock_seconds();
    bool needed = false;

    if (!phase_identify(run, done, error))
        return false;
    if (*done)
        return true;
    clock = mark(run, PHASE_IDENTIFY, clock);
    if (!phase_diverge(run, &needed, error))
        return false;
    mark(run, PHASE_SCAN, clock);
    run->report->rewind_needed = needed;
    if (!needed)
    {
        *done = true;
        return run_check_problems(run, error) && no_rewind_required(run, error);
    }
    return prepare(run, error);
}

/*
 * A phase before the stage has failed: whatever else is wrong is said in the same run. Not if the
 * source is lost, which would be waited for again, nor if the run shall stop.
 */
static void look_for_more(Run *run, Error *error)
{
    Error stopped;

    if (run->staged.stage != NULL || error->kind == ERROR_RETRY || !stop_check(&stopped))
        return;
    if (error->message[0] != '\0')
        run_add_problem(run, error);
    run_survey(run);
    error_set(error, run->worst, "%s", "");
}

static bool run_phases(Run *run, RewindOutcome *outcome, Error *error)
{
    double clock;
    bool done;

    if (!phase_open(run, &done, outcome, error))
        return false;
    if (done)
        return true;
    if (!look_and_decide(run, &done, error))
    {
        look_for_more(run, error);
        return false;
    }
    if (done)
        return true;
    if (!run->options->dry_run)
    {
        clock = clock_seconds();
        if (!phase_apply(run, outcome, error))
            return false;
        mark(run, PHASE_APPLY, clock);
    }
    log_info("Done!"); /* contract */
    return true;
}

/* The arena stays: the report points into it. */
static void clean_up(Run *run, RewindOutcome outcome)
{
    Error error = {0};

    if (run->staged.stage != NULL && outcome == REWIND_UNTOUCHED)
        stage_abandon(run->staged.stage);
    stage_free(run->staged.stage);
    if (run->scratch != NULL && !run_remove_scratch(run, &error))
        log_warning("%s", error.message);
    file_close(run->scratch_lock);
    scan_destroy(run->diverged.scan);
    archive_destroy(run->target_wal.archive);
    archive_destroy(run->target_wal.own);
    archive_destroy(run->source_archive);
    plan_free(&run->planned.plan);
    blockmap_destroy(run->recovery.compared);
    blockmap_destroy(run->recovery.rebuilt);
    listing_free(&run->planned.source_files);
    listing_free(&run->planned.target_files);
    source_close(run->clusters.source);
    interlock_release(run->interlock);
}

bool rewind_run(const Options *options, Report *report, RewindOutcome *outcome, Error *error)
{
    Arena *arena = arena_create();
    Run *run = arena_allocate(arena, sizeof(*run)); /* the report points into it */
    bool result;

    run->options = options;
    run->report = report;
    run->arena = report->arena = arena;
    run->scratch_lock = -1;
    *outcome = REWIND_UNTOUCHED;
    report->dry_run = options->dry_run;
    report->compare = options->compare;
    result = run_phases(run, outcome, error);
    run_report_staged(run);
    if (result)
        report_next(run);
    clean_up(run, *outcome);
    return result;
}
