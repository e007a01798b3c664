#include "rewind/run.h"

#include "base/workers.h"
#include "stage/unnamed_blocks.h"
#include "target/configuration.h"
#include "standby/standby_files.h"

/* A tablespace that the source drops while it is listed seems to be empty: the second list does not
 * have it. */
static bool list_source(const Clusters *clusters, Listing *files, Error *error)
{
    Source *source = clusters->source;
    const Version *version = clusters->shape.version;

    if (!listing_of_source(source, version, files, error))
        return false;
    if (source->is_server && listing_missing_tablespace(files) != NULL)
    {
        listing_free(files);
        if (!listing_of_source(source, version, files, error))
            return false;
    }
    return listing_check_complete(files, version, error);
}

/* A WorkerFunction: the source's files, then the target's. */
static bool list_side(void *context, size_t item, Error *error)
{
    Run *run = context;
    const Clusters *clusters = &run->look.clusters;

    if (item == 1)
        return listing_of_target(&clusters->target, &run->planned.target_files, error);
    return list_source(clusters, &run->planned.source_files, error);
}

/* Both at once: what a server lists is waited for. */
static bool list_both_sides(Run *run, Error *error)
{
    log_progress_message("reading source file list"); /* contract */
    log_progress_message("reading target file list"); /* contract */
    progress_begin(PROGRESS_LIST, 0);
    return progress_end(workers_run(run->look.options->jobs, 2, list_side, run, error));
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

/* Kept are the files that the options name, those that primary_conninfo names, and with
 * --keep-config those that the target's configuration includes or names. */
static void find_kept_files(const Run *run, const Configuration *configuration, Keep *keep)
{
    const Version *version = run->look.clusters.shape.version;
    const StandbySettings *settings = run->standby_settings;
    const char **names;
    size_t count;

    keep_copy(run->look.options->keep, keep);
    for (size_t i = 0; settings != NULL && i < settings->file_count; i++)
        keep_add_file(keep, version, settings->files[i]);
    if (!keep->configuration)
        return;
    names = configuration_named_files(configuration, &count);
    for (size_t i = 0; i < count; i++)
        keep_add_file(keep, version, names[i]);
}

/* List, and decide by the listings and by planned.input, where positions and blocks are set. */
static bool plan_files(Run *run, bool first, Error *error)
{
    const Options *options = run->look.options;
    const Clusters *clusters = &run->look.clusters;
    const Control *control = &clusters->target.control;
    const Version *version = control->version;
    const bool standby = options->write_recovery_conf;
    const Configuration configuration = target_configuration(&clusters->target, run->look.arena);
    const char *logs = configuration_log_directory(&configuration);
    Planned *planned = &run->planned;
    PlanInput *input = &planned->input;
    bool result;

    if (!list_both_sides(run, error))
        return false;
    map_tablespaces(options->tablespaces, first, &planned->source_files);
    listing_add_new_places(&planned->source_files, clusters->target.directory,
                           &planned->target_files);
    find_kept_files(run, &configuration, &planned->keep);
    input->version = version;
    input->version_directory = control->version_directory;
    input->shape = clusters->shape;
    input->block_size = control->block_size;
    input->relation_segment_blocks = control->relation_segment_blocks;
    input->source = &planned->source_files;
    input->target = &planned->target_files;
    input->tablespaces = options->tablespaces;
    input->keep = &planned->keep;
    input->written = standby ? standby_written_files(version) : NULL;
    input->unwanted = standby ? standby_unwanted_file(version) : NULL;
    input->log_directory = logs != NULL && !path_is_servers(version, logs) ? logs : NULL;
    input->source_hides_odd = clusters->source->is_server;
    input->scan = &planned->changes;
    input->source_history = &clusters->source_history;
    result = plan_make(input, &planned->plan, error);
    plan_print_remarks(&planned->plan, first);
    return result;
}

/* Name blocks that no WAL names: the files of the plan are read for them. */
static bool name_more_blocks(Run *run, Error *error)
{
    const Look *look = &run->look;
    Planned *planned = &run->planned;
    ComparedBlocks compared;
    bool result;

    if (!run->start.choice.compares)
    {
        planned->named = blockmap_copy(run->start.changes.blocks);
        return dead_entries_find(&look->clusters.target, &planned->plan, look->options->jobs,
                                 planned->named, error);
    }
    result = compared_blocks_find(look->source_wal, &look->divergence, &run->start, &planned->plan,
                                  &compared, error);
    planned->named = compared.blocks;
    planned->source = compared.source;
    run->compared_bytes += compared.bytes;
    return result;
}

bool prepare_plan(Run *run, bool first, Error *error)
{
    const RecoveryStart *start = &run->start;
    Planned *planned = &run->planned;
    const Plan *plan = &planned->plan;
    const bool reads_relations = start->choice.compares || run->changes.dead_entries_unlogged;

    planned_free(planned); /* of an earlier attempt */
    *planned = (Planned){.source = start->source,
                         .changes = start->changes,
                         .input = {.divergence = run->look.divergence.lsn,
                                   .rests_on_histories = run->look.divergence.rests_on_histories,
                                   .wal_from = start->wal_from,
                                   .whole_from = start->whole_from,
                                   .next_oid = start->chosen.next_oid,
                                   .rebuilt = start->rebuilt,
                                   .made = start->made,
                                   .every_relation = reads_relations}};
    if (!plan_files(run, first, error))
        return false;
    if (run->look.problems.count == 0 && reads_relations)
    {
        if (!name_more_blocks(run, error))
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

bool prepare_least_plan(Run *run, Error *error)
{
    const CheckPoint *checkpoint = &run->look.clusters.target.control.checkpoint;
    const Lsn redo = checkpoint->redo;
    Planned *planned = &run->planned;

    planned_free(planned); /* of a listing that failed */
    *planned = (Planned){.source = run->look.source,
                         .named = blockmap_create(),
                         .input = {.divergence = redo,
                                   .wal_from = redo,
                                   .whole_from = redo,
                                   .next_oid = checkpoint->next_oid}};
    planned->changes.blocks = planned->named;
    return plan_files(run, true, error);
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
