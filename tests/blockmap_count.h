/*
 * How much a block map holds.
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

#endif
