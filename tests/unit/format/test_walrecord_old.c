/*
 * Records of 9.3 and 9.4: which blocks each kind names. Real ones are in test_walrecord; these are
 * made, field by field, as the redo routines read them.
 */
#include "../../every_version.h"
#include "data.h"

#define BLOCK_SIZE 8192
#define LSN 0x1000028
#define HEADER 32

#define IN_93 1
#define IN_94 2
#define IN_BOTH 3

#define U16(value) (uint8_t)((value) &0xFF), (uint8_t) ((value) >> 8 & 0xFF)
#define U32(value) U16((value) &0xFFFF), U16((uint32_t) (value) >> 16)
#define RELATION U32(1663), U32(5), U32(16384)
#define TID(block) U16((block) >> 16), U16((block) &0xFFFF), U16(3)
#define TARGET(block) RELATION, TID(block) /* 18 bytes; padded where numbers follow */
#define PAD2 0, 0
#define PAD4 0, 0, 0, 0
#define PAD8 PAD4, PAD4
#define NONE U32(0xFFFFFFFFu)
#define TUPLE(block, size) TID(block), U16(size)                        /* index tuple's header */
#define META PAD4, U32(21), U32(22), PAD8, PAD8, PAD8, PAD8, PAD8, PAD8 /* 16 to 72: head, tail */

/* blocks: what is named, in order. */
typedef struct Case
{
    unsigned versions;
    uint8_t rmgr;
    uint8_t info;
    const char *blocks;
    const uint8_t *data;
    uint32_t size;
} Case;

#define CASE(versions, rmgr, info, blocks, ...)                                                    \
    {                                                                                              \
        versions, rmgr, info, blocks, (const uint8_t[]){__VA_ARGS__},                              \
            sizeof((const uint8_t[]){__VA_ARGS__})                                                 \
    }

enum
{
    HEAP2 = 9,
    HEAP,
    BTREE,
    HASH,
    GIN,
    GIST,
    SEQUENCE,
    SPGIST
};

/* clang-format off */
static const Case cases[] = {
    /* Heap: the tuple's block is a block id, its high half first. */
    CASE(IN_BOTH, HEAP, 0x00, "65543", TARGET(65543), 1, 9, 9),
    CASE(IN_BOTH, HEAP, 0x80, "7", TARGET(7), 0, 9, 9),
    CASE(IN_BOTH, HEAP, 0x10, "7", TARGET(7), PAD2, U32(700), 0, 0),
    CASE(IN_BOTH, HEAP, 0x20, "7 65544", TARGET(7), PAD2, U32(700), U32(0), TID(65544), 0, 0),
    CASE(IN_BOTH, HEAP, 0xA0, "7 8", TARGET(7), PAD2, U32(700), U32(0), TID(8), 0, 0),
    CASE(IN_BOTH, HEAP, 0x40, "7", TARGET(7), PAD2, U32(700), U32(0), TID(7), 0, 0),
    CASE(IN_BOTH, HEAP, 0xC0, "7", TARGET(7), PAD2, U32(700), U32(0), TID(7), 0, 0),
    CASE(IN_BOTH, HEAP, 0x50, "9", RELATION, U32(0), U32(9), 1, 2, 3),
    CASE(IN_BOTH, HEAP, 0x60, "7", TARGET(7), PAD2, U32(700), 1),
    CASE(IN_BOTH, HEAP, 0x70, "7", TARGET(7), 1),
    CASE(IN_93, HEAP2, 0x00, "7", RELATION, U32(7), U32(700), U32(1), U16(1)),
    CASE(IN_94, HEAP2, 0x00, "", U32(700), U32(5), U32(16384), PAD4),
    CASE(IN_BOTH, HEAP2, 0x10, "7", RELATION, U32(7), U32(700), U16(0), U16(1), U16(4)),
    CASE(IN_BOTH, HEAP2, 0x20, "7", RELATION, U32(7), U32(700), U16(1)),
    CASE(IN_BOTH, HEAP2, 0x30, "", RELATION, U32(700)),
    CASE(IN_BOTH, HEAP2, 0x40, "7", RELATION, U32(7), U32(700)),
    CASE(IN_BOTH, HEAP2, 0x50, "7", RELATION, U32(7), 0, 0, U16(2), U16(1), U16(2)),
    CASE(IN_BOTH, HEAP2, 0xD0, "7", RELATION, U32(7), 0, 0, U16(2)),
    CASE(IN_BOTH, HEAP2, 0x60, "7", TARGET(7), PAD2, U32(700), 1),
    CASE(IN_94, HEAP2, 0x70, "", PAD8, PAD8, TARGET(7)),

    /* Btree: from 9.4 on an insertion above the leaves ends the split of a child. */
    CASE(IN_BOTH, BTREE, 0x00, "7", TARGET(7), TUPLE(1, 8)),
    CASE(IN_93, BTREE, 0x10, "7", TARGET(7), U32(5), TUPLE(1, 8)),
    CASE(IN_94, BTREE, 0x10, "7 5", TARGET(7), U32(5), TUPLE(1, 8)),
    CASE(IN_93, BTREE, 0x20, "7 0", TARGET(7), U32(5), PAD8, PAD8, TUPLE(1, 8)),
    CASE(IN_94, BTREE, 0x20, "7 0 5", TARGET(7), U32(5), PAD8, PAD8, TUPLE(1, 8)),
    CASE(IN_BOTH, BTREE, 0x30, "7 8 9", RELATION, U32(7), U32(8), U32(9), U32(0), U16(2), U16(2), TUPLE(1, 8)),
    CASE(IN_BOTH, BTREE, 0x40, "7 8", RELATION, U32(7), U32(8), U32(0), U32(0), U16(2), TUPLE(1, 8)),
    CASE(IN_93, BTREE, 0x50, "7 8 9", RELATION, U32(7), U32(8), U32(9), U32(1), U16(2), TID(5)),
    CASE(IN_93, BTREE, 0x60, "7 8", RELATION, U32(7), U32(8), U32(0), U32(1), U16(2), TID(5)),
    /* Above the leaves: the new item where it is on the left page, padded to 16 here; the high key; the child. */
    CASE(IN_94, BTREE, 0x30, "7 8 9 5", RELATION, U32(7), U32(8), U32(9), U32(1), U16(2), U16(2), TUPLE(1, 12), PAD8,
        TUPLE(1, 8), U32(5)),
    CASE(IN_94, BTREE, 0x50, "7 8 9 5", RELATION, U32(7), U32(8), U32(9), U32(1), U16(2), U16(2), TUPLE(1, 8), TUPLE(1, 16),
        PAD8, U32(5), 1, 2),
    CASE(IN_94, BTREE, 0x40, "7 8 9 5", RELATION, U32(7), U32(8), U32(9), U32(1), U16(2), TUPLE(1, 8), U32(5)),
    CASE(IN_94, BTREE, 0x60, "7 8 5", RELATION, U32(7), U32(8), U32(0), U32(1), U16(2), TUPLE(1, 8), U32(5)),
    CASE(IN_BOTH, BTREE, 0x70, "7", RELATION, U32(7), RELATION, U32(1), U16(2)),
    CASE(IN_93, BTREE, 0x80, "7 8 6 9", TARGET(7), PAD2, U32(8), U32(6), U32(9), U32(700)),
    CASE(IN_93, BTREE, 0x90, "7 8 9 0", TARGET(7), PAD2, U32(8), U32(0), U32(9), U32(700), PAD8, PAD8),
    CASE(IN_93, BTREE, 0xB0, "7 8 6 9", TARGET(7), PAD2, U32(8), U32(6), U32(9), U32(700)),
    CASE(IN_94, BTREE, 0x80, "8 6 9 4", RELATION, U32(8), U32(6), U32(9), U32(4), U32(3), U32(2), U32(1), U32(700)),
    CASE(IN_94, BTREE, 0x90, "8 9 0", RELATION, U32(8), U32(0), U32(9), U32(8), U32(0), U32(9), NONE, U32(700), PAD8, PAD8),
    CASE(IN_94, BTREE, 0xB0, "7 8", TARGET(7), PAD2, U32(8), U32(6), U32(9), NONE),
    CASE(IN_BOTH, BTREE, 0xA0, "3 0", RELATION, U32(3), U32(0)),
    CASE(IN_93, BTREE, 0xA0, "3 0", RELATION, U32(3), U32(1), TUPLE(6, 16), PAD8, TUPLE(5, 8)),
    CASE(IN_94, BTREE, 0xA0, "3 0 5", RELATION, U32(3), U32(1), TUPLE(6, 16), PAD8, TUPLE(5, 8)),
    CASE(IN_BOTH, BTREE, 0xC0, "7", RELATION, U32(7), NONE, U16(1)),
    CASE(IN_BOTH, BTREE, 0xD0, "", RELATION, U32(7), U32(700)),

    CASE(IN_BOTH, GIN, 0x00, "0 1", RELATION),
    CASE(IN_BOTH, GIN, 0x10, "7", RELATION, U32(7), U32(1), TID(4)),
    CASE(IN_93, GIN, 0x20, "7", RELATION, U32(7), NONE, U16(1), 0, 0, 1, 0, U16(1), TUPLE(1, 8)),
    CASE(IN_94, GIN, 0x20, "7", RELATION, U32(7), U16(2), PAD2, U16(1), 0, 0, TUPLE(1, 8)),
    CASE(IN_94, GIN, 0x20, "7 65541", RELATION, U32(7), U16(0), PAD2, U16(1), U16(5), U16(0), U16(6), U16(1), 0, 0),
    CASE(IN_93, GIN, 0x30, "7 8", RELATION, U32(7), U32(1), U32(8), U32(9), U16(1), U16(2), 0, 0, 0, 0, NONE, NONE, TID(1)),
    CASE(IN_93, GIN, 0x30, "7 8 1", RELATION, U32(7), U32(1), U32(8), U32(9), U16(1), U16(2), 0, 0, 1, 0, NONE, NONE, TID(1)),
    CASE(IN_94, GIN, 0x30, "7 8", RELATION, U32(7), U32(8), U32(9), NONE, NONE, U16(2), PAD2, 1),
    CASE(IN_94, GIN, 0x30, "7 8 1", RELATION, U32(7), U32(8), U32(1), NONE, NONE, U16(6), PAD2, 1),
    CASE(IN_94, GIN, 0x30, "7 8 1 4", RELATION, U32(7), U32(8), U32(1), U32(4), U32(5), U16(4), PAD2, 1),
    CASE(IN_93, GIN, 0x40, "7", RELATION, U32(7), U16(1)),
    CASE(IN_94, GIN, 0x40, "7", RELATION, U32(7), U16(24), U16(8000), 1),
    CASE(IN_BOTH, GIN, 0x50, "7 3 6", RELATION, U32(7), U32(3), U16(1), PAD2, U32(6), U32(8)),
    CASE(IN_BOTH, GIN, 0x50, "7 3", RELATION, U32(7), U32(3), U16(1), PAD2, NONE, U32(8)),
    CASE(IN_BOTH, GIN, 0x60, "0 22", RELATION, META, U32(20), U32(21), U32(1), PAD4, TUPLE(1, 8)),
    CASE(IN_BOTH, GIN, 0x60, "0 20", RELATION, META, U32(20), U32(21), U32(0)),
    CASE(IN_BOTH, GIN, 0x60, "0", RELATION, META, NONE, NONE, U32(0)),
    CASE(IN_BOTH, GIN, 0x70, "7", RELATION, U32(7), U32(8), U32(0)),
    CASE(IN_BOTH, GIN, 0x80, "0 5 6 9", RELATION, META, U32(3), U32(5), U32(6), U32(9)),
    CASE(IN_94, GIN, 0x90, "7", RELATION, U32(7), U16(1), 0, 1),

    /* Gist: the left child's flag is cleared. */
    CASE(IN_BOTH, GIST, 0x00, "7", RELATION, U32(7), NONE, U16(0)),
    CASE(IN_BOTH, GIST, 0x00, "7 5", RELATION, U32(7), U32(5), U16(0)),
    CASE(IN_BOTH, GIST, 0x30, "7 8", RELATION, U32(7), NONE, PAD4, PAD8, 1, 0, 0, 0, NONE, U16(2), 1, PAD4, 0,
        U32(7), U32(2), TUPLE(1, 8), TUPLE(1, 12), PAD4, U32(8), U32(1), TUPLE(1, 8)),
    CASE(IN_BOTH, GIST, 0x30, "5 0 8 9", RELATION, U32(0), NONE, PAD4, PAD8, 1, 0, 0, 0, U32(5), U16(3), 1, PAD4, 0,
        U32(0), U32(1), TUPLE(1, 8), U32(8), U32(0), U32(9), U32(1), TUPLE(1, 8)),
    CASE(IN_BOTH, GIST, 0x50, "0", RELATION),
    CASE(IN_BOTH, SEQUENCE, 0x00, "0", RELATION, 1, 2),

    CASE(IN_BOTH, SPGIST, 0x00, "0 1 2", RELATION),
    CASE(IN_BOTH, SPGIST, 0x10, "7 3", RELATION, U32(7), 0, 0, U16(1), U16(1), PAD2, U32(3), U16(1), U16(1)),
    CASE(IN_BOTH, SPGIST, 0x10, "7", RELATION, U32(7), 1, 0, U16(1), U16(1), PAD2, NONE, U16(1), U16(1)),
    CASE(IN_BOTH, SPGIST, 0x20, "7 8 3", RELATION, U32(7), U32(8), U16(1), 1, 0, 0, 0, 0, 0, U32(3), U16(1), U16(1), PAD8),
    CASE(IN_BOTH, SPGIST, 0x30, "7 3 8", RELATION, U32(7), U16(1), PAD2, U32(3), U16(1), U16(1), U32(8), U16(1), 1),
    CASE(IN_BOTH, SPGIST, 0x30, "7", RELATION, U32(7), U16(1), PAD2, NONE, U16(1), U16(1), NONE, U16(1), 1),
    CASE(IN_BOTH, SPGIST, 0x40, "7 8", RELATION, U32(7), U16(1), PAD2, U32(8), U16(1), 1),
    CASE(IN_BOTH, SPGIST, 0x50, "7 8 4 3", RELATION, U32(7), U32(8), U16(1), U16(1), 0, 0, PAD2, U32(4), U16(1), 0, 0, U32(3)),
    CASE(IN_BOTH, SPGIST, 0x50, "7 4", RELATION, U32(7), NONE, U16(1), U16(1), 0, 0, PAD2, U32(4), U16(1), 0, 0, NONE),
    CASE(IN_BOTH, SPGIST, 0x60, "7", RELATION, U32(7), U16(1)),
    CASE(IN_BOTH, SPGIST, 0x70, "7", RELATION, U32(7), U16(1)),
    CASE(IN_BOTH, SPGIST, 0x80, "7", RELATION, U32(7), U16(1)),
};
/* clang-format on */

static const Version *version_of(unsigned bit)
{
    return version_of_server_number(bit == IN_93 ? 90300 : 90400);
}

/* A record of this data and these backups, in memory of exactly its size. */
typedef struct Made
{
    uint8_t *bytes;
    uint32_t size;
} Made;

static Made make(uint8_t rmgr, uint8_t info, const void *data, uint32_t size, const void *backups,
                 uint32_t backups_size)
{
    Made made = {.size = HEADER + size + backups_size};

    made.bytes = calloc(1, made.size);
    store_u32(made.bytes, made.size);
    store_u32(made.bytes + 4, 700);
    store_u32(made.bytes + 8, size);
    made.bytes[12] = info;
    made.bytes[13] = rmgr;
    store_u64(made.bytes + 16, LSN - 64);
    memcpy(made.bytes + HEADER, data, size);
    if (backups_size > 0)
        memcpy(made.bytes + HEADER + size, backups, backups_size);
    return made;
}

static void seal(Made *made)
{
    uint32_t running = old_crc_update(CRC32C_INIT, made->bytes + HEADER, made->size - HEADER);

    store_u32(made->bytes + 24, crc32c_finish(old_crc_update(running, made->bytes, 24)));
}

static void parse_sealed(const Version *version, Made *made, WalRecord *record)
{
    Error error;

    seal(made);
    if (!parse_record(version, BLOCK_SIZE, made->bytes, made->size, LSN, record, &error))
        fail_msg("%s", error.message);
}

static void parse_case(const Version *version, const Case *one, uint32_t size, Made *made,
                       WalRecord *record)
{
    *made = make(one->rmgr, one->info, one->data, size, NULL, 0);
    parse_sealed(version, made, record);
}

static bool is_unknown(const Version *version, const WalRecord *record)
{
    WalEvent event;
    Error error;

    if (!(record->info & XLR_SPECIAL_REL_UPDATE))
        return false;
    assert_true(walrecord_event(version, record, &event, &error));
    assert_int_equal(event.kind, WAL_EVENT_UNKNOWN_RELATION_UPDATE);
    return true;
}

/* Its blocks as a case says them: "f" is an image. */
static const char *named(const WalRecord *record)
{
    static char text[4096];
    size_t length = 0;

    text[0] = '\0';
    for (int i = 0; i < record->block_count; i++)
    {
        const BlockReference *block = &record->blocks[i];
        assert_int_equal(block->relation.tablespace, 1663);
        assert_int_equal(block->relation.database, 5);
        assert_int_equal(block->relation.relation, 16384);
        assert_int_equal(block->has_image, block->image_applies);
        assert_false(block->will_init);
        length += (size_t) snprintf(
            text + length, sizeof(text) - length, "%s%u%s%s", i > 0 ? " " : "", block->block,
            block->fork == FORK_MAIN ? "" : "/fork", block->has_image ? "f" : "");
    }
    return text;
}

static void each_kind_names_what_redo_changes(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (unsigned bit = IN_93; bit <= IN_94; bit++)
        {
            const Case *one = &cases[i];
            WalRecord record;
            Made made;
            if (!(one->versions & bit))
                continue;
            parse_case(version_of(bit), one, one->size, &made, &record);
            if (is_unknown(version_of(bit), &record) || strcmp(named(&record), one->blocks) != 0)
                fail_msg("%s, rmgr %u info %02X: \"%s\" is not \"%s\"%s", version_of(bit)->name,
                         one->rmgr, one->info, named(&record), one->blocks,
                         is_unknown(version_of(bit), &record) ? ", unknown" : "");
            assert_int_equal(record.info, one->info);
            free(made.bytes);
        }
}

/* A prefix of the data has what names the blocks, or is a record that is not known. */
static void no_prefix_names_less(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (unsigned bit = IN_93; bit <= IN_94; bit++)
            for (uint32_t size = 1; size < cases[i].size; size++)
            {
                WalRecord record;
                Made made;
                if (!(cases[i].versions & bit))
                    continue;
                parse_case(version_of(bit), &cases[i], size, &made, &record);
                if (!is_unknown(version_of(bit), &record) &&
                    strcmp(named(&record), cases[i].blocks) != 0)
                    fail_msg("%s, rmgr %u info %02X, %u bytes: \"%s\" is not \"%s\"",
                             version_of(bit)->name, cases[i].rmgr, cases[i].info, size,
                             named(&record), cases[i].blocks);
                free(made.bytes);
            }
}

static bool is_in_cases(unsigned bit, uint8_t rmgr, uint8_t opcode)
{
    const uint8_t mask = rmgr == HEAP || rmgr == HEAP2 ? 0x70 : 0xF0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if ((cases[i].versions & bit) && cases[i].rmgr == rmgr &&
            (cases[i].info & mask) == (opcode & mask))
            return true;
    return false;
}

/* The others of the versions' headers: one bit for each opcode. */
static bool is_known_elsewhere(uint8_t rmgr, uint8_t opcode)
{
    static const uint16_t opcodes[HEAP2] = {0x07FF, 0x7F, 6, 3, 3, 3, 7, 1, 3};

    return rmgr < HEAP2 && (opcodes[rmgr] >> (opcode >> 4) & 1);
}

static void all_other_kinds_are_unknown(void **state)
{
    static const uint8_t data[200] = {RELATION};

    (void) state;
    for (unsigned bit = IN_93; bit <= IN_94; bit++)
        for (uint8_t rmgr = 0; rmgr <= SPGIST; rmgr++)
            for (unsigned opcode = 0; opcode < 0x100; opcode += 0x10)
            {
                WalRecord record;
                if (is_in_cases(bit, rmgr, (uint8_t) opcode) ||
                    (rmgr == RM_XLOG && opcode == 0x40)) /* a switch has no data */
                    continue;
                Made made = make(rmgr, (uint8_t) opcode, data, sizeof(data), NULL, 0);
                parse_sealed(version_of(bit), &made, &record);
                if (is_unknown(version_of(bit), &record) ==
                    is_known_elsewhere(rmgr, (uint8_t) opcode))
                    fail_msg("%s, rmgr %u info %02X", version_of(bit)->name, rmgr, opcode);
                free(made.bytes);
            }
}

/* A backup of a block, without its hole. */
static void append_backup(Buffer *buffer, uint32_t fork, BlockNumber block, uint16_t hole_offset,
                          uint16_t hole_length, uint32_t size)
{
    const uint8_t relation[] = {RELATION};

    buffer_append(buffer, relation, sizeof(relation));
    buffer_append_u32(buffer, fork);
    buffer_append_u32(buffer, block);
    buffer_append_u16(buffer, hole_offset);
    buffer_append_u16(buffer, hole_length);
    for (uint32_t i = 0; i < size; i++)
        buffer_append_u8(buffer, (uint8_t) i);
}

static void backups_are_named_first_and_once(void **state)
{
    static const uint8_t update[] = {TARGET(7), PAD2, U32(700), U32(0), TID(8), 0, 0};
    static const uint8_t visible[] = {RELATION, U32(7), U32(700)};
    WalRecord record;
    Buffer backups = {0};

    (void) state;
    append_backup(&backups, FORK_MAIN, 8, 100, 8000, 192);
    Made made =
        make(HEAP, 0x20 | 0x04, update, sizeof(update), backups.bytes, (uint32_t) backups.size);
    parse_sealed(version_of(IN_93), &made, &record);
    assert_string_equal(named(&record), "8f 7");
    assert_int_equal(record.info, 0x20);
    assert_int_equal(record.data_size, sizeof(update));
    assert_int_equal(record.blocks[0].id, 1);
    free(made.bytes);

    /* The map's block is of another fork. */
    buffer_clear(&backups);
    append_backup(&backups, FORK_VM, 0, 0, 0, BLOCK_SIZE);
    append_backup(&backups, FORK_MAIN, 7, 100, 8092, 100);
    made =
        make(HEAP2, 0x40 | 0x0C, visible, sizeof(visible), backups.bytes, (uint32_t) backups.size);
    parse_sealed(version_of(IN_94), &made, &record);
    assert_string_equal(named(&record), "0/forkf 7f");
    assert_false(is_unknown(version_of(IN_94), &record));
    free(made.bytes);

    buffer_clear(&backups);
    append_backup(&backups, FORK_INIT + 1, 7, 100, 8092, 100);
    made =
        make(HEAP2, 0x40 | 0x08, visible, sizeof(visible), backups.bytes, (uint32_t) backups.size);
    parse_sealed(version_of(IN_94), &made, &record);
    assert_true(is_unknown(version_of(IN_94), &record));
    free(made.bytes);
    buffer_free(&backups);
}

/* A record's data lacks the parts that belong to a page with a full-page image. */
static void data_is_shorter_with_backups(void **state)
{
    static const uint8_t insert[] = {TARGET(7)};
    static const uint8_t split[] = {RELATION, U32(7), U32(8), U32(9),
                                    U32(1),   U16(2), U16(2), U32(5)};
    static const uint8_t root[] = {RELATION, U32(3), U32(1), TUPLE(6, 8), TUPLE(5, 8)};
    Buffer backups = {0};
    WalRecord record;

    (void) state;
    append_backup(&backups, FORK_MAIN, 5, 100, 8092, 100);
    Made made =
        make(BTREE, 0x10 | 0x08, insert, sizeof(insert), backups.bytes, (uint32_t) backups.size);
    parse_sealed(version_of(IN_94), &made, &record);
    assert_string_equal(named(&record), "5f 7");
    assert_false(is_unknown(version_of(IN_94), &record));
    free(made.bytes);
    /* The image, the second of a split, is of the child: the data lacks the child's number. */
    made = make(BTREE, 0x30 | 0x04, split, 32, backups.bytes, (uint32_t) backups.size);
    parse_sealed(version_of(IN_94), &made, &record);
    assert_string_equal(named(&record), "5f 7 8 9");
    assert_false(is_unknown(version_of(IN_94), &record));
    free(made.bytes);
    made = make(BTREE, 0xA0 | 0x08, root, sizeof(root), backups.bytes, (uint32_t) backups.size);
    parse_sealed(version_of(IN_94), &made, &record);
    assert_string_equal(named(&record), "5f 3 0");
    free(made.bytes);
    /* The image is of the left page: the data lacks the new item and the high key. */
    buffer_clear(&backups);
    append_backup(&backups, FORK_MAIN, 7, 100, 8092, 100);
    made = make(BTREE, 0x30 | 0x08, split, sizeof(split), backups.bytes, (uint32_t) backups.size);
    parse_sealed(version_of(IN_94), &made, &record);
    assert_string_equal(named(&record), "7f 8 9 5");
    assert_false(is_unknown(version_of(IN_94), &record));
    free(made.bytes);
    buffer_free(&backups);
}

static void an_image_of_hints_is_one(void **state)
{
    static const uint8_t short_data[] = {RELATION, U32(0), U32(7), U16(1)};
    Buffer image = {0};
    WalRecord record;

    (void) state;
    append_backup(&image, FORK_MAIN, 7, 100, 8092, 100);
    for (unsigned bit = IN_93; bit <= IN_94; bit++)
    {
        Made made = make(RM_XLOG, 0xA0, image.bytes, (uint32_t) image.size, NULL, 0);
        parse_sealed(version_of(bit), &made, &record);
        assert_string_equal(named(&record), "7f");
        assert_int_equal(record.info, 0xA0);
        free(made.bytes);
        made = make(RM_XLOG, 0xA0, short_data, sizeof(short_data), NULL, 0);
        parse_sealed(version_of(bit), &made, &record);
        assert_true(is_unknown(version_of(bit), &record));
        free(made.bytes);
    }
    buffer_free(&image);
}

/* Behind the table's 33 pages there is room; behind all that fit there is not. */
static void a_split_of_many_pages_is_named_or_unknown(void **state)
{
    static const uint8_t start[] = {RELATION, U32(0), NONE, PAD4,   PAD8, 1,    0,
                                    0,        0,      NONE, U16(0), 1,    PAD4, 0};

    (void) state;
    for (uint32_t pages = 200; pages <= WAL_RECORD_BLOCKS_MAX + 1; pages++)
    {
        Buffer data = {0};
        WalRecord record;
        buffer_append(&data, start, sizeof(start));
        data.bytes[40] = (uint8_t) pages;
        data.bytes[41] = (uint8_t) (pages >> 8);
        for (uint32_t i = 0; i < pages; i++)
        {
            buffer_append_u32(&data, 100 + i);
            buffer_append_u32(&data, 0);
        }
        Made made = make(GIST, 0x30, data.bytes, (uint32_t) data.size, NULL, 0);
        parse_sealed(version_of(IN_94), &made, &record);
        assert_int_equal(is_unknown(version_of(IN_94), &record), pages > WAL_RECORD_BLOCKS_MAX);
        if (pages <= WAL_RECORD_BLOCKS_MAX)
            assert_int_equal(record.block_count, pages);
        free(made.bytes);
        buffer_free(&data);
    }
}

static void refuse(Made *made, const char *message)
{
    WalRecord record;
    Error error;

    seal(made);
    assert_false(
        parse_record(version_of(IN_93), BLOCK_SIZE, made->bytes, made->size, LSN, &record, &error));
    if (strstr(error.message, message) == NULL)
        fail_msg("\"%s\" is not \"%s\"", error.message, message);
    assert_non_null(strstr(error.message, "0/1000028"));
    free(made->bytes);
}

/* ValidXLogRecordHeader and ValidXLogRecord of xlogreader.c. */
static void what_a_server_refuses_is_refused(void **state)
{
    static const uint8_t data[] = {TARGET(7), 1, 2, 3};
    Buffer backups = {0};
    Made made;

    (void) state;
    made = make(HEAP, 0, data, 0, NULL, 0);
    refuse(&made, "record with zero length");
    made = make(RM_XLOG, 0x40, data, 1, NULL, 0);
    refuse(&made, "invalid xlog switch record");
    made = make(HEAP, 0, data, sizeof(data), NULL, 0);
    store_u32(made.bytes + 8, sizeof(data) + 1);
    refuse(&made, "invalid record length");
    made = make(HEAP, 0, data, sizeof(data), NULL, 0);
    store_u32(made.bytes + 8, 0xFFFFFFFF);
    refuse(&made, "invalid record length");
    made = make(17, 0, data, sizeof(data), NULL, 0);
    refuse(&made, "invalid resource manager ID 17");
    made = make(HEAP, 0, data, sizeof(data), NULL, 0);
    store_u64(made.bytes + 16, LSN);
    refuse(&made, "record with incorrect prev-link");
    made = make(HEAP, 0x08, data, sizeof(data), NULL, 0);
    refuse(&made, "invalid backup block size in record");
    made = make(HEAP, 0, data, sizeof(data), data, 1);
    refuse(&made, "incorrect total length in record");
    append_backup(&backups, FORK_MAIN, 7, 100, 8092, 100);
    made = make(HEAP, 0x08, data, sizeof(data), backups.bytes, (uint32_t) backups.size - 1);
    refuse(&made, "invalid backup block size in record");
    made = make(HEAP, 0x0C, data, sizeof(data), backups.bytes, (uint32_t) backups.size);
    refuse(&made, "invalid backup block size in record");
    buffer_clear(&backups);
    append_backup(&backups, FORK_MAIN, 7, 101, 8092, 100);
    made = make(HEAP, 0x08, data, sizeof(data), backups.bytes, (uint32_t) backups.size);
    refuse(&made, "incorrect hole size in record");
    buffer_free(&backups);
}

/* heap_changes.c reads the number of rows where later versions have it. */
static void rows_of_a_multi_insert_stand_where_they_do_later(void **state)
{
    static const uint8_t data[] = {RELATION, U32(7), 0, 0, U16(300), U16(1)};
    WalRecord record;

    (void) state;
    Made made = make(HEAP2, 0x50, data, sizeof(data), NULL, 0);
    parse_sealed(version_of(IN_94), &made, &record);
    assert_int_equal(load_u16(record.data + 2), 300);
    assert_int_equal(record.data_size, sizeof(data) - 16);
    free(made.bytes);
}

/* log_newpage: the data is the page, in 9.4 without its hole. */
static void the_data_of_a_new_page_is_its_image(void **state)
{
    static uint8_t data[24 + BLOCK_SIZE] = {RELATION, U32(0), U32(7)};
    static uint8_t page[BLOCK_SIZE];
    WalRecord record;

    (void) state;
    for (int bit = IN_93; bit <= IN_94; bit++)
    {
        const size_t head = bit == IN_93 ? 20 : 24, hole = bit == IN_93 ? 0 : 100;

        if (bit == IN_94)
        {
            memset(data + 20, 0, 4);
            data[20] = 40;
            data[22] = (uint8_t) hole;
        }
        memset(data + head, 'a', 40);
        memset(data + head + 40, 'b', BLOCK_SIZE - 40 - hole);
        Made made = make(HEAP, 0x50, data, (uint32_t) (head + BLOCK_SIZE - hole), NULL, 0);
        parse_sealed(version_of(bit), &made, &record);
        assert_true(walrecord_is_new_page(version_of(bit), &record));
        assert_true(walrecord_restore_image(version_of(bit), BLOCK_SIZE, &record, 0, page));
        assert_int_equal(page[39], 'a');
        assert_int_equal(page[40], hole > 0 ? 0 : 'b');
        assert_int_equal(page[40 + hole], 'b');
        assert_int_equal(page[BLOCK_SIZE - 1], 'b');
        record.data_size--;
        assert_false(walrecord_restore_image(version_of(bit), BLOCK_SIZE, &record, 0, page));
        free(made.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_names_what_redo_changes),
        cmocka_unit_test(no_prefix_names_less),
        cmocka_unit_test(all_other_kinds_are_unknown),
        cmocka_unit_test(backups_are_named_first_and_once),
        cmocka_unit_test(data_is_shorter_with_backups),
        cmocka_unit_test(an_image_of_hints_is_one),
        cmocka_unit_test(a_split_of_many_pages_is_named_or_unknown),
        cmocka_unit_test(what_a_server_refuses_is_refused),
        cmocka_unit_test(rows_of_a_multi_insert_stand_where_they_do_later),
        cmocka_unit_test(the_data_of_a_new_page_is_its_image),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
