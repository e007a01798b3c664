/*
 * The storage of each catalog. From 9.5 on a catalog's own number is its storage until somebody
 * rewrites it (VACUUM FULL); initdb of 9.3 and 9.4 rewrites all at its end, so that each has
 * another one. It is found as the server finds it: in pg_filenode.map for some catalogs and for
 * pg_class (utils/cache/relmapper.c), and in the rows of pg_class for the others.
 */
#ifndef FORMAT_CATALOGS_H
#define FORMAT_CATALOGS_H

#include "format/walrecord.h"

#define CATALOGS_MAP_SIZE_MAX 524 /* bytes of a pg_filenode.map: 512, or this from 16 on */
#define CATALOGS_PG_CLASS 1259

typedef struct CatalogStorage
{
    Oid filenode;
    Oid database; /* 0: shared */
    Oid oid;      /* in pg_class: of a catalog, its index or TOAST table */
} CatalogStorage;

/* Begins as zeros; the items are released by free. */
typedef struct Catalogs
{
    CatalogStorage *items;
    size_t count;
} Catalogs;

/* Add the content of a pg_filenode.map; false, and nothing is added, for another file. *pg_class:
 * its storage, left alone if the map does not have it (the one of shared catalogs). */
bool catalogs_add_map(Catalogs *catalogs, const Version *version, Oid database, const Buffer *map,
                      Oid *pg_class);

/* Add the rows of a page of pg_class, of size bytes. All versions of rows count: no number is used
 * twice. A page that cannot be read as one says nothing. */
void catalogs_add_page(Catalogs *catalogs, Oid database, const uint8_t *page, uint32_t size);

/* The same for one row. */
void catalogs_add_row(Catalogs *catalogs, Oid database, Slice tuple);

/* After the last was added, and before the first is looked for. */
void catalogs_sort(Catalogs *catalogs);

/* The number in pg_class; for what is no catalog, and without items, the storage's. */
Oid catalogs_oid(const Catalogs *catalogs, const RelationId *storage);

#endif
