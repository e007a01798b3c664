/*
 * The lost transactions: those that committed in a range of WAL, with the relations that each
 * changed. Records are passed one by one, in order.
 *
 * Memory is bounded: after LOST_TRANSACTIONS_MAX commits the list ends; a set of relations, which
 * most transactions share, is held once. What does not fit is left out, and Lost.incomplete is set.
 * Without the list (LostWanted.list) there are only sums for each relation.
 */
#ifndef WAL_LOST_H
#define WAL_LOST_H

#include "format/catalogs.h"
#include "format/wal_event.h"
#include "wal/heap_changes.h"

#define LOST_TRANSACTIONS_MAX 5000000 /* 240 MB */
#define LOST_RELATIONS_MAX 200000
#define LOST_OPEN_MAX 65536 /* transactions and subtransactions in progress */
#define LOST_SETS_SIZE_MAX ((size_t) 64 * 1024 * 1024) /* bytes */

/* The changes of a transaction to a relation, as bits: LOST_TOUCHED for any record about its
 * content, the others for what happened to its storage. */
#define LOST_TOUCHED 1
#define LOST_DROPPED 2
#define LOST_TRUNCATED 4
#define LOST_CREATED 8

typedef struct LostRelation
{
    RelationId id;
    Oid oid;       /* OID of a catalog; of any other relation id.relation */
    bool created;  /* storage created in this WAL: a relation elsewhere with the same relfilenode is
                      another one */
    unsigned what; /* LOST_... bits of the lost transactions */
    uint64_t transactions; /* number of lost transactions that changed it */
    uint64_t records;      /* number of their records for it */
    RowCounts rows;        /* numbers of their rows in it */
    /* schema.table; database/schema.table in another database than the connection's;
     * database/relfilenode if the name is unknown. Text that is not valid UTF-8 is not the exact
     * name. NULL: not looked for. Not owned. */
    const char *name;
    const char *table;    /* name of the table of an index or a TOAST table; NULL: none is known */
    const char *database; /* name of its database; NULL: not known. Not owned */
    bool is_sequence;     /* sequence that advanced after the divergence: last_value is set */
    int64_t last_value; /* upper bound of the sequence's last value: the server logs up to 32 values
                           ahead */
    bool on_source;     /* whether the source has this storage under this name; false if it was not
                           asked, too */
} LostRelation;

typedef struct LostTransaction
{
    Lsn lsn;      /* LSN of the commit record */
    int64_t time; /* microseconds since 2000 */
    uint64_t records;
    uint32_t set; /* index of its LostSet (lost_set) */
    uint32_t xid;
    uint32_t subtransactions;
    bool prepared;    /* committed by COMMIT PREPARED */
    bool maintenance; /* certain to have written nothing but statistics, or truncated empty pages */
} LostTransaction;

/* One relation that a transaction changed, and how. A set of equal items is held once. */
typedef struct LostItem
{
    uint32_t relation : 28; /* index in Lost.relations */
    uint32_t what : 4;      /* LOST_... */
} LostItem;

typedef struct LostSet
{
    uint32_t changes_schema; /* a row of a catalog was changed: 0 or 1 */
    uint32_t count;
    LostItem items[];
} LostSet;

/* A change of the schema by a listed transaction. */
typedef struct LostSchemaChange
{
    size_t transaction;      /* index in Lost.transactions */
    const char *verb, *noun; /* static */
    const char *name;        /* name of the object; NULL: it has none. Not owned */
    bool rows_on_source; /* a table was dropped or truncated, and the source still has the rows */
} LostSchemaChange;

/*
 * The WAL in which to look for lost transactions: those that commit in [from, end).
 *
 * Such a transaction may have begun before `from`: its earlier changes lie in WAL that both
 * clusters share, and are lost as well. So relations and rows are noted from `known_from` on. All
 * changes of a transaction are known only if its xid is first_known_xid or later.
 */
typedef struct LostWanted
{
    Lsn known_from; /* at or before `from` */
    uint32_t first_known_xid;
    Lsn from;
    Lsn end;
    bool list; /* whether to list each transaction; otherwise there are only sums for each relation
                */
    Catalogs catalogs; /* sorted; lost_create moves them to the Lost. Empty: the relfilenode of each
                          catalog equals its OID */
} LostWanted;

typedef struct Lost
{
    const Version *version; /* version of both clusters */
    LostWanted wanted;
    bool incomplete;               /* something exceeded a limit, or the WAL ended too early */
    LostTransaction *transactions; /* lost transactions by commit; NULL if no list is wanted */
    size_t transaction_count;
    LostRelation *relations; /* all relations that any transaction changed, committed or not */
    size_t relation_count;
    Oid connected_database;           /* database of the connection to the source; 0: not known */
    uint32_t connected_encoding;      /* encoding of that database's names (base/encoding.h) */
    LostSchemaChange *schema_changes; /* sorted by transaction; set by a LostNamer (rewind/run.h) */
    size_t schema_change_count;
    uint64_t maintenance_count; /* number of lost transactions, listed or not, whose `maintenance`
                                   is true */
    struct LostWork *work;      /* lost.c's own */
} Lost;

Lost *lost_create(const Version *version, const LostWanted *wanted);
void lost_destroy(Lost *lost); /* NULL is allowed */

/* Add a record: a WalVisitor whose context is the Lost. Fails as walrecord_event does. */
MUST_CHECK bool lost_add_record(void *lost, const WalRecord *record, Error *error);

/* True if the relation is to be reported: lost transactions changed it, or it is a sequence from
 * before the divergence that some transaction advanced, even one that rolled back. */
bool lost_relation_is_reported(const LostRelation *relation);

/* The relation with this storage; NULL: no transaction changed it. Valid until a record is added.
 */
const LostRelation *lost_relation(const Lost *lost, RelationId id);

/* The relations that a listed transaction changed. Valid until a record is added. */
const LostSet *lost_set(const Lost *lost, const LostTransaction *transaction);

/* True if the database was created in this WAL: the same OID on the source is another database. */
bool lost_database_is_new(const Lost *lost, Oid database);

#endif
