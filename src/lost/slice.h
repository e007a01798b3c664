/*
 * Bytes of a value as a server stores them, and the base types of pg_catalog whose text we know.
 */
#ifndef LOST_SLICE_H
#define LOST_SLICE_H

#include "base/buffer.h"
#include "format/versions.h"

/*
 * Append the text of a value as the output function of its type gives it. The value begins after
 * its varlena header, where the type has one. False: the bytes are not a value of that type; then
 * a part of the text may have been appended.
 */
typedef bool (*TextFunction)(Slice value, Buffer *text);

typedef struct BaseType
{
    Oid oid;             /* catalog/pg_type.dat; the same in all versions that have the type */
    TextFunction text;   /* or */
    const char *pattern; /* see pattern_text */
} BaseType;

/* Each ends with an OID of 0. */
extern const BaseType number_types[];
extern const BaseType time_types[];
extern const BaseType bits_types[];
extern const BaseType document_types[];

bool numeric_text(Slice value, Buffer *text);

/* A TextFunction for a value that is a sequence: in the place of "#" stands a double precision
 * number, of "h" a byte in hexadecimal. */
bool pattern_text(Slice value, const char *pattern, Buffer *text);

/* An interval of a server before 17, which has no infinite ones. */
bool finite_interval_text(Slice value, Buffer *text);

/* Append bytes in lower-case hexadecimal. */
void append_hex(Buffer *text, Slice bytes);

#endif
