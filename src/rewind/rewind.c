#include "rewind/rewind.h"

#include "apply/apply.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "target/pid_file.h"
#include "rewind/attempts.h"
#include "rewind/look.h"
#include "rewind/next_steps.h"
#include "stage/work_directories.h"
#include "stage/check.h"
#include "standby/standby_files.h"
#include "standby/streaming.h"

/* Nothing has diverged; but a standby that was away for long has no way to go on. */
static bool warn_if_left_behind(const Run *run, Error *error)
{
    const Identified *identified = &run->identified;
    char name[WAL_NAME_SIZE];
    uint64_t segment;
    bool has;

    if (!look_for_next_wal(identified, run->divergence.target_end, &segment, &has, error))
        return false;
    if (has)
        return true;
    source_wal_segment_name(identified->source_wal, segment, name);
    log_warning("the source no longer has segment %s: the target cannot follow it", name);
    log_hint("Set restore_command to an archive that has the segment, or run pg_rewind again with "
             "--compare: it copies only what differs.");
    return true;
}

/* A standby's slots may be in use by its own standbys; a former primary's clients are gone. */
static bool find_slots_of_primary(Arena *arena, Run *run, Error *error)
{
    const Target *target = &run->identified.clusters.target;

    return !target_was_primary(target) || target_slots_read(target, arena, &run->slots, error);
}

/* Last of all: the same command does what is left of it, as long as no server was started. */
static bool drop_slots(const Options *options, const Run *run, Error *error)
{
    if (!options->drop_slots || run->slots.count == 0)
        return true;
    return interlock_claim_pid_file(run->opened.interlock, error) &&
           target_slots_drop(&run->identified.clusters.target, &run->slots, error);
}

/* The target is on the source's history already. -R makes a standby of it nevertheless. */
static bool finish_unneeded(const Options *options, Arena *arena, Run *run, Error *error)
{
    const Clusters *clusters = &run->identified.clusters;
    const char *target = clusters->target.directory;
    const Lsn needed_from = run->divergence.target_end;
    bool found, running;
    long pid;

    log_info("no rewind required"); /* contract */
    if (!warn_if_left_behind(run, error) || !find_slots_of_primary(arena, run, error))
        return false;
    if (!streaming_make_slot(options, clusters, needed_from, &run->slot_made, error))
        return false;
    if (options->dry_run)
        return true;
    /* A run that was killed while it cleaned up has left its own: taken over now, it is removed at
     * the end. */
    if (!pid_file_find_server(target, &found, &running, &pid, error) ||
        (found && !running && !interlock_claim_pid_file(run->opened.interlock, error)))
        return false;
    return (run->standby_settings == NULL ||
            standby_files_write(clusters, run->standby_settings, options->keep, error)) &&
           drop_slots(options, run, error);
}

/* -R: what it will write, while the target still has its former configuration, and whether the
 * standby can stream with that. */
static bool prepare_standby(const Options *options, Problems *problems, Arena *arena, Run *run,
                            Error *error)
{
    const Clusters *clusters = &run->identified.clusters;
    StandbySettings *settings;

    if (!options->write_recovery_conf)
        return true;
    settings = arena_allocate(arena, sizeof(*settings));
    if (!standby_settings_make(options, clusters, arena, settings, error))
        return false;
    standby_settings_warn(settings);
    if (!streaming_check(options, clusters, settings, problems, arena, error))
        return false;
    run->standby_settings = settings;
    return true;
}

/* Find what the target changed since the last common checkpoint, and with a report what is lost.
 */
static bool read_changes(const Options *options, Arena *arena, Run *run, Error *error)
{
    const Identified *identified = &run->identified;
    const double clock = clock_seconds();
    bool result;

    progress_begin(PROGRESS_SCAN_TARGET, 0); /* it may have to be read from further back */
    result =
        target_changes_scan(&identified->clusters, &run->divergence, arena, &run->changes, error);
    progress_end(result);
    if (result && options->report_wanted &&
        options->report_transactions != REPORT_TRANSACTIONS_NONE)
        result = lost_transactions_read(&identified->clusters, &run->divergence,
                                        options->report_transactions, arena, &run->lost, error);
    run_count_seconds(run, PHASE_SCAN, clock);
    return result;
}

/* Up to the commit. *done: there is nothing to commit. */
static bool prepare_rewind(const Options *options, Problems *problems, Arena *arena, Run *run,
                           bool *done, Error *error)
{
    Identified *identified = &run->identified;
    double clock = clock_seconds();
    bool result;

    /* Two clusters of one system, both at rest. */
    progress_begin(PROGRESS_IDENTIFY, 0);
    result = identify_target(options, &run->opened, arena, problems, identified, error) &&
             identify_pair(options, &run->opened, arena, problems, identified, error);
    progress_end(result);
    if (!result)
        return false;
    run_count_seconds(run, PHASE_IDENTIFY, clock);
    *done = identified->done;
    if (*done)
        return true;
    if (!prepare_standby(options, problems, arena, run, error))
        return false;
    /* The history files show where the timelines diverged at the latest; the bytes of the WAL
     * decide. */
    clock = clock_seconds();
    result = look_for_divergence(options, identified, options->jobs, arena, problems,
                                 &run->divergence, error);
    run_count_seconds(run, PHASE_SCAN, clock);
    if (!result)
        return false;
    *done = !run->divergence.needed;
    if (*done)
        return problems_check(problems, error) && finish_unneeded(options, arena, run, error);
    /* From its WAL, or else by comparing: every block that may differ. */
    if (!options->compare && !read_changes(options, arena, run, error))
        return false;
    *done = options->dry_run;
    return attempts_make(options, problems, arena, run, error);
}

/* From the commit on the rewind is finished, by this run or by the same command again. */
static bool commit_and_apply(const Options *options, Run *run, RewindOutcome *outcome, Error *error)
{
    const char *target = run->identified.clusters.target.directory;
    const double clock = clock_seconds();
    bool committed = false, result;

    if (!stop_check(error))
        return false;
    signals_hold_off();
    result = apply_commit(target, run->opened.interlock, &committed, error);
    if (committed)
        *outcome = REWIND_COMMITTED;
    if (!result)
        return false;
    log_progress_message("syncing target data directory"); /* contract */
    if (!apply_finish(target, run->opened.interlock, options, APPLY_PATIENCE_SECONDS, error))
        return false;
    *outcome = REWIND_DONE;
    run_count_seconds(run, PHASE_APPLY, clock);
    return true;
}

/*
 * A step before the stage has failed with this error. Look at the target's files and disks, and
 * report what is wrong with them in the same run, so that all of it can be fixed at once. Not if
 * the source is lost, which would be waited for again, nor if the run is to stop. The error is then
 * ERROR_REPORTED.
 */
static void survey_target(const Options *options, Problems *problems, Arena *arena, Run *run,
                          Error *error)
{
    const Identified *identified = &run->identified;
    const Clusters *clusters = &identified->clusters;
    Planned *planned = &run->planned;
    const WalSpace wal = {0};
    Error problem;

    if (run->staged.stage != NULL || error_worst_kind(error) == ERROR_RETRY || !stop_check(NULL))
        return;
    if (error->kind != ERROR_REPORTED)
        problems_add(problems, error);
    /* Where a plan was made, or tried to be, its files were looked at. */
    if (identified->may_be_looked_at && clusters->source_history.count > 0 &&
        planned->source_files.strings == NULL &&
        (!prepare_least_plan(clusters, &identified->source, options, arena, planned, &problem) ||
         !stage_check(clusters->target.directory, &planned->plan, &wal, &problem)))
        problems_add(problems, &problem);
    error_set_reported(error, problems->worst);
}

static bool run_steps(const Options *options, Arena *arena, Run *run, RewindOutcome *outcome,
                      Error *error)
{
    static const LookPolicy policy = {.locks = true};
    Problems problems = {0};
    bool done;

    /* The target is locked, and what an interrupted rewind left is finished first. */
    if (!opened_make(options, &policy, arena, &run->identified.clusters.target, &run->opened,
                     outcome, error))
        return false;
    if (run->opened.pending)
        return true;
    if (!prepare_rewind(options, &problems, arena, run, &done, error))
    {
        survey_target(options, &problems, arena, run, error);
        return false;
    }
    if (!done && !commit_and_apply(options, run, outcome, error))
        return false;
    if (!done || (options->dry_run && run->planned.known))
        log_info("Done!"); /* contract */
    return true;
}

/* Memory stays: the report reads it. */
static void release(Run *run, RewindOutcome outcome)
{
    if (run->staged.stage != NULL && outcome == REWIND_UNTOUCHED)
        stage_abandon(run->staged.stage);
    stage_free(run->staged.stage);
    identified_release(&run->identified);
    opened_release(&run->opened);
}

bool rewind_run(const Options *options, Run *run, RewindOutcome *outcome, Error *error)
{
    bool result;

    run->arena = arena_create();
    run->opened.scratch_lock = -1;
    *outcome = REWIND_UNTOUCHED;
    result = run_steps(options, run->arena, run, outcome, error);
    /* Invariant 6: from the commit on it is the standby's. */
    if (!result && *outcome == REWIND_UNTOUCHED && run->slot_made)
        streaming_drop_slot(options, &run->identified.clusters);
    run_note_source(run);
    if (result)
        next_steps_find(options, run);
    release(run, *outcome);
    return result;
}
