/*
 * The relfilenodes that catalogs had before transactions of the WAL rewrote them (VACUUM FULL). The
 * target's files tell the last relfilenode only. If an earlier change were not recognized as a
 * change of a catalog, older rows would be read with the columns that their table got later.
 *
 * Some catalogs have no relfilenode in pg_class, but in a map (format/catalogs.h). Each change of a
 * map is in WAL, with the whole new map. Only the relfilenode before a database's first map change
 * is in no map: it is among the storage that the changing transaction dropped at its commit.
 */
#ifndef LOST_FORMER_CATALOGS_H
#define LOST_FORMER_CATALOGS_H

#include "format/catalogs.h"
#include "format/wal_event.h"

/* Stands for a catalog's OID: storage that was dropped by a transaction that rewrote catalogs.
 * Which catalog it belonged to is not certain. */
#define CATALOG_UNSURE 1

/* The first change of the map of a database. */
typedef struct MapChange
{
    Oid database; /* database; 0: the map of shared catalogs */
    uint32_t xid;
    Lsn lsn;
    Oid catalog;    /* rewritten catalog; 0 if several catalogs with rows were rewritten, or none */
    size_t made;    /* number of relfilenodes in the new map that were created in this WAL */
    bool committed; /* the transaction committed, so `dropped` and the fields below are valid */
    size_t dropped; /* number of relfilenodes of the database that the transaction dropped */
    Oid former;     /* dropped relfilenode whose changes are rows of the catalog; 0: none found
                       yet */
    bool several;   /* several dropped relfilenodes have such changes */
    bool unproved;  /* a change of dropped storage came without its row, so it may be the
                       catalog's */
} MapChange;

/* Must be zero at first. */
typedef struct FormerCatalogs
{
    Catalogs storages; /* relfilenodes of catalogs, sorted */
    MapChange *changes;
    size_t change_count;
    RelationId *made; /* relfilenodes that the WAL has created so far */
    size_t made_count;
} FormerCatalogs;

/* Take the next record in the first pass over the WAL. event: the result of walrecord_event for
 * it. */
void former_catalogs_add_record(FormerCatalogs *former, const Version *version,
                                const WalRecord *record, const WalEvent *event);

/* Take a change of storage that is CATALOG_UNSURE. row: the row before or after the change; bytes
 * are NULL if neither is known. */
void former_catalogs_add_change(FormerCatalogs *former, const RelationId *relation, Slice row);

/* Conclude after the last change: where the catalog is certain, its OID replaces CATALOG_UNSURE.
 * Releases everything but storages and changes. */
void former_catalogs_end(FormerCatalogs *former);

/* True if the database's catalogs lack changes at this position, so that they may be wrong. */
bool former_catalogs_unsure(const FormerCatalogs *former, Oid database, Lsn lsn);

void former_catalogs_free(FormerCatalogs *former);

#endif
