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

/* A BlockMapVisitor. */
static inline bool blockmap_count_relation(void *context, RelationId id,
                                           const BlockMapRelation *relation)
{
    BlockMapCount *count = context;
    BlockNumber first, run;

    (void) id;
    count->relations++;
    for (BlockNumber from = 0; blockmap_next_run(relation, from, BLOCK_NONE, &first, &run);
         from = first + run)
        count->blocks += run;
    return true;
}

static inline BlockMapCount blockmap_count(const BlockMap *map)
{
    BlockMapCount count = {0};

    blockmap_each(map, blockmap_count_relation, &count);
    return count;
}

#endif
