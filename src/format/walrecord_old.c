#include "format/walrecord.h"

#include <string.h>

/* Layout of BkpBlock, access/xlog_internal.h, which the image without its hole follows. */
#define BACKUP_SIZE 24
#define BACKUP_AT_FORK 12
#define BACKUP_AT_BLOCK 16
#define BACKUP_AT_HOLE_OFFSET 20
#define BACKUP_AT_HOLE_LENGTH 22
#define BACKUPS_MAX 4
#define BACKUP_FLAG(i) (0x08 >> (i)) /* XLR_BKP_BLOCK */

#define XLOG_FPI 0xA0 /* catalog/pg_control.h */
/* Offset of flags in xl_heap_multi_insert, after relation and block. */
#define MULTI_INSERT_AT_FLAGS 16
#define BLOCK_INVALID 0xFFFFFFFFu

/*
 * The data of a record. Only the fixed part is always present: data of a page is missing if the
 * record has a backup of that page.
 */
typedef struct OldData
{
    const uint8_t *bytes;
    uint32_t size;
    uint8_t info;  /* info of the header, with the flags of backups */
    bool children; /* old_wal_names_children of the version */
    bool failed;   /* the data does not have the expected form */
    WalRecord *record;
} OldData;

static bool has(OldData *data, uint32_t offset, uint32_t size)
{
    if (offset > data->size || size > data->size - offset)
        data->failed = true;
    return !data->failed;
}

/* Numbers in the data; if the data is too short, 0, and `failed` is set. */
static uint16_t u16_of(OldData *data, uint32_t offset)
{
    return has(data, offset, 2) ? load_u16(data->bytes + offset) : 0;
}

static uint32_t u32_of(OldData *data, uint32_t offset)
{
    return has(data, offset, 4) ? load_u32(data->bytes + offset) : 0;
}

/* A block number as in BlockIdData, with which ItemPointerData begins: the high half first. */
static BlockNumber block_id_of(OldData *data, uint32_t offset)
{
    return (BlockNumber) u16_of(data, offset) << 16 | u16_of(data, offset + 2);
}

/*
 * Add a block that redo changes. Only a block with a backup counts as one that redo writes whole
 * without reading it: the record does not say so for other blocks, and minor versions differ
 * (deleted pages of a GIN pending list, the metapage: 9.3.0 to 9.3.4 wrote them only if they were
 * older than the record).
 */
static void add_block(OldData *data, uint32_t fork, BlockNumber number)
{
    WalRecord *record = data->record;

    if (fork > FORK_INIT || number == BLOCK_INVALID ||
        record->block_count == WAL_RECORD_BLOCKS_MAX || !has(data, 0, RELATION_ID_SIZE))
        data->failed = true;
    if (data->failed)
        return;
    RelationId relation = relation_at(data->bytes);
    for (unsigned i = 0; i < record->block_count; i++)
    {
        const BlockReference *there = &record->blocks[i];
        if (there->block == number && there->fork == fork &&
            memcmp(&there->relation, &relation, sizeof(relation)) == 0)
            return;
    }
    record->blocks[record->block_count] = (BlockReference){
        .id = record->block_count, .fork = (uint8_t) fork, .relation = relation, .block = number};
    record->block_count++;
}

static void add_main(OldData *data, BlockNumber number)
{
    add_block(data, FORK_MAIN, number);
}

/* The forms in which the fixed part of a record names a block that redo changes. */
enum
{
    FIELD_BLOCK = 1,   /* a block number at the offset */
    FIELD_TID,         /* the block of a tuple's ItemPointerData at the offset */
    FIELD_UNLESS_ZERO, /* a block number at the offset, or 0 for none (P_NONE) */
    FIELD_IF_VALID,    /* a block number at the offset, or InvalidBlockNumber for none */
    FIELD_FIXED        /* the offset is the block's number */
};

typedef struct Field
{
    uint8_t kind;
    uint8_t offset;
} Field;

#define FIELDS_MAX 6

/* A kind of record. fields name blocks at fixed offsets; more adds the other blocks. */
typedef struct Rule
{
    bool known;
    Field fields[FIELDS_MAX];
    void (*more)(OldData *data);
} Rule;

/* Add the block of xl_heap_newpage: {relation; i32 fork 12; block 16; page}. */
static void more_of_newpage(OldData *data)
{
    add_block(data, u32_of(data, 12), u32_of(data, 16));
}

static bool has_backup(const OldData *data, int index)
{
    return (data->info & BACKUP_FLAG(index)) != 0;
}

/* nbtree.h */
#define BTREE_INSERT_SIZE 18
#define BTREE_SPLIT_SIZE 30
#define BTREE_SPLIT_AT_LEVEL 24
#define BTREE_NEWROOT_AT_LEVEL 16
#define BTREE_NEWROOT_SIZE 20
#define BTREE_SPLIT_L 0x30
#define BTREE_SPLIT_L_ROOT 0x50
#define TUPLE_SIZE_MASK 0x1FFF /* IndexTupleSize, access/itup.h: t_info at 6 */
#define TUPLE_SIZE_MIN 8

static uint32_t tuple_size(OldData *data, uint32_t offset)
{
    uint32_t size = u16_of(data, offset + 6) & TUPLE_SIZE_MASK;

    if (size < TUPLE_SIZE_MIN)
        data->failed = true;
    return size;
}

/* The distance to the next tuple; tuples are padded to 8 bytes. */
static uint32_t aligned_tuple_size(OldData *data, uint32_t offset)
{
    return (tuple_size(data, offset) + 7) & ~7u;
}

/* Add the child: the page of the level below whose incomplete split this record ends, by removing a
 * mark from it. Its number is missing if the record has a backup of it, which is then the first
 * backup. */
static void more_of_btree_insert_upper(OldData *data)
{
    if (data->children && !has_backup(data, 0))
        add_main(data, u32_of(data, BTREE_INSERT_SIZE));
}

/* Add the child. Before its number are the new item's offset and the item, if it is on the left
 * page, and the left page's high key. Both items are missing if the record has a backup of the left
 * page. */
static void more_of_btree_split(OldData *data)
{
    uint8_t opcode = data->info & WAL_OPCODE_MASK;
    bool on_left = opcode == BTREE_SPLIT_L || opcode == BTREE_SPLIT_L_ROOT;
    uint32_t offset = BTREE_SPLIT_SIZE;

    if (!data->children || u32_of(data, BTREE_SPLIT_AT_LEVEL) == 0 || has_backup(data, 1))
        return;
    if (on_left)
        offset += 2;
    if (on_left && !has_backup(data, 0))
        offset += aligned_tuple_size(data, offset);
    if (!has_backup(data, 0))
        offset += aligned_tuple_size(data, offset);
    add_main(data, u32_of(data, offset));
}

/* Add the left child of a new root. An empty root is a leaf; any other has two tuples, in reverse
 * order: the second one in the record leads to the left child. */
static void more_of_btree_newroot(OldData *data)
{
    if (!data->children || u32_of(data, BTREE_NEWROOT_AT_LEVEL) == 0)
        return;
    uint32_t first = BTREE_NEWROOT_SIZE + aligned_tuple_size(data, BTREE_NEWROOT_SIZE);
    if (first + aligned_tuple_size(data, first) != data->size)
        data->failed = true;
    if (!has_backup(data, 0))
        add_main(data, block_id_of(data, first));
}

/* Bits of flags in ginxlogInsert and ginxlogSplit, gin_private.h of 9.4. */
#define GIN_IS_LEAF 0x02
#define GIN_SPLIT_ROOT 0x04

static void more_of_gin_insert(OldData *data)
{
    if (data->children && !(u16_of(data, 16) & GIN_IS_LEAF))
        add_main(data, block_id_of(data, 20));
}

/* ginxlogSplit of 9.3: {left 12; root 16; right 20; ...; is_root_split 34} */
static void more_of_gin_split_93(OldData *data)
{
    if (has(data, 34, 1) && data->bytes[34] != 0)
        add_main(data, u32_of(data, 16));
}

/* ginxlogSplit of 9.4: {left 12; right 16; right link, or the root 20; left child 24; ...; flags
 * 32} */
static void more_of_gin_split_94(OldData *data)
{
    uint16_t flags = u16_of(data, 32);

    if (flags & GIN_SPLIT_ROOT)
        add_main(data, u32_of(data, 20));
    if (!(flags & GIN_IS_LEAF))
        add_main(data, u32_of(data, 24));
}

/* ginxlogUpdateMeta: {metadata 16, its tail 20; previous tail 72; new right link; tuples 80} */
static void more_of_gin_update_meta(OldData *data)
{
    int32_t tuples = (int32_t) u32_of(data, 80);
    BlockNumber page = u32_of(data, tuples > 0 ? 20 : 72);

    if (page != BLOCK_INVALID)
        add_main(data, page);
}

/* ginxlogDeleteListPages: {metadata 16; count 72; blocks 76} */
static void more_of_gin_delete_list_pages(OldData *data)
{
    uint32_t count = u32_of(data, 72);

    if (count > WAL_RECORD_BLOCKS_MAX)
        data->failed = true;
    for (uint32_t i = 0; i < count && !data->failed; i++)
        add_main(data, u32_of(data, 76 + 4 * i));
}

/* gistxlogPageSplit: {...; left child 36; pages 40}; from 48 on, for each page {block; count;
 * tuples}. */
static void more_of_gist_split(OldData *data)
{
    uint32_t pages = u16_of(data, 40);
    uint32_t offset = 48;

    for (uint32_t i = 0; i < pages && !data->failed; i++)
    {
        BlockNumber number = u32_of(data, offset);
        uint32_t tuples = u32_of(data, offset + 4);

        offset += 8;
        for (uint32_t j = 0; j < tuples && !data->failed; j++)
            offset += tuple_size(data, offset);
        add_main(data, number);
    }
    if (offset != data->size)
        data->failed = true;
}

/* ---- The table of the blocks that redo routines of access/ and commands/sequence.c change ---- */

#define FIELDS(...) .known = true, .fields = {__VA_ARGS__}

#define BTREE_SPLIT                                                                                \
    {                                                                                              \
        FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}, {FIELD_UNLESS_ZERO, 20}),                     \
            .more = more_of_btree_split                                                            \
    }

/* xl_btree_delete_page: parent's tuple; dead 20, left 24, right 28 */
#define BTREE_DELETE_PAGE                                                                          \
    {FIELD_TID, 12}, {FIELD_BLOCK, 20}, {FIELD_UNLESS_ZERO, 24},                                   \
    {                                                                                              \
        FIELD_BLOCK, 28                                                                            \
    }

/* xl_btree_unlink_page: dead 12, left 16, right 20; the leaf of the branch 24 */
#define BTREE_UNLINK_PAGE                                                                          \
    {FIELD_BLOCK, 12}, {FIELD_UNLESS_ZERO, 16}, {FIELD_BLOCK, 20},                                 \
    {                                                                                              \
        FIELD_BLOCK, 24                                                                            \
    }

/* clang-format off */
/* Rules for both 9.3 and 9.4, by resource manager and opcode. */
static const Rule rules[RM_SPGIST + 1][16] = {
    [RM_HEAP2] = {
        [0x1] = {FIELDS({FIELD_BLOCK, 12})},                          /* CLEAN */
        [0x2] = {FIELDS({FIELD_BLOCK, 12})},                          /* FREEZE_PAGE */
        [0x3] = {.known = true},                                      /* CLEANUP_INFO */
        [0x4] = {FIELDS({FIELD_BLOCK, 12})},                          /* VISIBLE */
        [0x5] = {FIELDS({FIELD_BLOCK, 12})},                          /* MULTI_INSERT */
        [0x6] = {FIELDS({FIELD_TID, 12})},                            /* LOCK_UPDATED */
    },
    [RM_HEAP] = {
        [0x0] = {FIELDS({FIELD_TID, 12})},                            /* INSERT */
        [0x1] = {FIELDS({FIELD_TID, 12})},                            /* DELETE */
        [0x2] = {FIELDS({FIELD_TID, 12}, {FIELD_TID, 28})},           /* UPDATE: the new tuple 28 */
        [0x4] = {FIELDS({FIELD_TID, 12}, {FIELD_TID, 28})},           /* HOT_UPDATE: likewise */
        [0x5] = {.known = true, .more = more_of_newpage},             /* NEWPAGE */
        [0x6] = {FIELDS({FIELD_TID, 12})},                            /* LOCK */
        [0x7] = {FIELDS({FIELD_TID, 12})},                            /* INPLACE */
    },
    [RM_BTREE] = { /* redo always writes the whole metapage, block 0 */
        [0x0] = {FIELDS({FIELD_TID, 12})},                            /* INSERT_LEAF */
        [0x1] = {FIELDS({FIELD_TID, 12}),                             /* INSERT_UPPER */
                 .more = more_of_btree_insert_upper},
        [0x2] = {FIELDS({FIELD_TID, 12}, {FIELD_FIXED, 0}),           /* INSERT_META */
                 .more = more_of_btree_insert_upper},
        [0x3] = BTREE_SPLIT,                                          /* SPLIT_L */
        [0x4] = BTREE_SPLIT,                                          /* SPLIT_R */
        [0x5] = BTREE_SPLIT,                                          /* SPLIT_L_ROOT */
        [0x6] = BTREE_SPLIT,                                          /* SPLIT_R_ROOT */
        [0x7] = {FIELDS({FIELD_BLOCK, 12})},                          /* DELETE */
        [0xA] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_FIXED, 0}),         /* NEWROOT */
                 .more = more_of_btree_newroot},
        [0xC] = {FIELDS({FIELD_BLOCK, 12})},                          /* VACUUM */
        [0xD] = {.known = true},                                      /* REUSE_PAGE */
    },
    [RM_GIN] = {
        [0x0] = {FIELDS({FIELD_FIXED, 0}, {FIELD_FIXED, 1})},         /* CREATE_INDEX */
        [0x1] = {FIELDS({FIELD_BLOCK, 12})},                          /* CREATE_PTREE */
        [0x2] = {FIELDS({FIELD_BLOCK, 12}), .more = more_of_gin_insert}, /* INSERT */
        [0x4] = {FIELDS({FIELD_BLOCK, 12})},                          /* VACUUM_PAGE, in 9.4 all of it */
        [0x5] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}, {FIELD_IF_VALID, 24})}, /* DELETE_PAGE */
        [0x6] = {FIELDS({FIELD_FIXED, 0}), .more = more_of_gin_update_meta},
        [0x7] = {FIELDS({FIELD_BLOCK, 12})},                          /* INSERT_LISTPAGE */
        [0x8] = {FIELDS({FIELD_FIXED, 0}), .more = more_of_gin_delete_list_pages},
    },
    [RM_GIST] = { /* the left child is the page whose split this record ends */
        [0x0] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 16})},    /* PAGE_UPDATE */
        [0x3] = {FIELDS({FIELD_IF_VALID, 36}), .more = more_of_gist_split}, /* PAGE_SPLIT */
        [0x5] = {FIELDS({FIELD_FIXED, 0})},                           /* CREATE_INDEX */
    },
    [RM_SEQ] = {
        [0x0] = {FIELDS({FIELD_FIXED, 0})},                           /* LOG */
    },
    [RM_SPGIST] = {
        [0x0] = {FIELDS({FIELD_FIXED, 0}, {FIELD_FIXED, 1},           /* CREATE_INDEX */
                        {FIELD_FIXED, 2})},
        [0x1] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 24})},    /* ADD_LEAF: parent 24 */
        [0x2] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}, {FIELD_BLOCK, 28})}, /* MOVE_LEAFS */
        [0x3] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 20}, {FIELD_IF_VALID, 28})}, /* ADD_NODE */
        [0x4] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 20})},       /* SPLIT_TUPLE */
        [0x5] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 16}, {FIELD_BLOCK, 28}, /* PICKSPLIT */
                        {FIELD_IF_VALID, 36})},
        [0x6] = {FIELDS({FIELD_BLOCK, 12})},                          /* VACUUM_LEAF */
        [0x7] = {FIELDS({FIELD_BLOCK, 12})},                          /* VACUUM_ROOT */
        [0x8] = {FIELDS({FIELD_BLOCK, 12})},                          /* VACUUM_REDIRECT */
    },
};

static const Rule rules_93[RM_SPGIST + 1][16] = {
    [RM_HEAP2][0x0] = {FIELDS({FIELD_BLOCK, 12})},                    /* FREEZE */
    [RM_BTREE][0x8] = {FIELDS(BTREE_DELETE_PAGE)},                    /* DELETE_PAGE */
    [RM_BTREE][0x9] = {FIELDS(BTREE_DELETE_PAGE, {FIELD_FIXED, 0})},  /* DELETE_PAGE_META */
    [RM_BTREE][0xB] = {FIELDS(BTREE_DELETE_PAGE)},                    /* DELETE_PAGE_HALF */
    [RM_GIN][0x3] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 20}),    /* SPLIT */
                     .more = more_of_gin_split_93},
};

static const Rule rules_94[RM_SPGIST + 1][16] = {
    [RM_HEAP2][0x0] = {.known = true},                                /* REWRITE: pg_logical */
    [RM_HEAP2][0x7] = {.known = true},                                /* NEW_CID */
    [RM_BTREE][0x8] = {FIELDS(BTREE_UNLINK_PAGE)},                    /* UNLINK_PAGE */
    [RM_BTREE][0x9] = {FIELDS(BTREE_UNLINK_PAGE, {FIELD_FIXED, 0})},  /* UNLINK_PAGE_META */
    [RM_BTREE][0xB] = {FIELDS({FIELD_TID, 12}, {FIELD_BLOCK, 20})},   /* MARK_PAGE_HALFDEAD */
    [RM_GIN][0x3] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}),    /* SPLIT */
                     .more = more_of_gin_split_94},
    [RM_GIN][0x9] = {FIELDS({FIELD_BLOCK, 12})},                      /* VACUUM_DATA_LEAF_PAGE */
};

/* Known opcodes of the other resource managers, one bit each; only XLOG's FPI names a block. Hash
 * indexes are not logged, so they have no records. */
static const uint16_t known_opcodes[RM_HEAP2] = {
    0x07FF,                                                           /* XLOG: to FPI */
    0x007F,                                                           /* Transaction: to COMMIT_COMPACT */
    0x0006,                                                           /* Storage: CREATE, TRUNCATE */
    0x0003,                                                           /* CLOG: ZEROPAGE, TRUNCATE */
    0x0003,                                                           /* Database: CREATE, DROP */
    0x0003,                                                           /* Tablespace: CREATE, DROP */
    0x0007,                                                           /* MultiXact: ZERO_OFF_PAGE, ZERO_MEM_PAGE, CREATE_ID */
    0x0001,                                                           /* RelMap: UPDATE */
    0x0003,                                                           /* Standby: LOCK, RUNNING_XACTS */
};
/* clang-format on */

/* Add the blocks that the record names. Returns false if its kind is unknown, or its data does not
 * have the form of that kind. */
static bool add_named_blocks(OldData *data, uint8_t rmgr)
{
    const uint8_t opcode = data->info & WAL_OPCODE_MASK;
    const uint8_t number =
        (rmgr == RM_HEAP || rmgr == RM_HEAP2 ? opcode & HEAP_OPCODE_MASK : opcode) >> 4;
    const Rule *rule = &rules[rmgr][number];
    BlockReference *block;

    if (rmgr == RM_XLOG && opcode == XLOG_FPI)
    {
        /* The data is like a backup block. */
        more_of_newpage(data);
        if (has(data, 0, BACKUP_SIZE) && data->record->block_count > 0)
        {
            block = &data->record->blocks[data->record->block_count - 1];
            block->has_image = true;
            block->image_applies = true;
        }
    }
    if (rmgr < RM_HEAP2)
        return (known_opcodes[rmgr] >> (opcode >> 4) & 1) && !data->failed;
    if (!rule->known)
        rule = &(data->children ? rules_94 : rules_93)[rmgr][number];
    for (int i = 0; i < FIELDS_MAX && rule->fields[i].kind != 0; i++)
    {
        const Field field = rule->fields[i];
        const BlockNumber named = field.kind == FIELD_FIXED ? field.offset
                                  : field.kind == FIELD_TID ? block_id_of(data, field.offset)
                                                            : u32_of(data, field.offset);

        if ((field.kind != FIELD_UNLESS_ZERO || named != 0) &&
            (field.kind != FIELD_IF_VALID || named != BLOCK_INVALID))
            add_main(data, named);
    }
    if (rule->more != NULL)
        rule->more(data);
    return rule->known && !data->failed;
}

/* Read the backup blocks after the data. Returns what is wrong with them, or NULL. */
static const char *take_backups(uint32_t block_size, const uint8_t *position, const uint8_t *end,
                                WalRecord *record, bool *known)
{
    for (int i = 0; i < BACKUPS_MAX; i++)
    {
        if (!(record->info & BACKUP_FLAG(i)))
            continue;
        if (end - position < BACKUP_SIZE)
            return "invalid backup block size in record";
        uint32_t fork = load_u32(position + BACKUP_AT_FORK);
        uint32_t hole_length = load_u16(position + BACKUP_AT_HOLE_LENGTH);
        if (load_u16(position + BACKUP_AT_HOLE_OFFSET) + hole_length > block_size)
            return "incorrect hole size in record";
        uint32_t size = BACKUP_SIZE + block_size - hole_length;
        if ((size_t) (end - position) < size)
            return "invalid backup block size in record";
        if (fork > FORK_INIT)
            *known = false;
        record->blocks[record->block_count++] =
            (BlockReference){.id = (uint8_t) i,
                             .fork = (uint8_t) fork,
                             .has_image = true,
                             .image_applies = true,
                             .relation = relation_at(position),
                             .block = load_u32(position + BACKUP_AT_BLOCK)};
        position += size;
    }
    return position == end ? NULL : "incorrect total length in record";
}

const char *old_record_take_blocks(const Version *version, uint32_t block_size,
                                   const uint8_t *bytes, WalRecord *record)
{
    OldData data = {.bytes = bytes + walrecord_header_size(version),
                    .size = record->data_size,
                    .info = record->info,
                    .children = version->old_wal_names_children,
                    .record = record};
    bool known = true;
    const char *wrong = take_backups(block_size, data.bytes + data.size,
                                     bytes + record->total_length, record, &known);

    if (wrong != NULL)
        return wrong;
    record->data = data.bytes;
    record->info &= WAL_OPCODE_MASK;
    if (!add_named_blocks(&data, record->rmgr) || !known)
        record->info |= XLR_SPECIAL_REL_UPDATE;
    /* Skip relation and block, so that the data is as in later versions. */
    if (record->rmgr == RM_HEAP2 && (record->info & HEAP_OPCODE_MASK) == HEAP2_MULTI_INSERT &&
        record->data_size >= MULTI_INSERT_AT_FLAGS)
    {
        record->data += MULTI_INSERT_AT_FLAGS;
        record->data_size -= MULTI_INSERT_AT_FLAGS;
    }
    return NULL;
}
