/*
 * How a connection is made: the parameters for libpq besides the user's string, for how long it may
 * try, and why it failed. For connection.c alone.
 */
#ifndef IO_CONNECT_H
#define IO_CONNECT_H

#include "io/connection.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

/* Which of our own settings a connection got, since the user chose none. */
typedef struct AddedParameters
{
    bool keepalives; /* the whole group */
    bool tcp_user_timeout;
    bool connect_timeout;
} AddedParameters;

/* Is this keyword one that was added? */
bool connect_is_added(const AddedParameters *added, const char *keyword);

/*
 * How long a server may say nothing before it counts as lost: half of the retry timeout, so that
 * the other half is left to find it again. Of the default if that is 0, at most five minutes.
 */
int connect_silence_milliseconds(int retry_timeout_seconds);

/*
 * Connect, for at most `seconds` (0: as long as libpq tries, see connect_timeout). A request to
 * stop ends the attempt at once. NULL with error: ERROR_FAILED when a server refused us for a
 * reason that lasts, else ERROR_RETRY; *refusal then tells whether a server answered that it cannot
 * take us now.
 */
MUST_CHECK PGconn *connect_to_server(const char *conninfo, int retry_timeout_seconds,
                                     double seconds, AddedParameters *added,
                                     ConnectionRefusal *refusal, Error *error);

/* May the same request work later, after an error with this SQLSTATE? */
bool connect_is_passing(const char *sqlstate);

/* Copy a message of libpq's into out without the newlines at its end; returns out. */
const char *connect_trimmed(const char *message, char *out, size_t size);

/* The option with this keyword, or NULL. */
const PQconninfoOption *connect_find_option(const PQconninfoOption *options, const char *keyword);

#endif
