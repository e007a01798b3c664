#include "report/facts.h"

#include "base/clock.h"

#include <string.h>

#define SEGMENT_NAME_LENGTH 24
#define ARCHIVED_NAME_SIZE 64

/* Status 1. A wrong command line ends a run before it has looked at the target. */
static const char *failed_text(const Report *report)
{
    if (report->error_count > 0 && report->errors[0]->kind == ERROR_USAGE)
        return "failed; the command line is wrong, and the target was not looked at";
    if (report->run->session.resumed)
        return "failed, after an interrupted rewind was finished";
    return "failed; the target is unchanged";
}

ReportResult report_result(const Report *report)
{
    const Run *run = report->run;
    const bool dry_run = report->options->dry_run;
    const bool resumed = run->session.resumed || run->session.pending;

    if (report->exit_status == 2)
        return (ReportResult){"unfinished", "begun but not finished: run the same command again"};
    if (report->exit_status == 3)
        return (ReportResult){"impossible",
                              "impossible for this target and source; nothing was changed"};
    if (report->exit_status != 0)
        return (ReportResult){"failed", failed_text(report)};
    if (resumed && dry_run)
        return (ReportResult){"would_finish", "dry run: an interrupted rewind would be finished"};
    if (resumed)
        return (ReportResult){"finished", "finished a rewind that had been interrupted"};
    if (!run->divergence.needed)
        return (ReportResult){"not_required", "no rewind required"};
    if (dry_run)
        return (ReportResult){"would_rewind", "dry run: the target would be rewound"};
    return (ReportResult){"rewound", "the target was rewound"};
}

void report_times(const Report *report, ReportTime times[PHASE_COUNT])
{
    static const char *const names[PHASE_COUNT] = {
        [PHASE_STOP] = "stop",   [PHASE_IDENTIFY] = "identify", [PHASE_SCAN] = "scan",
        [PHASE_PLAN] = "plan",   [PHASE_STAGE] = "stage",       [PHASE_APPLY] = "apply",
        [PHASE_START] = "start", [PHASE_FOLLOW] = "follow"};
    double other = report->run_seconds;

    for (int phase = PHASE_NONE + 1; phase < PHASE_COUNT; phase++)
    {
        *times++ = (ReportTime){names[phase], report->run->seconds[phase]};
        other -= report->run->seconds[phase];
    }
    *times = (ReportTime){"other", other > 0 ? other : 0};
}

const Version *report_version(const Report *report)
{
    return report->run->session.clusters.target.control.version;
}

const char *report_lsn(const Report *report, Lsn lsn)
{
    const Version *version = report_version(report);
    Arena *arena = report->run->session.arena;

    return version != NULL ? arena_strdup(arena, LSN_TEXT(version, lsn))
                           : arena_printf(arena, "%X/%X", LSN_ARGS(lsn));
}

/* ---- Histories ---- */

bool report_compares(const Report *report)
{
    const Options *options = report->run->session.options;

    return (options != NULL ? options : report->options)->compare;
}

bool report_has_diverged(const Report *report)
{
    return report->run->divergence.printed != LSN_INVALID;
}

const ScanCheckpoint *report_common_checkpoint(const Report *report)
{
    const Divergence *divergence = &report->run->divergence;
    const ScanCheckpoint *common = &divergence->common_checkpoint;

    return report_has_diverged(report) && divergence->needed && !report_compares(report) &&
                   common->lsn != LSN_INVALID
               ? common
               : NULL;
}

Lsn report_common_redo(const Report *report)
{
    return start_early(report_common_checkpoint(report), &report->run->source_state.control).redo;
}

Lsn report_target_end(const Report *report)
{
    return report_compares(report) ? LSN_INVALID : report->run->divergence.target_end;
}

/* ---- Bytes ---- */

uint64_t report_planned_wal_bytes(const Report *report)
{
    const Run *run = report->run;
    const WalShape *shape = &run->session.clusters.shape;
    const Lsn end = source_state_wal_end(&run->planned.source, run->divergence.lsn);

    /* A segment is staged from its first byte on. */
    return end - wal_segment_start(shape, wal_segment_of(shape, run->start.wal_from)) +
           run->reread_wal_bytes;
}

uint64_t report_bytes_saved(const Report *report)
{
    const Plan *plan = &report->run->planned.plan;
    const uint64_t moved = report->options->dry_run
                               ? plan->fetch_bytes + report_planned_wal_bytes(report)
                               : report->run->fetched.fetched_bytes;

    return plan->source_bytes > moved ? plan->source_bytes - moved : 0;
}

/* ---- Replay ---- */

bool report_replay(const Report *report, ReportReplay *replay)
{
    const Run *run = report->run;
    const WalShape *shape = &run->session.clusters.shape;
    const Lsn from = run->start.chosen.redo;
    const Lsn to = run->staged.min_recovery_timeline != 0
                       ? run->staged.min_recovery_point
                       : source_state_wal_end(&run->planned.source, run->divergence.lsn);

    if (!run->planned.known || from == LSN_INVALID || to < from)
        return false;
    *replay = (ReportReplay){from, to, 0};
    if (to > from)
        replay->segments = wal_segment_before(shape, to) - wal_segment_of(shape, from) + 1;
    return true;
}

/* ---- Prepared transactions ---- */

static bool has_prepared(const ReportPreparedList *list, uint32_t xid)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].xid == xid)
            return true;
    return false;
}

/* Add a transaction that the WAL does not finish, unless it is in the list. */
static void add_prepared(ReportPreparedList *list, const ScanPrepared *prepared, size_t count,
                         uint32_t xid, const char *gid)
{
    for (size_t i = 0; i < count; i++)
        if (prepared[i].finished && prepared[i].xid == xid)
            return;
    if (!has_prepared(list, xid))
        list->entries[list->count++] = (ScanPrepared){.xid = xid, .gid = gid};
}

/* Those that the WAL of one side prepares and does not finish, and whose files it has. */
static ReportPreparedList list_prepared(const Report *report, bool of_source,
                                        const ScanPrepared *prepared, size_t prepared_count)
{
    const Plan *plan = &report->run->planned.plan;
    size_t files = 0;
    ReportPreparedList list = {0};

    for (size_t i = 0; i < plan->count; i++)
        files += plan->entries[i].twophase;
    list.entries = arena_allocate(report->run->session.arena,
                                  (files + prepared_count + 1) * sizeof(*list.entries));
    for (size_t i = 0; i < prepared_count; i++)
        add_prepared(&list, prepared, prepared_count, prepared[i].xid, prepared[i].gid);
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];

        if (entry->twophase && (of_source ? entry->action != ACTION_REMOVE : entry->on_target))
            add_prepared(&list, prepared, prepared_count, (uint32_t) twophase_xid(entry->path),
                         NULL);
    }
    return list;
}

/* One prepared after the divergence: the source may have another transaction of this number. */
static bool is_lost_history(const ScanResult *scanned, Lsn divergence, uint32_t xid)
{
    for (size_t i = 0; i < scanned->prepared_count; i++)
        if (scanned->prepared[i].xid == xid && scanned->prepared[i].lsn >= divergence)
            return true;
    return false;
}

bool report_prepared(const Report *report, ReportPreparedList *stay, ReportPreparedList *go)
{
    const Run *run = report->run;
    const ScanResult *target = &run->changes.scanned;
    size_t left = 0;

    if (!run->planned.known || !run->changes.known)
        return false;
    *stay = list_prepared(report, true, run->start.prepared, run->start.prepared_count);
    *go = list_prepared(report, false, target->prepared, target->prepared_count);
    for (size_t i = 0; i < go->count; i++)
        if (is_lost_history(target, run->divergence.lsn, go->entries[i].xid) ||
            !has_prepared(stay, go->entries[i].xid))
            go->entries[left++] = go->entries[i];
    go->count = left;
    return true;
}

/* ---- Archives ---- */

/* True if path marks a file as archived that holds lost history. name: that file. */
static bool is_archived_lost(const PlanInput *input, const char *path,
                             char name[ARCHIVED_NAME_SIZE])
{
    const char *below = relpath_below(path, input->version->wal_directory);
    const char *status = below != NULL ? relpath_below(below, "archive_status") : NULL;
    const char *end = status != NULL ? strrchr(status, '.') : NULL;
    char segment_name[SEGMENT_NAME_LENGTH + 1];
    Timeline timeline;
    uint64_t segment;

    if (end == NULL || strcmp(end, ".done") != 0 || end - status >= ARCHIVED_NAME_SIZE)
        return false;
    snprintf(name, ARCHIVED_NAME_SIZE, "%.*s", (int) (end - status), status);
    snprintf(segment_name, sizeof(segment_name), "%.*s", SEGMENT_NAME_LENGTH, name);
    if (wal_segment_name_parse(&input->shape, segment_name, &timeline, &segment))
        return !plan_segment_is_common(input, timeline, segment);
    return history_file_name_parse(name, &timeline) &&
           !history_has(input->source_history, timeline);
}

const char *const *report_archived(const Report *report, size_t *count)
{
    const Run *run = report->run;
    const PlanInput *input = &run->planned.input;
    const Listing *files = input->target;
    const char **names;
    char name[ARCHIVED_NAME_SIZE];

    *count = 0;
    if (!run->planned.known || run->divergence.lsn == LSN_INVALID) /* --compare does not know it */
        return NULL;
    names = arena_allocate(run->session.arena, (files->count + 1) * sizeof(*names));
    for (size_t i = 0; i < files->count; i++)
        if (is_archived_lost(input, files->files[i].path, name))
            names[(*count)++] = arena_strdup(run->session.arena, name);
    return names;
}
