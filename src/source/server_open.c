/*
 * A source that is a server: how it is opened, and what it must be and allow.
 */
#include "source/server.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>

static void server_close(Source *source)
{
    ServerSource *self = (ServerSource *) source;

    for (int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
    {
        connection_close(self->connections[i].connection);
        pthread_mutex_destroy(&self->connections[i].lock);
    }
    pthread_mutex_destroy(&self->lock);
    rate_free(source->rate);
    arena_destroy(self->arena);
    free(self);
}

static bool server_read_control(Source *source, Control *control, Error *error)
{
    return server_attempt((ServerSource *) source, 0, server_read_control_once, control, NULL,
                          error);
}

static bool server_read_file(Source *source, const char *path, size_t limit, Buffer *buffer,
                             bool *found, Error *error)
{
    FileRead read = {.path = path, .limit = limit, .buffer = buffer};
    const bool success =
        server_attempt((ServerSource *) source, 0, server_read_file_once, &read, NULL, error);

    *found = read.found;
    return success;
}

static const SourceOperations server_operations = {
    .close = server_close,
    .read_control = server_read_control,
    .position = server_position,
    .read_file = server_read_file,
    .list = server_list,
    .names = server_names_in,
    .start_workers = server_start_workers,
    .fetch = server_fetch,
    .digest = server_digest,
};

const char *const source_server_functions[SOURCE_FUNCTION_COUNT] = {
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
};

/* $1: functions. Who we are, whether as a superuser, and the functions that we may not run, as the
 * statements that grant them. */
static const char rights_sql[] =
    "SELECT pg_catalog.quote_ident(current_user),\n"
    "  pg_catalog.quote_ident(pg_catalog.current_database()),\n"
    "  pg_catalog.current_setting('is_superuser'),\n"
    "  pg_catalog.current_setting('full_page_writes'),\n"
    "  pg_catalog.current_setting('server_encoding'),\n"
    "  (SELECT coalesce(pg_catalog.string_agg(E'\\n    GRANT EXECUTE ON FUNCTION ' || function || "
    "' TO '\n"
    "      || pg_catalog.quote_ident(current_user) || ';', ''), '')\n"
    "    FROM pg_catalog.unnest($1::pg_catalog.text[]) AS function\n"
    "    WHERE pg_catalog.has_function_privilege(function, 'EXECUTE') IS NOT TRUE)";

static bool error_no_grants(const char *role, const char *database, const char *grants,
                            Error *error)
{
    error_set(error, ERROR_FAILED,
              "role %s must be superuser or have the right to read files of the source server",
              role);
    return error_hint(error,
                      "Run these lines as a superuser of the source in the database %s, where the "
                      "role connects: grants apply to one database only.%s",
                      database, grants);
}

static bool error_no_superuser(const Version *version, Error *error)
{
    error_set(error, ERROR_FAILED, "must be superuser to read files of the source server");
    error_detail(error, "PostgreSQL %s has no grants for this.", version->name);
    return error_hint(error, "Name a superuser of the source in the connection string (user=...).");
}

/* Check what the server is, allows and has set. */
static bool check_server(ServerSource *self, Connection *connection, Error *error)
{
    AUTO_BUFFER Buffer functions = {0};
    char *values[6];
    Query query = {.sql = rights_sql, .column_count = 6};

    if (!server_version_known(connection, &self->version, error))
        return false;
    for (size_t i = 0; i < SOURCE_FUNCTION_COUNT && self->version->grantable_file_functions; i++)
        array_append(&functions, source_server_functions[i]);
    query.parameters[0] = array_literal(&functions);
    if (!server_query(connection, self->arena, &query, values, error))
        return false;
    self->is_utf8 = strcmp(values[4], "UTF8") == 0;
    if (values[5][0] != '\0')
        return error_no_grants(values[0], values[1], values[5], error);
    if (!self->version->grantable_file_functions && strcmp(values[2], "on") != 0)
        return error_no_superuser(self->version, error);
    if (strcmp(values[3], "on") == 0)
        return true;
    error_set(error, ERROR_FAILED, /* contract */
              "\"full_page_writes\" must be enabled in the source server");
    return error_hint(error,
                      "Switch it on there, and let recovery start after that:\n"
                      "    %sfull_page_writes = on;\n"
                      "    SELECT pg_reload_conf();\n"
                      "    SELECT pg_sleep(1);\n"
                      "    CHECKPOINT;",
                      self->version->remedies.set);
}

static bool describe_option(void *context, const char *keyword, const char *value, Error *error)
{
    (void) error;
    if (strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
        strcmp(keyword, "port") == 0 || strcmp(keyword, "user") == 0)
        buffer_printf(context, " %s=%s", keyword, value);
    return true;
}

static bool describe_connection(ServerSource *self, Connection *connection, Error *error)
{
    const ConnectionServer server = connection_server(connection);
    AUTO_BUFFER Buffer text = {0};

    buffer_append_string(&text, "server");
    if (!connection_options(connection, describe_option, &text, error))
        return false;
    self->source.description = arena_strdup(self->arena, buffer_string(&text));
    self->source.host = arena_strdup(self->arena, server.host);
    self->source.address = arena_strdup(self->arena, server.address);
    self->source.port = arena_strdup(self->arena, server.port);
    return true;
}

/* An Attempt, the first of all. */
static bool greet_server(Connection *connection, void *context, Error *error)
{
    ServerSource *self = context;

    if (self->source.description == NULL)
    {
        log_progress_message("connected to server"); /* contract */
        if (!describe_connection(self, connection, error))
            return false;
    }
    return check_server(self, connection, error) && server_identify(self, connection, error);
}

bool source_server_open(const char *conninfo, int retry_timeout_seconds, uint64_t bytes_per_second,
                        Source **source, Error *error)
{
    ServerSource *self = memory_allocate_zeroed(1, sizeof(*self));

    self->arena = arena_create();
    self->source.operations = &server_operations;
    self->source.is_server = true;
    self->source.rate = rate_create(bytes_per_second);
    self->conninfo = arena_strdup(self->arena, conninfo);
    self->retry_timeout_seconds = retry_timeout_seconds;
    self->connection_count = 1;
    pthread_mutex_init(&self->lock, NULL);
    for (int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
        pthread_mutex_init(&self->connections[i].lock, NULL);
    if (!server_connect_first(self, greet_server, error) || !server_find_digest(self, error))
    {
        server_close(&self->source);
        return false;
    }
    *source = &self->source;
    return true;
}

Connection *source_connection(Source *source)
{
    const ServerSource *self = (const ServerSource *) source;

    if (!source->is_server)
        return NULL;
    for (int i = 0; i < self->connection_count; i++)
        if (self->connections[i].connection != NULL)
            return self->connections[i].connection;
    return NULL;
}
