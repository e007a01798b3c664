/*
 * Names of databases and of relations, for the report.
 */
#include "source/source_server.h"

#include "base/text_cursor.h"

#include <stdlib.h>

/* The catalogs of one database can be seen: the one that we are connected to. */
static const char databases_sql[] =
    "SELECT oid, datname, datname = pg_catalog.current_database() FROM pg_catalog.pg_database";

/* $1: storage numbers. An index or a TOAST table comes with the table that it belongs to. */
static const char relations_sql[] =
    "SELECT pg_catalog.pg_relation_filenode(c.oid),\n"
    "  CASE WHEN c.reltablespace <> 0 THEN c.reltablespace ELSE d.dattablespace END,\n"
    "  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),\n"
    "  pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname)\n"
    "FROM pg_catalog.pg_class AS c\n"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace\n"
    "  JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()\n"
    "  LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid\n"
    "  LEFT JOIN pg_catalog.pg_class AS o\n"
    "    ON o.reltoastrelid = CASE WHEN i.indrelid IS NULL THEN c.oid ELSE i.indrelid END\n"
    "  LEFT JOIN pg_catalog.pg_class AS t\n"
    "    ON t.oid = CASE WHEN o.oid IS NULL THEN i.indrelid ELSE o.oid END\n"
    "  LEFT JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace\n"
    "WHERE c.relkind IN ('r', 'i', 'S', 't', 'm')\n"
    "  AND pg_catalog.pg_relation_filenode(c.oid) = ANY ($1::pg_catalog.oid[])";

typedef struct Naming
{
    const char *filenodes;
    SourceDatabaseName database;
    SourceRelationName relation;
    void *context;
} Naming;

static bool parse_oid(const ConnectionValue *value, Oid *oid)
{
    TextCursor digits = text_cursor(value->bytes != NULL ? value->bytes : "");

    return text_take_u32(&digits, oid) && text_at_end(&digits);
}

static bool receive_database(void *context, const ConnectionValue *columns, Error *error)
{
    const Naming *naming = context;
    Oid database;

    if (!parse_oid(&columns[0], &database) || columns[1].bytes == NULL || columns[2].bytes == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    naming->database(naming->context, database, columns[1].bytes, columns[2].bytes[0] == 't');
    return true;
}

static bool receive_relation(void *context, const ConnectionValue *columns, Error *error)
{
    const Naming *naming = context;
    Oid filenode, tablespace;

    if (!parse_oid(&columns[0], &filenode) || !parse_oid(&columns[1], &tablespace) ||
        columns[2].bytes == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    naming->relation(naming->context, tablespace, filenode, columns[2].bytes, columns[3].bytes);
    return true;
}

static bool query_names_once(Connection *connection, void *context, Error *error)
{
    Naming *naming = context;

    return connection_rows(connection, databases_sql, 0, NULL, false, 3, receive_database, naming,
                           error) &&
           connection_rows(connection, relations_sql, 1, &naming->filenodes, false, 4,
                           receive_relation, naming, error);
}

bool source_server_names(Source *source, const char *filenodes, SourceDatabaseName database,
                         SourceRelationName relation, void *context, Error *error)
{
    Naming naming = {filenodes, database, relation, context};

    return server_attempt((ServerSource *) source, 0, query_names_once, &naming, NULL, error);
}
