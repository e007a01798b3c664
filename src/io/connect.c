#include "io/connect.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ADDED_MAX 8
#define NUMBER_SIZE 16
#define WAIT_MILLISECONDS 100
#define PROBE_SECONDS 5
#define RETRY_TIMEOUT_USUAL_SECONDS 60
#define RETRY_TIMEOUT_LONG_SECONDS 600 /* a retry of hours may notice a loss later */
#define CONNECT_TIMEOUT_SECONDS_MIN 2  /* libpq takes less for 2 */
#define CONNECT_TIMEOUT_SECONDS_MAX 15

/* Keywords and values for PQconnectdbParams; they point into the attempt and to literals. */
typedef struct ParameterList
{
    const char **keywords;
    const char **values;
    size_t count;
} ParameterList;

/*
 * One attempt to connect, made in a thread of its own: name resolution, libpq's walk through
 * several hosts and their timeouts cannot be interrupted, but we must be able to stop or time out
 * during the attempt. The last of the two, this thread or the one that waits for it, frees the
 * struct.
 */
typedef struct ConnectAttempt
{
    PQconninfoOption *options;
    ParameterList list;
    char idle[NUMBER_SIZE];
    char interval[NUMBER_SIZE];
    char user_timeout[NUMBER_SIZE];
    char connect_timeout[NUMBER_SIZE];

    PGconn *pg;       /* the result */
    char sqlstate[6]; /* of the server's refusal; "": no server has said one */
    ErrorKind kind;
    ConnectionRefusal refusal;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t ended;
    bool is_over;
    bool abandoned; /* no thread waits for it any more */
} ConnectAttempt;

/* Attempts that were given up and have not come to their end. */
static atomic_int abandoned_count;

bool connection_attempts_go_on(void)
{
    return abandoned_count > 0;
}

const char *connect_trimmed(const char *message, char *out, size_t size)
{
    size_t length;

    snprintf(out, size, "%s", message != NULL ? message : "");
    length = strlen(out);
    while (length > 0 && out[length - 1] == '\n')
        out[--length] = '\0';
    return out;
}

const PQconninfoOption *connect_find_option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options;
    return NULL;
}

/* ---- Parameters for libpq ---- */

/* Does the string or the environment choose this option? Options that libpq lacks count as chosen.
 */
static bool is_chosen(const PQconninfoOption *options, const char *keyword)
{
    const PQconninfoOption *option = connect_find_option(options, keyword);

    return option == NULL || option->val != NULL ||
           (option->envvar != NULL && getenv(option->envvar) != NULL);
}

static void add_parameter(ParameterList *list, const char *keyword, const char *value)
{
    list->keywords[list->count] = keyword;
    list->values[list->count] = value;
    list->count++;
}

static void add_number(ParameterList *list, const char *keyword, int number, int least,
                       char text[NUMBER_SIZE])
{
    snprintf(text, NUMBER_SIZE, "%d", number > least ? number : least);
    add_parameter(list, keyword, text);
}

static const char *const keepalive_keywords[] = {"keepalives", "keepalives_idle",
                                                 "keepalives_interval", "keepalives_count"};

static bool chooses_keepalives(const PQconninfoOption *options)
{
    for (size_t index = 0; index < sizeof(keepalive_keywords) / sizeof(char *); index++)
        if (is_chosen(options, keepalive_keywords[index]))
            return true;
    return false;
}

/* The retry timeout as far as it tells how soon a loss has to be noticed. */
static int notice_seconds(int retry_timeout_seconds)
{
    if (retry_timeout_seconds == 0)
        return RETRY_TIMEOUT_USUAL_SECONDS;
    return retry_timeout_seconds < RETRY_TIMEOUT_LONG_SECONDS ? retry_timeout_seconds
                                                              : RETRY_TIMEOUT_LONG_SECONDS;
}

int connect_silence_milliseconds(int retry_timeout_seconds)
{
    return 1000 / 2 * notice_seconds(retry_timeout_seconds);
}

/*
 * A peer that is gone without a word is noticed in half the retry timeout also by the system, which
 * would take two hours otherwise: while it is asked nothing (keepalives), while it does not confirm
 * what was sent (tcp_user_timeout). Any choice of the user's among the keepalives leaves them all
 * to him.
 */
static void add_timeouts(ConnectAttempt *attempt, int retry_timeout_seconds, AddedParameters *added)
{
    const PQconninfoOption *options = attempt->options;
    ParameterList *list = &attempt->list;
    const int seconds = notice_seconds(retry_timeout_seconds);
    /* What a service file chooses is not known here; ours would go before it. */
    const bool has_service = is_chosen(options, "service");
    const int connect_timeout =
        seconds / 4 < CONNECT_TIMEOUT_SECONDS_MAX ? seconds / 4 : CONNECT_TIMEOUT_SECONDS_MAX;

    added->keepalives = !has_service && !chooses_keepalives(options);
    if (added->keepalives)
    {
        add_number(list, "keepalives_idle", seconds / 4, 1, attempt->idle);
        add_number(list, "keepalives_interval", seconds / 12, 1, attempt->interval);
        add_parameter(list, "keepalives_count", "3");
    }
    added->tcp_user_timeout = !has_service && !is_chosen(options, "tcp_user_timeout");
    if (added->tcp_user_timeout)
        add_number(list, "tcp_user_timeout", connect_silence_milliseconds(seconds), 1000,
                   attempt->user_timeout);
    added->connect_timeout = !has_service && !is_chosen(options, "connect_timeout");
    if (added->connect_timeout)
        add_number(list, "connect_timeout", connect_timeout, CONNECT_TIMEOUT_SECONDS_MIN,
                   attempt->connect_timeout);
}

/* What the string sets, and our own defaults. Ends with NULL. */
static void collect_parameters(ConnectAttempt *attempt, int retry_timeout_seconds,
                               AddedParameters *added)
{
    const PQconninfoOption *options = attempt->options;
    ParameterList *list = &attempt->list;
    size_t count = 0;

    while (options[count].keyword != NULL)
        count++;
    list->keywords = memory_allocate_zeroed(count + ADDED_MAX, sizeof(char *));
    list->values = memory_allocate_zeroed(count + ADDED_MAX, sizeof(char *));
    for (size_t index = 0; index < count; index++)
        if (options[index].val != NULL)
            add_parameter(list, options[index].keyword, options[index].val);
    if (!is_chosen(options, "fallback_application_name"))
        add_parameter(list, "fallback_application_name", "pg_rewind");
    add_timeouts(attempt, retry_timeout_seconds, added);
}

bool connect_is_added(const AddedParameters *added, const char *keyword)
{
    if (added->tcp_user_timeout && strcmp(keyword, "tcp_user_timeout") == 0)
        return true;
    if (added->connect_timeout && strcmp(keyword, "connect_timeout") == 0)
        return true;
    for (size_t index = 0; index < sizeof(keepalive_keywords) / sizeof(char *); index++)
        if (added->keepalives && strcmp(keyword, keepalive_keywords[index]) == 0)
            return true;
    return false;
}

/* ---- Why it failed ---- */

static bool is_one_of(const char *sqlstate, const char *const *states)
{
    for (; *states != NULL; states++)
        if (strcmp(sqlstate, *states) == 0)
            return true;
    return false;
}

#define TOO_MANY_CONNECTIONS "53300" /* of the server, the database or the role */
#define NO_PRIVILEGE "42501"

/* Shutting down, crashed, starting up. */
static const char *const not_ready_states[] = {"57P01", "57P02", "57P03", NULL};

bool connect_is_passing(const char *sqlstate)
{
    static const char *const states[] = {
        "08000", "08001", "08003", "08004", "08006", /* connection exceptions */
        "08P01",          /* what pgbouncer says whatever is wrong with its server */
        "25P03", "25P04", /* idle in transaction, or in it too long: a pooler's server */
        "40001", "40P01", /* conflict with recovery, on a standby */
        "57014",          /* cancelled by statement_timeout, or by somebody */
        "57P05",          /* idle for too long */
        "58P01",          /* a file was removed while the server looked at it */
        NULL};

    return strcmp(sqlstate, TOO_MANY_CONNECTIONS) == 0 || is_one_of(sqlstate, not_ready_states) ||
           is_one_of(sqlstate, states);
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

/* ---- What to do about it ---- */

#define CONNECTION_STRING_HINT                                                                     \
    "--source-server takes a connection string of libpq, such as \"host=... port=5432 user=... "   \
    "dbname=postgres\", or a URI, postgresql://user@host:5432/postgres."
#define CERTIFICATE_HINT "Check sslmode, sslrootcert, sslcert and sslkey in the connection string."
#define SERVICE_HINT "Check service=... and the service file (PGSERVICEFILE)."

typedef struct ConnectionHint
{
    const char *sqlstate;
    const char *word; /* in the message; NULL: any */
    bool lasts;       /* libpq itself refuses, and will do so again */
    const char *hint;
} ConnectionHint;

/* What helps, by the server's SQLSTATE (in any language) or, where no server has refused the
 * connection, by libpq's own words, which are English. The first row that fits counts. */
static const ConnectionHint connection_hints[] = {
    {"3D000", NULL, false,
     "Name a database of the source with dbname=...: without it libpq takes the one that is called "
     "like the role. The role's grants must be in that database."},
    {"28P01", NULL, false,
     "Check user=... and the password: in a password file (PGPASSFILE, ~/.pgpass), in PGPASSWORD, "
     "or password=... in the connection string."},
    {"28000", "pg_hba.conf", false,
     "Let this role in by a line of the source's pg_hba.conf, and make the source read it: SELECT "
     "pg_reload_conf(); (A line with hostssl needs SSL: sslmode=require.)"},
    {"28000", NULL, false,
     "Check user=...: the role must exist on the source, have LOGIN, and be let in by the source's "
     "pg_hba.conf. Without user=... libpq takes PGUSER or the name of the operating system's "
     "user."},
    {"", "does not support SSL", true,
     "Check sslmode in the connection string, and the setting \"ssl\" of the source."},
    {"", "certificate", true, CERTIFICATE_HINT},
    {"", "private key", true, CERTIFICATE_HINT},
    {"", " alert ", true, CERTIFICATE_HINT},
    {"", "SSL", false, CERTIFICATE_HINT},
    {"", "GSS", false, "Without GSSAPI: gssencmode=disable in the connection string."},
    {"", "invalid ", true, CONNECTION_STRING_HINT},
    {"", "definition of service", true, SERVICE_HINT},
    {"", "service file", true, SERVICE_HINT},
    {"", NULL, false,
     "Is the source running? Check host and port in the connection string, listen_addresses of the "
     "source, and firewalls between the two machines."},
};

/* The row that fits, or NULL. */
static const ConnectionHint *find_connection_hint(const ConnectAttempt *attempt)
{
    const size_t count = sizeof(connection_hints) / sizeof(connection_hints[0]);

    for (size_t i = 0; i < count; i++)
    {
        const ConnectionHint *row = &connection_hints[i];

        if (strcmp(attempt->sqlstate, row->sqlstate) == 0 &&
            (row->word == NULL || strstr(PQerrorMessage(attempt->pg), row->word) != NULL))
            return row;
    }
    return NULL;
}

/* Has libpq refused to connect for a reason that lasts? Of several hosts or addresses, for each of
 * which a message begins so, another may do better. */
static bool settings_are_wrong(const ConnectAttempt *attempt)
{
    static const char begin[] = "connection to server";
    const ConnectionHint *row = find_connection_hint(attempt);
    const char *first = strstr(PQerrorMessage(attempt->pg), begin);

    return row != NULL && row->lasts &&
           (first == NULL || strstr(first + strlen(begin), begin) == NULL);
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
        if (poll(&waited, 1, WAIT_MILLISECONDS) > 0)
            status = PQconnectPoll(pg);
    }
    return status == PGRES_POLLING_OK;
}

/* May it have failed because no server answered within connect_timeout? */
static bool may_have_timed_out(const ConnectAttempt *attempt, double seconds)
{
    const ParameterList *list = &attempt->list;
    double timeout = 0;

    for (size_t index = 0; index < list->count; index++)
        if (strcmp(list->keywords[index], "connect_timeout") == 0)
            timeout = atoi(list->values[index]);
    return timeout > 0 && seconds >= timeout;
}

/*
 * Why did connecting fail? libpq has no SQLSTATE for that, so look at one more attempt, whose
 * messages are verbose. No answer from a server counts as passing.
 */
static void find_reason(ConnectAttempt *attempt, double seconds)
{
    char *sqlstate = attempt->sqlstate;
    PGconn *pg;

    attempt->kind = ERROR_RETRY;
    if (may_have_timed_out(attempt, seconds))
        return;
    if (PQconnectionNeedsPassword(attempt->pg))
    {
        attempt->kind = ERROR_FAILED;
        return;
    }
    pg = PQconnectStartParams(attempt->list.keywords, attempt->list.values, 0);
    if (pg == NULL)
        out_of_memory();
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    if (PQstatus(pg) != CONNECTION_BAD && !probe_connects(pg) &&
        message_sqlstate(PQerrorMessage(pg), sqlstate))
    {
        if (strcmp(sqlstate, TOO_MANY_CONNECTIONS) == 0)
            attempt->refusal = REFUSAL_TOO_MANY;
        else if (is_one_of(sqlstate, not_ready_states))
            attempt->refusal = REFUSAL_NOT_READY;
        if (!connect_is_passing(sqlstate))
            attempt->kind = ERROR_FAILED;
    }
    PQfinish(pg);
    if (settings_are_wrong(attempt))
        attempt->kind = ERROR_FAILED;
}

/* ---- The attempt ---- */

static ConnectAttempt *make_attempt(PQconninfoOption *options, int retry_timeout_seconds,
                                    AddedParameters *added)
{
    ConnectAttempt *attempt = memory_allocate_zeroed(1, sizeof(ConnectAttempt));
    pthread_condattr_t clock;

    attempt->options = options;
    collect_parameters(attempt, retry_timeout_seconds, added);
    pthread_mutex_init(&attempt->lock, NULL);
    pthread_condattr_init(&clock);
    pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
    pthread_cond_init(&attempt->ended, &clock);
    pthread_condattr_destroy(&clock);
    return attempt;
}

static void free_attempt(ConnectAttempt *attempt)
{
    PQfinish(attempt->pg);
    free(attempt->list.keywords);
    free(attempt->list.values);
    PQconninfoFree(attempt->options);
    pthread_cond_destroy(&attempt->ended);
    pthread_mutex_destroy(&attempt->lock);
    free(attempt);
}

static void *run_attempt(void *argument)
{
    ConnectAttempt *attempt = argument;
    const double begin = clock_seconds();
    bool abandoned;

    attempt->pg = PQconnectdbParams(attempt->list.keywords, attempt->list.values, 0);
    if (attempt->pg == NULL)
        out_of_memory();
    if (PQstatus(attempt->pg) != CONNECTION_OK)
        find_reason(attempt, clock_seconds() - begin);
    pthread_mutex_lock(&attempt->lock);
    attempt->is_over = true;
    abandoned = attempt->abandoned;
    pthread_cond_signal(&attempt->ended);
    pthread_mutex_unlock(&attempt->lock);
    if (abandoned)
    {
        free_attempt(attempt);
        abandoned_count--;
    }
    return NULL;
}

/* Start the thread. It gets no signals: those are for the threads that check the flag. */
static bool start_thread(ConnectAttempt *attempt, pthread_t *thread)
{
    sigset_t all, before;
    bool started;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    started = pthread_create(thread, NULL, run_attempt, attempt) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Wait for the thread's end; false with error when a stop or the end of the time comes before. */
static bool wait_for_attempt(ConnectAttempt *attempt, double seconds, Error *error)
{
    const double begin = clock_seconds();
    bool result = true;

    pthread_mutex_lock(&attempt->lock);
    while (!attempt->is_over && result)
    {
        struct timespec until;

        result = stop_check(error);
        if (result && seconds > 0 && clock_seconds() - begin >= seconds)
            result =
                error_set(error, ERROR_RETRY, "could not connect to the source server: no answer");
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WAIT_MILLISECONDS * 1000000L;
        if (until.tv_nsec >= 1000000000)
        {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
        if (result)
            (void) pthread_cond_timedwait(&attempt->ended, &attempt->lock, &until);
    }
    attempt->abandoned = !attempt->is_over;
    abandoned_count += attempt->abandoned ? 1 : 0;
    result = attempt->is_over;
    pthread_mutex_unlock(&attempt->lock);
    return result;
}

/* The role has not the right CONNECT on the database. */
static void hint_at_grant(PGconn *pg, Error *error)
{
    char *database = PQescapeIdentifier(pg, PQdb(pg), strlen(PQdb(pg)));
    char *role = PQescapeIdentifier(pg, PQuser(pg), strlen(PQuser(pg)));

    if (database != NULL && role != NULL)
        error_hint(
            error,
            "Run this as a superuser of the source:\n    GRANT CONNECT ON DATABASE %s TO %s;",
            database, role);
    PQfreemem(database);
    PQfreemem(role);
}

/* Take the result of an attempt that is over. */
static PGconn *take_result(ConnectAttempt *attempt, ConnectionRefusal *refusal, Error *error)
{
    PGconn *pg = attempt->pg;
    const ConnectionHint *hint;
    char message[4096];

    *refusal = attempt->refusal;
    if (PQstatus(pg) == CONNECTION_OK)
    {
        attempt->pg = NULL;
        return pg;
    }
    hint = find_connection_hint(attempt);
    error_set(error, attempt->kind, "%s", /* contract */
              connect_trimmed(PQerrorMessage(pg), message, sizeof(message)));
    if (PQconnectionNeedsPassword(pg))
        error_hint(error, "Put the password into a password file (PGPASSFILE, ~/.pgpass) or into "
                          "PGPASSWORD: pg_rewind does not ask for it.");
    else if (strcmp(attempt->sqlstate, NO_PRIVILEGE) == 0)
        hint_at_grant(pg, error);
    else if (hint != NULL)
        error_hint(error, "%s", hint->hint);
    return NULL;
}

PGconn *connect_to_server(const char *conninfo, int retry_timeout_seconds, double seconds,
                          AddedParameters *added, ConnectionRefusal *refusal, Error *error)
{
    char *parse_message = NULL;
    char message[2048];
    PQconninfoOption *options = PQconninfoParse(conninfo, &parse_message);
    ConnectAttempt *attempt;
    pthread_t thread;
    PGconn *pg;

    *refusal = REFUSAL_NONE;
    if (options == NULL)
    {
        error_set(error, ERROR_FAILED, "%s",
                  connect_trimmed(parse_message, message, sizeof(message)));
        error_hint(error, CONNECTION_STRING_HINT);
        PQfreemem(parse_message);
        return NULL;
    }
    attempt = make_attempt(options, retry_timeout_seconds, added);
    if (!start_thread(attempt, &thread))
        (void) run_attempt(attempt); /* the system gives no more threads: wait here */
    else if (wait_for_attempt(attempt, seconds, error))
        pthread_join(thread, NULL);
    else
    {
        pthread_detach(thread);
        return NULL;
    }
    pg = take_result(attempt, refusal, error);
    free_attempt(attempt);
    return pg;
}
