#include "rewind/planning.h"

#include "base/log.h"
#include "base/workers.h"
#include "plan/classify.h"
#include "plan/tablespaces.h"
#include "stage/compared_blocks.h"
#include "stage/dead_entries.h"
#include "target/configuration.h"
#include "standby/standby_files.h"

typedef struct Sides
{
    const Clusters *clusters;
    Listing *source_files;
    Listing *target_files;
} Sides;

/* A WorkerFunction: the source's files, then the target's. */
static bool list_side(void *context, int worker, size_t item, Error *error)
{
    const Sides *sides = context;

    (void) worker;
    return item == 0 ? listing_of_source(sides->clusters->source, sides->clusters->shape.version,
                                         sides->source_files, error) &&
                           listing_check_complete(sides->source_files,
                                                  sides->clusters->shape.version, error)
                     : listing_of_target(&sides->clusters->target, sides->target_files, error);
}

/* Both at once: what a server lists is waited for. */
static bool list_both_sides(const Clusters *clusters, int jobs, Planned *planned, Error *error)
{
    Sides sides = {clusters, &planned->source_files, &planned->target_files};
    bool listed;

    log_progress_message("reading source file list"); /* contract */
    log_progress_message("reading target file list"); /* contract */
    progress_begin(PROGRESS_LIST, 0);
    listed = workers_run(jobs, 2, list_side, &sides, error);
    progress_end(listed);
    return listed;
}

static void map_tablespaces(const TablespaceMappings *mappings, bool first, Listing *source_files)
{
    for (size_t i = 0; first && i < mappings->count; i++)
    {
        if (!tablespace_is_listed(source_files, mappings->mappings[i].from))
            log_warning("the source has no tablespace at \"%s\": this mapping has no effect",
                        mappings->mappings[i].from);
    }
    tablespaces_map(mappings, source_files);
}

/* What the options say; the files that primary_conninfo names; with --keep-config what the target's
 * configuration includes and the files that it names, are kept as well. */
static void find_kept_files(const Options *options, const Version *version,
                            const Configuration *configuration,
                            const StandbySettings *standby_settings, Keep *keep)
{
    const char **names;
    size_t count;

    *keep = (Keep){0};
    if (options->keep == NULL)
        return;
    keep_copy(options->keep, keep);
    for (size_t i = 0; standby_settings != NULL && i < standby_settings->file_count; i++)
        keep_add_file(keep, version, standby_settings->files[i]);
    if (!keep->configuration)
        return;
    names = configuration_named_files(configuration, &count);
    for (size_t i = 0; i < count; i++)
        keep_add_file(keep, version, names[i]);
}

/* NULL: the server logs to the default, outside, or among its own files. */
static const char *find_kept_log_directory(const Configuration *configuration,
                                           const Version *version)
{
    const char *path = configuration_log_directory(configuration);

    return path == NULL || path_is_servers(version, path) ? NULL : path;
}

/* List, and decide by the listings and the blocks that are known so far. */
static bool plan_files(const Clusters *clusters, const StandbySettings *standby_settings,
                       const Options *options, Lsn divergence, Lsn wal_from, Lsn whole_from,
                       const BlockMap *rebuilt, bool every_relation, bool first, Arena *arena,
                       Planned *planned, Error *error)
{
    const Control *control = &clusters->target.control;
    const Version *version = control->version;
    const bool standby = options->write_recovery_conf;
    const Configuration configuration = {clusters->target.directory, clusters->target.config_file,
                                         arena};
    bool result;

    if (!list_both_sides(clusters, options->jobs, planned, error))
        return false;
    map_tablespaces(options->tablespaces, first, &planned->source_files);
    find_kept_files(options, version, &configuration, standby_settings, &planned->keep);
    planned->input = (PlanInput){
        .version = version,
        .shape = clusters->shape,
        .block_size = control->block_size,
        .relation_segment_blocks = control->relation_segment_blocks,
        .source = &planned->source_files,
        .target = &planned->target_files,
        .tablespaces = options->tablespaces,
        .keep = &planned->keep,
        .written = standby ? standby_written_files(version) : NULL,
        .unwanted = standby ? standby_unwanted_file(version) : NULL,
        .log_directory = find_kept_log_directory(&configuration, clusters->shape.version),
        .every_relation = every_relation,
        .source_hides_odd = clusters->source->is_server,
        .scan = &planned->changes,
        .rebuilt = rebuilt,
        .source_history = &clusters->source_history,
        .divergence = divergence,
        .wal_from = wal_from,
        .whole_from = whole_from};
    result = plan_make(&planned->input, &planned->plan, error);
    plan_print_remarks(&planned->plan, first);
    return result;
}

/* The blocks that differ, found by comparing them. */
static bool compare_blocks(const Clusters *clusters, const Divergence *divergence,
                           const RecoveryStart *start, SourceWal *source_wal,
                           const Options *options, Planned *planned, Error *error)
{
    ComparedBlocks compared;
    const bool result = compared_blocks_find(clusters, divergence, start, &planned->plan,
                                             source_wal, options, &compared, error);

    planned->named = compared.blocks;
    planned->source = compared.source;
    planned->compared_bytes = compared.bytes;
    return result;
}

/* Blocks that no WAL names: the files of the plan are read for them. */
static bool name_more_blocks(const Clusters *clusters, const Divergence *divergence,
                             const RecoveryStart *start, SourceWal *source_wal,
                             const Options *options, Planned *planned, Error *error)
{
    if (start->choice.compares)
        return compare_blocks(clusters, divergence, start, source_wal, options, planned, error);
    planned->named = blockmap_copy(start->changes.blocks);
    return dead_entries_find(&clusters->target, &planned->plan, options->jobs, planned->named,
                             error);
}

bool planning_make(const Clusters *clusters, const Divergence *divergence,
                   const TargetChanges *changes, const RecoveryStart *start,
                   const StandbySettings *standby_settings, SourceWal *source_wal,
                   const Options *options, const Problems *problems, bool first, Arena *arena,
                   Planned *planned, Error *error)
{
    const Plan *plan = &planned->plan;
    const bool reads_relations = start->choice.compares || changes->dead_entries_unlogged;

    *planned = (Planned){.source = start->source, .changes = start->changes};
    if (!plan_files(clusters, standby_settings, options, divergence->lsn, start->wal_from,
                    start->whole_from, start->rebuilt, reads_relations, first, arena, planned,
                    error))
        return false;
    /* With problems the run ends before anything is staged. */
    if (problems->count == 0 && reads_relations)
    {
        if (!name_more_blocks(clusters, divergence, start, source_wal, options, planned, error))
            return false;
        /* With these the plan is another. */
        planned->changes.blocks = planned->named;
        planned->input.every_relation = false;
        plan_free(&planned->plan);
        if (!plan_make(&planned->input, &planned->plan, error))
            return false;
    }
    planned->known = true;
    plan_print(plan);
    log_progress_message(
        "need to copy %lu MB (total source directory size is %lu MB)", /* contract */
        (unsigned long) (plan->fetch_bytes / (1024 * 1024)),
        (unsigned long) (plan->source_bytes / (1024 * 1024)));
    return true;
}

bool planning_make_least(const Clusters *clusters, const SourceState *source,
                         const Options *options, Arena *arena, Planned *planned, Error *error)
{
    const Lsn redo = clusters->target.control.checkpoint.redo;

    planned_free(planned); /* of a listing that failed */
    *planned = (Planned){.source = *source, .named = blockmap_create()};
    planned->changes.blocks = planned->named;
    return plan_files(clusters, NULL, options, redo, redo, redo, NULL, false, true, arena, planned,
                      error);
}

void planned_free(Planned *planned)
{
    plan_free(&planned->plan);
    listing_free(&planned->source_files);
    listing_free(&planned->target_files);
    keep_free(&planned->keep);
    blockmap_destroy(planned->named);
    *planned = (Planned){0};
}
