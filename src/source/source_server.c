#include "source/source_server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text_cursor.h"
#include "base/workers.h"
#include "io/connection.h"

#include <assert.h>
#include <stdio.h>
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
    free(self->conninfo);
    free(self->description);
    free(self->host);
    free(self->address);
    free(self->port);
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

    if (!server_attempt((ServerSource *) source, 0, server_read_file_once, &read, NULL, error))
        return false;
    *found = read.found;
    return true;
}

typedef struct PositionQuery
{
    ServerSource *server;
    const Control *control;
    SourcePosition *position;
    Arena *arena;
    Lsn replayed;          /* of a standby */
    char *newer_timelines; /* of a standby; NULL: none */
} PositionQuery;

/* LSN as a server prints it, possibly followed by a blank and a timeline of eight hexadecimal
 * digits. */
static bool parse_position(const char *text, Lsn *lsn, Timeline *timeline, Error *error)
{
    TextCursor left = text_cursor(text);

    *timeline = 0;
    if (!lsn_take(&left, lsn) || *lsn > LSN_HIGHEST ||
        (text_take(&left, " ") && !text_take_hex(&left, 8, timeline)))
        return error_set(error, ERROR_FAILED, "unrecognized result \"%s\" for current WAL position",
                         text);
    return true;
}

/*
 * At the exact boundary of a segment pg_walfile_name gives the segment before; its timeline is the
 * one that the server writes on all the same.
 */
static bool primary_position(Connection *connection, Arena *arena, const PositionQuery *query,
                             Error *error)
{
    const ServerSql *names = &query->server->version->sql;
    const Lsn seen = server_position_seen(query->server);
    SourcePosition *position = query->position;
    char *text;
    Timeline timeline;

    if (!server_query_text(connection, arena,
                           arena_printf(arena,
                                        "SELECT lsn::pg_catalog.text || ' ' || "
                                        "pg_catalog.substr(pg_catalog.%s(lsn), 1, 8) "
                                        "FROM pg_catalog.%s() AS lsn",
                                        names->segment_name, names->written_position),
                           &text, error) ||
        !parse_position(text, &position->end, &timeline, error) ||
        !server_check_position(query->server, seen, position->end, error))
        return false;
    position->in_recovery = false;
    position->minimum = position->end;
    position->timeline = control_timeline(query->control);
    if (timeline > position->timeline)
        position->timeline = timeline;
    return true;
}

/* Timelines above $1 of which pg_wal holds the history file and a segment. Twice: its name, and
 * server_list_may_lack. */
static const char newer_timelines_sql[] =
    "SELECT pg_catalog.string_agg(timeline, ' ') FROM (\n"
    "  SELECT pg_catalog.substr(name, 1, 8) AS timeline FROM pg_catalog.pg_ls_dir('%s'%s) AS "
    "name\n"
    "  WHERE name ~ '^[0-9A-F]{24}$'\n"
    " INTERSECT\n"
    "  SELECT pg_catalog.substr(name, 1, 8) FROM pg_catalog.pg_ls_dir('%s'%s) AS "
    "name\n"
    "  WHERE name ~ '^[0-9A-F]{8}\\.history$') AS both_of_them\n"
    "WHERE timeline COLLATE \"C\" > $1";

/*
 * A standby that was restarted has replayed all that it had before once it has asked its primary
 * for WAL again: it does so when it has read to the end of its own.
 */
static bool check_replayed_again(ServerSource *self, bool streams, Error *error)
{
    if (streams)
        self->streams = true;
    if (streams || !(self->streams || self->restarted))
        return true;
    error_set(error, ERROR_RETRY,
              "source server has not yet replayed the WAL that it had replayed before its restart");
    return error_detail(error, "It is a standby that is not streaming from a primary now.");
}

/*
 * Recovery must pass what it has replayed, not only minRecoveryPoint: directories of databases are
 * removed and copied by replay at once, and minRecoveryPoint does not wait for that.
 */
static bool standby_position(Connection *connection, Arena *arena, PositionQuery *query,
                             Error *error)
{
    const Version *version = query->server->version;
    const char *may_lack = server_list_may_lack(&version->sql);
    SourcePosition *position = query->position;
    char old[9];
    const char *parameters[] = {old};
    char *received, *replayed;
    Timeline unused;
    bool found;

    snprintf(old, sizeof(old), "%08X", control_timeline(query->control));
    *position =
        (SourcePosition){.in_recovery = true, .minimum = query->control->min_recovery_point};
    query->replayed = LSN_INVALID;
    if (!connection_value(connection, arena,
                          arena_printf(arena, "SELECT pg_catalog.%s()::pg_catalog.text",
                                       version->sql.received_position),
                          0, NULL, &received, &found, error) ||
        (found && !parse_position(received, &position->end, &unused, error)) ||
        !check_replayed_again(query->server, position->streams = found, error) ||
        !connection_value(connection, arena,
                          arena_printf(arena, "SELECT pg_catalog.%s()::pg_catalog.text",
                                       version->sql.replayed_position),
                          0, NULL, &replayed, &found, error) ||
        (found && !parse_position(replayed, &query->replayed, &unused, error)) ||
        !connection_value(connection, arena,
                          arena_printf(arena, newer_timelines_sql, version->wal_directory, may_lack,
                                       version->wal_directory, may_lack),
                          1, parameters, &query->newer_timelines, &found, error))
        return false;
    if (!found)
        query->newer_timelines = NULL;
    if (query->replayed > position->minimum)
        position->minimum = query->replayed;
    if (position->minimum > position->end)
        position->end = position->minimum;
    return true;
}

static bool position_once(Connection *connection, void *context, Error *error)
{
    PositionQuery *query = context;
    char *text;

    if (!server_query_text(connection, query->arena,
                           "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'standby' "
                           "ELSE 'primary' END",
                           &text, error))
        return false;
    return strcmp(text, "standby") == 0 ? standby_position(connection, query->arena, query, error)
                                        : primary_position(connection, query->arena, query, error);
}

static bool server_position(Source *source, const Control *control, SourcePosition *position,
                            Error *error)
{
    ServerSource *self = (ServerSource *) source;
    PositionQuery query = {
        .server = self, .control = control, .position = position, .arena = arena_create()};
    bool success = server_attempt(self, 0, position_once, &query, NULL, error);

    if (success && position->in_recovery)
        success = source_standby_timeline(
            source, control, query.newer_timelines != NULL ? query.newer_timelines : "",
            query.replayed, &position->timeline, error);
    if (success && position->in_recovery)
    {
        pthread_mutex_lock(&self->lock);
        self->timeline_replayed = position->timeline;
        pthread_mutex_unlock(&self->lock);
    }
    arena_destroy(query.arena);
    return success;
}

typedef struct NamesQuery
{
    const char *directory;
    Arena *arena;
    char *names; /* with slashes between, which no name has; NULL: none */
} NamesQuery;

static bool names_once(Connection *connection, void *context, Error *error)
{
    const ServerSql *names = &server_version(connection)->sql;
    NamesQuery *query = context;
    const char *const parameters[] = {query->directory};
    bool found, lacked;

    query->names = NULL;
    return connection_value(
               connection, query->arena,
               arena_printf(query->arena,
                            "SELECT CASE WHEN (pg_catalog.pg_stat_file($1::text%s)).isdir THEN "
                            "(SELECT pg_catalog.string_agg(name, '/') "
                            "FROM pg_catalog.pg_ls_dir($1::text%s) AS name) END",
                            server_may_lack(names), server_list_may_lack(names)),
               1, parameters, &query->names, &found, error) ||
           server_lacked_file(connection, &lacked, error);
}

static bool server_names_in(Source *source, const char *directory, SourceNameVisitor visit,
                            void *context, Error *error)
{
    NamesQuery query = {.directory = directory, .arena = arena_create()};
    bool success = server_attempt((ServerSource *) source, 0, names_once, &query, NULL, error);

    for (char *name = query.names, *next; success && name != NULL; name = next)
    {
        next = strchr(name, '/');
        if (next != NULL)
            *next++ = '\0';
        success = visit(context, name, error);
    }
    arena_destroy(query.arena);
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
    .digest_blocks = server_digest_blocks,
};

const char *const source_server_functions[SOURCE_FUNCTION_COUNT] = {
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
};

/* All that are missing are named at once, as the statements that grant them. */
static bool check_grants(Connection *connection, Arena *arena, Error *error)
{
    Buffer grants = {0};
    char *role;
    char *database;
    bool success = false;

    if (!server_query_text(connection, arena, "SELECT pg_catalog.quote_ident(current_user)", &role,
                           error) ||
        !server_query_text(connection, arena,
                           "SELECT pg_catalog.quote_ident(pg_catalog.current_database())",
                           &database, error))
        goto done;
    for (size_t i = 0; i < SOURCE_FUNCTION_COUNT; i++)
    {
        const char *const parameters[] = {source_server_functions[i]};
        char *granted;
        bool found;

        if (!connection_value(connection, arena,
                              "SELECT pg_catalog.has_function_privilege($1::text, 'EXECUTE')", 1,
                              parameters, &granted, &found, error))
            goto done;
        if (!found || granted[0] != 't')
            buffer_printf(&grants, "\n    GRANT EXECUTE ON FUNCTION %s TO %s;",
                          source_server_functions[i], role);
    }
    if (grants.size == 0)
        success = true;
    else
    {
        error_set(error, ERROR_FAILED,
                  "role %s must be superuser or have the right to read files of the source server",
                  role);
        error_hint(error,
                   "Run these lines as a superuser of the source in the database %s, where the "
                   "role connects: grants apply to one database only.%s",
                   database, buffer_string(&grants));
    }

done:
    buffer_free(&grants);
    return success;
}

static bool check_superuser(Connection *connection, Arena *arena, const Version *version,
                            Error *error)
{
    char *superuser;

    if (!server_query_text(connection, arena, "SELECT pg_catalog.current_setting('is_superuser')",
                           &superuser, error))
        return false;
    if (strcmp(superuser, "on") == 0)
        return true;
    error_set(error, ERROR_FAILED, "must be superuser to read files of the source server");
    error_detail(error, "PostgreSQL %s has no grants for this.", version->name);
    return error_hint(error, "Name a superuser of the source in the connection string (user=...).");
}

/* What the source must allow, be and have set. */
static bool check_server(Connection *connection, Arena *arena, const Version **known, Error *error)
{
    const Version *version;
    char *full_page_writes;

    if (!server_version_known(connection, &version, error))
        return false;
    *known = version;
    if (!(version->grantable_file_functions ? check_grants(connection, arena, error)
                                            : check_superuser(connection, arena, version, error)))
        return false;
    if (!server_query_text(connection, arena,
                           "SELECT pg_catalog.current_setting('full_page_writes')",
                           &full_page_writes, error))
        return false;
    if (strcmp(full_page_writes, "on") == 0)
        return true;
    error_set(error, ERROR_FAILED, /* contract */
              "\"full_page_writes\" must be enabled in the source server");
    return error_hint(error,
                      "Switch it on there, and let recovery start after that:\n"
                      "    %sfull_page_writes = on;\n"
                      "    SELECT pg_reload_conf();\n"
                      "    SELECT pg_sleep(1);\n"
                      "    CHECKPOINT;",
                      version->remedies.set);
}

static bool describe_option(void *context, const char *keyword, const char *value, Error *error)
{
    (void) error;
    if (strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
        strcmp(keyword, "port") == 0 || strcmp(keyword, "user") == 0)
        buffer_printf(context, " %s=%s", keyword, value);
    return true;
}

static char *duplicate_string(const char *string)
{
    const size_t size = strlen(string) + 1;

    return memcpy(memory_allocate(size), string, size);
}

static bool describe_connection(ServerSource *self, Error *error)
{
    const Connection *connection = self->connections[0].connection;
    Buffer text = {0};
    bool success;

    buffer_append_string(&text, "server");
    success = connection_options(self->connections[0].connection, describe_option, &text, error);
    if (success)
    {
        self->description = duplicate_string(buffer_string(&text));
        self->source.host = self->host = duplicate_string(connection_host(connection));
        self->source.address = self->address = duplicate_string(connection_address(connection));
        self->source.port = self->port = duplicate_string(connection_port(connection));
    }
    self->source.description = self->description;
    buffer_free(&text);
    return success;
}

/* The first connection: what the source must be, and what it is known by from now on. */
static bool open_once(ServerSource *self, double seconds, Arena *arena, bool *answers, Error *error)
{
    ServerConnection *first = &self->connections[0];
    ConnectionRefusal refusal;
    bool success;

    first->connection = server_connect(self, seconds, &refusal, error);
    *answers = first->connection != NULL || refusal != REFUSAL_NONE;
    if (first->connection == NULL)
        return false;
    if (self->description == NULL)
        log_progress_message("connected to server"); /* contract */
    success = (self->description != NULL || describe_connection(self, error)) &&
              connection_begin(first->connection, first->instance, error) &&
              check_server(first->connection, arena, &self->version, error) &&
              server_identify(first->connection, &self->identity, error);
    if (success)
    {
        connection_end(first->connection);
        memcpy(self->first_instance, first->instance, sizeof(first->instance));
        self->position_seen = self->identity.position;
        first->alive = true;
        return true;
    }
    connection_close(first->connection);
    first->connection = NULL;
    return false;
}

/*
 * A server that answers, but cannot take us now (starting up, shutting down, too many connections)
 * is tried again like one that was lost, even if it then cannot be reached for a while. If no
 * server answers the first attempt, that is an error at once.
 */
static bool open_first(ServerSource *self, Arena *arena, Error *error)
{
    const double deadline = clock_seconds() + self->retry_timeout_seconds;
    double seconds = 0; /* the first time as long as the user's string says */
    int pause = 0;
    bool answered = false;
    bool answers;

    while (!open_once(self, seconds, arena, &answers, error))
    {
        answered = answered || answers;
        if (error->kind != ERROR_RETRY || !answered || clock_seconds() >= deadline)
            return false;
        pause = server_longer_pause(pause);
        if (seconds <= 0)
            log_warning("%s", error->message);
        if (!stop_pause(pause, error))
            return false;
        seconds = deadline - clock_seconds();
        if (seconds < 1)
            seconds = 1;
    }
    return true;
}

bool source_server_open(const char *conninfo, int retry_timeout_seconds, uint64_t bytes_per_second,
                        Source **source, Error *error)
{
    ServerSource *self = memory_allocate_zeroed(1, sizeof(*self));
    Arena *arena = arena_create();
    bool success;

    self->source.operations = &server_operations;
    self->source.is_server = true;
    self->source.rate = rate_create(bytes_per_second);
    self->conninfo = duplicate_string(conninfo);
    self->retry_timeout_seconds = retry_timeout_seconds;
    self->connection_count = 1;
    pthread_mutex_init(&self->lock, NULL);
    for (int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
        pthread_mutex_init(&self->connections[i].lock, NULL);

    success = open_first(self, arena, error) && server_find_digest(self, arena, error);
    arena_destroy(arena);
    if (!success)
    {
        server_close(&self->source);
        return false;
    }
    *source = &self->source;
    return true;
}

struct Connection *source_connection(Source *source)
{
    const ServerSource *self = (const ServerSource *) source;

    if (!source->is_server)
        return NULL;
    for (int i = 0; i < self->connection_count; i++)
        if (self->connections[i].connection != NULL)
            return self->connections[i].connection;
    return NULL;
}
