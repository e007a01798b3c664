#include "phases/run.h"

#include "base/log.h"
#include "wal/summary.h"

static Lsn target_timeline_begin(const Run *run)
{
    return run->target_history.entries[run->target_history.count - 1].begin;
}

/* Was the target started again behind the divergence? A standby that was opened by deleting its
 * signal file shows nothing else. */
static bool was_started_behind_divergence(const Run *run)
{
    const Control *control = &run->target.control;

    for (size_t i = 0; i < run->scanned.checkpoint_count; i++)
    {
        const ScanCheckpoint *checkpoint = &run->scanned.checkpoints[i];

        if (!checkpoint->online && checkpoint->lsn >= run->divergence &&
            (control->state != STATE_SHUTDOWNED || checkpoint->lsn != control->checkpoint_lsn))
            return true;
    }
    return false;
}

/* Did the target reach the divergence in recovery, where hints are set without being logged? */
static bool was_in_recovery_at_divergence(const Run *run)
{
    const ControlState state = run->target.control.state;
    const History *source = &run->source_history;
    const History *target = &run->target_history;

    return source->entries[source->count - 1].timeline ==
               target->entries[target->count - 1].timeline ||
           state == STATE_SHUTDOWNED_IN_RECOVERY || state == STATE_IN_ARCHIVE_RECOVERY ||
           target_timeline_begin(run) >= run->divergence || was_started_behind_divergence(run);
}

/* Where the part of the target's WAL ends that one server wrote or replayed without being stopped
 * in between; LSN_INVALID: nothing ends it. */
static Lsn end_of_part(const Run *run, Lsn begin)
{
    const Control *control = &run->target.control;
    Lsn end = LSN_INVALID;

    for (size_t i = 0; i < run->scanned.checkpoint_count; i++)
    {
        const ScanCheckpoint *checkpoint = &run->scanned.checkpoints[i];

        if (checkpoint->online || checkpoint->lsn <= begin ||
            (control->state == STATE_SHUTDOWNED && checkpoint->lsn == control->checkpoint_lsn))
            continue;
        end = checkpoint->lsn;
        break;
    }
    for (size_t i = 1; i < run->target_history.count; i++)
    {
        const Lsn promotion = run->target_history.entries[i].begin;

        if (promotion > begin && (end == LSN_INVALID || promotion < end))
            end = promotion;
    }
    return end;
}

/* Does WAL prove that hints were logged from begin to end, where a server was not stopped? */
static bool hints_are_proved(const Run *run, Lsn begin, Lsn end)
{
    const ScanResult *scanned = &run->scanned;
    bool log_hints = false; /* not known */

    for (size_t i = 0; i < scanned->hint_image_count; i++)
    {
        if (scanned->hint_images[i] >= begin && scanned->hint_images[i] < end)
            return true;
    }
    for (size_t i = 0; i < scanned->parameter_count && scanned->parameters[i].lsn < end; i++)
        log_hints = scanned->parameters[i].log_hints;
    return log_hints;
}

/*
 * pg_checksums switches checksums while the server is stopped, and no record tells. Without
 * wal_log_hints they are known to have been on since the target was started last; before that only
 * where an image for a hint proves it. Where the last part without a proof ends; LSN_INVALID:
 * before the divergence, or there is none.
 */
static Lsn end_of_unproved_hints(const Run *run)
{
    const ControlState state = run->target.control.state;
    Lsn begin = run->early.scan_floor;
    Lsn until = LSN_INVALID;
    Lsn end;

    if (run->target.control.wal_log_hints && run->scanned.parameter_count == 0)
        return LSN_INVALID;
    for (; (end = end_of_part(run, begin)) != LSN_INVALID; begin = end)
    {
        if (end > run->divergence && !hints_are_proved(run, begin, end))
            until = end;
    }
    /* A standby's own stops are in no WAL. */
    if ((state == STATE_SHUTDOWNED_IN_RECOVERY || state == STATE_IN_ARCHIVE_RECOVERY) &&
        !hints_are_proved(run, begin, run->target_end))
        until = run->target_end;
    return until;
}

/*
 * Until a promoted server begins its first own checkpoint, its RedoRecPtr is that of its last
 * restartpoint, however old that is: a page that was changed since then counts as one that has its
 * full-page image, so hints on it are not logged. And a page that is dirty gets no image for a hint
 * (MarkBufferDirtyHint, storage/buffer/bufmgr.c): replay's dirty pages are written when that
 * checkpoint ends. Where it did, after the target's last promotion (or the last one that it
 * followed, which cannot be told apart); LSN_INVALID: before the divergence, or there was no
 * promotion.
 */
static Lsn end_of_hints_before_checkpoint(const Run *run)
{
    const ScanResult *scanned = &run->scanned;
    const Lsn promotion = target_timeline_begin(run);

    if (run->target_history.count == 1 || run->common.lsn >= promotion)
        return LSN_INVALID;
    for (size_t i = 0; i < scanned->checkpoint_count; i++)
    {
        if (scanned->checkpoints[i].lsn >= promotion)
            return scanned->checkpoints[i].lsn;
    }
    return run->target_end;
}

/*
 * Up to where the target may have set hints without WAL, behind the divergence; LSN_INVALID:
 * nowhere. Needs the scan's result.
 */
static bool find_end_of_unlogged_hints(const Run *run, Lsn *end, Error *error)
{
    const Lsn unproved = end_of_unproved_hints(run);
    bool written = false;

    *end = end_of_hints_before_checkpoint(run);
    if (unproved != LSN_INVALID && (*end == LSN_INVALID || unproved > *end))
        *end = unproved;
    if (!run->target.control.wal_log_hints &&
        !target_written_since_stop(&run->target, &run->shape, &written, error))
        return false;
    if (written)
        *end = run->target_end;
    return true;
}

/* Did the source's promotion end what ran at the divergence? */
static bool source_was_promoted_at_divergence(const Run *run)
{
    const History *source = &run->source_history;

    for (size_t i = 1; i < source->count; i++)
    {
        if (source->entries[i].begin == run->divergence)
            return true;
    }
    return false;
}

/*
 * What ran at the divergence may have ended for the target by a promotion, its own or one that it
 * followed later, and may be committed on a source that was not promoted there. No record tells
 * which transactions those are. The lowest transaction number for which that may be so; 0: none.
 */
static uint32_t lowest_cut_off_xid(const Run *run)
{
    const CheckPoint *checkpoint = &run->common.checkpoint;

    if (!was_in_recovery_at_divergence(run) || source_was_promoted_at_divergence(run))
        return 0;
    if (run->scanned.oldest_running_xid != 0)
        return run->scanned.oldest_running_xid;
    return checkpoint->oldest_active_xid != 0 ? checkpoint->oldest_active_xid
                                              : (uint32_t) checkpoint->next_xid;
}

/*
 * Hints for transactions whose end the two sides know differently may stand on any page that these
 * touched. *xid is the lowest of them, false: there is none. What began after the common checkpoint
 * is scanned anyhow.
 */
static bool find_doubtful_xid(const Run *run, Lsn end_of_unlogged_hints, uint32_t *xid)
{
    const uint32_t cut_off = lowest_cut_off_xid(run);
    const bool hints_unlogged =
        was_in_recovery_at_divergence(run) || end_of_unlogged_hints > run->divergence;

    *xid = hints_unlogged ? run->scanned.lowest_committed_xid : 0;
    if (cut_off != 0 && (*xid == 0 || xid_precedes(cut_off, *xid)))
        *xid = cut_off;
    return *xid != 0 && xid_precedes(*xid, (uint32_t) run->common.checkpoint.next_xid);
}

static bool check_scanned_settings(const Run *run, Error *error)
{
    const ScanResult *scanned = &run->scanned;
    char text[LSN_TEXT_SIZE];

    if (scanned->hints_not_logged_at != LSN_INVALID &&
        run->target.control.data_checksum_version == 0)
    {
        error_set(error, ERROR_IMPOSSIBLE,
                  "target server needs to use either data checksums "
                  "or \"wal_log_hints = on\""); /* contract */
        return error_detail(error,
                            "\"wal_log_hints\" was switched at %s, after the last common "
                            "checkpoint: hint bits set without it were not WAL-logged.",
                            run_lsn_text(run, scanned->hints_not_logged_at, text));
    }
    if (scanned->wal_minimal_at != LSN_INVALID)
    {
        error_set(error, ERROR_IMPOSSIBLE, "target server ran with \"wal_level = minimal\"");
        return error_detail(error,
                            "It was switched at %s, after the last common checkpoint: changes made "
                            "with it were not WAL-logged.",
                            run_lsn_text(run, scanned->wal_minimal_at, text));
    }
    return run_check_known_updates(run, scanned, error);
}

bool phase_scan(Run *run, Error *error)
{
    char text[LSN_TEXT_SIZE];
    ScanCheckpointWanted wanted = {.before = run->common.lsn + 1, .not_after = run->common.lsn};
    ScanCheckpoint older;
    Lsn end_of_unlogged_hints;

    run->early = start_early(&run->common, &run->source_control);
    log_info("rewinding from last common checkpoint at %s on timeline %u", /* contract */
             run_lsn_text(run, run->common.lsn, text), run->common.checkpoint.timeline);
    run->report->checkpoint = run->common.lsn;
    run->report->redo = run->early.redo;
    run->report->checkpoint_timeline = run->common.checkpoint.timeline;
    log_progress_message("reading WAL in target"); /* contract */
    if (!scan_finish(run->scan, run->arena, run->early.scan_floor, run->divergence, &run->scanned,
                     error))
        return false;
    if (!find_end_of_unlogged_hints(run, &end_of_unlogged_hints, error))
        return false;
    if (find_doubtful_xid(run, end_of_unlogged_hints, &wanted.next_xid_not_after))
    {
        /* Scan from before they began. */
        if (!scan_find_checkpoint(run->scan, &wanted, &older, error))
            return false;
        if (older.checkpoint.redo < run->early.scan_floor)
        {
            run->early.scan_floor = older.checkpoint.redo;
            if (!scan_finish(run->scan, run->arena, run->early.scan_floor, run->divergence,
                             &run->scanned, error))
                return false;
        }
    }
    run->dead_entries_unlogged =
        run->scanned.commit_count > 0 && run->scanned.first_commit_lsn < end_of_unlogged_hints;
    run->report->scanned = true;
    run->report->lost_commits = run->scanned.commit_count;
    run->report->first_lost_commit = run->scanned.first_commit_time;
    run->report->last_lost_commit = run->scanned.last_commit_time;
    run->report->target_wal_bytes = run->scanned.wal_bytes;
    for (size_t i = 0; i < run->scanned.prepared_count; i++)
        run->report->lost_prepared +=
            run->scanned.prepared[i].lsn >= run->divergence && !run->scanned.prepared[i].finished;
    return check_scanned_settings(run, error) || run_hint_compare(error);
}
