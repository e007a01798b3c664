#include "source/server.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/history.h"
#include "format/wal_summary.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PAUSE_MILLISECONDS_MIN 100
#define PAUSE_MILLISECONDS_MAX 1000
#define RECONNECT_SECONDS 30
#define SEEN_SECONDS 10 /* an answer that no caller has asked for yet is current for so long */
#define CONFIG_SIZE_MAX (1024 * 1024)  /* bytes of each of config_files that are read at once */
#define CONFIG_FIRST "postgresql.conf" /* the file of config_files that callers ask for first */

/* Bytes to fetch or compare for which another connection is worth its making: these, and those
 * that the first one receives until the other is as fast, at the bytes per second of a good line.
 * To check its server, and TCP's slow start, take nine times as long as to connect. */
#define CONNECTION_WORTH_BYTES (1024 * 1024)
#define CONNECTION_BYTES_PER_SECOND (10 * 25 * 1000 * 1000)

/* SQL text of one setting for connection_begin_with. */
#define SETTING(name, value) ", pg_catalog.set_config('" name "', '" value "', true)"

/* ---- Versions and single files ---- */

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

const char *server_missing_ok_argument(const ServerSql *names)
{
    return names->missing_ok ? ", true" : "";
}

bool server_lacked_file(const Connection *connection)
{
    return !server_version(connection)->sql.missing_ok &&
           connection_failed_with(connection, NO_SUCH_FILE);
}

/* A whole file that is read into a buffer. */
typedef struct FileRead
{
    const char *path;
    size_t limit; /* bytes; a larger file is an error */
    Buffer *buffer;
    bool found;
    bool alone; /* the transaction has no other statement */
} FileRead;

/* A ConnectionRow: append the file's bytes to the buffer. */
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

/* An Attempt: read the whole file. */
static bool read_file_once(Connection *connection, void *context, Error *error)
{
    FileRead *read = context;
    const size_t size_before = read->buffer->size;
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {
        .sql = arena_printf(arena,
                            "SELECT pg_catalog.pg_read_binary_file($1::text, 0::int8, $2::int8%s)",
                            server_missing_ok_argument(&server_version(connection)->sql)),
        .failure =
            arena_printf(arena, "could not fetch remote file \"%s\"", read->path), /* contract */
        .parameters = {read->path, arena_printf(arena, "%zu", read->limit + 1)},
        .column_count = 1,
        .binary = true,
        .ends = read->alone};

    read->found = false;
    if (connection_rows(connection, &query, take_file, read, error))
        return true;
    read->found = false;
    read->buffer->size = size_before;
    return server_lacked_file(connection);
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

/* An Attempt whose context is the Control to fill. */
static bool read_control_once(Connection *connection, void *context, Error *error)
{
    /* PG_VERSION need not be read: at its start the server has compared it with its own version
     * (ValidatePgVersion). */
    const ControlFile file = {.name = CONTROL_PATH, .pg_version = server_version(connection)->name};

    return source_control_read(read_control_bytes, connection, file, context, error);
}

/* ---- Replay position of a standby ---- */

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

/* SQL for one text: whether the server is in recovery, the identification of the data directory
 * (see ServerIdentity), flush position. "%s": server_missing_ok_argument, the arguments for the
 * file of template1, and the position's function.
 */
static const char identity_column[] =
    "pg_catalog.pg_is_in_recovery()::pg_catalog.text || ' ' ||\n"
    "  coalesce(pg_catalog.date_part('epoch', (pg_catalog.pg_stat_file('PG_VERSION'%s)).change)\n"
    "    ::pg_catalog.int8::pg_catalog.text, '-') || '/' ||\n"
    "  coalesce(pg_catalog.date_part('epoch',\n"
    "    (pg_catalog.pg_stat_file(%s)).change)\n"
    "    ::pg_catalog.int8::pg_catalog.text, '-') ||\n"
    "  ' ' || CASE WHEN pg_catalog.pg_is_in_recovery() THEN '0/0'\n"
    "    ELSE pg_catalog.%s()::pg_catalog.text END";

/* template1 has its first OID, 1, and lies in base, unless it was dropped and created again, or
 * moved. */
#define TEMPLATE_FILE "'base/1/PG_VERSION'"

/* SQL for the path of that file where pg_stat_file takes no missing file: NULL if it is missing. */
static const char template_file_if_there[] =
    "(SELECT " TEMPLATE_FILE "::pg_catalog.text\n"
    "      FROM pg_catalog.pg_ls_dir('base') AS name WHERE name = '1')";

/*
 * SQL for the position. A primary: its flush position, and the timeline in the name of the segment
 * there. A standby: the positions received and replayed. Columns of the other kind are NULL.
 */
static const char position_columns[] =
    "CASE WHEN NOT standby THEN (SELECT lsn::pg_catalog.text || ' ' ||\n"
    "    pg_catalog.substr(pg_catalog.%s(lsn), 1, 8) FROM pg_catalog.%s() AS lsn) END,\n"
    "  CASE WHEN standby THEN pg_catalog.%s()::pg_catalog.text END,\n"
    "  CASE WHEN standby THEN pg_catalog.%s()::pg_catalog.text END";

/*
 * SQL: a process holds the lock on a database under which its directories are removed. DROP
 * DATABASE and SET TABLESPACE take the lock, and so does their replay on a standby (dbase_redo).
 *
 * Processes that hold the lock and remove nothing are left out. RENAME takes the lock as well, and
 * is the only one that can hold it in a prepared transaction (without a process) or an idle one. A
 * session that waits for a synchronous standby (SyncRep) has flushed its commit, so its removals
 * are in the WAL. One that waits for all processes to close their files (ProcSignalBarrier, 15 and
 * later) or for a checkpoint (13 and later), or that copies the files to the new tablespace, has
 * removed nothing yet: dropdb and movedb do these first (commands/dbcommands.c).
 *
 * The wait events are visible in 10 and later; before 9.6 there is no column wait_event. For a role
 * that may not see other sessions' activity every holder of the lock counts.
 *
 * The functions are those of the views pg_locks and pg_stat_activity, which may be closed to the
 * role. (Rule O16.)
 *
 * "%s": sessions_that_remove_nothing, or "".
 */
static const char removes_column[] =
    "EXISTS (SELECT 1 FROM pg_catalog.pg_lock_status() AS held WHERE locktype = 'object' "
    "AND classid = 'pg_catalog.pg_database'::pg_catalog.regclass "
    "AND mode = 'AccessExclusiveLock' AND granted AND pid IS NOT NULL%s)";
static const char sessions_that_remove_nothing[] =
    " AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_get_activity(NULL) AS session "
    "WHERE session.pid = held.pid AND (state LIKE 'idle in transaction%' "
    "OR pg_catalog.row_to_json(session)->>'wait_event' IN ('SyncRep', 'ProcSignalBarrier', "
    "'CheckpointStart', 'CheckpointDone', 'CopyFileRead', 'CopyFileWrite', 'CopyFileCopy')))";

/* Order of the looks: the FROM clause is evaluated before the columns, and these from the left. */
Query server_state_query(const Version *version, RemovalQuestion removal, Arena *arena)
{
    const ServerSql *names = &version->sql;
    const char *may_lack = server_missing_ok_argument(names);
    const char *identity =
        arena_printf(arena, identity_column, may_lack,
                     names->missing_ok ? TEMPLATE_FILE ", true" : template_file_if_there,
                     names->flushed_position);
    const char *position =
        arena_printf(arena, position_columns, names->segment_name, names->flushed_position,
                     names->received_position, names->replayed_position);
    const char *sessions = removal == REMOVAL_BY_SESSIONS ? sessions_that_remove_nothing : "";

    return (Query){
        .sql = arena_printf(
            arena,
            "SELECT pg_catalog.pg_read_binary_file('" CONTROL_PATH "', 0::pg_catalog.int8, "
            "%d::pg_catalog.int8%s),\n  %s,\n  %s,\n  removes::pg_catalog.text\n"
            "FROM (SELECT %s AS removes, pg_catalog.pg_is_in_recovery() AS standby OFFSET 0) AS "
            "role",
            CONTROL_READ_MAX + 1, may_lack, identity, position,
            removal == REMOVAL_UNASKED ? "false" : arena_printf(arena, removes_column, sessions)),
        .failure = "could not fetch remote file \"" CONTROL_PATH "\"", /* contract */
        .column_count = 6,
        .binary = true};
}

/* A ConnectionRow: take the server's state. */
static bool take_state_row(void *context, const ConnectionValue *columns, Error *error)
{
    const StateRead *read = context;
    ServerState *state = read->state;

    if (state->identity != NULL || columns[1].bytes == NULL || columns[5].bytes == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    if (columns[0].bytes == NULL)
        return error_set(error, ERROR_FAILED,
                         "could not fetch remote file \"%s\": file does not exist", CONTROL_PATH);
    if (columns[0].size > CONTROL_READ_MAX)
        return error_set(error, ERROR_FAILED, "remote file \"%s\" is larger than %d bytes",
                         CONTROL_PATH, CONTROL_READ_MAX);
    buffer_append(&state->control, columns[0].bytes, columns[0].size);
    state->identity = arena_strdup(read->arena, columns[1].bytes);
    for (int i = 0; i < 3; i++)
        state->position[i] =
            columns[2 + i].bytes != NULL ? arena_strdup(read->arena, columns[2 + i].bytes) : NULL;
    state->removes = columns[5].bytes[0] == 't';
    return true;
}

bool server_receive_state(StateRead *read, Error *error)
{
    read->state->identity = NULL;
    buffer_clear(&read->state->control);
    read->is_received = true;
    return connection_receive(read->connection, read->query, take_state_row, read, error) &&
           (read->state->identity != NULL ||
            error_set(error, ERROR_FAILED, "unexpected result set from query")); /* contract */
}

/* A SourceControlRead: read the state, and append pg_control's bytes. */
static bool read_state_bytes(void *context, Buffer *buffer, Error *error)
{
    StateRead *read = context;

    if (!read->is_received && (!connection_send(read->connection, read->query, error) ||
                               !server_receive_state(read, error)))
        return false;
    read->is_received = false;
    buffer_append(buffer, read->state->control.bytes, read->state->control.size);
    return true;
}

bool server_read_state(StateRead *read, Control *control, Error *error)
{
    /* PG_VERSION need not be read: at its start the server has compared it with its own version
     * (ValidatePgVersion). */
    const ControlFile file = {.name = CONTROL_PATH,
                              .pg_version = server_version(read->connection)->name};

    return source_control_read(read_state_bytes, read, file, control, error);
}

/* Fill the identity from the server's state and its pg_control. */
static bool take_identity(const ServerState *state, const Control *control,
                          ServerIdentity *identity, Error *error)
{
    char recovery[8];
    int position;
    TextCursor lsn;

    if (sscanf(state->identity, "%7s %63s %n", recovery, identity->directory, &position) != 2)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    lsn = text_cursor(state->identity + position);
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

/* Ask the connection's server for its identity. */
static bool identify_server(Connection *connection, ServerIdentity *identity, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    Control *control = arena_allocate(arena, sizeof(*control));
    const Version *version = server_version_known(connection, error);
    ServerState state = {0};
    Query query;
    bool ok;

    if (version == NULL)
        return false;
    query = server_state_query(version, REMOVAL_UNASKED, arena);
    ok = server_read_state(
             &(StateRead){
                 .connection = connection, .query = &query, .arena = arena, .state = &state},
             control, error) &&
         take_identity(&state, control, identity, error);
    buffer_free(&state.control);
    return ok;
}

/* Raise *highest to lsn, unless it is higher; other workers may raise it at the same time. */
static void raise_to(_Atomic Lsn *highest, Lsn lsn)
{
    Lsn seen = *highest;

    while (lsn > seen && !atomic_compare_exchange_weak(highest, &seen, lsn))
        ; /* another worker has changed *highest: `seen` is now the new value */
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

/* Check that `found` can be the server `expected`. replayed: timeline that a standby is known to
 * have followed, or 0. */
static bool compare_identities(const ServerIdentity *expected, const ServerIdentity *found,
                               Timeline replayed, Error *error)
{
    /* A standby may have followed a timeline before its pg_control shows that timeline. */
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
 * Check that the server of this connection is still the source. A restart or a crash in the
 * meantime does no harm, but data directory, history and role (primary or standby) must be the
 * same: design/correctness.md, "The source is still the same". (Rule C52.)
 */
static bool check_same_server(ServerSource *self, Connection *connection, Error *error)
{
    /* Read these before the query: during it other workers may raise them past its answer. */
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
    /* A redo position that went back is another server's, such as a second standby's: its pages may
     * be older than recovery from the chosen start needs. */
    error_set(error, ERROR_FAILED, "new connection leads to another server");
    return error_detail(error, "Its last checkpoint begins at %X/%X; earlier it began at %X/%X.",
                        LSN_ARGS(found.redo), LSN_ARGS(redo));
}

/* ---- Connecting and retrying ---- */

/* Note the number of the server process of this connection. A new process becomes the newest one.
 */
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

/* Note the replay position of an answer, for the newest server process or for former ones. */
static void note_answers(ServerSource *self, const ServerConnection *connection, Lsn replayed)
{
    pthread_mutex_lock(&self->instance_lock);
    if (connection->instance_number < self->instance_count)
        raise_to(&self->former_replayed, replayed);
    else if (replayed > self->newest_replayed)
        self->newest_replayed = replayed;
    pthread_mutex_unlock(&self->instance_lock);
}

/* Begin a transaction and wait for the answer. If it is from another server process than last time,
 * check that this process is the source's. */
static bool begin_and_check(ServerSource *self, ServerConnection *connection, Error *error)
{
    /* Read the count before the query: during it other workers may meet a newer process. */
    const int count = self->instance_count;
    char instance[CONNECTION_INSTANCE_SIZE];

    if (!connection_begin(connection->connection, instance, error))
        return false;
    if (strcmp(instance, connection->instance) == 0)
    {
        if (connection->instance_number >= count)
            return true;
        /* The process from before a restart cannot answer again. If it does, two servers, perhaps
         * copies of one, answer in turn at this address. */
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
 * Begin a transaction. To save a round trip, BEGIN is sent together with the first statement if the
 * last answer on this connection was from the newest known server process. If another process
 * answers now, that statement fails, and the caller begins again with `checks`, which first checks
 * that it is the same server. The very first transaction accepts any process: the identity found in
 * it is the one that later ones are compared with.
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
    /* jit is off since compiling a query would take longer than a listing. */
    snprintf(settings, sizeof(settings), "%s%s%s",
             version->sql.idle_timeout ? SETTING("idle_in_transaction_session_timeout", "0") : "",
             version->has_transaction_timeout ? SETTING("transaction_timeout", "0") : "",
             version->has_jit ? SETTING("jit", "off") : "");
    connection_begin_with(connection, settings);
    return connection;
}

/* Open the connection unless it is open, and begin a transaction. checks: see begin_on_same_server.
 */
static bool begin_on_connection(ServerSource *self, ServerConnection *connection, double seconds,
                                bool checks, Error *error)
{
    ConnectionRefusal refusal = REFUSAL_NONE;

    if (connection->connection == NULL)
    {
        const double begin = clock_seconds();

        connection->instance[0] = '\0';
        connection->connection =
            server_connect(self->conninfo, self->retry_timeout_seconds, seconds, &refusal, error);
        if (!self->identified)
        {
            self->connect_seconds = clock_seconds() - begin;
            self->answers |= connection->connection != NULL || refusal != REFUSAL_NONE;
        }
        if (connection->connection == NULL)
            return false;
        connection_limit_rate(connection->connection, self->source.rate);
        connection_count_round_trips(connection->connection, &self->source.round_trips);
    }
    return begin_on_same_server(self, connection, checks, error);
}

/* State of the retries of one attempt. */
typedef struct Retry
{
    double
        deadline; /* time of clock_seconds when the retry timeout is over; negative: no loss yet */
    size_t progress; /* AttemptProgress.delivered at the last loss */
    int pause;       /* milliseconds before the next try to connect */
    bool replaced;   /* a connection that was found closed was just replaced */
} Retry;

/* Returns the seconds that a try to connect may take; 0 for the very first one, which only the
 * connection string's connect_timeout limits. */
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
 * True if the connection was found closed when it was needed, and may be replaced at once, even
 * without a retry timeout: idle_session_timeout or a pooler has probably closed it. Not twice in
 * succession.
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

/* Close a lost connection, and pause before the next try. False if the retry timeout is over or a
 * stop was requested. */
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

void server_ask_along(ServerSource *self, const AlongQuery *along)
{
    pthread_mutex_lock(&self->connections[0].lock);
    if (self->along_count < ALONG_MAX)
        self->along[self->along_count++] = *along;
    pthread_mutex_unlock(&self->connections[0].lock);
}

void server_withdraw_along(ServerSource *self, const void *context)
{
    int kept = 0;

    pthread_mutex_lock(&self->connections[0].lock);
    for (int i = 0; i < self->along_count; i++)
        if (self->along[i].context != context)
            self->along[kept++] = self->along[i];
    self->along_count = kept;
    pthread_mutex_unlock(&self->connections[0].lock);
}

/* Let the transaction that has just begun on the connection take the questions along, if it is the
 * first connection; drop them if the beginning was answered already. */
static void take_along_questions(ServerSource *self, const ServerConnection *connection)
{
    if (connection != &self->connections[0])
        return;
    for (int i = 0; i < self->along_count && !connection_is_begun(connection->connection); i++)
        connection_ask_along(connection->connection, &self->along[i]);
    self->along_count = 0;
}

/* Make the attempt on this connection, and retry it: see server_attempt. */
static bool attempt_on(ServerSource *self, ServerConnection *connection, Attempt attempt,
                       void *context, AttemptProgress *progress, Error *error)
{
    Retry retry = {.deadline = -1};
    bool checks = false; /* another server process than last time has answered */

    for (;;)
    {
        const bool had_connection = connection->connection != NULL;
        const double seconds = seconds_for_try(self, &retry);
        bool ready = begin_on_connection(self, connection, seconds, checks, error);

        if (ready)
        {
            bool success, left_out;

            take_along_questions(self, connection);
            progress->replayed = LSN_INVALID;
            success = attempt(connection->connection, context, error);
            note_answers(self, connection, progress->replayed);
            ready = connection_is_begun(connection->connection);
            checks = connection_met_other(connection->connection);
            left_out = connection_along_failed(connection->connection);
            connection_end(connection->connection);
            if (success)
                return true;
            /* Another process's answers were dropped, or those after a question that went along and
             * failed: begin again, with a check or without the question. */
            if (left_out)
                log_debug("asking again without what came along: %s", error->message);
            if (checks || left_out)
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

/*
 * Open a worker's connection, while other workers work. False if that is refused, or if another
 * server answers (a load balancer), of which nothing was used: then the worker shares the first
 * connection.
 */
static bool open_further(ServerSource *self, ServerConnection *connection)
{
    Error problem;

    if (self->refused)
        return false;
    connection->opened = begin_on_connection(
        self, connection, seconds_for_try(self, &(Retry){.deadline = -1}), true, &problem);
    if (connection->opened)
    {
        connection_end(connection->connection);
        return true;
    }
    close_lost_connection(connection);
    if (stop_check(NULL) && !atomic_exchange(&self->refused, true))
        log_debug("continuing with fewer connections to the source server: %s", problem.message);
    return false;
}

/* Returns the worker's connection, locked: its own, or the first one. */
static ServerConnection *lock_connection(ServerSource *self, int worker)
{
    ServerConnection *first = &self->connections[0], *connection = &self->connections[worker];

    assert(worker >= 0 && worker < self->connection_count);
    pthread_mutex_lock(&connection->lock);
    if (connection == first || connection->opened || open_further(self, connection))
        return connection;
    pthread_mutex_unlock(&connection->lock);
    pthread_mutex_lock(&first->lock);
    return first;
}

bool server_attempt(ServerSource *self, int worker, Attempt attempt, void *context,
                    AttemptProgress *progress, Error *error)
{
    ServerConnection *connection = lock_connection(self, worker);
    AttemptProgress none = {0};
    Error own; /* error of a caller without one: its kind decides whether to retry */
    bool success;

    if (error == NULL)
        error = &own;
    success =
        attempt_on(self, connection, attempt, context, progress != NULL ? progress : &none, error);
    pthread_mutex_unlock(&connection->lock);
    if (!success && error->kind == ERROR_RETRY && self->retry_timeout_seconds > 0)
        error_detail(error, "pg_rewind retried the connection for %d second%s.",
                     self->retry_timeout_seconds, plural((uint64_t) self->retry_timeout_seconds));
    return success;
}

/* The query of server_ask, and the place for its row. */
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
           server_lacked_file(connection);
}

bool server_ask(Source *source, Arena *arena, const Query *query, char **values, Error *error)
{
    RowQuery row = {arena, query, values};

    return server_attempt((ServerSource *) source, 0, ask_once, &row, NULL, error);
}

void server_note_redo(ServerSource *self, const Control *control)
{
    raise_to(&self->redo_seen, control->checkpoint.redo);
}

bool server_read_control(Source *source, Control *control, Error *error)
{
    ServerSource *self = (ServerSource *) source;

    if (self->has_opened_control)
    {
        self->has_opened_control = false;
        *control = self->opened_control;
        return true;
    }
    if (!server_attempt(self, 0, read_control_once, control, NULL, error))
        return false;
    server_note_redo(self, control);
    return true;
}

/* ---- Files and names ---- */

/* Query for paths that every run asks for: files whose content does not change while the server
 * runs
 * ($1, and a primary's history file), and names in directories ($2: WAL, summaries, directories
 * with keys of encrypted clusters). Columns: path, bytes, names. */
static const char seen_sql[] =
    "SELECT path, pg_catalog.pg_read_binary_file(path, 0::pg_catalog.int8, $3::pg_catalog.int8, "
    "true), NULL::pg_catalog.text\n"
    "FROM (SELECT pg_catalog.unnest($1::pg_catalog.text[]) AS path\n"
    "  UNION ALL SELECT CASE WHEN NOT pg_catalog.pg_is_in_recovery() THEN '%s/' ||\n"
    "    pg_catalog.substr(pg_catalog.%s(pg_catalog.%s()), 1, 8) || '.history' END) AS files\n"
    "UNION ALL SELECT path, NULL::pg_catalog.bytea,\n"
    "  CASE WHEN (pg_catalog.pg_stat_file(path, true)).isdir THEN\n"
    "    (SELECT pg_catalog.string_agg(name, '/') FROM pg_catalog.pg_ls_dir(path, true, false)\n"
    "     AS name) END\n"
    "FROM pg_catalog.unnest($2::pg_catalog.text[]) AS path";

Query server_seen_query(const Version *version, Arena *arena)
{
    AUTO_BUFFER Buffer files = {0}, directories = {0};
    const char *encrypted;

    array_append(&files, "postmaster.pid");
    array_append(&directories, version->wal_directory);
    if (version->has_wal_summaries)
        array_append(&directories, WAL_SUMMARY_DIRECTORY);
    for (size_t i = 0; (encrypted = encryption_directory(i)) != NULL; i++)
        array_append(&directories, encrypted);
    return (Query){.sql = arena_printf(arena, seen_sql, version->wal_directory,
                                       version->sql.segment_name, version->sql.flushed_position),
                   .parameters = {arena_strdup(arena, array_literal(&files)),
                                  arena_strdup(arena, array_literal(&directories)),
                                  arena_printf(arena, "%d", HISTORY_SIZE_MAX + 1)},
                   .column_count = 3,
                   .binary = true};
}

/* Returns the place of what is kept about the path; of a free place, if nothing is; SEEN_MAX: none
 * is free. */
static size_t place_of_seen(const SeenPath paths[SEEN_MAX], const char *path)
{
    size_t free_place = SEEN_MAX;

    for (size_t i = 0; i < SEEN_MAX; i++)
    {
        if (paths[i].path == NULL)
            free_place = i;
        else if (strcmp(paths[i].path, path) == 0)
            return i;
    }
    return free_place;
}

/* Keep what was read of the path; value->bytes is NULL if it is missing. */
static void keep_seen(const ServerSource *self, SeenPath paths[SEEN_MAX], const char *path,
                      const ConnectionValue *value)
{
    const size_t i = path != NULL ? place_of_seen(paths, path) : SEEN_MAX;
    char *bytes = NULL;

    if (i == SEEN_MAX)
        return;
    if (value->bytes != NULL)
    {
        bytes = arena_allocate(self->arena, value->size + 1);
        memcpy(bytes, value->bytes, value->size);
        bytes[value->size] = '\0';
    }
    paths[i] = (SeenPath){arena_strdup(self->arena, path), bytes, value->size, clock_seconds()};
}

/* A ConnectionRow: keep a file's bytes, or the names in a directory. */
static bool take_seen_path(void *context, const ConnectionValue *columns, Error *error)
{
    ServerSource *self = context;
    const bool is_file = columns[2].bytes == NULL && columns[1].bytes != NULL;

    (void) error;
    /* A missing file is kept among the names, since both columns are NULL. */
    keep_seen(self, is_file ? self->seen_files : self->seen_names, columns[0].bytes,
              &columns[is_file ? 1 : 2]);
    return true;
}

bool server_take_seen(ServerSource *self, Connection *connection, const Query *query, Error *error)
{
    return connection_receive(connection, query, take_seen_path, self, error);
}

/* Files of the configuration, which are read together, since a caller asks for all of them. */
#define SETTINGS_PATH "postgresql.auto.conf"
static const char *const config_files[] = {CONFIG_FIRST, SETTINGS_PATH, "pg_hba.conf",
                                           "pg_hosts.conf", "pg_ident.conf"};

/* Query for config_files: path, bytes, size. A file of size 0 is not read: it may be a fifo, whose
 * reading would not end. */
static const char config_sql[] =
    "SELECT path, CASE WHEN size > 0 THEN\n"
    "    pg_catalog.pg_read_binary_file(path, 0::pg_catalog.int8, $2::pg_catalog.int8, true) END,\n"
    "  size::pg_catalog.text\n"
    "FROM (SELECT path, (pg_catalog.pg_stat_file(path, true)).size\n"
    "  FROM pg_catalog.unnest($1::pg_catalog.text[]) AS path OFFSET 0) AS files";

Query server_config_query(bool all, Arena *arena)
{
    AUTO_BUFFER Buffer files = {0};

    for (size_t i = 0; all && i < sizeof(config_files) / sizeof(config_files[0]); i++)
        array_append(&files, config_files[i]);
    if (!all)
        array_append(&files, SETTINGS_PATH);
    return (Query){.sql = config_sql,
                   .parameters = {arena_strdup(arena, array_literal(&files)),
                                  arena_printf(arena, "%d", CONFIG_SIZE_MAX + 1)},
                   .column_count = 3,
                   .binary = true};
}

/* A ConnectionRow: keep the file's bytes, or that it is missing. What may be empty, or be cut at
 * the size that was asked for, is not kept: it is read alone when a caller asks for it. */
static bool take_config_file(void *context, const ConnectionValue *columns, Error *error)
{
    ServerSource *self = context;

    (void) error;
    if (columns[1].size <= CONFIG_SIZE_MAX &&
        (columns[1].bytes != NULL || columns[2].bytes == NULL))
        keep_seen(self, self->seen_files, columns[0].bytes, &columns[1]);
    return true;
}

bool server_take_config(ServerSource *self, Connection *connection, const Query *query,
                        Error *error)
{
    return connection_receive(connection, query, take_config_file, self, error);
}

void server_read_config_along(ServerSource *self, bool all, Arena *arena)
{
    const AlongQuery along = {
        .query = server_config_query(all, arena), .row = take_config_file, .context = self};

    if (self->version->sql.missing_ok)
        server_ask_along(self, &along);
}

/* An Attempt: read config_files, and keep them. */
static bool read_config_once(Connection *connection, void *context, Error *error)
{
    ServerSource *self = context;
    AUTO_ARENA Arena *arena = arena_create();
    Query query = server_config_query(true, arena);

    query.ends = true;
    return connection_send(connection, &query, error) &&
           server_take_config(self, connection, &query, error);
}

/* Takes out what was kept about the path; NULL if nothing was kept, or not recently. */
static const SeenPath *take_seen(SeenPath paths[SEEN_MAX], const char *path, SeenPath *taken)
{
    const size_t i = place_of_seen(paths, path);

    if (i == SEEN_MAX || paths[i].path == NULL)
        return NULL;
    *taken = paths[i];
    paths[i].path = NULL;
    return clock_seconds() - taken->at <= SEEN_SECONDS ? taken : NULL;
}

bool server_read_file(Source *source, const char *path, size_t limit, Buffer *buffer, bool *found,
                      Error *error)
{
    ServerSource *self = (ServerSource *) source;
    FileRead read = {.path = path, .limit = limit, .buffer = buffer, .alone = true};
    SeenPath taken;
    const SeenPath *seen;
    bool success;

    seen = take_seen(self->seen_files, path, &taken);
    if (seen == NULL && self->version->sql.missing_ok && strcmp(path, CONFIG_FIRST) == 0)
    {
        /* If one of the files cannot be read, the query fails, and each is read alone when asked
         * for. */
        if (!server_attempt(self, 0, read_config_once, self, NULL, error) &&
            error_worst_kind(error) == ERROR_RETRY)
            return false;
        seen = take_seen(self->seen_files, path, &taken);
    }
    if (seen != NULL)
    {
        const ConnectionValue value = {seen->bytes, seen->size};

        success = take_file(&read, &value, error);
    }
    else
        success = server_attempt(self, 0, read_file_once, &read, NULL, error);
    *found = read.found;
    return success;
}

bool server_names(Source *source, const char *directory, Arena *arena, const char ***names,
                  Error *error)
{
    ServerSource *self = (ServerSource *) source;
    const ServerSql *sql = &self->version->sql;
    const Query query = {
        .sql =
            arena_printf(arena,
                         "SELECT CASE WHEN (pg_catalog.pg_stat_file($1::text%s)).isdir THEN "
                         "(SELECT pg_catalog.string_agg(name, '/') "
                         "FROM pg_catalog.pg_ls_dir($1::text%s) AS name) END",
                         server_missing_ok_argument(sql), sql->missing_ok ? ", true, false" : ""),
        .parameters = {directory},
        .column_count = 1};
    SeenPath taken;
    const SeenPath *seen = take_seen(self->seen_names, directory, &taken);
    char *text; /* names separated by slashes, which no name can have */
    size_t count = 0;

    *names = arena_allocate(arena, sizeof(**names));
    if (seen != NULL)
        text = seen->bytes != NULL ? arena_strdup(arena, seen->bytes) : NULL;
    else if (!server_ask(source, arena, &query, &text, error))
        return false;
    /* Each byte may be a name: a server might answer with slashes alone. */
    *names = arena_allocate(arena, (text != NULL ? strlen(text) + 2 : 1) * sizeof(**names));
    while (text != NULL)
        (*names)[count++] = strsep(&text, "/");
    return true;
}

/* ---- The first connection, and the workers' connections ---- */

bool server_identify(ServerSource *self, Connection *connection, const ServerState *state,
                     const Control *control, Error *error)
{
    if (!take_identity(state, control, &self->identity, error))
        return false;
    self->opened_control = *control;
    memcpy(self->opened_position, state->position, sizeof(self->opened_position));
    self->has_opened_control = self->has_opened_position = true;
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

bool server_start_workers(Source *source, int jobs, uint64_t bytes, int *granted, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    const uint64_t worth =
        1 + bytes / (CONNECTION_WORTH_BYTES +
                     (uint64_t) (self->connect_seconds * CONNECTION_BYTES_PER_SECOND));

    (void) error;
    assert(jobs >= 1 && jobs <= SERVER_CONNECTIONS_MAX);
    *granted = worth < (uint64_t) jobs ? (int) worth : jobs;
    if (self->connection_count < *granted)
        self->connection_count = *granted;
    self->refused = false;
    return true;
}

void server_open_worker(Source *source, int worker)
{
    pthread_mutex_unlock(&lock_connection((ServerSource *) source, worker)->lock);
}
