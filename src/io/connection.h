/*
 * One libpq connection to the source: making it (connection.c, which also writes arrays for
 * parameters); transactions, statements, rows (statement.c).
 *
 * Works through poolers, including those where each transaction may meet another server connection:
 * only unnamed statements, no session state, and every setting is local to its transaction. A lost
 * connection is ERROR_RETRY, and so is an SQL error that is transient
 * (connect_sqlstate_is_transient) or FATAL; any other SQL error is ERROR_FAILED. A server that
 * sends nothing for half of the retry timeout (--retry-timeout) counts as lost.
 */
#ifndef IO_CONNECTION_H
#define IO_CONNECTION_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/rate.h"

typedef struct Connection Connection;

/* Why a running server did not take a connection that it may take later. */
typedef enum ConnectionRefusal
{
    REFUSAL_NONE,      /* another reason, or the server took it */
    REFUSAL_NOT_READY, /* the server is starting up or shutting down */
    REFUSAL_TOO_MANY   /* the server has too many connections */
} ConnectionRefusal;

/*
 * Connect with a libpq connection string or URI. Adds fallback_application_name=pg_rewind and,
 * where the user set none, keepalives, tcp_user_timeout and connect_timeout that fit the retry
 * timeout; this connect_timeout does not limit the login. `seconds` limits the whole attempt (0: as
 * long as libpq tries), of which a login over a network may take half: then all hosts and addresses
 * are tried again (Rule O17). Never prompts.
 *
 * Returns NULL with error on failure (the message is libpq's, one trailing newline stripped). The
 * kind is ERROR_FAILED if a server refused for a reason that lasts (password, unknown database),
 * otherwise ERROR_RETRY (no answer, starting up, too many connections), which the first connection
 * of a run may treat as failure. *refusal says whether a server answered that it cannot accept a
 * connection now.
 */
MUST_CHECK Connection *connection_open(const char *conninfo, int retry_timeout_seconds,
                                       double seconds, ConnectionRefusal *refusal, Error *error);
void connection_close(Connection *connection); /* NULL is allowed */

/* Append a message, without a final newline, that names environment variables which are set but
 * which only a newer libpq obeys: what they demand, such as safety, is not done. Appends nothing if
 * no variable of this kind is set. */
void connection_ignored_variables(Buffer *text);

/*
 * True while a thread still works on an attempt to connect that was given up. Then only _exit may
 * end the process: exit() would release what the libraries in that thread use.
 */
bool connection_attempts_go_on(void);

/* The server of a connection, and the way by which it was reached. Strings live as long as the
 * connection. */
typedef struct ConnectionServer
{
    int version; /* server_version_num, such as 150018; stays known when the connection is lost */
    /* Name or socket directory, address ("" without TCP) and port of the host, of several, that
     * answered. */
    const char *host, *address, *port;
    const char *database;
    const char *password; /* password that the server asked for; NULL: it asked for none */
} ConnectionServer;
ConnectionServer connection_server(const Connection *connection);

/* The process that listens where this connection, one by a Unix socket, leads to. 0: a process that
 * cannot be seen here, such as one of another container. */
long connection_listener(const Connection *connection);

/* Let each transaction begin with settings that not every server knows. settings, which is copied,
 * is "" or ", pg_catalog.set_config(...)", once or more. */
void connection_begin_with(Connection *connection, const char *settings);

/* Count received bytes in the rate from now on, and wait as the rate demands; the rate must outlive
 * the connection. */
void connection_limit_rate(Connection *connection, Rate *rate);

/* Count round trips from now on: each statement that is sent while no other one waits for its
 * answer adds 1 to *round_trips, which must outlive the connection. */
void connection_count_round_trips(Connection *connection, _Atomic uint64_t *round_trips);

/* The seconds for which the server had sent nothing when the last wait for it ended. */
double connection_silent_seconds(const Connection *connection);

/*
 * Begin a transaction. Every statement must be in a transaction, and may rely only on settings made
 * in it. The transaction only reads, has no timeouts, an empty search_path and a client_encoding
 * that does not convert.
 *
 * instance identifies the server process that answers. The same text as before means that neither a
 * restart nor another server came in between, even if a pooler or proxy makes one connection out of
 * several.
 */
#define CONNECTION_INSTANCE_SIZE 64
MUST_CHECK bool connection_begin(Connection *connection, char instance[CONNECTION_INSTANCE_SIZE],
                                 Error *error);

/*
 * Like connection_begin, but nothing is sent before the first statement, which takes the beginning
 * with it: one round trip for both. If another instance answers than the expected one ("": any),
 * that statement fails with ERROR_RETRY, none of its rows is handed over, and connection_met_other
 * is true.
 */
void connection_begin_expecting(Connection *connection, const char *instance);

/* Send the beginning of the transaction now if it was not sent yet, and wait for its answer. */
MUST_CHECK bool connection_await_begin(Connection *connection, Error *error);

/* True once the server has answered in this transaction, as the expected instance, until its
 * connection_end. */
bool connection_is_begun(const Connection *connection);
bool connection_met_other(const Connection *connection);

/* The instance that answered last; the text lives as long as the connection. */
const char *connection_instance(const Connection *connection);

/* End the transaction, even after an error in it. The answer is not waited for. If a statement is
 * not yet answered, the connection counts as lost afterwards. */
void connection_end(Connection *connection);

/* An SQL statement, its parameters, and what its result must look like. */
#define QUERY_PARAMETERS_MAX 3
typedef struct Query
{
    const char *sql;
    const char *failure; /* start of a message: "could not fetch file list"; NULL: messages name the
                            statement, which must then be short */
    const char *parameters[QUERY_PARAMETERS_MAX + 1]; /* text, for $1 and so on; then NULL */
    int column_count; /* expected number of columns, which is checked; at most 16 */
    bool binary;      /* results are binary: bytea, int8 in network order, text */
    bool ends;        /* the last statement of its transaction: connection_end sends nothing more */
    bool writes;      /* the statement writes: it is not sent before the server is known to be the
                         expected one */
} Query;

/* Run a statement that returns at most one row (more are an error), and copy its columns to
 * values[0 .. column_count - 1] as text in the arena; NULL for SQL NULL, and for all columns if
 * there is no row. */
MUST_CHECK bool connection_row(Connection *connection, Arena *arena, const Query *query,
                               char **values, Error *error);

/* Run a command without a result that may take long: a server that is silent meanwhile does not
 * count as lost. Not sent before the server is known to be the expected one. */
MUST_CHECK bool connection_command(Connection *connection, const char *sql, Error *error);

/* One column of one row. bytes is NULL for SQL NULL, and points into libpq's result. */
typedef struct ConnectionValue
{
    const char *bytes; /* a NUL follows */
    size_t size;
} ConnectionValue;

typedef bool (*ConnectionRow)(void *context, const ConnectionValue *columns, Error *error);

/*
 * Run a statement and hand over each row as it arrives (single-row mode), with bounded memory. An
 * SQL error leaves the connection usable; when row fails, the query is left in the middle, and only
 * connection_close may follow.
 */
MUST_CHECK bool connection_rows(Connection *connection, const Query *query, ConnectionRow row,
                                void *context, Error *error);

/*
 * Send a statement together with the transaction's beginning, which must not be sent yet
 * (connection_begin_expecting). Its answer comes in the same round trip as that of the
 * transaction's first statement, and its rows are handed over before. At most ALONG_MAX in a
 * transaction. The strings of the query must live until then.
 *
 * If it fails on the server, or if row fails, the first statement fails with that error,
 * connection_along_failed is true, and only connection_end and connection_close may follow.
 */
#define ALONG_MAX 3
typedef struct AlongQuery
{
    Query query;
    ConnectionRow row;
    void *context;
    bool *answered; /* becomes true when all rows were handed over; NULL: not needed */
} AlongQuery;
void connection_ask_along(Connection *connection, const AlongQuery *along);
bool connection_along_failed(const Connection *connection);

/*
 * Returns whether the last query has failed with this SQLSTATE (NULL: any) and the transaction can
 * continue: the next query goes back to the state before the failure. Otherwise pass the error of
 * the failed query on.
 */
#define NO_SUCH_FILE "58P01"           /* ERRCODE_UNDEFINED_FILE, utils/errcodes.txt */
#define INSUFFICIENT_PRIVILEGE "42501" /* privilege missing to a role; EACCES, EPERM of a file */
#define NOT_IN_REPERTOIRE "22021"      /* a name is invalid in the encoding */
bool connection_failed_with(const Connection *connection, const char *sqlstate);

/*
 * The two halves of connection_rows. Several statements may be sent before the first answer is
 * received, so that the server has the next statement already and neither side waits for the other.
 * The server answers statements in the order in which they were sent. After a failure with more
 * than one statement unanswered, only connection_end and connection_close may follow.
 */
MUST_CHECK bool connection_send(Connection *connection, const Query *query, Error *error);
MUST_CHECK bool connection_receive(Connection *connection, const Query *query, ConnectionRow row,
                                   void *context, Error *error);

/* The second half of connection_row, after connection_send. */
MUST_CHECK bool connection_receive_row(Connection *connection, Arena *arena, const Query *query,
                                       char **values, Error *error);

/* Append value, quoted, as an element of a PostgreSQL array literal in text form. array_literal:
 * the literal of the elements so far, "{}" for an empty buffer. */
void array_append(Buffer *literal, const char *value);
void array_append_int(Buffer *literal, int64_t value);
const char *array_literal(Buffer *literal);

typedef void (*ConnectionOption)(void *context, const char *keyword, const char *value);

/*
 * The connection's options as pairs for primary_conninfo: what PQconninfo gives, without
 * replication, dbname, fallback_application_name, the timeouts that we added, and the name of a
 * service, whose options are among the pairs. A value that equals libpq's compiled default is left
 * out, unless the connection string sets it or it is where the source is: the port, the directory
 * of sockets.
 */
void connection_options(Connection *connection, ConnectionOption visit, void *context);

/*
 * Connect for replication, as a standby with this primary_conninfo would, ask which system answers,
 * and close the connection. The login may take `seconds`, and connecting twice as long. PGPASSWORD
 * and a service's password do not count: the standby's server has another environment.
 * *asks_password: the server asked for a password; may be NULL. Kinds of errors are those of
 * connection_open.
 */
MUST_CHECK bool connection_try_replication(const char *conninfo, double seconds,
                                           uint64_t *system_identifier, bool *asks_password,
                                           Error *error);

/* ---- Connection strings and URIs ---- */

/* Visit the options that a connection string sets itself, without defaults, environment and service
 * file. An error if libpq does not accept the string. */
MUST_CHECK bool connection_string_options(const char *conninfo, ConnectionOption visit,
                                          void *context, Error *error);

/* The value that a connection string itself has for a keyword, in the arena; NULL: it has none, or
 * the string is invalid. */
char *conninfo_value(const char *conninfo, const char *keyword, Arena *arena);

/* True if these values of host and hostaddr, each of which may be NULL, name more than one host. */
bool conninfo_names_several_hosts(const char *host, const char *address);

/* The dbname that the connection string, PGDATABASE or a service names explicitly, in the arena;
 * NULL: none does. */
char *connection_explicit_dbname(const char *conninfo, Arena *arena);

/* True if the libpq that this process uses knows the option. */
bool connection_knows_option(const char *keyword);

/* Support for a connection option, with its value, by the libpq of some version. */
typedef enum OptionSupport
{
    OPTION_KNOWN,
    OPTION_UNKNOWN,            /* without the option it connects to the same servers */
    OPTION_UNKNOWN_RESTRICTION /* without the option it connects to servers that the option excludes
                                */
} OptionSupport;

/* version: as Version.number. */
OptionSupport connection_option_support(const char *keyword, const char *value, int version);

/* True if the libpq that this process uses would take the option's value for something else, and so
 * trust servers that the value excludes: "system" of sslrootcert before 16. (Rule T17.) */
bool connection_misreads(const char *keyword, const char *value);

/* ---- connection.c, for statement.c ---- */

/* The milliseconds of silence after which a server counts as lost: half of the retry timeout, at
 * most five minutes; the other half is left for finding the server again. A retry timeout of 0
 * counts as the option's default. */
int connect_silence_milliseconds(int retry_timeout_seconds);

/* Connect and wait for the result, for connection_open; a request to stop ends the wait at once.
 * keywords: receives the names of libpq's parameters, string literals ended by NULL: dbname, whose
 * value is the whole connection string, and parameters that the user did not set. */
#define CONNECT_PARAMETERS_MAX 8
struct pg_conn; /* libpq's PGconn */
MUST_CHECK struct pg_conn *connect_to_server(const char *conninfo, int retry_timeout_seconds,
                                             double seconds,
                                             const char *keywords[CONNECT_PARAMETERS_MAX + 1],
                                             ConnectionRefusal *refusal, Error *error);

/* True if an error with this SQLSTATE is transient: the same request may work later. */
bool connect_sqlstate_is_transient(const char *sqlstate);

#endif
