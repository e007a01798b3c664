/*
 * The lost transactions: those that committed in a piece of WAL, with the relations that each
 * touched. Fed record by record, in order.
 *
 * Memory is bounded: after LOST_TRANSACTIONS_MAX commits the list ends, and sets of relations,
 * which most transactions share, are held once. What does not fit is left out, and the list says
 * that it is not complete. Without the list of transactions (LostWanted) there is a sum for each
 * relation only.
 */
#ifndef WAL_LOST_H
#define WAL_LOST_H

#include "base/error.h"
#include "format/catalogs.h"
#include "format/wal_event.h"
#include "wal/heap_changes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOST_TRANSACTIONS_MAX 5000000 /* 240 MB */
#define LOST_RELATIONS_MAX 200000
#define LOST_OPEN_MAX 65536 /* transactions and subtransactions at once */
#define LOST_SETS_SIZE_MAX ((size_t) 64 * 1024 * 1024) /* bytes */
#define LOST_XID_RANGES_MAX 65536

/* The changes of a transaction to a relation. */
#define LOST_TOUCHED 1
#define LOST_DROPPED 2
#define LOST_TRUNCATED 4
#define LOST_CREATED 8

typedef struct LostRelation
{
    RelationId id;
    Oid oid;               /* of a catalog: its number in pg_class; else id.relation */
    bool created;          /* in this WAL: another than what has the number elsewhere */
    unsigned what;         /* LOST_..., by those that committed */
    uint64_t transactions; /* that touched it and committed */
    uint64_t records;      /* of these */
    RowCounts rows;        /* of these */
    const char *name;      /* schema.table, database/number; NULL: not looked for. Not owned */
    const char *table;     /* to which an index or a TOAST table belongs; NULL: none is known */
    const char *database;  /* its name; NULL: not known. Not owned */
} LostRelation;

typedef struct LostTransaction
{
    Lsn lsn;      /* of its commit record */
    int64_t time; /* microseconds since 2000 */
    uint64_t records;
    uint32_t set; /* the number of the set of its relations; the functions below read it */
    uint32_t xid;
    uint32_t subtransactions;
    bool prepared;    /* COMMIT PREPARED */
    bool maintenance; /* it certainly wrote nothing but statistics, or cut off empty pages */
} LostTransaction;

/* Transaction numbers, both included. */
typedef struct XidRange
{
    uint32_t first, last;
} XidRange;

typedef struct Lost Lost;

/*
 * Lost is what commits in [from, end). What such a transaction did before is in the common history,
 * and lost as well: relations and rows are noted from `known_from` on. All that a transaction wrote
 * is known if its number is first_known_xid or later.
 */
typedef struct LostWanted
{
    Lsn known_from; /* at or before from */
    uint32_t first_known_xid;
    Lsn from;
    Lsn end;
    bool list;         /* each transaction; else only the sums */
    Catalogs catalogs; /* sorted; from lost_create on the Lost's own. None: each catalog's storage
                          has its number */
} LostWanted;

Lost *lost_create(const Version *version, const LostWanted *wanted);
void lost_destroy(Lost *lost); /* NULL is allowed */

/* A WalVisitor; the context is the Lost. Fails as walrecord_event does. */
MUST_CHECK bool lost_add_record(void *lost, const WalRecord *record, Error *error);

/* The WAL ended too early: the list is not complete. */
void lost_set_incomplete(Lost *lost);
bool lost_is_complete(const Lost *lost);

/* In order of their commits; none without the list. */
const LostTransaction *lost_transactions(const Lost *lost, size_t *count);

/* All relations that any transaction touched, committed or not; names are the caller's to set. */
LostRelation *lost_relations(Lost *lost, size_t *count);

/* Of all that committed, listed or not: those with `maintenance`. */
uint64_t lost_maintenance_count(const Lost *lost);

/*
 * The numbers of all transactions and subtransactions that ended in [from, end), ascending as
 * numbers. Those that rolled back are among them, so that there are few ranges: none of their rows
 * can be seen. Numbers of transactions that committed before are not.
 */
const XidRange *lost_xids(const Lost *lost, size_t *count);

/* The version of the clusters. */
const Version *lost_version(const Lost *lost);

/* The list does not show what a transaction wrote before: see LostWanted. */
Lsn lost_known_from(const Lost *lost);

/* The relations of a transaction. */
size_t lost_item_count(const Lost *lost, const LostTransaction *transaction);
const LostRelation *lost_item(const Lost *lost, const LostTransaction *transaction, size_t index,
                              unsigned *what);

/* Its changes to catalogs. */
DdlChanges lost_changes(const Lost *lost, const LostTransaction *transaction);

/* Databases that were made in this WAL: their numbers are not those of the source. */
bool lost_database_is_new(const Lost *lost, Oid database);

#endif
