#include "lost/value_text.h"

#include "lost/base_types.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 16             /* nesting of types; quotes double in each */
#define VARLENA_HEADER 4         /* offsets in values count it */
#define TEXT_SIZE_MAX 0x3FFFFFFF /* MaxAllocSize, utils/memutils.h */
#define TYPE_INT2VECTOR 22
#define TYPE_OIDVECTOR 30

typedef struct Printer
{
    const ValueReader *reader;
    int depth;
    size_t size_max;    /* longest buffer, including what was in it before the text */
    bool too_long;      /* the text, or a value of which it would be made */
    const char *reason; /* why the text was not completed; NULL: a type of which we know none */
} Printer;

static bool print_value(Printer *printer, Oid oid, Slice stored, Buffer *text);

static bool damaged(Printer *printer)
{
    return untold(&printer->reason, "its bytes are not a value of its type");
}

/* A few bytes of a numeric can be 147,456 digits: an array of these is more than any memory has. */
static bool is_in_size(Printer *printer, size_t size)
{
    printer->too_long |= size > printer->size_max;
    return !printer->too_long;
}

static const Type *find_type(const Printer *printer, Oid oid)
{
    return printer->reader->type(printer->reader->context, oid);
}

/* ---- Values inside of others ---- */

#define SPACES " \t\n\r\v\f"
#define SPECIAL_IN_ROWS "\"\\()," SPACES
#define SPECIAL_IN_RANGES "\"\\()[]," SPACES
#define SPECIAL_IN_ARRAYS "\"\\{}" SPACES

/*
 * Print a value in quotes if it is empty or has a special byte. In an array (delimiter is not NUL)
 * the delimiter is special and the word NULL is quoted, too; a backslash stands in front of quotes
 * and backslashes, which are doubled otherwise.
 */
static bool print_quoted(Printer *printer, Oid oid, Slice stored, const char *special,
                         char delimiter, Buffer *text)
{
    AUTO_BUFFER Buffer inner = {0};
    const char *string;

    if (!print_value(printer, oid, stored, &inner))
        return false;
    string = buffer_string(&inner);
    if (*string != '\0' && strpbrk(string, special) == NULL &&
        (delimiter == '\0' ||
         (strchr(string, delimiter) == NULL && strcasecmp(string, "NULL") != 0)))
    {
        buffer_append(text, inner.bytes, inner.size);
        return true;
    }
    buffer_append_u8(text, '"');
    buffer_append_escaped(text, inner.bytes, inner.size, "\"\\", delimiter != '\0' ? '\\' : '\0');
    buffer_append_u8(text, '"');
    return true;
}

/* ---- Composite types (rowtypes.c) ---- */

static bool print_composite(Printer *printer, const Type *type, Slice value, Buffer *text)
{
    AUTO_ARENA Arena *arena = arena_create();
    Slice *values = arena_allocate(arena, (type->attribute_count + 1) * sizeof(*values));
    Cursor cursor = slice_cursor(value);
    const char *separator = "(";
    HeapTuple tuple;

    cursor_skip(&cursor, sizeof(uint32_t)); /* the typmod */
    if (cursor_u32(&cursor) != type->oid)
        return damaged(printer);
    if (!heap_tuple_parse(value, VARLENA_HEADER, &tuple, &printer->reason) ||
        !heap_tuple_split(&tuple, type->attributes, type->attribute_count, values,
                          &printer->reason))
        return false;
    for (size_t i = 0; i < type->attribute_count; i++)
    {
        const Oid attribute = type->attributes[i].type;

        if (attribute == 0)
            continue;
        buffer_append_string(text, separator);
        separator = ",";
        if (values[i].bytes != NULL &&
            (!print_quoted(printer, attribute, values[i], SPECIAL_IN_ROWS, '\0', text) ||
             !is_in_size(printer, text->size)))
            return false;
    }
    buffer_append_string(text, *separator == '(' ? "()" : ")");
    return true;
}

/* ---- Arrays (utils/array.h) ---- */

#define ARRAY_DIMENSIONS_MAX 6
#define ARRAY_COUNT_MAX 134217727u /* MaxArraySize */
#define ARRAY_HEADER_SIZE 16

typedef struct ArrayShape
{
    uint32_t dimensions;
    uint32_t sizes[ARRAY_DIMENSIONS_MAX];
    int32_t firsts[ARRAY_DIMENSIONS_MAX]; /* subscripts */
    size_t count;
    Oid element;
    const uint8_t *nulls; /* a bit for each element: 1 for what is not NULL; NULL: none is */
    Cursor data;
} ArrayShape;

static bool parse_array(Slice value, ArrayShape *shape)
{
    Cursor cursor = slice_cursor(value);
    size_t data_offset;

    *shape = (ArrayShape){.dimensions = cursor_u32(&cursor)};
    data_offset = cursor_u32(&cursor);
    shape->element = cursor_u32(&cursor);
    if (shape->dimensions > ARRAY_DIMENSIONS_MAX)
        return false;
    for (uint32_t i = 0; i < shape->dimensions; i++)
        shape->sizes[i] = cursor_u32(&cursor);
    for (uint32_t i = 0; i < shape->dimensions; i++)
        shape->firsts[i] = (int32_t) cursor_u32(&cursor);
    shape->count = shape->dimensions > 0 ? 1 : 0;
    for (uint32_t i = 0; i < shape->dimensions; i++)
    {
        if (shape->sizes[i] > ARRAY_COUNT_MAX || shape->count * shape->sizes[i] > ARRAY_COUNT_MAX)
            return false;
        shape->count *= shape->sizes[i];
    }
    if (data_offset != 0)
        shape->nulls = cursor_bytes(&cursor, (shape->count + 7) / 8);
    else
        data_offset = (ARRAY_HEADER_SIZE + (size_t) shape->dimensions * 8 + 7) / 8 * 8;
    if (cursor.failed || data_offset < VARLENA_HEADER || data_offset - VARLENA_HEADER > value.size)
        return shape->count == 0 && !cursor.failed;
    shape->data = cursor_over(value.bytes + data_offset - VARLENA_HEADER,
                              value.size - data_offset + VARLENA_HEADER);
    return true;
}

/* A brace for each dimension that begins, or has ended, after that number of elements. */
static void append_braces(const ArrayShape *shape, size_t before, char brace, Buffer *text)
{
    size_t elements = 1;

    for (uint32_t i = shape->dimensions; i > 0; i--)
    {
        elements *= shape->sizes[i - 1];
        if (before % elements == 0)
            buffer_append_u8(text, (uint8_t) brace);
    }
}

static bool print_array(Printer *printer, const Type *type, Slice value, Buffer *text)
{
    const bool is_vector = type->oid == TYPE_INT2VECTOR || type->oid == TYPE_OIDVECTOR;
    const Type *element = find_type(printer, type->inner);
    bool has_subscripts = false;
    ArrayShape shape;

    if (element == NULL)
        return false;
    if (!parse_array(value, &shape) || (shape.count > 0 && shape.element != element->oid))
        return damaged(printer);
    if (is_vector) /* int2vector and oidvector print no braces and no subscripts */
        shape.dimensions = 0;
    else if (shape.count == 0)
        buffer_append_string(text, "{}");
    for (uint32_t i = 0; i < shape.dimensions; i++)
        has_subscripts |= shape.count > 0 && shape.firsts[i] != 1;
    for (uint32_t i = 0; i < shape.dimensions && has_subscripts; i++)
        buffer_printf(text, "[%d:%lld]", shape.firsts[i],
                      (long long) shape.firsts[i] + shape.sizes[i] - 1);
    buffer_append_string(text, has_subscripts ? "=" : "");
    for (size_t i = 0; i < shape.count; i++)
    {
        Slice stored;

        if (i > 0)
            buffer_append_u8(text, is_vector ? ' ' : (uint8_t) type->delimiter);
        append_braces(&shape, i, '{', text);
        if (shape.nulls != NULL && !(shape.nulls[i / 8] >> i % 8 & 1))
            buffer_append_string(text, "NULL");
        else if (!storage_take(&element->storage, &shape.data, &stored))
            return damaged(printer);
        else if (!print_quoted(printer, element->oid, stored, SPECIAL_IN_ARRAYS, type->delimiter,
                               text))
            return false;
        append_braces(&shape, i + 1, '}', text);
        if (!is_in_size(printer, text->size))
            return false;
    }
    return true;
}

/* ---- Ranges and multiranges (utils/rangetypes.h, utils/multirangetypes.h) ---- */

#define RANGE_EMPTY 0x01
#define RANGE_LOWER_INCLUSIVE 0x02
#define RANGE_UPPER_INCLUSIVE 0x04
#define RANGE_LOWER_INFINITE 0x08
#define RANGE_UPPER_INFINITE 0x10

static bool print_bounds(Printer *printer, const Type *range, Cursor *bounds, uint8_t flags,
                         Buffer *text)
{
    const Type *subtype = find_type(printer, range->inner);
    Slice stored;

    if (subtype == NULL)
        return false;
    if (flags & RANGE_EMPTY)
    {
        buffer_append_string(text, "empty");
        return true;
    }
    buffer_append_u8(text, flags & RANGE_LOWER_INCLUSIVE ? '[' : '(');
    for (int upper = 0; upper < 2; upper++)
    {
        if (upper)
            buffer_append_u8(text, ',');
        if (flags & (upper ? RANGE_UPPER_INFINITE : RANGE_LOWER_INFINITE))
            continue;
        if (!storage_take(&subtype->storage, bounds, &stored))
            return damaged(printer);
        if (!print_quoted(printer, subtype->oid, stored, SPECIAL_IN_RANGES, '\0', text))
            return false;
    }
    buffer_append_u8(text, flags & RANGE_UPPER_INCLUSIVE ? ']' : ')');
    return true;
}

/*
 * Bytes of a range: type, bounds, a byte of flags. Bytes of a multirange: type, count of ranges,
 * where each begins (not needed, since ranges follow each other), flags, bounds. The server aligns
 * the bounds from the start of the varlena, eight bytes before the cursor. Eight is the greatest
 * alignment, so aligning from the cursor's start gives the same.
 */
static bool print_ranges(Printer *printer, const Type *type, Slice value, Buffer *text)
{
    const bool is_multi = type->kind == 'm';
    const Type *range = is_multi ? find_type(printer, type->inner) : type;
    Cursor whole = slice_cursor(value);
    Slice bounds;
    size_t count = 1;

    if (range == NULL)
        return false;
    if (cursor_u32(&whole) != type->oid)
        return damaged(printer);
    bounds = cursor_rest(&whole);
    if (bounds.size == 0)
        return damaged(printer);
    Cursor cursor = cursor_over(bounds.bytes, is_multi ? bounds.size : bounds.size - 1);
    const uint8_t *flags = bounds.bytes + bounds.size - 1;
    if (is_multi)
    {
        buffer_append_u8(text, '{');
        count = cursor_u32(&cursor);
        cursor_skip(&cursor, count > 0 ? (count - 1) * sizeof(uint32_t) : 0);
        flags = cursor_bytes(&cursor, count);
        if (cursor.failed)
            return damaged(printer);
    }
    for (size_t i = 0; i < count; i++)
    {
        if (i > 0)
            buffer_append_u8(text, ',');
        if (!print_bounds(printer, range, &cursor, flags[i], text) ||
            !is_in_size(printer, text->size))
            return false;
    }
    buffer_append_string(text, is_multi ? "}" : "");
    return true;
}

/* ---- Values of any type ---- */

/* False, without a reason, for a type of which we know no text. */
static bool print_expanded(Printer *printer, const Type *type, Slice value, Buffer *text)
{
    const BaseType *base = base_type_find(type->oid);
    TextForm form = {printer->reader->version, printer->size_max, NULL};
    Cursor cursor = slice_cursor(value);
    Oid label;

    switch (type->kind)
    {
    case 'b':
        if (base == NULL)
            return type->inner != 0 && print_array(printer, type, value, text);
        form.pattern = base->pattern;
        return (base->text(&cursor, &form, text) && !cursor.failed) || damaged(printer);
    case 'c':
        return print_composite(printer, type, value, text);
    case 'e':
        label = cursor_u32(&cursor);
        for (size_t i = 0; i < type->label_count; i++)
            if (type->labels[i].oid == label)
            {
                buffer_append_string(text, type->labels[i].label);
                return true;
            }
        return untold(&printer->reason, "its enum has no such label");
    case 'r':
    case 'm':
        return print_ranges(printer, type, value, text);
    default:
        return false;
    }
}

/* The value without its header or its final NUL; room is what it may be expanded into. */
static bool expand_value(Printer *printer, const Storage *storage, Slice stored, Buffer *room,
                         Slice *value)
{
    Varlena varlena;

    *value = stored;
    if (storage->length == -1)
        return varlena_parse(stored, &varlena, &printer->reason) &&
               (varlena.kind == VARLENA_PLAIN || is_in_size(printer, varlena.raw_size)) &&
               varlena_expand(stored, &printer->reader->toast, room, value, &printer->reason);
    if (storage->length == -2 && stored.size > 0)
        value->size--;
    if (storage->length > 0 && stored.size != (size_t) storage->length)
        return damaged(printer);
    return true;
}

static bool print_value(Printer *printer, Oid oid, Slice stored, Buffer *text)
{
    const Type *type = find_type(printer, oid);
    AUTO_BUFFER Buffer room = {0};
    Slice value;
    bool good;

    if (type == NULL)
        return false;
    if (printer->depth >= DEPTH_MAX)
        return damaged(printer);
    printer->depth++;
    if (type->kind == 'd')
        good = print_value(printer, type->inner, stored, text);
    else
        good = expand_value(printer, &type->storage, stored, &room, &value) &&
               print_expanded(printer, type, value, text) && is_in_size(printer, text->size);
    printer->depth--;
    return good;
}

bool value_text(const ValueReader *reader, const Attribute *attribute, Slice stored, Buffer *text,
                ValueEncoding *encoding, const char **reason)
{
    const size_t start = text->size;
    const size_t size_max = reader->text_size_max != 0 ? reader->text_size_max : TEXT_SIZE_MAX;
    Printer printer = {.reader = reader, .size_max = start + size_max};
    AUTO_BUFFER Buffer room = {0};
    Slice value;

    *encoding = VALUE_TEXT;
    if (print_value(&printer, attribute->type, stored, text))
        return true;
    text->size = start;
    if (!printer.too_long && printer.reason == NULL &&
        expand_value(&printer, &attribute->storage, stored, &room, &value) &&
        is_in_size(&printer, start + 2 * value.size))
        append_hex(text, value);
    *encoding = printer.too_long ? VALUE_STORED : VALUE_BINARY;
    *reason = printer.reason;
    return printer.too_long || printer.reason == NULL;
}
