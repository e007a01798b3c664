/*
 * Connection strings, and how a connection is made: the parameters for libpq besides the user's
 * string, for how long it may try, and why it failed. connection.h is for what follows.
 */
#ifndef IO_CONNECT_H
#define IO_CONNECT_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Why a running server did not take a connection that it may take later. */
typedef enum ConnectionRefusal
{
    REFUSAL_NONE,      /* another reason, or the server took it */
    REFUSAL_NOT_READY, /* it is starting up or shutting down */
    REFUSAL_TOO_MANY   /* there are too many connections */
} ConnectionRefusal;

/* The keywords of the parameters that a connection got from us, since the user chose none. */
#define CONNECT_ADDED_MAX 8
typedef struct AddedParameters
{
    const char *keywords[CONNECT_ADDED_MAX]; /* literals */
    size_t count;
} AddedParameters;

/*
 * The milliseconds of silence after which a server counts as lost: half of the retry timeout, which
 * leaves the other half to find it again. A timeout of 0 counts as the default; at most five
 * minutes.
 */
int connect_silence_milliseconds(int retry_timeout_seconds);

/*
 * Connect, for at most `seconds` (0: as long as libpq tries, see connect_timeout). A request to
 * stop ends the attempt at once. NULL with error: ERROR_FAILED when a server refused us for a
 * reason that lasts, else ERROR_RETRY; *refusal then tells whether a server answered that it cannot
 * take us now.
 */
struct pg_conn; /* libpq's PGconn */
MUST_CHECK struct pg_conn *connect_to_server(const char *conninfo, int retry_timeout_seconds,
                                             double seconds, AddedParameters *added,
                                             ConnectionRefusal *refusal, Error *error);

/*
 * True while a thread still works on an attempt to connect that was given up. Then only _exit may
 * end the process: exit() would release what the libraries in that thread use.
 */
bool connection_attempts_go_on(void);

/* True if the same request may work later, after an error with this SQLSTATE. */
bool connect_is_passing(const char *sqlstate);

/* Copy a message of libpq's into out without the newlines at its end; returns out. */
const char *connect_trimmed(const char *message, char *out, size_t size);

/* ---- Connection strings and URIs ---- */

typedef bool (*ConnectionOption)(void *context, const char *keyword, const char *value,
                                 Error *error);

/* Visit what a connection string sets itself, without defaults, environment and service file. An
 * error if libpq does not take it. */
MUST_CHECK bool connection_string_options(const char *conninfo, ConnectionOption visit,
                                          void *context, Error *error);

/* The value that a connection string itself has for a keyword, or NULL. */
char *conninfo_value(const char *conninfo, const char *keyword, Arena *arena);

/* The dbname that the connection string or the environment names explicitly, or NULL. */
char *connection_explicit_dbname(const char *conninfo, Arena *arena);

/* True if the libpq that we run with knows this option. */
bool connection_knows_option(const char *keyword);

#endif
