#include "phases/run.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"
#include "io/place.h"
#include "plan/divergence.h"

#include <stdio.h>

#define WORKERS_FROM_BYTES (32 * 1024 * 1024)
#define CLOCKS_DIFFER_SECONDS_MAX 3600

static bool open_in_source_directory(void *context, Timeline timeline, uint64_t segment, int *fd,
                                     bool *found, Error *error)
{
    const Run *run = context;
    char name[WAL_NAME_SIZE], path[PATH_SIZE];

    wal_segment_name(&run->clusters.shape, timeline, segment, name);
    snprintf(path, sizeof(path), "%s/pg_wal/%s", run->options->source_directory, name);
    return file_open_read(path, fd, found, error) &&
           (*found || archive_open(run->source_archive, timeline, segment, fd, found, error));
}

static void open_streams(Run *run)
{
    run->target_wal.stream = (WalStream){.shape = run->clusters.shape,
                                         .data_block_size = run->clusters.target.control.block_size,
                                         .history = &run->clusters.target_history,
                                         .open = archive_open,
                                         .missing = archive_missing_error,
                                         .context = run->target_wal.archive};
    run->source_directory_stream = run->target_wal.stream;
    run->source_directory_stream.history = &run->clusters.source_history;
    run->source_directory_stream.open = open_in_source_directory;
    run->source_directory_stream.missing = NULL;
    run->source_directory_stream.context = run;
}

/*
 * The end of a stopped source's WAL: of the last record behind its checkpoint. Of a stopped standby
 * nobody knows how far it has replayed. It may have removed or copied directories behind its
 * minRecoveryPoint, which does not wait for that: then recovery must pass all the WAL that it has.
 */
static bool find_source_directory_end(Run *run, Error *error)
{
    Lsn floor = run->source_state.control.checkpoint_lsn;
    ScanResult behind = {0};
    WalScan *scan;
    Lsn last;
    bool missing, result;

    if (run->clusters.source->is_server)
        return true;
    if (run->source_state.position.in_recovery && run->source_state.position.minimum > floor)
        floor = run->source_state.position.minimum;
    scan = scan_create(&run->source_directory_stream, 1, floor);
    result = scan_forward(scan, run->source_state.control.checkpoint_lsn,
                          &run->source_state.position.end, &last, &missing, NULL, error) &&
             (!run->source_state.position.in_recovery ||
              scan_finish(scan, run->arena, floor, floor, &behind, error));
    scan_destroy(scan);
    if (result && run->source_state.position.end == run->source_state.control.checkpoint_lsn)
        return error_set(error, ERROR_FAILED, "could not read the source's last checkpoint record");
    if (!run->source_state.position.in_recovery || behind.database_count > 0 ||
        behind.tablespace_count > 0)
        run->source_state.position.minimum = run->source_state.position.end;
    return result;
}

/*
 * Did the target crash as a primary during an exclusive backup (10 to 14)? Its label lies in a copy
 * too, whose files may be newer than its WAL. A copy has no pid file of its own server, and was
 * made after the backup's checkpoint; clocks of two machines may differ.
 */
static bool crashed_in_exclusive_backup(Run *run)
{
    const Target *target = &run->clusters.target;
    const ScanCheckpointWanted wanted = {.before = target->label_checkpoint + 1,
                                         .not_after = target->label_checkpoint};
    ScanCheckpoint checkpoint;
    char path[PATH_SIZE];
    Error ignored;
    int64_t birth;

    if (!target->label_is_exclusive || target->control.state != STATE_IN_PRODUCTION)
        return false;
    if (target->has_own_pid_file)
        return true;
    if (!path_join(path, sizeof(path), target->directory, "PG_VERSION", &ignored) ||
        !scan_find_checkpoint(run->diverged.scan, &wanted, &checkpoint, &ignored))
        return false;
    birth = place_birth(path);
    return birth != 0 && checkpoint.lsn == target->label_checkpoint &&
           birth < checkpoint.checkpoint.time - CLOCKS_DIFFER_SECONDS_MAX;
}

/*
 * Read the target's WAL to its end, from a record that is known to be there: pg_control's
 * checkpoint, or where the recovery of an earlier rewind, which never started, was to begin.
 */
static bool find_target_end(Run *run, Lsn latest_divergence, Error *error)
{
    const Control *control = &run->clusters.target.control;
    Lsn from = run->clusters.target.has_backup_label ? run->clusters.target.label_redo
                                                     : control->checkpoint_lsn;
    Lsn floor = run->clusters.target.has_backup_label ? run->clusters.target.label_redo
                                                      : control->checkpoint.redo;
    Lsn last;
    bool missing;
    char reason[256], text[LSN_TEXT_SIZE];

    if (latest_divergence != LSN_INVALID && latest_divergence < floor)
        floor = latest_divergence;
    from = wal_skip_header(&run->clusters.shape, from);
    run->diverged.scan = scan_create(&run->target_wal.stream, run->options->jobs, floor);
    if (!scan_forward(run->diverged.scan, from, &run->diverged.target_end, &last, &missing, reason,
                      error))
        return false;
    run->report->target_end = run->diverged.target_end;
    if (run->diverged.target_end == from && missing)
        return archive_missing_error(run->target_wal.archive,
                                     history_timeline_at(&run->clusters.target_history, from),
                                     wal_segment_of(&run->clusters.shape, from), error) ||
               error_detail(error, "The target's last checkpoint is in the one that could not be "
                                   "opened.");
    /* Where a backup ends on a primary is known to its WAL alone; files copied meanwhile may be
     * newer than what is here. */
    if (control->backup_end_required ||
        (run->clusters.target.label_of_base_backup && !crashed_in_exclusive_backup(run)) ||
        (control->backup_start_point != LSN_INVALID && control->backup_end_point == LSN_INVALID))
    {
        error_set(error, ERROR_FAILED, "target is not consistent");
        error_detail(error, "Its recovery from a base backup has not come to the backup's end.");
        return run_hint_compare(error);
    }
    if (run->diverged.target_end == from ||
        run->diverged.target_end < control->min_recovery_point ||
        run->diverged.target_end < control->backup_end_point)
    {
        error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s", /* contract */
                  run_lsn_text(run, run->diverged.target_end, text), reason);
        error_detail(error, "The target's WAL is damaged or incomplete there: its files hold "
                            "later changes.");
        return run_hint_compare(error);
    }
    return true;
}

/* The checkpoint that recovery may start from: the target finished it, and every page needs nothing
 * older. */
static bool find_common_checkpoint(Run *run, Lsn before, Error *error)
{
    const Control *control = &run->clusters.target.control;
    ScanCheckpointWanted wanted = {
        .before = before,
        .not_after = control->checkpoint_lsn,
    };

    if (run->clusters.target.has_backup_label)
    {
        wanted.not_after = run->clusters.target.label_checkpoint;
        wanted.redo_not_after = run->clusters.target.label_redo;
    }
    else if (control->backup_start_point != LSN_INVALID)
        wanted.redo_not_after = control->backup_start_point;
    return scan_find_checkpoint(run->diverged.scan, &wanted, &run->diverged.common, error);
}

/* A search for the divergence, and what it rests on. */
typedef struct Search
{
    bool moved; /* bytes have shown it to be earlier than histories and positions say */
    WalComparison comparison; /* of the bytes before the divergence */
} Search;

static bool is_behind_switch(void *context, Lsn lsn, bool *behind, Error *error)
{
    return scan_is_behind_switch(context, lsn, behind, error);
}

/*
 * The divergence is at most `latest`; find it and the last common checkpoint: until the WAL from
 * that checkpoint's redo position to the divergence is the source's, byte by byte, where both have
 * it.
 */
static bool find_divergence(Run *run, Lsn latest, Search *search, Error *error)
{
    const WalStream own = {.shape = run->clusters.shape,
                           .history = &run->clusters.target_history,
                           .open = archive_open,
                           .context = run->target_wal.own};
    const WalStream archive = {.open = archive_open, .context = run->source_archive};
    WalSides sides = {.target = &own,
                      .source = run->clusters.source,
                      .source_history = &run->clusters.source_history,
                      .archive = &archive,
                      .workers = 1,
                      .is_no_content = is_behind_switch,
                      .context = run->diverged.scan};
    WalComparison *comparison = &search->comparison;
    char text[LSN_TEXT_SIZE];

    run->diverged.lsn = latest;
    for (*search = (Search){0};; search->moved = true)
    {
        Lsn from;

        archive_set_common_end(run->target_wal.archive, run->diverged.lsn);
        if (!find_common_checkpoint(run, run->diverged.lsn, error))
            return false;
        from = wal_segment_start(
            &run->clusters.shape,
            wal_segment_of(&run->clusters.shape, run->diverged.common.checkpoint.redo));
        /* For little one connection will do: more may not be needed at all. */
        if (run->diverged.lsn > from + WORKERS_FROM_BYTES && sides.workers == 1 &&
            !run->clusters.source->operations->start_workers(
                run->clusters.source, run->options->jobs, &sides.workers, error))
            return false;
        if (!divergence_compare(&sides, from, run->diverged.lsn, comparison, error))
            return false;
        log_debug("%llu bytes of WAL before %s are equal in source and target",
                  (unsigned long long) (comparison->lsn - comparison->equal_from),
                  run_lsn_text(run, comparison->lsn, text));
        if (!comparison->differs)
            return true;
        if (!scan_record_at(run->diverged.scan, comparison->lsn, &run->diverged.lsn, error))
            return false;
    }
}

/* ---- What proves that the bytes before the divergence are one history ---- */

/* Does a transaction end in [from, to) of the target's WAL? Its record holds the time. */
static bool has_commit(Run *run, Lsn from, Lsn to, bool *found, Error *error)
{
    WalStream stream = run->target_wal.stream;
    ScanResult result;
    WalScan *scan;
    Lsn first, end, last;
    bool missing, scanned;

    *found = false;
    stream.limit = to;
    if (!scan_record_at(run->diverged.scan, from, &first, error))
        return false;
    scan = scan_create(&stream, 1, first);
    scanned = scan_forward(scan, first, &end, &last, &missing, NULL, error) &&
              scan_finish(scan, run->arena, from, from, &result, error);
    *found = scanned && result.commit_count > 0;
    scan_destroy(scan);
    return scanned;
}

/*
 * Two servers that went apart can write equal bytes for a while, but not equal times: a checkpoint
 * or the end of a transaction must be among what was compared.
 */
static bool is_proof(Run *run, Lsn from, bool *proof, Error *error)
{
    const ScanCheckpointWanted last = {.before = run->diverged.lsn};
    ScanCheckpoint checkpoint;

    *proof = false;
    if (from >= run->diverged.lsn)
        return true;
    if (!scan_find_checkpoint(run->diverged.scan, &last, &checkpoint, error))
        return false;
    *proof = checkpoint.lsn >= from && checkpoint.end <= run->diverged.lsn;
    return *proof || has_commit(run, from, run->diverged.lsn, proof, error);
}

/*
 * An archive may hold what the target itself has archived. It speaks for the source if the source's
 * own WAL goes on where it ends.
 */
static bool archive_leads_to_source(Run *run, bool *leads, Error *error)
{
    ScanResult result;
    WalScan *scan;
    Lsn end;
    Error why = {0};

    *leads = false;
    if (run->source_state.position.end <= run->diverged.lsn)
        return true;
    if (!run_bring_source_wal(run, run->diverged.lsn, run->source_state.position.end, error))
        return false;
    if (!run_scan_source_wal(run, run_open_source_segment, run->diverged.lsn,
                             run->source_state.position.end, &scan, &result, &end, &why))
    {
        if (!stop_check(error))
            return false;
        log_debug("%s", why.message);
        return true;
    }
    scan_destroy(scan);
    *leads = true;
    return true;
}

static bool no_proof(const Run *run, const Search *search, Error *error)
{
    char text[LSN_TEXT_SIZE];
    const char *lsn = run_lsn_text(run, search->comparison.lsn, text);

    if (search->moved)
        error_set(error, ERROR_FAILED, "could not find where source and target diverged: before %s",
                  lsn);
    else
        error_set(error, ERROR_FAILED,
                  "could not prove that source and target have the same history before %s", lsn);
    error_detail(error,
                 "Two servers that were promoted apart can have equal timelines; their WAL would "
                 "tell, but source and target no longer both have enough of it.");
    return error_hint(error,
                      "Let pg_rewind find it with --wal-archive or --restore-command, or compare "
                      "all blocks instead with --compare.");
}

/*
 * `latest` is what the history files say, LSN_INVALID: nothing. It holds where the source left the
 * target's timeline and the target went on: a chain of WAL with all its links leads there.
 * Elsewhere the bytes must speak.
 */
static bool check_proof(Run *run, const Search *search, Lsn latest, bool needed, Error *error)
{
    const WalComparison *comparison = &search->comparison;
    bool proven;

    if (needed && run->diverged.lsn == latest)
        return true;
    if (!is_proof(run, comparison->own_from, &proven, error))
        return false;
    /* What the source itself has does not suffice. */
    if (!proven && comparison->own_from > comparison->equal_from)
    {
        if (!is_proof(run, comparison->equal_from, &proven, error))
            return false;
        /* For a rewind all WAL up to the source's end is read anyway, with its links. */
        if (proven && !needed && !archive_leads_to_source(run, &proven, error))
            return false;
    }
    return proven || no_proof(run, search, error);
}

static void report_divergence(Run *run, Timeline timeline)
{
    char text[LSN_TEXT_SIZE];

    log_info("servers diverged at WAL location %s on timeline %u", /* contract */
             run_lsn_text(run, run->diverged.lsn, text), timeline);
    run->report->diverged = true;
    run->report->divergence = run->diverged.lsn;
    run->report->divergence_timeline = timeline;
}

/* How much WAL of the target there is to read, as far as can be told before. */
static uint64_t wal_to_scan(const Run *run, Lsn latest_divergence)
{
    Lsn end = run->clusters.target.control.checkpoint_lsn >
                      run->clusters.target.control.min_recovery_point
                  ? run->clusters.target.control.checkpoint_lsn
                  : run->clusters.target.control.min_recovery_point;
    Lsn begin = run->clusters.target.control.checkpoint.redo;

    if (latest_divergence != LSN_INVALID && latest_divergence < begin)
        begin = latest_divergence;
    return end > begin ? end - begin : 0;
}

/* The source may come to have the target's last WAL, or other WAL in its place. */
static bool nobody_knows(const Run *run, Error *error)
{
    char source[LSN_TEXT_SIZE], target[LSN_TEXT_SIZE];

    error_set(error, ERROR_FAILED, "source has not received all WAL that the target has");
    error_detail(error,
                 "It is a standby, has WAL up to %s, and the target, on the same timeline, up to "
                 "%s. Whether it will receive the same cannot be known.",
                 run_lsn_text(run, run->source_state.position.end, source),
                 run_lsn_text(run, run->diverged.target_end, target));
    return error_hint(error, "Run pg_rewind again when the source has more WAL (CHECKPOINT on its "
                             "primary makes some) or is promoted; or compare all blocks instead "
                             "with --compare.");
}

/* Where the target's WAL ends and where it parts from the source's, given the history files' word.
 */
static bool read_target_wal(Run *run, Lsn latest, Search *search, Error *error)
{
    const bool same_timeline = latest == LSN_INVALID;

    archive_set_needed_from(run->target_wal.archive,
                            latest != LSN_INVALID ? latest
                                                  : run->clusters.target.control.checkpoint.redo);
    if (!find_target_end(run, latest, error))
        return false;
    if (same_timeline || run->diverged.target_end < latest)
        latest = run->diverged.target_end;
    /* What the target has behind the end of a source's WAL is not the source's. */
    if (run->source_state.position.end < latest &&
        !scan_record_at(run->diverged.scan, run->source_state.position.end, &latest, error))
        return false;
    if (!find_divergence(run, latest, search, error))
        return false;
    /* But a standby on the target's own timeline may still receive what the target has. */
    if (same_timeline && run->source_state.position.in_recovery && !search->moved &&
        run->diverged.lsn < run->diverged.target_end)
        return nobody_knows(run, error);
    return true;
}

bool phase_diverge(Run *run, bool *needed, Error *error)
{
    size_t common;
    Lsn latest;
    Search search;
    bool same_timeline, result;

    open_streams(run);
    if (!find_source_directory_end(run, error))
        return false;
    run->report->source_end = run->source_state.position.end;
    if (run->options->compare)
    {
        *needed = true;
        run_skip_divergence(run);
        return true;
    }
    if (!history_common(&run->clusters.source_history, &run->clusters.target_history, &common,
                        &latest))
    {
        error_set(error, ERROR_IMPOSSIBLE,
                  "could not find common ancestor of the source and "
                  "target cluster's timelines"); /* contract */
        return run_hint_compare(error);
    }
    same_timeline = latest == LSN_INVALID;
    progress_begin("scanned", wal_to_scan(run, latest));
    result = read_target_wal(run, latest, &search, error);
    progress_end();
    if (!result)
        return false;
    *needed = run->diverged.target_end > run->diverged.lsn;
    run->planned.input = run_plan_input(run, run->diverged.lsn);
    if (!check_proof(run, &search, latest, *needed, error))
        return false;
    if (same_timeline && !*needed)
        log_info("source and target cluster are on the same timeline"); /* contract */
    else
        report_divergence(
            run, *needed ? history_timeline_at(&run->clusters.target_history, run->diverged.lsn - 1)
                         : run->clusters.target_history.entries[common].timeline);
    return true;
}
