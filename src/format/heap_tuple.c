#include "format/heap_tuple.h"

#include "format/page.h"

#include <string.h>

#define INFOMASK_HAS_NULLS 0x0001
#define INFOMASK_HAS_OID 0x0008 /* HEAP_HASOID_OLD */
#define INFOMASK2_COUNT 0x07FF  /* HEAP_NATTS_MASK */

bool heap_tuple_parse(Slice tuple, size_t missing, HeapTuple *parsed, const char **reason)
{
    Cursor cursor = slice_cursor(tuple);

    cursor_seek(&cursor, ROW_AT_INFOMASK2 - missing);
    const size_t count = cursor_u16(&cursor) & INFOMASK2_COUNT;
    const uint16_t infomask = cursor_u16(&cursor);
    const size_t data_offset = cursor_u8(&cursor);
    const size_t oid_size = infomask & INFOMASK_HAS_OID ? sizeof(Oid) : 0;
    const size_t nulls_size = infomask & INFOMASK_HAS_NULLS ? (count + 7) / 8 : 0;

    if (cursor.failed)
        return untold(reason, "the row ends early");
    *parsed = (HeapTuple){.attribute_count = (uint16_t) count};
    if (data_offset < ROW_HEADER_SIZE + nulls_size + oid_size ||
        data_offset - missing > tuple.size || count > HEAP_TUPLE_ATTRIBUTES_MAX)
        return untold(reason, "the header of the row is impossible");
    if (nulls_size > 0)
        parsed->nulls = (Slice){cursor_bytes(&cursor, nulls_size), nulls_size};
    cursor_seek(&cursor, data_offset - missing - oid_size);
    parsed->oid = oid_size > 0 ? cursor_u32(&cursor) : 0;
    parsed->data.size = cursor_left(&cursor);
    parsed->data.bytes = cursor_bytes(&cursor, parsed->data.size);
    return true;
}

bool storage_take(const Storage *storage, Cursor *cursor, Slice *value)
{
    static const char letters[] = "csid";
    const char *letter = memchr(letters, storage->alignment, sizeof(letters) - 1);
    const size_t alignment = letter != NULL ? (size_t) 1 << (letter - letters) : 1;
    const uint8_t *next;

    /* A varlena with a short header has no padding before it; the bytes of padding are 0
     * (att_align_pointer). */
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
