#include "rewind/findings.h"

#include "base/clock.h"
#include "rewind/report_details.h"

#include <string.h>

double findings_count_seconds(Findings *findings, ReportPhase phase, double since)
{
    const double now = clock_seconds();

    findings->seconds[phase] += now - since;
    return now;
}

void findings_add_fetched(Findings *findings, const Stage *stage)
{
    StageStatistics *sum = &findings->fetched;
    const StageStatistics *more = stage_statistics(stage);

    for (int kind = 0; kind < KIND_COUNT; kind++)
        sum->fetched_bytes_by_kind[kind] += more->fetched_bytes_by_kind[kind];
    sum->fetched_bytes += more->fetched_bytes;
    sum->compared_bytes += more->compared_bytes;
}

bool findings_find_next_start(const Options *options, Findings *findings, Arena *arena,
                              Error *error)
{
    const Planned *planned = &findings->planned;
    const NextStartInput input = {.target = &findings->identified.clusters.target,
                                  .source = findings->identified.clusters.source,
                                  .control = planned->known
                                                 ? &findings->identified.source.control
                                                 : &findings->identified.clusters.target.control,
                                  .plan = planned->known ? &planned->plan : NULL,
                                  .source_files = &planned->source_files,
                                  .target_files = &planned->target_files,
                                  .config_file = findings->identified.clusters.target.config_file,
                                  .standby_settings = findings->standby_settings,
                                  .write_recovery_conf = options->write_recovery_conf,
                                  .slots = findings->slots,
                                  .slots_dropped = options->drop_slots};
    NextStart *next = arena_allocate(arena, sizeof(*next));

    if (!next_start_find(&input, arena, next, error))
        return false;
    findings->next_start = next;
    return true;
}

static void report_clusters(const Findings *findings, Arena *arena, Report *report)
{
    const Identified *identified = &findings->identified;
    const Clusters *clusters = &identified->clusters;

    report->target = clusters->target.directory;
    report->version = clusters->target.control.version;
    if (clusters->source != NULL)
        report->source = arena_strdup(arena, clusters->source->description);
    if (clusters->source_history.count > 0)
    {
        report->source_history = &clusters->source_history;
        report->source_end = identified->source.position.end;
    }
    if (clusters->target_history.count > 0)
        report->target_history = &clusters->target_history;
}

static void report_divergence(const Options *options, const Findings *findings, Report *report)
{
    const Divergence *divergence = &findings->divergence;
    const ScanCheckpoint *common = &divergence->common_checkpoint;

    report->rewind_needed = findings->opened.pending || divergence->needed;
    if (!options->compare)
        report->target_end = divergence->target_end;
    if (divergence->printed == LSN_INVALID)
        return;
    report->diverged = true;
    report->divergence = divergence->printed;
    report->divergence_timeline = divergence->printed_timeline;
    if (divergence->needed && !options->compare)
    {
        report->checkpoint = common->lsn;
        report->checkpoint_timeline = common->checkpoint.timeline;
        report->redo = start_early(common, &findings->identified.source.control).redo;
    }
}

static void report_changes(const Options *options, const Findings *findings, Report *report)
{
    const ScanResult *scanned = &findings->changes.scanned;

    report->lost = findings->lost.lost;
    report->transactions = options->report_transactions;
    report->lost_gids = findings->lost.gids;
    if (!findings->changes.known)
        return;
    report->scanned = true;
    report->lost_commits = scanned->commit_count;
    report->first_lost_commit = scanned->first_commit_time;
    report->last_lost_commit = scanned->last_commit_time;
    report->target_wal_bytes = scanned->wal_bytes;
    report->lost_prepared = findings->changes.lost_prepared;
}

/* The plan ends before the report does. */
static void report_removed(const Plan *plan, Arena *arena, Report *report)
{
    PlanRemoved *removed = arena_allocate(arena, (plan->removed_count + 1) * sizeof(*removed));

    for (size_t i = 0; i < plan->removed_count; i++)
    {
        removed[i] = plan->removed[i];
        removed[i].path = arena_strdup(arena, removed[i].path);
    }
    report->removed = removed;
    report->removed_count = plan->removed_count;
}

static void report_plan(const Findings *findings, Arena *arena, Report *report)
{
    const WalShape *shape = &findings->identified.clusters.shape;
    const Planned *planned = &findings->planned;
    const Plan *plan = &planned->plan;
    const Lsn redo = findings->start.wal_from;

    if (!planned->known)
        return;
    report->start_known = true;
    report->start = findings->start.choice;
    report->start_checkpoint = findings->start.chosen.checkpoint;
    report->start_redo = findings->start.chosen.redo;
    report->planned = true;
    report->planned_bytes = plan->fetch_bytes;
    report->rebuilt_bytes = plan->rebuilt_bytes;
    report->source_bytes = plan->source_bytes;
    /* A segment is staged from its first byte on. */
    report->planned_wal_bytes = source_state_wal_end(&planned->source, findings->divergence.lsn) -
                                wal_segment_start(shape, wal_segment_of(shape, redo)) +
                                source_wal_forgotten_bytes(findings->identified.source_wal);
    report_removed(plan, arena, report);
}

static void report_staged(const Options *options, const Findings *findings, Report *report)
{
    const Staged *staged = &findings->staged;
    const StageStatistics *fetched = &findings->fetched;

    memcpy(report->fetched_bytes_by_kind, fetched->fetched_bytes_by_kind,
           sizeof(report->fetched_bytes_by_kind));
    report->fetched_bytes = fetched->fetched_bytes;
    if (staged->stage != NULL) /* what was read once came as well */
    {
        const uint64_t bytes = source_wal_forgotten_bytes(findings->identified.source_wal);

        report->fetched_bytes_by_kind[KIND_WAL] += bytes;
        report->fetched_bytes += bytes;
    }
    report->equal_bytes = fetched->compared_bytes;
    report->compared_bytes = findings->compared_bytes;
    if (staged->min_recovery_timeline != 0)
    {
        report->min_recovery_point = staged->min_recovery_point;
        report->min_recovery_timeline = staged->min_recovery_timeline;
        report->source_end = staged->source_end;
    }
    if (findings->saved)
    {
        report->saved_wal = options->save_diverged_wal;
        report->saved_wal_command = findings->saved_wal_command;
    }
}

void report_make(const Options *options, const Findings *findings, Arena *arena, Report *report)
{
    *report = (Report){.arena = arena, .dry_run = options->dry_run, .compare = options->compare};
    report->will_be_started = options->rejoin;
    report->resumed = findings->opened.resumed || findings->opened.pending;
    report_clusters(findings, arena, report);
    report_divergence(options, findings, report);
    report_changes(options, findings, report);
    report_plan(findings, arena, report);
    report_staged(options, findings, report);
    report_details(findings, arena, report);
    memcpy(report->seconds, findings->seconds, sizeof(report->seconds));
    report->next_start = findings->next_start;
}

void report_what_comes_next(const Options *options, Arena *arena, Findings *findings,
                            Report *report)
{
    const WalShape *shape = &findings->identified.clusters.shape;

    if (findings->opened.pending) /* nothing else was looked at */
        findings->next_start = arena_allocate(arena, sizeof(*findings->next_start));
    else if (findings->next_start == NULL &&
             (findings->identified.clusters.target.control.version == NULL ||
              !findings_find_next_start(options, findings, arena, NULL)))
        return;
    report->next_start = findings->next_start;
    report->wal_needed_from =
        report->planned ? wal_segment_start(shape, wal_segment_of(shape, report->source_end))
                        : findings->divergence.target_end;
    report_next_steps(report);
    report_next_log(report);
}
