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

    wal_segment_name(&run->shape, timeline, segment, name);
    snprintf(path, sizeof(path), "%s/pg_wal/%s", run->options->source_directory, name);
    return file_open_read(path, fd, found, error) &&
           (*found || archive_open(run->source_archive, timeline, segment, fd, found, error));
}

static void open_streams(Run *run)
{
    run->target_stream = (WalStream){.shape = run->shape,
                                     .data_block_size = run->target.control.block_size,
                                     .history = &run->target_history,
                                     .open = archive_open,
                                     .missing = archive_missing_error,
                                     .context = run->archive};
    run->source_directory_stream = run->target_stream;
    run->source_directory_stream.history = &run->source_history;
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
    Lsn floor = run->source_control.checkpoint_lsn;
    ScanResult behind = {0};
    WalScan *scan;
    Lsn last;
    bool missing, result;

    if (run->source->is_server)
        return true;
    if (run->position.in_recovery && run->position.minimum > floor)
        floor = run->position.minimum;
    scan = scan_create(&run->source_directory_stream, 1, floor);
    result =
        scan_forward(scan, run->source_control.checkpoint_lsn, &run->position.end, &last, &missing,
                     NULL, error) &&
        (!run->position.in_recovery || scan_finish(scan, run->arena, floor, floor, &behind, error));
    scan_destroy(scan);
    if (result && run->position.end == run->source_control.checkpoint_lsn)
        return error_set(error, ERROR_FAILED, "could not read the source's last checkpoint record");
    if (!run->position.in_recovery || behind.database_count > 0 || behind.tablespace_count > 0)
        run->position.minimum = run->position.end;
    return result;
}

/*
 * Did the target crash as a primary during an exclusive backup (10 to 14)? Its label lies in a copy
 * too, whose files may be newer than its WAL. A copy has no pid file of its own server, and was
 * made after the backup's checkpoint; clocks of two machines may differ.
 */
static bool crashed_in_exclusive_backup(Run *run)
{
    const Target *target = &run->target;
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
        !scan_find_checkpoint(run->scan, &wanted, &checkpoint, &ignored))
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
    const Control *control = &run->target.control;
    Lsn from = run->target.has_backup_label ? run->target.label_redo : control->checkpoint_lsn;
    Lsn floor = run->target.has_backup_label ? run->target.label_redo : control->checkpoint.redo;
    Lsn last;
    bool missing;
    char reason[256], text[LSN_TEXT_SIZE];

    if (latest_divergence != LSN_INVALID && latest_divergence < floor)
        floor = latest_divergence;
    from = wal_skip_header(&run->shape, from);
    run->scan = scan_create(&run->target_stream, run->options->jobs, floor);
    if (!scan_forward(run->scan, from, &run->target_end, &last, &missing, reason, error))
        return false;
    run->report->target_end = run->target_end;
    if (run->target_end == from && missing)
        return archive_missing_error(run->archive, history_timeline_at(&run->target_history, from),
                                     wal_segment_of(&run->shape, from), error) ||
               error_detail(error, "The target's last checkpoint is in the one that could not be "
                                   "opened.");
    /* Where a backup ends on a primary is known to its WAL alone; files copied meanwhile may be
     * newer than what is here. */
    if (control->backup_end_required ||
        (run->target.label_of_base_backup && !crashed_in_exclusive_backup(run)) ||
        (control->backup_start_point != LSN_INVALID && control->backup_end_point == LSN_INVALID))
    {
        error_set(error, ERROR_FAILED, "target is not consistent");
        error_detail(error, "Its recovery from a base backup has not reached the backup's end.");
        return run_hint_compare(error);
    }
    if (run->target_end == from || run->target_end < control->min_recovery_point ||
        run->target_end < control->backup_end_point)
    {
        error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s", /* contract */
                  run_lsn_text(run, run->target_end, text), reason);
        error_detail(error, "The target's WAL is damaged or incomplete there: its data files "
                            "contain later changes.");
        return run_hint_compare(error);
    }
    return true;
}

/* The checkpoint that recovery may start from: the target finished it, and every page needs nothing
 * older. */
static bool find_common_checkpoint(Run *run, Lsn before, Error *error)
{
    const Control *control = &run->target.control;
    ScanCheckpointWanted wanted = {
        .before = before,
        .not_after = control->checkpoint_lsn,
    };

    if (run->target.has_backup_label)
    {
        wanted.not_after = run->target.label_checkpoint;
        wanted.redo_not_after = run->target.label_redo;
    }
    else if (control->backup_start_point != LSN_INVALID)
        wanted.redo_not_after = control->backup_start_point;
    return scan_find_checkpoint(run->scan, &wanted, &run->common, error);
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
    const WalStream own = {.shape = run->shape,
                           .history = &run->target_history,
                           .open = archive_open,
                           .context = run->target_wal};
    const WalStream archive = {.open = archive_open, .context = run->source_archive};
    WalSides sides = {.target = &own,
                      .source = run->source,
                      .source_history = &run->source_history,
                      .archive = &archive,
                      .workers = 1,
                      .is_no_content = is_behind_switch,
                      .context = run->scan};
    WalComparison *comparison = &search->comparison;
    char text[LSN_TEXT_SIZE];

    run->divergence = latest;
    for (*search = (Search){0};; search->moved = true)
    {
        Lsn from;

        archive_set_common_end(run->archive, run->divergence);
        if (!find_common_checkpoint(run, run->divergence, error))
            return false;
        from = wal_segment_start(&run->shape,
                                 wal_segment_of(&run->shape, run->common.checkpoint.redo));
        /* For little one connection will do: more may not be needed at all. */
        if (run->divergence > from + WORKERS_FROM_BYTES && sides.workers == 1 &&
            !run->source->operations->start_workers(run->source, run->options->jobs, &sides.workers,
                                                    error))
            return false;
        if (!divergence_compare(&sides, from, run->divergence, comparison, error))
            return false;
        log_debug("%llu bytes of WAL before %s are equal in source and target",
                  (unsigned long long) (comparison->lsn - comparison->equal_from),
                  run_lsn_text(run, comparison->lsn, text));
        if (!comparison->differs)
            return true;
        if (!scan_record_at(run->scan, comparison->lsn, &run->divergence, error))
            return false;
    }
}

/* ---- What proves that the bytes before the divergence are one history ---- */

/* Does a transaction end in [from, to) of the target's WAL? Its record holds the time. */
static bool has_commit(Run *run, Lsn from, Lsn to, bool *found, Error *error)
{
    WalStream stream = run->target_stream;
    ScanResult result;
    WalScan *scan;
    Lsn first, end, last;
    bool missing, scanned;

    *found = false;
    stream.limit = to;
    if (!scan_record_at(run->scan, from, &first, error))
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
    const ScanCheckpointWanted last = {.before = run->divergence};
    ScanCheckpoint checkpoint;

    *proof = false;
    if (from >= run->divergence)
        return true;
    if (!scan_find_checkpoint(run->scan, &last, &checkpoint, error))
        return false;
    *proof = checkpoint.lsn >= from && checkpoint.end <= run->divergence;
    return *proof || has_commit(run, from, run->divergence, proof, error);
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
    if (run->position.end <= run->divergence)
        return true;
    if (!run_bring_source_wal(run, run->divergence, run->position.end, error))
        return false;
    if (!run_scan_source_wal(run, run_open_source_segment, run->divergence, run->position.end,
                             &scan, &result, &end, &why))
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
                 "Two servers that were promoted independently can have equal timelines. Only "
                 "their WAL shows that, but source and target do not both have enough of it.");
    return error_hint(error,
                      "Let pg_rewind fetch it with --wal-archive or --restore-command, or compare "
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

    if (needed && run->divergence == latest)
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
             run_lsn_text(run, run->divergence, text), timeline);
    run->report->diverged = true;
    run->report->divergence = run->divergence;
    run->report->divergence_timeline = timeline;
}

/* How much WAL of the target there is to read, as far as can be told before. */
static uint64_t wal_to_scan(const Run *run, Lsn latest_divergence)
{
    Lsn end = run->target.control.checkpoint_lsn > run->target.control.min_recovery_point
                  ? run->target.control.checkpoint_lsn
                  : run->target.control.min_recovery_point;
    Lsn begin = run->target.control.checkpoint.redo;

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
                 "It is a standby and has WAL up to %s; the target, on the same timeline, has WAL "
                 "up to %s. It is not known whether the source will receive the same WAL.",
                 run_lsn_text(run, run->position.end, source),
                 run_lsn_text(run, run->target_end, target));
    return error_hint(error, "Run pg_rewind again when the source has more WAL (CHECKPOINT on its "
                             "primary writes some) or is promoted, or compare all blocks instead "
                             "with --compare.");
}

/* Where the target's WAL ends and where it parts from the source's, given the history files' word.
 */
static bool read_target_wal(Run *run, Lsn latest, Search *search, Error *error)
{
    const bool same_timeline = latest == LSN_INVALID;

    archive_set_needed_from(run->archive,
                            latest != LSN_INVALID ? latest : run->target.control.checkpoint.redo);
    if (!find_target_end(run, latest, error))
        return false;
    if (same_timeline || run->target_end < latest)
        latest = run->target_end;
    /* What the target has behind the end of a source's WAL is not the source's. */
    if (run->position.end < latest && !scan_record_at(run->scan, run->position.end, &latest, error))
        return false;
    if (!find_divergence(run, latest, search, error))
        return false;
    /* But a standby on the target's own timeline may still receive what the target has. */
    if (same_timeline && run->position.in_recovery && !search->moved &&
        run->divergence < run->target_end)
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
    run->report->source_end = run->position.end;
    if (run->options->compare)
    {
        *needed = true;
        run_skip_divergence(run);
        return true;
    }
    if (!history_common(&run->source_history, &run->target_history, &common, &latest))
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
    *needed = run->target_end > run->divergence;
    run->input = run_plan_input(run, run->divergence);
    if (!check_proof(run, &search, latest, *needed, error))
        return false;
    if (same_timeline && !*needed)
        log_info("source and target cluster are on the same timeline"); /* contract */
    else
        report_divergence(run, *needed
                                   ? history_timeline_at(&run->target_history, run->divergence - 1)
                                   : run->target_history.entries[common].timeline);
    return true;
}
