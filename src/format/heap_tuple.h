/*
 * The bytes of a heap tuple, split into the values of its columns (HeapTupleHeaderData,
 * access/htup_details.h; alike in 9.3 to 19).
 */
#ifndef FORMAT_HEAP_TUPLE_H
#define FORMAT_HEAP_TUPLE_H

#include "format/varlena.h"

#define HEAP_TUPLE_ATTRIBUTES_MAX 1664 /* MaxTupleAttributeNumber */

typedef struct HeapTuple
{
    uint16_t attribute_count; /* number of columns in the tuple; columns added later are missing */
    Oid oid;                  /* the row's OID if the table is WITH OIDS (until 11), else 0 */
    Slice nulls; /* null bitmap, 1 for a value that is not NULL; bytes NULL if no value is NULL */
    Slice data;
} HeapTuple;

/* Size and alignment of values of a type, as in pg_type and pg_attribute. */
typedef struct Storage
{
    int16_t length; /* bytes; -1 for varlena, -2 for a string that ends with a NUL */
    char alignment; /* c, s, i or d, for 1, 2, 4 or 8 bytes */
} Storage;

/* A column, including dropped ones, or an attribute of a composite type. */
typedef struct Attribute
{
    const char *name;
    Oid type; /* OID of the type; 0 if the column was dropped */
    Storage storage;
    Slice missing;  /* value, as stored, of rows without this column: it was added later, and the
                       table was not rewritten (attmissingval, 11+); bytes NULL for NULL */
    bool generated; /* stored or virtual column that the server computes from others
                       (attgenerated, 12+) */
    bool identity_always; /* GENERATED ALWAYS AS IDENTITY (attidentity, 10+): UPDATE can only set it
                             to DEFAULT */
    bool nondeterministic; /* texts with different bytes can be equal by the collation (12+) */
} Attribute;

/*
 * Parse a tuple without the first `missing` bytes of its header: 0 for an item of a page, 4 for a
 * value of a composite type, whose varlena header takes the place of these bytes and is not in the
 * slice. Returns false, with *reason, if the bytes end early or a field is impossible.
 */
MUST_CHECK bool heap_tuple_parse(Slice tuple, size_t missing, HeapTuple *parsed,
                                 const char **reason);

/*
 * Split a tuple into count values, one for each attribute, as stored: varlenas keep their headers.
 * NULL has bytes NULL; attributes that the tuple lacks have their value `missing`. Returns false,
 * with *reason, if the tuple has more attributes or ends early: it is damaged, or of another
 * relation.
 */
MUST_CHECK bool heap_tuple_split(const HeapTuple *tuple, const Attribute *attributes, size_t count,
                                 Slice *values, const char **reason);

/*
 * Take the next value of an aligned sequence, as in tuples, arrays and ranges. The cursor's bytes
 * must begin at an aligned position. Returns false if the bytes end early, or no value begins
 * there.
 */
bool storage_take(const Storage *storage, Cursor *cursor, Slice *value);

#endif
