#include "phases/run.h"

#include "apply/roots.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"

#include <string.h>

#define POLL_MILLISECONDS 100 /* between two looks at the source's pg_control */

/* All of the source's WAL that an early start needs must be somewhere. */
static bool check_wal_is_there(Run *run, Lsn from, Lsn end, Error *error)
{
    uint64_t last = wal_segment_before(&run->shape, end);
    Buffer missing = {0};
    bool result = true;

    for (uint64_t segment = wal_segment_of(&run->shape, from); segment <= last && result; segment++)
    {
        char name[WAL_NAME_SIZE], path[PATH_SIZE];
        bool found;

        run_segment_name(run, segment, name);
        result = run_find_source_segment(run, segment, path, &found, error);
        if (result && !found && !run_add_missing(&missing, name))
            break;
    }
    if (result && missing.size > 0)
        result = run_missing_wal_error(buffer_string(&missing), error);
    buffer_free(&missing);
    return result;
}

/* ---- What replay would do wrongly: each says why, and where a start is past it ---- */

/*
 * Does the source's WAL tell of each directory that it has removed? A primary removes a template's
 * files before its WAL says so: its copies are in doubt, but for those that it replayed before it
 * was promoted, as long as it is as it was then. A standby removes them when it replays that, and
 * phase_stage waits until what it has begun to replay has ended.
 */
static bool tells_of_removals(const Run *run, const Control *control, const ScanDatabase *last_copy)
{
    Lsn promoted;

    if (run->position.in_recovery)
        return run->position.streams || !run->source->is_server;
    return run->source->is_server &&
           start_is_as_promoted(control, &run->source_history, &promoted) &&
           last_copy->lsn < promoted;
}

static bool find_copies(const Run *run, const Control *control, const WalStream *stream,
                        const ScanResult *chain, Hazard *hazard, Error *error)
{
    const ScanDatabase *copy = start_last_copy(chain);
    UnsafeCopy unsafe = {0};
    char text[LSN_TEXT_SIZE];
    bool looks_closer;

    if (copy == NULL)
        return true;
    looks_closer = tells_of_removals(run, control, copy);
    if ((looks_closer || run->position.in_recovery) &&
        !start_find_unsafe_copy(stream, run->options->jobs, chain, &unsafe, error))
        return false;
    hazard->found = true;
    hazard->harmless = looks_closer && !unsafe.found;
    hazard->checkpoint_follows = !run->position.in_recovery && !hazard->harmless;
    hazard->lsn = copy->lsn;
    if (unsafe.found)
        copy = &unsafe.copy;
    error_set(&hazard->error, ERROR_FAILED, "replay would copy database %u from database %u%s",
              copy->database, copy->source_database,
              !unsafe.found    ? " as it is in the rewound target"
              : unsafe.dropped ? ", which the source has dropped since"
                               : ", which the source has changed since");
    error_detail(&hazard->error,
                 "The source copied its files at %s (CREATE DATABASE, or ALTER DATABASE "
                 "SET TABLESPACE); the copy on the target could silently differ.",
                 run_lsn_text(run, copy->lsn, text));
    return true;
}

/* Is there no harm in replaying this? Else *problem says why. */
static bool may_make_tablespace(const Run *run, const ScanTablespace *tablespace, Error *problem)
{
    const char *mapped = tablespace_mapped(&run->options->tablespaces, tablespace->path);

    if (mapped == NULL || strcmp(mapped, tablespace->path) == 0)
        return roots_check_replayed_location(run->target.directory, run->shape.version,
                                             tablespace->path, problem);
    return error_set(problem, ERROR_FAILED,
                     "replay of CREATE TABLESPACE would use \"%s\" instead of \"%s\"",
                     tablespace->path, mapped);
}

static void find_tablespaces(const Run *run, const ScanResult *chain, Hazard *hazard)
{
    for (size_t i = 0; i < chain->tablespace_count; i++)
    {
        const ScanTablespace *tablespace = &chain->tablespaces[i];

        if (!tablespace->created || may_make_tablespace(run, tablespace, &hazard->error))
            continue;
        hazard->found = true;
        hazard->harmless = hazard->checkpoint_follows = false;
        if (tablespace->lsn > hazard->lsn)
            hazard->lsn = tablespace->lsn;
    }
}

bool run_find_hazard(const Run *run, const Control *control, const WalStream *stream,
                     const ScanResult *chain, Hazard *hazard, Error *error)
{
    *hazard = (Hazard){0};
    if (!find_copies(run, control, stream, chain, hazard, error))
        return false;
    find_tablespaces(run, chain, hazard);
    if (!chain->full_page_writes_off)
        return true;
    hazard->found = true;
    hazard->harmless = hazard->checkpoint_follows = false;
    error_set(&hazard->error, ERROR_FAILED,
              "\"full_page_writes\" must be enabled in the source server"); /* contract */
    error_detail(&hazard->error, "It was off in the WAL that the rewound target would replay.");
    return true;
}

/* Read the WAL that would be replayed from the start. */
static bool look_ahead(Run *run, Lsn end, Hazard *hazard, Error *error)
{
    ScanResult chain;
    WalScan *scan;
    Lsn last_end;
    bool result;

    if (!run_scan_source_wal(run, run_open_source_segment, run->start.redo, end, &scan, &chain,
                             &last_end, error))
        return false;
    result = run_find_hazard(run, &run->source_control, scan_stream(scan), &chain, hazard, error);
    blockmap_destroy(run->rebuilt);
    run->rebuilt = scan_take_rebuilt(scan, &chain);
    run->rebuilt_end = last_end;
    scan_destroy(scan);
    return result;
}

/*
 * What the source touched before a late start is no longer rebuilt by replay: it counts like what
 * the target touched. Before the early start there is nothing that only the source has.
 */
static bool take_source_changes(Run *run, Error *error)
{
    ScanResult result;
    ScanDatabase *databases;
    WalScan *scan;
    Lsn end;

    if (!run_scan_source_wal(run, run_open_source_segment, run->early.redo, run->start.redo, &scan,
                             &result, &end, error))
        return false;
    if (!run_check_known_updates(run, &result, error))
    {
        scan_destroy(scan);
        return false;
    }
    blockmap_forget_forks(result.blocks); /* which ones the target has made is asked for later */
    blockmap_merge(run->scanned.blocks, result.blocks);
    databases = arena_allocate(
        run->arena, (run->scanned.database_count + result.database_count + 1) * sizeof(*databases));
    if (run->scanned.database_count > 0)
        memcpy(databases, run->scanned.databases, run->scanned.database_count * sizeof(*databases));
    if (result.database_count > 0)
        memcpy(databases + run->scanned.database_count, result.databases,
               result.database_count * sizeof(*databases));
    run->scanned.databases = databases;
    run->scanned.database_count += result.database_count;
    run->input.whole_from = run->early.redo;
    scan_destroy(scan);
    return true;
}

static bool start_later(Run *run, Error *error)
{
    char text[LSN_TEXT_SIZE];

    log_debug("recovery starts late, at the source's checkpoint %s",
              run_lsn_text(run, run->start.checkpoint, text));
    run->report->redo = run->start.redo;
    if (run->options->compare)
    {
        /* Nothing is compared yet: what the source did before this start, it is compared with. */
        run->early = run->start;
        return true;
    }
    return take_source_changes(run, error);
}

/* There is no start from which this hazard is none, unless a dry run has not made the checkpoint.
 */
static bool give_up(const Run *run, const Hazard *hazard, Error *error)
{
    if (run->options->checkpoint && run->options->dry_run)
        return true;
    *error = hazard->error;
    if (run->options->checkpoint && run->position.in_recovery)
        return error_hint(error, "A standby makes no later checkpoint than its primary's last one: "
                                 "run CHECKPOINT on the primary, then run pg_rewind again.");
    return error_hint(error, "Run CHECKPOINT on the source, then run pg_rewind again.%s",
                      run->source->is_server ? "\nWith --checkpoint pg_rewind runs it itself."
                                             : "");
}

/* The source as it is now; its position is then at or behind its checkpoint. */
static bool look_again(Run *run, Error *error)
{
    Control control;

    if (!run_read_source_again(run, &control, error))
        return false;
    run->source_control = control;
    return true;
}

/*
 * Is there a late start behind that record (LSN_INVALID: any)? With --checkpoint one is made. A dry
 * run makes none, and goes on without it.
 */
static bool find_late_start(Run *run, Lsn behind, bool *there, Error *error)
{
    *there = start_late(&run->source_control, run->divergence, behind, &run->start);
    if (*there || !run->options->checkpoint)
        return true;
    if (run->options->dry_run)
    {
        log_info("not running CHECKPOINT on the source in a dry run: less would be replayed, and "
                 "more copied, than is planned now");
        return true;
    }
    log_info("running CHECKPOINT on the source");
    /* The one exception to invariant 6, asked for by name. */
    if (!source_server_checkpoint(run->source, error) || !look_again(run, error))
        return false;
    *there = start_late(&run->source_control, run->divergence, behind, &run->start);
    return true;
}

/* A primary that has copied a database makes a checkpoint at once: wait for that. One that was
 * promoted since takes its time. */
static bool wait_for_late_start(Run *run, const Hazard *hazard, bool *there, Error *error)
{
    const double deadline = clock_seconds() + run->options->wait_timeout_seconds;

    if (!find_late_start(run, hazard->lsn, there, error))
        return false;
    if (*there || run->options->checkpoint || !hazard->checkpoint_follows ||
        run->position.in_recovery || !run->source->is_server)
        return true;
    log_info("waiting for a checkpoint of the source after its copy of a database; CHECKPOINT "
             "there ends the wait");
    while (!*there && clock_seconds() < deadline)
    {
        if (!stop_pause(POLL_MILLISECONDS, error) || !look_again(run, error))
            return false;
        *there = start_late(&run->source_control, run->divergence, hazard->lsn, &run->start);
    }
    return true;
}

/* The WAL to be replayed, all of it, on this machine. */
static bool bring_wal(Run *run, Lsn *end, Error *error)
{
    *end = run_wal_end(run);
    if (!run_bring_source_wal(run, run->early.redo, *end, error) ||
        !check_wal_is_there(run, run->early.redo, *end, error))
        return false;
    run->source_wal_brought_end = *end;
    return true;
}

/* Is there a start behind the hazard, or none needed? *late tells which. */
static bool find_way_past(Run *run, const Hazard *hazard, bool *late, Error *error)
{
    if (!wait_for_late_start(run, hazard, late, error))
        return false;
    if (*late)
        return true;
    run->copies_are_replayed = hazard->harmless;
    return hazard->harmless || give_up(run, hazard, error);
}

/* Read what is replayed from the late start. Its checkpoint may be behind what was brought. */
static bool look_from_late_start(Run *run, Lsn *end, Hazard *hazard, Error *error)
{
    return (run_wal_end(run) <= *end || bring_wal(run, end, error)) && start_later(run, error) &&
           look_ahead(run, *end, hazard, error);
}

/* Decide, and read the source's WAL. */
static bool find_start(Run *run, Error *error)
{
    static Hazard hazard; /* large */
    bool late;
    Lsn end;

    if (run->options->compare)
        run_begin_comparison(run);
    run->start = run->early;
    run->input.whole_from = run->divergence;
    run->copies_are_replayed = false;
    if (!bring_wal(run, &end, error))
        return false;
    late = false;
    if (run->options->late_start && !find_late_start(run, LSN_INVALID, &late, error))
        return false;
    if (!late)
    {
        if (!look_ahead(run, end, &hazard, error) ||
            (hazard.found && !find_way_past(run, &hazard, &late, error)))
            return false;
    }
    if (!late)
        return true;
    if (!look_from_late_start(run, &end, &hazard, error))
        return false;
    /* Not past it yet: with --checkpoint, one behind all that was read. */
    if (hazard.found && !hazard.harmless && run->options->checkpoint &&
        (!find_late_start(run, run->rebuilt_end - 1, &late, error) ||
         (late && !look_from_late_start(run, &end, &hazard, error))))
        return false;
    run->copies_are_replayed = hazard.found && hazard.harmless;
    return !hazard.found || hazard.harmless || give_up(run, &hazard, error);
}

/* Replay that copies files reads blocks before their own records restore them. */
static void forget_rebuilt(Run *run)
{
    blockmap_destroy(run->rebuilt);
    run->rebuilt = NULL;
}

bool phase_start(Run *run, Error *error)
{
    if (!find_start(run, error))
        return false;
    if (run->copies_are_replayed)
        forget_rebuilt(run);
    run->input.rebuilt = run->rebuilt;
    return true;
}

bool run_begin_again(Run *run, Error *error)
{
    log_info("the source has copied a database or created a tablespace in the meantime: starting "
             "again");
    run_report_staged(run);
    stage_abandon(run->stage);
    stage_free(run->stage);
    run->stage = NULL;
    plan_free(&run->plan);
    listing_free(&run->source_files);
    listing_free(&run->target_files);
    return look_again(run, error);
}
