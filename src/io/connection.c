#include "io/connection.h"

#include "base/log.h"
#include "base/workers.h"

#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 16
#define ADDED_MAX 8
#define POLL_MILLISECONDS 200
#define PROBE_SECONDS 5
#define BYTEA_OID 17 /* catalog/pg_type.dat */

struct Connection
{
    PGconn *pg;
    PGcancel *cancel; /* made at the start: another thread may use it */
    bool unusable;    /* a query was left in the middle */
    bool keepalives_added;
    bool user_timeout_added;
};

/* A setting that the connection gets unless the user chose otherwise. */
typedef struct Parameter
{
    const char *keyword;
    const char *value;
} Parameter;

/*
 * A source that is gone without a word is noticed after about a minute (the system's default is two
 * hours). Any choice of the user's in this group leaves the whole group to him.
 */
static const Parameter keepalive_parameters[] = {
    {"keepalives_idle", "30"}, {"keepalives_interval", "10"}, {"keepalives_count", "3"}};

/* Keywords and values for PQconnectdbParams; they point into the parsed options and to literals. */
typedef struct ParameterList
{
    const char **keywords;
    const char **values;
    size_t count;
} ParameterList;

/* Copy a message of libpq's into out without the newline at its end. */
static const char *trimmed(const char *message, char *out, size_t size)
{
    size_t length;

    snprintf(out, size, "%s", message != NULL ? message : "");
    length = strlen(out);
    while (length > 0 && out[length - 1] == '\n')
        out[--length] = '\0';
    return out;
}

static const PQconninfoOption *find_option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options;
    return NULL;
}

/* Does the string or the environment choose this option? Options that libpq lacks count as chosen.
 */
static bool is_chosen(const PQconninfoOption *options, const char *keyword)
{
    const PQconninfoOption *option = find_option(options, keyword);

    return option == NULL || option->val != NULL ||
           (option->envvar != NULL && getenv(option->envvar) != NULL);
}

static void add_parameter(ParameterList *list, const char *keyword, const char *value)
{
    list->keywords[list->count] = keyword;
    list->values[list->count] = value;
    list->count++;
}

/* What the string sets, and our own defaults. Ends with NULL. */
static void collect_parameters(Connection *connection, const PQconninfoOption *options,
                               ParameterList *list)
{
    /* What a service file chooses is not known here; ours would go before it. */
    const bool has_service = is_chosen(options, "service");
    size_t count = 0;

    while (options[count].keyword != NULL)
        count++;
    list->keywords = memory_allocate_zeroed(count + ADDED_MAX, sizeof(char *));
    list->values = memory_allocate_zeroed(count + ADDED_MAX, sizeof(char *));
    list->count = 0;
    for (size_t index = 0; index < count; index++)
        if (options[index].val != NULL)
            add_parameter(list, options[index].keyword, options[index].val);

    if (!is_chosen(options, "fallback_application_name"))
        add_parameter(list, "fallback_application_name", "pg_rewind");
    connection->keepalives_added = !has_service && !is_chosen(options, "keepalives") &&
                                   !is_chosen(options, "keepalives_idle") &&
                                   !is_chosen(options, "keepalives_interval") &&
                                   !is_chosen(options, "keepalives_count");
    if (connection->keepalives_added)
        for (size_t index = 0; index < 3; index++)
            add_parameter(list, keepalive_parameters[index].keyword,
                          keepalive_parameters[index].value);
    connection->user_timeout_added = !has_service && !is_chosen(options, "tcp_user_timeout");
    if (connection->user_timeout_added)
        add_parameter(list, "tcp_user_timeout", "60000"); /* milliseconds */
}

/* May the same request work later, after an error with this SQLSTATE? */
static bool is_passing(const char *sqlstate)
{
    static const char *const states[] = {
        "08000", "08001", "08003", "08004", "08006", /* connection exceptions, but 08P01 */
        "53300",                                     /* too_many_connections */
        "57P01", "57P02", "57P03", "57P05",          /* shutting down, crashed, starting up, idle */
        "40001"                                      /* conflict with recovery, on a standby */
    };

    for (size_t index = 0; index < sizeof(states) / sizeof(states[0]); index++)
        if (strcmp(sqlstate, states[index]) == 0)
            return true;
    return false;
}

/* The kind of error that the failed result is. Without a result or SQLSTATE: the connection is
 * gone. */
static ErrorKind result_kind(const Connection *connection, const PGresult *result)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

    if (PQstatus(connection->pg) != CONNECTION_OK || sqlstate == NULL || is_passing(sqlstate))
        return ERROR_RETRY;
    return ERROR_FAILED;
}

/* Find the SQLSTATE in a verbose message, "FATAL:  53300: sorry, ...", in any language. */
static bool message_sqlstate(const char *message, char sqlstate[6])
{
    static const char characters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

    for (const char *at = strstr(message, ":  "); at != NULL; at = strstr(at + 1, ":  "))
    {
        if (strspn(at + 3, characters) == 5 && at[8] == ':')
        {
            memcpy(sqlstate, at + 3, 5);
            sqlstate[5] = '\0';
            return true;
        }
    }
    return false;
}

/* Drive a connection that was begun until it succeeds, fails or has taken PROBE_SECONDS. */
static bool probe_connects(PGconn *pg)
{
    const time_t end = time(NULL) + PROBE_SECONDS;
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
    {
        struct pollfd waited = {.fd = PQsocket(pg),
                                .events = status == PGRES_POLLING_WRITING ? POLLOUT : POLLIN};

        if (stop_requested() || time(NULL) >= end)
            return false;
        if (poll(&waited, 1, POLL_MILLISECONDS) > 0)
            status = PQconnectPoll(pg);
    }
    return status == PGRES_POLLING_OK;
}

/*
 * Why did connecting fail? libpq has no SQLSTATE for that, so look at one more attempt, whose
 * messages are verbose. No answer from a server counts as passing.
 */
static ErrorKind connect_failure_kind(PGconn *failed, const ParameterList *list)
{
    ErrorKind kind = ERROR_RETRY;
    char sqlstate[6];
    PGconn *pg;

    if (PQconnectionNeedsPassword(failed))
        return ERROR_FAILED;
    pg = PQconnectStartParams(list->keywords, list->values, 0);
    if (pg == NULL)
        out_of_memory();
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    if (PQstatus(pg) != CONNECTION_BAD && !probe_connects(pg) &&
        message_sqlstate(PQerrorMessage(pg), sqlstate) && !is_passing(sqlstate))
        kind = ERROR_FAILED;
    PQfinish(pg);
    return kind;
}

static void ignore_notice(void *argument, const PGresult *result)
{
    (void) argument;
    if (log_debug_on())
    {
        char message[1024];

        log_debug("%s", trimmed(PQresultErrorMessage(result), message, sizeof(message)));
    }
}

/* Cut the query that is under way; the connection is of no use from here on. */
static void abandon(Connection *connection)
{
    connection_cancel(connection);
    connection->unusable = true;
}

/*
 * The next result of the query that was sent, NULL at its end. False if the connection is lost or a
 * stop was requested.
 */
static bool next_result(Connection *connection, PGresult **result, Error *error)
{
    char message[2048];

    while (PQisBusy(connection->pg))
    {
        struct pollfd waited = {.fd = PQsocket(connection->pg), .events = POLLIN};

        if (!stop_check(error))
        {
            abandon(connection);
            return false;
        }
        if (poll(&waited, 1, POLL_MILLISECONDS) == 0)
            continue;
        if (!PQconsumeInput(connection->pg))
        {
            connection->unusable = true;
            return error_set(error, ERROR_RETRY, "connection to the source server was lost: %s",
                             trimmed(PQerrorMessage(connection->pg), message, sizeof(message)));
        }
    }
    *result = PQgetResult(connection->pg);
    return true;
}

/* place: "on" for a query that gives values, "in" for a command. */
static bool query_failed(const Connection *connection, const PGresult *result, const char *sql,
                         const char *place, Error *error)
{
    char message[4096];

    return error_set(error, result_kind(connection, result),
                     "error running query (%s) %s source server: %s", sql, place,
                     trimmed(PQresultErrorMessage(result), message, sizeof(message)));
}

static bool send_query(Connection *connection, const char *sql, int count,
                       const char *const *parameters, bool binary, Error *error)
{
    char message[2048];

    if (connection->unusable)
        return error_set(error, ERROR_RETRY, "connection to the source server was lost");
    if (!PQsendQueryParams(connection->pg, sql, count, NULL, parameters, NULL, NULL, binary))
    {
        connection->unusable = true;
        return error_set(error, ERROR_RETRY, "could not send query: %s",
                         trimmed(PQerrorMessage(connection->pg), message, sizeof(message)));
    }
    return true;
}

/* Run a statement and give its last result, which is not an error. The caller frees it. */
static bool run_query(Connection *connection, const char *sql, int count,
                      const char *const *parameters, bool binary, const char *place,
                      PGresult **result, Error *error)
{
    ExecStatusType status;
    PGresult *next;

    *result = NULL;
    if (!send_query(connection, sql, count, parameters, binary, error))
        return false;
    for (;;)
    {
        if (!next_result(connection, &next, error))
        {
            PQclear(*result);
            return false;
        }
        if (next == NULL)
            break;
        PQclear(*result);
        *result = next;
    }
    status = PQresultStatus(*result);
    if (status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK)
        return true;
    query_failed(connection, *result, sql, place, error);
    if (PQstatus(connection->pg) != CONNECTION_OK)
        connection->unusable = true;
    PQclear(*result);
    return false;
}

static bool run_command(Connection *connection, const char *sql, Error *error)
{
    PGresult *result;

    if (!run_query(connection, sql, 0, NULL, false, "in", &result, error))
    {
        if (error->kind == ERROR_FAILED)
            error_hint(error, "If there is a connection pooler between pg_rewind and the source "
                              "server, connect to the server itself.");
        return false;
    }
    PQclear(result);
    return true;
}

/* File names arrive as the bytes that they are. */
static bool set_encoding(Connection *connection, Error *error)
{
    const char *encoding = PQparameterStatus(connection->pg, "server_encoding");
    char sql[128];

    snprintf(sql, sizeof(sql), "SET client_encoding = '%.60s'",
             encoding != NULL && strchr(encoding, '\'') == NULL ? encoding : "SQL_ASCII");
    return run_command(connection, sql, error);
}

/* The SETs; each only where the server knows it. */
static bool prepare_session(Connection *connection, Error *error)
{
    static const struct
    {
        int since; /* server version */
        const char *sql;
    } commands[] = {
        {0, "SET statement_timeout = 0"},
        {0, "SET lock_timeout = 0"},
        {90600, "SET idle_in_transaction_session_timeout = 0"},
        {140000, "SET idle_session_timeout = 0"},
        {170000, "SET transaction_timeout = 0"},
        {0, "SET default_transaction_read_only = on"},
        {0, "SELECT pg_catalog.set_config('search_path', '', false)"},
    };
    const int version = PQserverVersion(connection->pg);

    for (size_t index = 0; index < sizeof(commands) / sizeof(commands[0]); index++)
        if (version >= commands[index].since &&
            !run_command(connection, commands[index].sql, error))
            return false;
    return set_encoding(connection, error);
}

/* Connect; libpq handles host lists and timeouts, and does not look at our stop flag. */
static bool connect_to_server(Connection *connection, const ParameterList *list, Error *error)
{
    char message[4096];

    signals_blocking_call(true);
    if (!stop_check(error))
    {
        signals_blocking_call(false);
        return false;
    }
    connection->pg = PQconnectdbParams(list->keywords, list->values, 0);
    signals_blocking_call(false);
    if (connection->pg == NULL)
        out_of_memory();
    if (PQstatus(connection->pg) == CONNECTION_OK)
    {
        PQsetNoticeReceiver(connection->pg, ignore_notice, NULL);
        connection->cancel = PQgetCancel(connection->pg);
        return true;
    }

    error_set(error, connect_failure_kind(connection->pg, list), "%s", /* contract */
              trimmed(PQerrorMessage(connection->pg), message, sizeof(message)));
    if (PQconnectionNeedsPassword(connection->pg))
        error_hint(error, "Put the password into a password file (PGPASSFILE, ~/.pgpass) or into "
                          "PGPASSWORD: pg_rewind does not ask for it.");
    return false;
}

Connection *connection_open(const char *conninfo, Error *error)
{
    char *parse_message = NULL;
    char message[2048];
    PQconninfoOption *options = PQconninfoParse(conninfo, &parse_message);
    ParameterList list;
    Connection *connection;
    bool ok;

    if (options == NULL)
    {
        error_set(error, ERROR_FAILED, "%s", trimmed(parse_message, message, sizeof(message)));
        PQfreemem(parse_message);
        return NULL;
    }
    connection = memory_allocate_zeroed(1, sizeof(Connection));
    collect_parameters(connection, options, &list);
    ok = connect_to_server(connection, &list, error) && prepare_session(connection, error);
    free(list.keywords);
    free(list.values);
    PQconninfoFree(options);
    if (ok)
        return connection;
    connection_close(connection);
    return NULL;
}

void connection_close(Connection *connection)
{
    if (connection == NULL)
        return;
    PQfreeCancel(connection->cancel);
    PQfinish(connection->pg);
    free(connection);
}

int connection_server_version(const Connection *connection)
{
    return PQserverVersion(connection->pg);
}

/* Is the result one column and at most one row? *found: there is a row and its value is not NULL.
 */
static bool check_one_value(const PGresult *result, const char *sql, bool *found, Error *error)
{
    *found = false;
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQnfields(result) != 1 ||
        PQntuples(result) > 1)
    {
        error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
        return error_detail(error, "The query was: %s", sql);
    }
    *found = PQntuples(result) == 1 && !PQgetisnull(result, 0, 0);
    return true;
}

bool connection_value(Connection *connection, Arena *arena, const char *sql, int count,
                      const char *const *parameters, char **value, bool *found, Error *error)
{
    PGresult *result;
    bool ok;

    *value = NULL;
    *found = false;
    if (!run_query(connection, sql, count, parameters, false, "on", &result, error))
        return false;
    ok = check_one_value(result, sql, found, error);
    if (ok && *found)
        *value = arena_strdup(arena, PQgetvalue(result, 0, 0));
    PQclear(result);
    return ok;
}

bool connection_bytes(Connection *connection, const char *sql, int count,
                      const char *const *parameters, Buffer *buffer, bool *found, Error *error)
{
    PGresult *result;
    bool ok;

    *found = false;
    if (!run_query(connection, sql, count, parameters, true, "on", &result, error))
        return false;
    ok = check_one_value(result, sql, found, error);
    if (ok && (PQfformat(result, 0) != 1 || PQftype(result, 0) != BYTEA_OID))
        ok = error_set(error, ERROR_FAILED, "unexpected result format from query");
    if (ok && *found)
        buffer_append(buffer, PQgetvalue(result, 0, 0), (size_t) PQgetlength(result, 0, 0));
    PQclear(result);
    return ok;
}

/* Hand over the rows of one result, one in single-row mode. */
static bool hand_over_rows(const PGresult *result, bool binary, int column_count, ConnectionRow row,
                           void *context, Error *error)
{
    ConnectionValue values[COLUMNS_MAX];

    if (PQnfields(result) != column_count)
        return error_set(error, ERROR_FAILED, "unexpected result set from query");
    for (int column = 0; column < column_count; column++)
        if (PQfformat(result, column) != (binary ? 1 : 0))
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

/* Take what is left of a query that failed, so that the connection can be used for the next one. */
static void drain(Connection *connection)
{
    PGresult *result;
    Error ignored;

    while (next_result(connection, &result, &ignored) && result != NULL)
        PQclear(result);
    if (PQstatus(connection->pg) != CONNECTION_OK)
        connection->unusable = true;
}

bool connection_rows(Connection *connection, const char *sql, int count,
                     const char *const *parameters, bool binary, int column_count,
                     ConnectionRow row, void *context, Error *error)
{
    assert(column_count > 0 && column_count <= COLUMNS_MAX);
    if (!send_query(connection, sql, count, parameters, binary, error))
        return false;
    if (!PQsetSingleRowMode(connection->pg))
    {
        abandon(connection);
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
            query_failed(connection, result, sql, "on", error);
            PQclear(result);
            drain(connection);
            return false;
        }
        ok = hand_over_rows(result, binary, column_count, row, context, error);
        PQclear(result);
        if (!ok)
        {
            abandon(connection);
            return false;
        }
    }
}

bool connection_int8(const ConnectionValue *value, int64_t *number, Error *error)
{
    uint64_t bits = 0;

    if (value->bytes == NULL)
        return error_set(error, ERROR_FAILED,
                         "unexpected null values in result from source server");
    if (value->size != 4 && value->size != 8)
        return error_set(error, ERROR_FAILED,
                         "unexpected result length from source server: %zu bytes, expected 4 or 8",
                         value->size);
    for (size_t index = 0; index < value->size; index++)
        bits = bits << 8 | (uint8_t) value->bytes[index];
    *number = value->size == 4 ? (int32_t) (uint32_t) bits : (int64_t) bits;
    return true;
}

void array_begin(Buffer *literal)
{
    buffer_append_u8(literal, '{');
}

void array_end(Buffer *literal)
{
    buffer_append_u8(literal, '}');
}

/* A comma before all elements but the first. An element ends with a quote or a digit. */
static void array_separate(Buffer *literal)
{
    assert(literal->size > 0);
    if (literal->bytes[literal->size - 1] != '{')
        buffer_append_u8(literal, ',');
}

void array_append(Buffer *literal, const char *value)
{
    array_separate(literal);
    buffer_append_u8(literal, '"');
    for (; *value != '\0'; value++)
    {
        if (*value == '"' || *value == '\\')
            buffer_append_u8(literal, '\\');
        buffer_append_u8(literal, (uint8_t) *value);
    }
    buffer_append_u8(literal, '"');
}

void array_append_int(Buffer *literal, int64_t value)
{
    array_separate(literal);
    buffer_printf(literal, "%lld", (long long) value);
}

void connection_cancel(Connection *connection)
{
    char message[256];

    if (connection->cancel != NULL)
        (void) PQcancel(connection->cancel, message, sizeof(message));
}

/* Did connection_open add this option? */
static bool is_added(const Connection *connection, const char *keyword)
{
    if (connection->user_timeout_added && strcmp(keyword, "tcp_user_timeout") == 0)
        return true;
    for (size_t index = 0; connection->keepalives_added && index < 3; index++)
        if (strcmp(keyword, keepalive_parameters[index].keyword) == 0)
            return true;
    return false;
}

bool connection_options(Connection *connection, ConnectionOption visit, void *context, Error *error)
{
    PQconninfoOption *options = PQconninfo(connection->pg);
    bool ok = true;

    if (options == NULL)
        out_of_memory();
    for (const PQconninfoOption *option = options; ok && option->keyword != NULL; option++)
    {
        if (option->val == NULL || option->val[0] == '\0' ||
            strcmp(option->keyword, "replication") == 0 || strcmp(option->keyword, "dbname") == 0 ||
            strcmp(option->keyword, "fallback_application_name") == 0 ||
            (option->compiled != NULL && strcmp(option->val, option->compiled) == 0) ||
            is_added(connection, option->keyword))
            continue;
        ok = visit(context, option->keyword, option->val, error);
    }
    PQconninfoFree(options);
    return ok;
}

/* The dbname among options, or NULL. Frees the options. */
static char *take_dbname(PQconninfoOption *options, Arena *arena)
{
    const PQconninfoOption *option = options != NULL ? find_option(options, "dbname") : NULL;
    char *dbname = NULL;

    if (option != NULL && option->val != NULL && option->val[0] != '\0')
        dbname = arena_strdup(arena, option->val);
    PQconninfoFree(options);
    return dbname;
}

char *connection_explicit_dbname(const char *conninfo, Arena *arena)
{
    char *dbname = take_dbname(PQconninfoParse(conninfo, NULL), arena);

    /* libpq's defaults hold what PGDATABASE and a service name; not the user's name. */
    return dbname != NULL ? dbname : take_dbname(PQconndefaults(), arena);
}
