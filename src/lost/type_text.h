/*
 * The text of values of the base types. Values begin after the varlena header, where the type has
 * one. The functions are in number_text.c, time_text.c and document_text.c.
 */
#ifndef LOST_TYPE_TEXT_H
#define LOST_TYPE_TEXT_H

#include "base/buffer.h"
#include "format/versions.h"

typedef struct TextForm
{
    const Version *version; /* of the server */
    size_t size_max;        /* a text longer than its value ends where the buffer has more */
    const char *pattern;    /* of the type (base_types.c) */
} TextForm;

/*
 * Append the text of a value as the output function of its type gives it. Where this returns false,
 * or the cursor has failed, the bytes are not a value of that type; then a part of the text may
 * have been appended.
 */
typedef bool TextFunction(Cursor *value, const TextForm *form, Buffer *text);

/* By a pattern, in which a letter is a number or a part of the value, and all else itself. */
TextFunction pattern_text;

TextFunction numeric_text, money_text, points_text, bytea_text, bit_text, inet_text;
TextFunction date_text, clock_text, timetz_text, timestamp_text, interval_text;
TextFunction char_text, text_text, name_text, xml_text, jsonb_text, tsvector_text;

/* A timestamp in microseconds since 2000; zone follows the time. False: there is no such date. */
bool append_timestamp(int64_t usecs, const char *zone, Buffer *text);

/* Append bytes in lower-case hexadecimal. */
void append_hex(Buffer *text, Slice bytes);

/* All that the cursor has left; bytes NULL if it has failed. */
static inline Slice cursor_rest(Cursor *cursor)
{
    const size_t size = cursor_left(cursor);

    return (Slice){cursor_bytes(cursor, size), size};
}

#endif
