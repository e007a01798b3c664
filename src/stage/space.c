#include "stage/space.h"

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
    char local[PATH_SIZE];
    Place place;
    bool found;

    if (!target_path(local, sizeof(local), roots->target_directory, root->directory, error) ||
        !place_find(local, &place, &found, error))
        return false;
    if (!found) /* the location of a new tablespace */
    {
        const size_t length = path_parent_length(local);

        local[length > 0 ? length : 1] = '\0';
    }
    return file_space(local, space, error);
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
    uint64_t offset = 0;
    uint64_t size;

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
    uint64_t offset = 0;
    uint64_t size;

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
    uint64_t bytes = 0;
    uint64_t offset = 0;
    uint64_t size;

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
    char local[PATH_SIZE];
    struct stat status;
    uint64_t allocated;
    bool found;

    *bytes = 0;
    if (plan_final_size(entry) > entry->target_size)
        *bytes = round_up(plan_final_size(entry), unit) - whole;
    if (overwritten == 0)
        return true;
    if (!target_path(local, sizeof(local), roots->target_directory, entry->path, error) ||
        !file_lstat(local, &status, &found, error))
        return false;
    allocated = found ? (uint64_t) status.st_blocks * STAT_BLOCK_SIZE : whole;
    if (allocated < whole)
        *bytes += overwritten < whole - allocated ? overwritten : whole - allocated;
    return true;
}

bool space_to_reserve(const Roots *roots, const Plan *plan, uint64_t *bytes, Error *error)
{
    const char *last = "";
    size_t last_length = SIZE_MAX;

    memset(bytes, 0, roots->count * sizeof(*bytes));
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        const size_t root = roots_of(roots, entry->path);
        const uint64_t unit = roots->roots[root].unit;
        const size_t length = path_parent_length(entry->path);
        uint64_t growth = 0;

        if (!entry_has_effect(entry) || entry->action == ACTION_REMOVE || entry->wal)
            continue;
        if (entry->type == FILE_REGULAR && entry->on_target && plan_stays_in_place(entry) &&
            !growth_of_file(roots, plan, entry, unit, &growth, error))
            return false;
        if (entry->action == ACTION_CREATE)
            growth += unit;
        if (!entry->on_target)
            growth += strlen(entry->path + length) + NAME_SPACE;
        /* A directory gets new names: it may take one unit more than these. */
        if (!entry->on_target && (length != last_length || strncmp(entry->path, last, length) != 0))
        {
            growth += unit;
            last = entry->path;
            last_length = length;
        }
        bytes[root] += growth;
    }
    return true;
}
