/*
 * Tables, columns and types of the target, from its own catalogs at any moment of the lost history.
 * Names of tables, databases and other objects are converted by encoding_name. schema_events.c
 * finds what a lost transaction did to the schema.
 */
#ifndef LOST_SCHEMA_H
#define LOST_SCHEMA_H

#include "lost/catalog.h"
#include "lost/value_text.h"

/* The type of a table's column. */
typedef struct ColumnType
{
    const char *text; /* name in SQL: integer, numeric(10,2); parts of it are quoted if any version
                         of the server would; NULL: the column is dropped */
    const char *base; /* for a domain: text of the type whose values it takes, which is no domain;
                         else the same as `text` */
    const char *schema, *name; /* schema and name of the type, or of the array's elements; NULL: not
                                  known */
    bool is_array;
    int32_t modifier; /* atttypmod; -1: none */
} ColumnType;

typedef struct Table
{
    Oid oid;
    Oid database;
    const char *schema, *name;
    const char *owner; /* name of the owner; NULL: a superuser; empty: not known */
    char kind;         /* relkind */
    bool is_catalog;
    bool is_copy; /* temporary table that a command such as REFRESH fills with a copy of another
                     table (relrewrite): its rows are not changes */
    const Attribute *attributes; /* all attributes, including dropped ones; a virtual
                                    generated column (18+), which has no values, is like a
                                    dropped one */
    const ColumnType *types;     /* type of each attribute */
    size_t attribute_count;
    const uint16_t *key; /* key as attribute numbers, from 1 on: of the primary key, else of the
                            replica identity's index, else of a unique index whose columns are
                            NOT NULL and that has no predicate or expression */
    size_t key_count;    /* number of key columns; 0: the table has no key */
    const bool *unique;  /* for each attribute: a unique index or an exclusion constraint uses it */
    bool is_dropped;     /* a lost transaction drops the table, at this moment or later */
    bool refuses_on_conflict; /* INSERT ... ON CONFLICT would be an error, since a constraint is
                                 deferrable or the table has a rule */
} Table;

/* Find the row of pg_class that has the storage at that moment; false if none has. */
bool schema_find_class(CatalogSnapshot *look, const RelationId *storage, CatalogTuple *class);

/* Storage of a row of pg_class. Not for catalogs in a map. */
RelationId schema_class_storage(CatalogSnapshot *look, const CatalogTuple *class);

/* True if word is in words, a text in which each word has a blank on both sides. */
bool schema_words_have(const char *words, const char *word);

/* Name for use in a statement, quoted where a server of any version would quote it. Not to be
 * compared with a name that a server has quoted. In the arena. */
const char *schema_quoted_name(Arena *arena, const char *name);

/* The table to which a storage belongs at that moment; lives as long as the schema. NULL, without
 * an error: no table of a kind that has rows has the storage, and *reason says why. */
const Table *schema_table(Schema *schema, const RelationId *storage, Moment moment,
                          const char **reason);

/* A table's state at the divergence, to be compared with the source's table. */
typedef struct TableBefore
{
    bool same;  /* the same table existed */
    Oid number; /* OID of the same table, or otherwise of the relation that had its name; 0: no
                   relation had it */
    uint32_t columns; /* number of columns, including dropped ones; 0: the table did not exist */
} TableBefore;

/* The divergence is the same in all calls: what was found is cached. */
TableBefore schema_table_before(Schema *schema, const Table *table, Lsn divergence);

/* Get a type at that moment, for ValueReader.type; NULL if the catalogs do not have it. */
const Type *schema_type(Schema *schema, Oid database, Oid type, Moment moment);

/* Name of a database; as_stored: in the stored bytes, by which a client connects. NULL if not
 * known. */
const char *schema_database(Schema *schema, Oid database, Moment moment, bool as_stored);

/* A change of the schema: TRUNCATE, CREATE TABLE, DROP TABLE, ALTER TABLE, CREATE
 * FUNCTION and others. */
typedef struct SchemaEvent
{
    Lsn lsn;
    Oid database;
    const char *verb, *noun; /* static: "DROP", "TABLE"; TRUNCATE, COMMENT ON, GRANT or REVOKE ON */
    const char *schema, *name; /* object's schema and name; NULL: none, or not known */
    RelationId storage;        /* for TRUNCATE and DROP: the table's storage before; else zero */
} SchemaEvent;

typedef struct SchemaEvents
{
    SchemaEvent *items; /* events by LSN; in the schema's arena */
    size_t count;
} SchemaEvents;

SchemaEvents schema_events(Schema *schema, const LostCommit *commit);

#endif
