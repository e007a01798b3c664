#include "io/connection.h"

#include "base/clock.h"
#include "base/log.h"
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

#define POLL_MILLISECONDS 100
#define CONNECT_PAUSE_MILLISECONDS 2
#define PROBE_SECONDS 5
#define RETRY_TIMEOUT_USUAL_SECONDS 60
#define RETRY_TIMEOUT_LONG_SECONDS 600 /* a longer retry timeout does not delay noticing a loss */
#define CONNECT_TIMEOUT_SECONDS_MIN 2  /* libpq raises smaller values to 2 */
#define CONNECT_TIMEOUT_SECONDS_MAX 15

#define CONNECTION_STRING_HINT                                                                     \
    "--source-server takes a connection string of libpq, such as \"host=... port=5432 user=... "   \
    "dbname=postgres\", or a URI, postgresql://user@host:5432/postgres."
#define CERTIFICATE_HINT "Check sslmode, sslrootcert, sslcert and sslkey in the connection string."
#define SERVICE_HINT "Check service=... and the service file (PGSERVICEFILE)."

/*
 * An attempt to connect, made in a separate thread. libpq's connecting (name resolution, several
 * hosts and their timeouts) cannot be interrupted, but the run must be able to stop or to time out
 * in the meantime. If the waiting thread gives the attempt up, both threads use it for a while: the
 * last one to leave (leave_attempt) frees the attempt.
 */
typedef struct ConnectAttempt
{
    Arena *arena; /* owns the parameters' values */
    PQconninfoOption *options;
    const char *keywords[CONNECT_PARAMETERS_MAX + 1]; /* parameters for PQconnectStartParams, ended
                                                         by NULL */
    const char *values[CONNECT_PARAMETERS_MAX + 1];
    size_t count;

    PGconn *pg;                        /* connection; may be a failed one */
    const struct NewerOption *misread; /* value that libpq would take for something else, so that
                                          nothing was connected to; NULL: none */
    char sqlstate[6];     /* SQLSTATE of the server's refusal; "": no server has sent one */
    double login_seconds; /* time that a host has for TLS and authentication; 0: the connection's
                             connect_timeout */
    double limit_seconds; /* time after which the waiting thread gives the attempt up; INFINITY:
                             never */
    bool begun_again; /* PQreset was called: a host did not accept at once, or not answer in time */
    ErrorKind kind;
    ConnectionRefusal refusal;
    atomic_bool left; /* the attempt's thread has finished, or the waiting thread has given it up */
} ConnectAttempt;

/* Number of attempts that were given up and whose threads still run. */
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

/* Asks libpq itself, not its version: distributions may add an option to an older libpq. */
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

#define LIBPQ_MAJOR(version) ((version) / 10000)

/* A connection option, or a value of an option, that is unknown to an older libpq, be it this
 * program's or that of the target's server. An older libpq refuses the option as a misspelt one,
 * and ignores its environment variable. */
typedef struct NewerOption
{
    const char *keyword;
    const char *variable; /* environment variable of a new option; NULL: none */
    int since;            /* first major version of libpq that knows the option or value */
    const char *value;    /* new value of an older option; NULL: the option itself is new */
    const char *demand;   /* value that restricts which servers are accepted, so that without the
                             option too many would be; ANY_VALUE: every value; NULL: none does */
} NewerOption;

#define ANY_VALUE ""

/* All newer options, as in PQconninfoOptions in libpq/fe-connect.c of each version. */
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
    {"sslkeylogfile", NULL, 18, NULL, NULL},
    {"scram_client_key", NULL, 18, NULL, NULL},
    {"scram_server_key", NULL, 18, NULL, NULL},
    {"oauth_issuer", NULL, 18, NULL, NULL},
    {"oauth_client_id", NULL, 18, NULL, NULL},
    {"oauth_client_secret", NULL, 18, NULL, NULL},
    {"oauth_scope", NULL, 18, NULL, NULL},
    {"servicefile", NULL, 19, NULL, NULL},
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

bool connection_misreads(const char *keyword, const char *value)
{
    return connection_knows_option(keyword) &&
           connection_option_support(keyword, value, 100 * LIBPQ_MAJOR(PQlibVersion())) ==
               OPTION_UNKNOWN_RESTRICTION;
}

/* Add the rest of the error about an option or value that is newer than this libpq. instead: what
 * can be done without another libpq. */
static bool explain_newer_option(const NewerOption *option, const char *instead, Error *error)
{
    error_detail(error, "It is %s of libpq %d and later. pg_rewind runs with libpq %d.",
                 option->value != NULL ? "a value" : "an option", option->since,
                 LIBPQ_MAJOR(PQlibVersion()));
    return error_hint(error,
                      "%s, or let pg_rewind run with a newer libpq: install that package of the "
                      "system, such as PGDG's libpq5, or take the portable directory that was "
                      "built with one.",
                      instead);
}

/* If `reason`, libpq's message about a connection string, names an option that is newer than this
 * libpq, set the error and return true. */
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
        explain_newer_option(option, "Leave it out", error);
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

/* Returns the options of a connection string, to be freed with PQconninfoFree; NULL with error. */
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

/* Returns a copy of the option's value, in the arena, and frees the options; NULL if not set. */
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

/* True if the connection string or the environment sets this option, or if libpq does not know it:
 * then no default of this program may be added. */
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

/* Returns the number of seconds within which the loss of a connection has to be noticed. */
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
 * Add parameters by which the operating system notices within half the retry timeout that the
 * server is gone; its own defaults take two hours. Keepalives notice it while nothing is sent,
 * tcp_user_timeout while sent data is not confirmed. If the user sets one of the keepalives, none
 * is added.
 */
static void add_timeouts(ConnectAttempt *attempt, int retry_timeout_seconds)
{
    const PQconninfoOption *options = attempt->options;
    const int seconds = notice_seconds(retry_timeout_seconds);
    const double quarter =
        (attempt->limit_seconds < seconds ? attempt->limit_seconds : seconds) / 4;

    /* Our parameters would override those of a service file, which are not known here. */
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
    if (is_chosen(options, "connect_timeout"))
        return;
    attempt->login_seconds = seconds;
    add_number(attempt, "connect_timeout", CONNECT_TIMEOUT_SECONDS_MIN,
               quarter < CONNECT_TIMEOUT_SECONDS_MAX ? (int) quarter : CONNECT_TIMEOUT_SECONDS_MAX);
}

/* ---- Beginning to connect ---- */

static void log_notice(void *argument, const PGresult *result)
{
    (void) argument;
    log_debug("%s", PQresultErrorMessage(result));
}

/*
 * Begin to connect; no byte of the peer is read yet. Rule T2: no connection exists without the
 * notice receiver, since libpq's own one prints to the terminal what a peer says, even before the
 * peer has proved who it is.
 */
static PGconn *begin_connecting(const ConnectAttempt *attempt)
{
    PGconn *pg = PQconnectStartParams(attempt->keywords, attempt->values, 1);

    if (pg == NULL)
        out_of_memory();
    PQsetNoticeReceiver(pg, log_notice, NULL);
    return pg;
}

/* True if the host that is tried now has accepted the connection. */
static bool is_accepted(const PGconn *pg)
{
    const ConnStatusType status = PQstatus(pg);

    return status != CONNECTION_STARTED && status != CONNECTION_NEEDED && status != CONNECTION_BAD;
}

/* True if the attempt must end: a stop was requested, or the waiting thread has given it up. */
static bool is_given_up(const ConnectAttempt *attempt)
{
    return stop_requested() || attempt->left;
}

/*
 * Continue connecting until it succeeds, fails, or is given up. Each host may take accept_seconds
 * to accept the connection, and then login_seconds for the rest. Returns the last answer of
 * PQconnectPoll.
 */
static PostgresPollingStatusType continue_connecting(const ConnectAttempt *attempt, PGconn *pg,
                                                     double accept_seconds, double login_seconds)
{
    double begin = clock_seconds();
    bool accepted = false;
    PostgresPollingStatusType status =
        PQstatus(pg) == CONNECTION_BAD ? PGRES_POLLING_FAILED : PGRES_POLLING_WRITING;

    while (status != PGRES_POLLING_OK && status != PGRES_POLLING_FAILED)
    {
        struct pollfd waited = {.fd = PQsocket(pg),
                                .events = status == PGRES_POLLING_WRITING ? POLLOUT : POLLIN};

        if (is_accepted(pg) != accepted)
        {
            accepted = !accepted;
            begin = clock_seconds();
        }
        if (is_given_up(attempt) ||
            clock_seconds() - begin >= (accepted ? login_seconds : accept_seconds))
            break;
        if (poll(&waited, 1, POLL_MILLISECONDS) <= 0)
            continue;
        status = PQconnectPoll(pg);
    }
    return status;
}

bool conninfo_names_several_hosts(const char *host, const char *address)
{
    return (host != NULL && strchr(host, ',') != NULL) ||
           (address != NULL && strchr(address, ',') != NULL);
}

/* True if the only host is a Unix socket, where no option for TLS is heeded. */
static bool is_at_socket(PGconn *pg, Arena *arena)
{
    return PQhost(pg)[0] == '/' &&
           !conninfo_names_several_hosts(take_option_value(PQconninfo(pg), "host", arena),
                                         take_option_value(PQconninfo(pg), "hostaddr", arena));
}

/*
 * Rule T17. Returns the value in force, of the connection string, a service or the environment,
 * that demands a proof of the server's identity and that this libpq takes for something else; NULL:
 * no such value is in force. libpq 15 takes sslrootcert=system for a file's name, finds no such
 * file, and goes on without the proof.
 */
static const NewerOption *find_misread(const ConnectAttempt *attempt)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const NewerOption *option = &newer_options[i];
        const char *value;

        if (option->value == NULL || option->demand == NULL ||
            LIBPQ_MAJOR(PQlibVersion()) >= option->since)
            continue;
        value = take_option_value(PQconninfo(attempt->pg), option->keyword, attempt->arena);
        if (value != NULL && strcmp(value, option->value) == 0 &&
            !is_at_socket(attempt->pg, attempt->arena))
            return option;
    }
    return NULL;
}

/*
 * Connect; the result may be a failed connection. PQconnectdbParams would print notices, and
 * PQconnectPoll has no connect_timeout after which it tries the next host. PQreset has it, and
 * keeps the receiver: it begins again with all hosts when one does not accept at once, or the login
 * takes too long. Rule O17: a connect_timeout that this program adds limits PQreset only; a login
 * over a network has at most half the time of the attempt, since a single host may have two
 * addresses.
 */
static void connect_now(ConnectAttempt *attempt)
{
    PGconn *pg = begin_connecting(attempt);
    const char *set = take_option_value(PQconninfo(pg), "connect_timeout", attempt->arena);
    double seconds = set != NULL ? atoi(set) : 0;
    PostgresPollingStatusType status;

    attempt->pg = pg;
    attempt->misread = find_misread(attempt);
    if (attempt->misread != NULL)
        return;
    if (attempt->login_seconds > 0)
        seconds = attempt->login_seconds;
    if (attempt->login_seconds > attempt->limit_seconds / 2 && !is_at_socket(pg, attempt->arena))
        seconds = attempt->limit_seconds / 2;
    status = continue_connecting(attempt, pg, CONNECT_TIMEOUT_SECONDS_MIN,
                                 seconds > 0 ? seconds : INFINITY);
    if (status == PGRES_POLLING_OK || status == PGRES_POLLING_FAILED || is_given_up(attempt))
        return;
    attempt->begun_again = true;
    PQreset(pg);
}

/* ---- Reasons why connecting failed ---- */

#define TOO_MANY_CONNECTIONS "53300" /* a limit of the server, of the database or of the role */
#define NO_PRIVILEGE "42501"

/* SQLSTATEs of a server that is shutting down, has crashed, or is starting up. */
static const char *const not_ready_states[] = {"57P01", "57P02", "57P03", NULL};

bool connect_sqlstate_is_transient(const char *sqlstate)
{
    static const char *const states[] = {
        "08000", "08001", "08003", "08004", "08006", /* connection exceptions */
        "08P01",          /* pgbouncer's only code for all problems of its server */
        "25P03", "25P04", /* timeouts of transactions, on the server of a pooler */
        "40001", "40P01", /* conflict with recovery, on a standby */
        "57014",          /* query cancelled by statement_timeout or by a user */
        "57P05",          /* timeout of an idle session */
        "58P01",          /* a file was removed while the server looked at it */
        NULL};

    return strcmp(sqlstate, TOO_MANY_CONNECTIONS) == 0 || is_among(sqlstate, not_ready_states) ||
           is_among(sqlstate, states);
}

/* Find the SQLSTATE in a verbose message of any language, such as "FATAL:  53300: sorry, ...". */
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
    const char *word; /* text that the message must contain; NULL: any message fits */
    bool lasts;       /* libpq itself refused, so that a retry is useless */
    const char *hint;
} ConnectionHint;

/* Hints by the SQLSTATE of the server's refusal or, if no server has refused, by words in libpq's
 * own message, which is English. The first row that fits counts. */
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

/* Returns the first row that fits the failed attempt, or NULL. */
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

/*
 * Find out why connecting failed: set the attempt's sqlstate, refusal and kind. libpq does not
 * offer the SQLSTATE of a failed attempt, so make another one, with messages that include it. An
 * attempt without an answer from a server may be retried. If the attempt was given up, no caller
 * asks for the reason.
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
    if (is_given_up(attempt))
        return;
    for (size_t index = 0; index < attempt->count; index++)
        if (strcmp(attempt->keywords[index], "connect_timeout") == 0)
            timeout = atoi(attempt->values[index]);
    if (attempt->begun_again && timeout > 0 &&
        seconds >= timeout) /* perhaps no server answered: another try may not either */
        return;
    if (PQconnectionNeedsPassword(attempt->pg))
    {
        attempt->kind = ERROR_FAILED;
        return;
    }
    pg = begin_connecting(attempt);
    PQsetErrorVerbosity(pg, PQERRORS_VERBOSE);
    if (continue_connecting(attempt, pg, PROBE_SECONDS, seconds + PROBE_SECONDS) !=
            PGRES_POLLING_OK &&
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
    /* A message begins with `begin` for each host and address that was tried. If there are several,
     * a retry may succeed with another one, so the failure is not a lasting one. */
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

    connect_now(attempt);
    if (attempt->misread == NULL && PQstatus(attempt->pg) != CONNECTION_OK)
        find_reason(attempt, clock_seconds() - begin);
    leave_attempt(attempt);
    return NULL;
}

/* Start the attempt's thread, with all signals blocked: signals must reach the threads that watch
 * for a stop. */
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

/* Wait until the attempt's thread has finished. False, with error, after a stop or a timeout. */
static bool wait_for_attempt(const ConnectAttempt *attempt, Error *error)
{
    Wait wait = wait_begin(attempt->limit_seconds);
    bool ended;

    do
    {
        ended = attempt->left;
        wait.pause_milliseconds = CONNECT_PAUSE_MILLISECONDS;
    } while (!wait_until(ended, &wait, error));
    if (!ended && !wait.stopped)
        error_set(error, ERROR_RETRY, "could not connect to the source server: no answer");
    return ended;
}

/* Add a hint with the GRANT for a role that lacks the privilege CONNECT on the database. */
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

/* Returns the connection of a finished attempt, or NULL with the error of its failure. */
static PGconn *take_result(ConnectAttempt *attempt, ConnectionRefusal *refusal, Error *error)
{
    PGconn *pg = attempt->pg;
    const ConnectionHint *hint;

    *refusal = attempt->refusal;
    if (attempt->misread != NULL)
    {
        error_set(error, ERROR_FAILED,
                  "\"%s=%s\" is not known to libpq, which would trust any server",
                  attempt->misread->keyword, attempt->misread->value);
        explain_newer_option(attempt->misread,
                             "Name a file with the certificates, and ask for their proof "
                             "(sslmode=verify-full sslrootcert=FILE; Debian's file is "
                             "/etc/ssl/certs/ca-certificates.crt)",
                             error);
        return NULL;
    }
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
    /* Pass the connection string whole, as dbname: of single parameters libpq ignores those with an
     * empty value, and would take the environment's value instead. A string that sets nothing would
     * be read as a database's name, so it is left out. */
    for (set = attempt->options; set->keyword != NULL && set->val == NULL;)
        set++;
    if (set->keyword != NULL)
        add_parameter(attempt, "dbname", arena_strdup(attempt->arena, conninfo));
    if (!is_chosen(attempt->options, "fallback_application_name"))
        add_parameter(attempt, "fallback_application_name", "pg_rewind");
    attempt->limit_seconds = seconds > 0 ? seconds : INFINITY;
    add_timeouts(attempt, retry_timeout_seconds);
    memcpy(keywords, attempt->keywords, sizeof(attempt->keywords));
    if (!start_thread(attempt, &thread))
        (void) run_attempt(attempt); /* no thread can be started: connect in this one */
    else if (wait_for_attempt(attempt, error))
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

/* Prepare the literal, which ends with '}' after each element, for a further element. */
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
