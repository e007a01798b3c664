/*
 * The changes of rows by the lost transactions, with the rows' bytes before and after.
 *
 * The target's WAL is read from the last common checkpoint to its end. A record does not hold the
 * row that it deletes, so pages are replayed in memory from their full-page images on. A row on a
 * page without an image is taken from the target's own file, if the row there was deleted or
 * written by the same transaction.
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
    ROW_TRUNCATE /* the table's storage was emptied, without a record of its rows: by VACUUM, or
                    by TRUNCATE in the transaction that created this storage
                    (catalog_gives_storage) */
} RowChangeKind;

/* Position of a row in its table: its ctid. */
typedef struct LostPlace
{
    BlockNumber block;
    uint16_t item;
} LostPlace;

typedef struct RowChange
{
    RowChangeKind kind;
    Lsn lsn;
    uint32_t xid;                   /* xid of the transaction or subtransaction */
    RelationId relation;            /* storage of the table */
    LostPlace old_place, new_place; /* position before and after; item 0: the row did not exist */
    Slice old, new;      /* row before and after, for heap_tuple_parse with 0; bytes NULL: the
                            row did not exist, or is not known */
    const char *unknown; /* why a row is not known, a static clause; NULL if both are known */
} RowChange;

/* A change by a transaction that committed, in the list of that transaction. The bytes live as long
 * as the RowChanges. */
typedef struct LostChange
{
    RowChange row;
    struct LostChange *before, *after; /* previous and next change of the same transaction */
} LostChange;

/* A transaction that committed in [divergence, end of WAL). */
typedef struct LostCommit
{
    uint32_t xid;
    Lsn lsn;                  /* LSN of the commit record */
    int64_t time;             /* microseconds since 2000 */
    const char *gid;          /* global identifier of a prepared transaction, "" if the WAL does not
                                 have it; NULL: the transaction was not prepared */
    uint64_t full_xid;        /* xid with the epoch */
    bool prepared_before;     /* prepared before the divergence, so that the new primary has the
                                 prepared transaction too */
    bool began_before;        /* began before the WAL that was read, so earlier changes may be
                                 missing */
    Oid database;             /* database whose rows the transaction changed; 0: none */
    Oid session_database;     /* database of the session, by the commit record; 0 if not known */
    LostChange *first, *last; /* list of the transaction's changes by LSN, including those of
                                 subtransactions that committed */
} LostCommit;

/* Only row_changes.c uses the fields without a comment. */
typedef struct RowChanges
{
    Lsn minimal_at; /* position where wal_level became minimal; LSN_INVALID if it did not */
    struct Spool *spool;
    Arena *arena;
    /* Transactions by their commits. `count` includes the first common_count ones, which are common
     * history: between the last common checkpoint and the divergence. Of those only the changes of
     * catalogs are kept, since after a crash the target's files may lack them. */
    LostCommit *commits;
    size_t count, common_count;
    struct CommittedXid *xids;
    size_t xid_count;
    Catalogs catalogs; /* relfilenodes of the target's catalogs, and those that transactions
                          gave them */
    FormerCatalogs former;
    bool catalogs_alone; /* only changes of catalogs were read */
} RowChanges;

/*
 * Read the changes from the WAL. Those that do not fit into memory go into an unlinked file in
 * `directory`. If directory is NULL, only the changes of catalogs are read; then it is an error if
 * they do not fit into memory, or if more than ROW_CHANGES_XIDS_MAX transactions and
 * subtransactions committed. Free the result with row_changes_free; NULL, with error set, on
 * failure.
 */
#define ROW_CHANGES_XIDS_MAX 1000000 /* at most 80 MB */
MUST_CHECK RowChanges *row_changes_read(const Clusters *clusters, const Divergence *diverged,
                                        const char *directory, Error *error);

void row_changes_free(RowChanges *changes); /* NULL is allowed */

/* The lost transactions: those that committed after the divergence. */
const LostCommit *row_changes_commits(const RowChanges *changes, size_t *count);

/* True if the WAL that was read has the commit of this transaction or subtransaction, lost or
 * common. After a crash pg_xact may not have it. */
bool row_changes_committed(const RowChanges *changes, uint32_t xid);

/* True for a catalog whose rows describe the schema: all but pg_largeobject, which has data of
 * users. */
static inline bool tells_schema(Oid catalog)
{
    return catalog < FIRST_NORMAL_OID && catalog != 2613;
}

/* OID of the catalog that has or had that storage; for other storage its relfilenode. */
Oid row_changes_catalog(const RowChanges *changes, const RelationId *storage);

#endif
