#include "plan/unlogged.h"

#include "format/relpath.h"
#include "plan/listing.h"

static bool makes_fork(const ScanResult *scan, RelationId id, uint8_t fork)
{
    const BlockMapRelation *relation = blockmap_find(scan->blocks, id);

    return relation != NULL && blockmap_made_fork(relation, fork);
}

/* Files of such a database have numbers of the template's, and no record of their own. */
static bool copies_database(const ScanResult *scan, RelationId id)
{
    for (size_t i = 0; i < scan->database_count; i++)
    {
        const ScanDatabase *database = &scan->databases[i];

        if (database->kind == WAL_EVENT_DATABASE_FILE_COPY && database->database == id.database &&
            database->tablespace == id.tablespace)
            return true;
    }
    return false;
}

static bool tells_of_creation(const ScanResult *scan, RelationId id)
{
    return makes_fork(scan, id, FORK_MAIN) || copies_database(scan, id);
}

/* Does replay make this relation's files, or will the server make them from its init fork? */
static bool is_left_out(const UnloggedEvidence *evidence, RelationId id)
{
    if (makes_fork(evidence->chain, id, FORK_INIT))
        return true;
    return id.relation >= evidence->next_oid && !tells_of_creation(evidence->chain, id) &&
           (evidence->before == NULL || !tells_of_creation(evidence->before, id));
}

/* Then the server removes what else there is of the relation when it starts. */
static bool init_fork_is_listed(const PlanInput *input, const RelationFile *file)
{
    const RelationFile init = {.relation = file->relation, .fork = FORK_INIT};
    char path[RELPATH_SIZE];

    relpath_make(input->version, &init, path);
    return listing_find(input->source, path) != NULL;
}

void plan_leave_out_unlogged(const PlanInput *input, const UnloggedEvidence *evidence, Plan *plan)
{
    for (size_t i = 0; i < plan->count; i++)
    {
        PlanEntry *entry = &plan->entries[i];
        RelationFile file;

        if ((entry->kind == KIND_RELATION || entry->kind == KIND_FORK) &&
            entry->action != ACTION_REMOVE && relpath_parse(input->version, entry->path, &file) &&
            file.fork != FORK_INIT && is_left_out(evidence, file.relation) &&
            !init_fork_is_listed(input, &file))
            entry->gone = true;
    }
}
