#include "format/heap_record.h"

#include "format/page.h"

#include <string.h>

#define INIT_PAGE 0x80  /* bit of xl_info */
#define HEADER_SIZE 5   /* SizeOfHeapHeader */
#define XMAX_IS_MULTI 1 /* bit of infobits_set */

/* Bits of flags, 9.5 to 19. */
#define INSERT_IS_SPECULATIVE 0x04
#define DELETE_HAS_OLD_ROW 0x02
#define DELETE_IS_SUPER 0x08
#define UPDATE_HAS_OLD_ROW 0x04
#define UPDATE_HAS_PREFIX 0x20 /* 9.4 to 19 */
#define UPDATE_HAS_SUFFIX 0x40

/* Offsets of block numbers in records of 9.3 and 9.4, which begin with the relation and the row's
 * block and item; xl_heap_update has block and item of the new row as well. */
#define OLD_AT_BLOCK 12
#define OLD_AT_NEW_BLOCK 28

/* Offsets of fields in a record's main data; size is that of the fixed part. NOWHERE if the record
 * lacks the field. */
#define NOWHERE 0xFF
typedef struct HeapLayout
{
    HeapRecordKind kind; /* HEAP_RECORD_OTHER if records of the opcode change no row */
    uint8_t new_item, old_item, old_xmax, infobits, flags, size;
} HeapLayout;

/* clang-format off */
/* Layouts of xl_heap_insert, xl_heap_delete, xl_heap_update, xl_heap_inplace by opcode: [0] since
 * 9.5, [1] before. In 9.3 an update's flags are two booleans. */
static const HeapLayout layouts[2][8] = {
    {                     /* kind                     new      old      xmax     infobits flags    size */
        [HEAP_INSERT >> 4] = {HEAP_RECORD_INSERT,     0,       NOWHERE, NOWHERE, NOWHERE, 2,       3},
        [HEAP_DELETE >> 4] = {HEAP_RECORD_DELETE,     NOWHERE, 4,       0,       6,       7,       8},
        [HEAP_UPDATE >> 4] = {HEAP_RECORD_UPDATE,     12,      4,       0,       6,       7,       14},
        [HEAP_HOT_UPDATE >> 4] = {HEAP_RECORD_UPDATE, 12,      4,       0,       6,       7,       14},
        [HEAP_INPLACE >> 4] = {HEAP_RECORD_INPLACE,   0,       NOWHERE, NOWHERE, NOWHERE, NOWHERE, 2},
    },
    {
        [HEAP_INSERT >> 4] = {HEAP_RECORD_INSERT,     16,      NOWHERE, NOWHERE, NOWHERE, NOWHERE, 21},
        [HEAP_DELETE >> 4] = {HEAP_RECORD_DELETE,     NOWHERE, 16,      20,      24,      NOWHERE, 25},
        [HEAP_UPDATE >> 4] = {HEAP_RECORD_UPDATE,     32,      16,      20,      34,      35,      36},
        [HEAP_HOT_UPDATE >> 4] = {HEAP_RECORD_UPDATE, 32,      16,      20,      34,      35,      36},
        [HEAP_INPLACE >> 4] = {HEAP_RECORD_INPLACE,   16,      NOWHERE, NOWHERE, NOWHERE, NOWHERE, 18},
    },
};
/* clang-format on */

static Slice rest_of(Cursor *cursor)
{
    const size_t size = cursor_left(cursor);

    if (cursor->bytes == NULL)
        return (Slice){0};
    return (Slice){cursor_bytes(cursor, size), size};
}

static void take_row(Cursor *cursor, HeapRow *row)
{
    if (cursor_left(cursor) < HEADER_SIZE)
        return;
    row->header = (Slice){cursor_bytes(cursor, HEADER_SIZE), HEADER_SIZE};
    row->rest = rest_of(cursor);
}

/* Take {u16 size of rest; header; rest}: xl_multi_insert_tuple, and xl_heap_header_len of 9.4. */
static void take_sized_row(Cursor *cursor, HeapRow *row)
{
    const uint16_t size = cursor_u16(cursor);

    row->header = (Slice){cursor_bytes(cursor, HEADER_SIZE), HEADER_SIZE};
    row->rest = (Slice){cursor_bytes(cursor, size), size};
}

/* Find the n-th block of a main fork: records of 19 name blocks of the visibility map, too. */
static bool find_main_block(const WalRecord *record, unsigned n, unsigned *index)
{
    for (unsigned i = 0; i < record->block_count; i++)
        if (record->blocks[i].fork == FORK_MAIN && n-- == 0)
        {
            *index = i;
            return true;
        }
    return false;
}

/* Find the block of a main fork whose number is in the main data at `at`. */
static bool find_old_block(const WalRecord *record, uint32_t at, unsigned *index)
{
    const BlockNumber block =
        record->data_size >= at + 4
            ? (BlockNumber) load_u16(record->data + at) << 16 | load_u16(record->data + at + 2)
            : 0;

    for (unsigned i = 0; i < record->block_count; i++)
        if (record->blocks[i].fork == FORK_MAIN && record->blocks[i].block == block)
        {
            *index = i;
            return true;
        }
    return false;
}

/* Set the indexes of the blocks that the record changes. */
static bool find_blocks(const Version *version, const WalRecord *record, HeapRecordKind kind,
                        HeapRecord *heap)
{
    if (version->old_wal && kind != HEAP_RECORD_MULTI_INSERT)
    {
        if (!find_old_block(record, OLD_AT_BLOCK, &heap->old_index))
            return false;
        heap->new_index = heap->old_index;
        return kind != HEAP_RECORD_UPDATE ||
               find_old_block(record, OLD_AT_NEW_BLOCK, &heap->new_index);
    }
    if (!find_main_block(record, 0, &heap->new_index))
        return false;
    if (!find_main_block(record, 1, &heap->old_index))
        heap->old_index = heap->new_index;
    return true;
}

/* Take the rows that follow the fixed part. Since 9.5 the new row is in the data of its block;
 * before, it is in the main data, and missing if the page has an image. */
static void take_rows(const Version *version, uint8_t flags, Cursor *main_data, Cursor *content,
                      HeapRecord *heap)
{
    Cursor *new_data = version->old_wal ? main_data : content;

    switch (heap->kind)
    {
    case HEAP_RECORD_INSERT:
        take_row(new_data, &heap->new_row);
        break;
    case HEAP_RECORD_DELETE:
        if (flags & DELETE_HAS_OLD_ROW)
            take_row(main_data, &heap->old_row);
        break;
    case HEAP_RECORD_UPDATE:
        if (!version->old_wal && flags & UPDATE_HAS_OLD_ROW)
            take_row(main_data, &heap->old_row);
        if (version->old_wal && !version->old_wal_names_children)
            cursor_skip(new_data, 1); /* the second boolean of 9.3 */
        else
        {
            /* Sizes of the bytes that the new row shares with the old one. */
            if (flags & UPDATE_HAS_PREFIX && cursor_left(new_data) > 0)
                heap->new_row.prefix = cursor_u16(new_data);
            if (flags & UPDATE_HAS_SUFFIX && cursor_left(new_data) > 0)
                heap->new_row.suffix = cursor_u16(new_data);
        }
        if (!version->old_wal_names_children)
            take_row(new_data, &heap->new_row);
        else if (cursor_left(new_data) > 0) /* in 9.4 the old row may follow */
            take_sized_row(new_data, &heap->new_row);
        break;
    case HEAP_RECORD_INPLACE:
        heap->new_row.rest = rest_of(new_data);
        break;
    default:
        break;
    }
}

static bool parse_row_record(const Version *version, const WalRecord *record,
                             const HeapLayout *layout, Cursor content, HeapRecord *heap)
{
    const uint8_t *data = record->data;
    Cursor main_data = cursor_over(data, record->data_size);
    uint8_t flags;

    cursor_seek(&main_data, layout->size);
    if (main_data.failed)
        return false;
    heap->kind = layout->kind;
    flags = layout->flags != NOWHERE ? data[layout->flags] : 0;
    heap->speculative = (heap->kind == HEAP_RECORD_INSERT && flags & INSERT_IS_SPECULATIVE) ||
                        (heap->kind == HEAP_RECORD_DELETE && flags & DELETE_IS_SUPER);
    if (layout->new_item != NOWHERE)
        heap->new_item = load_u16(data + layout->new_item);
    if (layout->old_item != NOWHERE)
    {
        heap->old_item = load_u16(data + layout->old_item);
        heap->old_xmax = load_u32(data + layout->old_xmax);
        heap->of_multi = (data[layout->infobits] & XMAX_IS_MULTI) != 0;
    }
    take_rows(version, flags, &main_data, &content, heap);
    return !main_data.failed && !content.failed;
}

bool heap_record_parse(const Version *version, uint32_t block_size, const WalRecord *record,
                       HeapRecord *heap)
{
    const uint8_t opcode = record->info & HEAP_OPCODE_MASK;
    const bool multi = record->rmgr == RM_HEAP2 && opcode == HEAP2_MULTI_INSERT;
    const HeapLayout *layout = &layouts[version->old_wal][opcode >> 4];
    const HeapRecordKind kind = multi                     ? HEAP_RECORD_MULTI_INSERT
                                : record->rmgr == RM_HEAP ? layout->kind
                                                          : HEAP_RECORD_OTHER;
    Cursor main_data = cursor_over(record->data, record->data_size), content = {0};

    *heap = (HeapRecord){.inits_page = (record->info & INIT_PAGE) != 0};
    if (kind == HEAP_RECORD_OTHER)
        return true;
    if (!find_blocks(version, record, kind, heap))
        return false;
    if (!version->old_wal)
        content = slice_cursor(walrecord_block_data(version, block_size, record, heap->new_index));
    if (!multi)
        return parse_row_record(version, record, layout, content, heap);
    /* xl_heap_multi_insert: flags, count, item numbers (unless the page is new), and the rows. */
    heap->kind = HEAP_RECORD_MULTI_INSERT;
    cursor_skip(&main_data, 2);
    heap->row_count = cursor_u16(&main_data);
    heap->new_items = heap->inits_page ? NULL : cursor_bytes(&main_data, 2u * heap->row_count);
    heap->rows = version->old_wal ? slice_cursor(rest_of(&main_data)) : content;
    return !main_data.failed;
}

bool heap_record_next_row(HeapRecord *heap, uint16_t number)
{
    Cursor *rows = &heap->rows;

    heap->new_item =
        heap->new_items != NULL ? load_u16(heap->new_items + 2u * number) : (uint16_t) (number + 1);
    heap->new_row = (HeapRow){0};
    if (rows->size == 0)
        return true;
    cursor_skip(rows, rows->position % 2); /* each row begins at an even offset */
    take_sized_row(rows, &heap->new_row);
    return !rows->failed;
}

/* The bytes shared with the old row go after the null bitmap and its padding (prefix), and at the
 * row's end (suffix). */
Slice heap_row_build(const HeapRow *row, Slice old, uint32_t xid, size_t size_max, Buffer *built)
{
    const size_t size = ROW_HEADER_SIZE + row->rest.size + row->prefix + row->suffix;
    uint8_t header[ROW_HEADER_SIZE] = {0};
    size_t offset, old_offset, before;

    if (row->header.bytes == NULL || row->rest.bytes == NULL || size > size_max)
        return (Slice){0};
    offset = row->header.bytes[HEADER_SIZE - 1];
    old_offset = old.bytes != NULL ? old.bytes[ROW_AT_DATA_OFFSET] : 0;
    before = row->prefix > 0 ? offset - ROW_HEADER_SIZE : 0;
    if (offset < ROW_HEADER_SIZE || before > row->rest.size || old_offset > old.size ||
        row->prefix > old.size - old_offset || row->suffix > old.size - old_offset)
        return (Slice){0};
    store_u32(header + ROW_AT_XMIN, xid);
    memcpy(header + ROW_AT_INFOMASK2, row->header.bytes, HEADER_SIZE);
    buffer_clear(built);
    buffer_append(built, header, sizeof(header));
    buffer_append(built, row->rest.bytes, before);
    if (row->prefix > 0)
        buffer_append(built, old.bytes + old_offset, row->prefix);
    buffer_append(built, row->rest.bytes + before, row->rest.size - before);
    if (row->suffix > 0)
        buffer_append(built, old.bytes + (old.size - row->suffix), row->suffix);
    return (Slice){built->bytes, built->size};
}
