/*
 * The storage that catalogs had before transactions of the WAL rewrote them (VACUUM FULL). The
 * target's files tell the last one only. A change that is not recognized as one of a catalog would
 * leave earlier rows with the columns that their table got later.
 *
 * A catalog in the map (format/catalogs.h) has no storage in pg_class, but each change of the map
 * is in WAL as a whole. Only the storage before the first change in each database is in no map: it
 * is among what the transaction drops at its commit.
 */
#ifndef LOST_FORMER_CATALOGS_H
#define LOST_FORMER_CATALOGS_H

#include "format/catalogs.h"
#include "format/wal_event.h"

/* In place of a catalog's number: storage that a transaction dropped which rewrote catalogs. */
#define CATALOG_UNSURE 1

/* The first change of the map of a database. */
typedef struct MapChange
{
    Oid database; /* 0: of shared catalogs */
    uint32_t xid;
    Lsn lsn;
    Oid catalog;    /* the only one with rows that was rewritten; 0: none, or several */
    size_t made;    /* storage that the WAL made and the map has */
    bool committed; /* the next ones are known */
    size_t dropped;
    Oid former;    /* dropped storage whose changes are of the catalog's rows; 0: none yet */
    bool several;  /* more than one is such */
    bool unproved; /* some dropped storage has changes of which no row is known */
} MapChange;

/* Begins as zeros. */
typedef struct FormerCatalogs
{
    Catalogs storages; /* sorted */
    MapChange *changes;
    size_t change_count;
    RelationId *made; /* storage that the WAL made so far */
    size_t made_count;
} FormerCatalogs;

/* Take a record, of which event is what walrecord_event gives: the first pass over the WAL. */
void former_catalogs_add_record(FormerCatalogs *former, const Version *version,
                                const WalRecord *record, const WalEvent *event);

/* A change of storage that is CATALOG_UNSURE; row: the one before or after it, if one is known. */
void former_catalogs_add_change(FormerCatalogs *former, const RelationId *relation, Slice row);

/* After the last change: number what is certain, and release the rest but storages and changes. */
void former_catalogs_end(FormerCatalogs *former);

/* The catalogs of the database at this position lack changes, so they may be wrong. */
bool former_catalogs_unsure(const FormerCatalogs *former, Oid database, Lsn lsn);

void former_catalogs_free(FormerCatalogs *former);

#endif
