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
    uint16_t attribute_count; /* that the tuple has: later columns were added afterwards */
    Oid oid;                  /* the row's own, if its table is WITH OIDS (until 11); else 0 */
    Slice nulls;              /* bitmap: 1 for what is not NULL; bytes NULL: no column is */
    Slice data;
} HeapTuple;

/* How values are stored: as in pg_type and pg_attribute. */
typedef struct Storage
{
    int16_t length; /* in bytes; -1: varlena, -2: up to a NUL */
    char alignment; /* c, s, i, d: 1, 2, 4, 8 */
} Storage;

/* A column, dropped ones included, or an attribute of a composite type. */
typedef struct Attribute
{
    const char *name;
    Oid type; /* 0: dropped */
    Storage storage;
    Slice missing;  /* as stored: what rows have that were written before the column was added, if
                       their table was not rewritten (attmissingval, 11+); bytes NULL: NULL */
    bool generated; /* the server computes it from other columns (attgenerated, 12+) */
    bool identity_always;  /* GENERATED ALWAYS AS IDENTITY (attidentity, 10+): UPDATE sets it to
                              DEFAULT only */
    bool nondeterministic; /* by its collation texts of other bytes can be equal (12+) */
} Attribute;

/*
 * Parse a tuple whose bytes begin `missing` bytes after its header does: 0 for a page's item, 4 for
 * a value of a composite type, whose varlena header stands there. False if the bytes end early or a
 * field is impossible.
 */
MUST_CHECK bool heap_tuple_parse(Slice tuple, size_t missing, HeapTuple *parsed,
                                 const char **reason);

/*
 * Split into count values, one for each attribute, as stored: varlenas keep their headers. False if
 * the tuple has more attributes or ends early: it is damaged, or of another relation.
 */
MUST_CHECK bool heap_tuple_split(const HeapTuple *tuple, const Attribute *attributes, size_t count,
                                 Slice *values, const char **reason);

/*
 * Take the next value of an aligned sequence, as in tuples, arrays and ranges; the cursor begins at
 * an aligned place. False: the bytes end early, or no value begins there.
 */
bool storage_take(const Storage *storage, Cursor *cursor, Slice *value);

#endif
