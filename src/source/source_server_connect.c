#include "source/source_server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAUSE_MILLISECONDS_MIN 100
#define PAUSE_MILLISECONDS_MAX 1000
#define RECONNECT_SECONDS 30

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

static const char *identity_query(Arena *arena, const ServerSql *names)
{
    const char *may_lack = server_may_lack(names);

    return arena_printf(arena, identity_sql, may_lack, may_lack, names->written_position);
}

bool server_identify(Connection *connection, ServerIdentity *identity, Error *error)
{
    const Version *version;
    Control *control = memory_allocate(sizeof(*control));
    Arena *arena = arena_create();
    char recovery[8];
    int position;
    char *text;
    bool success = false;

    if (server_version_known(connection, &version, error) &&
        server_read_control_once(connection, control, error) &&
        server_query_text(connection, arena, identity_query(arena, &version->sql), &text, error))
    {
        if (sscanf(text, "%7s %63s %n", recovery, identity->directory, &position) == 2)
        {
            TextCursor lsn = text_cursor(text + position);

            success = lsn_take(&lsn, &identity->position);
        }
        if (!success)
            error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
        else
        {
            identity->system_identifier = control->system_identifier;
            identity->timeline = control_timeline(control);
            identity->data_checksum_version = control->data_checksum_version;
            identity->wal_minimal = control->wal_level == WAL_LEVEL_MINIMAL;
            identity->in_recovery = recovery[0] == 't';
        }
    }
    arena_destroy(arena);
    free(control);
    return success;
}

Lsn server_position_seen(ServerSource *self)
{
    Lsn seen;

    pthread_mutex_lock(&self->lock);
    seen = self->position_seen;
    pthread_mutex_unlock(&self->lock);
    return seen;
}

bool server_check_position(ServerSource *self, Lsn seen, Lsn position, Error *error)
{
    if (position < seen)
    {
        error_set(error, ERROR_FAILED, "source server has lost WAL, or is another server");
        return error_detail(error, "Its WAL ends at %X/%X; earlier it ended at %X/%X.",
                            LSN_ARGS(position), LSN_ARGS(seen));
    }
    pthread_mutex_lock(&self->lock);
    if (position > self->position_seen)
        self->position_seen = position;
    pthread_mutex_unlock(&self->lock);
    return true;
}

/* A standby's pg_control says by and by on which timeline it has long been. */
static bool is_same_role(const ServerIdentity *expected, const ServerIdentity *found,
                         Timeline replayed)
{
    if (found->in_recovery != expected->in_recovery)
        return false;
    return found->timeline == expected->timeline ||
           (found->in_recovery && found->timeline > expected->timeline &&
            found->timeline <= replayed);
}

static bool compare_identities(const ServerIdentity *expected, const ServerIdentity *found,
                               Timeline replayed, Error *error)
{
    if (found->system_identifier != expected->system_identifier)
    {
        error_set(error, ERROR_FAILED, "new connection leads to a different system");
        return error_detail(error,
                            "Its system identifier is %" PRIu64 "; earlier it was %" PRIu64 ".",
                            found->system_identifier, expected->system_identifier);
    }
    if (!is_same_role(expected, found, replayed))
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
 * Is the server of this connection still the source? In the meantime it may have been restarted or
 * may have crashed. It must have the same data directory, history and role.
 *
 * Why a restart is harmless. What we read are files, never the server's buffers, so nothing that we
 * saw can be taken back by the end of a process. On a primary:
 *
 * - A page goes to disk only after the WAL of all that it holds was flushed. A crash does not take
 *   flushed WAL away, and recovery only appends to it (a record of which only a part was flushed is
 *   given up, but no page can hold its effect). So each page read before or after the restart is
 *   covered by the flush position that is read after the last byte, which the rewound target must
 *   pass (minRecoveryPoint).
 * - Its pages hold all from before the last checkpoint in pg_control; that only moves forward.
 * Where recovery of the target starts was decided by an earlier one. Checkpoints that shutdown and
 *   recovery make are records like others.
 * - The list of files may be older than the restart. What recovery or the end of the server removes
 *   without WAL is not copied: unlogged relations' main forks (reset to their init forks here as
 *   there), temporary relations and files, slots, statistics. All else that comes or goes is in the
 *   chain of WAL.
 * - Segments that were staged before stay right: on disk WAL is only appended to. That they and
 * what is fetched later fit together is proved before the commit, by reading the whole chain.
 *
 * A standby goes back: it starts again at its last restartpoint, and serves from minRecoveryPoint
 * on, before what it had replayed. Its pages on disk are as new as before, but never newer than
 * minRecoveryPoint in pg_control, which only grows and is read again at the end. What replay does
 * to directories at once, without minRecoveryPoint, is the exception: standby_position waits until
 * the WAL that was there is replayed again.
 *
 * What is not harmless is noticed here: another server at the same address, be it a copy with the
 * same system identifier on the same timeline (the modification times of two files of the
 * directory, which no program ever changes, differ in any copy); a promotion, or a primary that has
 * become a standby; a directory put back to an older state (its WAL ends earlier); checksums
 * switched while it was stopped, wal_level = minimal. full_page_writes is looked for in the chain.
 *
 * Not seen: a server with fsync = off whose machine loses power and which has, when we reach it
 * again, written more new WAL than it had lost. Such a cluster is broken itself.
 */
static bool check_same_server(ServerSource *self, Connection *connection, Error *error)
{
    const Lsn seen =
        server_position_seen(self); /* before: other workers may see a later one during the query */
    ServerIdentity found;
    Timeline replayed;

    pthread_mutex_lock(&self->lock);
    replayed = self->timeline_replayed;
    pthread_mutex_unlock(&self->lock);
    return server_identify(connection, &found, error) &&
           compare_identities(&self->identity, &found, replayed, error) &&
           (found.in_recovery || server_check_position(self, seen, found.position, error));
}

int server_longer_pause(int milliseconds)
{
    if (milliseconds == 0)
        return PAUSE_MILLISECONDS_MIN;
    return milliseconds < PAUSE_MILLISECONDS_MAX / 2 ? 2 * milliseconds : PAUSE_MILLISECONDS_MAX;
}

/* How long one attempt to connect may take while nothing is lost yet. */
static double reconnect_seconds(const ServerSource *self)
{
    return self->retry_timeout_seconds > 0 && self->retry_timeout_seconds < RECONNECT_SECONDS
               ? self->retry_timeout_seconds
               : RECONNECT_SECONDS;
}

/* Begin a transaction. If another server process answers than last time, check that it is the
 * source's. */
static bool begin_on_same_server(ServerSource *self, ServerConnection *connection, Error *error)
{
    char instance[CONNECTION_INSTANCE_SIZE];

    if (!connection_begin(connection->connection, instance, error))
        return false;
    if (strcmp(instance, connection->instance) == 0)
        return true;
    if (!check_same_server(self, connection->connection, error))
        return false;
    if (strcmp(instance, self->first_instance) != 0)
        self->restarted = true;
    memcpy(connection->instance, instance, sizeof(instance));
    return true;
}

Connection *server_connect(const ServerSource *self, double seconds, ConnectionRefusal *refusal,
                           Error *error)
{
    Connection *connection =
        connection_open(self->conninfo, self->retry_timeout_seconds, seconds, refusal, error);
    const Version *version;
    char settings[CONNECTION_SETTINGS_SIZE];

    if (connection == NULL)
        return NULL;
    connection_limit_rate(connection, self->source.rate);
    version = server_version(connection);
    if (version != NULL)
    {
        server_begin_settings(version, settings);
        connection_begin_with(connection, settings);
    }
    return connection;
}

/* Open the connection if there is none, and begin. */
static bool begin_on_connection(ServerSource *self, ServerConnection *connection, double seconds,
                                Error *error)
{
    ConnectionRefusal refusal = REFUSAL_NONE;

    if (connection->connection == NULL)
    {
        connection->instance[0] = '\0';
        connection->connection = server_connect(self, seconds, &refusal, error);
        connection->too_many = refusal == REFUSAL_TOO_MANY;
        if (connection->connection == NULL)
            return false;
    }
    connection->alive = begin_on_same_server(self, connection, error);
    return connection->alive;
}

/* How losses are dealt with during one attempt. */
typedef struct Retry
{
    double deadline; /* then the time is over; negative: nothing was lost yet */
    size_t progress; /* at the last loss */
    int pause;       /* milliseconds before the next connection */
    bool replaced;   /* one that had died before it was needed */
} Retry;

/*
 * What was closed while nothing was asked of it is replaced at once, even if nothing is to be
 * retried: there is an idle_session_timeout, or a pooler that tidies up.
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
    connection->alive = false;
}

/* The connection is lost: close it, wait, and tell whether to try again. */
static bool retry_after_loss(const ServerSource *self, ServerConnection *connection, Retry *retry,
                             size_t progress, Error *error)
{
    double silent = 0;
    double left;

    if (connection->connection != NULL)
        silent = connection_silent_seconds(connection->connection);
    close_lost_connection(connection);
    if (self->retry_timeout_seconds == 0)
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
    if (left <= 0)
        return false;
    if (!stop_pause(left * 1000 < retry->pause ? (int) (left * 1000) : retry->pause, error))
        return false;
    retry->pause = server_longer_pause(retry->pause);
    return true;
}

/* Another connection that worked when it was used last, or -1. */
static int find_alive(ServerSource *self)
{
    for (int i = 0; i < self->connection_count; i++)
        if (self->connections[i].alive)
            return i;
    return -1;
}

/* *shares: there are too many connections to open it again, and another one works. */
static bool attempt_on(ServerSource *self, ServerConnection *connection, Attempt attempt,
                       void *context, const size_t *progress, bool *shares, Error *error)
{
    Retry retry = {.deadline = -1};

    *shares = false;
    for (;;)
    {
        const bool had_connection = connection->connection != NULL;
        const double seconds =
            retry.deadline < 0 ? reconnect_seconds(self) : retry.deadline - clock_seconds();
        bool success = false;
        bool ready = begin_on_connection(self, connection, seconds > 1 ? seconds : 1, error);

        if (ready)
        {
            success = attempt(connection->connection, context, error);
            connection_end(connection->connection);
        }
        if (success)
            return true;
        if (error->kind != ERROR_RETRY)
            return false;
        if (replaces_idle(self, connection, &retry, had_connection && !ready))
            close_lost_connection(connection);
        else
        {
            *shares = connection->too_many && find_alive(self) >= 0;
            if (*shares || !retry_after_loss(self, connection, &retry,
                                             progress != NULL ? *progress : 0, error))
                return false;
        }
    }
}

bool server_attempt(ServerSource *self, int worker, Attempt attempt, void *context,
                    const size_t *progress, Error *error)
{
    int chosen = worker;
    bool shares = true;
    Error own; /* its kind decides whether it is tried again */

    if (error == NULL)
        error = &own;
    assert(worker >= 0 && worker < self->connection_count);
    if (self->connections[worker].too_many && find_alive(self) >= 0)
        chosen = find_alive(self);
    while (shares)
    {
        ServerConnection *connection = &self->connections[chosen];
        bool success;

        pthread_mutex_lock(&connection->lock);
        success = attempt_on(self, connection, attempt, context, progress, &shares, error);
        pthread_mutex_unlock(&connection->lock);
        if (success || error->kind != ERROR_RETRY)
            return success;
        if (!shares)
            break;
        log_warning("continuing with fewer connections to the source server: %s", error->message);
        chosen = find_alive(self);
        if (chosen < 0)
            chosen = worker; /* the other was lost just now as well */
    }
    if (self->retry_timeout_seconds > 0)
        error_detail(error, "pg_rewind retried the connection for %d second%s.",
                     self->retry_timeout_seconds, plural((uint64_t) self->retry_timeout_seconds));
    return false;
}

/* One more connection; *granted false: there is none to be had now. */
static bool add_connection(ServerSource *self, bool *granted, Error *error)
{
    ServerConnection *connection = &self->connections[self->connection_count];

    *granted = begin_on_connection(self, connection, reconnect_seconds(self), error);
    if (*granted)
    {
        connection_end(connection->connection);
        self->connection_count++;
        return true;
    }
    /* One that leads to another server will do so again when a connection is lost. */
    if (!stop_check(error) || (connection->connection != NULL && error->kind != ERROR_RETRY))
        return false;
    connection_close(connection->connection);
    connection->connection = NULL;
    log_debug("continuing with %d connection%s to the source server: %s", self->connection_count,
              plural((uint64_t) self->connection_count), error->message);
    return true;
}

bool server_start_workers(Source *source, int jobs, int *granted, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    bool more = true;

    assert(jobs >= 1 && jobs <= SERVER_CONNECTIONS_MAX);
    while (more && self->connection_count < jobs)
        if (!add_connection(self, &more, error))
            return false;
    *granted = self->connection_count < jobs ? self->connection_count : jobs;
    return true;
}
