/* Text, documents, and what a text search has. */
#include "lost/type_text.h"

#include "base/array.h"
#include "base/text_cursor.h"

#include <stdlib.h>
#include <string.h>

/* From 15 on a byte that is no character of ASCII is in octal, so that the text is valid in any
 * encoding. Before it is a byte, which can be a part of a character. */
bool char_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const uint8_t byte = cursor_u8(value);

    if (byte >= 0x80 && form->version->char_escapes)
        buffer_printf(text, "\\%03o", byte);
    else if (byte != 0)
        buffer_append_u8(text, byte);
    return true;
}

bool text_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const Slice rest = cursor_rest(value);

    (void) form;
    buffer_append(text, rest.bytes, rest.size);
    return true;
}

bool name_text(Cursor *value, const TextForm *form, Buffer *text)
{
    value->size = strnlen((const char *) value->bytes, value->size);
    return text_text(value, form, text);
}

/* ---- xml (xml.c) ---- */

/* Take name="value" after blanks. Returns false, and takes nothing, if it does not follow. */
static bool take_xml_attribute(TextCursor *xml, const char *name, TextCursor *value)
{
    TextCursor at = *xml;

    text_skip_blanks(&at);
    if (at.position == xml->position || !text_take(&at, name))
        return false;
    text_skip_blanks(&at);
    if (!text_take(&at, "="))
        return false;
    text_skip_blanks(&at);
    const char quote = text_take(&at, "\"") ? '"' : text_take(&at, "'") ? '\'' : '\0';
    const char *end = memchr(at.position, quote, (size_t) (at.end - at.position));
    if (quote == '\0' || end == NULL)
        return false;
    *value = (TextCursor){at.position, end};
    xml->position = end + 1;
    return true;
}

/* Writes XML as the server does: the declaration without its encoding, and no declaration, nor the
 * newline after it, if it has nothing but version 1.0. A declaration that cannot be parsed is kept.
 */
bool xml_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const char *bytes = (const char *) value->bytes;
    TextCursor xml = {bytes, bytes + value->size}, all = xml;
    TextCursor version = text_cursor("1.0"), encoding, standalone = {0};

    if (text_take(&xml, "<?xml") && !text_take(&xml, "-"))
    {
        const bool good = take_xml_attribute(&xml, "version", &version);

        (void) take_xml_attribute(&xml, "encoding", &encoding);
        (void) take_xml_attribute(&xml, "standalone", &standalone);
        text_skip_blanks(&xml);
        if (!good || !text_take(&xml, "?>"))
            return text_text(value, form, text);
    }
    else
        xml = all;
    const int size = (int) (version.end - version.position);
    if (standalone.position != NULL || size != 3 || memcmp(version.position, "1.0", 3) != 0)
    {
        buffer_printf(text, "<?xml version=\"%.*s\"", size, version.position);
        if (standalone.position != NULL)
            buffer_printf(text, " standalone=\"%.*s\"",
                          (int) (standalone.end - standalone.position), standalone.position);
        buffer_append_string(text, "?>");
    }
    else
        (void) text_take(&xml, "\n");
    buffer_append(text, xml.position, (size_t) (xml.end - xml.position));
    return true;
}

/* ---- jsonb (utils/jsonb.h) ---- */

#define JSONB_COUNT_MASK 0x0FFFFFFFu
#define JSONB_SCALAR 0x10000000u
#define JSONB_OBJECT 0x20000000u
#define JSONB_ARRAY 0x40000000u
#define JSONB_ENTRY_SIZE 4
#define JSONB_FIELD_MASK 0x0FFFFFFFu /* item's length, or its end, in a JEntry */
#define JSONB_FIELD_IS_END 0x80000000u
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
static bool append_jsonb_next(JsonbLevel *level, const TextForm *form, Slice *container,
                              Buffer *text)
{
    static const char *const words[] = {
        [JSONB_FALSE] = "false", [JSONB_TRUE] = "true", [JSONB_NULL] = "null"};
    JsonbItem item;
    Cursor number;

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
    switch (item.kind)
    {
    case JSONB_CONTAINER:
        *container = item.content;
        return true;
    case JSONB_STRING:
        append_json_string(text, item.content);
        return true;
    case JSONB_NUMERIC:
        number = slice_cursor(item.content);
        return cursor_u32(&number) == item.content.size << 2 && numeric_text(&number, form, text) &&
               !number.failed;
    case JSONB_FALSE:
    case JSONB_TRUE:
    case JSONB_NULL:
        buffer_append_string(text, words[item.kind]);
        return true;
    default:
        return false;
    }
}

/* Without recursion: a document is as deep as its server's stack allowed. */
bool jsonb_text(Cursor *value, const TextForm *form, Buffer *text)
{
    JsonbLevel *levels = NULL;
    size_t depth = 0;
    Slice container = cursor_rest(value);
    bool good = true;

    while (good && text->size <= form->size_max && (container.bytes != NULL || depth > 0))
    {
        if (container.bytes != NULL)
        {
            ARRAY_GROW(levels, depth);
            good = depth < JSONB_DEPTH_MAX && open_jsonb(container, &levels[depth++], text);
            container.bytes = NULL;
        }
        else if (levels[depth - 1].left > 0)
            good = append_jsonb_next(&levels[depth - 1], form, &container, text);
        else if (!levels[--depth].is_scalar)
            buffer_append_u8(text, levels[depth].is_object ? '}' : ']');
    }
    free(levels);
    return good;
}

/* ---- tsvector (tsearch/ts_type.h) ---- */

#define TSVECTOR_ENTRY_SIZE 4

bool tsvector_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const size_t count = cursor_u32(value);
    const uint8_t *entries;
    size_t left_to_print =
        value->size; /* entries that share their bytes must not make a huge text */

    (void) form;
    if (count > cursor_left(value) / TSVECTOR_ENTRY_SIZE)
        return false;
    entries = cursor_bytes(value, count * TSVECTOR_ENTRY_SIZE);
    const size_t start = value->position;
    for (size_t i = 0; i < count; i++)
    {
        /* From the lowest bit on: has positions, 11 bits of length, 20 of offset. */
        const uint32_t entry = load_u32(entries + i * TSVECTOR_ENTRY_SIZE);
        const size_t length = entry >> 1 & 0x7FF, offset = entry >> 12;

        cursor_seek(value, start + offset);
        const Slice lexeme = {cursor_bytes(value, length), length};
        unsigned positions = 0;
        if (entry & 1)
        {
            cursor_skip(value, (offset + length) % 2);
            positions = cursor_u16(value);
        }
        if (value->failed || length + positions > left_to_print)
            return false;
        left_to_print -= length + positions;
        if (i > 0)
            buffer_append_u8(text, ' ');
        buffer_append_u8(text, '\'');
        buffer_append_escaped(text, lexeme.bytes, lexeme.size, "'\\", '\0');
        buffer_append_u8(text, '\'');
        for (unsigned left = positions; left > 0; left--)
        {
            static const char *const weights[] = {"", "C", "B", "A"};
            const uint16_t position = cursor_u16(value);

            buffer_printf(text, "%c%u%s", left == positions ? ':' : ',', position & 0x3FFFu,
                          weights[position >> 14]);
        }
    }
    return true;
}
