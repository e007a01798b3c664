#include "format/heap_record.h"

#include "format/page.h"

#include <string.h>

#define INIT_PAGE 0x80  /* of xl_info */
#define HEADER_SIZE 5   /* SizeOfHeapHeader */
#define XMAX_IS_MULTI 1 /* of infobits_set */

/* Flags of 9.5 to 19. */
#define INSERT_IS_SPECULATIVE 0x04
#define DELETE_HAS_OLD_ROW 0x02
#define DELETE_IS_SUPER 0x08
#define UPDATE_HAS_OLD_ROW 0x04
#define UPDATE_HAS_PREFIX 0x20 /* also of 9.4 */
#define UPDATE_HAS_SUFFIX 0x40

/* Of 9.3 and 9.4: relation, then the row's place. */
#define OLD_AT_BLOCK 12
#define OLD_AT_ITEM 16
#define OLD_TARGET_SIZE 18 /* without its padding */
#define OLD_AT_NEW_BLOCK 28
#define OLD_AT_REST 20 /* xmax; of an insert a byte of flags */

static Slice rest_of(Cursor *cursor)
{
    const size_t size = cursor_left(cursor);

    if (cursor->bytes == NULL)
        return (Slice){0};
    return (Slice){cursor_bytes(cursor, size), size};
}

/* Take the lengths of the beginning and the end that an update's new row shares with the old one.
 */
static void take_common_sizes(Cursor *cursor, uint8_t flags, HeapRow *row)
{
    if (flags & UPDATE_HAS_PREFIX && cursor_left(cursor) > 0)
        row->prefix = cursor_u16(cursor);
    if (flags & UPDATE_HAS_SUFFIX && cursor_left(cursor) > 0)
        row->suffix = cursor_u16(cursor);
}

static void take_row(Cursor *cursor, HeapRow *row)
{
    if (cursor_left(cursor) < HEADER_SIZE)
        return;
    row->header = (Slice){cursor_bytes(cursor, HEADER_SIZE), HEADER_SIZE};
    row->rest = rest_of(cursor);
}

/* ---- 9.5 to 19 ---- */

/* The n-th block of a main fork: records of 19 name blocks of the visibility map, too. */
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

static void parse_record(uint8_t opcode, Cursor *main_data, Cursor *content, HeapRecord *heap)
{
    uint8_t flags;

    switch (opcode)
    {
    case HEAP_INSERT: /* xl_heap_insert */
        heap->kind = HEAP_RECORD_INSERT;
        heap->new_item = cursor_u16(main_data);
        heap->speculative = (cursor_u8(main_data) & INSERT_IS_SPECULATIVE) != 0;
        take_row(content, &heap->new_row);
        break;
    case HEAP_DELETE: /* xl_heap_delete */
        heap->kind = HEAP_RECORD_DELETE;
        heap->old_xmax = cursor_u32(main_data);
        heap->old_item = cursor_u16(main_data);
        heap->of_multi = (cursor_u8(main_data) & XMAX_IS_MULTI) != 0;
        flags = cursor_u8(main_data);
        heap->speculative = (flags & DELETE_IS_SUPER) != 0;
        if (flags & DELETE_HAS_OLD_ROW)
            take_row(main_data, &heap->old_row);
        break;
    case HEAP_UPDATE: /* xl_heap_update */
    case HEAP_HOT_UPDATE:
        heap->kind = HEAP_RECORD_UPDATE;
        heap->old_xmax = cursor_u32(main_data);
        heap->old_item = cursor_u16(main_data);
        heap->of_multi = (cursor_u8(main_data) & XMAX_IS_MULTI) != 0;
        flags = cursor_u8(main_data);
        cursor_skip(main_data, sizeof(uint32_t)); /* xmax of the new row: a locker's */
        heap->new_item = cursor_u16(main_data);
        if (flags & UPDATE_HAS_OLD_ROW)
            take_row(main_data, &heap->old_row);
        take_common_sizes(content, flags, &heap->new_row);
        take_row(content, &heap->new_row);
        break;
    case HEAP_INPLACE: /* xl_heap_inplace */
        heap->kind = HEAP_RECORD_INPLACE;
        heap->new_item = cursor_u16(main_data);
        heap->new_row.rest = rest_of(content);
        break;
    default:
        break;
    }
}

/* ---- 9.3 and 9.4: all stands in the main data, the new row only without an image ---- */

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

static bool parse_old_update(const Version *version, const WalRecord *record, Cursor *main_data,
                             HeapRecord *heap)
{
    HeapRow *row = &heap->new_row;
    uint8_t flags;

    heap->kind = HEAP_RECORD_UPDATE;
    heap->old_item = heap->new_item;
    heap->old_xmax = cursor_u32(main_data);
    cursor_seek(main_data, OLD_AT_NEW_BLOCK + 4);
    heap->new_item = cursor_u16(main_data);
    heap->of_multi = (cursor_u8(main_data) & XMAX_IS_MULTI) != 0;
    flags = cursor_u8(main_data);
    if (!find_old_block(record, OLD_AT_NEW_BLOCK, &heap->new_index))
        return false;
    if (!version->old_wal_names_children) /* 9.3: flags and another byte are booleans */
    {
        cursor_skip(main_data, 1);
        take_row(main_data, row);
        return true;
    }
    take_common_sizes(main_data, flags, row);
    if (cursor_left(main_data) > 0) /* xl_heap_header_len: the old row may follow */
    {
        const uint16_t size = cursor_u16(main_data);
        row->header = (Slice){cursor_bytes(main_data, HEADER_SIZE), HEADER_SIZE};
        row->rest = (Slice){cursor_bytes(main_data, size), size};
    }
    return true;
}

static bool parse_old_record(const Version *version, const WalRecord *record, uint8_t opcode,
                             Cursor *main_data, HeapRecord *heap)
{
    if (!find_old_block(record, OLD_AT_BLOCK, &heap->new_index))
        return false;
    heap->old_index = heap->new_index;
    cursor_seek(main_data, OLD_AT_ITEM);
    heap->new_item = cursor_u16(main_data);
    cursor_seek(main_data, opcode == HEAP_INPLACE ? OLD_TARGET_SIZE : OLD_AT_REST);
    switch (opcode)
    {
    case HEAP_INSERT:
        heap->kind = HEAP_RECORD_INSERT;
        cursor_skip(main_data, 1);
        take_row(main_data, &heap->new_row);
        return true;
    case HEAP_DELETE:
        heap->kind = HEAP_RECORD_DELETE;
        heap->old_item = heap->new_item;
        heap->old_xmax = cursor_u32(main_data);
        heap->of_multi = (cursor_u8(main_data) & XMAX_IS_MULTI) != 0;
        return true;
    case HEAP_UPDATE:
    case HEAP_HOT_UPDATE:
        return parse_old_update(version, record, main_data, heap);
    default:
        heap->kind = HEAP_RECORD_INPLACE;
        heap->new_row.rest = rest_of(main_data);
        return true;
    }
}

/* ---- All versions ---- */

/* xl_heap_multi_insert, from its flags on: the places, unless the page is new, and rows. */
static void parse_multi_insert(bool old_wal, Cursor *main_data, Cursor content, HeapRecord *heap)
{
    heap->kind = HEAP_RECORD_MULTI_INSERT;
    cursor_skip(main_data, 2);
    heap->row_count = cursor_u16(main_data);
    heap->new_items = heap->inits_page ? NULL : cursor_bytes(main_data, 2u * heap->row_count);
    heap->rows = content;
    if (old_wal)
    {
        const Slice rest = rest_of(main_data);
        heap->rows = slice_cursor(rest);
    }
}

bool heap_record_parse(const Version *version, uint32_t block_size, const WalRecord *record,
                       HeapRecord *heap)
{
    const uint8_t opcode = record->info & HEAP_OPCODE_MASK;
    const bool multi = record->rmgr == RM_HEAP2 && opcode == HEAP2_MULTI_INSERT;
    Cursor main_data = cursor_over(record->data, record->data_size);
    Cursor content = {0};

    *heap = (HeapRecord){.inits_page = (record->info & INIT_PAGE) != 0};
    if (!multi && (record->rmgr != RM_HEAP ||
                   (opcode != HEAP_INSERT && opcode != HEAP_DELETE && opcode != HEAP_UPDATE &&
                    opcode != HEAP_HOT_UPDATE && opcode != HEAP_INPLACE)))
        return true;
    if (version->old_wal && !multi)
        return parse_old_record(version, record, opcode, &main_data, heap) && !main_data.failed;
    if (!find_main_block(record, 0, &heap->new_index))
        return false;
    if (!find_main_block(record, 1, &heap->old_index))
        heap->old_index = heap->new_index;
    if (!version->old_wal)
        content = slice_cursor(walrecord_block_data(version, block_size, record, heap->new_index));
    if (multi)
        parse_multi_insert(version->old_wal, &main_data, content, heap);
    else
        parse_record(opcode, &main_data, &content, heap);
    return !main_data.failed && !content.failed;
}

/* xl_multi_insert_tuple, at an even place: the size, the fields of a header, the rest. */
bool heap_record_next_row(HeapRecord *heap, uint16_t number)
{
    Cursor *rows = &heap->rows;
    uint16_t size;

    heap->new_item =
        heap->new_items != NULL ? load_u16(heap->new_items + 2u * number) : (uint16_t) (number + 1);
    heap->new_row = (HeapRow){0};
    if (rows->size == 0)
        return true;
    cursor_skip(rows, rows->position % 2);
    size = cursor_u16(rows);
    heap->new_row.header = (Slice){cursor_bytes(rows, HEADER_SIZE), HEADER_SIZE};
    heap->new_row.rest = (Slice){cursor_bytes(rows, size), size};
    return !rows->failed;
}

/* The values that are as in the old row follow the null bitmap and its padding, or end the row. */
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
