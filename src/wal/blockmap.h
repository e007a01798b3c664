/*
 * The changes of relations that WAL names: a set of main-fork blocks for each, truncations, and
 * storage made or dropped.
 *
 * Memory: one bit for each block up to the highest one named in each relation segment, and a small
 * entry a relation. Not thread-safe: each worker fills its own map, and they are merged.
 */
#ifndef WAL_BLOCKMAP_H
#define WAL_BLOCKMAP_H

#include "format/walrecord.h"

#define BLOCK_NONE 0xFFFFFFFFu

typedef struct BlockMap BlockMap;

typedef struct BlockMapRelation
{
    RelationId id;
    BlockNumber truncated_to;  /* BLOCK_NONE: never */
    Lsn storage_lsn;           /* where its storage was made or dropped; LSN_INVALID: never */
    uint32_t forks_made;       /* a bit for each */
    struct BlockChunk *chunks; /* blockmap.c's own */
    size_t chunk_count;
} BlockMapRelation;

BlockMap *blockmap_create(void);
void blockmap_destroy(BlockMap *map); /* NULL is allowed */

/* Returns true if the block was not named before. */
bool blockmap_add(BlockMap *map, RelationId relation, BlockNumber block);

/* The relation was cut to `block` blocks: all from there on count as changed. The smallest one
 * stays. */
void blockmap_truncate(BlockMap *map, RelationId relation, BlockNumber block);

/* Its storage was made or dropped at lsn (the greatest one stays). */
void blockmap_storage_changed(BlockMap *map, RelationId relation, Lsn lsn);

/* A fork of it was made. */
void blockmap_fork_made(BlockMap *map, RelationId relation, uint8_t fork);
void blockmap_forget_forks(BlockMap *map); /* of all relations */

/* The caller's to destroy. */
BlockMap *blockmap_copy(const BlockMap *map);

/* Add everything that `from` holds. */
void blockmap_merge(BlockMap *map, const BlockMap *from);

/* Blocks that `other` names are no longer named. */
void blockmap_subtract(BlockMap *map, const BlockMap *other);

/* NULL: not named. */
const BlockMapRelation *blockmap_find(const BlockMap *map, RelationId relation);

/* The next one of all relations, in no order; NULL after the last. *position is 0 at first. */
const BlockMapRelation *blockmap_next(const BlockMap *map, size_t *position);

/*
 * The first run of named blocks within [from, end): *first and *count. Returns false without one.
 * Does not look at truncation.
 */
bool blockmap_next_run(const BlockMapRelation *relation, BlockNumber from, BlockNumber end,
                       BlockNumber *first, BlockNumber *count);

/* The number of named blocks. Looks at all of the map's memory. */
uint64_t blockmap_block_count(const BlockMap *map);

/* The bytes of memory that the map takes. */
size_t blockmap_memory(const BlockMap *map);

#endif
