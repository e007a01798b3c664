/*
 * The server makes the main fork of an unlogged relation without WAL, and much later its init fork,
 * with WAL: an index is built between the two. A main fork that was listed by then is not to be
 * copied: replay makes the init fork, and the end of recovery makes the main fork from that, which
 * fails where one lies ("could not create file ...: File exists").
 */
#include "plan/plan.h"

static bool makes_fork(const ScanResult *scan, RelationId id, uint8_t fork)
{
    const BlockMapRelation *relation = blockmap_find(scan->blocks, id);

    return relation != NULL && (relation->forks_made & 1u << fork) != 0;
}

/* The target has dropped a relation of that number, or its database, also from one tablespace when
 * the database moved to another one. */
static bool target_dropped(const PlanInput *input, RelationId id)
{
    const BlockMapRelation *relation = blockmap_find(input->scan->blocks, id);

    return (relation != NULL && relation->dropped_lsn != LSN_INVALID) ||
           scan_has_database_event(input->scan, WAL_EVENT_DATABASE_DROP, id, LSN_INVALID);
}

/* The target has made or dropped a relation of that number, or its database. One that both sides
 * made, in their common WAL, the target has. */
static bool target_changed_storage(const PlanInput *input, RelationId id)
{
    const ScanResult *scan = input->scan;
    const BlockMapRelation *relation = blockmap_find(scan->blocks, id);

    if (target_dropped(input, id) || (relation != NULL && relation->storage_lsn != LSN_INVALID))
        return true;
    for (size_t i = 0; i < scan->database_count; i++)
        if (scan->databases[i].database == id.database &&
            scan->databases[i].lsn >= input->divergence)
            return true;
    return false;
}

/*
 * The number was given out after the earliest start. Numbers are given out in ascending order, and
 * WAL says beforehand up to which. Before a late start the source may have logged that it made a
 * relation of this number, or may have copied its database.
 */
static bool has_new_number(const PlanInput *input, const UnloggedEvidence *evidence, RelationId id)
{
    if (id.relation >= input->next_oid)
        return id.relation < evidence->chain->next_oid;
    return input->made_before != NULL && id.relation >= evidence->first_oid &&
           blockmap_find(input->made_before, id) == NULL &&
           !scan_has_database_event(input->scan, WAL_EVENT_DATABASE_FILE_COPY, id, LSN_INVALID);
}

/* The common history of both sides has no file of this relation's number. The target may have made
 * a relation of a number that it had dropped before, where the counter has gone round: so a drop
 * proves nothing. (Rule C76.) */
static bool is_not_common(const PlanInput *input, const PlanEntry *entry, RelationId id)
{
    return entry->on_target ? makes_fork(input->scan, id, FORK_MAIN) && !target_dropped(input, id)
                            : !target_changed_storage(input, id);
}

/* Replay makes this relation's files, or the server will make them from its init fork. */
static bool is_left_out(const PlanInput *input, const UnloggedEvidence *evidence,
                        const PlanEntry *entry, RelationId id)
{
    const ScanResult *chain = evidence->chain;
    const BlockMapRelation *relation = blockmap_find(chain->blocks, id);

    if (makes_fork(chain, id, FORK_INIT))
        return true;
    /* A record of the chain makes this relation, changes it, or copies its database. */
    if (makes_fork(chain, id, FORK_MAIN) || (relation != NULL && relation->chunk_count > 0) ||
        scan_has_database_event(chain, WAL_EVENT_DATABASE_FILE_COPY, id, LSN_INVALID))
        return false;
    /* The source made this relation after the start. Its number alone proves nothing: the counter
     * may have gone round. */
    return evidence->target_scanned && is_not_common(input, entry, id) &&
           (has_new_number(input, evidence, id) ||
            scan_has_database_event(chain, WAL_EVENT_DATABASE_CREATE, id, LSN_INVALID));
}

/* The source's listing has the init fork: the server then removes the relation's other forks when
 * it starts. */
static bool init_fork_is_listed(const PlanInput *input, const RelationFile *file)
{
    const RelationFile init = {.relation = file->relation, .fork = FORK_INIT};
    char path[RELPATH_SIZE];

    relpath_make(&input->version_directory, &init, path);
    return listing_find(input->source, path) != NULL;
}

bool plan_becomes_unlogged(const PlanInput *input, const UnloggedEvidence *evidence,
                           const PlanEntry *entry)
{
    RelationFile file;

    return (entry->kind == KIND_RELATION || entry->kind == KIND_FORK) &&
           entry->action != ACTION_REMOVE &&
           relpath_parse(&input->version_directory, entry->path, &file) && file.fork != FORK_INIT &&
           is_left_out(input, evidence, entry, file.relation) && !init_fork_is_listed(input, &file);
}

/* The chain names what the source has dropped since its last checkpoint, of which an empty file may
 * stay until the next one. */
bool plan_is_of_unknown_origin(const PlanInput *input, const UnloggedEvidence *evidence,
                               const PlanEntry *entry)
{
    const ScanResult *chain = evidence->chain;
    RelationFile file;

    return evidence->target_scanned && entry->kind == KIND_RELATION && !entry->on_target &&
           relpath_parse(&input->version_directory, entry->path, &file) && file.fork == FORK_MAIN &&
           file.segment == 0 && blockmap_find(chain->blocks, file.relation) == NULL &&
           !scan_has_database_event(chain, WAL_EVENT_DATABASE_FILE_COPY, file.relation,
                                    LSN_INVALID) &&
           !scan_has_database_event(chain, WAL_EVENT_DATABASE_CREATE, file.relation, LSN_INVALID) &&
           is_not_common(input, entry, file.relation) && !init_fork_is_listed(input, &file);
}
