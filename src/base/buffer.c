#include "base/buffer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Cursor cursor_over(const void *bytes, size_t size)
{
    return (Cursor){.bytes = bytes, .size = size, .position = 0, .failed = false};
}

size_t cursor_left(const Cursor *cursor)
{
    return cursor->failed ? 0 : cursor->size - cursor->position;
}

const uint8_t *cursor_bytes(Cursor *cursor, size_t size)
{
    const uint8_t *bytes;

    if (cursor->failed || size > cursor_left(cursor))
    {
        cursor->failed = true;
        return NULL;
    }
    bytes = cursor->bytes + cursor->position;
    cursor->position += size;
    return bytes;
}

uint8_t cursor_u8(Cursor *cursor)
{
    const uint8_t *bytes = cursor_bytes(cursor, 1);

    return bytes != NULL ? bytes[0] : 0;
}

uint16_t cursor_u16(Cursor *cursor)
{
    const uint8_t *bytes = cursor_bytes(cursor, 2);

    return bytes != NULL ? load_u16(bytes) : 0;
}

uint32_t cursor_u32(Cursor *cursor)
{
    const uint8_t *bytes = cursor_bytes(cursor, 4);

    return bytes != NULL ? load_u32(bytes) : 0;
}

uint64_t cursor_u64(Cursor *cursor)
{
    const uint8_t *bytes = cursor_bytes(cursor, 8);

    return bytes != NULL ? load_u64(bytes) : 0;
}

void cursor_skip(Cursor *cursor, size_t size)
{
    (void) cursor_bytes(cursor, size);
}

void cursor_seek(Cursor *cursor, size_t offset)
{
    if (offset > cursor->size)
        cursor->failed = true;
    else if (!cursor->failed)
        cursor->position = offset;
}

void buffer_free(Buffer *buffer)
{
    free(buffer->bytes);
    *buffer = (Buffer){0};
}

void buffer_clear(Buffer *buffer)
{
    buffer->size = 0;
}

void buffer_reserve(Buffer *buffer, size_t capacity)
{
    size_t grown;

    if (capacity <= buffer->capacity)
        return;
    grown = buffer->capacity < SIZE_MAX / 2 ? buffer->capacity * 2 : SIZE_MAX;
    if (grown < capacity)
        grown = capacity;
    if (grown < 64)
        grown = 64;
    buffer->bytes = memory_resize(buffer->bytes, grown);
    buffer->capacity = grown;
}

/* Make room for size more bytes and return their place. */
static uint8_t *buffer_grow(Buffer *buffer, size_t size)
{
    if (size > SIZE_MAX - buffer->size)
        out_of_memory();
    buffer_reserve(buffer, buffer->size + size);
    return buffer->bytes + buffer->size;
}

void buffer_append(Buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0)
        return;
    memcpy(buffer_grow(buffer, size), bytes, size);
    buffer->size += size;
}

void buffer_append_u8(Buffer *buffer, uint8_t value)
{
    buffer_append(buffer, &value, 1);
}

void buffer_append_u16(Buffer *buffer, uint16_t value)
{
    uint8_t bytes[2] = {(uint8_t) (value & 0xFF), (uint8_t) (value >> 8)};

    buffer_append(buffer, bytes, sizeof(bytes));
}

void buffer_append_u32(Buffer *buffer, uint32_t value)
{
    uint8_t bytes[4];

    store_u32(bytes, value);
    buffer_append(buffer, bytes, sizeof(bytes));
}

void buffer_append_u64(Buffer *buffer, uint64_t value)
{
    uint8_t bytes[8];

    store_u64(bytes, value);
    buffer_append(buffer, bytes, sizeof(bytes));
}

void buffer_append_string(Buffer *buffer, const char *string)
{
    buffer_append(buffer, string, strlen(string));
}

void buffer_append_escaped(Buffer *buffer, const void *bytes, size_t size, const char *special,
                           char escape)
{
    const uint8_t *byte = bytes;

    for (; size > 0; byte++, size--)
    {
        if (*byte != '\0' && strchr(special, *byte) != NULL)
            buffer_append_u8(buffer, escape != '\0' ? (uint8_t) escape : *byte);
        buffer_append_u8(buffer, *byte);
    }
}

void buffer_vshown(Buffer *buffer, ShownLines lines, const char *format, va_list arguments)
{
    const size_t length = (size_t) shown_vprintf(NULL, 0, lines, format, arguments);

    shown_vprintf((char *) buffer_grow(buffer, length + 1), length + 1, lines, format, arguments);
    buffer->size += length;
}

void buffer_shown(Buffer *buffer, ShownLines lines, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    buffer_vshown(buffer, lines, format, arguments);
    va_end(arguments);
}

static bool is_ascii_control(char byte)
{
    return (unsigned char) byte < 0x20 || byte == 0x7F;
}

static bool has_ascii_control(const char *string)
{
    while (*string != '\0' && !is_ascii_control(*string))
        string++;
    return *string != '\0';
}

/* Append the string between two quotes, which are the first character of `doubled`. Each character
 * of `doubled` in the string is written twice, with `text` in between. */
static void append_quoted(Buffer *buffer, const char *string, const char *doubled, const char *text)
{
    buffer_append_u8(buffer, (uint8_t) doubled[0]);
    for (;; string++)
    {
        const size_t plain = strcspn(string, doubled);

        buffer_append(buffer, string, plain);
        string += plain;
        if (*string == '\0')
            break;
        buffer_append_u8(buffer, (uint8_t) *string);
        buffer_append_string(buffer, text);
        buffer_append_u8(buffer, (uint8_t) *string);
    }
    buffer_append_u8(buffer, (uint8_t) doubled[0]);
}

void buffer_append_word(Buffer *buffer, const char *word)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-+:,=";

    if (word[0] != '\0' && word[strspn(word, plain)] == '\0')
        buffer_append_string(buffer, word);
    else
        append_quoted(buffer, word, "'", "\\'");
}

/* Append a literal (E'') or a name (U&"") in which control characters are escaped: a terminal would
 * execute them, and a line break would begin a new line. */
static void append_with_escapes(Buffer *buffer, const char *string, bool is_name)
{
    const char quote = is_name ? '"' : '\'';

    buffer_append_string(buffer, is_name ? "U&\"" : "E'");
    for (; *string != '\0'; string++)
    {
        if (is_ascii_control(*string) && is_name)
            buffer_printf(buffer, "\\%04x", (unsigned) *string);
        else if (is_ascii_control(*string))
            buffer_printf(buffer, *string == '\n' ? "\\n" : "\\x%02x", (unsigned) *string);
        else
            buffer_append_escaped(buffer, string, 1, (char[]){quote, '\\', '\0'}, '\0');
    }
    buffer_append_u8(buffer, (uint8_t) quote);
}

void buffer_append_shown_word(Buffer *buffer, const char *word)
{
    AUTO_BUFFER Buffer shown = {0};

    buffer_shown(&shown, SHOWN_ONE_LINE, "%s", word);
    buffer_append_word(buffer, buffer_string(&shown));
}

/* Append the value of a setting: the servers' lexer of configuration files (guc-file.l) takes no
 * line break in a literal, but the escape of one. */
static void append_setting_value(Buffer *buffer, const char *string)
{
    buffer_append_u8(buffer, '\'');
    for (; *string != '\0'; string++)
        if (*string == '\n')
            buffer_append_string(buffer, "\\n");
        else
            buffer_append_escaped(buffer, string, 1, "'\\", '\0');
    buffer_append_u8(buffer, '\'');
}

void buffer_append_literal(Buffer *buffer, const char *string, LiteralKind kind)
{
    const bool has_backslash = strchr(string, '\\') != NULL;

    if (kind == LITERAL_ANY && (has_ascii_control(string) || has_backslash))
        append_with_escapes(buffer, string, false);
    else if (kind == LITERAL_SETTING)
        append_setting_value(buffer, string);
    else
        append_quoted(buffer, string, has_backslash ? "'\\" : "'", "");
}

void buffer_append_name(Buffer *buffer, const char *name)
{
    append_quoted(buffer, name, "\"", "");
}

void buffer_append_shown_name(Buffer *buffer, const char *name)
{
    if (has_ascii_control(name))
        append_with_escapes(buffer, name, true);
    else
        buffer_append_name(buffer, name);
}

void buffer_append_call(Buffer *buffer, const char *function, const char *string, const char *type,
                        const char *more)
{
    buffer_printf(buffer, "pg_catalog.%s(", function);
    buffer_append_literal(buffer, string, LITERAL_ANY);
    buffer_printf(buffer, "::pg_catalog.%s%s)", type, more);
}

void buffer_printf(Buffer *buffer, const char *format, ...)
{
    va_list arguments, again;
    int length;
    size_t size;

    va_start(arguments, format);
    va_copy(again, arguments);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length < 0)
        out_of_memory();
    size = (size_t) length + 1; /* vsnprintf writes a NUL, which size does not count */
    vsnprintf((char *) buffer_grow(buffer, size), size, format, arguments);
    va_end(arguments);
    buffer->size += (size_t) length;
}

const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

const char *buffer_string(Buffer *buffer)
{
    *buffer_grow(buffer, 1) = '\0';
    return (const char *) buffer->bytes;
}

void store_u32(uint8_t *bytes, uint32_t value)
{
    for (int index = 0; index < 4; index++)
        bytes[index] = (uint8_t) (value >> (8 * index));
}

void store_u64(uint8_t *bytes, uint64_t value)
{
    for (int index = 0; index < 8; index++)
        bytes[index] = (uint8_t) (value >> (8 * index));
}

const char *path_in(Buffer *path, const char *directory, const char *name)
{
    const size_t length = strlen(directory);
    const bool separated = length == 0 || directory[length - 1] == '/' || name[0] == '\0';

    buffer_clear(path);
    buffer_printf(path, separated ? "%s%s" : "%s/%s", directory, name);
    return buffer_string(path);
}

const char *path_parent(Buffer *parent, const char *path)
{
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    length -= length > 1; /* drop the slash, unless it is the root directory */
    buffer_clear(parent);
    buffer_append(parent, length > 0 ? path : ".", length > 0 ? length : 1);
    return buffer_string(parent);
}
