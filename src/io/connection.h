/*
 * One libpq connection to the source: settings, queries, rows.
 *
 * Works through poolers: only unnamed statements, nothing relies on session state but the SETs at
 * its start. A lost connection is ERROR_RETRY, an SQL error ERROR_FAILED.
 */
#ifndef IO_CONNECTION_H
#define IO_CONNECTION_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Connection Connection;

/*
 * Connect with a libpq connection string or URI. Adds fallback_application_name=pg_rewind and,
 * where the user set none, keepalives and tcp_user_timeout. Never prompts. NULL with error on
 * failure (the message is libpq's, one trailing newline stripped): ERROR_FAILED when a server
 * refused us for a reason that lasts (password, unknown database), else ERROR_RETRY (no answer,
 * starting up, too many connections), which the first connection of a run may treat as failure.
 * Sends the SETs that the server's version knows: the timeouts 0, default_transaction_read_only on,
 * empty search_path, a client_encoding that does not convert.
 */
MUST_CHECK Connection *connection_open(const char *conninfo, Error *error);
void connection_close(Connection *connection);

/* Server version as libpq gives it (150018). */
int connection_server_version(const Connection *connection);

/* A statement with text parameters ("$1"), read as one text value; NULL value: *found false. Arena
 * owns it. */
MUST_CHECK bool connection_value(Connection *connection, Arena *arena, const char *sql, int count,
                                 const char *const *parameters, char **value, bool *found,
                                 Error *error);

/* Same, one bytea value, appended to buffer as binary. */
MUST_CHECK bool connection_bytes(Connection *connection, const char *sql, int count,
                                 const char *const *parameters, Buffer *buffer, bool *found,
                                 Error *error);

/* One column of one row. bytes is NULL for SQL NULL, and points into libpq's result. */
typedef struct ConnectionValue
{
    const char *bytes; /* text format: NUL-terminated */
    size_t size;
} ConnectionValue;

typedef bool (*ConnectionRow)(void *context, const ConnectionValue *columns, Error *error);

/*
 * Run a statement and hand over each row as it arrives (single-row mode), with bounded memory.
 * column_count (at most 16) is checked. binary asks for binary results (bytea, int8 in network
 * order, text). An SQL error leaves the connection usable; when row fails, the query is cancelled
 * and only connection_close may follow.
 */
MUST_CHECK bool connection_rows(Connection *connection, const char *sql, int count,
                                const char *const *parameters, bool binary, int column_count,
                                ConnectionRow row, void *context, Error *error);

/* int4 and int8 of a binary row; fails unless size fits. */
MUST_CHECK bool connection_int8(const ConnectionValue *value, int64_t *number, Error *error);

/* Append value as an element of a PostgreSQL array literal, quoted. */
void array_append(Buffer *literal, const char *value);
void array_append_int(Buffer *literal, int64_t value);
void array_begin(Buffer *literal);
void array_end(Buffer *literal);

/* Stop what other threads are doing on it: cancel request, best effort. */
void connection_cancel(Connection *connection);

/*
 * The connection's options as pairs for primary_conninfo: what PQconninfo gives, without
 * replication, dbname, fallback_application_name, the keepalives that we added, and without options
 * that equal libpq's compiled default.
 */
typedef bool (*ConnectionOption)(void *context, const char *keyword, const char *value,
                                 Error *error);
MUST_CHECK bool connection_options(Connection *connection, ConnectionOption visit, void *context,
                                   Error *error);

/* The dbname that the connection string or the environment names explicitly, or NULL. */
char *connection_explicit_dbname(const char *conninfo, Arena *arena);

#endif
