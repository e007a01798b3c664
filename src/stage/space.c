#include "stage/space.h"

#include "apply/journal.h"

#include <string.h>

#define STAT_BLOCK_SIZE 512        /* of st_blocks, see stat(2) */
#define NAME_SPACE 64              /* of a directory, for a name beside its length */
#define JOURNAL_ENTRY_SPACE 128    /* an entry beside its strings */
#define JOURNAL_STAGED_NAME_MAX 40 /* "/f12345", "/data" */

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return unit > 0 ? (bytes + unit - 1) / unit * unit : bytes;
}

static bool measure(const Roots *roots, const Root *root, FileSpace *space, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0}, parent = {0};
    const char *local = target_path(&buffer, roots->target_directory, root->directory);
    Place place;
    bool found;

    if (!place_find(local, &place, &found, error))
        return false;
    /* The location of a new tablespace may not exist yet. */
    return file_space(found ? local : path_parent(&parent, local), space, error);
}

bool space_measure(Roots *roots, FileSpace *space, Error *error)
{
    for (size_t index = 0; index < roots->count; index++)
    {
        if (!measure(roots, &roots->roots[index], &space[index], error))
            return false;
        roots->roots[index].unit = space[index].unit;
        roots->roots[index].copies_on_write = space[index].copies_on_write;
    }
    return true;
}

void space_add_staged(const Plan *plan, const PlanEntry *entry, bool copied, uint64_t unit,
                      StagedSpace *staged)
{
    uint64_t offset = 0, size;

    if (entry->type != FILE_REGULAR || entry->wal || entry->action == ACTION_REMOVE)
        return;
    if (entry->action == ACTION_COPY || copied)
    {
        staged->bytes += round_up(entry->source_size, unit);
        staged->files++;
        return;
    }
    for (; plan_next_range(plan, entry, &offset, &size); offset += size)
        staged->bytes += size;
}

uint64_t space_of_journal(const Plan *plan, const PlanEntry *entry, const Root *root)
{
    const uint64_t of_staged = strlen(root->work) + JOURNAL_STAGED_NAME_MAX;
    uint64_t bytes = JOURNAL_ENTRY_SPACE + strlen(entry->path) + of_staged;
    uint64_t offset = 0, size;

    if (entry->link_target != NULL)
        bytes += strlen(entry->link_target);
    if (!plan_stays_in_place(entry) || entry->wal)
        return bytes;
    for (; plan_next_range(plan, entry, &offset, &size); offset += size)
        bytes += JOURNAL_ENTRY_SPACE + of_staged;
    return bytes;
}

/* Bytes of the ranges that lie below the target's size, rounded to what is allocated at once. */
static uint64_t overwritten_bytes(const Plan *plan, const PlanEntry *entry, uint64_t unit)
{
    uint64_t bytes = 0, offset = 0, size;

    for (; plan_next_range(plan, entry, &offset, &size) && offset < entry->target_size;
         offset += size)
    {
        const uint64_t end =
            offset + size < entry->target_size ? offset + size : entry->target_size;

        bytes += round_up(end, unit) - offset / unit * unit;
    }
    return bytes;
}

/* By how much a file that stays in place will grow on the disk. */
static bool growth_of_file(const Roots *roots, const Plan *plan, const PlanEntry *entry,
                           uint64_t unit, uint64_t *bytes, Error *error)
{
    const uint64_t whole = round_up(entry->target_size, unit);
    const uint64_t overwritten = overwritten_bytes(plan, entry, unit);
    AUTO_BUFFER Buffer local = {0};
    struct stat status;
    uint64_t allocated;
    bool found;

    *bytes = 0;
    if (plan_final_size(entry) > entry->target_size)
        *bytes = round_up(plan_final_size(entry), unit) - whole;
    if (overwritten == 0)
        return true;
    if (!file_lstat(target_path(&local, roots->target_directory, entry->path), &status, &found,
                    error))
        return false;
    allocated = found ? (uint64_t) status.st_blocks * STAT_BLOCK_SIZE : whole;
    if (allocated < whole)
        *bytes += overwritten < whole - allocated ? overwritten : whole - allocated;
    return true;
}

bool space_to_reserve(const Roots *roots, const Plan *plan, uint64_t *bytes, Error *error)
{
    PathParent last = {0};

    memset(bytes, 0, roots->count * sizeof(*bytes));
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        const size_t root = roots_of(roots, entry->path);
        const uint64_t unit = roots->roots[root].unit;
        uint64_t growth = 0;

        if (!entry_has_effect(entry) || entry->action == ACTION_REMOVE || entry->wal)
            continue;
        if (entry->type == FILE_REGULAR && entry->on_target && plan_stays_in_place(entry) &&
            !growth_of_file(roots, plan, entry, unit, &growth, error))
            return false;
        if (entry->action == ACTION_CREATE)
            growth += unit;
        if (!entry->on_target)
            growth += strlen(entry->path + path_parent_length(entry->path)) + NAME_SPACE;
        /* A directory gets new names: it may take one unit more than these. */
        if (!entry->on_target && path_parent_changes(&last, entry->path))
            growth += unit;
        bytes[root] += growth;
    }
    return true;
}
