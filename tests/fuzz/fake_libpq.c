#include "fake_libpq.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SOCKET 1000063 /* a descriptor of memory_files.c, whose poll reports it ready */

/* Statements and synchronization points that may be under way: four queries, what begins their
 * transaction, and what ends it and the one before. */
#define ANSWERS_MAX 32

/* Progress in reading the connection's oldest answer. */
typedef struct Reading
{
    bool single_rows;
    int row;    /* next row to return */
    bool ended; /* the answer's last result was returned */
} Reading;

struct pg_conn
{
    bool bad;
    PGpipelineStatus pipeline;
    int first; /* index of the oldest answer in `answers` */
    int count;
    Reading reading;
    bool aborted; /* a statement has failed: those after it are not answered up to the next
                     synchronization point */
};

struct pg_result
{
    ExecStatusType status;
    int columns;
    int rows;
    int format;
    unsigned type;
    char sqlstate[6];
    FakeValue values[]; /* their bytes are behind them */
};

static FakeServer server;
static int server_version;
static FakeAnswer answers[ANSWERS_MAX]; /* a ring; only one connection asks at a time */
static bool synchronizes[ANSWERS_MAX];  /* no statement, but a synchronization point */

/* Functions of the linker's --wrap: __wrap_NAME replaces NAME in the program, __real_NAME is the C
 * library's. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument);
int __real_pthread_join(pthread_t thread, void **result);
int __real_pthread_detach(pthread_t thread);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument);
int __wrap_pthread_join(pthread_t thread, void **result);
int __wrap_pthread_detach(pthread_t thread);

void fake_libpq_start(FakeServer new_server, int version)
{
    server = new_server;
    server_version = version;
}

void fake_libpq_end(void)
{
    server = NULL;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*function)(void *), void *argument)
{
    if (server == NULL)
        return __real_pthread_create(thread, attributes, function, argument);
    memset(thread, 0, sizeof(*thread));
    (void) function(argument);
    return 0;
}

int __wrap_pthread_join(pthread_t thread, void **result)
{
    return server == NULL ? __real_pthread_join(thread, result) : 0;
}

int __wrap_pthread_detach(pthread_t thread)
{
    return server == NULL ? __real_pthread_detach(thread) : 0;
}

char *fake_keep(FakeAnswer *kept_in, const void *bytes, size_t size)
{
    char *kept = kept_in->kept + kept_in->kept_size;

    if (size >= sizeof(kept_in->kept) - kept_in->kept_size)
        return NULL;
    if (size > 0)
        memcpy(kept, bytes, size);
    kept[size] = '\0';
    kept_in->kept_size += size + 1;
    return kept;
}

/* ---- Connections ---- */

static const PQconninfoOption option_rows[] = {
    {.keyword = "service"},
    {.keyword = "host", .val = "source"},
    {.keyword = "port", .val = "5432"},
    {.keyword = "user", .val = "rewind"},
    {.keyword = "dbname", .val = "postgres"},
    {.keyword = "connect_timeout"},
    {.keyword = "keepalives"},
    {.keyword = "keepalives_idle"},
    {.keyword = "keepalives_interval"},
    {.keyword = "keepalives_count"},
    {.keyword = "tcp_user_timeout"},
    {.keyword = "fallback_application_name"},
    {.keyword = NULL},
};

static PQconninfoOption *copy_options(void)
{
    PQconninfoOption *copy = malloc(sizeof(option_rows));

    memcpy(copy, option_rows, sizeof(option_rows));
    return copy;
}

PQconninfoOption *PQconninfoParse(const char *conninfo, char **message)
{
    (void) conninfo;
    (void) message;
    return copy_options();
}

PQconninfoOption *PQconninfo(PGconn *connection)
{
    (void) connection;
    return copy_options();
}

PQconninfoOption *PQconndefaults(void)
{
    return copy_options();
}

void PQconninfoFree(PQconninfoOption *options)
{
    free(options);
}

void PQfreemem(void *memory)
{
    free(memory);
}

PGconn *PQconnectStartParams(const char *const *keywords, const char *const *values, int expand)
{
    (void) keywords;
    (void) values;
    (void) expand;
    return calloc(1, sizeof(PGconn));
}

void PQreset(PGconn *connection)
{
    (void) connection;
}

PostgresPollingStatusType PQconnectPoll(PGconn *connection)
{
    (void) connection;
    return PGRES_POLLING_OK;
}

void PQfinish(PGconn *connection)
{
    free(connection);
}

ConnStatusType PQstatus(const PGconn *connection)
{
    return connection->bad ? CONNECTION_BAD : CONNECTION_OK;
}

int PQconnectionNeedsPassword(const PGconn *connection)
{
    (void) connection;
    return 0;
}

int PQconnectionUsedPassword(const PGconn *connection)
{
    (void) connection;
    return 0;
}

char *PQhost(const PGconn *connection)
{
    static char host[] = "";

    (void) connection;
    return host;
}

char *PQhostaddr(const PGconn *connection)
{
    return PQhost(connection);
}

char *PQport(const PGconn *connection)
{
    return PQhost(connection);
}

char *PQdb(const PGconn *connection)
{
    return PQhost(connection);
}

char *PQuser(const PGconn *connection)
{
    return PQhost(connection);
}

char *PQpass(const PGconn *connection)
{
    return PQhost(connection);
}

/* Return the name without quotes: no name in the fuzzed statements needs any. */
char *PQescapeIdentifier(PGconn *connection, const char *name, size_t length)
{
    (void) connection;
    return strndup(name, length);
}

/* Number of the newest libpq, which has every option of a connection. */
int PQlibVersion(void)
{
    return 190000;
}

int PQserverVersion(const PGconn *connection)
{
    (void) connection;
    return server_version;
}

const char *PQparameterStatus(const PGconn *connection, const char *name)
{
    (void) connection;
    (void) name;
    return "UTF8";
}

int PQsocket(const PGconn *connection)
{
    (void) connection;
    return SOCKET;
}

int PQsslInUse(PGconn *connection)
{
    (void) connection;
    return 0;
}

int PQsetnonblocking(PGconn *connection, int on)
{
    (void) connection;
    (void) on;
    return 0;
}

int PQflush(PGconn *connection)
{
    (void) connection;
    return 0;
}

char *PQerrorMessage(const PGconn *connection)
{
    (void) connection;
    return (char *) "no such luck\n";
}

PGVerbosity PQsetErrorVerbosity(PGconn *connection, PGVerbosity verbosity)
{
    (void) connection;
    return verbosity;
}

PQnoticeReceiver PQsetNoticeReceiver(PGconn *connection, PQnoticeReceiver receiver, void *argument)
{
    (void) connection;
    (void) argument;
    return receiver;
}

PGcancel *PQgetCancel(PGconn *connection)
{
    (void) connection;
    return NULL;
}

void PQfreeCancel(PGcancel *cancel)
{
    (void) cancel;
}

int PQcancel(PGcancel *cancel, char *message, int size)
{
    (void) cancel;
    (void) message;
    (void) size;
    return 1;
}

/* ---- Queries ---- */

/* The next place of the ring. */
static int new_answer(PGconn *connection)
{
    if (connection->count == ANSWERS_MAX)
        __builtin_trap();
    return (connection->first + connection->count++) % ANSWERS_MAX;
}

int PQsendQueryParams(PGconn *connection, const char *sql, int count, const Oid *types,
                      const char *const *parameters, const int *lengths, const int *formats,
                      int format)
{
    FakeAnswer *answer;
    int place;

    (void) types;
    (void) lengths;
    (void) formats;
    if (connection->bad)
        return 0;
    if (connection->pipeline == PQ_PIPELINE_OFF)
    {
        connection->count = 0; /* the answer before was read, or is not wanted */
        connection->reading = (Reading){0};
    }
    place = new_answer(connection);
    synchronizes[place] = false;
    answer = &answers[place];
    answer->columns = 1;
    answer->rows = 0;
    answer->format = format;
    answer->type = format == 1 ? 17 : 25;
    answer->sqlstate = NULL;
    answer->lost = false;
    answer->kept_size = 0;
    server(sql, count, parameters, format == 1, answer);
    return 1;
}

int PQenterPipelineMode(PGconn *connection)
{
    if (connection->bad)
        return 0;
    connection->pipeline = PQ_PIPELINE_ON;
    connection->count = 0;
    connection->reading = (Reading){0};
    return 1;
}

int PQpipelineSync(PGconn *connection)
{
    if (connection->bad)
        return 0;
    synchronizes[new_answer(connection)] = true;
    return 1;
}

PGpipelineStatus PQpipelineStatus(const PGconn *connection)
{
    return connection->pipeline;
}

int PQsendQuery(PGconn *connection, const char *sql)
{
    return PQsendQueryParams(connection, sql, 0, NULL, NULL, NULL, NULL, 0);
}

int PQsetSingleRowMode(PGconn *connection)
{
    connection->reading.single_rows = true;
    return 1;
}

int PQisBusy(PGconn *connection)
{
    (void) connection;
    return 0;
}

PGnotify *PQnotifies(PGconn *connection)
{
    (void) connection;
    return NULL;
}

int PQconsumeInput(PGconn *connection)
{
    return !connection->bad;
}

/* All values lie in one piece of memory, of just their size, each with a NUL behind it. */
static PGresult *make_result(const FakeAnswer *answer, ExecStatusType status, int first_row,
                             int rows)
{
    const int count = rows * answer->columns;
    PGresult *result;
    size_t size = 0;
    char *bytes;

    for (int i = 0; i < count; i++)
        size += answer->values[first_row + i / answer->columns][i % answer->columns].size + 1;
    result = malloc(sizeof(PGresult) + (size_t) count * sizeof(FakeValue) + size);
    *result = (PGresult){.status = status,
                         .columns = answer->columns,
                         .rows = rows,
                         .format = answer->format,
                         .type = answer->type};
    bytes = (char *) (result->values + count);
    for (int i = 0; i < count; i++)
    {
        const FakeValue *value =
            &answer->values[first_row + i / answer->columns][i % answer->columns];

        result->values[i] =
            (FakeValue){.bytes = bytes, .size = value->bytes != NULL ? value->size : SIZE_MAX};
        if (value->bytes != NULL)
            memcpy(bytes, value->bytes, value->size);
        bytes[value->size] = '\0';
        bytes += value->size + 1;
    }
    return result;
}

/* Make the result that follows the rows: success, or the answer's error. */
static PGresult *last_result(PGconn *connection, const FakeAnswer *answer, int rows)
{
    PGresult *result;

    connection->reading.ended = true;
    if (!answer->lost && answer->sqlstate == NULL)
        return make_result(answer, PGRES_TUPLES_OK, 0, rows);
    result = make_result(answer, PGRES_FATAL_ERROR, 0, 0);
    connection->bad = connection->bad || answer->lost;
    if (!answer->lost)
        strncpy(result->sqlstate, answer->sqlstate, 5);
    return result;
}

static void next_answer(PGconn *connection)
{
    connection->first = (connection->first + 1) % ANSWERS_MAX;
    connection->count--;
    connection->reading = (Reading){0};
}

PGresult *PQgetResult(PGconn *connection)
{
    const FakeAnswer *answer = &answers[connection->first];
    Reading *reading = &connection->reading;

    if (connection->count == 0)
        return NULL;
    if (synchronizes[connection->first])
    {
        next_answer(connection);
        connection->aborted = false;
        return make_result(answer, PGRES_PIPELINE_SYNC, 0, 0);
    }
    if (reading->ended)
    {
        if (connection->pipeline == PQ_PIPELINE_ON)
            next_answer(connection);
        return NULL;
    }
    if (connection->aborted)
    {
        reading->ended = true;
        return make_result(answer, PGRES_PIPELINE_ABORTED, 0, 0);
    }
    if (reading->single_rows && reading->row < answer->rows)
        return make_result(answer, PGRES_SINGLE_TUPLE, reading->row++, 1);
    connection->aborted = connection->pipeline == PQ_PIPELINE_ON && answer->sqlstate != NULL;
    return last_result(connection, answer, reading->single_rows ? 0 : answer->rows);
}

ExecStatusType PQresultStatus(const PGresult *result)
{
    return result != NULL ? result->status : PGRES_FATAL_ERROR;
}

char *PQresStatus(ExecStatusType status)
{
    (void) status;
    return (char *) "PGRES";
}

char *PQresultErrorMessage(const PGresult *result)
{
    (void) result;
    return (char *) "ERROR:  no such luck\n";
}

char *PQresultErrorField(const PGresult *result, int field)
{
    if (field != PG_DIAG_SQLSTATE)
        return (char *) "ERROR";
    return result != NULL && result->sqlstate[0] != '\0' ? (char *) result->sqlstate : NULL;
}

void PQclear(PGresult *result)
{
    free(result);
}

int PQnfields(const PGresult *result)
{
    return result->columns;
}

int PQntuples(const PGresult *result)
{
    return result->rows;
}

int PQfformat(const PGresult *result, int column)
{
    (void) column;
    return result->format;
}

Oid PQftype(const PGresult *result, int column)
{
    (void) column;
    return result->type;
}

static const FakeValue *value_at(const PGresult *result, int row, int column)
{
    if (row < 0 || row >= result->rows || column < 0 || column >= result->columns)
        __builtin_trap();
    return &result->values[row * result->columns + column];
}

int PQgetisnull(const PGresult *result, int row, int column)
{
    return value_at(result, row, column)->size == SIZE_MAX;
}

char *PQgetvalue(const PGresult *result, int row, int column)
{
    return (char *) value_at(result, row, column)->bytes;
}

int PQgetlength(const PGresult *result, int row, int column)
{
    const size_t size = value_at(result, row, column)->size;

    return size == SIZE_MAX ? 0 : (int) size;
}
