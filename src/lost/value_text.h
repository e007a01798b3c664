/*
 * The text of stored values of any type, as the server's output functions print it with DateStyle
 * ISO, TimeZone UTC, IntervalStyle postgres, bytea_output hex, lc_monetary C, and floating-point
 * numbers as from 12 on. Logical decoding uses output functions too. For boolean, character, inet,
 * xml and "char" the result differs from a cast to text.
 *
 * Strings keep the encoding of their database. Nothing is read except through the callbacks.
 */
#ifndef LOST_VALUE_TEXT_H
#define LOST_VALUE_TEXT_H

#include "format/heap_tuple.h"

typedef struct EnumLabel
{
    Oid oid; /* OID in pg_enum, the stored value */
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
    Oid inner; /* OID of the type that values consist of: element of an array, base type of a
                  domain, subtype of a range, range type of a multirange; 0 for others. Types
                  like name and point have a typelem because they allow subscripts, but are not
                  arrays: an array has variable length, and from 14 on array_subscript_handler
                  as typsubscript */
    const Attribute *attributes; /* attributes of a composite type, including dropped ones */
    size_t attribute_count;
    const EnumLabel *labels;
    size_t label_count;
} Type;

/* Get a type, which lives as long as the reader; NULL if the catalogs do not have it. */
typedef const Type *(*TypeFunction)(void *context, Oid type);

typedef struct ValueReader
{
    const Version *version;
    TypeFunction type;
    void *context; /* argument for `type` */
    ToastReader toast;
    size_t text_size_max; /* longest text in bytes; a value with a longer text is VALUE_STORED.
                             0: the server's limit, 1 GB */
} ValueReader;

typedef enum ValueEncoding
{
    VALUE_TEXT,
    VALUE_BINARY, /* hexadecimal: the type, or the type of a part, has no known text */
    VALUE_STORED  /* nothing: the text, or the decompressed value, would be too long */
} ValueEncoding;

/*
 * Append the text of a value, not NULL, of the attribute. False, with *reason, for damaged bytes
 * and missing chunks; nothing is appended then.
 */
MUST_CHECK bool value_text(const ValueReader *reader, const Attribute *attribute, Slice stored,
                           Buffer *text, ValueEncoding *encoding, const char **reason);

#endif
