/*
 * The text of stored values of any type, as a server of that version gives it with DateStyle ISO,
 * TimeZone UTC, IntervalStyle postgres, bytea_output hex, lc_monetary C, and floating-point numbers
 * as from 12 on: by the output function of the type, as logical decoding does, which for boolean,
 * character, inet, xml and "char" is not the same as a cast to text.
 *
 * Strings keep the encoding of their database. Nothing is read but what the callbacks give.
 */
#ifndef LOST_VALUE_TEXT_H
#define LOST_VALUE_TEXT_H

#include "format/heap_tuple.h"

typedef struct EnumLabel
{
    Oid oid; /* in pg_enum: what is stored */
    const char *label;
} EnumLabel;

/* A row of pg_type, and what other catalogs have of it. */
typedef struct Type
{
    Oid oid;
    const char *schema, *name;
    char kind;      /* typtype: b, c, d, e, r, m */
    char delimiter; /* typdelim */
    Storage storage;
    Oid inner; /* the element of an array, base type of a domain, subtype of a range, range type of
                  a multirange; else 0, also for types like name and point, whose typelem says that
                  they have subscripts: an array is of variable length, and its typsubscript (14+)
                  is array_subscript_handler */
    const Attribute *attributes; /* of a composite type, with the dropped ones */
    size_t attribute_count;
    const EnumLabel *labels;
    size_t label_count;
} Type;

/* The type, which lives as long as the reader; NULL: the catalogs do not have it. */
typedef const Type *(*TypeFunction)(void *context, Oid type);

typedef struct ValueReader
{
    const Version *version;
    TypeFunction type;
    void *context; /* for type */
    ToastReader toast;
    size_t text_size_max; /* of a longer text nothing is made; 0: that of the server, 1 GB */
} ValueReader;

typedef enum ValueEncoding
{
    VALUE_TEXT,
    VALUE_BINARY, /* hexadecimal: of a type, or with a part of a type, that we know no text of */
    VALUE_STORED  /* nothing is appended: the text would be too long, or the value itself */
} ValueEncoding;

/*
 * Append the text of a value of the attribute that is stored, and not NULL. False for damaged
 * bytes and missing chunks; then nothing is appended.
 */
MUST_CHECK bool value_text(const ValueReader *reader, const Attribute *attribute, Slice stored,
                           Buffer *text, ValueEncoding *encoding, const char **reason);

#endif
