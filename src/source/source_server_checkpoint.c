/*
 * --checkpoint; and the sessions that remove directories of databases, which a checkpoint precedes.
 */
#include "source/source_server.h"

#include <string.h>

/* What a query says that answers with true or false. */
typedef struct Question
{
    const char *sql;
    bool yes;
} Question;

static bool query_bool_once(Connection *connection, void *context, Error *error)
{
    Question *question = context;
    Arena *arena = arena_create();
    char *value;
    bool success = server_query_text(connection, arena, question->sql, &value, error);

    question->yes = success && strcmp(value, "t") == 0;
    arena_destroy(arena);
    return success;
}

static bool query_bool(Source *source, const char *sql, bool *yes, Error *error)
{
    Question question = {.sql = sql};
    bool success =
        server_attempt((ServerSource *) source, 0, query_bool_once, &question, NULL, error);

    *yes = question.yes;
    return success;
}

/* DROP DATABASE and SET TABLESPACE, but also RENAME. */
bool source_server_removes_database(Source *source, bool *removes, Error *error)
{
    return query_bool(source,
                      "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'object' "
                      "AND classid = 'pg_catalog.pg_database'::pg_catalog.regclass "
                      "AND mode = 'AccessExclusiveLock')",
                      removes, error);
}

/* The role pg_checkpoint is there from version 15 on. */
bool source_server_may_checkpoint(Source *source, bool *may, Error *error)
{
    return query_bool(source,
                      "SELECT pg_catalog.current_setting('is_superuser') = 'on' OR EXISTS ("
                      "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'pg_checkpoint' "
                      "AND pg_catalog.pg_has_role(oid, 'USAGE'))",
                      may, error);
}

static bool checkpoint_once(Connection *connection, void *context, Error *error)
{
    (void) context;
    return connection_command(connection, "CHECKPOINT", error);
}

bool source_server_checkpoint(Source *source, Error *error)
{
    return server_attempt((ServerSource *) source, 0, checkpoint_once, NULL, NULL, error);
}
