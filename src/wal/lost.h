/*
 * What is lost: the transactions that committed in a piece of WAL, with the relations that each
 * touched. Fed record by record, in order.
 *
 * Memory is bounded: after LOST_TRANSACTIONS_MAX commits the list ends, and sets of relations,
 * which most transactions share, are held once. What does not fit is left out, and the list says
 * that it is not complete.
 */
#ifndef WAL_LOST_H
#define WAL_LOST_H

#include "base/error.h"
#include "wal/ddl.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOST_TRANSACTIONS_MAX 5000000 /* 240 MB */
#define LOST_RELATIONS_MAX 200000
#define LOST_OPEN_MAX 65536 /* transactions and subtransactions at once */
#define LOST_SETS_SIZE_MAX ((size_t) 64 * 1024 * 1024) /* bytes */

/* What a transaction did to a relation. */
#define LOST_TOUCHED 1
#define LOST_DROPPED 2
#define LOST_TRUNCATED 4
#define LOST_CREATED 8

typedef struct LostRelation
{
    RelationId id;
    bool created;          /* in this WAL: another than what has the number elsewhere */
    uint64_t transactions; /* that touched it and committed */
    uint64_t records;      /* of these */
    const char *name;      /* schema.table, database/number; NULL: not looked for. Not owned */
    const char *table;     /* to which an index or a TOAST table belongs; NULL: none is known */
} LostRelation;

typedef struct LostTransaction
{
    Lsn lsn;      /* of its commit record */
    int64_t time; /* microseconds since 2000 */
    uint64_t records;
    size_t set; /* where its relations are; the functions below read it */
    uint32_t xid;
    uint32_t subtransactions;
    bool prepared; /* COMMIT PREPARED */
} LostTransaction;

typedef struct Lost Lost;

/* Of the records that start in [from, end). */
Lost *lost_create(const Version *version, Lsn from, Lsn end);
void lost_destroy(Lost *lost); /* NULL is allowed */

/* A WalVisitor; the context is the Lost. Fails as walrecord_event does. */
MUST_CHECK bool lost_add_record(void *lost, const WalRecord *record, Error *error);

/* The WAL ended too early: the list is not complete. */
void lost_set_incomplete(Lost *lost);
bool lost_is_complete(const Lost *lost);

/* In order of their commits. */
const LostTransaction *lost_transactions(const Lost *lost, size_t *count);

/* All relations that any transaction touched, committed or not; names are the caller's to set. */
LostRelation *lost_relations(Lost *lost, size_t *count);

/* The relations of a transaction. */
size_t lost_item_count(const Lost *lost, const LostTransaction *transaction);
const LostRelation *lost_item(const Lost *lost, const LostTransaction *transaction, size_t index,
                              unsigned *what);

/* What it did to catalogs. */
DdlChanges lost_changes(const Lost *lost, const LostTransaction *transaction);

/* Databases that were made in this WAL: their numbers are not those of the source. */
bool lost_database_is_new(const Lost *lost, Oid database);

#endif
