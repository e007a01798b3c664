/*
 * The source by one connection of our own: what a rewind and a standby need of it. Reading only.
 */
#include "check/readiness.h"

#include "source/server.h"

#include <string.h>

#define CONNECT_SECONDS 10

/* One value that is never NULL, or NULL where the server does not say. An error is the end of the
 * transaction, but not of the questions. */
static const char *ask(Node *node, Connection *connection, const char *sql)
{
    char instance[CONNECTION_INSTANCE_SIZE];
    char *value;

    if (connection_row(connection, node->arena, &(Query){.sql = sql, .column_count = 1}, &value,
                       NULL))
        return value;
    connection_end(connection);
    (void) !connection_begin(connection, instance, NULL);
    return NULL;
}

static bool is_answer(const char *value, const char *expected)
{
    return value != NULL && strcmp(value, expected) == 0;
}

static void look_at_grants(Node *node, Connection *connection)
{
    static const size_t schema = sizeof("pg_catalog.") - 1;
    AUTO_BUFFER Buffer grants = {0};
    AUTO_BUFFER Buffer names = {0};

    for (size_t i = 0; i < SOURCE_FUNCTION_COUNT; i++)
    {
        const char *sql =
            arena_printf(node->arena, "SELECT pg_catalog.has_function_privilege('%s', 'EXECUTE')",
                         source_server_functions[i]);

        if (is_answer(ask(node, connection, sql), "t"))
            continue;
        buffer_printf(&names, "%s%s", names.size > 0 ? ", " : "",
                      source_server_functions[i] + schema);
        buffer_printf(&grants, "%sGRANT EXECUTE ON FUNCTION %s TO %s;", grants.size > 0 ? "\n" : "",
                      source_server_functions[i], node->role);
    }
    node->role_is_enough = grants.size == 0;
    if (node->role_is_enough)
        node_ok(node, "source_role",
                "Role %s may execute the functions that pg_rewind needs, in database %s. Standbys "
                "have the same grants.",
                node->role, node->database);
    else
        node_add(node, "source_role", ADVICE_PROBLEM, buffer_string(&grants),
                 "Role %s may not execute the functions that pg_rewind needs: %s. Grants apply to "
                 "one database only: a superuser makes them in database %s, on the primary.",
                 node->role, buffer_string(&names), node->database);
}

static void look_at_role(Node *node, Connection *connection, const Version *version)
{
    const bool superuser =
        is_answer(ask(node, connection, "SELECT pg_catalog.current_setting('is_superuser')"), "on");

    node->role_is_enough = superuser;
    if (superuser)
        node_ok(node, "source_role", "Role %s is a superuser.", node->role);
    else if (version->grantable_file_functions)
        look_at_grants(node, connection);
    else
        node_add(node, "source_role", ADVICE_PROBLEM,
                 arena_printf(node->arena, "ALTER ROLE %s SUPERUSER;", node->role),
                 "Role %s is not a superuser. PostgreSQL %s has no grants for reading files.",
                 node->role, version->name);
}

/* A ConnectionOption. */
static void append_to_conninfo(void *context, const char *keyword, const char *value)
{
    conninfo_append(context, keyword, value);
}

/* A replication connection, as a standby with -R's primary_conninfo makes it. */
static bool replication_works(Node *node, Connection *connection, Error *error)
{
    AUTO_BUFFER Buffer conninfo = {0};
    uint64_t system_identifier;

    connection_options(connection, append_to_conninfo, &conninfo);
    return connection_try_replication(
        buffer_string(&conninfo), node->options->retry_timeout_seconds, &system_identifier, error);
}

/* A rewind does not need it, but the standby that comes of it does. */
static void look_at_replication(Node *node, Connection *connection, const Version *version)
{
    const AdviceSeverity bad = node->options->write_recovery_conf ? ADVICE_PROBLEM : ADVICE_WARNING;
    const char *may = ask(
        node, connection,
        "SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user");
    Error error;

    /* If the role cannot be asked for, the connection shows it. */
    if (may != NULL && !is_answer(may, "t"))
        node_add(node, "source_replication", bad,
                 arena_printf(node->arena, "ALTER ROLE %s REPLICATION;", node->login),
                 "Role %s does not have the attribute REPLICATION: a standby cannot stream by it "
                 "(-R writes this connection into primary_conninfo).",
                 node->login);
    else if (replication_works(node, connection, &error))
        node_ok(
            node, "source_replication",
            "Role %s has the attribute REPLICATION, and a replication connection works from here.",
            node->login);
    else
        node_add(node, "source_replication", bad,
                 arena_printf(node->arena,
                              "In pg_hba.conf of the source: hostssl  replication  %s  ADDRESS/32  "
                              "%s\nthen SELECT pg_catalog.pg_reload_conf();",
                              node->login, version->remedies.password_method),
                 "A replication connection does not work from here: %s", error.message);
}

static void look_at_source_settings(Node *node, Connection *connection, const Version *version)
{
    const char *full_page_writes =
        ask(node, connection, "SELECT pg_catalog.current_setting('full_page_writes')");
    const char *wal_level = ask(node, connection, "SELECT pg_catalog.current_setting('wal_level')");
    const bool is_on = is_answer(full_page_writes, "on");
    const bool is_minimal = is_answer(wal_level, "minimal");

    node_add(node, "source_full_page_writes", is_on ? ADVICE_OK : ADVICE_PROBLEM,
             is_on ? NULL
                   : arena_printf(node->arena,
                                  "%sfull_page_writes = on; SELECT pg_catalog.pg_reload_conf();",
                                  version->remedies.set),
             "full_page_writes of the source is %s.",
             full_page_writes != NULL ? full_page_writes : "unknown");
    node_add(node, "source_wal_level", is_minimal ? ADVICE_PROBLEM : ADVICE_OK,
             is_minimal ? arena_printf(node->arena, "%s%s;  -- then restart the server",
                                       version->remedies.set, version->remedies.wal_level)
                        : NULL,
             "wal_level of the source is %s.", wal_level != NULL ? wal_level : "unknown");
}

/* All questions on one connection; each is answered or not. */
static void look_by(Node *node, Connection *connection)
{
    const Version *version = server_version(connection);
    char instance[CONNECTION_INSTANCE_SIZE];
    Error error;

    if (version == NULL)
    {
        node_add(node, "source", ADVICE_PROBLEM, NULL,
                 "The source server's version %d is not supported.",
                 connection_server(connection).version / 10000);
        return;
    }
    if (!connection_begin(connection, instance, &error))
    {
        node_add_error(node, "source", ADVICE_PROBLEM, &error);
        return;
    }
    node->role = ask(node, connection, "SELECT pg_catalog.quote_ident(current_user)");
    node->login = ask(node, connection, "SELECT pg_catalog.quote_ident(session_user)");
    node->database =
        ask(node, connection, "SELECT pg_catalog.quote_ident(pg_catalog.current_database())");
    if (node->role == NULL || node->login == NULL || node->database == NULL)
        node_add(node, "source", ADVICE_PROBLEM, NULL, "The source does not answer queries.");
    else
    {
        node_ok(node, "source", "It answers: PostgreSQL %s, %s, database %s, role %s.",
                version->name, strncmp(instance, "true", 4) == 0 ? "a standby" : "a primary",
                node->database, node->role);
        look_at_role(node, connection, version);
        look_at_replication(node, connection, version);
        look_at_source_settings(node, connection, version);
    }
    connection_end(connection);
}

void node_look_at_source(Node *node)
{
    static const char *const names[] = {"source_role", "source_replication",
                                        "source_full_page_writes", "source_wal_level"};
    const char *why = "no source server is named (--source-server)";
    AUTO_BUFFER Buffer ignored = {0};
    ConnectionRefusal refusal;
    Connection *connection;
    Error error;

    if (node->options->source_server != NULL)
    {
        connection_ignored_variables(&ignored);
        if (ignored.size > 0)
            node_add(node, "source", ADVICE_WARNING,
                     "Run pg_rewind with a newer libpq, or do without these variables.", "%s.",
                     buffer_string(&ignored));
        connection =
            server_connect(node->options->source_server, node->options->retry_timeout_seconds,
                           CONNECT_SECONDS, &refusal, &error);
        if (connection != NULL)
        {
            look_by(node, connection);
            connection_close(connection);
            return;
        }
        if (error.kind == ERROR_RETRY && error.hint[0] == '\0')
            error_hint(&error, "Is the server running there, and does it accept this connection?");
        node_add_error(node, "source", ADVICE_PROBLEM, &error);
        why = "the source does not answer";
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        node_leave_out(node, names[i], why);
}
