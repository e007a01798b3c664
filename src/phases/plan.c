#include "phases/run.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"
#include "phases/saved_wal.h"
#include "standby/configuration.h"
#include "standby/standby_files.h"

#include <stdio.h>

/* Is the segment a file that staging only has to move? */
static bool is_brought(Run *run, uint64_t segment)
{
    char path[PATH_SIZE];
    bool found;
    Error ignored;

    return run_find_source_segment(run, segment, path, &found, &ignored) && found &&
           run_may_take(run, path);
}

/* As much as staging will bring, if the source writes no more. */
static WalSpace wal_to_stage(Run *run)
{
    const Lsn end = run_wal_end(run);
    const uint64_t last = wal_segment_before(&run->clusters.shape, end);
    const uint64_t brought = wal_segment_of(&run->clusters.shape, run->source_wal_brought_end);
    WalSpace wal = {.is_brought = !run->options->dry_run};

    for (uint64_t segment = wal_segment_of(&run->clusters.shape, run->recovery.early.redo);
         segment <= last; segment++)
    {
        if (run_keeps_segment(run, segment))
            continue;
        if (segment < brought && is_brought(run, segment))
            wal.brought_bytes += run->clusters.shape.segment_size;
        else
            wal.written_bytes += run->clusters.shape.segment_size;
    }
    for (size_t i = 0; i + 1 < run->clusters.source_history.count; i++)
    {
        if (run_stages_left_segment(run, &run->clusters.source_history.entries[i], end))
            wal.written_bytes += run->clusters.shape.segment_size;
    }
    return wal;
}

/* A WorkerFunction: the source's files, then the target's. */
static bool list_side(void *context, int worker, size_t item, Error *error)
{
    Run *run = context;

    (void) worker;
    return item == 0 ? listing_of_source(run->clusters.source, &run->planned.source_files, error) &&
                           listing_check_complete(&run->planned.source_files, error)
                     : listing_of_target(&run->clusters.target, &run->planned.target_files, error);
}

/* Both at once: what a server lists is waited for. */
static bool list_both_sides(Run *run, Error *error)
{
    log_progress_message("reading source file list"); /* contract */
    log_progress_message("reading target file list"); /* contract */
    return workers_run(run->options->jobs, 2, list_side, run, error);
}

/* The plan ends before the report does. */
static void report_removed(Run *run)
{
    const Plan *plan = &run->planned.plan;
    PlanRemoved *removed = arena_allocate(run->arena, (plan->removed_count + 1) * sizeof(*removed));

    for (size_t i = 0; i < plan->removed_count; i++)
    {
        removed[i] = plan->removed[i];
        removed[i].path = arena_strdup(run->arena, removed[i].path);
    }
    run->report->removed = removed;
    run->report->removed_count = plan->removed_count;
}

/* With --keep-config: what the target's configuration includes, and the files that it names, are
 * kept as well. */
static void keep_named_files(Run *run)
{
    const Configuration configuration = {run->clusters.target.directory, run->options->config_file,
                                         run->arena};
    Keep *keep = run->options->keep;
    const char **files;
    size_t count;

    if (keep == NULL || !keep->configuration || run->kept_named_files)
        return;
    run->kept_named_files = true;
    files = configuration_named_files(&configuration, &count);
    for (size_t i = 0; i < count; i++)
        keep_add_file(keep, files[i]);
}

static bool make_plan(Run *run, Error *error)
{
    if (!list_both_sides(run, error))
        return false;
    tablespaces_map(&run->options->tablespaces, &run->planned.source_files);
    keep_named_files(run);
    if (!plan_make(&run->planned.input, &run->planned.plan, error))
        return false;
    if (run->options->compare ? !run_compare(run, error) : !run_find_dead_entries(run, error))
        return false;
    if (run->options->write_recovery_conf)
        recovery_claim_files(run->clusters.shape.version, &run->planned.plan);
    plan_print(&run->planned.plan);
    report_removed(run);
    run->report->planned = true;
    run->report->planned_bytes = run->planned.plan.fetch_bytes;
    run->report->rebuilt_bytes = run->planned.plan.rebuilt_bytes;
    run->report->source_bytes = run->planned.plan.source_bytes;
    log_progress_message(
        "need to copy %lu MB (total source directory size is %lu MB)", /* contract */
        (unsigned long) (run->planned.plan.fetch_bytes / (1024 * 1024)),
        (unsigned long) (run->planned.plan.source_bytes / (1024 * 1024)));
    return true;
}

bool phase_plan(Run *run, Error *error)
{
    WalSpace wal;

    if (!make_plan(run, error))
        return false;
    wal = wal_to_stage(run);
    /* A segment is staged from its first byte on. */
    run->report->planned_wal_bytes =
        run_wal_end(run) -
        wal_segment_start(&run->clusters.shape,
                          wal_segment_of(&run->clusters.shape, run->recovery.early.redo));
    return saved_wal_check(run->options->save_diverged_wal, &run->clusters, &run->target_wal,
                           &run->diverged, error) &&
           stage_check(run->clusters.target.directory, &run->planned.plan, &wal, error);
}

void run_survey(Run *run)
{
    const WalSpace wal = {0};
    BlockMap *none;
    Error problem;

    /* Where a plan was made, or tried to be, its files were looked at. */
    if (!run->identified || run->report->planned || run->planned.source_files.strings != NULL ||
        run->clusters.source_history.count == 0)
        return;
    /* What a rewind would do at least: no block of the target is known to be wrong. */
    none = blockmap_create();
    run->changes.scanned = (ScanResult){.blocks = none};
    run->planned.input = run_plan_input(run, run->clusters.target.control.checkpoint.redo);
    if (!list_both_sides(run, &problem))
        run_add_problem(run, &problem);
    else
    {
        tablespaces_map(&run->options->tablespaces, &run->planned.source_files);
        keep_named_files(run);
        if (!plan_make(&run->planned.input, &run->planned.plan, &problem) ||
            !stage_check(run->clusters.target.directory, &run->planned.plan, &wal, &problem))
            run_add_problem(run, &problem);
    }
    blockmap_destroy(none);
}
