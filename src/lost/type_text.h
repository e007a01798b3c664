/*
 * The text of values of base types, by number_text.c, time_text.c and document_text.c. If the type
 * has a varlena header, a value begins after it.
 */
#ifndef LOST_TYPE_TEXT_H
#define LOST_TYPE_TEXT_H

#include "base/buffer.h"
#include "format/versions.h"

typedef struct TextForm
{
    const Version *version; /* version of the server */
    size_t size_max;        /* limit in bytes for the buffer: once the buffer has more, a
                               function may stop, as the text will not be used */
    const char *pattern;    /* pattern of the type (base_types.c) */
} TextForm;

/*
 * Append the text of a value, as the type's output function gives it. If this returns false, or the
 * cursor has failed, the bytes are not a value of the type, and a part of the text may have been
 * appended.
 */
typedef bool TextFunction(Cursor *value, const TextForm *form, Buffer *text);

/* Append the text by a pattern: each letter of base_types.c's list stands for a part of the value,
 * other characters for themselves: "(#,#)" for a point. */
TextFunction pattern_text;

TextFunction numeric_text, money_text, points_text, bytea_text, bit_text, inet_text;
TextFunction date_text, clock_text, timetz_text, timestamp_text, interval_text;
TextFunction char_text, text_text, name_text, xml_text, jsonb_text, tsvector_text;

/* Append a timestamp in microseconds since 2000, followed by zone; INT64_MAX and INT64_MIN are
 * infinity and -infinity. False if the date does not exist. */
bool append_timestamp(int64_t usecs, const char *zone, Buffer *text);

/* Append bytes in lower-case hexadecimal. */
void append_hex(Buffer *text, Slice bytes);

/* Remaining bytes of the cursor; bytes is NULL if the cursor has failed. */
static inline Slice cursor_rest(Cursor *cursor)
{
    const size_t size = cursor_left(cursor);

    return (Slice){cursor_bytes(cursor, size), size};
}

#endif
