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

#include "format/catalogs.h"
#include "format/wal_event.h"
#include "wal/heap_changes.h"

#define LOST_TRANSACTIONS_MAX 5000000 /* 240 MB */
#define LOST_RELATIONS_MAX 200000
#define LOST_OPEN_MAX 65536 /* transactions and subtransactions at once */
#define LOST_SETS_SIZE_MAX ((size_t) 64 * 1024 * 1024) /* bytes */

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
    const char *name;      /* schema.table, in another database than that of the connection
                              database/schema.table, or database/number; it is the name only if it
                              is valid UTF-8. NULL: not looked for. Not owned */
    const char *table;     /* to which an index or a TOAST table belongs; NULL: none is known */
    const char *database;  /* its name; NULL: not known. Not owned */
    bool is_sequence;      /* one that advanced after the divergence: last_value is set */
    int64_t last_value;    /* at most: the server logs up to 32 values ahead */
    bool on_source; /* the source has this storage, under this name; else it did not say so */
} LostRelation;

typedef struct LostTransaction
{
    Lsn lsn;      /* of its commit record */
    int64_t time; /* microseconds since 2000 */
    uint64_t records;
    uint32_t set; /* the number of its LostSet */
    uint32_t xid;
    uint32_t subtransactions;
    bool prepared;    /* COMMIT PREPARED */
    bool maintenance; /* it certainly wrote nothing but statistics, or cut off empty pages */
} LostTransaction;

/* One relation that a transaction changed, and how. Equal sets of these are held once. */
typedef struct LostItem
{
    uint32_t relation : 28; /* its index in Lost.relations */
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
    size_t transaction;      /* its index in Lost.transactions */
    const char *verb, *noun; /* static */
    const char *name;        /* of the object; NULL: it has none. Not owned */
    bool rows_on_source;     /* of a table that was truncated or dropped */
} LostSchemaChange;

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

typedef struct Lost
{
    const Version *version; /* of the clusters */
    LostWanted wanted;
    bool incomplete;               /* some did not fit, or the WAL ended too early */
    LostTransaction *transactions; /* in order of their commits; none without the list */
    size_t transaction_count;
    LostRelation *relations; /* all that any transaction touched, committed or not */
    size_t relation_count;
    Oid connected_database;           /* of the source's connection; 0: none */
    uint32_t connected_encoding;      /* of its names (base/encoding.h) */
    LostSchemaChange *schema_changes; /* by transaction; set by a LostNamer (run.h) */
    size_t schema_change_count;
    uint64_t maintenance_count; /* of all that committed, listed or not: those with `maintenance` */
    struct LostWork *work;      /* lost.c's own */
} Lost;

Lost *lost_create(const Version *version, const LostWanted *wanted);
void lost_destroy(Lost *lost); /* NULL is allowed */

/* A WalVisitor; the context is the Lost. Fails as walrecord_event does. */
MUST_CHECK bool lost_add_record(void *lost, const WalRecord *record, Error *error);

/* One that lost transactions touched, or a sequence that a transaction advanced and rolled back. */
bool lost_relation_is_told(const LostRelation *relation);

/* NULL: none with that storage was touched. Both results are valid until a record is added. */
const LostRelation *lost_relation(const Lost *lost, RelationId id);

/* A listed transaction's. */
const LostSet *lost_set(const Lost *lost, const LostTransaction *transaction);

/* Databases that were made in this WAL: their numbers are not those of the source. */
bool lost_database_is_new(const Lost *lost, Oid database);

#endif
