#include "source/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAUSE_MILLISECONDS_MIN 100
#define PAUSE_MILLISECONDS_MAX 1000
#define RECONNECT_SECONDS 30

/* One more column of connection_begin_with. */
#define SETTING(name, value) ", pg_catalog.set_config('" name "', '" value "', true)"

/* ---- Small questions ---- */

const Version *server_version(const Connection *connection)
{
    return version_of_server_number(connection_server(connection).version);
}

const Version *server_version_known(const Connection *connection, Error *error)
{
    const int number = connection_server(connection).version;
    const Version *version = server_version(connection);

    if (version != NULL)
        return version;
    error_set(error, ERROR_FAILED, /* contract */
              "clusters are not compatible with this version of pg_rewind");
    error_detail(error, "The source server's version is %d.%d.", number / 10000, number % 10000);
    error_hint(error, "Check --source-server, or use a pg_rewind that knows this version.");
    return NULL;
}

const char *server_may_lack(const ServerSql *names)
{
    return names->missing_ok ? ", true" : "";
}

bool server_lacked_file(Connection *connection, Error *error)
{
    return !server_version(connection)->sql.missing_ok &&
           connection_rollback_to_savepoint(connection, NO_SUCH_FILE, error);
}

typedef struct FileRead
{
    const char *path;
    size_t limit; /* a larger one is an error */
    Buffer *buffer;
    bool found;
} FileRead;

/* A ConnectionRow: the bytes of the file. */
static bool take_file(void *context, const ConnectionValue *columns, Error *error)
{
    FileRead *read = context;

    if (read->found)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    read->found = columns[0].bytes != NULL;
    if (columns[0].size > read->limit)
        return error_set(error, ERROR_FAILED, "remote file \"%s\" is larger than %zu bytes",
                         read->path, read->limit);
    buffer_append(read->buffer, columns[0].bytes, columns[0].size);
    return true;
}

/* An Attempt. */
static bool read_file_once(Connection *connection, void *context, Error *error)
{
    FileRead *read = context;
    const size_t size_before = read->buffer->size;
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {
        .sql = arena_printf(arena,
                            "SELECT pg_catalog.pg_read_binary_file($1::text, 0::int8, $2::int8%s)",
                            server_may_lack(&server_version(connection)->sql)),
        .failure =
            arena_printf(arena, "could not fetch remote file \"%s\"", read->path), /* contract */
        .parameters = {read->path, arena_printf(arena, "%zu", read->limit + 1)},
        .column_count = 1,
        .binary = true};

    read->found = false;
    if (connection_rows(connection, &query, take_file, read, error))
        return true;
    read->found = false;
    read->buffer->size = size_before;
    return server_lacked_file(connection, error);
}

static bool read_control_bytes(void *context, Buffer *buffer, Error *error)
{
    FileRead read = {.path = CONTROL_PATH, .limit = CONTROL_READ_MAX, .buffer = buffer};

    if (!read_file_once(context, &read, error))
        return false;
    if (!read.found)
        return error_set(error, ERROR_FAILED,
                         "could not fetch remote file \"%s\": file does not exist", read.path);
    return true;
}

/* An Attempt: the context is a Control. */
static bool read_control_once(Connection *connection, void *context, Error *error)
{
    /* A server that runs has compared its version with PG_VERSION (ValidatePgVersion). */
    const ControlFile file = {.name = CONTROL_PATH, .pg_version = server_version(connection)->name};

    return source_control_read(read_control_bytes, connection, file, context, error);
}

/* ---- How far a standby has replayed ---- */

const char *server_replayed_sql(Arena *arena, const ServerSql *names)
{
    return arena_printf(arena,
                        "coalesce(pg_catalog.%s()::pg_catalog.text, '0/0') || ' ' ||\n"
                        "  coalesce(pg_catalog.%s()::pg_catalog.text, '0/0')",
                        names->received_position, names->replayed_position);
}

bool server_take_replayed(const char *text, AttemptProgress *progress, Error *error)
{
    TextCursor left = text_cursor(text != NULL ? text : "");
    Lsn received, replayed;

    if (!lsn_take(&left, &received) || !text_take(&left, " ") || !lsn_take(&left, &replayed) ||
        !text_at_end(&left) || replayed > LSN_HIGHEST)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    if (received != replayed)
        replayed++;
    if (replayed > progress->replayed)
        progress->replayed = replayed;
    return true;
}

bool server_note_replayed(const ServerSource *self, Connection *connection,
                          AttemptProgress *progress, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char *sql = server_replayed_sql(arena, &server_version(connection)->sql);
    char *text;

    return !self->identity.in_recovery ||
           (connection_row(
                connection, arena,
                &(Query){.sql = arena_printf(arena, "SELECT %s", sql), .column_count = 1}, &text,
                error) &&
            server_take_replayed(text, progress, error));
}

/* ---- The same server ---- */

/* One line: recovery or not, the directory's witnesses, flush position. With ", true" twice, or
 * nothing, and the function of the position. */
static const char identity_sql[] =
    "SELECT pg_catalog.pg_is_in_recovery()::pg_catalog.text || ' ' ||\n"
    "  coalesce(pg_catalog.date_part('epoch',\n"
    "    (pg_catalog.pg_stat_file('PG_VERSION'%s)).change)::pg_catalog.text, '-') || '/' ||\n"
    "  coalesce(pg_catalog.date_part('epoch',\n"
    "    (pg_catalog.pg_stat_file('base/1/PG_VERSION'%s)).change)::pg_catalog.text, '-') ||\n"
    "  ' ' || CASE WHEN pg_catalog.pg_is_in_recovery() THEN '0/0'\n"
    "    ELSE pg_catalog.%s()::pg_catalog.text END";

/* Find out by what the source is recognized, as this connection shows it. */
static bool identify_server(Connection *connection, ServerIdentity *identity, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    Control *control = arena_allocate(arena, sizeof(*control));
    const Version *version = server_version_known(connection, error);
    const char *may_lack;
    char recovery[8];
    int position;
    char *text;
    TextCursor lsn;

    if (version == NULL || !read_control_once(connection, control, error))
        return false;
    may_lack = server_may_lack(&version->sql);
    if (!connection_row(connection, arena,
                        &(Query){.sql = arena_printf(arena, identity_sql, may_lack, may_lack,
                                                     version->sql.flushed_position),
                                 .column_count = 1},
                        &text, error))
        return false;
    if (text == NULL || sscanf(text, "%7s %63s %n", recovery, identity->directory, &position) != 2)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    lsn = text_cursor(text + position);
    if (!lsn_take(&lsn, &identity->position))
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    identity->system_identifier = control->system_identifier;
    identity->timeline = control_timeline(control);
    identity->data_checksum_version = control->data_checksum_version;
    identity->wal_minimal = control->wal_level == WAL_LEVEL_MINIMAL;
    identity->redo = control->checkpoint.redo;
    identity->in_recovery = recovery[0] == 't';
    return true;
}

/* Another worker may raise it at the same time. */
static void raise_to(_Atomic Lsn *highest, Lsn lsn)
{
    Lsn seen = *highest;

    while (lsn > seen && !atomic_compare_exchange_weak(highest, &seen, lsn))
        ; /* another worker has set it: seen is now what that one saw */
}

bool server_check_position(ServerSource *self, Lsn seen, Lsn position, Error *error)
{
    if (position < seen)
    {
        error_set(error, ERROR_FAILED, "source server has lost WAL, or is another server");
        return error_detail(error, "Its WAL ends at %X/%X; earlier it ended at %X/%X.",
                            LSN_ARGS(position), LSN_ARGS(seen));
    }
    raise_to(&self->position_seen, position);
    return true;
}

static bool compare_identities(const ServerIdentity *expected, const ServerIdentity *found,
                               Timeline replayed, Error *error)
{
    /* A standby's pg_control says by and by on which timeline it has long been. */
    const bool may_have_followed =
        found->in_recovery && found->timeline > expected->timeline && found->timeline <= replayed;

    if (found->system_identifier != expected->system_identifier)
    {
        error_set(error, ERROR_FAILED, "new connection leads to a different system");
        return error_detail(error,
                            "Its system identifier is %" PRIu64 "; earlier it was %" PRIu64 ".",
                            found->system_identifier, expected->system_identifier);
    }
    if (found->in_recovery != expected->in_recovery ||
        (found->timeline != expected->timeline && !may_have_followed))
    {
        error_set(error, ERROR_FAILED,
                  "new connection leads to another server, or the source server was promoted");
        return error_detail(error, "It is a %s on timeline %u; earlier it was a %s on timeline %u.",
                            found->in_recovery ? "standby" : "primary", found->timeline,
                            expected->in_recovery ? "standby" : "primary", expected->timeline);
    }
    if (strcmp(found->directory, expected->directory) != 0)
    {
        error_set(error, ERROR_FAILED, "new connection leads to another server");
        return error_detail(error, "It has a different data directory.");
    }
    if (found->data_checksum_version != expected->data_checksum_version)
        return error_set(error, ERROR_FAILED,
                         "data checksums of the source server were switched on or off");
    if (found->wal_minimal && !expected->wal_minimal)
        return error_set(error, ERROR_FAILED,
                         "source server was restarted with \"wal_level = minimal\"");
    return true;
}

/*
 * Check that the server of this connection is still the source. In the meantime it may have been
 * restarted or may have crashed, which does no harm; it must have the same data directory, history
 * and role. The argument: design/correctness.md, "The source is still the same". (Rule C52.)
 */
static bool check_same_server(ServerSource *self, Connection *connection, Error *error)
{
    /* Before the query: other workers may see a later one during it. */
    const Lsn seen = self->position_seen, redo = self->redo_seen;
    const Timeline replayed = self->timeline_replayed;
    ServerIdentity found;

    if (!identify_server(connection, &found, error) ||
        !compare_identities(&self->identity, &found, replayed, error) ||
        (!found.in_recovery && !server_check_position(self, seen, found.position, error)))
        return false;
    if (found.redo >= redo)
    {
        raise_to(&self->redo_seen, found.redo);
        return true;
    }
    /* Its pages are older than those from which recovery was to start: a standby beside the source.
     */
    error_set(error, ERROR_FAILED, "new connection leads to another server");
    return error_detail(error, "Its last checkpoint begins at %X/%X; earlier it began at %X/%X.",
                        LSN_ARGS(found.redo), LSN_ARGS(redo));
}

/* ---- Connecting, and trying again ---- */

/* The server process that this connection has met answers now. */
static void note_instance(ServerSource *self, ServerConnection *connection)
{
    pthread_mutex_lock(&self->instance_lock);
    if (strcmp(connection->instance, self->newest_instance) != 0)
    {
        memcpy(self->newest_instance, connection->instance, sizeof(self->newest_instance));
        self->instance_count++;
        raise_to(&self->former_replayed, self->newest_replayed);
        self->newest_replayed = LSN_INVALID;
    }
    connection->instance_number = self->instance_count;
    pthread_mutex_unlock(&self->instance_lock);
}

/* The server process of this connection has answered, and had replayed so far. */
static void note_answers(ServerSource *self, const ServerConnection *connection, Lsn replayed)
{
    pthread_mutex_lock(&self->instance_lock);
    if (connection->instance_number < self->instance_count)
        raise_to(&self->former_replayed, replayed);
    else if (replayed > self->newest_replayed)
        self->newest_replayed = replayed;
    pthread_mutex_unlock(&self->instance_lock);
}

/* Begin a transaction in a round trip of its own. If another server process answers than last time,
 * check that it is the source's. */
static bool begin_and_check(ServerSource *self, ServerConnection *connection, Error *error)
{
    /* Before the query: other workers may meet a newer one during it. */
    const int count = self->instance_count;
    char instance[CONNECTION_INSTANCE_SIZE];

    if (!connection_begin(connection->connection, instance, error))
        return false;
    if (strcmp(instance, connection->instance) == 0)
    {
        if (connection->instance_number >= count)
            return true;
        /* A server that was restarted does not answer any more as the process that it was before:
         * two servers take turns, which may have been copied at one time. */
        error_set(error, ERROR_FAILED, "new connection leads to another server");
        return error_detail(error, "The server of an older connection answers as well.");
    }
    if (!check_same_server(self, connection->connection, error))
        return false;
    memcpy(connection->instance, instance, sizeof(instance));
    note_instance(self, connection);
    return true;
}

/*
 * Begin a transaction. Where the newest server process that is known answered last on this
 * connection, the first statement takes the beginning with it, and fails if another process answers
 * now; then the caller begins again with `checks`, which compares the servers first. The very first
 * transaction takes any process: it finds what later ones are compared with.
 */
static bool begin_on_same_server(ServerSource *self, ServerConnection *connection, bool checks,
                                 Error *error)
{
    if (self->identified && (checks || connection->instance[0] == '\0' ||
                             connection->instance_number < self->instance_count))
        return begin_and_check(self, connection, error);
    connection_begin_expecting(connection->connection,
                               self->identified ? connection->instance : "");
    return true;
}

Connection *server_connect(const char *conninfo, int retry_timeout_seconds, double seconds,
                           ConnectionRefusal *refusal, Error *error)
{
    Connection *connection =
        connection_open(conninfo, retry_timeout_seconds, seconds, refusal, error);
    const Version *version = connection != NULL ? server_version(connection) : NULL;
    char settings[256];

    if (version == NULL)
        return connection;
    /* Compiling a query (jit) takes longer than a listing. */
    snprintf(settings, sizeof(settings), "%s%s%s",
             version->sql.idle_timeout ? SETTING("idle_in_transaction_session_timeout", "0") : "",
             version->has_transaction_timeout ? SETTING("transaction_timeout", "0") : "",
             version->has_jit ? SETTING("jit", "off") : "");
    connection_begin_with(connection, settings, true);
    return connection;
}

/* Open the connection if it is closed, and begin. checks: see begin_on_same_server. */
static bool begin_on_connection(ServerSource *self, ServerConnection *connection, double seconds,
                                bool checks, Error *error)
{
    ConnectionRefusal refusal = REFUSAL_NONE;

    if (connection->connection == NULL)
    {
        connection->instance[0] = '\0';
        connection->connection =
            server_connect(self->conninfo, self->retry_timeout_seconds, seconds, &refusal, error);
        if (!self->identified)
            self->answers |= connection->connection != NULL || refusal != REFUSAL_NONE;
        if (connection->connection == NULL)
            return false;
        connection_limit_rate(connection->connection, self->source.rate);
        connection_count_round_trips(connection->connection, &self->source.round_trips);
    }
    return begin_on_same_server(self, connection, checks, error);
}

/* The state of trying again. */
typedef struct Retry
{
    double deadline; /* then the time is over; negative: nothing was lost yet */
    size_t progress; /* at the last loss */
    int pause;       /* milliseconds before the next connection */
    bool replaced;   /* one that had died before it was needed */
} Retry;

/* The seconds that one try to connect may take; 0: the first one, as long as the string says. */
static double seconds_for_try(const ServerSource *self, const Retry *retry)
{
    double seconds = RECONNECT_SECONDS;

    if (retry->deadline >= 0)
        seconds = retry->deadline - clock_seconds();
    else if (!self->identified)
        return 0;
    else if (self->retry_timeout_seconds > 0 && self->retry_timeout_seconds < RECONNECT_SECONDS)
        seconds = self->retry_timeout_seconds;
    return seconds > 1 ? seconds : 1;
}

/*
 * A connection that was closed while it was idle is replaced at once, even without a retry timeout:
 * an idle_session_timeout or a pooler has closed it.
 */
static bool replaces_idle(const ServerSource *self, const ServerConnection *connection,
                          Retry *retry, bool died_idle)
{
    const bool replaces = died_idle && !retry->replaced && retry->deadline < 0 &&
                          (self->retry_timeout_seconds == 0 ||
                           connection_silent_seconds(connection->connection) <= 0);

    retry->replaced = replaces;
    return replaces;
}

static void close_lost_connection(ServerConnection *connection)
{
    connection_close(connection->connection);
    connection->connection = NULL;
}

/* The connection is lost: close it, wait, and tell whether to try again: not when the time is over,
 * or a stop was requested. */
static bool retry_after_loss(const ServerSource *self, ServerConnection *connection, Retry *retry,
                             size_t progress, Error *error)
{
    double silent = 0, left;

    if (connection->connection != NULL)
        silent = connection_silent_seconds(connection->connection);
    close_lost_connection(connection);
    if (self->retry_timeout_seconds == 0 || !self->answers)
        return false;
    if (retry->deadline < 0 || progress > retry->progress)
    {
        log_warning("%s", error->message);
        log_detail("pg_rewind retries for %d second%s.", self->retry_timeout_seconds,
                   plural((uint64_t) self->retry_timeout_seconds));
        retry->deadline = clock_seconds() - silent + self->retry_timeout_seconds;
        retry->pause = 0;
    }
    retry->progress = progress;
    left = retry->deadline - clock_seconds();
    if (left <= 0 ||
        !stop_pause(left * 1000 < retry->pause ? (int) (left * 1000) : retry->pause, error))
        return false;
    retry->pause = retry->pause > 0 ? 2 * retry->pause : PAUSE_MILLISECONDS_MIN;
    if (retry->pause > PAUSE_MILLISECONDS_MAX)
        retry->pause = PAUSE_MILLISECONDS_MAX;
    return true;
}

static bool attempt_on(ServerSource *self, ServerConnection *connection, Attempt attempt,
                       void *context, AttemptProgress *progress, Error *error)
{
    Retry retry = {.deadline = -1};
    bool checks = false; /* another server process has answered than last time */

    for (;;)
    {
        const bool had_connection = connection->connection != NULL;
        const double seconds = seconds_for_try(self, &retry);
        bool ready = begin_on_connection(self, connection, seconds, checks, error);

        if (ready)
        {
            bool success;

            progress->replayed = LSN_INVALID;
            success = attempt(connection->connection, context, error);
            note_answers(self, connection, progress->replayed);
            ready = connection_is_begun(connection->connection);
            checks = connection_met_other(connection->connection);
            connection_end(connection->connection);
            if (success)
                return true;
            if (checks) /* what it answered was dropped */
                continue;
        }
        if (error->kind != ERROR_RETRY)
            return false;
        if (replaces_idle(self, connection, &retry, had_connection && !ready))
            close_lost_connection(connection);
        else if (!retry_after_loss(self, connection, &retry, progress->delivered, error))
            return false;
    }
}

bool server_attempt(ServerSource *self, int worker, Attempt attempt, void *context,
                    AttemptProgress *progress, Error *error)
{
    ServerConnection *connection = &self->connections[worker];
    AttemptProgress none = {0};
    Error own; /* its kind decides whether it is tried again */
    bool success;

    assert(worker >= 0 && worker < self->connection_count);
    if (error == NULL)
        error = &own;
    pthread_mutex_lock(&connection->lock);
    success =
        attempt_on(self, connection, attempt, context, progress != NULL ? progress : &none, error);
    pthread_mutex_unlock(&connection->lock);
    if (!success && error->kind == ERROR_RETRY && self->retry_timeout_seconds > 0)
        error_detail(error, "pg_rewind retried the connection for %d second%s.",
                     self->retry_timeout_seconds, plural((uint64_t) self->retry_timeout_seconds));
    return success;
}

/* server_ask's question. */
typedef struct RowQuery
{
    Arena *arena;
    const Query *query;
    char **values;
} RowQuery;

static bool ask_once(Connection *connection, void *context, Error *error)
{
    const RowQuery *row = context;
    Query query = *row->query;

    query.ends = true;
    return connection_row(connection, row->arena, &query, row->values, error) ||
           server_lacked_file(connection, error);
}

bool server_ask(Source *source, Arena *arena, const Query *query, char **values, Error *error)
{
    RowQuery row = {arena, query, values};

    return server_attempt((ServerSource *) source, 0, ask_once, &row, NULL, error);
}

/* Its redo position never goes back on the same server. */
bool server_read_control(Source *source, Control *control, Error *error)
{
    ServerSource *self = (ServerSource *) source;

    if (!server_attempt(self, 0, read_control_once, control, NULL, error))
        return false;
    raise_to(&self->redo_seen, control->checkpoint.redo);
    return true;
}

bool server_read_file(Source *source, const char *path, size_t limit, Buffer *buffer, bool *found,
                      Error *error)
{
    FileRead read = {.path = path, .limit = limit, .buffer = buffer};
    const bool success =
        server_attempt((ServerSource *) source, 0, read_file_once, &read, NULL, error);

    *found = read.found;
    return success;
}

/* ---- The first connection, and those of the workers ---- */

bool server_identify(ServerSource *self, Connection *connection, Error *error)
{
    if (!identify_server(connection, &self->identity, error))
        return false;
    memcpy(self->connections[0].instance, connection_instance(connection),
           CONNECTION_INSTANCE_SIZE);
    note_instance(self, &self->connections[0]);
    self->position_seen = self->identity.position;
    self->redo_seen = self->identity.redo;
    self->identified = true;
    return true;
}

bool server_connect_first(ServerSource *self, Attempt attempt, Error *error)
{
    AttemptProgress none = {0};

    return attempt_on(self, &self->connections[0], attempt, self, &none, error);
}

bool server_start_workers(Source *source, int jobs, int *granted, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    bool more = true;

    assert(jobs >= 1 && jobs <= SERVER_CONNECTIONS_MAX);
    while (more && self->connection_count < jobs)
    {
        ServerConnection *connection = &self->connections[self->connection_count];

        more = begin_on_connection(self, connection,
                                   seconds_for_try(self, &(Retry){.deadline = -1}), true, error);
        if (more)
        {
            connection_end(connection->connection);
            self->connection_count++;
            continue;
        }
        if (!stop_check(error))
            return false;
        /* Also one that leads to another server (a load balancer): nothing was read from it. */
        close_lost_connection(connection);
        log_debug("continuing with %d connection%s to the source server: %s",
                  self->connection_count, plural((uint64_t) self->connection_count),
                  error->message);
    }
    *granted = self->connection_count < jobs ? self->connection_count : jobs;
    return true;
}
