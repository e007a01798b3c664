/*
 * The rows of the target's catalogs at any moment of the lost history.
 *
 * Transactions that change the same row do so one after the other. So each row has one history:
 * what it was before the first lost change, which the change tells or, for a row that none changed,
 * the target's disk; then what each change left.
 *
 * Columns are found by their names in pg_attribute, which describes itself, too.
 */
#ifndef LOST_CATALOG_H
#define LOST_CATALOG_H

#include "base/arena.h"
#include "lost/heap_tuple.h"
#include "lost/row_changes.h"

#define PG_TYPE 1247
#define PG_ATTRIBUTE 1249
#define PG_CLASS 1259
#define PG_DATABASE 1262
#define PG_INDEX 2610
#define PG_NAMESPACE 2615
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
    Oid database, catalog;
    const LostCommit *commit;
    Lsn lsn;
    Slice old, new;
} CatalogChange;

/* The changes that a moment sees: [0, committed) and [own_start, own_end). */
typedef struct CatalogView
{
    size_t committed, own_start, own_end;
} CatalogView;

typedef struct Catalog Catalog; /* one of one database */

#define CATALOG_COLUMNS_MAX 64

typedef struct CatalogRow
{
    const Catalog *catalog;
    Slice tuple;
    Oid oid; /* 0: it is a column, or there is none */
    Slice values[CATALOG_COLUMNS_MAX];
} CatalogRow;

typedef struct CatalogReader CatalogReader;

MUST_CHECK CatalogReader *catalog_reader_create(const Clusters *clusters, const RowChanges *changes,
                                                Error *error);
void catalog_reader_free(CatalogReader *reader); /* NULL is allowed */

/* All changes of catalogs, by commits and LSNs, also those of common history. */
const CatalogChange *catalog_changes(const CatalogReader *reader, size_t *count);

/* The number in pg_class of a catalog with that storage; other storage's own number. */
Oid catalog_of_storage(const CatalogReader *reader, const RelationId *storage);

CatalogView catalog_view(const CatalogReader *reader, Moment moment);

/* What all lost transactions left. */
CatalogView catalog_view_at_end(const CatalogReader *reader);

/* The database does not matter for a shared catalog; of others, 0 means any. A catalog that cannot
 * be read has no rows, with a warning. */
const Catalog *catalog_open(CatalogReader *reader, Oid database, Oid oid);

/* A number in pg_class, of what has or had that storage at any moment: the next one from a
 * *position of 0 on; 0: there is none. */
Oid catalog_next_relation(const Catalog *pg_class, Oid filenode, size_t *position);

/*
 * The next row with that key, the first one for a *position of 0; false: there is none. The key is
 * the row's own number, of PG_ATTRIBUTE, PG_INDEX, PG_ENUM and PG_RANGE that of the relation or
 * type; its rows come by attribute number, index or label number.
 */
bool catalog_next(const Catalog *catalog, const CatalogView *view, Oid key, size_t *position,
                  CatalogRow *row);
bool catalog_next_of_any(const Catalog *catalog, const CatalogView *view, size_t *position,
                         CatalogRow *row);

/* Split a tuple of a catalog; false if it is damaged. */
bool catalog_row(const Catalog *catalog, Slice tuple, CatalogRow *row);

/* A column as stored: bytes NULL for NULL, and where the catalog has no such column. */
Slice row_column(const CatalogRow *row, const char *column);

/* An integer, OID, boolean or "char"; 0 for NULL. Negative ones are extended to 32 bits. */
uint32_t row_number(const CatalogRow *row, const char *column);

/* A name; NULL for NULL. */
const char *row_name(const CatalogRow *row, const char *column, Arena *arena);

#endif
