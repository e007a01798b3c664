#include "format/old_crc.h"
#include "format/walrecord_parts.h"

#include <string.h>

/* XLogRecord, access/xlog.h, alike in 9.3 and 9.4. Four bytes of padding follow the CRC. */
#define HEADER_SIZE WAL_RECORD_OLD_HEADER_SIZE
#define AT_TOTAL_LENGTH 0
#define AT_XID 4
#define AT_DATA_LENGTH 8
#define AT_INFO 12
#define AT_RMGR 13
#define AT_PREV 16
#define AT_CRC 24

/* BkpBlock, access/xlog_internal.h: the image follows, without its hole. */
#define BACKUP_SIZE 24
#define BACKUP_AT_FORK 12
#define BACKUP_AT_BLOCK 16
#define BACKUP_AT_HOLE_OFFSET 20
#define BACKUP_AT_HOLE_LENGTH 22
#define BACKUPS_MAX 4
#define BACKUP_FLAG(i) (0x08 >> (i)) /* XLR_BKP_BLOCK */
#define BLOCK_SIZE_MAX 32768

#define OPCODE_MASK 0xF0
#define HEAP_OPCODE_MASK 0x70 /* access/heapam_xlog.h */
#define HEAP2_MULTI_INSERT 0x50
#define MULTI_INSERT_AT_FLAGS 16 /* xl_heap_multi_insert: behind relation and block */
#define XLOG_SWITCH 0x40         /* catalog/pg_control.h */
#define XLOG_FPI 0xA0

/* access/rmgrlist.h; those before write no block of a relation, but for XLOG's FPI. */
enum
{
    OLD_HEAP2 = 9,
    OLD_HEAP = 10,
    OLD_BTREE = 11,
    OLD_HASH = 12,
    OLD_GIN = 13,
    OLD_GIST = 14,
    OLD_SEQUENCE = 15,
    OLD_SPGIST = 16,
    OLD_RMGRS
};

#define BLOCK_INVALID 0xFFFFFFFFu

/* ---- The header ---- */

/* ValidXLogRecordHeader of 9.4's xlogreader.c; only a switch has no data. */
static const char *check_lengths(const uint8_t *bytes)
{
    uint64_t total = u32_at(bytes + AT_TOTAL_LENGTH);
    uint64_t data = u32_at(bytes + AT_DATA_LENGTH);
    bool is_switch = bytes[AT_RMGR] == RM_XLOG && bytes[AT_INFO] == XLOG_SWITCH;

    if (is_switch && data != 0)
        return "invalid xlog switch record";
    if (!is_switch && data == 0)
        return "record with zero length";
    if (total < HEADER_SIZE + data ||
        total > HEADER_SIZE + data + (uint64_t) BACKUPS_MAX * (BACKUP_SIZE + BLOCK_SIZE_MAX))
        return "invalid record length";
    return NULL;
}

bool walrecord_old_header_parse(const Version *version, const uint8_t *bytes, size_t size, Lsn lsn,
                                WalRecordHeader *header, Error *error)
{
    const char *wrong;

    if (size < HEADER_SIZE)
        return error_record(version, lsn, error, "incomplete record header");
    header->total_length = u32_at(bytes + AT_TOTAL_LENGTH);
    header->xid = u32_at(bytes + AT_XID);
    header->prev = u64_at(bytes + AT_PREV);
    header->info = bytes[AT_INFO];
    header->rmgr = bytes[AT_RMGR];
    header->crc = u32_at(bytes + AT_CRC);
    if (!walrecord_check_length(version, header, HEADER_SIZE, lsn, error))
        return false;
    wrong = check_lengths(bytes);
    if (wrong != NULL)
        return error_record(version, lsn, error, wrong);
    return walrecord_check_origin(version, header, lsn, error);
}

/* ---- The blocks ---- */

/*
 * What a record's data names. Only the fixed part is always there: what belongs to a page is left
 * out where the record has a backup of that page.
 */
typedef struct Names
{
    const uint8_t *data;
    uint32_t size;
    uint8_t info;  /* as in the header, with the flags of backups */
    bool children; /* the version's row: old_wal_names_children */
    bool failed;   /* the data is not as we know it */
    WalRecord *record;
} Names;

static bool has(Names *names, uint32_t offset, uint32_t size)
{
    if (offset > names->size || size > names->size - offset)
        names->failed = true;
    return !names->failed;
}

/* Numbers in the data; 0 and failed where it is too short. */
static uint8_t u8_of(Names *names, uint32_t offset)
{
    return has(names, offset, 1) ? names->data[offset] : 0;
}

static uint16_t u16_of(Names *names, uint32_t offset)
{
    return has(names, offset, 2) ? u16_at(names->data + offset) : 0;
}

static uint32_t u32_of(Names *names, uint32_t offset)
{
    return has(names, offset, 4) ? u32_at(names->data + offset) : 0;
}

/* BlockIdData, with which an ItemPointerData begins: the high half first. */
static BlockNumber block_id_of(Names *names, uint32_t offset)
{
    return (BlockNumber) u16_of(names, offset) << 16 | u16_of(names, offset + 2);
}

/*
 * No block counts as one that redo writes whole without reading it, but for backups: whether it
 * does so is nowhere in the record, and minor versions differ (pages of a GIN pending list that are
 * deleted, the metapage: 9.3.0 to 9.3.4 wrote them only where they were older than the record).
 */
static void add_block(Names *names, uint32_t fork, BlockNumber number)
{
    WalRecord *record = names->record;

    if (fork > FORK_INIT || number == BLOCK_INVALID ||
        record->block_count == WAL_RECORD_BLOCKS_MAX || !has(names, 0, RELATION_ID_SIZE))
    {
        names->failed = true;
        return;
    }
    RelationId relation = relation_at(names->data);
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

static void add_main(Names *names, BlockNumber number)
{
    add_block(names, FORK_MAIN, number);
}

/* How the fixed part of a record names a block that redo changes. */
enum
{
    FIELD_BLOCK = 1,   /* a number at the offset */
    FIELD_TID,         /* the tuple's block at the offset */
    FIELD_UNLESS_ZERO, /* a number; 0 for none (P_NONE) */
    FIELD_IF_VALID,    /* a number; InvalidBlockNumber for none */
    FIELD_FIXED        /* the offset is the block's number */
};

typedef struct Field
{
    uint8_t kind;
    uint8_t offset;
} Field;

#define FIELDS_MAX 6

/* What redo does with a kind of record; more: what its fields do not say. */
typedef struct Rule
{
    bool known;
    Field fields[FIELDS_MAX];
    void (*more)(Names *names);
} Rule;

static void add_field(Names *names, Field field)
{
    BlockNumber number = field.offset;

    switch (field.kind)
    {
    case FIELD_TID:
        number = block_id_of(names, field.offset);
        break;
    case FIELD_UNLESS_ZERO:
        number = u32_of(names, field.offset);
        if (number == 0)
            return;
        break;
    case FIELD_IF_VALID:
        number = u32_of(names, field.offset);
        if (number == BLOCK_INVALID)
            return;
        break;
    case FIELD_BLOCK:
        number = u32_of(names, field.offset);
        break;
    default: /* FIELD_FIXED */
        break;
    }
    if (!names->failed)
        add_main(names, number);
}

/* xl_heap_update: target, old_xmax, new_xmax, newtid at 28. */
static void more_of_heap_update(Names *names)
{
    BlockNumber old = block_id_of(names, 12);
    BlockNumber new = block_id_of(names, 28);

    if (!names->failed && new != old)
        add_main(names, new);
}

/* xl_heap_newpage: relation, i32 fork, block; the page. */
static void more_of_newpage(Names *names)
{
    uint32_t fork = u32_of(names, 12);
    BlockNumber number = u32_of(names, 16);

    if (!names->failed)
        add_block(names, fork, number);
}

/* XLOG FPI: a backup block that lies in the data. */
static void more_of_full_page_image(Names *names)
{
    more_of_newpage(names);
    if (!has(names, 0, BACKUP_SIZE) || names->record->block_count == 0)
        return;
    BlockReference *block = &names->record->blocks[names->record->block_count - 1];
    block->has_image = true;
    block->image_applies = true;
}

static bool has_backup(const Names *names, int index)
{
    return (names->info & BACKUP_FLAG(index)) != 0;
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

static uint32_t tuple_size(Names *names, uint32_t offset)
{
    uint32_t size = u16_of(names, offset + 6) & TUPLE_SIZE_MASK;

    if (size < TUPLE_SIZE_MIN)
        names->failed = true;
    return size;
}

/* To the next tuple, where each is padded. */
static uint32_t aligned_tuple_size(Names *names, uint32_t offset)
{
    return (tuple_size(names, offset) + 7) & ~7u;
}

/* The block of the level below whose incomplete split ends with this record loses that mark. */
static void add_child(Names *names, BlockNumber child)
{
    if (!names->failed)
        add_main(names, child);
}

/* The child's number is left out with a backup of it, which is then the first. */
static void more_of_btree_insert_upper(Names *names)
{
    if (names->children && !has_backup(names, 0))
        add_child(names, u32_of(names, BTREE_INSERT_SIZE));
}

/* Before the child's number: the new item's place and the item, where it is on the left page, and
 * the left page's high key; both items are left out with a backup of that page. */
static void more_of_btree_split(Names *names)
{
    uint8_t opcode = names->info & OPCODE_MASK;
    bool on_left = opcode == BTREE_SPLIT_L || opcode == BTREE_SPLIT_L_ROOT;
    uint32_t offset = BTREE_SPLIT_SIZE;

    if (!names->children || u32_of(names, BTREE_SPLIT_AT_LEVEL) == 0 || has_backup(names, 1))
        return;
    if (on_left)
        offset += 2;
    if (on_left && !has_backup(names, 0))
        offset += aligned_tuple_size(names, offset);
    if (!has_backup(names, 0))
        offset += aligned_tuple_size(names, offset);
    add_child(names, u32_of(names, offset));
}

/* An empty root is a leaf. Another one has two tuples, the page's second first: the other leads to
 * the left child. */
static void more_of_btree_newroot(Names *names)
{
    if (!names->children || u32_of(names, BTREE_NEWROOT_AT_LEVEL) == 0)
        return;
    uint32_t first = BTREE_NEWROOT_SIZE + aligned_tuple_size(names, BTREE_NEWROOT_SIZE);
    if (first + aligned_tuple_size(names, first) != names->size)
        names->failed = true;
    if (!has_backup(names, 0))
        add_child(names, block_id_of(names, first));
}

/* gin_private.h of 9.4: ginxlogInsert and ginxlogSplit have flags. */
#define GIN_IS_LEAF 0x02
#define GIN_SPLIT_ROOT 0x04

static void more_of_gin_insert(Names *names)
{
    if (names->children && !(u16_of(names, 16) & GIN_IS_LEAF))
        add_child(names, block_id_of(names, 20));
}

/* 9.3: {left 12; root 16; right 20; ...; is_root_split 34} */
static void more_of_gin_split_93(Names *names)
{
    BlockNumber root = u32_of(names, 16);

    if (u8_of(names, 34) != 0)
        add_main(names, root);
}

/* 9.4: {left 12; right 16; right link, or the root 20; left child 24; ...; flags 32} */
static void more_of_gin_split_94(Names *names)
{
    uint16_t flags = u16_of(names, 32);

    if (flags & GIN_SPLIT_ROOT)
        add_main(names, u32_of(names, 20));
    if (!(flags & GIN_IS_LEAF))
        add_child(names, u32_of(names, 24));
}

/* ginxlogUpdateMeta: {metadata 16, its tail 20; previous tail 72; new right link; tuples 80} */
static void more_of_gin_update_meta(Names *names)
{
    int32_t tuples = (int32_t) u32_of(names, 80);
    BlockNumber page = u32_of(names, tuples > 0 ? 20 : 72);

    if (!names->failed && page != BLOCK_INVALID)
        add_main(names, page);
}

/* ginxlogDeleteListPages: {metadata 16; count 72; blocks 76} */
static void more_of_gin_delete_list_pages(Names *names)
{
    uint32_t count = u32_of(names, 72);

    if (count > WAL_RECORD_BLOCKS_MAX)
        names->failed = true;
    for (uint32_t i = 0; i < count && !names->failed; i++)
        add_main(names, u32_of(names, 76 + 4 * i));
}

/* gistxlogPageSplit: {...; left child 36; pages 40}, from 48 on the pages: {block; count; tuples}.
 */
static void more_of_gist_split(Names *names)
{
    uint32_t pages = u16_of(names, 40);
    uint32_t offset = 48;

    for (uint32_t i = 0; i < pages && !names->failed; i++)
    {
        BlockNumber number = u32_of(names, offset);
        uint32_t tuples = u32_of(names, offset + 4);

        offset += 8;
        for (uint32_t j = 0; j < tuples && !names->failed; j++)
            offset += tuple_size(names, offset);
        if (!names->failed)
            add_main(names, number);
    }
    if (offset != names->size)
        names->failed = true;
}

/* ---- The table: what the redo routines of access/ and commands/sequence.c change ---- */

#define FIELDS(...) .known = true, .fields = {__VA_ARGS__}

/* clang-format off */
static const Rule heap[8] = {
    [0x0] = {FIELDS({FIELD_TID, 12})},                                /* INSERT */
    [0x1] = {FIELDS({FIELD_TID, 12})},                                /* DELETE */
    [0x2] = {FIELDS({FIELD_TID, 12}), .more = more_of_heap_update},   /* UPDATE */
    [0x4] = {FIELDS({FIELD_TID, 12}), .more = more_of_heap_update},   /* HOT_UPDATE */
    [0x5] = {.known = true, .more = more_of_newpage},                 /* NEWPAGE */
    [0x6] = {FIELDS({FIELD_TID, 12})},                                /* LOCK */
    [0x7] = {FIELDS({FIELD_TID, 12})},                                /* INPLACE */
};

#define HEAP2_COMMON                                                                              \
    [0x1] = {FIELDS({FIELD_BLOCK, 12})},                              /* CLEAN */                 \
    [0x2] = {FIELDS({FIELD_BLOCK, 12})},                              /* FREEZE_PAGE */           \
    [0x3] = {.known = true},                                          /* CLEANUP_INFO */          \
    [0x4] = {FIELDS({FIELD_BLOCK, 12})},                              /* VISIBLE */               \
    [0x5] = {FIELDS({FIELD_BLOCK, 12})},                              /* MULTI_INSERT */          \
    [0x6] = {FIELDS({FIELD_TID, 12})}                                 /* LOCK_UPDATED */

static const Rule heap2_93[8] = {
    HEAP2_COMMON,
    [0x0] = {FIELDS({FIELD_BLOCK, 12})},                              /* FREEZE */
};

static const Rule heap2_94[8] = {
    HEAP2_COMMON,
    [0x0] = {.known = true},                                          /* REWRITE: pg_logical */
    [0x7] = {.known = true},                                          /* NEW_CID */
};

#define BTREE_SPLIT                                                                               \
    {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}, {FIELD_UNLESS_ZERO, 20}),                       \
     .more = more_of_btree_split}

/* What the two versions have in common. The metapage, block 0, is always written anew. */
#define BTREE_COMMON                                                                              \
    [0x0] = {FIELDS({FIELD_TID, 12})},                                /* INSERT_LEAF */           \
    [0x1] = {FIELDS({FIELD_TID, 12}), .more = more_of_btree_insert_upper},                        \
    [0x2] = {FIELDS({FIELD_TID, 12}, {FIELD_FIXED, 0}),               /* INSERT_META */           \
             .more = more_of_btree_insert_upper},                                                 \
    [0x3] = BTREE_SPLIT,                                              /* SPLIT_L */               \
    [0x4] = BTREE_SPLIT,                                              /* SPLIT_R */               \
    [0x5] = BTREE_SPLIT,                                              /* SPLIT_L_ROOT */          \
    [0x6] = BTREE_SPLIT,                                              /* SPLIT_R_ROOT */          \
    [0x7] = {FIELDS({FIELD_BLOCK, 12})},                              /* DELETE */                \
    [0xA] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_FIXED, 0}),                                         \
             .more = more_of_btree_newroot},                          /* NEWROOT */               \
    [0xC] = {FIELDS({FIELD_BLOCK, 12})},                              /* VACUUM */                \
    [0xD] = {.known = true}                                           /* REUSE_PAGE */

/* xl_btree_delete_page: parent's tuple; dead 20, left 24, right 28 */
#define BTREE_DELETE_PAGE                                                                         \
    {FIELD_TID, 12}, {FIELD_BLOCK, 20}, {FIELD_UNLESS_ZERO, 24}, {FIELD_BLOCK, 28}

static const Rule btree_93[16] = {
    BTREE_COMMON,
    [0x8] = {FIELDS(BTREE_DELETE_PAGE)},                              /* DELETE_PAGE */
    [0x9] = {FIELDS(BTREE_DELETE_PAGE, {FIELD_FIXED, 0})},            /* DELETE_PAGE_META */
    [0xB] = {FIELDS(BTREE_DELETE_PAGE)},                              /* DELETE_PAGE_HALF */
};

/* xl_btree_unlink_page: dead 12, left 16, right 20; the leaf of the branch 24 */
#define BTREE_UNLINK_PAGE                                                                         \
    {FIELD_BLOCK, 12}, {FIELD_UNLESS_ZERO, 16}, {FIELD_BLOCK, 20}, {FIELD_BLOCK, 24}

static const Rule btree_94[16] = {
    BTREE_COMMON,
    [0x8] = {FIELDS(BTREE_UNLINK_PAGE)},                              /* UNLINK_PAGE */
    [0x9] = {FIELDS(BTREE_UNLINK_PAGE, {FIELD_FIXED, 0})},            /* UNLINK_PAGE_META */
    [0xB] = {FIELDS({FIELD_TID, 12}, {FIELD_BLOCK, 20})},             /* MARK_PAGE_HALFDEAD */
};

#define GIN_COMMON                                                                                \
    [0x0] = {FIELDS({FIELD_FIXED, 0}, {FIELD_FIXED, 1})},             /* CREATE_INDEX */          \
    [0x1] = {FIELDS({FIELD_BLOCK, 12})},                              /* CREATE_PTREE */          \
    [0x2] = {FIELDS({FIELD_BLOCK, 12}), .more = more_of_gin_insert},  /* INSERT */                \
    [0x5] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}, {FIELD_IF_VALID, 24})}, /* DELETE_PAGE */\
    [0x6] = {FIELDS({FIELD_FIXED, 0}), .more = more_of_gin_update_meta},                          \
    [0x7] = {FIELDS({FIELD_BLOCK, 12})},                              /* INSERT_LISTPAGE */       \
    [0x8] = {FIELDS({FIELD_FIXED, 0}), .more = more_of_gin_delete_list_pages}

static const Rule gin_93[16] = {
    GIN_COMMON,
    [0x3] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 20}),            /* SPLIT */
             .more = more_of_gin_split_93},
    [0x4] = {FIELDS({FIELD_BLOCK, 12})},                              /* VACUUM_PAGE */
};

static const Rule gin_94[16] = {
    GIN_COMMON,
    [0x3] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}),            /* SPLIT */
             .more = more_of_gin_split_94},
    [0x4] = {FIELDS({FIELD_BLOCK, 12})},                              /* VACUUM_PAGE: all of it */
    [0x9] = {FIELDS({FIELD_BLOCK, 12})},                              /* VACUUM_DATA_LEAF_PAGE */
};

/* The left child is the page whose split ends with this record. */
static const Rule gist[16] = {
    [0x0] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 16})},        /* PAGE_UPDATE */
    [0x3] = {FIELDS({FIELD_IF_VALID, 36}), .more = more_of_gist_split}, /* PAGE_SPLIT */
    [0x5] = {FIELDS({FIELD_FIXED, 0})},                               /* CREATE_INDEX */
};

static const Rule sequence[16] = {
    [0x0] = {FIELDS({FIELD_FIXED, 0})},                               /* LOG */
};

static const Rule spgist[16] = {
    [0x0] = {FIELDS({FIELD_FIXED, 0}, {FIELD_FIXED, 1},               /* CREATE_INDEX */
                    {FIELD_FIXED, 2})},
    [0x1] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 24})},        /* ADD_LEAF: parent 24 */
    [0x2] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 16}, {FIELD_BLOCK, 28})}, /* MOVE_LEAFS */
    [0x3] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 20}, {FIELD_IF_VALID, 28})}, /* ADD_NODE */
    [0x4] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_BLOCK, 20})},           /* SPLIT_TUPLE */
    [0x5] = {FIELDS({FIELD_BLOCK, 12}, {FIELD_IF_VALID, 16}, {FIELD_BLOCK, 28}, /* PICKSPLIT */
                    {FIELD_IF_VALID, 36})},
    [0x6] = {FIELDS({FIELD_BLOCK, 12})},                              /* VACUUM_LEAF */
    [0x7] = {FIELDS({FIELD_BLOCK, 12})},                              /* VACUUM_ROOT */
    [0x8] = {FIELDS({FIELD_BLOCK, 12})},                              /* VACUUM_REDIRECT */
};

/* Hash indexes are not logged: there is no record to know. */
static const Rule hash[16];

static const Rule *const rules_93[OLD_RMGRS] = {
    [OLD_HEAP2] = heap2_93, [OLD_HEAP] = heap, [OLD_BTREE] = btree_93, [OLD_HASH] = hash,
    [OLD_GIN] = gin_93, [OLD_GIST] = gist, [OLD_SEQUENCE] = sequence, [OLD_SPGIST] = spgist,
};

static const Rule *const rules_94[OLD_RMGRS] = {
    [OLD_HEAP2] = heap2_94, [OLD_HEAP] = heap, [OLD_BTREE] = btree_94, [OLD_HASH] = hash,
    [OLD_GIN] = gin_94, [OLD_GIST] = gist, [OLD_SEQUENCE] = sequence, [OLD_SPGIST] = spgist,
};

/* The opcodes of the others, one bit each: no block of a relation, but for FPI. */
static const uint16_t known_opcodes[OLD_HEAP2] = {
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

/* False: the record is none that we know, or its data is not what that kind has. */
static bool add_named_blocks(Names *names, uint8_t rmgr)
{
    const uint8_t opcode = names->info & OPCODE_MASK;

    if (rmgr < OLD_HEAP2)
    {
        if (rmgr == RM_XLOG && opcode == XLOG_FPI)
            more_of_full_page_image(names);
        return (known_opcodes[rmgr] >> (opcode >> 4) & 1) && !names->failed;
    }
    const bool is_heap = rmgr == OLD_HEAP || rmgr == OLD_HEAP2;
    const Rule *rules = names->children ? rules_94[rmgr] : rules_93[rmgr];
    const Rule *rule = &rules[(is_heap ? opcode & HEAP_OPCODE_MASK : opcode) >> 4];

    for (int i = 0; i < FIELDS_MAX && rule->fields[i].kind != 0; i++)
        add_field(names, rule->fields[i]);
    if (rule->more != NULL)
        rule->more(names);
    return rule->known && !names->failed;
}

/* ---- The record ---- */

/* The backup blocks behind the data. What is wrong with them; NULL: nothing. */
static const char *take_backups(uint32_t block_size, uint8_t info, const uint8_t *position,
                                const uint8_t *end, WalRecord *record, bool *known)
{
    for (int i = 0; i < BACKUPS_MAX; i++)
    {
        if (!(info & BACKUP_FLAG(i)))
            continue;
        if (end - position < BACKUP_SIZE)
            return "invalid backup block size in record";
        uint32_t fork = u32_at(position + BACKUP_AT_FORK);
        uint32_t hole_length = u16_at(position + BACKUP_AT_HOLE_LENGTH);
        if (u16_at(position + BACKUP_AT_HOLE_OFFSET) + hole_length > block_size)
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
                             .block = u32_at(position + BACKUP_AT_BLOCK)};
        position += size;
    }
    return position == end ? NULL : "incorrect total length in record";
}

/* First what follows the header, then the header up to prev. */
static uint32_t old_record_crc(const uint8_t *bytes, size_t size)
{
    uint32_t running = old_crc_update(OLD_CRC_INIT, bytes + HEADER_SIZE, size - HEADER_SIZE);

    return old_crc_finish(old_crc_update(running, bytes, AT_CRC));
}

bool walrecord_old_decode(const Version *version, uint32_t block_size,
                          const WalRecordHeader *header, const uint8_t *bytes, Lsn lsn,
                          WalRecord *record, Error *error)
{
    const uint8_t *data = bytes + HEADER_SIZE;
    const uint32_t data_size = u32_at(bytes + AT_DATA_LENGTH);
    bool known = true;

    if (old_record_crc(bytes, header->total_length) != header->crc)
        return error_record(version, lsn, error,
                            "incorrect resource manager data checksum in record");
    record->lsn = lsn;
    record->end = LSN_INVALID;
    record->prev = header->prev;
    record->total_length = header->total_length;
    record->xid = header->xid;
    record->info = header->info & OPCODE_MASK;
    record->rmgr = header->rmgr;
    record->block_count = 0;
    record->data = data;
    record->data_size = data_size;

    const char *wrong = take_backups(block_size, header->info, data + data_size,
                                     bytes + header->total_length, record, &known);
    if (wrong != NULL)
        return error_record(version, lsn, error, wrong);
    Names names = {.data = data,
                   .size = data_size,
                   .info = header->info,
                   .children = version->old_wal_names_children,
                   .record = record};
    if (!add_named_blocks(&names, header->rmgr) || !known)
        record->info |= XLR_SPECIAL_REL_UPDATE;
    /* From here on as in later versions, whose data does not say which block it is for. */
    if (header->rmgr == OLD_HEAP2 && (header->info & HEAP_OPCODE_MASK) == HEAP2_MULTI_INSERT &&
        data_size >= MULTI_INSERT_AT_FLAGS)
    {
        record->data += MULTI_INSERT_AT_FLAGS;
        record->data_size -= MULTI_INSERT_AT_FLAGS;
    }
    return true;
}

/* ---- Events ---- */

#define XACT_COMMIT 0x00 /* access/xact.h */
#define XACT_ABORT 0x20
#define XACT_COMMIT_PREPARED 0x30
#define XACT_ABORT_PREPARED 0x40
#define XACT_COMMIT_COMPACT 0x60
#define INVALIDATION_SIZE 16 /* SharedInvalidationMessage */

/* So many items; more than are there have failed. */
static const uint8_t *take_items(Cursor *cursor, uint32_t count, size_t item_size)
{
    if (count > cursor_left(cursor) / item_size)
    {
        cursor->failed = true;
        return NULL;
    }
    return cursor_bytes(cursor, count * item_size);
}

/* xl_xact_commit, xl_xact_abort: counts first, then relations, subtransactions, messages. */
static void read_end(Cursor *cursor, bool commit, WalEvent *event)
{
    uint32_t messages = 0;

    event->kind = commit ? WAL_EVENT_COMMIT : WAL_EVENT_ABORT;
    event->time = (int64_t) cursor_u64(cursor);
    if (commit)
        cursor_skip(cursor, 4); /* xinfo */
    event->dropped_count = cursor_u32(cursor);
    event->subxid_count = cursor_u32(cursor);
    if (commit)
    {
        messages = cursor_u32(cursor);
        event->database = cursor_u32(cursor);
        event->tablespace = cursor_u32(cursor);
    }
    event->dropped = take_items(cursor, event->dropped_count, RELATION_ID_SIZE);
    event->subxids = take_items(cursor, event->subxid_count, sizeof(uint32_t));
    take_items(cursor, messages, INVALIDATION_SIZE);
}

void walrecord_old_xact_end(const WalRecord *record, Cursor *cursor, WalEvent *event)
{
    uint8_t opcode = record->info & OPCODE_MASK;

    event->xid = record->xid;
    switch (opcode)
    {
    case XACT_COMMIT:
    case XACT_ABORT:
        read_end(cursor, opcode == XACT_COMMIT, event);
        break;
    case XACT_COMMIT_PREPARED:
    case XACT_ABORT_PREPARED:
        event->prepared = true;
        event->xid = cursor_u32(cursor);
        cursor_skip(cursor, 4); /* padding */
        read_end(cursor, opcode == XACT_COMMIT_PREPARED, event);
        break;
    case XACT_COMMIT_COMPACT:
        event->kind = WAL_EVENT_COMMIT;
        event->time = (int64_t) cursor_u64(cursor);
        event->subxid_count = cursor_u32(cursor);
        event->subxids = take_items(cursor, event->subxid_count, sizeof(uint32_t));
        break;
    default:
        break;
    }
}
