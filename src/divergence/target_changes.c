#include "divergence/target_changes.h"

#include "base/log.h"
#include "pair/prerequisites.h"

/* The values that are known when the scan has a result. */
typedef struct ScannedTarget
{
    const Clusters *clusters;
    const Divergence *divergence;
    const ScanResult *scanned;
    Lsn floor; /* where the scan begins */
    const DivergenceInput *in;
} ScannedTarget;

static Lsn target_timeline_begin(const History *target)
{
    return target->entries[target->count - 1].begin;
}

/* Returns the first shutdown checkpoint at or after lsn after which the server was started again:
 * not the one at which the target was stopped at last. LSN_INVALID: there is none. */
static Lsn stop_after(const ScannedTarget *given, Lsn lsn)
{
    const Control *control = &given->clusters->target.control;

    for (size_t i = 0; i < given->scanned->checkpoint_count; i++)
    {
        const ScanCheckpoint *checkpoint = &given->scanned->checkpoints[i];

        if (checkpoint->lsn >= lsn && !checkpoint->online &&
            (control->state != STATE_SHUTDOWNED || checkpoint->lsn != control->checkpoint_lsn))
            return checkpoint->lsn;
    }
    return LSN_INVALID;
}

/* True if the target reached the divergence in recovery, where hints are set but not logged. For a
 * standby that was opened by deleting its signal file, a start after the divergence is the only
 * trace. */
static bool was_in_recovery_at_divergence(const ScannedTarget *given)
{
    const History *source = &given->clusters->source_history;
    const History *target = &given->clusters->target_history;

    return source->entries[source->count - 1].timeline ==
               target->entries[target->count - 1].timeline ||
           target_may_be_standby(&given->clusters->target) ||
           target_timeline_begin(&given->clusters->target_history) >= given->divergence->lsn ||
           stop_after(given, given->divergence->lsn) != LSN_INVALID;
}

/* Returns the end of the part of the target's WAL that one server wrote or replayed without being
 * stopped in between; LSN_INVALID: nothing ends it. */
static Lsn end_of_part(const ScannedTarget *given, Lsn begin)
{
    Lsn end = stop_after(given, begin + 1);

    for (size_t i = 1; i < given->clusters->target_history.count; i++)
    {
        const Lsn promotion = given->clusters->target_history.entries[i].begin;

        if (promotion > begin && (end == LSN_INVALID || promotion < end))
            end = promotion;
    }
    return end;
}

/*
 * True if WAL proves that hints were logged from begin to end, where a server was not stopped. At
 * level minimal no record tells of a change of wal_log_hints alone (XLogReportParameters): there a
 * record speaks only of the server that wrote it. (Rule U6.)
 */
static bool hints_are_proved(const ScannedTarget *given, Lsn begin, Lsn end)
{
    const ScanResult *scanned = given->scanned;
    const ScanParameters *last = NULL;

    for (size_t i = 0; i < scanned->hint_image_count; i++)
        if (scanned->hint_images[i] >= begin && scanned->hint_images[i] < end)
            return true;
    for (size_t i = 0; i < scanned->parameter_count && scanned->parameters[i].lsn < end; i++)
        last = &scanned->parameters[i];
    return last != NULL && last->log_hints &&
           (last->wal_level != WAL_LEVEL_MINIMAL || last->lsn >= begin);
}

/*
 * pg_checksums switches checksums while the server is stopped, and no record tells. Without
 * wal_log_hints they are known to have been on since the target was started last; before that only
 * where an image for a hint proves it. Returns the end of the last part without a proof;
 * LSN_INVALID: before the divergence, or each part has one.
 */
static Lsn end_of_unproved_hints(const ScannedTarget *given)
{
    Lsn begin = given->floor;
    Lsn until = LSN_INVALID;
    Lsn end;

    if (given->clusters->target.control.wal_log_hints && given->scanned->parameter_count == 0)
        return LSN_INVALID;
    for (; (end = end_of_part(given, begin)) != LSN_INVALID; begin = end)
    {
        if (end > given->divergence->lsn && !hints_are_proved(given, begin, end))
            until = end;
    }
    /* A standby's own stops are in no WAL. */
    if (target_may_be_standby(&given->clusters->target) &&
        !hints_are_proved(given, begin, given->divergence->target_end))
        until = given->divergence->target_end;
    return until;
}

/*
 * A promoted server does not log all hints until its first own checkpoint ends ("The window" in
 * design/unlogged-changes.md). Returns where that one ended, after the target's last promotion (or
 * the last one that it followed: WAL does not show which); LSN_INVALID: before the divergence, or
 * there was no promotion.
 */
static Lsn end_of_hints_before_checkpoint(const ScannedTarget *given)
{
    const ScanResult *scanned = given->scanned;
    const Lsn promotion = target_timeline_begin(&given->clusters->target_history);

    if (given->clusters->target_history.count == 1 ||
        given->divergence->common_checkpoint.lsn >= promotion)
        return LSN_INVALID;
    for (size_t i = 0; i < scanned->checkpoint_count; i++)
        if (scanned->checkpoints[i].lsn >= promotion)
            return scanned->checkpoints[i].lsn;
    return given->divergence->target_end;
}

/*
 * Up to where the target may have set hints without WAL, after the divergence; LSN_INVALID:
 * nowhere. Needs the scan's result. (Rule U4.)
 */
static bool find_end_of_unlogged_hints(const ScannedTarget *given, Lsn *end, Error *error)
{
    const Lsn unproved = end_of_unproved_hints(given);
    bool written = false;

    *end = end_of_hints_before_checkpoint(given);
    if (unproved != LSN_INVALID && (*end == LSN_INVALID || unproved > *end))
        *end = unproved;
    if (!given->clusters->target.control.wal_log_hints &&
        !target_written_since_stop(&given->clusters->target, &given->clusters->shape,
                                   WRITES_OF_SOME, &written, error))
        return false;
    if (written)
        *end = given->divergence->target_end;
    return true;
}

/* True if the source's promotion ended what ran at the divergence. */
static bool source_was_promoted_at_divergence(const ScannedTarget *given)
{
    const History *source = &given->clusters->source_history;

    for (size_t i = 1; i < source->count; i++)
        if (source->entries[i].begin == given->divergence->lsn)
            return true;
    return false;
}

/*
 * True if nothing tells what ran at the divergence, though a promotion has ended it for the target
 * alone: up to 9.5 at wal_level = archive. No server with such WAL takes queries in recovery, so
 * that only one that was promoted has set hints without WAL.
 */
static bool is_cut_off_unknown(const ScannedTarget *given)
{
    const ScanCheckpoint *common = &given->divergence->common_checkpoint;

    return given->clusters->shape.version->wal_level_archive && common->online &&
           common->checkpoint.oldest_active_xid == 0 && given->scanned->oldest_running_xid == 0 &&
           was_in_recovery_at_divergence(given) && !source_was_promoted_at_divergence(given) &&
           end_of_hints_before_checkpoint(given) != LSN_INVALID;
}

/*
 * Hints for transactions whose end the two sides know differently may stand on any page that these
 * touched. *xid is the lowest of them, false: no such transaction. What began after the common
 * checkpoint is scanned anyhow. (Rule C9.)
 */
static bool find_doubtful_xid(const ScannedTarget *given, Lsn end_of_unlogged_hints, uint32_t *xid)
{
    const CheckPoint *checkpoint = &given->divergence->common_checkpoint.checkpoint;
    const uint32_t next_xid = (uint32_t) checkpoint->next_xid;
    const bool in_recovery = was_in_recovery_at_divergence(given);
    uint32_t cut_off = 0;

    /* A promotion may have ended transactions for the target, but not for the source: no record
     * tells which those are (design/unlogged-changes.md). This is the lowest possible number. */
    if (in_recovery && !source_was_promoted_at_divergence(given))
        cut_off = given->scanned->oldest_running_xid != 0 ? given->scanned->oldest_running_xid
                  : checkpoint->oldest_active_xid != 0    ? checkpoint->oldest_active_xid
                                                          : next_xid;
    *xid = in_recovery || end_of_unlogged_hints > given->divergence->lsn
               ? given->scanned->lowest_committed_xid
               : 0;
    if (cut_off != 0 && (*xid == 0 || xid_precedes(cut_off, *xid)))
        *xid = cut_off;
    return *xid != 0 && xid_precedes(*xid, next_xid);
}

/* ---- Settings before the first parameter change: design/unlogged-changes.md ---- */

/*
 * True if the source's WAL from the floor on has no parameter change. Then its pg_control tells the
 * settings of both at the floor, and the target's up to its own first change. All that WAL is read
 * for this, and is not kept where there is no room for it. If some of it is gone it proves nothing,
 * nor if the source's WAL before the divergence may not be the target's.
 */
static bool source_made_no_change(const ScannedTarget *given)
{
    SourceWalReading reading = {.from = given->floor, .end = given->in->state->position.end};
    ScanResult chain;
    WalScan *scan;
    Error why = {0};

    if (given->divergence->rests_on_histories || reading.end <= reading.from)
        return false;
    reading.once =
        !source_wal_check_space(given->in->source_wal, reading.from, reading.end, 0, NULL);
    if (!source_wal_read(given->in->source_wal, &reading, &scan, &chain, &why))
    {
        log_debug("the source's WAL does not tell the target's settings: %s", why.message);
        return false;
    }
    scan_destroy(scan);
    return chain.parameter_count == 0;
}

/*
 * True if no transaction of the target ended between the divergence and its first parameter change:
 * hints that were set before the change are only of transactions that ended on both sides alike.
 * After the target's last promotion alone, where that came later: what it did in recovery is looked
 * at in any case.
 */
static bool ended_nothing_before_change(const ScannedTarget *given)
{
    const ScanParameters *first = &given->scanned->parameters[0];
    const Lsn promotion = target_timeline_begin(&given->clusters->target_history);
    const Lsn divergence = given->divergence->lsn;
    const Lsn from = promotion > divergence ? promotion : divergence;

    return from <= first->lsn &&
           (first->last_work_lsn == LSN_INVALID || first->last_work_lsn < from);
}

/* Returns the first parameter change that says that hints are not logged from it on. */
static Lsn find_hints_off(const ScanResult *scanned)
{
    for (size_t i = 0; i < scanned->parameter_count; i++)
        if (!scanned->parameters[i].log_hints)
            return scanned->parameters[i].lsn;
    return LSN_INVALID;
}

static bool error_hints_not_logged(const ScannedTarget *given, Lsn off, Error *error)
{
    const Version *version = given->clusters->shape.version;

    error_set(error, ERROR_FAILED,
              "target server needs to use either data checksums "
              "or \"wal_log_hints = on\""); /* contract */
    if (off != LSN_INVALID)
        return error_detail(error,
                            "\"wal_log_hints\" was off from %s on, after the last common "
                            "checkpoint: hint bits set without it were not WAL-logged.",
                            LSN_TEXT(version, off));
    return error_detail(error,
                        "Parameters were changed at %s, after the last common checkpoint, and "
                        "nothing proves that \"wal_log_hints\" was on before: hint bits may not "
                        "have been WAL-logged.",
                        LSN_TEXT(version, given->scanned->hints_not_logged_at));
}

/*
 * At this level a transaction fills storage that it has made without WAL. Such storage is removed,
 * or fetched whole, so the level matters only where both histories are one: then the source lacks
 * what was not logged, too, and replays WAL of that level.
 */
static bool was_minimal_in_common(const ScannedTarget *given)
{
    const ScanResult *scanned = given->scanned;

    if (scanned->parameter_count == 0)
        return given->clusters->target.control.wal_level == WAL_LEVEL_MINIMAL;
    return scanned->minimal_record_at != LSN_INVALID &&
           scanned->minimal_record_at < given->divergence->lsn;
}

/* *scanned is the result of *given. */
static bool check_scanned_settings(const ScannedTarget *given, ScanResult *scanned, Error *error)
{
    const Control *source = &given->in->state->control;
    const bool needs_hints = given->clusters->target.control.data_checksum_version == 0;
    const Lsn off = needs_hints ? find_hints_off(scanned) : LSN_INVALID;
    bool doubts_hints = needs_hints && scanned->hints_not_logged_at != LSN_INVALID &&
                        !ended_nothing_before_change(given);
    bool doubts_level = scanned->parameter_count > 0 && !scanned->wal_level_proven;

    if (off != LSN_INVALID)
        return error_hints_not_logged(given, off, error);
    if (was_minimal_in_common(given))
    {
        error_set(error, ERROR_FAILED, "target server ran with \"wal_level = minimal\"");
        if (scanned->parameter_count == 0)
            return error_detail(error, "It did so before the divergence: changes made with it were "
                                       "not WAL-logged.");
        return error_detail(
            error,
            "It did so from %s on, after the last common checkpoint: changes made with it were not "
            "WAL-logged.",
            LSN_TEXT(given->clusters->shape.version, scanned->minimal_record_at));
    }
    /* If nothing was done from the floor to the divergence, no transaction can have filled storage
     * without WAL in the history that both have. */
    if (doubts_level && (scanned->first_work_lsn == LSN_INVALID ||
                         scanned->first_work_lsn >= given->divergence->lsn))
    {
        scanned->wal_level_proven = scanned->wal_level_from_stop = true;
        doubts_level = false;
    }
    if ((doubts_hints || doubts_level) && source_made_no_change(given))
    {
        doubts_hints = doubts_hints && !source->wal_log_hints;
        doubts_level = false; /* at another level than minimal: prerequisites_check */
    }
    if (doubts_hints)
        return error_hints_not_logged(given, LSN_INVALID, error);
    if (doubts_level)
    {
        error_set(error, ERROR_FAILED, "target server may have run with \"wal_level = minimal\"");
        return error_detail(
            error,
            "Parameters were changed at %s, after the last common checkpoint, and nothing proves "
            "what \"wal_level\" was before: changes made at that level were not WAL-logged.",
            LSN_TEXT(given->clusters->shape.version, scanned->parameters[0].lsn));
    }
    if (!is_cut_off_unknown(given))
        return scan_check_known_updates(given->clusters->shape.version, scanned, error);
    error_set(error, ERROR_FAILED, "target server was promoted with \"wal_level = archive\"");
    return error_detail(error, "WAL of that level does not tell which transactions ran at the "
                               "divergence: hint bits for one that the source has committed since "
                               "may not have been WAL-logged.");
}

bool target_changes_scan(const DivergenceInput *input, const Divergence *divergence, Arena *arena,
                         TargetChanges *changes, Error *error)
{
    const Clusters *clusters = input->clusters;
    const ScanCheckpoint *common = &divergence->common_checkpoint;
    ScanResult *scanned = &changes->scanned;
    ScanCheckpointWanted wanted = {.before = common->lsn + 1, .not_after = common->lsn};
    /* Hints set after a page's full-page image are not logged again before the next redo position,
       so pages named since this redo position may hold hints from after the divergence. */
    ScannedTarget given = {.clusters = clusters,
                           .divergence = divergence,
                           .scanned = scanned,
                           .floor = common->checkpoint.redo,
                           .in = input};
    ScanCheckpoint older;
    Lsn end_of_unlogged_hints;

    *changes = (TargetChanges){0};
    log_info("rewinding from last common checkpoint at %s on timeline %u", /* contract */
             LSN_TEXT(clusters->shape.version, common->lsn), common->checkpoint.timeline);
    log_progress_message("reading WAL in target"); /* contract */
    if (!scan_finish(divergence->scan, arena, given.floor, divergence->lsn, scanned, error) ||
        !find_end_of_unlogged_hints(&given, &end_of_unlogged_hints, error))
        return false;
    if (find_doubtful_xid(&given, end_of_unlogged_hints, &wanted.next_xid_not_after))
    {
        /* Scan from before they began. */
        if (!scan_find_checkpoint(divergence->scan, &wanted, &older, error))
            return false;
        if (older.checkpoint.redo < given.floor)
        {
            given.floor = older.checkpoint.redo;
            if (!scan_finish(divergence->scan, arena, given.floor, divergence->lsn, scanned, error))
                return false;
        }
    }
    changes->dead_entries_unlogged =
        scanned->commit_count > 0 && scanned->first_commit_lsn < end_of_unlogged_hints;
    changes->lost_gids =
        arena_allocate(arena, (scanned->prepared_count + 1) * sizeof(*changes->lost_gids));
    for (size_t i = 0; i < scanned->prepared_count; i++)
        if (scanned->prepared[i].lsn >= divergence->lsn && !scanned->prepared[i].finished)
            changes->lost_gids[changes->lost_prepared++] = scanned->prepared[i].gid;
    changes->known = true;
    if (!check_scanned_settings(&given, scanned, error))
        return error_offer_compare(error);
    return true;
}
