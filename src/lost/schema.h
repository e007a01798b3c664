/*
 * Tables, columns and types of the target as its own catalogs have them, at any moment of the lost
 * history. Names of them, of databases and of other objects are as encoding_name gives them. What a
 * lost transaction did to the schema is found by schema_events.c.
 */
#ifndef LOST_SCHEMA_H
#define LOST_SCHEMA_H

#include "lost/catalog.h"
#include "lost/value_text.h"

typedef struct Table
{
    Oid oid;
    Oid database;
    const char *schema, *name;
    char kind; /* relkind */
    bool is_catalog;
    bool is_rewrite; /* the storage that a rewriting command fills (relrewrite): its rows are no
                        changes */
    const Attribute *attributes;   /* all, also the dropped ones; a virtual generated column (18+),
                                      which has no values, is like a dropped one */
    const char *const *type_names; /* of each, as format_type gives them: integer, numeric(10,2);
                                      NULL: dropped */
    size_t attribute_count;
    const uint16_t *key; /* attribute numbers from 1 on: of the primary key, else of the index that
                            is the replica identity, else of a unique one whose columns are NOT NULL
                            and that has no predicate or expression */
    size_t key_count;    /* 0: the table has no key */
    const bool *unique;  /* of each attribute: a unique index or an exclusion constraint sees it */
    bool is_dropped;     /* a lost transaction drops it, now or later */
    bool refuses_on_conflict; /* a constraint is deferrable, or a rule is there: an error */
} Table;

/* The row of pg_class that has the storage; false: none has it at that moment. */
bool schema_find_class(CatalogLook *look, const RelationId *storage, CatalogTuple *class);

/* The storage of a row of pg_class that is no catalog in a map. */
RelationId schema_class_storage(CatalogLook *look, const CatalogTuple *class);

/* The word is among some that have blanks on both sides. */
bool schema_words_have(const char *words, const char *word);

/* The name as a statement needs it, in quotes where the server puts them. */
const char *schema_quoted_name(Arena *arena, const char *name);

/* The table to which a storage belongs at that moment; it lives as long as the schema. NULL without
 * an error: no table of a kind with rows has it, and *reason says why. */
const Table *schema_table(Schema *schema, const RelationId *storage, Moment moment,
                          const char **reason);

/* What a table was at a moment. */
typedef struct TableBefore
{
    bool same;        /* it was there */
    Oid number;       /* its own, else that of the relation which had its name; 0: none had it */
    uint32_t columns; /* how many it had, also dropped ones; 0: it was not there */
} TableBefore;

TableBefore schema_table_before(Schema *schema, const Table *table, Moment moment);

/* The type, for ValueReader.type by way of the caller's context. */
const Type *schema_type(Schema *schema, Oid database, Oid type, Moment moment);

/* The database's name; as_stored: by which a client connects. NULL: it is not known. */
const char *schema_database(Schema *schema, Oid database, Moment moment, bool as_stored);

/* A change of the schema: TRUNCATE, CREATE TABLE, DROP TABLE, ALTER TABLE, CREATE
 * FUNCTION and others. */
typedef struct SchemaEvent
{
    Lsn lsn;
    Oid database;
    const char *verb, *noun; /* static: "DROP", "TABLE"; TRUNCATE, COMMENT ON, GRANT or REVOKE ON */
    const char *schema, *name; /* of the object; NULL: it has none, or it is not known */
    RelationId storage;        /* of TRUNCATE and DROP: what the table had before; else zeros */
} SchemaEvent;

typedef struct SchemaEvents
{
    SchemaEvent *items; /* by their LSNs; in the schema's memory */
    size_t count;
} SchemaEvents;

SchemaEvents schema_events(Schema *schema, const LostCommit *commit);

#endif
