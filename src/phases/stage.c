#include "phases/run.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/backup_label.h"
#include "io/file.h"
#include "phases/saved_wal.h"
#include "plan/unlogged.h"
#include "standby/standby_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#define POLL_MILLISECONDS 100 /* between two looks at a standby's position */

/* Stage one segment up to `end`: what was brought here before, else from the source. *found false:
 * it is nowhere. */
static bool stage_segment(Run *run, uint64_t segment, Lsn end, bool *found, Error *error)
{
    Lsn begin = wal_segment_start(&run->clusters.shape, segment);
    Lsn segment_end = begin + run->clusters.shape.segment_size;
    uint32_t size = (uint32_t) ((end < segment_end ? end : segment_end) - begin);
    char name[WAL_NAME_SIZE], path[PATH_SIZE];
    bool is_here = false;

    *found = false;
    run_segment_name(run, segment, name);
    if (segment_end <= run->source_wal_brought_end &&
        !run_find_source_segment(run, segment, path, &is_here, error))
        return false;
    is_here = is_here && (run->clusters.source->is_server || run_may_take(run, path));
    if (is_here && run_may_take(run, path) &&
        !stage_wal_take(run->staged.stage, name, path, run->clusters.shape.segment_size, found,
                        error))
        return false;
    if (*found)
        return true;
    if (!stage_wal_segment(run->staged.stage, run->clusters.source, name,
                           run->clusters.shape.segment_size, size, is_here ? path : NULL, found,
                           error))
        return false;
    if (*found)
        return true;
    /* A segment that was not whole when it was brought is no substitute. */
    return run_forget_brought_segment(run, segment, error) &&
           run_find_source_segment(run, segment, path, &is_here, error) &&
           (!is_here ||
            stage_wal_segment(run->staged.stage, run->clusters.source, name,
                              run->clusters.shape.segment_size, size, path, found, error));
}

static bool add_marker(Run *run, const char *name, bool to_archive, Error *error)
{
    char path[128];

    snprintf(path, sizeof(path), "pg_wal/archive_status/%s.%s", name,
             to_archive ? "ready" : "done");
    return stage_content(run->staged.stage, path, "", 0, error);
}

/* A standby with an archive of its own archives what it receives; what is staged from behind the
 * divergence it would have received. What lies before, it has archived itself. */
static bool add_segment_marker(Run *run, uint64_t segment, const char *name, Error *error)
{
    bool is_new = wal_segment_start(&run->clusters.shape, segment + 1) > run->diverged.lsn;

    return add_marker(run, name, run->archives_always && is_new, error);
}

/* The same of history files: in an archive that lacks its history nobody finds a timeline. */
static bool mark_new_histories(Run *run, Error *error)
{
    const History *history = &run->clusters.source_history;

    for (size_t i = 1; i < history->count && run->archives_always; i++)
    {
        char name[HISTORY_NAME_SIZE], path[64];
        const PlanEntry *entry;

        history_file_name(history->entries[i].timeline, name);
        snprintf(path, sizeof(path), "pg_wal/%s", name);
        entry = plan_find(&run->planned.plan, path);
        if (entry != NULL && !entry->on_target && plan_final_size(entry) > 0 &&
            !add_marker(run, name, true, error))
            return false;
    }
    return true;
}

/* Stage the segments [*next, end's) that are whole, or with last set also the one that end lies in.
 */
static bool stage_wal(Run *run, uint64_t *next, Lsn end, bool last, Error *error)
{
    uint64_t behind = wal_segment_of(&run->clusters.shape, end);
    Buffer missing = {0};
    bool result = true;

    if (last && end > wal_segment_start(&run->clusters.shape, behind))
        behind++;
    for (; *next < behind && result; (*next)++)
    {
        char name[WAL_NAME_SIZE];
        bool found = true;

        if (run_keeps_segment(run, *next))
            continue;
        run_segment_name(run, *next, name);
        result = stage_segment(run, *next, end, &found, error);
        if (result && !found && !run_add_missing(&missing, name))
            break;
        if (result && found && end >= wal_segment_start(&run->clusters.shape, *next + 1))
            result = add_segment_marker(run, *next, name, error);
    }
    if (result && missing.size > 0)
        result = run_missing_wal_error(buffer_string(&missing), error);
    buffer_free(&missing);
    return result;
}

/* The older timeline's file of the segment in which it was left: the newest one's has the same
 * bytes up to there. */
static bool stage_left_segment(Run *run, const HistoryEntry *left, Error *error)
{
    uint64_t segment = wal_segment_of(&run->clusters.shape, left->end);
    Lsn begin = wal_segment_start(&run->clusters.shape, segment);
    char name[WAL_NAME_SIZE], newest[WAL_NAME_SIZE], path[PATH_SIZE];
    const char *from;
    bool found;

    wal_segment_name(&run->clusters.shape, left->timeline, segment, name);
    snprintf(path, sizeof(path), "pg_wal/%s", name);
    if (plan_keeps_segment(&run->planned.input, left->timeline, segment) &&
        listing_find(&run->planned.target_files, path) != NULL)
        return true;
    run_segment_name(run, segment, newest);
    from = stage_wal_path(run->staged.stage, newest);
    if (from == NULL)
    {
        snprintf(path, sizeof(path), "%s/pg_wal/%s", run->clusters.target.directory, newest);
        from = path;
    }
    return stage_wal_segment(run->staged.stage, run->clusters.source, name,
                             run->clusters.shape.segment_size, (uint32_t) (left->end - begin), from,
                             &found, error) &&
           add_marker(run, name, false, error);
}

/*
 * Replay reads a segment from its newest timeline's file. But while it is still on an older
 * timeline, the server reads prepared transactions from that one's file (XlogReadTwoPhaseData), as
 * a standby that followed the switch has it.
 */
static bool stage_left_timelines(Run *run, Lsn end, Error *error)
{
    const History *history = &run->clusters.source_history;

    for (size_t i = 0; i + 1 < history->count; i++)
    {
        const HistoryEntry *left = &history->entries[i];

        if (run_stages_left_segment(run, left, end) && !stage_left_segment(run, left, error))
            return false;
    }
    return true;
}

/* The source's WAL as the rewound target will have it. A WalOpen. */
static bool open_rewound(void *context, Timeline timeline, uint64_t segment, int *fd, bool *found,
                         Error *error)
{
    const Run *run = context;
    char name[WAL_NAME_SIZE], path[PATH_SIZE];
    const char *staged;

    wal_segment_name(&run->clusters.shape, timeline, segment, name);
    staged = stage_wal_path(run->staged.stage, name);
    if (staged != NULL)
        return file_open_read(staged, fd, found, error);
    *found = false;
    if (!run_keeps_segment(run, segment))
        return true;
    snprintf(path, sizeof(path), "%s/pg_wal/%s", run->clusters.target.directory, name);
    return file_open_read(path, fd, found, error);
}

/* pg_twophase files that replay makes anew are not copied, and removed where they stand. */
static void drop_future_twophase(Run *run, const ScanResult *chain)
{
    for (size_t i = 0; i < run->planned.plan.count; i++)
    {
        PlanEntry *entry = &run->planned.plan.entries[i];
        uint64_t xid;
        bool future;

        if (!entry->twophase || entry->action != ACTION_COPY)
            continue;
        xid = strtoull(strrchr(entry->path, '/') + 1, NULL, 16);
        future = run->clusters.shape.version->twophase_name_digits == 16
                     ? xid >= run->recovery.start.next_xid
                     : (int32_t) ((uint32_t) xid - (uint32_t) run->recovery.start.next_xid) >= 0;
        for (size_t p = 0; p < chain->prepared_count && !future; p++)
            future = chain->prepared[p].xid == (uint32_t) xid;
        entry->dropped = future;
    }
}

static void leave_out_unlogged(Run *run, const ScanResult *chain)
{
    const UnloggedEvidence evidence = {.chain = chain,
                                       .next_oid = run->recovery.start.next_oid,
                                       .target_scanned = !run->options->compare};

    plan_leave_out_unlogged(&run->planned.input, &evidence, &run->planned.plan);
}

/*
 * Prove the chain of WAL from the redo position to the end with the files that the rewound target
 * will have, find the last record that ends there (minRecoveryPoint), and what replay will do.
 */
static bool prove_chain(Run *run, const Control *source, Lsn end, Hazard *hazard, Error *error)
{
    ScanResult chain;
    WalScan *scan;
    bool result;

    if (!run_scan_source_wal(run, open_rewound, run->recovery.start.redo, end, &scan, &chain,
                             &run->staged.min_recovery_point, error))
        return false;
    result = run_find_hazard(run, source, scan_stream(scan), &chain, hazard, error);
    if (result)
    {
        drop_future_twophase(run, &chain);
        leave_out_unlogged(run, &chain);
    }
    scan_destroy(scan);
    return result;
}

/*
 * Files that a standby was removing when the last byte was fetched belong to a record that it had
 * by then: once that is replayed, the position tells of it.
 */
static bool wait_for_replay(Run *run, const Control *control, Error *error)
{
    const double deadline = clock_seconds() + run->options->wait_timeout_seconds;
    const Lsn received = run->source_state.position.end;
    char text[LSN_TEXT_SIZE];

    while (run->source_state.position.minimum < received)
    {
        if (clock_seconds() > deadline)
        {
            error_set(error, ERROR_FAILED, "the source has not replayed its WAL up to %s in time",
                      run_lsn_text(run, received, text));
            return error_detail(error, "It is a standby, and databases were copied in the WAL that "
                                       "the rewound target would replay.");
        }
        if (!stop_pause(POLL_MILLISECONDS, error) ||
            !run->clusters.source->operations->position(run->clusters.source, control,
                                                        &run->source_state.position, error))
            return false;
    }
    return true;
}

/*
 * A checkpoint precedes a removal of files (start_is_as_promoted), but a request for one that comes
 * in the instant of the promotion may be answered without. Whoever removes files holds a lock
 * until that is in the WAL and flushed: hence the position, once more.
 */
static bool wait_for_removals(Run *run, Control *control, Error *error)
{
    const double deadline = clock_seconds() + run->options->wait_timeout_seconds;
    bool removes;

    for (;;)
    {
        if (!source_server_removes_database(run->clusters.source, &removes, error))
            return false;
        if (!removes)
            return run_read_source_again(run, control, error);
        if (clock_seconds() > deadline)
        {
            error_set(error, ERROR_FAILED,
                      "a database of the source is being dropped, moved or renamed");
            return error_detail(error, "The source was promoted a moment ago, and databases were "
                                       "copied in the WAL that the rewound target would replay.");
        }
        if (!stop_pause(POLL_MILLISECONDS, error))
            return false;
    }
}

static bool make_journal_head(Run *run, const Control *source, JournalHead *head, Error *error)
{
    uint8_t random[(RUN_ID_SIZE - 1) / 2];
    char text[LSN_TEXT_SIZE];
    Buffer label = {0};

    if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
        return error_set_errno(error, ERROR_FAILED, "could not generate random bytes");
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(head->run_id + 2 * i, 3, "%02x", random[i]);
    head->source = run->clusters.source->description;
    head->divergence = run->options->compare
                           ? "unknown (all blocks were compared)"
                           : arena_printf(run->arena, "%s on timeline %u",
                                          run_lsn_text(run, run->diverged.lsn, text),
                                          run->report->divergence_timeline);
    memcpy(head->old_control, run->clusters.target.control.bytes, sizeof(head->old_control));
    control_make_poison(&run->clusters.target.control, run->diverged.target_end,
                        run->options->compare ? control_timeline(&run->clusters.target.control)
                                              : history_timeline_at(&run->clusters.target_history,
                                                                    run->diverged.target_end),
                        head->poison);
    control_make_rewound(source, run->staged.min_recovery_point, run->staged.min_recovery_timeline,
                         time(NULL), head->new_control);
    if (!backup_label_make(&run->clusters.shape, run->recovery.start.redo,
                           run->recovery.start.checkpoint, run->recovery.start.timeline, time(NULL),
                           &label, error))
        return false;
    head->backup_label = arena_strdup(run->arena, buffer_string(&label));
    head->group_access = run->clusters.target.group_access;
    buffer_free(&label);
    return true;
}

/* Stage all that the plan needs, and the source's WAL up to *end, behind everything fetched. */
static bool stage_all(Run *run, Control *source_last, Lsn *end, Error *error)
{
    /* Also of a late start, where recovery could start early: a second rewind may need it. */
    uint64_t next_segment = wal_segment_of(&run->clusters.shape, run->recovery.early.redo);

    if (!interlock_claim_pid_file(run->interlock, error) ||
        !stage_create(run->clusters.target.directory, &run->planned.plan, run->options->jobs,
                      &run->staged.stage, error))
        return false;
    /* WAL that is complete comes first, before the source removes it; the rest when no byte of data
     * is younger than its end. */
    if (!stage_wal(run, &next_segment, run_wal_end(run), false, error) ||
        !stage_fetch(run->staged.stage, run->clusters.source, &run->planned.plan, error) ||
        !run_read_source_again(run, source_last, error) ||
        (run->recovery.copies_are_replayed && run->clusters.source->is_server &&
         !(run->source_state.position.in_recovery ? wait_for_replay(run, source_last, error)
                                                  : wait_for_removals(run, source_last, error))))
        return false;
    *end = run_wal_end(run);
    return stage_wal(run, &next_segment, *end, true, error) &&
           stage_left_timelines(run, *end, error) && mark_new_histories(run, error);
}

static bool save_diverged_wal(Run *run, Error *error)
{
    const char *directory = run->options->save_diverged_wal;

    if (directory == NULL)
        return true;
    if (!saved_wal_write(directory, &run->clusters, &run->target_wal, &run->diverged, run->arena,
                         &run->report->saved_wal_command, error))
        return false;
    run->report->saved_wal = directory;
    return true;
}

bool phase_stage(Run *run, bool final, bool *obsolete, Error *error)
{
    static Hazard hazard; /* large */
    Control source_last;
    JournalHead head = {0};
    Lsn end;

    if (!stage_all(run, &source_last, &end, error) ||
        !prove_chain(run, &source_last, end, &hazard, error))
        return false;
    *obsolete = hazard.found && !(hazard.harmless && run->recovery.copies_are_replayed);
    if (*obsolete && !final)
        return true;
    if (*obsolete)
    {
        *error = hazard.error;
        return error_hint(error, "The source did so while pg_rewind was running: run it again.");
    }
    if (run->source_state.position.in_recovery)
        run->staged.min_recovery_point = end;
    /* What was left out of the fetch must be restored before the target counts as consistent. */
    if (run->staged.min_recovery_point < run->recovery.rebuilt_end)
        return error_set(error, ERROR_FAILED, /* contract */
                         "source system was modified while pg_rewind was running");
    run->staged.min_recovery_timeline =
        history_timeline_at(&run->clusters.source_history, run->staged.min_recovery_point - 1);
    run->report->min_recovery_point = run->staged.min_recovery_point;
    run->report->min_recovery_timeline = run->staged.min_recovery_timeline;
    run->report->source_end = end;
    /* Before the commit, which takes it from the target. */
    if (!save_diverged_wal(run, error))
        return false;
    log_progress_message("creating backup label and updating control file"); /* contract */
    if (run->options->write_recovery_conf &&
        !standby_files_stage(run->staged.stage, &run->planned.plan, run->clusters.target.directory,
                             run->clusters.source, run->clusters.shape.version,
                             run->options->source_server, error))
        return false;
    return make_journal_head(run, &source_last, &head, error) &&
           stage_finish(run->staged.stage, &run->planned.plan, &head, error);
}
