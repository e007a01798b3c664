#include "io/connection.h"

#include "base/clock.h"
#include "base/text_cursor.h"
#include "base/wait.h"
#include "base/workers.h"

#include <libpq-fe.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POLL_MILLISECONDS 100
#define PROBE_SECONDS 5
#define RETRY_TIMEOUT_USUAL_SECONDS 60
#define RETRY_TIMEOUT_LONG_SECONDS 600 /* a retry of hours may notice a loss later */
#define CONNECT_TIMEOUT_SECONDS_MIN 2  /* libpq takes less for 2 */
#define CONNECT_TIMEOUT_SECONDS_MAX 15

#define CONNECTION_STRING_HINT                                                                     \
    "--source-server takes a connection string of libpq, such as \"host=... port=5432 user=... "   \
    "dbname=postgres\", or a URI, postgresql://user@host:5432/postgres."
#define CERTIFICATE_HINT "Check sslmode, sslrootcert, sslcert and sslkey in the connection string."
#define SERVICE_HINT "Check service=... and the service file (PGSERVICEFILE)."

/*
 * One attempt to connect, made in its own thread: name resolution, libpq's walk through several
 * hosts and their timeouts cannot be interrupted, but we must be able to stop or time out during
 * the attempt. Two threads share an attempt that was given up, this one and the one that waited for
 * it: the second one to leave frees it.
 */
typedef struct ConnectAttempt
{
    Arena *arena; /* owns the values */
    PQconninfoOption *options;
    const char *keywords[CONNECT_PARAMETERS_MAX + 1]; /* for PQconnectdbParams, up to a NULL */
    const char *values[CONNECT_PARAMETERS_MAX + 1];
    size_t count;

    PGconn *pg;       /* the result */
    char sqlstate[6]; /* SQLSTATE of the server's refusal; "": no server has sent one */
    ErrorKind kind;
    ConnectionRefusal refusal;
    atomic_bool left; /* by one of the two */
} ConnectAttempt;

/* Attempts that were given up and have not come to their end. */
static atomic_int abandoned_count;

bool connection_attempts_go_on(void)
{
    return abandoned_count > 0;
}

static const PQconninfoOption *find_option(const PQconninfoOption *options, const char *keyword)
{
    for (; options->keyword != NULL; options++)
        if (strcmp(options->keyword, keyword) == 0)
            return options;
    return NULL;
}

/* Distributions may add an option to an older libpq: it is asked. */
bool connection_knows_option(const char *keyword)
{
    PQconninfoOption *options = PQconninfoParse("", NULL);
    bool known;

    if (options == NULL)
        out_of_memory();
    known = find_option(options, keyword) != NULL;
    PQconninfoFree(options);
    return known;
}

/* ---- Newer options ---- */

/* Connection options, and values of options, that not every libpq knows: not the one of this
 * program, or not the one of the target's server. An older libpq refuses such an option as if it
 * were misspelt, and ignores its environment variable. */
#define LIBPQ_MAJOR(version) ((version) / 10000)

typedef struct NewerOption
{
    const char *keyword;
    const char *variable; /* environment variable; NULL: none, or an older option's */
    int since;            /* major version of libpq */
    const char *value;    /* value that is new for an older option; NULL: the option is new */
    const char *demand;   /* a value that demands more of a server than a libpq without it does;
                             ANY_VALUE: each that is not empty; NULL: none */
} NewerOption;

#define ANY_VALUE ""

/* PQconninfoOptions in libpq/fe-connect.c of each version. */
static const NewerOption newer_options[] = {
    {"passfile", "PGPASSFILE", 10, NULL, NULL},
    {"target_session_attrs", "PGTARGETSESSIONATTRS", 10, NULL, NULL},
    {"tcp_user_timeout", NULL, 12, NULL, NULL},
    {"gssencmode", "PGGSSENCMODE", 12, NULL, "require"},
    {"channel_binding", "PGCHANNELBINDING", 13, NULL, "require"},
    {"ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", 13, NULL, NULL},
    {"ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", 13, NULL, NULL},
    {"sslpassword", NULL, 13, NULL, NULL},
    {"sslcrldir", "PGSSLCRLDIR", 14, NULL, ANY_VALUE},
    {"sslsni", "PGSSLSNI", 14, NULL, NULL},
    {"target_session_attrs", NULL, 14, "primary", NULL},
    {"target_session_attrs", NULL, 14, "standby", NULL},
    {"target_session_attrs", NULL, 14, "prefer-standby", NULL},
    {"target_session_attrs", NULL, 14, "read-only", NULL},
    {"require_auth", "PGREQUIREAUTH", 16, NULL, ANY_VALUE},
    {"sslcertmode", "PGSSLCERTMODE", 16, NULL, NULL},
    {"gssdelegation", "PGGSSDELEGATION", 16, NULL, NULL},
    {"load_balance_hosts", "PGLOADBALANCEHOSTS", 16, NULL, NULL},
    {"sslrootcert", NULL, 16, "system", "system"},
    {"sslnegotiation", "PGSSLNEGOTIATION", 17, NULL, NULL},
    {"min_protocol_version", "PGMINPROTOCOLVERSION", 18, NULL, NULL},
    {"max_protocol_version", "PGMAXPROTOCOLVERSION", 18, NULL, NULL},
    {"servicefile", NULL, 18, NULL, NULL},
    {"sslkeylogfile", NULL, 18, NULL, NULL},
    {"scram_client_key", NULL, 18, NULL, NULL},
    {"scram_server_key", NULL, 18, NULL, NULL},
    {"oauth_issuer", NULL, 18, NULL, NULL},
    {"oauth_client_id", NULL, 18, NULL, NULL},
    {"oauth_client_secret", NULL, 18, NULL, NULL},
    {"oauth_scope", NULL, 18, NULL, NULL},
    {"oauth_ca_file", "PGOAUTHCAFILE", 19, NULL, NULL},
};

#define OPTION_COUNT (sizeof(newer_options) / sizeof(newer_options[0]))

OptionSupport connection_option_support(const char *keyword, const char *value, int version)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const NewerOption *option = &newer_options[i];

        if (strcmp(option->keyword, keyword) != 0 || version >= 100 * option->since ||
            (option->value != NULL && strcmp(option->value, value) != 0))
            continue;
        return option->demand != NULL && value[0] != '\0' &&
                       (strcmp(option->demand, ANY_VALUE) == 0 ||
                        strcmp(option->demand, value) == 0)
                   ? OPTION_UNKNOWN_RESTRICTION
                   : OPTION_UNKNOWN;
    }
    return OPTION_KNOWN;
}

/* Set the error, and return true, if libpq has refused a connection string for this reason because
 * it is older than the option that the reason names. */
static bool newer_option_refused(const char *reason, Error *error)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const NewerOption *option = &newer_options[i];
        char quoted[64];

        snprintf(quoted, sizeof(quoted), "\"%s\"", option->keyword);
        if (strstr(reason, quoted) == NULL || connection_knows_option(option->keyword))
            continue;
        error_set(error, ERROR_FAILED, "%s", reason);
        error_detail(error, "It is an option of libpq %d and later. pg_rewind runs with libpq %d.",
                     option->since, LIBPQ_MAJOR(PQlibVersion()));
        error_hint(error, "Leave it out, or let pg_rewind run with a newer libpq: install that "
                          "package of the system, such as PGDG's libpq5, or take the portable "
                          "directory that was built with one.");
        return true;
    }
    return false;
}

void connection_ignored_variables(Buffer *text)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const NewerOption *option = &newer_options[i];
        const char *value = option->variable != NULL ? getenv(option->variable) : NULL;

        if (value == NULL || value[0] == '\0' || connection_knows_option(option->keyword))
            continue;
        if (text->size == 0)
            buffer_printf(text, "libpq %d, with which pg_rewind runs, does not heed ",
                          LIBPQ_MAJOR(PQlibVersion()));
        else
            buffer_append_string(text, ", ");
        buffer_printf(text, "%s (of %d and later)", option->variable, option->since);
    }
}

/* ---- Connection strings ---- */

/* The options of a connection string, or NULL with error. The caller frees them. */
static PQconninfoOption *parse_conninfo(const char *conninfo, Error *error)
{
    char *reason = NULL;
    PQconninfoOption *options = PQconninfoParse(conninfo, &reason);

    if (options == NULL)
    {
        if (reason == NULL || !newer_option_refused(reason, error))
        {
            error_set(error, ERROR_FAILED, "%s", reason != NULL ? reason : "out of memory");
            error_hint(error, CONNECTION_STRING_HINT);
        }
        PQfreemem(reason);
    }
    return options;
}

bool connection_string_options(const char *conninfo, ConnectionOption visit, void *context,
                               Error *error)
{
    PQconninfoOption *options = parse_conninfo(conninfo, error);

    if (options == NULL)
        return false;
    for (const PQconninfoOption *option = options; option->keyword != NULL; option++)
        if (option->val != NULL)
            visit(context, option->keyword, option->val);
    PQconninfoFree(options);
    return true;
}

/* The value of one of the options, or NULL. Frees the options. */
static char *take_option_value(PQconninfoOption *options, const char *keyword, Arena *arena)
{
    const PQconninfoOption *option = options != NULL ? find_option(options, keyword) : NULL;
    char *value = NULL;

    if (option != NULL && option->val != NULL && option->val[0] != '\0')
        value = arena_strdup(arena, option->val);
    PQconninfoFree(options);
    return value;
}

char *conninfo_value(const char *conninfo, const char *keyword, Arena *arena)
{
    return take_option_value(PQconninfoParse(conninfo, NULL), keyword, arena);
}

char *connection_explicit_dbname(const char *conninfo, Arena *arena)
{
    char *dbname = conninfo_value(conninfo, "dbname", arena);

    /* libpq's defaults include PGDATABASE and a service's name, but not the user's name. */
    return dbname != NULL ? dbname : take_option_value(PQconndefaults(), "dbname", arena);
}

/* ---- Parameters for libpq ---- */

/* True if the string or the environment chooses this option. One that libpq lacks counts as chosen.
 */
static bool is_chosen(const PQconninfoOption *options, const char *keyword)
{
    const PQconninfoOption *option = find_option(options, keyword);

    return option == NULL || option->val != NULL ||
           (option->envvar != NULL && getenv(option->envvar) != NULL);
}

static void add_parameter(ConnectAttempt *attempt, const char *keyword, const char *value)
{
    attempt->keywords[attempt->count] = keyword;
    attempt->values[attempt->count++] = value;
}

static void add_number(ConnectAttempt *attempt, const char *keyword, int least, int number)
{
    add_parameter(attempt, keyword,
                  arena_printf(attempt->arena, "%d", number > least ? number : least));
}

/* The seconds within which a lost connection has to be noticed, from the retry timeout. */
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
 * The system, too, must notice within half the retry timeout that a peer is gone; without these
 * settings it takes two hours. The keepalives serve while the server is asked nothing,
 * tcp_user_timeout while it does not confirm what was sent. A user who sets one of the keepalives
 * sets them all.
 */
static void add_timeouts(ConnectAttempt *attempt, int retry_timeout_seconds)
{
    const PQconninfoOption *options = attempt->options;
    const int seconds = notice_seconds(retry_timeout_seconds);

    /* We do not know what a service file sets, and our own parameters would override it. */
    if (is_chosen(options, "service"))
        return;
    if (!is_chosen(options, "keepalives") && !is_chosen(options, "keepalives_idle") &&
        !is_chosen(options, "keepalives_interval") && !is_chosen(options, "keepalives_count"))
    {
        add_number(attempt, "keepalives_idle", 1, seconds / 4);
        add_number(attempt, "keepalives_interval", 1, seconds / 12);
        add_parameter(attempt, "keepalives_count", "3");
    }
    if (!is_chosen(options, "tcp_user_timeout"))
        add_number(attempt, "tcp_user_timeout", 1000, connect_silence_milliseconds(seconds));
    if (!is_chosen(options, "connect_timeout"))
        add_number(attempt, "connect_timeout", CONNECT_TIMEOUT_SECONDS_MIN,
                   seconds / 4 < CONNECT_TIMEOUT_SECONDS_MAX ? seconds / 4
                                                             : CONNECT_TIMEOUT_SECONDS_MAX);
}

/* ---- Why it failed ---- */

#define TOO_MANY_CONNECTIONS "53300" /* for the server, the database or the role */
#define NO_PRIVILEGE "42501"

/* Shutting down, crashed, starting up. */
static const char *const not_ready_states[] = {"57P01", "57P02", "57P03", NULL};

bool connect_sqlstate_is_transient(const char *sqlstate)
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

    return strcmp(sqlstate, TOO_MANY_CONNECTIONS) == 0 || is_among(sqlstate, not_ready_states) ||
           is_among(sqlstate, states);
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

/* ---- Hints for connection errors ---- */

typedef struct ConnectionHint
{
    const char *sqlstate;
    const char *word; /* in the message; NULL: any */
    bool lasts;       /* libpq itself refuses, and will do so again */
    const char *hint;
} ConnectionHint;

/* The hint by the server's SQLSTATE (in any language) or, if no server has refused the connection,
 * by libpq's own words, which are English. The first row that fits counts. */
static const ConnectionHint connection_hints[] = {
    {"3D000", NULL, false,
     "Name a database of the source with dbname=...: without it libpq takes the one that is called "
     "like the role. The role's grants must be in that database."},
    {"28P01", NULL, false,
     "Check user=... and the password: in a password file (PGPASSFILE, ~/.pgpass), in PGPASSWORD, "
     "or password=... in the connection string."},
    {"28000", "pg_hba.conf", false,
     "Let this role in by a line of the source's pg_hba.conf, and make the source read it: SELECT "
     "pg_catalog.pg_reload_conf(); (A line with hostssl needs SSL: sslmode=require.)"},
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
    {"", "local user ", true,
     "Name the role in the connection string: user=... Otherwise libpq takes the name of the "
     "operating system's user, and this one has none (no line in /etc/passwd)."},
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
 * Find out why connecting failed. libpq has no SQLSTATE for that, so make one more attempt, whose
 * messages are verbose. No answer from a server counts as passing.
 */
static void find_reason(ConnectAttempt *attempt, double seconds)
{
    static const char begin[] = "connection to server";
    const char *first = strstr(PQerrorMessage(attempt->pg), begin);
    const PQconninfoOption *option = find_option(attempt->options, "connect_timeout");
    double timeout = option != NULL && option->val != NULL ? atoi(option->val) : 0;
    const ConnectionHint *row;
    char *sqlstate = attempt->sqlstate;
    PGconn *pg;

    attempt->kind = ERROR_RETRY;
    for (size_t index = 0; index < attempt->count; index++)
        if (strcmp(attempt->keywords[index], "connect_timeout") == 0)
            timeout = atoi(attempt->values[index]);
    if (timeout > 0 && seconds >= timeout) /* no server may have answered */
        return;
    if (PQconnectionNeedsPassword(attempt->pg))
    {
        attempt->kind = ERROR_FAILED;
        return;
    }
    pg = PQconnectStartParams(attempt->keywords, attempt->values, 1);
    if (pg == NULL)
        out_of_memory();
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    if (PQstatus(pg) != CONNECTION_BAD && !probe_connects(pg) &&
        message_sqlstate(PQerrorMessage(pg), sqlstate))
    {
        if (strcmp(sqlstate, TOO_MANY_CONNECTIONS) == 0)
            attempt->refusal = REFUSAL_TOO_MANY;
        else if (is_among(sqlstate, not_ready_states))
            attempt->refusal = REFUSAL_NOT_READY;
        if (!connect_sqlstate_is_transient(sqlstate))
            attempt->kind = ERROR_FAILED;
    }
    PQfinish(pg);
    /* With several hosts or addresses, for each of which a message begins so, another one may do
     * better. */
    row = find_connection_hint(attempt);
    if (row != NULL && row->lasts &&
        (first == NULL || strstr(first + strlen(begin), begin) == NULL))
        attempt->kind = ERROR_FAILED;
}

/* ---- The attempt ---- */

static void free_attempt(ConnectAttempt *attempt)
{
    PQfinish(attempt->pg);
    arena_destroy(attempt->arena);
    PQconninfoFree(attempt->options);
    free(attempt);
}

static void leave_attempt(ConnectAttempt *attempt)
{
    if (!atomic_exchange(&attempt->left, true))
        return;
    free_attempt(attempt);
    abandoned_count--;
}

static void *run_attempt(void *argument)
{
    ConnectAttempt *attempt = argument;
    const double begin = clock_seconds();

    attempt->pg = PQconnectdbParams(attempt->keywords, attempt->values, 1);
    if (attempt->pg == NULL)
        out_of_memory();
    if (PQstatus(attempt->pg) != CONNECTION_OK)
        find_reason(attempt, clock_seconds() - begin);
    leave_attempt(attempt);
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
static bool wait_for_attempt(const ConnectAttempt *attempt, double seconds, Error *error)
{
    Wait wait = wait_begin(seconds > 0 ? seconds : INFINITY);
    bool ended;

    do
        ended = attempt->left;
    while (!wait_until(ended, &wait, error));
    if (!ended && !wait.stopped)
        error_set(error, ERROR_RETRY, "could not connect to the source server: no answer");
    return ended;
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

    *refusal = attempt->refusal;
    if (PQstatus(pg) == CONNECTION_OK)
    {
        attempt->pg = NULL;
        return pg;
    }
    hint = find_connection_hint(attempt);
    error_set(error, attempt->kind, "%s", PQerrorMessage(pg)); /* contract */
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
                          const char *keywords[CONNECT_PARAMETERS_MAX + 1],
                          ConnectionRefusal *refusal, Error *error)
{
    PQconninfoOption *options = parse_conninfo(conninfo, error);
    const PQconninfoOption *set;
    ConnectAttempt *attempt;
    pthread_t thread;
    PGconn *pg;

    *refusal = REFUSAL_NONE;
    if (options == NULL)
        return NULL;
    attempt = memory_allocate_zeroed(1, sizeof(ConnectAttempt));
    attempt->arena = arena_create();
    attempt->options = options;
    /* The string as a whole, since of a single parameter libpq takes an empty value for none, and
     * so the environment's; and our own parameters. libpq takes a string that sets anything where
     * a dbname may stand. */
    for (set = attempt->options; set->keyword != NULL && set->val == NULL;)
        set++;
    if (set->keyword != NULL)
        add_parameter(attempt, "dbname", arena_strdup(attempt->arena, conninfo));
    if (!is_chosen(attempt->options, "fallback_application_name"))
        add_parameter(attempt, "fallback_application_name", "pg_rewind");
    add_timeouts(attempt, retry_timeout_seconds);
    memcpy(keywords, attempt->keywords, sizeof(attempt->keywords));
    if (!start_thread(attempt, &thread))
        (void) run_attempt(attempt); /* the system refuses to start a thread: wait here */
    else if (wait_for_attempt(attempt, seconds, error))
        pthread_join(thread, NULL);
    else
    {
        abandoned_count++;
        pthread_detach(thread);
        leave_attempt(attempt);
        return NULL;
    }
    pg = take_result(attempt, refusal, error);
    free_attempt(attempt);
    return pg;
}

/* ---- Array literals ---- */

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
