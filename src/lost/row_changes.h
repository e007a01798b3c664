/*
 * The changes of rows by the transactions that are lost, with the rows' bytes before and after.
 *
 * The target's WAL is read from the last common checkpoint to its end. Pages are replayed in memory
 * from their full-page images on, as far as rows need it, since what a record deletes it does not
 * hold. A row on a page without an image is taken from the target's own file, if that row there was
 * deleted by this transaction.
 *
 * Changes to catalogs and to TOAST tables are changes of rows like others.
 */
#ifndef LOST_ROW_CHANGES_H
#define LOST_ROW_CHANGES_H

#include "divergence/divergence.h"
#include "format/catalogs.h"
#include "format/walrecord.h"

typedef enum RowChangeKind
{
    ROW_INSERT,
    ROW_UPDATE,
    ROW_DELETE,
    ROW_TRUNCATE /* the storage is empty, and no row is known: by VACUUM, or by TRUNCATE in the
                    transaction that gave the table this storage (catalog_gives_storage) */
} RowChangeKind;

/* A ctid. */
typedef struct RowPlace
{
    BlockNumber block;
    uint16_t item; /* from 1 on; 0: there is no such row */
} RowPlace;

typedef struct RowChange
{
    RowChangeKind kind;
    Lsn lsn;
    uint32_t xid;        /* of the transaction or subtransaction */
    RelationId relation; /* its storage */
    RowPlace old_place, new_place;
    Slice old, new;      /* for heap_tuple_parse with 0; bytes NULL: none, or not known */
    const char *unknown; /* why a row is not known, a static clause; NULL: all is known */
} RowChange;

/* A transaction that committed in [divergence, end of WAL). */
typedef struct LostCommit
{
    uint32_t xid;
    Lsn lsn;           /* of the commit record */
    int64_t time;      /* microseconds since 2000 */
    const char *gid;   /* of a prepared transaction, "" where WAL does not tell; NULL: it was not
                          prepared */
    bool began_before; /* it may have changed rows before the WAL that was read */
    Oid database;      /* of the rows that it changed; 0: it changed no row of one */
} LostCommit;

typedef struct RowChanges RowChanges;

/*
 * Read the WAL. What does not fit into memory goes into an unlinked file in directory. Without one
 * (NULL) only the changes of catalogs are read. Then it fails if they do not fit into a spool in
 * memory, or if more than ROW_CHANGES_XIDS_MAX transactions and subtransactions committed. The
 * result is NULL with error set on failure; else row_changes_free's.
 */
#define ROW_CHANGES_XIDS_MAX 1000000 /* at most 80 MB */
MUST_CHECK RowChanges *row_changes_read(const Clusters *clusters, const Divergence *diverged,
                                        const char *directory, Error *error);

/* No other changes were read. */
bool row_changes_of_catalogs_alone(const RowChanges *changes);

void row_changes_free(RowChanges *changes); /* NULL is allowed */

/* In the order of their commits. */
const LostCommit *row_changes_commits(const RowChanges *changes, size_t *count);

/* Return false with error set to stop. The change's bytes live as long as the RowChanges. */
typedef bool (*RowChangeVisitor)(void *context, const RowChange *change, Error *error);

/* Visit the changes of one transaction, those of its subtransactions that committed included, in
 * the order of their LSNs. */
MUST_CHECK bool row_changes_visit(const RowChanges *changes, const LostCommit *commit,
                                  RowChangeVisitor visit, void *context, Error *error);

/*
 * The transactions that committed between the last common checkpoint and the divergence, in the
 * order of their commits. row_changes_visit visits their changes of catalogs: after a crash, the
 * target's files may not have these.
 */
const LostCommit *row_changes_common_commits(const RowChanges *changes, size_t *count);

/* A record of the WAL that was read says that the transaction or subtransaction committed, be it
 * lost or common: a crash can leave pg_xact without that. */
bool row_changes_committed(const RowChanges *changes, uint32_t xid);

/* The storage of the target's catalogs as its files tell it. */
const Catalogs *row_changes_catalogs(const RowChanges *changes);

/* The number in pg_class of a catalog that has or had that storage; other storage's own number. */
Oid row_changes_catalog(const RowChanges *changes, const RelationId *storage);

/* Changes of the database's catalogs at that position and later are not known as such, since a
 * transaction rewrote them. */
bool row_changes_unsure_catalogs(const RowChanges *changes, Oid database, Lsn lsn);

#endif
