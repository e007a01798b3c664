#include "divergence/divergence.h"

#include "base/log.h"
#include "base/workers.h"
#include "divergence/wal_comparison.h"
#include "pair/prerequisites.h"
#include "io/dir.h"
#include "io/place.h"
#include "wal_store/target_wal.h"

#define WORKERS_FROM_BYTES (32 * 1024 * 1024)
#define CLOCKS_DIFFER_SECONDS_MAX 3600

/* The search for the divergence, and its evidence. */
typedef struct Search
{
    DivergenceInput in;
    Arena *arena;
    Divergence *divergence; /* the result so far */
    Lsn latest;             /* latest LSN of the divergence that histories and positions allow */
    bool moved;             /* comparing WAL has shown that the divergence is earlier than latest */
    WalComparison comparison; /* result for the WAL before the divergence */
    Lsn compared_from;        /* LSN where this comparison began */
    Lsn foreign_from;         /* start of an archive's segment that differs from the target's */
    Lsn recovery_end;         /* see scan_recovery_end; of the WAL after pg_control's checkpoint */
    bool archive_unproven;    /* more segments of an archive are equal, which proves nothing */
} Search;

/* ---- The end of the target's WAL ---- */

/*
 * True if the target crashed as a primary during an exclusive backup (10 to 14), so that its
 * backup_label does not mean an unfinished restore. A copy of the cluster has the label too, and
 * its files may be newer than its WAL; but a copy's server has left no pid file, and the copy was
 * made after the backup's checkpoint. Clocks of two machines may differ. (Rule C13.)
 */
static bool crashed_in_exclusive_backup(const Target *target, WalScan *scan)
{
    const ScanCheckpointWanted wanted = {.before = target->label_checkpoint + 1,
                                         .not_after = target->label_checkpoint};
    AUTO_BUFFER Buffer path = {0};
    ScanCheckpoint checkpoint;
    int64_t birth;

    if (!target->label_is_exclusive || target->control.state != STATE_IN_PRODUCTION)
        return false;
    if (target->has_original_pid_file)
        return true;
    if (!scan_find_checkpoint(scan, &wanted, &checkpoint, NULL))
        return false;
    birth = place_birth(path_in(&path, target->directory, "PG_VERSION"));
    return birth != 0 && checkpoint.lsn == target->label_checkpoint &&
           birth < checkpoint.checkpoint.time - CLOCKS_DIFFER_SECONDS_MAX;
}

/*
 * True if the target is a base backup whose recovery has not reached the backup's end. Only WAL
 * shows where a backup of a primary ends; files copied during the backup may be newer than the WAL
 * that is here. A label of pg_rewind counts more than pg_control, which was written for a server
 * without a label.
 */
static bool backup_has_not_ended(const Target *target, WalScan *scan)
{
    const Control *control = &target->control;

    if (target->has_backup_label)
        return target->label_of_base_backup && !crashed_in_exclusive_backup(target, scan);
    return control->backup_end_required ||
           (control->backup_start_point != LSN_INVALID && control->backup_end_point == LSN_INVALID);
}

/* The scan begins at a record that is known to be there: pg_control's checkpoint, or where the
 * recovery of an earlier rewind, which never started, was to begin. (Rule C29.) */
bool divergence_find_target_end(const Clusters *clusters, const WalStream *stream, int jobs,
                                Lsn latest_divergence, WalScan **scan, Lsn *end, Error *error)
{
    const Target *target = &clusters->target;
    const Control *control = &target->control;
    Lsn from = target->has_backup_label ? target->label_redo : control->checkpoint_lsn;
    Lsn floor = target->has_backup_label ? target->label_redo : control->checkpoint.redo;
    WalSegmentFacts last;

    if (latest_divergence != LSN_INVALID && latest_divergence < floor)
        floor = latest_divergence;
    from = wal_skip_header(&clusters->shape, from);
    *scan = scan_create(stream, jobs, floor);
    if (!scan_forward(*scan, from, &last, error))
        return false;
    *end = last.next_lsn;
    if (*end == from && last.end == WAL_SEGMENT_MISSING)
    {
        error_missing_wal(stream, last.missing_segment, error);
        return error_detail(error, "The target's last checkpoint is in the segment that could not "
                                   "be opened.");
    }
    if (backup_has_not_ended(target, *scan))
    {
        error_set(error, ERROR_FAILED, "target is not consistent");
        error_detail(error, "Its recovery from a base backup has not reached the backup's end, or "
                            "the backup_label of a rewind was removed.");
        return error_offer_compare(error);
    }
    if (*end == from || *end < control->min_recovery_point || *end < control->backup_end_point)
    {
        error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s", /* contract */
                  LSN_TEXT(clusters->shape.version, *end), last.reason);
        error_detail(error, "The target's WAL is damaged or incomplete there: its data files "
                            "contain later changes.");
        return error_damaged_wal(stream, wal_segment_of(&clusters->shape, *end), error);
    }
    return true;
}

bool divergence_check_end_is_own(WalStore *target_wal, Lsn end, Error *error)
{
    const WalStream *stream = &target_wal->stream;
    const uint64_t segment = wal_segment_before(&stream->shape, end);
    AUTO_FD int fd = -1;
    bool found;

    if (!wal_store_open_own(target_wal, segment, &fd, &found, error))
        return false;
    if (found)
        return true;
    error_set(error, ERROR_FAILED,
              "the end of the target's WAL is lost: segment \"%s\" is not in its %s",
              SEGMENT_NAME(stream, segment), stream->shape.version->wal_directory);
    error_detail(error, "The target was not shut down cleanly, so its data files may contain "
                        "changes from WAL that was never archived.");
    error_hint(error, "Put the target's own file of that segment, and those after it, there, or "
                      "compare all blocks instead with --compare.");
    return error_remedy(error, REMEDY_WAL);
}

/* Find the end of the target's WAL. Without a clean shutdown of a primary nothing but its own
 * pg_wal bounds it from below; a running server writes more, so its end is not searched for. */
static bool find_end_of_target(Search *search, Lsn latest, Error *error)
{
    const Clusters *clusters = search->in.clusters;
    Divergence *divergence = search->divergence;
    WalStore *target_wal = search->in.target_wal;
    const bool runs = target_wal->stream.limit != LSN_INVALID;

    if ((!runs && target_may_have_pages_of_crash(&clusters->target) &&
         !target_wal_find_newest(target_wal, error)) ||
        !divergence_find_target_end(clusters, &target_wal->stream, search->in.jobs, latest,
                                    &divergence->scan, &divergence->target_end, error))
        return false;
    search->recovery_end = scan_recovery_end(divergence->scan);
    return runs || !target_is_like_crashed(&clusters->target, search->recovery_end) ||
           divergence_check_end_is_own(target_wal, divergence->target_end, error);
}

/* Find the checkpoint from which recovery may start: the target has completed it, and no page needs
 * older WAL. (Rule C11.) */
static bool find_common_checkpoint(Search *search, Lsn before, Error *error)
{
    const Clusters *clusters = search->in.clusters;
    Divergence *divergence = search->divergence;
    const Control *control = &clusters->target.control;
    ScanCheckpointWanted wanted = {
        .before = before,
        .not_after = control->checkpoint_lsn,
    };

    if (clusters->target.has_backup_label)
    {
        wanted.not_after = clusters->target.label_checkpoint;
        wanted.redo_not_after = clusters->target.label_redo;
    }
    else if (control->backup_start_point != LSN_INVALID)
        wanted.redo_not_after = control->backup_start_point;
    if (scan_find_checkpoint(divergence->scan, &wanted, &divergence->common_checkpoint, error))
        return true;
    divergence->common_checkpoint =
        (ScanCheckpoint){0}; /* no checkpoint: the one found is too late */
    return false;
}

/*
 * Find the divergence, at search->latest or before, and the last common checkpoint, so that the WAL
 * from that checkpoint's redo position to the divergence is identical on both sides, where both
 * have it.
 */
static bool find_divergence(Search *search, bool archive_of_source_only, Error *error)
{
    const Clusters *clusters = search->in.clusters;
    Divergence *divergence = search->divergence;
    WalStream own = search->in.target_wal->stream;
    const WalStream archive = {.open = wal_store_open_archived,
                               .context = search->in.source_wal->store};
    const WalStream archive_of_target = {.open = wal_store_open_archived,
                                         .context = search->in.target_wal};
    WalSides sides = {.target = &own,
                      .target_archive = &archive_of_target,
                      .source = clusters->source,
                      .source_history = &clusters->source_history,
                      .archive = &archive,
                      .archive_of_source_only = archive_of_source_only,
                      .workers = 1,
                      .is_no_content = scan_is_after_switch,
                      .context = divergence->scan};
    WalComparison *comparison = &search->comparison;

    own.open = wal_store_open_own;
    divergence->lsn = search->latest;
    search->foreign_from = LSN_HIGHEST;
    for (;; search->moved = true)
    {
        Lsn from;

        search->in.target_wal->limits.divergence = divergence->lsn;
        search->in.target_wal->limits.is_proven = true;
        if (!find_common_checkpoint(search, divergence->lsn, error))
            return false;
        from = wal_segment_start(
            &clusters->shape,
            wal_segment_of(&clusters->shape, divergence->common_checkpoint.checkpoint.redo));
        /* Start workers only for much WAL: the rest of the run may need none. */
        if (divergence->lsn > from + WORKERS_FROM_BYTES && sides.workers == 1 &&
            !clusters->source->operations->start_workers(
                clusters->source, search->in.jobs, divergence->lsn - from, &sides.workers, error))
            return false;
        search->compared_from = from;
        if (!search->moved && !search->in.is_preview)
            source_wal_expect(search->in.source_wal, divergence->lsn,
                              search->in.state->position.end);
        if (!wal_compare(&sides, from, divergence->lsn, comparison, error))
            return false;
        log_debug("%llu bytes of WAL before %s are equal in source and target",
                  (unsigned long long) (comparison->lsn - comparison->equal_from),
                  LSN_TEXT(clusters->shape.version, comparison->lsn));
        if (!comparison->differs)
            return true;
        search->foreign_from =
            comparison->differs_in_archive
                ? wal_segment_start(&clusters->shape,
                                    wal_segment_of(&clusters->shape, comparison->lsn))
                : LSN_HIGHEST;
        if (!scan_record_at(divergence->scan, comparison->lsn, &divergence->lsn, error))
            return false;
    }
}

Lsn divergence_known_end(const Clusters *clusters)
{
    const Control *control = &clusters->target.control;

    return control->checkpoint_lsn > control->min_recovery_point ? control->checkpoint_lsn
                                                                 : control->min_recovery_point;
}

/*
 * An estimate, for progress, of the bytes of WAL to read. For a server that was not shut down, all
 * segments of its timeline in pg_wal count, although some may have been created in advance.
 */
static uint64_t wal_to_scan(const Clusters *clusters, Lsn latest_divergence)
{
    const Control *control = &clusters->target.control;
    const WalShape *shape = &clusters->shape;
    AUTO_ARENA Arena *arena = arena_create();
    Lsn begin = control->checkpoint.redo, end = divergence_known_end(clusters);
    const char **names = &(const char *){NULL};
    Timeline timeline;
    uint64_t segment;

    if (latest_divergence != LSN_INVALID && latest_divergence < begin)
        begin = latest_divergence;
    if (control->state != STATE_SHUTDOWNED && control->state != STATE_SHUTDOWNED_IN_RECOVERY)
        (void) !dir_list(arena_printf(arena, "%s/%s", clusters->target.directory,
                                      control->version->wal_directory),
                         arena, &names, NULL, NULL);
    for (; *names != NULL; names++)
        if (wal_segment_name_parse(shape, *names, &timeline, &segment) &&
            timeline == control_timeline(control) && wal_segment_start(shape, segment + 1) > end)
            end = wal_segment_start(shape, segment + 1);
    return end > begin ? end - begin : 0;
}

/* Find the end of the target's WAL, and the divergence at or before `latest`, which the history
 * files give. */
static bool read_target_wal(Search *search, Lsn latest, Error *error)
{
    const Clusters *clusters = search->in.clusters;
    Divergence *divergence = search->divergence;
    const bool same_timeline = latest == LSN_INVALID;
    const Lsn checkpoint = clusters->target.control.checkpoint_lsn;

    search->in.target_wal->needed_from =
        latest != LSN_INVALID ? latest : clusters->target.control.checkpoint.redo;
    if (!find_end_of_target(search, latest, error))
        return false;
    if (search->in.target_wal->stream.limit != LSN_INVALID && divergence->target_end <= latest)
        divergence->target_end =
            latest + 1; /* the running server has passed `latest` and writes more */
    /* If the result is only shown, skip what the target wrote after the divergence. */
    if (search->in.is_preview && latest != LSN_INVALID &&
        wal_segment_of(&clusters->shape, latest) + 1 < wal_segment_of(&clusters->shape, checkpoint))
    {
        scan_destroy(divergence->scan);
        divergence->scan = scan_create(&search->in.target_wal->stream, search->in.jobs, latest);
    }
    if (same_timeline || divergence->target_end < latest)
        latest = divergence->target_end;
    /* The target's WAL after the end of the source's WAL is not the source's. */
    if (search->in.state->position.end < latest &&
        !scan_record_at(divergence->scan, search->in.state->position.end, &latest, error))
        return false;
    search->latest = latest;
    if (!find_divergence(search, false, error))
        return false;
    if (!same_timeline || !search->in.state->position.in_recovery || search->moved ||
        divergence->lsn >= divergence->target_end)
        return true;
    /* A source standby on the target's timeline may still receive the target's last WAL, or other
     * WAL instead. */
    divergence->source_lags = true;
    error_set(error, ERROR_FAILED, "source has not received all WAL that the target has");
    error_detail(error,
                 "It is a standby and has WAL up to %s; the target, on the same timeline, has WAL "
                 "up to %s. It is not known whether the source will receive the same WAL.",
                 LSN_TEXT(clusters->shape.version, search->in.state->position.end),
                 LSN_TEXT(clusters->shape.version, divergence->target_end));
    return error_hint(error,
                      "Run pg_rewind again when the source has more WAL (CHECKPOINT on its primary "
                      "writes some) or is promoted, or compare all blocks instead with --compare.");
}

static void print_divergence(const Clusters *clusters, Lsn lsn, Timeline timeline,
                             Divergence *divergence)
{
    log_info("servers diverged at WAL location %s on timeline %u", /* contract */
             LSN_TEXT(clusters->shape.version, lsn), timeline);
    divergence->printed = lsn;
    divergence->printed_timeline = timeline;
}

bool divergence_is_certain(const Clusters *clusters)
{
    const Control *control = &clusters->target.control;
    size_t common;
    Lsn latest;

    return history_common(&clusters->source_history, &clusters->target_history, &common, &latest) &&
           latest != LSN_INVALID &&
           (control->checkpoint_lsn >= latest || control->min_recovery_point > latest);
}

void divergence_leave_unknown(const Clusters *clusters, Divergence *divergence)
{
    const History *target = &clusters->target_history;
    size_t common;
    Lsn latest;

    *divergence = (Divergence){.needed = true,
                               .target_end = divergence_known_end(clusters),
                               .printed = divergence->printed,
                               .printed_timeline = divergence->printed_timeline};
    /* Print the latest point that the histories allow; nothing depends on this message. */
    if (divergence->printed == LSN_INVALID && target->count > 0 &&
        history_common(&clusters->source_history, target, &common, &latest) &&
        latest != LSN_INVALID)
        print_divergence(clusters, latest, target->entries[common].timeline, divergence);
    log_info("comparing all blocks with the source's");
}

/* ---- Proof that the WAL before the divergence is one history ---- */

/* Set *found if a transaction ends in [from, to) of the target's WAL: its record has a time. */
static bool has_commit(Search *search, Lsn from, Lsn to, bool *found, Error *error)
{
    Divergence *divergence = search->divergence;
    WalStream stream = *divergence->scan->stream;
    WalSegmentFacts end;
    ScanResult result;
    WalScan *scan;
    Lsn first;
    bool scanned;

    *found = false;
    stream.limit = to;
    if (!scan_record_at(divergence->scan, from, &first, error))
        return false;
    scan = scan_create(&stream, 1, first);
    scanned = scan_forward(scan, first, &end, error) &&
              scan_finish(scan, search->arena, from, from, &result, error);
    *found = scanned && result.commit_count > 0;
    scan_destroy(scan);
    return scanned;
}

/*
 * Set *proof if the equal WAL from `from` on proves one history. Two servers that diverged can
 * write equal bytes for a while, but not equal times: a checkpoint or the end of a transaction must
 * be in this WAL.
 */
static bool holds_proof(Search *search, Lsn from, bool *proof, Error *error)
{
    Divergence *divergence = search->divergence;
    const ScanCheckpointWanted last = {.before = divergence->lsn};
    ScanCheckpoint checkpoint;

    *proof = false;
    if (from >= divergence->lsn)
        return true;
    if (!scan_find_checkpoint(divergence->scan, &last, &checkpoint, error))
        return false;
    *proof = checkpoint.lsn >= from && checkpoint.end <= divergence->lsn;
    return *proof || has_commit(search, from, divergence->lsn, proof, error);
}

/*
 * Set *leads if the archive's WAL belongs to the source: the archive may hold what the target
 * itself has archived, unless the source's own WAL continues where the archive's ends. (Rule C20.)
 */
static bool archive_leads_to_source(Search *search, bool *leads, Error *error)
{
    Divergence *divergence = search->divergence;
    SourceWalReading reading = {.from = divergence->lsn, .end = search->in.state->position.end};
    ScanResult result;
    WalScan *scan;
    Error why = {0};

    *leads = false;
    if (search->in.state->position.end <= divergence->lsn)
        return true;
    /* If the result is only shown, do not fetch all WAL that follows. */
    *leads = divergence->rests_on_archive = search->in.is_preview;
    if (*leads)
        return true;
    if (!source_wal_fetch(search->in.source_wal, divergence->lsn, search->in.state->position.end,
                          error))
        return false;
    if (!source_wal_read(search->in.source_wal, &reading, &scan, &result, &why))
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

bool error_no_proof_before(const Clusters *clusters, Lsn lsn, Error *error)
{
    return error_set(error, ERROR_FAILED,
                     "could not prove that source and target have the same history before %s",
                     LSN_TEXT(clusters->shape.version, lsn));
}

static bool error_no_proof(const Search *search, Error *error)
{
    const Clusters *clusters = search->in.clusters;
    const uint64_t segment = wal_segment_of(&clusters->shape, search->divergence->target_end);
    bool has;

    if (search->moved)
        error_set(error, ERROR_FAILED, "could not find where source and target diverged: before %s",
                  LSN_TEXT(clusters->shape.version, search->comparison.lsn));
    else
        error_no_proof_before(clusters, search->comparison.lsn, error);
    error_detail(error,
                 "Two servers that were promoted independently can have equal timelines. Only "
                 "their WAL shows that, but source and target do not both have enough of it.");
    error_hint(error, "Let pg_rewind fetch it with --wal-archive or --restore-command, or compare "
                      "all blocks instead with --compare.");
    error_remedy(error, REMEDY_WAL);
    if (search->archive_unproven && search->divergence->needed)
        error_detail(error, "The archive has more of it, but that may be what the target itself "
                            "has archived.");
    /* The target is a standby that was away for too long: the source even lacks the segment in
     * which the target's WAL ends. */
    if (!search->divergence->needed &&
        source_wal_source_has(search->in.source_wal, segment, &has, NULL) && !has)
        error_detail(error,
                     "The source no longer has segment %s, in which the target's WAL ends. A "
                     "standby that was away for too long cannot follow it either, unless an "
                     "archive has all that is missing.",
                     SEGMENT_NAME(&search->in.source_wal->store->stream, segment));
    return false;
}

/* True if the divergence is at `latest`, the latest LSN that the servers' own history files allow:
 * the source left the target's timeline there, and the target continued. */
static bool is_of_histories(const Search *search, Lsn latest)
{
    return search->divergence->needed && search->divergence->lsn == latest &&
           history_is_own(&search->in.clusters->source_history) &&
           history_is_own(&search->in.clusters->target_history);
}

/*
 * Set *proven if the compared WAL proves the divergence. A divergence of the histories is proved if
 * all WAL before it was compared. A segment of an archive proves something only if the target has
 * not archived it: it differs from the target's, or continues where the target's WAL ends. (Rule
 * C19.)
 */
static bool find_proof(Search *search, Lsn latest, bool *proven, Error *error)
{
    const Divergence *divergence = search->divergence;
    const WalComparison *comparison = &search->comparison;
    Lsn from = comparison->own_from;

    *proven = is_of_histories(search, latest) && from == search->compared_from;
    if (*proven)
        return true;
    if (search->foreign_from < divergence->lsn)
        from = search->foreign_from > comparison->equal_from ? search->foreign_from
                                                             : comparison->equal_from;
    if (!holds_proof(search, from, proven, error))
        return false;
    search->archive_unproven = !*proven && comparison->equal_from < from;
    if (!search->archive_unproven || divergence->needed)
        return true;
    return holds_proof(search, comparison->equal_from, proven, error) &&
           (!*proven || archive_leads_to_source(search, proven, error));
}

/* The target's bytes before the divergence, from the start of its segment on, are the source's if
 * all of them were compared with the source's own. Then the source need not send them. (Rule
 * C98.) */
static void take_own_wal(const Search *search)
{
    const Lsn lsn = search->divergence->lsn;
    const WalShape *shape = &search->in.clusters->shape;

    if (search->comparison.lsn == lsn &&
        search->comparison.own_from <= wal_segment_start(shape, wal_segment_of(shape, lsn)))
        source_wal_take_own(search->in.source_wal, search->in.target_wal, lsn);
}

static bool check_proof(Search *search, Lsn by_histories, Error *error)
{
    Divergence *divergence = search->divergence;
    WalStore *source_wal = search->in.source_wal->store;
    bool proven, of_histories;

    for (;;)
    {
        divergence->needed = divergence->target_end > divergence->lsn;
        source_wal->limits.divergence = divergence->lsn;
        source_wal->limits.is_proven = true;
        if (!find_proof(search, by_histories, &proven, error))
            return false;
        if (proven)
        {
            take_own_wal(search);
            return true;
        }
        of_histories = is_of_histories(search, by_histories);
        /* Ask the target's own restore command, once, for WAL that no archive of an option has. If
         * the history files give the divergence, only the segment right before it can prove more,
         * and only if the source lacks it. */
        if ((of_histories && search->comparison.own_from < divergence->lsn) ||
            !source_wal_ask_target_command(search->in.source_wal))
            break;
        if (!find_divergence(search, of_histories, error))
            return false;
    }
    if (!of_histories)
        return error_no_proof(search, error);
    /*
     * The history files alone give the divergence. WAL leads to it without a gap on both sides, but
     * such WAL could also come from two servers that did the same work. So neither the other side's
     * WAL, nor an archive's, nor the source's summaries are used for WAL before the divergence.
     * (Rule C21.)
     */
    source_wal->limits.is_proven = false;
    divergence->rests_on_histories = true;
    divergence->changes_unknown = search->comparison.target_lacks;
    return true;
}

bool divergence_find(const DivergenceInput *input, Arena *arena, Divergence *divergence,
                     Error *error)
{
    const Clusters *clusters = input->clusters;
    Search search = {.in = *input, .arena = arena, .divergence = divergence};
    const History *target = &clusters->target_history;
    size_t common;
    Lsn latest;

    *divergence = (Divergence){0};
    if (!history_common(&clusters->source_history, target, &common, &latest))
    {
        error_set(error, ERROR_FAILED,
                  "could not find common ancestor of the source and "
                  "target cluster's timelines"); /* contract */
        return error_offer_compare(error);
    }
    progress_begin(PROGRESS_SCAN_TARGET, wal_to_scan(clusters, latest));
    if (!progress_end(read_target_wal(&search, latest, error)) ||
        !check_proof(&search, latest, error))
        return false;
    /* With the label of an exclusive backup the server would wait for the backup's end, which no
     * WAL will have: a rewind replaces the label. (Rule C13.) */
    divergence->needed |= clusters->target.label_of_base_backup;
    /* A rewind removes the WAL of a timeline that the target's server may not be on. (Rule C25.) */
    divergence->needed |= clusters->target.has_wal_of_two;
    /* A rewind replaces a minRecoveryPoint that is older than the pages, too. (Rule C105.) */
    divergence->needed |= target_has_pages_after_minimum(&clusters->target, search.recovery_end,
                                                         divergence->target_end);
    if (latest == LSN_INVALID && !divergence->needed)
        log_info("source and target cluster are on the same timeline"); /* contract */
    else
        print_divergence(clusters, divergence->lsn,
                         divergence->needed ? history_timeline_at(target, divergence->lsn - 1)
                                            : target->entries[common].timeline,
                         divergence);
    return true;
}
