/*
 * The source by one connection of our own: what a rewind and a standby need of it. Reading only.
 */
#include "check/readiness.h"

#include "source/server.h"
#include "standby/streaming.h"

#include <string.h>

#define CONNECT_SECONDS 20 /* half of it for a login (Rule O17) */

static void look_at_role(Node *node, const ServerRights *rights, const Version *version)
{
    node->role_is_enough =
        rights->superuser || (version->grantable_file_functions && rights->grants[0] == '\0');
    if (rights->superuser)
        node_ok(node, "source_role", "Role %s is a superuser.", rights->role);
    else if (node->role_is_enough)
        node_ok(node, "source_role",
                "Role %s may execute the functions that pg_rewind needs, in database %s. Standbys "
                "have the same grants.",
                rights->role, rights->database);
    else if (rights->resets != NULL)
        node_add(
            node, "source_role", ADVICE_PROBLEM, rights->resets,
            "Role %s connects, and a setting of the database or of the role switches to role "
            "%s, which may not read files of the source. Grant nothing to a role that somebody "
            "else has chosen: a superuser removes the setting.",
            rights->switched_from, rights->role);
    else if (version->grantable_file_functions)
        node_add(node, "source_role", ADVICE_PROBLEM, rights->grants,
                 "Role %s may not execute all functions that pg_rewind needs. Grants apply to one "
                 "database only: a superuser makes them in database %s, on the primary.",
                 rights->role, rights->database);
    else
        node_add(node, "source_role", ADVICE_PROBLEM,
                 arena_printf(node->arena, "ALTER ROLE %s SUPERUSER;", rights->role),
                 "Role %s is not a superuser. PostgreSQL %s has no grants for reading files.",
                 rights->role, version->name);
}

/* A ConnectionOption. */
static void append_to_conninfo(void *context, const char *keyword, const char *value)
{
    conninfo_append(context, keyword, value);
}

/* Find out whether the role can replicate: not needed by a rewind, but by the standby afterwards.
 * Without a name the role is not known. The connection is tried with settings->conninfo, which -R
 * will write; NULL: as this one was made. */
static void look_at_replication(Node *node, Connection *connection, SourceRole role,
                                const StandbySettings *settings)
{
    const AdviceSeverity bad = node->options->write_recovery_conf ? ADVICE_PROBLEM : ADVICE_WARNING;
    const bool known = role.name != NULL;
    AUTO_BUFFER Buffer conninfo = {0};
    uint64_t system_identifier;
    bool works, tried = true;
    Error error;

    /* If the role cannot be asked for, the connection shows it. */
    if (known && !role.may_replicate)
    {
        node_add(node, "source_replication", bad, streaming_grant(&role, node->arena),
                 "Role %s does not have the attribute REPLICATION: a standby cannot stream by it "
                 "(-R writes this connection into primary_conninfo).",
                 role.name);
        return;
    }
    connection_options(connection, append_to_conninfo, &conninfo);
    works = settings != NULL
                ? streaming_try(node->clusters, &role, settings, node->arena, &tried, &error)
                : connection_try_replication(buffer_string(&conninfo),
                                             node->options->retry_timeout_seconds,
                                             &system_identifier, NULL, &error);
    if (!tried)
        node_add(
            node, "source_replication", ADVICE_UNKNOWN, NULL,
            "The primary_conninfo that -R writes has options that only the target's own server "
            "can use: a replication connection was not tried.");
    else if (works)
        node_ok(node, "source_replication",
                "Role %s has the attribute REPLICATION, and a replication connection works from "
                "here.",
                known ? role.name : "that connects");
    else if (settings != NULL)
        node_add_error(node, "source_replication", bad, &error);
    else
        node_add(
            node, "source_replication", bad,
            known ? arena_printf(node->arena,
                                 "In pg_hba.conf of the source: %s\nthen SELECT "
                                 "pg_catalog.pg_reload_conf();",
                                 streaming_hba_line(&role, server_version(connection), node->arena))
                  : NULL,
            "A replication connection does not work from here: %s", error.message);
}

void node_look_at_streaming(Node *node, const StandbySettings *settings)
{
    Source *source = node->clusters->source;
    Connection *connection = source != NULL ? source_connection(source) : NULL;
    SourceRole role = {0};

    if (connection != NULL)
    {
        if (!source_server_role(source, node->arena, &role, NULL))
            role.name = NULL;
        look_at_replication(node, connection, role, settings);
    }
    else
        node_leave_out(node, "source_replication", "the source does not answer");
}

/* All questions on one connection; the last may fail. */
static void look_by(Node *node, Connection *connection)
{
    const Version *version = server_version(connection);
    char instance[CONNECTION_INSTANCE_SIZE];
    ServerRights rights;
    SourceRole role = {0};
    Error error;

    if (version == NULL)
    {
        node_add(node, "source", ADVICE_PROBLEM, NULL,
                 "The source server's version %d is not supported.",
                 connection_server(connection).version / 10000);
        return;
    }
    if (!connection_begin(connection, instance, &error) ||
        !server_rights(connection, node->arena, &rights, &error))
    {
        node_add_error(node, "source", ADVICE_PROBLEM, &error);
        return;
    }
    node_ok(node, "source", "It answers: PostgreSQL %s, %s, database %s, role %s.", version->name,
            strncmp(instance, "true", 4) == 0 ? "a standby" : "a primary", rights.database,
            rights.role);
    look_at_role(node, &rights, version);
    server_advise(&rights, version, &node->findings);
    /* With -R node_look_at_streaming tries what -R writes, once the pair is known. */
    if (!node->options->write_recovery_conf || !node->role_is_enough)
    {
        if (!server_role(connection, node->arena, &role, NULL))
            role.name = NULL;
        look_at_replication(node, connection, role, NULL);
    }
    connection_end(connection);
}

void node_look_at_source(Node *node)
{
    static const char *const names[] = {"source_role", "source_replication"};
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
    for (const char *const *id = server_advice_ids; *id != NULL; id++)
        node_leave_out(node, *id, why);
}
