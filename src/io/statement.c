#include "io/connection.h"

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

#define SAVEPOINT "pg_rewind"

/* Statement before each query: see send_in_transaction. */
#define GUARD_SQL "ROLLBACK TO SAVEPOINT " SAVEPOINT

/* Bytes of headers in a DataRow message; the row's header includes the message type. */
#define ROW_HEADER_SIZE 7
#define COLUMN_HEADER_SIZE 4

#define RECEIVE_BUFFER_MIN (16 * 1024)
#define RECEIVE_BUFFER_MAX (128 * 1024) /* the default of the system */

/* The progress of beginning a transaction. */
typedef enum Opening
{
    OPENING_NONE,    /* no transaction is open */
    OPENING_DUE,     /* BEGIN and the settings will be sent together with the next statement */
    OPENING_SENT,    /* BEGIN and the settings were sent; their answers come first */
    OPENING_ANSWERED /* the server has answered, and is the expected one */
} Opening;

struct Connection
{
    PGconn *pg;
    PQconninfoOption *set; /* options, with values where the connection string sets them itself */
    int server_version;    /* copy: libpq drops the version when the connection is lost */
    /*
     * The connection is lost, or a query was left in the middle. The server is not asked to cancel
     * such a query, which would need a new connection and could block. It stops the query at the
     * next row, when it finds the connection closed.
     */
    bool unusable;
    char sqlstate[6]; /* SQLSTATE of the last statement if it failed; otherwise empty */
    const char
        *parameters[CONNECT_PARAMETERS_MAX + 1]; /* keywords of the parameters given to libpq */
    int silence_milliseconds_max;  /* a longer silence of the server counts as a lost connection */
    int silent_milliseconds;       /* time waited for the server since its last byte */
    Rate *rate;                    /* limit of the rate; NULL: no limit */
    _Atomic uint64_t *round_trips; /* counter of the caller's; NULL: round trips are not counted */

    char settings_sql[2048]; /* second statement of each transaction, after BEGIN */
    Opening opening;
    char expected[CONNECTION_INSTANCE_SIZE]; /* the instance that must answer; empty: any */
    char instance[CONNECTION_INSTANCE_SIZE]; /* instance that answered last */
    bool met_other; /* another instance than the expected one has answered in this transaction */
    bool in_transaction; /* BEGIN was sent, and the transaction's end was not yet answered */
    bool ending;         /* the last statement that was sent also ends the transaction */
    bool rollback_sent;  /* ROLLBACK of the last transaction was sent; its answer comes before all
                            others, and is taken with them */
    int awaited;         /* number of statements that are not yet completely answered */

    /* Statements that the opening takes with it (connection_ask_along), and how far they are. */
    AlongQuery along[ALONG_MAX];
    int along_count;
    int along_sent;    /* number of them whose answers are still to come, after the opening's */
    bool along_failed; /* one of them has failed in this transaction */
};

/* Returns the kind of error for a failed result. The connection is lost without a result or
 * SQLSTATE, and after FATAL too, even if libpq has not yet noticed. */
static ErrorKind result_kind(const Connection *connection, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);

    if (severity == NULL)
        severity = PQresultErrorField(result, PG_DIAG_SEVERITY); /* poolers send only this field */
    if (PQstatus(connection->pg) != CONNECTION_OK || sqlstate == NULL ||
        connect_sqlstate_is_transient(sqlstate) ||
        (severity != NULL && strcmp(severity, "FATAL") == 0))
        return ERROR_RETRY;
    return ERROR_FAILED;
}

static bool error_lost(Connection *connection, Error *error)
{
    connection->unusable = true;
    return error_set(error, ERROR_RETRY, "connection to the source server was lost: %s",
                     PQerrorMessage(connection->pg));
}

/* Drop the notifications that have arrived: libpq collects them, and a peer may send them without
 * end. (Rule T11.) */
static void drop_notifications(PGconn *pg)
{
    PGnotify *notification;

    while ((notification = PQnotifies(pg)) != NULL)
        PQfreemem(notification);
}

/*
 * Wait for a short time until the server accepts or sends bytes. The server's silence is counted by
 * the waits, not by the clock: otherwise the connection would count as lost after this process was
 * suspended for an hour.
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
        return true; /* interrupted by a signal */
    if (ready > 0)
        connection->silent_milliseconds = 0;
    else
        connection->silent_milliseconds += milliseconds;
    /* Call it twice with TLS: decrypted bytes may wait in the library, which poll does not see. */
    if (!PQconsumeInput(connection->pg) ||
        (PQsslInUse(connection->pg) && !PQconsumeInput(connection->pg)))
        return error_lost(connection, error);
    drop_notifications(connection->pg);
    if (connection->silent_milliseconds < connection->silence_milliseconds_max ||
        !PQisBusy(connection->pg))
        return true;
    connection->unusable = true;
    return error_set(error, ERROR_RETRY,
                     "connection to the source server was lost: no answer within %g s",
                     connection->silence_milliseconds_max / 1e3);
}

/* Returns the bytes that a result's rows took on the wire. */
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

/* False for results that no statement of ours has: libpq gives that of COPY again and again,
 * without waiting for the server. */
static bool is_answer(const PGresult *result)
{
    switch (PQresultStatus(result))
    {
    case PGRES_TUPLES_OK:
    case PGRES_SINGLE_TUPLE:
    case PGRES_COMMAND_OK:
    case PGRES_FATAL_ERROR:
    case PGRES_PIPELINE_SYNC:
    case PGRES_PIPELINE_ABORTED:
        return true;
    default:
        return false;
    }
}

/*
 * Set *result to the next result of the query that was sent, NULL at its end. False, with *result
 * NULL, if the connection is lost, a stop was requested, or no statement of ours has such an
 * answer. A stop is looked for at each result, since those that have arrived need no wait (Rule
 * T11).
 *
 * Waits if the rate demands it. Nothing is read during that wait, so the server waits too once the
 * buffers of both systems are full. The time does not count towards the retry timeout: only waits
 * for the server do.
 */
static bool next_result(Connection *connection, PGresult **result, Error *error)
{
    bool ok = stop_check(error);

    *result = NULL;
    connection->silent_milliseconds = 0;
    while (ok && PQisBusy(connection->pg))
        ok = wait_for_server(connection, error);
    if (ok)
        *result = PQgetResult(connection->pg);
    if (ok && *result != NULL && !is_answer(*result))
        ok = error_set(error, ERROR_FAILED, "unexpected answer from the source server: %s",
                       PQresStatus(PQresultStatus(*result)));
    if (ok && (connection->rate == NULL || *result == NULL ||
               rate_take(connection->rate, result_bytes(*result), error)))
        return true;
    PQclear(*result);
    *result = NULL;
    connection->unusable = true;
    return false;
}

/* Set the error of a failed query. place: "on" for a query that returns rows, "in" for a command.
 */
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

/* ---- Sending ---- */

/* Send a statement without parameters, without a synchronization point after it. */
static bool send_plain(const Connection *connection, const char *sql)
{
    return PQsendQueryParams(connection->pg, sql, 0, NULL, NULL, NULL, NULL, 0) != 0;
}

/* Send a statement with its parameters, without a synchronization point after it. */
static bool send_query(const Connection *connection, const Query *query)
{
    const int count = (int) count_words(query->parameters);

    return PQsendQueryParams(connection->pg, query->sql, count, NULL, query->parameters, NULL, NULL,
                             query->binary) != 0;
}

/*
 * Send a query with a statement before it that fails outside of the transaction: if BEGIN has
 * failed (the database's owner may have set a statement_timeout for it), the server skips the query
 * too, up to the next synchronization point. Without that statement the server would run the query
 * without the settings, with the search_path that the owner has set. (Rule T10.)
 */
static bool send_in_transaction(const Connection *connection, const Query *query)
{
    return send_plain(connection, GUARD_SQL) && send_query(connection, query);
}

/* Send the statements that the opening takes with it. */
static bool send_along(Connection *connection)
{
    connection->along_sent = connection->along_count;
    for (int i = 0; i < connection->along_count; i++)
        if (!send_in_transaction(connection, &connection->along[i].query) ||
            !PQpipelineSync(connection->pg))
            return false;
    return true;
}

/* Send the statements that begin the transaction, if they were not yet sent. The synchronization
 * point after them ends the statement_timeout under which they run: up to PostgreSQL 10 the timeout
 * would otherwise run on until the next point. */
static bool send_opening(Connection *connection)
{
    if (connection->opening != OPENING_DUE)
        return true;
    connection->opening = OPENING_SENT;
    connection->in_transaction = true;
    connection->ending = false;
    return (in_pipeline(connection) || PQenterPipelineMode(connection->pg)) &&
           send_plain(connection, "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY") &&
           send_plain(connection, connection->settings_sql) &&
           send_plain(connection, "SAVEPOINT " SAVEPOINT) && PQpipelineSync(connection->pg) &&
           send_along(connection);
}

/* Note that a statement was sent whose answer will be waited for: a new round trip, unless another
 * answer is already awaited. */
static void note_awaited(Connection *connection)
{
    if (connection->awaited++ == 0 && connection->round_trips != NULL)
        ++*connection->round_trips;
}

/* A synchronization point follows each statement, so that the server sends the answer as soon as it
 * has it, and answers later statements even if this one fails. */
bool connection_send(Connection *connection, const Query *query, Error *error)
{
    /* After ROLLBACK a statement would run outside of the transaction, and without its settings. */
    assert(!connection->in_transaction || !connection->ending);
    connection->sqlstate[0] = '\0';
    if (!is_usable(connection, error) ||
        (query->writes && !connection_await_begin(connection, error)))
        return false;
    if (!send_opening(connection) || !send_in_transaction(connection, query) ||
        (query->ends && !send_plain(connection, "ROLLBACK")) || !PQpipelineSync(connection->pg))
        return error_not_sent(connection, error);
    connection->ending = query->ends;
    note_awaited(connection);
    return true;
}

/* ---- Receiving ---- */

/*
 * Take all results up to the next synchronization point. *failed becomes the first result that is
 * an error, to be freed by the caller; failed NULL: such a result is dropped. False if the
 * connection is lost.
 */
static bool take_to_synchronization(Connection *connection, PGresult **failed, Error *error)
{
    bool nothing = false; /* the last result was NULL; two in succession: no answer is expected */

    for (;;)
    {
        PGresult *result;
        ExecStatusType status;

        (void) PQsetSingleRowMode(connection->pg); /* otherwise libpq collects rows (Rule T11) */
        if (!next_result(connection, &result, error))
            return false;
        if (result == NULL && nothing)
            return error_lost(connection, error);
        nothing = result == NULL;
        if (nothing)
            continue;
        status = PQresultStatus(result);
        if (status == PGRES_FATAL_ERROR && failed != NULL && *failed == NULL)
            *failed = result;
        else
            PQclear(result);
        if (status == PGRES_PIPELINE_SYNC)
            return true;
        if (PQstatus(connection->pg) != CONNECTION_OK)
        {
            if (failed == NULL || *failed == NULL)
                return error_lost(connection, error);
            connection->unusable = true;
            return true;
        }
    }
}

/* Take the answer to the ROLLBACK of the previous transaction, if it was sent. The answer's content
 * does not matter: a ROLLBACK can fail only by the loss of the connection. */
static bool take_rollback(Connection *connection, Error *error)
{
    const bool due = connection->rollback_sent;

    connection->rollback_sent = false;
    return !due || take_to_synchronization(connection, NULL, error);
}

/* Take the result of a statement with one row or none; *result is to be freed by the caller. If it
 * is an error, *failed has it, and *result is NULL. */
static bool take_single(Connection *connection, PGresult **result, PGresult **failed, Error *error)
{
    PGresult *end = NULL;
    const PGresult *last;

    (void) PQsetSingleRowMode(connection->pg); /* otherwise libpq collects rows (Rule T11) */
    if (!next_result(connection, result, error))
        return false;
    if (PQresultStatus(*result) == PGRES_SINGLE_TUPLE && !next_result(connection, &end, error))
        return false;
    if (*result == NULL)
        return error_lost(connection, error);
    last = end != NULL ? end : *result;
    if (PQresultStatus(last) == PGRES_SINGLE_TUPLE)
    {
        PQclear(end);
        connection->unusable = true;
        return error_result_set("BEGIN", error);
    }
    if (PQresultStatus(last) != PGRES_TUPLES_OK && PQresultStatus(last) != PGRES_COMMAND_OK)
    {
        *failed = end != NULL ? end : *result;
        if (end != NULL)
            PQclear(*result);
        *result = NULL;
        return true;
    }
    PQclear(end);
    if (!next_result(connection, &end, error))
        return false;
    if (end == NULL)
        return true;
    PQclear(end);
    return error_lost(connection, error);
}

/* Set the error of a failed statement without a Query; messages show `name` in its place. */
static bool error_plain(Connection *connection, PGresult *failed, const char *name, Error *error)
{
    error_query(connection, failed, &(Query){.sql = name}, "in", error);
    if (PQstatus(connection->pg) != CONNECTION_OK)
        connection->unusable = true;
    PQclear(failed);
    return false;
}

/* Note which instance has answered, from the row of the settings statement. */
static bool note_instance_row(Connection *connection, const PGresult *row, Error *error)
{
    if (PQnfields(row) < 1 || PQntuples(row) != 1)
        return error_result_set(connection->settings_sql, error);
    snprintf(connection->instance, sizeof(connection->instance), "%s", PQgetvalue(row, 0, 0));
    return true;
}

/* Take the answer to the opening if it was sent, and compare the instance with the expected one. */
static bool take_opening(Connection *connection, Error *error)
{
    PGresult *begun = NULL, *row = NULL, *failed = NULL;
    bool ok;

    if (connection->opening != OPENING_SENT)
        return true;
    connection->opening = OPENING_NONE;
    ok = take_single(connection, &begun, &failed, error) &&
         (failed != NULL || take_single(connection, &row, &failed, error)) &&
         take_to_synchronization(connection, &failed, error);
    PQclear(begun);
    if (ok && failed != NULL)
    {
        ok = error_plain(connection, failed, "BEGIN", error);
        failed = NULL;
    }
    ok = ok && note_instance_row(connection, row, error);
    PQclear(row);
    PQclear(failed);
    if (!ok)
        return false;
    connection->met_other =
        connection->expected[0] != '\0' && strcmp(connection->expected, connection->instance) != 0;
    if (connection->met_other)
        return error_set(error, ERROR_RETRY, "connection to the source server was lost");
    connection->opening = OPENING_ANSWERED;
    return true;
}

/* Call `row` with the rows of a result; in single-row mode a result has one row. */
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

/* Take a statement's rows, and hand over each as it arrives. *failed: the result that is an error
 * and ends the answer, to be freed by the caller; otherwise NULL. False if the connection is lost,
 * or if `row` has failed: then the query is left in the middle. */
static bool take_answer_rows(Connection *connection, const Query *query, ConnectionRow row,
                             void *context, PGresult **failed, Error *error)
{
    PGresult *guard;
    bool guarded;

    *failed = NULL;
    guarded = take_single(connection, &guard, failed, error);
    PQclear(guard);
    if (!guarded || *failed != NULL)
        return guarded;
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
            return true;
        if (PQresultStatus(result) != PGRES_SINGLE_TUPLE &&
            PQresultStatus(result) != PGRES_TUPLES_OK)
        {
            *failed = result;
            return true;
        }
        ok = deliver_rows(result, query, row, context, error);
        PQclear(result);
        if (!ok)
            return false;
    }
}

/* Take the answers to the statements that the opening took with it, if they were sent. */
static bool take_along(Connection *connection, Error *error)
{
    for (; connection->along_sent > 0; connection->along_sent--)
    {
        const AlongQuery *along =
            &connection->along[connection->along_count - connection->along_sent];
        PGresult *failed = NULL;

        if (take_answer_rows(connection, &along->query, along->row, along->context, &failed,
                             error) &&
            failed == NULL && take_to_synchronization(connection, NULL, error))
        {
            if (along->answered != NULL)
                *along->answered = true;
            continue;
        }
        if (failed != NULL)
            error_query(connection, failed, &along->query, "on", error);
        PQclear(failed);
        connection->along_failed = !connection->unusable;
        return false;
    }
    connection->along_count = 0;
    return true;
}

/* Take the answers that come before a statement's: to ROLLBACK, to the opening and to what it took
 * along. If that fails, drop the answers to all statements sent so far: they may be another
 * server's. */
static bool take_preceding(Connection *connection, Error *error)
{
    if (!take_rollback(connection, error))
        return false;
    if (take_opening(connection, error) && take_along(connection, error))
        return true;
    connection->awaited += connection->along_sent;
    connection->along_sent = connection->along_count = 0;
    for (; connection->awaited > 0 && !connection->unusable; connection->awaited--)
        if (!take_to_synchronization(connection, NULL, NULL))
            connection->unusable = true;
    return false;
}

/* Run a statement without parameters, outside of a pipeline. *result has its first row, if there is
 * one, and is to be freed by the caller. name: text for messages. */
static bool run_simple(Connection *connection, const char *sql, const char *name, PGresult **result,
                       Error *error)
{
    PGresult *first = NULL, *next;
    bool ok;

    *result = NULL;
    if (!is_usable(connection, error))
        return false;
    if (!PQsendQuery(connection->pg, sql))
        return error_not_sent(connection, error);
    (void) PQsetSingleRowMode(connection->pg); /* otherwise libpq collects rows (Rule T11) */
    while ((ok = next_result(connection, &next, error)) && next != NULL)
    {
        const bool kept = first == NULL || PQresultStatus(next) == PGRES_FATAL_ERROR;

        PQclear(kept ? first : next);
        if (kept)
            first = next;
    }
    if (ok && (first == NULL || PQresultStatus(first) == PGRES_FATAL_ERROR))
    {
        ok = error_plain(connection, first, name, error);
        first = NULL;
    }
    if (ok)
        *result = first;
    else
        PQclear(first);
    return ok;
}

/* Run a statement without parameters in the transaction, and drop its result. */
static bool run_plain(Connection *connection, const char *sql, Error *error)
{
    PGresult *failed = NULL;

    if (!is_usable(connection, error))
        return false;
    if (!send_plain(connection, sql) || !PQpipelineSync(connection->pg))
        return error_not_sent(connection, error);
    note_awaited(connection);
    if (!take_to_synchronization(connection, &failed, error))
    {
        PQclear(failed);
        return false;
    }
    connection->awaited--;
    return failed == NULL || error_plain(connection, failed, sql, error);
}

/* ---- Transactions ---- */

/*
 * Statement that asks for the instance and makes settings. The settings are local to the
 * transaction, since a pooler may give the server connection to another client afterwards. The
 * timeouts come first, so that they no longer apply to the rest. work_mem of 8 MB has room for the
 * names in a directory of 100,000 files. The database's owner may have set the search_path that
 * holds until this statement has run, so operators name their schema too (Rule T10), and what
 * changes how a statement is read or a value written (Rule T12).
 */
static const char settings_sql[] =
    "SELECT pg_catalog.pg_is_in_recovery()::pg_catalog.text OPERATOR(pg_catalog.||) ' '\n"
    "    OPERATOR(pg_catalog.||) (pg_catalog.date_part('epoch',\n"
    "      pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1000000)\n"
    "    ::pg_catalog.int8::pg_catalog.text,\n"
    "  pg_catalog.set_config('statement_timeout', '0', true),\n"
    "  pg_catalog.set_config('lock_timeout', '0', true),\n"
    "  pg_catalog.set_config('work_mem', '8MB', true),\n"
    "  pg_catalog.set_config('search_path', '', true),\n"
    "  pg_catalog.set_config('standard_conforming_strings', 'on', true),\n"
    "  pg_catalog.set_config('array_nulls', 'on', true),\n"
    "  pg_catalog.set_config('transform_null_equals', 'off', true),\n"
    "  pg_catalog.set_config('extra_float_digits', '0', true),\n"
    "  pg_catalog.set_config('bytea_output', 'hex', true),\n"
    "  pg_catalog.set_config('DateStyle', 'ISO', true),\n"
    "  pg_catalog.set_config('IntervalStyle', 'postgres', true),\n"
    "  pg_catalog.set_config('TimeZone', 'UTC', true),\n"
    "  pg_catalog.set_config('client_encoding', '%.60s', true)%s";

void connection_begin_with(Connection *connection, const char *settings)
{
    /* The server's own encoding, or SQL_ASCII, so that bytes of file names are not converted. */
    const char *encoding = PQparameterStatus(connection->pg, "server_encoding");

    if (encoding == NULL || strchr(encoding, '\'') != NULL)
        encoding = "SQL_ASCII";
    snprintf(connection->settings_sql, sizeof(connection->settings_sql), settings_sql, encoding,
             settings);
}

void connection_begin_expecting(Connection *connection, const char *instance)
{
    snprintf(connection->expected, sizeof(connection->expected), "%s", instance);
    connection->opening = OPENING_DUE;
    connection->met_other = false;
    connection->along_count = 0;
    connection->along_failed = false;
}

void connection_ask_along(Connection *connection, const AlongQuery *along)
{
    assert(connection->opening == OPENING_DUE && connection->along_count < ALONG_MAX);
    connection->along[connection->along_count++] = *along;
}

bool connection_along_failed(const Connection *connection)
{
    return connection->along_failed;
}

bool connection_await_begin(Connection *connection, Error *error)
{
    if (!is_usable(connection, error))
        return false;
    if (connection->opening == OPENING_ANSWERED)
        return true;
    if (!send_opening(connection))
        return error_not_sent(connection, error);
    note_awaited(connection);
    connection->awaited--;
    return take_preceding(connection, error);
}

bool connection_is_begun(const Connection *connection)
{
    return connection->opening == OPENING_ANSWERED;
}

bool connection_met_other(const Connection *connection)
{
    return connection->met_other;
}

const char *connection_instance(const Connection *connection)
{
    return connection->instance;
}

bool connection_begin(Connection *connection, char instance[CONNECTION_INSTANCE_SIZE], Error *error)
{
    connection_begin_expecting(connection, "");
    if (!connection_await_begin(connection, error))
        return false;
    memcpy(instance, connection->instance, CONNECTION_INSTANCE_SIZE);
    return true;
}

void connection_end(Connection *connection)
{
    const bool ends = connection->in_transaction && !connection->unusable;

    connection->opening = OPENING_NONE;
    connection->in_transaction = false;
    /* Roll back, since nothing was written, and do not wait for the answer. If the connection is
     * lost now, the next use notices it. */
    if (ends && !(connection->awaited == 0 && send_plain(connection, "ROLLBACK") &&
                  PQpipelineSync(connection->pg) && PQflush(connection->pg) >= 0))
        connection->unusable = true;
    connection->rollback_sent = ends && !connection->unusable;
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
    connection->set = PQconninfoParse(conninfo, NULL);
    if (connection->set == NULL)
        out_of_memory();
    connection->server_version = PQserverVersion(pg);
    connection->silence_milliseconds_max = connect_silence_milliseconds(retry_timeout_seconds);
    PQsetnonblocking(pg, 1); /* otherwise sending could block without end */
    connection_begin_with(connection, "");
    return connection;
}

/* Make the socket's receive buffer small if the rate is low: during our waits the system continues
 * to receive into this buffer, without counting. A Unix-domain socket has no receive buffer. */
void connection_limit_rate(Connection *connection, Rate *rate)
{
    const uint64_t share = rate_limit(rate) / 16;
    const int size = share < RECEIVE_BUFFER_MIN ? RECEIVE_BUFFER_MIN : (int) share;

    connection->rate = rate;
    if (rate != NULL && share < RECEIVE_BUFFER_MAX)
        (void) setsockopt(PQsocket(connection->pg), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

void connection_count_round_trips(Connection *connection, _Atomic uint64_t *round_trips)
{
    connection->round_trips = round_trips;
}

void connection_close(Connection *connection)
{
    if (connection == NULL)
        return;
    PQfinish(connection->pg);
    PQconninfoFree(connection->set);
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

long connection_listener(const Connection *connection)
{
    struct ucred listener;
    socklen_t size = sizeof(listener);

    return getsockopt(PQsocket(connection->pg), SOL_SOCKET, SO_PEERCRED, &listener, &size) == 0
               ? listener.pid
               : 0;
}

bool connection_command(Connection *connection, const char *sql, Error *error)
{
    const int silence_milliseconds_max = connection->silence_milliseconds_max;
    bool ok;

    if (!connection_await_begin(connection, error))
        return false;
    connection->silence_milliseconds_max = INT_MAX;
    ok = run_plain(connection, sql, error);
    connection->silence_milliseconds_max = silence_milliseconds_max;
    return ok;
}

/* Take the rest of a statement's answer, up to its synchronization point. */
static bool end_answer(Connection *connection, Error *error)
{
    PGresult *failed = NULL;
    const bool ok = take_to_synchronization(connection, &failed, error);

    connection->awaited--;
    if (failed != NULL)
        connection->unusable = true; /* the ROLLBACK of a Query with `ends` has failed */
    PQclear(failed);
    if (ok && connection->ending && connection->awaited == 0)
        connection->in_transaction = false;
    return ok;
}

/* Set the error of a statement that failed with this result. Other statements under way will fail
 * too; their answers are not waited for, so the connection becomes unusable. */
static bool error_answer(Connection *connection, PGresult *result, const Query *query, Error *error)
{
    const bool others = connection->awaited > 1;

    connection->ending = false; /* the server has skipped the ROLLBACK too */
    error_query(connection, result, query, "on", error);
    PQclear(result);
    if (others || PQstatus(connection->pg) != CONNECTION_OK ||
        !take_to_synchronization(connection, NULL, NULL))
        connection->unusable = true;
    connection->awaited--;
    return false;
}

bool connection_receive(Connection *connection, const Query *query, ConnectionRow row,
                        void *context, Error *error)
{
    PGresult *failed;

    assert(query->column_count > 0 && query->column_count <= COLUMNS_MAX);
    if (!take_preceding(connection, error))
        return false;
    if (!take_answer_rows(connection, query, row, context, &failed, error))
    {
        connection->unusable = true;
        return false;
    }
    return failed != NULL ? error_answer(connection, failed, query, error)
                          : end_answer(connection, error);
}

bool connection_rows(Connection *connection, const Query *query, ConnectionRow row, void *context,
                     Error *error)
{
    return connection_send(connection, query, error) &&
           connection_receive(connection, query, row, context, error);
}

/* Place to which copy_row copies the only row of a result. */
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

bool connection_receive_row(Connection *connection, Arena *arena, const Query *query, char **values,
                            Error *error)
{
    RowCopy copy = {.arena = arena, .query = query, .values = values};

    for (int i = 0; i < query->column_count; i++)
        values[i] = NULL;
    return connection_receive(connection, query, copy_row, &copy, error);
}

bool connection_row(Connection *connection, Arena *arena, const Query *query, char **values,
                    Error *error)
{
    return connection_send(connection, query, error) &&
           connection_receive_row(connection, arena, query, values, error);
}

bool connection_failed_with(const Connection *connection, const char *sqlstate)
{
    return connection_is_begun(connection) && !connection->unusable &&
           connection->sqlstate[0] != '\0' &&
           (sqlstate == NULL || strcmp(connection->sqlstate, sqlstate) == 0);
}

/* Rule S20: another process has other defaults, so what the string sets is visited even if it is a
 * default here. The options of the connection and those of the string are all that libpq has, in
 * the same order. */
void connection_options(Connection *connection, ConnectionOption visit, void *context)
{
    static const char *const left_out[] = {
        "replication", "dbname", "fallback_application_name", "service", "servicefile", NULL};
    PQconninfoOption *options = PQconninfo(connection->pg);

    if (options == NULL)
        out_of_memory();
    for (size_t i = 0; options[i].keyword != NULL; i++)
    {
        const char *keyword = options[i].keyword, *value = options[i].val;

        if ((value == NULL || value[0] == '\0') && strcmp(keyword, "host") == 0 &&
            PQhost(connection->pg)[0] == '/')
            value = PQhost(connection->pg); /* the directory of sockets that libpq has chosen */
        if (value != NULL && value[0] != '\0' && !is_among(keyword, left_out) &&
            !is_among(keyword, connection->parameters) &&
            (strcmp(keyword, "port") == 0 || connection->set[i].val != NULL ||
             options[i].compiled == NULL || strcmp(value, options[i].compiled) != 0))
            visit(context, keyword, value);
    }
    PQconninfoFree(options);
}

/* Rule S21: the string's own password comes last and wins; without one PGPASSWORD, which a standby
 * does not have, must not count. dbname=replication is for entries of a password file: a server's
 * walreceiver uses this name. */
bool connection_try_replication(const char *conninfo, double seconds, uint64_t *system_identifier,
                                bool *asks_password, Error *error)
{
    static const char sql[] = "IDENTIFY_SYSTEM";
    ConnectionRefusal refusal;
    AUTO_BUFFER Buffer text = {0};
    Connection *connection;
    PGresult *result;
    bool ok;

    buffer_printf(&text, "password='' %s replication=true dbname=replication", conninfo);
    connection =
        connection_open(buffer_string(&text), (int) (4 * seconds), 2 * seconds, &refusal, error);
    if (connection == NULL)
        return false;
    if (asks_password != NULL)
        *asks_password = PQconnectionUsedPassword(connection->pg) != 0;
    ok = run_simple(connection, sql, sql, &result, error);
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
