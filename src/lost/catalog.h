/*
 * The rows of the target's catalogs at any moment of the lost history.
 *
 * Transactions that change the same row do so one after the other, so each row has one sequence of
 * versions. The first version is the one before the first lost change; that change holds it, and if
 * no lost transaction changed the row, the target's file does. Each change adds a version. At a
 * moment, the changes that committed before it are visible, and those that its own transaction made
 * before it.
 *
 * Columns are found by their names in pg_attribute, which has rows for its own columns too.
 */
#ifndef LOST_CATALOG_H
#define LOST_CATALOG_H

#include "base/encoding.h"
#include "format/heap_tuple.h"
#include "lost/row_changes.h"

#define PG_TYPE 1247
#define PG_ATTRIBUTE 1249
#define PG_CLASS 1259
#define PG_AUTHID 1260
#define PG_DATABASE 1262
#define PG_INDEX 2610
#define PG_NAMESPACE 2615
#define PG_COLLATION 3456
#define PG_ENUM 3501
#define PG_RANGE 3541

/* A moment in the lost history: a WAL record and its transaction. */
typedef struct Moment
{
    Lsn lsn;
    const LostCommit *commit; /* transaction of the record; NULL: none */
} Moment;

/* A change of a row of a catalog. */
typedef struct CatalogChange
{
    Oid catalog;
    const LostCommit *commit;
    RowChange row;
} CatalogChange;

/* The changes that are visible at a moment, as indexes of Schema.changes: [0, committed) and
 * [own_start, own_end). */
typedef struct CatalogView
{
    size_t committed, own_start, own_end;
} CatalogView;

/* The target's catalogs, cached. schema_events.c reads `changes`; only catalog.c and schema.c use
 * the other fields. */
typedef struct Schema
{
    const RowChanges *row_changes;
    CatalogChange *changes; /* all changes of catalogs (tells_schema) by transactions that
                               committed, lost or in common history, ordered by commit and LSN */
    size_t change_count;
    const Clusters *clusters;
    Arena *arena;
    struct Catalog **catalogs;
    size_t catalog_count;
    Oid model;   /* a database that exists, whose pg_attribute is used for the columns of shared
                    catalogs */
    Buffer xact; /* one file of pg_xact, cached: the file with xact_number */
    uint32_t xact_number;
    struct DatabaseEncoding *encodings; /* encodings of databases, cached */
    size_t encoding_count;
    struct Found *found; /* tables and types that were made, cached, ascending by id */
    size_t found_count;
    uint64_t version_columns;         /* columns of all former versions of tables in `found` */
    struct NamesBefore *names_before; /* names of relations at the divergence, for each database,
                                         cached */
    size_t names_before_count;
} Schema;

/* A view of one database's catalogs at a moment. */
typedef struct CatalogSnapshot
{
    Schema *schema;
    Oid database; /* database; 0: only shared catalogs are read */
    CatalogView view;
    iconv_t conversion; /* conversion for names */
    Arena *arena;       /* arena for results */
    uint64_t seen;      /* hash over the rows found with this view; shows whether a cached table
                           or type is still current */
} CatalogSnapshot;

#define CATALOG_COLUMNS_MAX 64

typedef struct CatalogTuple
{
    Oid catalog;
    Oid oid;                  /* OID of the row; 0: rows of this catalog have no OID */
    const Attribute *columns; /* columns of the catalog, in order */
    size_t column_count;
    Slice tuple;
    Slice values[CATALOG_COLUMNS_MAX];
} CatalogTuple;

/* Create the cache. Never NULL; a catalog that cannot be read gives a warning when it is first
 * used. */
Schema *schema_create(const Clusters *clusters, const RowChanges *changes);
void schema_free(Schema *schema); /* NULL is allowed */

/* View of a database's catalogs at a moment. The view's conversion, for names and the text of
 * values, belongs to the schema. */
CatalogSnapshot schema_snapshot(Schema *schema, Oid database, Moment moment);

/*
 * Get the next row with that key; the first one for a *position of 0. False: the catalog has no
 * further row, or cannot be read, which gave a warning.
 *
 * The key of a row is its OID. For PG_ATTRIBUTE, PG_INDEX, PG_ENUM and PG_RANGE the key is the OID
 * of the relation or type to which the row belongs; rows come by attribute number, index OID or
 * label OID. KEY_ANY: all rows. OTHER_KEY: of PG_INDEX or PG_RANGE, the row with that OID of an
 * index or multirange; of PG_CLASS, the rows that have that relfilenode now, had it before or get
 * it later.
 */
#define KEY_ANY UINT64_MAX
#define OTHER_KEY(number) ((uint64_t) 1 << 32 | (number))
bool catalog_next(CatalogSnapshot *look, Oid catalog, uint64_t key, size_t *position,
                  CatalogTuple *row);

/* Get the first row with that key; see catalog_next. */
bool catalog_find(CatalogSnapshot *look, Oid catalog, uint64_t key, CatalogTuple *row);

/* A column of the first row with that key; NULL or 0 if no row has the key. */
const char *catalog_name(CatalogSnapshot *look, Oid catalog, uint64_t key, const char *column);
uint32_t catalog_number(CatalogSnapshot *look, Oid catalog, uint64_t key, const char *column);

/* Get the next change of a row with that key, an OID, that the view shows; the first one for a
 * *position of 0. False: there is no further one. */
bool catalog_next_change(CatalogSnapshot *look, Oid catalog, Oid key, size_t *position,
                         const RowChange **change);

/* True if the view's own transaction changed a row with that key, an OID, before the moment. */
bool catalog_changes_rows(CatalogSnapshot *look, Oid catalog, Oid key);

/* True if the view's own transaction wrote the row of pg_class that has this relfilenode; with
 * `made`, if that row was an insert, so that the transaction created the relation. */
bool catalog_gives_storage(CatalogSnapshot *look, Oid filenode, bool made);

/* Split a tuple of a catalog into columns. False if the tuple is damaged, or its bytes are NULL. */
bool catalog_row(CatalogSnapshot *look, Oid catalog, Slice tuple, CatalogTuple *row);

/* A column as stored; bytes are NULL for NULL, and if the catalog lacks the column. */
Slice row_column(const CatalogTuple *row, const char *column);

/* Value of an integer, OID, boolean or "char" column; 0 for NULL. A value of 16 bits is
 * sign-extended to 32 bits, a "char" is not. Column "oid" before 12: the OID of the row. */
uint32_t row_number(const CatalogTuple *row, const char *column);

/* Value of a name column, converted by encoding_name; NULL for NULL. */
const char *row_name(CatalogSnapshot *look, const CatalogTuple *row, const char *column);

/* OID of the table that a command of the view's own transaction rewrites; class is the row of its
 * temporary table. 0 for other tables. */
Oid rewritten_table(CatalogSnapshot *look, const CatalogTuple *class);

#endif
