#include "rewind/look.h"
#include "rewind/run.h"

#include "base/workers.h"
#include "stage/unnamed_blocks.h"
#include "target/configuration.h"
#include "standby/standby_files.h"

#include <stdlib.h>

/* The listings of a pair. */
typedef struct Sides
{
    const Clusters *clusters;
    Listing *source, *target;
} Sides;

/* A WorkerFunction: the source's files, then the target's. */
static bool list_side(void *context, size_t item, Error *error)
{
    const Sides *sides = context;
    Source *source = sides->clusters->source;
    const Version *version = sides->clusters->shape.version;
    const VersionDirectory *own = &sides->clusters->target.control.version_directory;

    if (item != 0)
        return listing_of_target(&sides->clusters->target, sides->target, error);
    if (!listing_of_source(source, version, sides->source, error))
        return false;
    /* A tablespace that the source drops while it is listed seems to be empty: the second list does
     * not have it. */
    if (source->is_server && listing_missing_tablespace(sides->source, own) != NULL)
    {
        listing_free(sides->source);
        if (!listing_of_source(source, version, sides->source, error))
            return false;
    }
    return listing_check_complete(sides->source, version, own, error) &&
           (source->is_server || listing_check_mounted(sides->source, version, error));
}

/*
 * A rewind would end at a file that the source may not read, when much has been fetched. So a byte
 * of each that is fetched is read before, unless the listing has read it. Those of relations are
 * left out: they are too many, and the source's server would fail for one that it may not read.
 */
static bool try_source_files(Session *session, const Planned *planned, Error *error)
{
    const Clusters *clusters = &session->clusters;
    const Plan *plan = &planned->plan;
    Source *source = clusters->source;
    const char **paths = memory_allocate_zeroed(plan->count + 1, sizeof(*paths));
    RefusedFiles *refused = memory_allocate_zeroed(1, sizeof(*refused));
    size_t count = 0;
    bool result;

    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];

        if (entry->action == ACTION_COPY && entry->type == FILE_REGULAR && !entry->wal &&
            entry->source_size > 0 && entry->kind != KIND_RELATION && entry->kind != KIND_FORK &&
            !listing_find(&planned->source_files, entry->path)->tried)
            paths[count++] = entry->path;
    }
    result = source->operations->try_files(source, paths, count, refused, error);
    for (size_t i = 0; result && i < refused->count; i++)
    {
        Error *problem = &refused->errors[i];
        AUTO_BUFFER Buffer option = {0};

        if (source->is_server)
            error_hint(problem, "The source's server must be able to read it.");
        if (!path_must_come_from_source(clusters->shape.version, refused->paths[i]))
        {
            plan_append_keep_option(&option, refused->paths[i]);
            error_hint(problem, "To leave the target without it, or with its own, use:%s",
                       buffer_string(&option));
        }
        problems_add_finding(&session->problems, "source_files", problem);
    }
    free(refused);
    free(paths);
    return result;
}

void prepare_input(const Session *session, const StandbySettings *settings, Keep *keep,
                   PlanInput *input)
{
    const Options *options = session->options;
    const Clusters *clusters = &session->clusters;
    const Control *control = &clusters->target.control;
    const Version *version = control->version;
    const bool standby = options->write_recovery_conf;
    const Configuration configuration = target_configuration(&clusters->target, session->arena);
    const char *logs = configuration_log_directory(&configuration);
    const char **names = NULL;
    size_t name_count = 0;

    /* Kept are the files that the options name, those that primary_conninfo names, and with
     * --keep-config those that the target's configuration includes or names. */
    keep_copy(options->keep, keep);
    for (size_t i = 0; settings != NULL && i < settings->file_count; i++)
        keep_add_file(keep, version, settings->files[i]);
    if (keep->configuration)
        names = configuration_named_files(&configuration, &name_count);
    for (size_t i = 0; i < name_count; i++)
        keep_add_file(keep, version, names[i]);
    input->version = version;
    input->version_directory = control->version_directory;
    input->shape = clusters->shape;
    input->block_size = control->block_size;
    input->relation_segment_blocks = control->relation_segment_blocks;
    input->tablespaces = options->tablespaces;
    input->keep = keep;
    input->own_files = standby ? standby_written_files(version) : NULL;
    input->unwanted = standby ? standby_unwanted_file(version) : NULL;
    input->log_directory = logs != NULL && !path_server_reads(version, logs) ? logs : NULL;
}

/* List, and decide by the listings and by planned->input, where positions and blocks are set.
 * settings: of -R, or NULL. */
static bool plan_files(Session *session, const StandbySettings *settings, bool first,
                       Planned *planned, Error *error)
{
    const Options *options = session->options;
    const TablespaceMappings *mappings = options->tablespaces;
    const Clusters *clusters = &session->clusters;
    PlanInput *input = &planned->input;
    Sides sides = {clusters, &planned->source_files, &planned->target_files};
    bool result;

    log_progress_message("reading source file list"); /* contract */
    log_progress_message("reading target file list"); /* contract */
    progress_begin(PROGRESS_LIST, 0);
    /* Both at once: what a server lists is waited for. */
    if (!progress_end(workers_run(options->jobs, 2, list_side, &sides, error)))
        return false;
    for (size_t i = 0; first && i < mappings->count; i++)
        if (!tablespace_is_listed(&planned->source_files, mappings->mappings[i].from))
            log_warning("the source has no tablespace at \"%s\": this mapping has no effect",
                        mappings->mappings[i].from);
    tablespaces_map(mappings, &planned->source_files);
    listing_add_new_places(&planned->source_files, &clusters->target, &planned->target_files);
    prepare_input(session, settings, &planned->keep, input);
    input->source = &planned->source_files;
    input->target = &planned->target_files;
    input->source_hides_odd = clusters->source->is_server;
    input->scan = &planned->changes;
    input->source_history = &clusters->source_history;
    result = plan_make(input, &planned->plan, error);
    plan_print_remarks(&planned->plan, first);
    return result && try_source_files(session, planned, error);
}

/* Name blocks that no WAL names: the files of the plan are read for them. */
static bool name_more_blocks(const Session *session, const Divergence *divergence,
                             const RecoveryStart *start, Planned *planned, Error *error)
{
    ComparedBlocks compared;
    bool result;

    if (!start->choice.compares)
    {
        planned->named = blockmap_copy(start->changes.blocks);
        return dead_entries_find(&session->clusters.target, &planned->plan, session->options->jobs,
                                 planned->named, error);
    }
    result = compared_blocks_find(session->source_wal, divergence, start, &planned->plan, &compared,
                                  error);
    planned->named = compared.blocks;
    planned->source = compared.source;
    planned->compared_bytes = compared.bytes;
    return result;
}

bool prepare_plan(Session *session, const Divergence *divergence, const RecoveryStart *start,
                  bool reads_dead, const StandbySettings *settings, Planned *planned, Error *error)
{
    const Plan *plan = &planned->plan;
    const bool reads_relations = start->choice.compares || reads_dead;
    const bool first = !planned->known;

    planned_free(planned);
    *planned = (Planned){.source = start->source,
                         .changes = start->changes,
                         .input = {.divergence = divergence->lsn,
                                   .rests_on_histories = divergence->rests_on_histories,
                                   .wal_from = start->wal_from,
                                   .whole_from = start->whole_from,
                                   .next_oid = start->chosen.next_oid,
                                   .rebuilt = start->rebuilt,
                                   .storage_of_source = start->made,
                                   .made_before = start->made_before,
                                   .every_relation = reads_relations}};
    if (!plan_files(session, settings, first, planned, error))
        return false;
    if (session->problems.count == 0 && reads_relations)
    {
        if (!name_more_blocks(session, divergence, start, planned, error))
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

bool prepare_least_plan(Session *session, const SourceState *source,
                        const StandbySettings *settings, Planned *planned, Error *error)
{
    const CheckPoint *checkpoint = &session->clusters.target.control.checkpoint;
    const Lsn redo = checkpoint->redo;

    planned_free(planned); /* frees what a failed listing left */
    *planned = (Planned){.source = *source,
                         .named = blockmap_create(),
                         .input = {.divergence = redo,
                                   .wal_from = redo,
                                   .whole_from = redo,
                                   .next_oid = checkpoint->next_oid}};
    planned->changes.blocks = planned->named;
    return plan_files(session, settings, true, planned, error);
}

bool look_at_files(Look *look, const StandbySettings *settings, Error *error)
{
    Session *session = &look->session;
    Planned planned = {0};
    bool result;

    if (!look->rewinds)
        return true;
    result = prepare_least_plan(session, &look->source, settings, &planned, error);
    planned_free(&planned);
    return result && problems_check(&session->problems, error);
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
