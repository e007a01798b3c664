/*
 * The changes of rows by the transactions that are lost, with the rows' bytes before and after.
 *
 * The target's WAL is read from the last common checkpoint to its end. Pages are replayed in memory
 * from their full-page images on, as far as rows need it, since what a record deletes it does not
 * hold. A row on a page without an image is taken from the target's own file, if that row there was
 * deleted or written by this transaction.
 *
 * Changes to catalogs and to TOAST tables are changes of rows like others.
 */
#ifndef LOST_ROW_CHANGES_H
#define LOST_ROW_CHANGES_H

#include "divergence/divergence.h"
#include "format/walrecord.h"
#include "lost/former_catalogs.h"
#include "wal/lost.h"

typedef enum RowChangeKind
{
    ROW_INSERT,
    ROW_UPDATE,
    ROW_DELETE,
    ROW_TRUNCATE /* the storage is empty, and no row is known: by VACUUM, or by TRUNCATE in the
                    transaction that gave the table this storage (catalog_gives_storage) */
} RowChangeKind;

/* The place of a row: its ctid. */
typedef struct LostPlace
{
    BlockNumber block;
    uint16_t item;
} LostPlace;

typedef struct RowChange
{
    RowChangeKind kind;
    Lsn lsn;
    uint32_t xid;                   /* of the transaction or subtransaction */
    RelationId relation;            /* its storage */
    LostPlace old_place, new_place; /* item 0: there is no such row */
    Slice old, new;      /* for heap_tuple_parse with 0; bytes NULL: none, or not known */
    const char *unknown; /* why a row is not known, a static clause; NULL: all is known */
} RowChange;

/* A change by a transaction that committed. Its bytes live as long as the RowChanges. */
typedef struct LostChange
{
    RowChange row;
    struct LostChange *before, *after; /* of the same transaction */
} LostChange;

/* A transaction that committed in [divergence, end of WAL). */
typedef struct LostCommit
{
    uint32_t xid;
    Lsn lsn;              /* of the commit record */
    int64_t time;         /* microseconds since 2000 */
    const char *gid;      /* of a prepared transaction, "" where WAL does not tell; NULL: it was not
                             prepared */
    uint64_t full_xid;    /* with the epoch */
    bool prepared_before; /* the divergence: the new primary has it as well */
    bool began_before;    /* it may have changed rows before the WAL that was read */
    Oid database;         /* of the rows that it changed; 0: it changed no row of one */
    Oid session_database; /* in which it was done, by its commit record; 0: not known */
    LostChange *first, *last; /* its changes, those of its subtransactions that committed included,
                                 by LSN */
} LostCommit;

/* Only row_changes.c uses the fields without a comment. */
typedef struct RowChanges
{
    Lsn minimal_at; /* where wal_level became minimal; LSN_INVALID: nowhere */
    struct Spool *spool;
    Arena *arena;
    /* In their order. The first ones are of common history, between the last common checkpoint and
     * the divergence. Of these only the changes of catalogs are kept: after a crash, the
     * target's files may not have them. */
    LostCommit *commits;
    size_t count, common_count;
    struct CommittedXid *xids;
    size_t xid_count;
    Catalogs catalogs; /* of the target; those that transactions rewrite are added */
    FormerCatalogs former;
    bool catalogs_alone; /* no other changes were read */
} RowChanges;

/*
 * Read the WAL. What does not fit into memory goes into an unlinked file in directory. Without one
 * (NULL) only the changes of catalogs are read. Then it fails if they do not fit into a spool in
 * memory, or if more than ROW_CHANGES_XIDS_MAX transactions and subtransactions committed. The
 * result is NULL with error set on failure; else row_changes_free's.
 */
#define ROW_CHANGES_XIDS_MAX 1000000 /* at most 80 MB */
MUST_CHECK RowChanges *row_changes_read(const Clusters *clusters, const Divergence *diverged,
                                        const char *directory, Error *error);

void row_changes_free(RowChanges *changes); /* NULL is allowed */

/* Those that are lost. */
const LostCommit *row_changes_commits(const RowChanges *changes, size_t *count);

/* A record of the WAL that was read says that the transaction or subtransaction committed, be it
 * lost or common: a crash can leave pg_xact without that. */
bool row_changes_committed(const RowChanges *changes, uint32_t xid);

/* A catalog whose rows tell of the schema: all but pg_largeobject, which has data of users. */
static inline bool tells_schema(Oid catalog)
{
    return catalog < FIRST_NORMAL_OID && catalog != 2613;
}

/* The number in pg_class of a catalog that has or had that storage; other storage's own number. */
Oid row_changes_catalog(const RowChanges *changes, const RelationId *storage);

#endif
