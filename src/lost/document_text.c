/* Text, documents, and what a text search has. */
#include "lost/slice.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

static bool bool_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);

    buffer_append_u8(text, cursor_u8(&cursor) ? 't' : 'f');
    return !cursor.failed;
}

/* "char": a byte that is no character of ASCII in octal, as 16 and later print it, so that the text
 * is valid in any encoding. */
static bool char_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    const uint8_t byte = cursor_u8(&cursor);

    if (byte >= 0x80)
        buffer_printf(text, "\\%03o", byte);
    else if (byte != 0)
        buffer_append_u8(text, byte);
    return !cursor.failed;
}

static bool name_text(Slice value, Buffer *text)
{
    buffer_append(text, value.bytes, strnlen((const char *) value.bytes, value.size));
    return true;
}

static bool text_text(Slice value, Buffer *text)
{
    buffer_append(text, value.bytes, value.size);
    return true;
}

/* ---- xml (xml.c) ---- */

static bool take_literal(Cursor *cursor, const char *word)
{
    const size_t size = strlen(word);

    if (cursor_left(cursor) < size || memcmp(cursor->bytes + cursor->position, word, size) != 0)
        return false;
    cursor_skip(cursor, size);
    return true;
}

static void skip_spaces(Cursor *cursor)
{
    while (take_literal(cursor, " ") || take_literal(cursor, "\t") || take_literal(cursor, "\n") ||
           take_literal(cursor, "\r"))
        ;
}

/* name="value" after spaces. False: it is not there. */
static bool take_xml_attribute(Cursor *cursor, const char *name, Slice *value)
{
    Cursor at = *cursor;
    const uint8_t *end;

    skip_spaces(&at);
    if (at.position == cursor->position || !take_literal(&at, name))
        return false;
    skip_spaces(&at);
    if (!take_literal(&at, "="))
        return false;
    skip_spaces(&at);
    const uint8_t quote = cursor_u8(&at);
    value->bytes = at.bytes + at.position;
    end = quote == '"' || quote == '\'' ? memchr(value->bytes, quote, cursor_left(&at)) : NULL;
    if (end == NULL)
        return false;
    value->size = (size_t) (end - value->bytes);
    cursor_skip(&at, value->size + 1);
    *cursor = at;
    return true;
}

/* The declaration loses its encoding. It goes, and a newline after it, if it says nothing but
 * version 1.0. One that cannot be read stays as it is. */
static bool xml_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    Slice version = {(const uint8_t *) "1.0", 3}, encoding, standalone = {0};

    if (take_literal(&cursor, "<?xml") && !take_literal(&cursor, "-"))
    {
        const bool good = take_xml_attribute(&cursor, "version", &version);

        (void) take_xml_attribute(&cursor, "encoding", &encoding);
        (void) take_xml_attribute(&cursor, "standalone", &standalone);
        skip_spaces(&cursor);
        if (!good || !take_literal(&cursor, "?>"))
            return text_text(value, text);
    }
    else
        cursor = slice_cursor(value);
    if (standalone.size > 0 || version.size != 3 || memcmp(version.bytes, "1.0", 3) != 0)
    {
        buffer_printf(text, "<?xml version=\"%.*s\"", (int) version.size, version.bytes);
        if (standalone.size > 0)
            buffer_printf(text, " standalone=\"%.*s\"", (int) standalone.size, standalone.bytes);
        buffer_append_string(text, "?>");
    }
    else
        (void) take_literal(&cursor, "\n");
    buffer_append(text, cursor.bytes + cursor.position, cursor_left(&cursor));
    return true;
}

/* ---- jsonb (utils/jsonb.h) ---- */

#define JSONB_COUNT_MASK 0x0FFFFFFFu
#define JSONB_SCALAR 0x10000000u
#define JSONB_OBJECT 0x20000000u
#define JSONB_ARRAY 0x40000000u
#define JSONB_ENTRY_SIZE 4
#define JSONB_FIELD_MASK 0x0FFFFFFFu /* of an entry: the item's length, or its end */
#define JSONB_FIELD_IS_END 0x80000000u
#define JSONB_NUMERIC_HEADER 4
#define JSONB_DEPTH_MAX 1000000 /* far more than the stack of any server allows */

/* The kinds of entries, JENTRY_... */
enum
{
    JSONB_STRING,
    JSONB_NUMERIC,
    JSONB_FALSE,
    JSONB_TRUE,
    JSONB_NULL,
    JSONB_CONTAINER
};

typedef struct JsonbItem
{
    unsigned kind;
    Slice content;
} JsonbItem;

/* An array, an object, whose keys all lie before its values, or the array around a scalar. */
typedef struct JsonbLevel
{
    Cursor keys, values; /* entries */
    Cursor data;
    size_t key_start, value_start; /* in data */
    size_t left;                   /* values */
    bool is_object, is_scalar, is_first;
} JsonbLevel;

/* As escape_json, json.c. */
static void append_json_string(Buffer *text, Slice string)
{
    static const char letters[] = "\bb\ff\nn\rr\tt\"\"\\\\";

    buffer_append_u8(text, '"');
    for (size_t i = 0; i < string.size; i++)
    {
        const uint8_t byte = string.bytes[i];
        const char *letter = NULL;

        for (const char *pair = letters; *pair != '\0' && letter == NULL; pair += 2)
            if ((uint8_t) *pair == byte)
                letter = pair + 1;
        if (letter != NULL)
            buffer_printf(text, "\\%c", *letter);
        else if (byte < ' ')
            buffer_printf(text, "\\u%04x", byte);
        else
            buffer_append_u8(text, byte);
    }
    buffer_append_u8(text, '"');
}

/*
 * The item of the next entry, which begins at *start in the data, the place where the one before it
 * ended; *start: where it ends itself.
 */
static bool take_jsonb_item(Cursor *entries, const Cursor *data, size_t *start, JsonbItem *item)
{
    const uint32_t entry = cursor_u32(entries);
    const size_t field = entry & JSONB_FIELD_MASK;
    const size_t end = entry & JSONB_FIELD_IS_END ? field : *start + field;

    item->kind = entry >> 28 & 7;
    if (item->kind == JSONB_NUMERIC || item->kind == JSONB_CONTAINER)
        *start = (*start + 3) / 4 * 4;
    if (entries->failed || end < *start || end > data->size)
        return false;
    item->content = (Slice){data->bytes + *start, end - *start};
    *start = end;
    return true;
}

static bool append_jsonb_scalar(const JsonbItem *item, Buffer *text)
{
    switch (item->kind)
    {
    case JSONB_STRING:
        append_json_string(text, item->content);
        return true;
    case JSONB_NUMERIC:
        return item->content.size > JSONB_NUMERIC_HEADER &&
               load_u32(item->content.bytes) == item->content.size << 2 &&
               numeric_text((Slice){item->content.bytes + JSONB_NUMERIC_HEADER,
                                    item->content.size - JSONB_NUMERIC_HEADER},
                            text);
    case JSONB_FALSE:
    case JSONB_TRUE:
        buffer_append_string(text, item->kind == JSONB_TRUE ? "true" : "false");
        return true;
    case JSONB_NULL:
        buffer_append_string(text, "null");
        return true;
    default:
        return false;
    }
}

static bool open_jsonb(Slice container, JsonbLevel *level, Buffer *text)
{
    Cursor cursor = slice_cursor(container);
    const uint32_t header = cursor_u32(&cursor);
    JsonbItem key;

    *level = (JsonbLevel){.keys = cursor,
                          .values = cursor,
                          .left = header & JSONB_COUNT_MASK,
                          .is_object = (header & JSONB_OBJECT) != 0,
                          .is_scalar = (header & JSONB_SCALAR) != 0};
    cursor_skip(&cursor, level->left * JSONB_ENTRY_SIZE * (level->is_object ? 2 : 1));
    if (cursor.failed || level->is_object == ((header & JSONB_ARRAY) != 0) ||
        (level->is_scalar && level->left != 1))
        return false;
    level->data = cursor_over(cursor.bytes + cursor.position, cursor_left(&cursor));
    for (size_t i = 0; i < level->left && level->is_object; i++)
        if (!take_jsonb_item(&level->values, &level->data, &level->value_start, &key))
            return false;
    if (!level->is_scalar)
        buffer_append_u8(text, level->is_object ? '{' : '[');
    level->is_first = true;
    return true;
}

/* The next value, with its key in an object. A container is given back, and not appended. */
static bool append_jsonb_next(JsonbLevel *level, Slice *container, Buffer *text)
{
    JsonbItem item;

    if (!level->is_first)
        buffer_append_string(text, ", ");
    level->is_first = false;
    level->left--;
    if (level->is_object)
    {
        if (!take_jsonb_item(&level->keys, &level->data, &level->key_start, &item))
            return false;
        append_json_string(text, item.content);
        buffer_append_string(text, ": ");
    }
    if (!take_jsonb_item(&level->values, &level->data, &level->value_start, &item))
        return false;
    if (item.kind != JSONB_CONTAINER)
        return append_jsonb_scalar(&item, text);
    *container = item.content;
    return true;
}

/* Without recursion: a document is as deep as its server's stack allowed. */
static bool jsonb_text(Slice value, Buffer *text)
{
    JsonbLevel *levels = NULL;
    size_t depth = 0;
    Slice container = value;
    bool good = true;

    while (good && (container.bytes != NULL || depth > 0))
    {
        if (container.bytes != NULL)
        {
            ARRAY_GROW(levels, depth);
            good = depth < JSONB_DEPTH_MAX && open_jsonb(container, &levels[depth++], text);
            container.bytes = NULL;
        }
        else if (levels[depth - 1].left > 0)
            good = append_jsonb_next(&levels[depth - 1], &container, text);
        else if (!levels[--depth].is_scalar)
            buffer_append_u8(text, levels[depth].is_object ? '}' : ']');
    }
    free(levels);
    return good;
}

/* ---- tsvector (tsearch/ts_type.h) ---- */

#define TSVECTOR_ENTRY_SIZE 4

/* A character of a lexeme that is quoted is doubled. */
static void append_lexeme(Buffer *text, Slice lexeme)
{
    buffer_append_u8(text, '\'');
    for (size_t i = 0; i < lexeme.size; i++)
    {
        if (lexeme.bytes[i] == '\'' || lexeme.bytes[i] == '\\')
            buffer_append_u8(text, lexeme.bytes[i]);
        buffer_append_u8(text, lexeme.bytes[i]);
    }
    buffer_append_u8(text, '\'');
}

static bool tsvector_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    const size_t count = cursor_u32(&cursor);
    const uint8_t *entries;

    if (count > cursor_left(&cursor) / TSVECTOR_ENTRY_SIZE)
        return false;
    entries = cursor_bytes(&cursor, count * TSVECTOR_ENTRY_SIZE);
    const size_t start = cursor.position;
    size_t left_to_print =
        value.size; /* entries that share their bytes must not make a huge text */
    for (size_t i = 0; i < count; i++)
    {
        /* From the lowest bit on: has positions, 11 bits of length, 20 of offset. */
        const uint32_t entry = load_u32(entries + i * TSVECTOR_ENTRY_SIZE);
        const size_t length = entry >> 1 & 0x7FF, offset = entry >> 12;

        cursor_seek(&cursor, start + offset);
        const uint8_t *lexeme = cursor_bytes(&cursor, length);
        unsigned positions = 0;
        if (entry & 1)
        {
            cursor_skip(&cursor, (offset + length) % 2);
            positions = cursor_u16(&cursor);
        }
        if (cursor.failed || length + positions > left_to_print)
            return false;
        left_to_print -= length + positions;
        if (i > 0)
            buffer_append_u8(text, ' ');
        append_lexeme(text, (Slice){lexeme, length});
        for (unsigned left = positions; left > 0; left--)
        {
            static const char *const weights[] = {"", "C", "B", "A"};
            const uint16_t position = cursor_u16(&cursor);

            buffer_printf(text, "%c%u%s", left == positions ? ':' : ',', position & 0x3FFFu,
                          weights[position >> 14]);
        }
    }
    return !cursor.failed;
}

const BaseType document_types[] = {
    {.oid = 16, .text = bool_text},
    {.oid = 18, .text = char_text},
    {.oid = 19, .text = name_text},
    {.oid = 25, .text = text_text},
    {.oid = 114, .text = text_text}, /* json */
    {.oid = 142, .text = xml_text},
    {.oid = 705, .text = text_text},  /* unknown */
    {.oid = 1042, .text = text_text}, /* bpchar */
    {.oid = 1043, .text = text_text}, /* varchar */
    {.oid = 1790, .text = text_text}, /* refcursor */
    {.oid = 3614, .text = tsvector_text},
    {.oid = 3802, .text = jsonb_text},
    {0},
};
