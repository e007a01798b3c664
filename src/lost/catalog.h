/*
 * The rows of the target's catalogs at any moment of the lost history.
 *
 * Transactions that change the same row do so one after the other. So each row has one history:
 * what it was before the first lost change, which the change tells or, for a row that none changed,
 * the target's disk; then what each change left. A moment sees what committed before it, and what
 * its own transaction did before it.
 *
 * Columns are found by their names in pg_attribute, which describes itself, too.
 */
#ifndef LOST_CATALOG_H
#define LOST_CATALOG_H

#include "base/encoding.h"
#include "format/heap_tuple.h"
#include "lost/row_changes.h"

#define PG_TYPE 1247
#define PG_ATTRIBUTE 1249
#define PG_CLASS 1259
#define PG_DATABASE 1262
#define PG_INDEX 2610
#define PG_NAMESPACE 2615
#define PG_COLLATION 3456
#define PG_ENUM 3501
#define PG_RANGE 3541

/* A record of a lost transaction. */
typedef struct Moment
{
    Lsn lsn;
    const LostCommit *commit; /* NULL: of none */
} Moment;

/* A change of a row of a catalog. */
typedef struct CatalogChange
{
    Oid catalog;
    const LostCommit *commit;
    RowChange row;
} CatalogChange;

/* The changes that a moment sees: [0, committed) and [own_start, own_end). */
typedef struct CatalogView
{
    size_t committed, own_start, own_end;
} CatalogView;

/* The target's catalogs. Only catalog.c and schema.c use the fields without a comment. */
typedef struct Schema
{
    const RowChanges *row_changes;
    CatalogChange *changes; /* all of catalogs, by commits and LSNs, also those of common history */
    size_t change_count;
    const Clusters *clusters;
    Arena *arena;
    struct Catalog **catalogs;
    size_t catalog_count;
    Oid model;   /* a database whose pg_attribute describes the shared catalogs, too */
    Buffer xact; /* the file of pg_xact with that number */
    uint32_t xact_number;
    struct DatabaseEncoding *encodings; /* those that were asked for */
    size_t encoding_count;
    struct Found *found; /* tables and types, by id */
    size_t found_count;
} Schema;

/* The catalogs of a database at a moment. */
typedef struct CatalogLook
{
    Schema *schema;
    Oid database; /* 0: any, for what all databases have */
    CatalogView view;
    iconv_t conversion; /* of names */
    Arena *arena;       /* of results */
    uint64_t seen;      /* a hash of the rows that were found */
} CatalogLook;

#define CATALOG_COLUMNS_MAX 64

typedef struct CatalogTuple
{
    Oid catalog;
    Oid oid;                  /* its number; 0: the row has no number */
    const Attribute *columns; /* in their order, as many as the catalog has */
    size_t column_count;
    Slice tuple;
    Slice values[CATALOG_COLUMNS_MAX];
} CatalogTuple;

/* A catalog that cannot be read gives a warning when it is asked for. */
Schema *schema_create(const Clusters *clusters, const RowChanges *changes);
void schema_free(Schema *schema); /* NULL is allowed */

/* Its conversion, of the text of values as well, is the schema's. */
CatalogLook schema_look(Schema *schema, Oid database, Moment moment);

/*
 * The next row with that key, the first one for a *position of 0. False: the catalog has no further
 * row, or it cannot be read; then there was a warning. The key is the row's own number, of
 * PG_ATTRIBUTE, PG_INDEX, PG_ENUM and PG_RANGE that of the relation or type, whose rows come by
 * attribute number, index or label number. KEY_ANY: all rows. OTHER_KEY: a row of PG_INDEX or
 * PG_RANGE by the number of the index or multirange; rows of PG_CLASS that have, had or will have
 * that storage.
 */
#define KEY_ANY UINT64_MAX
#define OTHER_KEY(number) ((uint64_t) 1 << 32 | (number))
bool catalog_next(CatalogLook *look, Oid catalog, uint64_t key, size_t *position,
                  CatalogTuple *row);

/* The first one. */
bool catalog_find(CatalogLook *look, Oid catalog, uint64_t key, CatalogTuple *row);

/* A column of that one; NULL or 0 also where there is no such row. */
const char *catalog_name(CatalogLook *look, Oid catalog, uint64_t key, const char *column);
uint32_t catalog_number(CatalogLook *look, Oid catalog, uint64_t key, const char *column);

/* The look's own transaction wrote the row of pg_class that has that storage; made: as the first
 * row of its relation. */
bool catalog_gives_storage(CatalogLook *look, Oid filenode, bool made);

/* The row of a catalog that a tuple is; false if it is damaged, or not there. */
bool catalog_row(CatalogLook *look, Oid catalog, Slice tuple, CatalogTuple *row);

/* A column as stored: bytes NULL for NULL, and where the catalog has no such column. */
Slice row_column(const CatalogTuple *row, const char *column);

/* An integer, OID, boolean or "char"; 0 for NULL. Negative ones are extended to 32 bits. */
uint32_t row_number(const CatalogTuple *row, const char *column);

/* A name as encoding_name gives it; NULL for NULL. */
const char *row_name(CatalogLook *look, const CatalogTuple *row, const char *column);

/* A name that a command gives to the table which it fills in place of another one, whose number
 * this returns; 0: it is no such name. */
Oid rewritten_table(const char *name);

#endif
