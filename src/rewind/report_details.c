#include "rewind/report_details.h"

#include "plan/classify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_DIRECTORY "archive_status/" /* below pg_wal */
#define SEGMENT_NAME_LENGTH 24
#define DONE ".done"
#define ARCHIVED_NAME_SIZE 64

/* ---- The source ---- */

static const char *copy_or_null(Arena *arena, const char *text)
{
    return text != NULL && text[0] != '\0' ? arena_strdup(arena, text) : NULL;
}

static void report_connection(const Clusters *clusters, Arena *arena, Report *report)
{
    const Source *source = clusters->source;

    if (source == NULL || !source->is_server)
        return;
    report->connected = true;
    report->source_host = copy_or_null(arena, source->host);
    report->source_address = copy_or_null(arena, source->address);
    report->source_port = source->port != NULL ? (uint32_t) strtoul(source->port, NULL, 10) : 0;
}

/* ---- Replay ---- */

static void report_replay(const Findings *findings, Report *report)
{
    const WalShape *shape = &findings->identified.clusters.shape;
    const Lsn from = findings->start.chosen.redo;
    const Lsn to = report->min_recovery_point != LSN_INVALID
                       ? report->min_recovery_point
                       : source_state_wal_end(&findings->planned.source, findings->divergence.lsn);

    if (from == LSN_INVALID || to < from)
        return;
    report->replay_from = from;
    report->replay_to = to;
    report->replay_segments =
        to == from ? 0 : wal_segment_before(shape, to) - wal_segment_of(shape, from) + 1;
}

/* ---- Prepared transactions ---- */

static bool has_prepared(const ReportPrepared *list, size_t count, uint32_t xid)
{
    for (size_t i = 0; i < count; i++)
        if (list[i].xid == xid)
            return true;
    return false;
}

static void add_prepared(ReportPrepared *list, size_t *count, uint32_t xid, const char *gid)
{
    if (!has_prepared(list, *count, xid))
        list[(*count)++] = (ReportPrepared){xid, gid};
}

/* Of those in the list that were finished later nothing stays. */
static void drop_finished(ReportPrepared *list, size_t *count, const ScanPrepared *prepared)
{
    size_t left = 0;

    for (size_t i = 0; i < *count; i++)
        if (list[i].xid != prepared->xid)
            list[left++] = list[i];
    *count = left;
}

/* Those that the WAL of one side prepares and does not finish, and whose files it has. */
static ReportPrepared *list_prepared(const Plan *plan, bool of_source, const ScanPrepared *prepared,
                                     size_t prepared_count, Arena *arena, size_t *count)
{
    size_t files = 0;
    ReportPrepared *list;

    for (size_t i = 0; i < plan->count; i++)
        files += plan->entries[i].twophase;
    list = arena_allocate(arena, (files + prepared_count + 1) * sizeof(*list));
    *count = 0;
    for (size_t i = 0; i < prepared_count; i++)
        if (!prepared[i].finished)
            add_prepared(list, count, prepared[i].xid, prepared[i].gid);
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];

        if (entry->twophase && (of_source ? entry->action != ACTION_REMOVE : entry->on_target))
            add_prepared(list, count, (uint32_t) twophase_xid(entry->path), NULL);
    }
    for (size_t i = 0; i < prepared_count; i++)
        if (prepared[i].finished)
            drop_finished(list, count, &prepared[i]);
    return list;
}

/* Prepared after the divergence? Then the source may have another transaction of this number. */
static bool is_lost_history(const ScanResult *scanned, Lsn divergence, uint32_t xid)
{
    for (size_t i = 0; i < scanned->prepared_count; i++)
        if (scanned->prepared[i].xid == xid && scanned->prepared[i].lsn >= divergence)
            return true;
    return false;
}

/* What the source has stays, or comes back; what only the target has goes. */
static void report_prepared(const Findings *findings, Arena *arena, Report *report)
{
    const Plan *plan = &findings->planned.plan;
    const ScanResult *target = &findings->changes.scanned;
    size_t count;
    ReportPrepared *list;

    report->prepared_stay =
        list_prepared(plan, true, findings->start.prepared, findings->start.prepared_count, arena,
                      &report->prepared_stay_count);
    list = list_prepared(plan, false, target->prepared, target->prepared_count, arena, &count);
    for (size_t i = 0; i < count; i++)
        if (is_lost_history(target, findings->divergence.lsn, list[i].xid) ||
            !has_prepared(report->prepared_stay, report->prepared_stay_count, list[i].xid))
            list[report->prepared_go_count++] = list[i];
    report->prepared_go = list;
}

/* ---- Archives and backups ---- */

static bool history_has(const History *history, Timeline timeline)
{
    for (size_t i = 0; i < history->count; i++)
        if (history->entries[i].timeline == timeline)
            return true;
    return false;
}

/* Is path the mark of a file that is archived and holds lost history? name: that file. */
static bool is_archived_lost(const PlanInput *input, const char *path,
                             char name[ARCHIVED_NAME_SIZE])
{
    const size_t directory = strlen(STATUS_DIRECTORY), end = strlen(DONE);
    const char *below = relpath_below(path, input->version->wal_directory);
    const size_t length = below != NULL ? strlen(below) : 0;
    char segment_name[SEGMENT_NAME_LENGTH + 1];
    Timeline timeline;
    uint64_t segment;

    if (below == NULL || strncmp(below, STATUS_DIRECTORY, directory) != 0 ||
        length < directory + end || length >= directory + end + ARCHIVED_NAME_SIZE ||
        strcmp(below + length - end, DONE) != 0)
        return false;
    snprintf(name, ARCHIVED_NAME_SIZE, "%.*s", (int) (length - directory - end), below + directory);
    snprintf(segment_name, sizeof(segment_name), "%.*s", SEGMENT_NAME_LENGTH, name);
    if (wal_segment_name_parse(&input->shape, segment_name, &timeline, &segment))
        return !plan_segment_is_common(input, timeline, segment);
    return history_file_name_parse(name, &timeline) &&
           !history_has(input->source_history, timeline);
}

/* Archives have WAL of the lost history under these names. */
static void report_archived(const PlanInput *input, Arena *arena, Report *report)
{
    const Listing *files = input->target;
    const char **names;
    char name[ARCHIVED_NAME_SIZE];
    size_t count = 0;

    for (size_t i = 0; i < files->count; i++)
        count += is_archived_lost(input, files->files[i].path, name);
    names = arena_allocate(arena, (count + 1) * sizeof(*names));
    for (size_t i = 0; i < files->count && report->archived_count < count; i++)
        if (is_archived_lost(input, files->files[i].path, name))
            names[report->archived_count++] = arena_strdup(arena, name);
    report->archived = names;
}

static Timeline last_timeline(const History *history)
{
    return history->count > 0 ? history->entries[history->count - 1].timeline : 0;
}

/* What the server checks of a manifest is not enough: PrepareForIncrementalBackup in
 * backup/basebackup_incremental.c, and design/report.md. */
static void report_backups(const Findings *findings, Report *report)
{
    const Clusters *clusters = &findings->identified.clusters;
    const Planned *planned = &findings->planned;

    /* Incremental backups are made from summaries of WAL. */
    report->full_backup =
        plan_summarizes_wal(&planned->source_files) || plan_summarizes_wal(&planned->target_files);
    report->one_timeline =
        last_timeline(&clusters->source_history) != 0 &&
        last_timeline(&clusters->source_history) == last_timeline(&clusters->target_history);
}

void report_details(const Findings *findings, Arena *arena, Report *report)
{
    const Clusters *clusters = &findings->identified.clusters;

    if (clusters->target.control.version != NULL)
        report->system_identifier = clusters->target.control.system_identifier;
    report_connection(clusters, arena, report);
    if (!findings->planned.known)
        return;
    report_replay(findings, report);
    if (findings->changes.known)
        report_prepared(findings, arena, report);
    if (findings->divergence.lsn != LSN_INVALID) /* --compare does not know it */
        report_archived(&findings->planned.input, arena, report);
    report_backups(findings, report);
}
