#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#define UNCHANGED_PART_MAX 8 /* at most this part of a replaced file is unchanged */

/* The next run of blocks within [from, end) that cannot be trusted on the target. */
static bool next_doubtful_run(const PlanEntry *entry, BlockNumber from, BlockNumber end,
                              BlockNumber *first, BlockNumber *count)
{
    BlockNumber all_from = entry->action == ACTION_COPY ? 0 : entry->fetch_all_from;

    if (entry->blocks == NULL || !blockmap_next_run(entry->blocks, from, end, first, count))
    {
        *first = end;
        *count = 0;
    }
    all_from = all_from > from ? all_from : from;
    if (all_from < end && *first + *count >= all_from)
    {
        *first = *first < all_from ? *first : all_from;
        *count = end - *first;
    }
    return *count > 0;
}

/*
 * Cut a run of blocks to its first part that recovery does not rebuild. Returns false if
 * recovery rebuilds the whole run. Blocks after the point where the source cut the relation are
 * always fetched. (Rule R1.)
 */
static bool leave_out_rebuilt(const PlanEntry *entry, BlockNumber *first, BlockNumber *count)
{
    BlockNumber end = *first + *count, limit, run, run_count;

    if (entry->rebuilt == NULL)
        return true;
    limit = entry->rebuilt->truncated_to;
    limit = limit < end ? limit : end;
    while (*first < limit && blockmap_next_run(entry->rebuilt, *first, limit, &run, &run_count))
    {
        if (run > *first)
        {
            end = run;
            break;
        }
        *first += run_count;
    }
    *count = end - *first;
    return *first < end;
}

/* The next range of a file that has block numbers. */
static bool next_block_range(const Plan *plan, const PlanEntry *entry, uint64_t *offset,
                             uint64_t *size)
{
    uint64_t block_size = plan->block_size;
    BlockNumber end = /* the last block may be incomplete */
        entry->first_block + (BlockNumber) ((entry->source_size + block_size - 1) / block_size);
    BlockNumber from = entry->first_block + (BlockNumber) (*offset / block_size);
    BlockNumber first, count;
    uint64_t range_end;

    if (*offset >= entry->source_size)
        return false;
    for (;; from = first + count)
    {
        if (from >= end || !next_doubtful_run(entry, from, end, &first, &count))
            return false;
        if (leave_out_rebuilt(entry, &first, &count))
            break;
    }
    *offset = (uint64_t) (first - entry->first_block) * block_size;
    range_end = *offset + (uint64_t) count * block_size;
    *size = (range_end < entry->source_size ? range_end : entry->source_size) - *offset;
    return true;
}

bool plan_next_range(const Plan *plan, const PlanEntry *entry, uint64_t *offset, uint64_t *size)
{
    if (entry->type != FILE_REGULAR)
        return false;
    if (entry->action == ACTION_COPY && entry->rebuilt == NULL)
    {
        if (*offset >= entry->source_size)
            return false;
        *size = entry->source_size - *offset;
        return true;
    }
    if (entry->kind != KIND_RELATION || (entry->action != ACTION_COPY && entry->blocks == NULL &&
                                         entry->fetch_all_from == BLOCK_NONE))
        return false;
    return next_block_range(plan, entry, offset, size);
}

void plan_measure_ranges(const Plan *plan, PlanEntry *entry)
{
    uint64_t offset = 0, size;

    entry->range_count = entry->fetch_bytes = entry->overwrite_bytes = 0;
    for (; plan_next_range(plan, entry, &offset, &size); offset += size)
    {
        const uint64_t left = offset < entry->target_size ? entry->target_size - offset : 0;

        entry->range_count++;
        entry->fetch_bytes += size;
        entry->overwrite_bytes += size < left ? size : left;
    }
}

uint64_t plan_compared_size(const Plan *plan, const PlanEntry *entry)
{
    if (entry->reason != REASON_BLOCKS_NAMED)
        return 0;
    if (entry->source_size <= entry->target_size)
        return entry->source_size;
    return entry->target_size - entry->target_size % plan->block_size; /* the tail is fetched */
}

bool plan_replaces(uint64_t size, uint64_t changed_bytes)
{
    return size >= PLAN_REPLACED_SIZE_MIN && changed_bytes >= size - size / UNCHANGED_PART_MAX;
}

bool plan_replaces_by_sample(const Plan *plan, const PlanEntry *entry, uint64_t sampled,
                             uint64_t differing)
{
    const uint64_t compared = plan_compared_size(plan, entry);

    return sampled > 0 && plan_replaces(entry->source_size, entry->source_size - compared +
                                                                compared * differing / sampled);
}

bool plan_stays_in_place(const PlanEntry *entry)
{
    return entry->action == ACTION_NONE || entry->action == ACTION_COPY_TAIL ||
           entry->action == ACTION_TRUNCATE;
}

bool plan_keeps(const Plan *plan, const char *path)
{
    return path_find_above(plan->kept, plan->kept_count, sizeof(*plan->kept), path) != NULL;
}

const PlanEntry *plan_find(const Plan *plan, const char *path)
{
    return path_find(plan->entries, plan->count, sizeof(*plan->entries), path, strlen(path));
}

void plan_free(Plan *plan)
{
    free(plan->entries);
    free(plan->conflicts);
    free(plan->kept);
    free(plan->removed);
    free(plan->remarks);
    *plan = (Plan){0};
}
