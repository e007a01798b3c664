/*
 * The changes of relations by WAL records: for each relation a set of main-fork blocks that records
 * changed, the smallest truncation, and the last creation or drop of its storage.
 *
 * Memory: one bit for each block up to the highest changed one in each relation segment, and a
 * small entry a relation. Not thread-safe: each worker fills its own map, and they are merged.
 */
#ifndef WAL_BLOCKMAP_H
#define WAL_BLOCKMAP_H

#include "format/walrecord.h"

#define BLOCK_NONE 0xFFFFFFFFu

typedef struct BlockMap BlockMap;

typedef struct BlockMapRelation
{
    RelationId id;
    BlockNumber
        truncated_to;    /* smallest number of blocks that it was truncated to; BLOCK_NONE: never */
    Lsn storage_lsn;     /* where its storage was last created or dropped; LSN_INVALID: never */
    uint32_t forks_made; /* forks that were created: bit 1 << fork */
    Lsn dropped_lsn;     /* where its storage was last dropped; LSN_INVALID: never */
    struct BlockChunk *chunks; /* blockmap.c's own */
    size_t chunk_count;
} BlockMapRelation;

BlockMap *blockmap_create(void);
void blockmap_destroy(BlockMap *map); /* NULL is allowed */

/* Add a changed block. Returns true if the map did not have the block before. */
bool blockmap_add(BlockMap *map, RelationId relation, BlockNumber block);

/* Note a truncation of the relation to `block` blocks: all blocks from there on count as changed.
 * Of several truncations the smallest one stays. */
void blockmap_truncate(BlockMap *map, RelationId relation, BlockNumber block);

/* Note that the relation's storage was created or dropped at lsn. The greatest LSN stays. */
void blockmap_storage_changed(BlockMap *map, RelationId relation, Lsn lsn);

/* Note that a fork of the relation was created. */
void blockmap_fork_made(BlockMap *map, RelationId relation, uint8_t fork);

/* Note that the relation's storage was dropped at lsn. */
void blockmap_dropped(BlockMap *map, RelationId relation, Lsn lsn);

/* Clear forks_made and dropped_lsn of all relations. */
void blockmap_forget_forks(BlockMap *map);

/* A full copy, which the caller destroys. */
BlockMap *blockmap_copy(const BlockMap *map);

/* Add everything that `from` holds. */
void blockmap_merge(BlockMap *map, const BlockMap *from);

/* Remove the changed blocks of `other` from map. Truncations and storage changes stay in map. */
void blockmap_subtract(BlockMap *map, const BlockMap *other);

/* The relation's entry, owned by the map and valid until the map is destroyed; NULL: the map has no
 * change of that relation. */
const BlockMapRelation *blockmap_find(const BlockMap *map, RelationId relation);

/* Iterate over the relations, in no order; NULL after the last. *position is 0 at first. */
const BlockMapRelation *blockmap_next(const BlockMap *map, size_t *position);

/* Find the first run of changed blocks within [from, end): it begins at *first and has *count
 * blocks. Returns false without such a run. Blocks past a truncation count only if they were added
 * by blockmap_add. */
bool blockmap_next_run(const BlockMapRelation *relation, BlockNumber from, BlockNumber end,
                       BlockNumber *first, BlockNumber *count);

/* The number of blocks that blockmap_add has added; a truncation adds none. Slow: looks at all of
 * the map's memory. */
uint64_t blockmap_block_count(const BlockMap *map);

/* The bytes of memory that the map takes. */
size_t blockmap_memory(const BlockMap *map);

#endif
