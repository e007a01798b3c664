/*
 * Numbers of relations and blocks in a block map, and a search for one block.
 */
#ifndef TESTS_BLOCKMAP_COUNT_H
#define TESTS_BLOCKMAP_COUNT_H

#include "wal/blockmap.h"

typedef struct BlockMapCount
{
    size_t relations;
    uint64_t blocks;
} BlockMapCount;

static inline BlockMapCount blockmap_count(const BlockMap *map)
{
    BlockMapCount count = {0};
    const BlockMapRelation *relation;
    BlockNumber first, run;

    for (size_t at = 0; (relation = blockmap_next(map, &at)) != NULL; count.relations++)
        for (BlockNumber from = 0; blockmap_next_run(relation, from, BLOCK_NONE, &first, &run);
             from = first + run)
            count.blocks += run;
    return count;
}

/* True if the block is named. */
static inline bool blockmap_names(const BlockMap *map, RelationId id, BlockNumber block)
{
    const BlockMapRelation *relation = blockmap_find(map, id);
    BlockNumber first, count;

    return relation != NULL && blockmap_next_run(relation, block, block + 1, &first, &count);
}

#endif
