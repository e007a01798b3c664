#include "lost/heap_tuple.h"

#include <string.h>

#define TUPLE_AT_INFOMASK2 18
#define INFOMASK_HAS_NULLS 0x0001
#define INFOMASK_HAS_OID 0x0008 /* HEAP_HASOID_OLD */
#define INFOMASK2_COUNT 0x07FF  /* HEAP_NATTS_MASK */

bool heap_tuple_of_parts(uint16_t infomask2, uint16_t infomask, uint8_t data_offset, Slice rest,
                         HeapTuple *parsed, const char **reason)
{
    const size_t oid_size = infomask & INFOMASK_HAS_OID ? sizeof(Oid) : 0;
    Cursor cursor = slice_cursor(rest);
    const size_t count = infomask2 & INFOMASK2_COUNT;
    const size_t nulls_size = infomask & INFOMASK_HAS_NULLS ? (count + 7) / 8 : 0;

    *parsed = (HeapTuple){.infomask = infomask, .attribute_count = (uint16_t) count};
    if (data_offset < HEAP_TUPLE_HEADER_SIZE + nulls_size + oid_size ||
        data_offset - (size_t) HEAP_TUPLE_HEADER_SIZE > rest.size ||
        count > HEAP_TUPLE_ATTRIBUTES_MAX)
        return untold(reason, "the header of the row is impossible");
    if (nulls_size > 0)
        parsed->nulls = (Slice){cursor_bytes(&cursor, nulls_size), nulls_size};
    cursor_seek(&cursor, data_offset - HEAP_TUPLE_HEADER_SIZE - oid_size);
    parsed->oid = oid_size > 0 ? cursor_u32(&cursor) : 0;
    parsed->data.size = cursor_left(&cursor);
    parsed->data.bytes = cursor_bytes(&cursor, parsed->data.size);
    return true;
}

bool heap_tuple_parse(Slice tuple, size_t missing, HeapTuple *parsed, const char **reason)
{
    Cursor cursor = slice_cursor(tuple);
    uint16_t infomask2, infomask;
    uint8_t data_offset;

    cursor_seek(&cursor, TUPLE_AT_INFOMASK2 - missing);
    infomask2 = cursor_u16(&cursor);
    infomask = cursor_u16(&cursor);
    data_offset = cursor_u8(&cursor);
    if (cursor.failed)
        return untold(reason, "the row ends early");
    const size_t size = cursor_left(&cursor);
    return heap_tuple_of_parts(infomask2, infomask, data_offset,
                               (Slice){cursor_bytes(&cursor, size), size}, parsed, reason);
}

static size_t alignment_bytes(char alignment)
{
    static const char letters[] = "csid";
    const char *letter = memchr(letters, alignment, sizeof(letters) - 1);

    return letter != NULL ? (size_t) 1 << (letter - letters) : 1;
}

bool storage_take(const Storage *storage, Cursor *cursor, Slice *value)
{
    const size_t alignment = alignment_bytes(storage->alignment);
    const uint8_t *next;

    /* A varlena with a short header follows without padding, whose bytes are 0 (att_align_pointer).
     */
    if (storage->length != -1 || cursor_left(cursor) == 0 || cursor->bytes[cursor->position] == 0)
        cursor_skip(cursor, (alignment - cursor->position % alignment) % alignment);
    if (cursor->failed)
        return false;
    next = cursor->bytes + cursor->position;
    value->size = 0;
    if (storage->length > 0)
        value->size = (size_t) storage->length;
    else if (storage->length == -1)
        value->size = varlena_stored_size(next, cursor_left(cursor));
    else if (storage->length == -2 && cursor_left(cursor) > 0)
        value->size = strnlen((const char *) next, cursor_left(cursor)) + 1;
    if (value->size == 0)
        return false;
    value->bytes = cursor_bytes(cursor, value->size);
    return value->bytes != NULL;
}

bool heap_tuple_split(const HeapTuple *tuple, const Attribute *attributes, size_t count,
                      Slice *values, const char **reason)
{
    Cursor cursor = slice_cursor(tuple->data);

    if (tuple->attribute_count > count)
        return untold(reason, "the row has more columns than its table");
    for (size_t i = 0; i < count; i++)
    {
        values[i] = (Slice){0};
        if (i >= tuple->attribute_count)
            values[i] = attributes[i].missing;
        else if (tuple->nulls.bytes != NULL && !(tuple->nulls.bytes[i / 8] >> i % 8 & 1))
            continue;
        else if (!storage_take(&attributes[i].storage, &cursor, &values[i]))
            return untold(reason, "the row ends early");
    }
    return true;
}
