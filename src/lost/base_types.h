/*
 * The base types of pg_catalog whose text we know. Their values begin after the varlena header,
 * where the type has one.
 */
#ifndef LOST_BASE_TYPES_H
#define LOST_BASE_TYPES_H

#include "base/buffer.h"
#include "format/versions.h"

/*
 * Append the text of a value as the output function of its type gives it. Where this returns false,
 * or the cursor has failed, the bytes are not a value of that type; then a part of the text may
 * have been appended.
 */
typedef bool (*TextFunction)(Cursor *value, Buffer *text);

/* The same, of a type of which a few bytes can be a long text: it ends where the buffer has more
 * than size_max. */
typedef bool (*LongTextFunction)(Cursor *value, size_t size_max, Buffer *text);

typedef enum BaseKind
{
    BASE_OTHER,
    BASE_EQUAL, /* its operator = means equality of values: not that of box, which compares areas,
                   nor of interval, to which a month is 30 days */
    BASE_NUMBER /* the same, and a number in JSON */
} BaseKind;

typedef struct BaseType
{
    Oid oid; /* catalog/pg_type.dat; the same in all versions that have the type */
    BaseKind kind;
    TextFunction text;          /* or */
    const char *pattern;        /* see pattern_text; or */
    LongTextFunction long_text; /* none of these: pg_lsn, whose text depends on the version */
} BaseType;

/* Each ends with an OID of 0. */
extern const BaseType plain_types[];
extern const BaseType time_types[];
extern const BaseType document_types[];

BaseKind base_type_kind(Oid type); /* BASE_OTHER for a type that is not among them */

bool numeric_text(Cursor *value, size_t size_max, Buffer *text);

/* Append a value that is a sequence: in the place of "#" stands a double precision number, of "f" a
 * real one, of "h" a byte in hexadecimal. */
void pattern_text(Cursor *value, const char *pattern, Buffer *text);

/* A "char" of a server before 15: a byte, which can be a part of a character. */
bool char_byte_text(Cursor *value, Buffer *text);

/* An interval of a server before 17, which has no infinite ones. */
bool finite_interval_text(Cursor *value, Buffer *text);

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
