#include "io/connection.h"

#include "base/log.h"
#include "base/text_cursor.h"
#include "base/workers.h"

#include <assert.h>
#include <libpq-fe.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define COLUMNS_MAX 16
#define POLL_MILLISECONDS 200

/* Of DataRow messages, the type included. */
#define ROW_HEADER_SIZE 7
#define COLUMN_HEADER_SIZE 4

#define RECEIVE_BUFFER_MIN (16 * 1024)
#define RECEIVE_BUFFER_MAX (128 * 1024) /* the default of the system */

struct Connection
{
    PGconn *pg;
    int server_version; /* libpq drops it when the connection is lost */
    /*
     * Lost, or a query was left in the middle. The server is not asked to cancel that query: this
     * would take a new connection, and could block. The server ends the query at the next row, when
     * it finds the connection closed.
     */
    bool unusable;
    char sqlstate[6]; /* of the last statement, if it failed; else empty */
    const char *parameters[CONNECT_PARAMETERS_MAX + 1]; /* keywords of those that libpq got */
    int silence_milliseconds_max;                       /* longer ones count as lost */
    int silent_milliseconds; /* what we have waited since the last byte came */
    char begin_sql[1024];    /* see connection_begin */
    Rate *rate;              /* NULL: no limit */
};

/* The kind of error that the failed result is. Without a result or SQLSTATE: the connection is
 * gone. After FATAL it is as well: libpq may not have seen its end yet. */
static ErrorKind result_kind(const Connection *connection, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (severity == NULL)
        severity = PQresultErrorField(result, PG_DIAG_SEVERITY); /* poolers send only this */
    if (PQstatus(connection->pg) != CONNECTION_OK || sqlstate == NULL ||
        connect_is_passing(sqlstate) || (severity != NULL && strcmp(severity, "FATAL") == 0))
        return ERROR_RETRY;
    return ERROR_FAILED;
}

static void ignore_notice(void *argument, const PGresult *result)
{
    (void) argument;
    log_debug("%s", PQresultErrorMessage(result));
}

static bool error_lost(Connection *connection, Error *error)
{
    connection->unusable = true;
    return error_set(error, ERROR_RETRY, "connection to the source server was lost: %s",
                     PQerrorMessage(connection->pg));
}

/*
 * Wait a moment for the server to take or to send something. Silence is counted while we wait, not
 * by the clock: a process that was stopped for an hour has lost nothing.
 */
static bool wait_for_server(Connection *connection, Error *error)
{
    struct pollfd waited = {.fd = PQsocket(connection->pg), .events = POLLIN};
    const int left = connection->silence_milliseconds_max - connection->silent_milliseconds;
    const int milliseconds = left < POLL_MILLISECONDS ? left : POLL_MILLISECONDS;
    const int unsent = PQflush(connection->pg);
    int ready;

    if (unsent < 0)
        return error_lost(connection, error);
    if (unsent > 0)
        waited.events |= POLLOUT;
    if (!stop_check(error))
    {
        connection->unusable = true;
        return false;
    }
    ready = poll(&waited, 1, milliseconds);
    if (ready < 0)
        return true; /* a signal */
    if (ready > 0)
        connection->silent_milliseconds = 0;
    else
        connection->silent_milliseconds += milliseconds;
    /* The socket does not show what TLS has unpacked already: hence a second call. */
    if (!PQconsumeInput(connection->pg) ||
        (PQsslInUse(connection->pg) && !PQconsumeInput(connection->pg)))
        return error_lost(connection, error);
    if (connection->silent_milliseconds < connection->silence_milliseconds_max ||
        !PQisBusy(connection->pg))
        return true;
    connection->unusable = true;
    return error_set(error, ERROR_RETRY,
                     "connection to the source server was lost: no answer within %g s",
                     connection->silence_milliseconds_max / 1e3);
}

/* The bytes of a result on the wire, without those of descriptions and messages. */
static uint64_t result_bytes(const PGresult *result)
{
    const int columns = PQnfields(result);
    uint64_t bytes = 0;

    for (int row = 0; row < PQntuples(result); row++)
    {
        bytes += ROW_HEADER_SIZE + (uint64_t) columns * COLUMN_HEADER_SIZE;
        for (int column = 0; column < columns; column++)
            bytes += (uint64_t) PQgetlength(result, row, column);
    }
    return bytes;
}

/*
 * The next result of the query that was sent, NULL at its end. False if the connection is lost or a
 * stop was requested. Waits as the rate demands: nothing is read then, and when the buffers of both
 * systems are full the server waits as well. This time does not count towards the retry timeout:
 * only waits for the server do.
 */
static bool next_result(Connection *connection, PGresult **result, Error *error)
{
    connection->silent_milliseconds = 0;
    while (PQisBusy(connection->pg))
        if (!wait_for_server(connection, error))
            return false;
    *result = PQgetResult(connection->pg);
    if (connection->rate == NULL || *result == NULL ||
        rate_take(connection->rate, result_bytes(*result), error))
        return true;
    PQclear(*result);
    connection->unusable = true;
    return false;
}

/* place: "on" for a query that gives values, "in" for a command. */
static bool error_query(Connection *connection, const PGresult *result, const Query *query,
                        const char *place, Error *error)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorMessage(result);

    snprintf(connection->sqlstate, sizeof(connection->sqlstate), "%s",
             sqlstate != NULL ? sqlstate : "");
    if (query->failure != NULL)
        return error_set(error, result_kind(connection, result), "%s: %s", query->failure, message);
    return error_set(error, result_kind(connection, result),
                     "error running query (%s) %s source server: %s", query->sql, place, message);
}

static bool error_result_set(const char *sql, Error *error)
{
    error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    return error_detail(error, "The query was: %s", sql);
}

static bool is_usable(const Connection *connection, Error *error)
{
    if (connection->unusable)
        return error_set(error, ERROR_RETRY, "connection to the source server was lost");
    return true;
}

static bool error_not_sent(Connection *connection, Error *error)
{
    connection->unusable = true;
    return error_set(error, ERROR_RETRY, "could not send query: %s",
                     PQerrorMessage(connection->pg));
}

static bool in_pipeline(const Connection *connection)
{
    return PQpipelineStatus(connection->pg) != PQ_PIPELINE_OFF;
}

/* In a pipeline each statement has its own synchronization point: the server sends an answer as
 * soon as it has it. */
bool connection_send(Connection *connection, const Query *query, Error *error)
{
    int count = 0;

    while (query->parameters[count] != NULL)
        count++;
    connection->sqlstate[0] = '\0';
    if (!is_usable(connection, error))
        return false;
    if (!PQsendQueryParams(connection->pg, query->sql, count, NULL, query->parameters, NULL, NULL,
                           query->binary) ||
        (in_pipeline(connection) && !PQpipelineSync(connection->pg)))
        return error_not_sent(connection, error);
    return true;
}

/* Run statements without parameters, of which the last one's result is no error: *result is that,
 * the caller's to free; NULL: it is not wanted. name: for messages. */
static bool run_plain(Connection *connection, const char *sql, const char *name, PGresult **result,
                      Error *error)
{
    PGresult *last = NULL, *next;
    bool ok;

    if (!is_usable(connection, error))
        return false;
    if (!PQsendQuery(connection->pg, sql))
        return error_not_sent(connection, error);
    while ((ok = next_result(connection, &next, error)) && next != NULL)
    {
        PQclear(last);
        last = next;
    }
    if (ok && PQresultStatus(last) != PGRES_TUPLES_OK && PQresultStatus(last) != PGRES_COMMAND_OK)
    {
        ok = error_query(connection, last, &(Query){.sql = name}, "in", error);
        if (PQstatus(connection->pg) != CONNECTION_OK)
            connection->unusable = true;
    }
    if (ok && result != NULL)
        *result = last;
    else
        PQclear(last);
    return ok;
}

/*
 * Make the statements that begin each transaction. All is local to it: through a pooler the next
 * client gets this server connection as it was. The timeouts come first: they apply to what
 * follows.
 */
void connection_begin_with(Connection *connection, const char *settings)
{
    /* File names arrive as the bytes that they are. */
    const char *encoding = PQparameterStatus(connection->pg, "server_encoding");

    if (encoding == NULL || strchr(encoding, '\'') != NULL)
        encoding = "SQL_ASCII";
    snprintf(connection->begin_sql, sizeof(connection->begin_sql),
             "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY; "
             "SET LOCAL statement_timeout = 0; "
             "SET LOCAL lock_timeout = 0; "
             "SET LOCAL work_mem = '8MB'; " /* the names of a directory of 100,000 files */
             "SET LOCAL search_path = ''; "
             "SET LOCAL client_encoding = '%.60s'; "
             "%s"
             "SELECT pg_catalog.pg_is_in_recovery()::pg_catalog.text || ' ' || "
             "(pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()) * 1000000)"
             "::pg_catalog.int8::pg_catalog.text",
             encoding, settings);
}

bool connection_begin(Connection *connection, char instance[CONNECTION_INSTANCE_SIZE], Error *error)
{
    PGresult *result;
    bool ok;

    if (!run_plain(connection, connection->begin_sql, "BEGIN", &result, error))
        return false;
    ok = PQresultStatus(result) == PGRES_TUPLES_OK && PQnfields(result) == 1 &&
         PQntuples(result) == 1;
    if (!ok)
        error_result_set(connection->begin_sql, error);
    snprintf(instance, CONNECTION_INSTANCE_SIZE, "%s", ok ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return ok;
}

void connection_end(Connection *connection)
{
    /* Nothing was written, so there is nothing to commit. What is lost now is noticed next time. */
    if (!connection->unusable && !run_plain(connection, "ROLLBACK", "ROLLBACK", NULL, NULL))
        connection->unusable = true;
}

Connection *connection_open(const char *conninfo, int retry_timeout_seconds, double seconds,
                            ConnectionRefusal *refusal, Error *error)
{
    Connection *connection = memory_allocate_zeroed(1, sizeof(Connection));
    PGconn *pg = NULL;

    *refusal = REFUSAL_NONE;
    if (stop_check(error))
        pg = connect_to_server(conninfo, retry_timeout_seconds, seconds, connection->parameters,
                               refusal, error);
    if (pg == NULL)
    {
        free(connection);
        return NULL;
    }
    connection->pg = pg;
    connection->server_version = PQserverVersion(pg);
    connection->silence_milliseconds_max = connect_silence_milliseconds(retry_timeout_seconds);
    PQsetNoticeReceiver(pg, ignore_notice, NULL);
    PQsetnonblocking(pg, 1); /* sending may hang as well */
    connection_begin_with(connection, "");
    return connection;
}

/*
 * The system receives into its buffer while we wait, and we have not counted these bytes. So the
 * buffer is small if the rate is low. A socket of this machine (AF_UNIX) has no such buffer.
 */
void connection_limit_rate(Connection *connection, Rate *rate)
{
    const uint64_t share = rate_limit(rate) / 16;
    const int size = share < RECEIVE_BUFFER_MIN ? RECEIVE_BUFFER_MIN : (int) share;

    connection->rate = rate;
    if (rate != NULL && share < RECEIVE_BUFFER_MAX)
        (void) setsockopt(PQsocket(connection->pg), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

void connection_close(Connection *connection)
{
    if (connection == NULL)
        return;
    PQfinish(connection->pg);
    free(connection);
}

double connection_silent_seconds(const Connection *connection)
{
    return connection->silent_milliseconds / 1e3;
}

ConnectionServer connection_server(const Connection *connection)
{
    PGconn *pg = connection->pg;

    return (ConnectionServer){.version = connection->server_version,
                              .host = PQhost(pg),
                              .address = PQhostaddr(pg),
                              .port = PQport(pg),
                              .database = PQdb(pg),
                              .password = PQconnectionUsedPassword(pg) ? PQpass(pg) : NULL};
}

bool connection_command(Connection *connection, const char *sql, Error *error)
{
    const int silence_milliseconds_max = connection->silence_milliseconds_max;
    bool ok;

    connection->silence_milliseconds_max = INT_MAX;
    ok = run_plain(connection, sql, sql, NULL, error);
    connection->silence_milliseconds_max = silence_milliseconds_max;
    return ok;
}

/* Hand over the rows of one result, one in single-row mode. */
static bool deliver_rows(const PGresult *result, const Query *query, ConnectionRow row,
                         void *context, Error *error)
{
    ConnectionValue values[COLUMNS_MAX];
    const int column_count = query->column_count;

    if (PQnfields(result) != column_count)
        return error_result_set(query->sql, error);
    for (int column = 0; column < column_count; column++)
        if (PQfformat(result, column) != (query->binary ? 1 : 0))
            return error_set(error, ERROR_FAILED, "unexpected result format from query");
    for (int number = 0; number < PQntuples(result); number++)
    {
        for (int column = 0; column < column_count; column++)
        {
            const bool is_null = PQgetisnull(result, number, column);

            values[column].bytes = is_null ? NULL : PQgetvalue(result, number, column);
            values[column].size = is_null ? 0 : (size_t) PQgetlength(result, number, column);
        }
        if (!row(context, values, error))
            return false;
    }
    return true;
}

/* The end of an answer in a pipeline. */
static bool take_synchronization_point(Connection *connection, Error *error)
{
    PGresult *result;
    ExecStatusType status;

    if (!next_result(connection, &result, error))
        return false;
    status = PQresultStatus(result);
    PQclear(result);
    return status == PGRES_PIPELINE_SYNC || error_lost(connection, error);
}

bool connection_receive(Connection *connection, const Query *query, ConnectionRow row,
                        void *context, Error *error)
{
    assert(query->column_count > 0 && query->column_count <= COLUMNS_MAX);
    if (!PQsetSingleRowMode(connection->pg))
    {
        connection->unusable = true;
        return error_set(error, ERROR_FAILED, "could not set libpq connection to single row mode");
    }
    for (;;)
    {
        PGresult *result;
        bool ok;

        if (!next_result(connection, &result, error))
            return false;
        if (result == NULL)
            return !in_pipeline(connection) || take_synchronization_point(connection, error);
        if (PQresultStatus(result) != PGRES_SINGLE_TUPLE &&
            PQresultStatus(result) != PGRES_TUPLES_OK)
        {
            error_query(connection, result, query, "on", error);
            PQclear(result);
            /* Outside of a pipeline the connection can be used for the next one. */
            while (!in_pipeline(connection) && next_result(connection, &result, NULL) &&
                   result != NULL)
                PQclear(result);
            if (in_pipeline(connection) || PQstatus(connection->pg) != CONNECTION_OK)
                connection->unusable = true;
            return false;
        }
        ok = deliver_rows(result, query, row, context, error);
        PQclear(result);
        if (!ok)
        {
            connection->unusable = true;
            return false;
        }
    }
}

bool connection_rows(Connection *connection, const Query *query, ConnectionRow row, void *context,
                     Error *error)
{
    return connection_send(connection, query, error) &&
           connection_receive(connection, query, row, context, error);
}

typedef struct RowCopy
{
    Arena *arena;
    const Query *query;
    char **values;
    bool taken;
} RowCopy;

static bool copy_row(void *context, const ConnectionValue *columns, Error *error)
{
    RowCopy *copy = context;

    if (copy->taken)
        return error_result_set(copy->query->sql, error);
    copy->taken = true;
    for (int i = 0; i < copy->query->column_count; i++)
        if (columns[i].bytes != NULL)
            copy->values[i] = arena_strdup(copy->arena, columns[i].bytes);
    return true;
}

bool connection_row(Connection *connection, Arena *arena, const Query *query, char **values,
                    Error *error)
{
    RowCopy copy = {.arena = arena, .query = query, .values = values};

    for (int i = 0; i < query->column_count; i++)
        values[i] = NULL;
    return connection_rows(connection, query, copy_row, &copy, error);
}

bool connection_back_to_savepoint(Connection *connection, const char *sqlstate, Error *error)
{
    return strcmp(connection->sqlstate, sqlstate) == 0 &&
           run_plain(connection, "ROLLBACK TO SAVEPOINT " CONNECTION_SAVEPOINT,
                     "ROLLBACK TO SAVEPOINT", NULL, error);
}

bool connection_pipeline_begin(Connection *connection, Error *error)
{
    if (!is_usable(connection, error))
        return false;
    if (!PQenterPipelineMode(connection->pg))
        return error_not_sent(connection, error);
    return true;
}

bool connection_pipeline_end(Connection *connection, Error *error)
{
    if (!PQexitPipelineMode(connection->pg))
        return error_lost(connection, error);
    return true;
}

/* The literal is closed after each element. */
static void array_reopen(Buffer *literal)
{
    if (literal->size == 0)
        buffer_append_u8(literal, '{');
    else
        literal->bytes[literal->size - 1] = ',';
}

void array_append(Buffer *literal, const char *value)
{
    array_reopen(literal);
    buffer_append_u8(literal, '"');
    buffer_append_escaped(literal, value, strlen(value), "\"\\", '\\');
    buffer_append_string(literal, "\"}");
}

void array_append_int(Buffer *literal, int64_t value)
{
    array_reopen(literal);
    buffer_printf(literal, "%lld}", (long long) value);
}

const char *array_literal(Buffer *literal)
{
    return literal->size > 0 ? buffer_string(literal) : "{}";
}

void connection_options(Connection *connection, ConnectionOption visit, void *context)
{
    PQconninfoOption *options = PQconninfo(connection->pg);

    if (options == NULL)
        out_of_memory();
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (option->val != NULL && option->val[0] != '\0' &&
            strcmp(option->keyword, "replication") != 0 && strcmp(option->keyword, "dbname") != 0 &&
            strcmp(option->keyword, "fallback_application_name") != 0 &&
            (option->compiled == NULL || strcmp(option->val, option->compiled) != 0) &&
            !is_among(option->keyword, connection->parameters))
            visit(context, option->keyword, option->val);
    PQconninfoFree(options);
}

/* The database name is for the password file only: the server's own walreceiver gives it. */
bool connection_try_replication(const char *conninfo, double seconds, uint64_t *system_identifier,
                                Error *error)
{
    static const char sql[] = "IDENTIFY_SYSTEM";
    ConnectionRefusal refusal;
    AUTO_BUFFER Buffer text = {0};
    Connection *connection;
    PGresult *result;
    bool ok;

    buffer_printf(&text, "%s replication=true dbname=replication", conninfo);
    connection =
        connection_open(buffer_string(&text), (int) (4 * seconds), seconds, &refusal, error);
    if (connection == NULL)
        return false;
    ok = run_plain(connection, sql, sql, &result, error);
    if (ok)
    {
        TextCursor digits = text_cursor(PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : "");

        ok = text_take_u64(&digits, system_identifier);
        if (!ok)
            error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
        PQclear(result);
    }
    connection_close(connection);
    return ok;
}
