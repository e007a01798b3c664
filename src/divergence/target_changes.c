#include "divergence/target_changes.h"

#include "base/log.h"
#include "pair/prerequisites.h"

/* Input of the checks after a scan of the target's WAL. */
typedef struct ScannedTarget
{
    const Clusters *clusters;
    const Divergence *divergence;
    const ScanResult *scanned;
    Lsn floor; /* LSN where the scan begins */
    const DivergenceInput *in;
} ScannedTarget;

static Lsn target_timeline_begin(const History *target)
{
    return target->entries[target->count - 1].begin;
}

/* Return the first shutdown checkpoint at or after lsn after which the server was started again, so
 * not the one of the target's last stop; otherwise LSN_INVALID. */
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

/* True if the target reached the divergence in recovery, where hint bits are set but not logged.
 * If a standby was opened by deleting its signal file, only a start after the divergence shows
 * this. */
static bool was_in_recovery_at_divergence(const ScannedTarget *given)
{
    const History *source = &given->clusters->source_history;
    const History *target = &given->clusters->target_history;

    return source->entries[source->count - 1].timeline ==
               target->entries[target->count - 1].timeline ||
           target_may_have_been_standby(&given->clusters->target) ||
           target_timeline_begin(&given->clusters->target_history) >= given->divergence->lsn ||
           stop_after(given, given->divergence->lsn) != LSN_INVALID;
}

/* Return the end of the part of the target's WAL that begins at `begin` and that one server wrote
 * or replayed without a stop; LSN_INVALID if it has no end. */
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
 * True if WAL proves that hint bits were logged in [begin, end), where the server was not stopped.
 * At level minimal no record shows a change of wal_log_hints alone (XLogReportParameters), so there
 * a record proves something only about the server that wrote it. (Rule U6.)
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
 * Return the end of the last part of the target's WAL without a proof that hint bits were logged;
 * LSN_INVALID if it is before the divergence, or if every part has a proof. pg_checksums switches
 * checksums while the server is stopped, and writes no record. Without wal_log_hints, checksums are
 * known to be on since the target's last start; before that only a full-page image for a hint
 * proves it.
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
    /* A standby's stops are in no WAL. */
    if (target_may_have_been_standby(&given->clusters->target) &&
        !hints_are_proved(given, begin, given->divergence->target_end))
        until = given->divergence->target_end;
    return until;
}

/*
 * Return the end of the first checkpoint after the target's last promotion, or the last promotion
 * that it followed (WAL does not show which). Until then a promoted server does not log all hint
 * bits ("The window" in design/unlogged-changes.md). LSN_INVALID if it is before the divergence, or
 * without a promotion.
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
 * Set *end to the LSN after the divergence up to which the target may have set hint bits without
 * WAL; LSN_INVALID if it has not. Requires the scan's result. (Rule U4.)
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

/* True if the source was promoted at the divergence, which ended the transactions that ran
 * there. */
static bool source_was_promoted_at_divergence(const ScannedTarget *given)
{
    const History *source = &given->clusters->source_history;

    for (size_t i = 1; i < source->count; i++)
        if (source->entries[i].begin == given->divergence->lsn)
            return true;
    return false;
}

/*
 * True if it is unknown which transactions ran at the divergence, although a promotion ended them
 * on the target only: up to 9.5 with wal_level = archive. A server with such WAL accepts no queries
 * in recovery, so only a promoted one has set hint bits without WAL.
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
 * Set *xid to the lowest transaction that may have ended differently on the two sides; returns
 * false without one. Hint bits for these transactions can be on any page that they changed, so the
 * scan must begin before them. Transactions after the common checkpoint are scanned anyway. (Rule
 * C9.)
 */
static bool find_doubtful_xid(const ScannedTarget *given, Lsn end_of_unlogged_hints, uint32_t *xid)
{
    const CheckPoint *checkpoint = &given->divergence->common_checkpoint.checkpoint;
    const uint32_t next_xid = (uint32_t) checkpoint->next_xid;
    const bool in_recovery = was_in_recovery_at_divergence(given);
    uint32_t cut_off = 0;

    /* A promotion may have ended transactions on the target, but not on the source, and no record
     * shows which (design/unlogged-changes.md): use the lowest possible xid. */
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
 * True if the source's WAL from the floor on has no parameter change. Then the source's pg_control
 * has the settings of both servers at the floor, and the target's until its own first change. All
 * that WAL is read, and is not kept if there is no room for it. Without all of it nothing is
 * proved, nor if the source's WAL before the divergence may differ from the target's.
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
 * then hint bits set before the change belong to transactions that ended on both sides alike. If
 * the target's last promotion was later, only the time after it counts; its time in recovery is
 * checked separately.
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

/* Return the LSN of the first parameter change after which hint bits are not logged; LSN_INVALID if
 * none. */
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
 * True if the target ran with wal_level = minimal before the divergence. At this level a
 * transaction can fill storage that it has created without WAL. After the divergence that does no
 * harm: such storage is removed, or fetched whole. Before it, the source lacks those changes too,
 * and replays WAL of that level.
 */
static bool was_minimal_in_common(const ScannedTarget *given)
{
    const ScanResult *scanned = given->scanned;

    if (scanned->parameter_count == 0)
        return given->clusters->target.control.wal_level == WAL_LEVEL_MINIMAL;
    return scanned->minimal_record_at != LSN_INVALID &&
           scanned->minimal_record_at < given->divergence->lsn;
}

/* Check the settings under which the target ran; scanned is given->scanned, which may be
 * corrected. */
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
    /* Without any work from the floor to the divergence, no transaction can have filled storage
     * without WAL in the common history. */
    if (doubts_level && (scanned->first_work_lsn == LSN_INVALID ||
                         scanned->first_work_lsn >= given->divergence->lsn))
    {
        scanned->wal_level_proven = scanned->wal_level_from_stop = true;
        doubts_level = false;
    }
    if ((doubts_hints || doubts_level) && source_made_no_change(given))
    {
        doubts_hints = doubts_hints && !source->wal_log_hints;
        doubts_level = false; /* the source's level is not minimal: prerequisites_check */
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
    /* Hint bits set after a page's full-page image are not logged again before the next redo
     * position, so pages named since this redo position may have hint bits from after the
     * divergence. */
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
        /* Scan from a checkpoint before the doubtful transactions began. */
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
