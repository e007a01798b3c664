/*
 * The relfilenode of each catalog, as needed to recognize catalogs in WAL. From 9.5 on a catalog's
 * relfilenode is its OID until the catalog is rewritten (VACUUM FULL). initdb of 9.3 and 9.4
 * rewrites all catalogs at its end, so there the two differ. The server finds a catalog's
 * relfilenode in pg_filenode.map, for pg_class and some others (utils/cache/relmapper.c), or in the
 * rows of pg_class.
 */
#ifndef FORMAT_CATALOGS_H
#define FORMAT_CATALOGS_H

#include "format/walrecord.h"

#define CATALOGS_MAP_SIZE_MAX 524 /* bytes of a pg_filenode.map from 16 on; before, 512 */
#define CATALOGS_PG_CLASS 1259

typedef struct CatalogStorage
{
    Oid filenode;
    Oid database; /* the catalog's database; 0 for shared catalogs */
    Oid oid;      /* OID in pg_class of the catalog, or of its index or TOAST table */
} CatalogStorage;

/* A map from relfilenode to OID. Initialize with zeros; free the items with free. */
typedef struct Catalogs
{
    CatalogStorage *items;
    size_t count;
} Catalogs;

/* Add the content of a pg_filenode.map. Returns false, and adds nothing, if it is not a valid one.
 * *pg_class becomes the relfilenode of pg_class; it is left alone if the map lacks pg_class, as the
 * map of shared catalogs does. */
bool catalogs_add_map(Catalogs *catalogs, const Version *version, Oid database, const Buffer *map,
                      Oid *pg_class);

/* Add all rows of a heap page of pg_class, of size bytes, including dead ones: a dead row does no
 * harm, since its relfilenode is not used for another relation. An invalid page adds nothing. */
void catalogs_add_page(Catalogs *catalogs, Oid database, const uint8_t *page, uint32_t size);

/* Add one row of pg_class. A row that cannot be decoded, or whose bytes are NULL, adds nothing. */
void catalogs_add_row(Catalogs *catalogs, Oid database, Slice tuple);

/* Sort the items: call this between the last add and the first catalogs_oid. */
void catalogs_sort(Catalogs *catalogs);

/* The OID of the catalog with this relfilenode. For other relations, and without items, the
 * relfilenode. */
Oid catalogs_oid(const Catalogs *catalogs, const RelationId *storage);

#endif
