#include "wal/blockmap.h"

#include <stdlib.h>
#include <string.h>

/*
 * Relations stand in an open-addressing table of pointers. The blocks of one lie in chunks of
 * 131072 bits, the blocks of a relation segment of the usual size; a chunk is made when a block in
 * it is named, and grows by doubling.
 */
#define CHUNK_SHIFT 17
#define CHUNK_BLOCKS ((size_t) 1 << CHUNK_SHIFT)
#define WORD_BITS 64
#define CHUNK_WORDS_MIN 4
#define TABLE_SIZE_MIN 64 /* a power of two */
#define RECENT_COUNT 16   /* likewise */

typedef struct BlockChunk
{
    uint64_t *words;
    uint32_t word_count;
} BlockChunk;

/*
 * A chunk that was found before, without the way to it through three other places in memory: most
 * of the blocks that WAL names lie in a few chunks.
 */
typedef struct Recent
{
    RelationId id;
    uint32_t number;
    BlockChunk chunk; /* word_count 0: none */
} Recent;

struct BlockMap
{
    Recent recent[RECENT_COUNT]; /* emptied whenever words move */
    BlockMapRelation **table; /* hash table of entries, NULL in an empty slot; at most half of the
                                 slots are taken */
    size_t table_size;
    size_t relation_count;
};

BlockMap *blockmap_create(void)
{
    BlockMap *map = memory_allocate_zeroed(1, sizeof(BlockMap));

    map->table_size = TABLE_SIZE_MIN;
    map->table = memory_allocate_zeroed(map->table_size, sizeof(BlockMapRelation *));
    return map;
}

void blockmap_destroy(BlockMap *map)
{
    if (map == NULL)
        return;
    for (size_t i = 0; i < map->table_size; i++)
    {
        BlockMapRelation *relation = map->table[i];

        for (size_t chunk = 0; relation != NULL && chunk < relation->chunk_count; chunk++)
            free(relation->chunks[chunk].words);
        if (relation != NULL)
            free(relation->chunks);
        free(relation);
    }
    free(map->table);
    free(map);
}

static bool equal_ids(RelationId a, RelationId b)
{
    return a.relation == b.relation && a.database == b.database && a.tablespace == b.tablespace;
}

/* The place of id in the table: its own, or the empty one where it belongs. */
static BlockMapRelation **find_slot(const BlockMap *map, RelationId id)
{
    const size_t mask = map->table_size - 1;
    uint64_t hash = (uint64_t) id.relation * 0x9E3779B97F4A7C15u;
    size_t i;

    hash ^= ((uint64_t) id.database << 32 | id.tablespace) * 0xC2B2AE3D27D4EB4Fu;
    i = (size_t) (hash ^ hash >> 29) & mask;
    while (map->table[i] != NULL && !equal_ids(map->table[i]->id, id))
        i = (i + 1) & mask;
    return &map->table[i];
}

static BlockMapRelation *get_relation(BlockMap *map, RelationId id)
{
    BlockMapRelation **place = find_slot(map, id);
    BlockMapRelation *relation = *place;
    BlockMapRelation **old = map->table;
    const size_t old_size = map->table_size;

    if (relation != NULL)
        return relation;
    relation = memory_allocate_zeroed(1, sizeof(BlockMapRelation));
    relation->id = id;
    relation->truncated_to = BLOCK_NONE;
    *place = relation;
    map->relation_count++;
    if (map->relation_count <= old_size / 2)
        return relation;
    map->table_size = old_size * 2;
    map->table = memory_allocate_zeroed(map->table_size, sizeof(BlockMapRelation *));
    for (size_t i = 0; i < old_size; i++)
        if (old[i] != NULL)
            *find_slot(map, old[i]->id) = old[i];
    free(old);
    return relation;
}

/* The chunk of that number with room for word_count words. */
static BlockChunk *get_chunk(BlockMap *map, BlockMapRelation *relation, size_t number,
                             size_t word_count)
{
    if (number >= relation->chunk_count)
    {
        size_t added = number + 1 - relation->chunk_count;
        relation->chunks = memory_resize(relation->chunks, (number + 1) * sizeof(BlockChunk));
        memset(relation->chunks + relation->chunk_count, 0, added * sizeof(BlockChunk));
        relation->chunk_count = number + 1;
    }
    BlockChunk *chunk = &relation->chunks[number];
    if (word_count > chunk->word_count)
    {
        size_t grown = chunk->word_count == 0 ? CHUNK_WORDS_MIN : chunk->word_count * (size_t) 2;
        while (grown < word_count)
            grown *= 2;
        chunk->words = memory_resize(chunk->words, grown * sizeof(uint64_t));
        memset(chunk->words + chunk->word_count, 0, (grown - chunk->word_count) * sizeof(uint64_t));
        chunk->word_count = (uint32_t) grown;
        memset(map->recent, 0, sizeof(map->recent));
    }
    return chunk;
}

/* The function is not inlined: inlined it would spill the registers of blockmap_add, which hardly
 * ever calls it. */
static __attribute__((noinline)) void find_chunk(BlockMap *map, RelationId id, uint32_t number,
                                                 size_t word_count, Recent *recent)
{
    const BlockChunk *chunk = get_chunk(map, get_relation(map, id), number, word_count);

    *recent = (Recent){.id = id, .number = number, .chunk = *chunk};
}

bool blockmap_add(BlockMap *map, RelationId id, BlockNumber block)
{
    uint32_t number = block >> CHUNK_SHIFT;
    size_t bit = block & (CHUNK_BLOCKS - 1);
    size_t word = bit / WORD_BITS;
    Recent *recent = &map->recent[id.relation % RECENT_COUNT];

    if (word >= recent->chunk.word_count || number != recent->number || !equal_ids(id, recent->id))
        find_chunk(map, id, number, word + 1, recent);
    const uint64_t before = recent->chunk.words[word];
    recent->chunk.words[word] = before | (uint64_t) 1 << bit % WORD_BITS;
    return recent->chunk.words[word] != before;
}

void blockmap_truncate(BlockMap *map, RelationId id, BlockNumber block)
{
    BlockMapRelation *relation = get_relation(map, id);

    if (block < relation->truncated_to)
        relation->truncated_to = block;
}

void blockmap_storage_changed(BlockMap *map, RelationId id, Lsn lsn)
{
    BlockMapRelation *relation = get_relation(map, id);

    if (lsn > relation->storage_lsn)
        relation->storage_lsn = lsn;
}

void blockmap_fork_made(BlockMap *map, RelationId id, uint8_t fork)
{
    get_relation(map, id)->forks_made |= 1u << fork;
}

void blockmap_dropped(BlockMap *map, RelationId id, Lsn lsn)
{
    BlockMapRelation *relation = get_relation(map, id);

    blockmap_storage_changed(map, id, lsn);
    if (lsn > relation->dropped_lsn)
        relation->dropped_lsn = lsn;
}

void blockmap_forget_forks(BlockMap *map)
{
    for (size_t i = 0; i < map->table_size; i++)
        if (map->table[i] != NULL)
        {
            map->table[i]->forks_made = 0;
            map->table[i]->dropped_lsn = LSN_INVALID;
        }
}

void blockmap_merge(BlockMap *map, const BlockMap *from)
{
    const BlockMapRelation *other;

    for (size_t at = 0; (other = blockmap_next(from, &at)) != NULL;)
    {
        BlockMapRelation *relation = get_relation(map, other->id);

        if (other->truncated_to < relation->truncated_to)
            relation->truncated_to = other->truncated_to;
        if (other->storage_lsn > relation->storage_lsn)
            relation->storage_lsn = other->storage_lsn;
        relation->forks_made |= other->forks_made;
        if (other->dropped_lsn > relation->dropped_lsn)
            relation->dropped_lsn = other->dropped_lsn;
        for (size_t i = 0; i < other->chunk_count; i++)
        {
            const BlockChunk *added = &other->chunks[i];
            if (added->word_count == 0)
                continue;
            BlockChunk *chunk = get_chunk(map, relation, i, added->word_count);
            for (size_t word = 0; word < added->word_count; word++)
                chunk->words[word] |= added->words[word];
        }
    }
}

BlockMap *blockmap_copy(const BlockMap *map)
{
    BlockMap *copy = blockmap_create();

    blockmap_merge(copy, map);
    return copy;
}

void blockmap_subtract(BlockMap *map, const BlockMap *other)
{
    const BlockMapRelation *relation;

    for (size_t at = 0; (relation = blockmap_next(map, &at)) != NULL;)
    {
        const BlockMapRelation *named = blockmap_find(other, relation->id);
        const size_t named_chunks = named != NULL ? named->chunk_count : 0;

        for (size_t i = 0; i < relation->chunk_count && i < named_chunks; i++)
            for (size_t word = 0;
                 word < relation->chunks[i].word_count && word < named->chunks[i].word_count;
                 word++)
                relation->chunks[i].words[word] &= ~named->chunks[i].words[word];
    }
}

const BlockMapRelation *blockmap_find(const BlockMap *map, RelationId id)
{
    return *find_slot(map, id);
}

const BlockMapRelation *blockmap_next(const BlockMap *map, size_t *position)
{
    while (*position < map->table_size)
    {
        const BlockMapRelation *relation = map->table[(*position)++];

        if (relation != NULL)
            return relation;
    }
    return NULL;
}

/*
 * The first block at or after `from` and below `end` that is named (wanted) or not named; `end`
 * without one.
 */
static uint64_t find_block(const BlockMapRelation *relation, uint64_t from, uint64_t end,
                           bool wanted)
{
    while (from < end)
    {
        size_t number = (size_t) (from >> CHUNK_SHIFT);
        size_t word = (size_t) (from & (CHUNK_BLOCKS - 1)) / WORD_BITS;

        if (number >= relation->chunk_count)
            return wanted ? end : from;
        const BlockChunk *chunk = &relation->chunks[number];
        if (word >= chunk->word_count)
        {
            if (!wanted)
                return from;
            from = (uint64_t) (number + 1) << CHUNK_SHIFT;
            continue;
        }
        uint64_t bits = wanted ? chunk->words[word] : ~chunk->words[word];
        bits &= ~(uint64_t) 0 << from % WORD_BITS;
        from -= from % WORD_BITS;
        if (bits != 0)
        {
            from += (uint64_t) __builtin_ctzll(bits);
            return from < end ? from : end;
        }
        from += WORD_BITS;
    }
    return end;
}

bool blockmap_next_run(const BlockMapRelation *relation, BlockNumber from, BlockNumber end,
                       BlockNumber *first, BlockNumber *count)
{
    uint64_t begin = find_block(relation, from, end, true);

    if (begin >= end)
        return false;
    *first = (BlockNumber) begin;
    *count = (BlockNumber) (find_block(relation, begin, end, false) - begin);
    return true;
}

uint64_t blockmap_block_count(const BlockMap *map)
{
    uint64_t count = 0;
    const BlockMapRelation *relation;

    for (size_t at = 0; (relation = blockmap_next(map, &at)) != NULL;)
        for (size_t i = 0; i < relation->chunk_count; i++)
            for (uint32_t word = 0; word < relation->chunks[i].word_count; word++)
                count += (unsigned) __builtin_popcountll(relation->chunks[i].words[word]);
    return count;
}

size_t blockmap_memory(const BlockMap *map)
{
    size_t memory =
        map->table_size * sizeof(*map->table) + map->relation_count * sizeof(BlockMapRelation);
    const BlockMapRelation *relation;

    for (size_t at = 0; (relation = blockmap_next(map, &at)) != NULL;)
        for (size_t i = 0; i < relation->chunk_count; i++)
            memory += sizeof(BlockChunk) + relation->chunks[i].word_count * sizeof(uint64_t);
    return memory;
}
