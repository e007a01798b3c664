/*
 * The inside of a source that is a server. Each of these files calls only those before it: what is
 * asked on one connection (source_server_query.c), what happens when connections are lost
 * (source_server_connect.c), by what files are compared (source_server_digest.c), how files are
 * listed (source_server_list.c) and fetched (source_server_fetch.c), and the source itself
 * (source_server.c).
 */
#ifndef SOURCE_SOURCE_SERVER_H
#define SOURCE_SOURCE_SERVER_H

#include "source/source.h"
#include "io/connection.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SERVER_CONNECTIONS_MAX 64 /* --jobs has the same limit */

/* By which a source is known again on another connection; why, see check_same_server. */
typedef struct ServerIdentity
{
    uint64_t system_identifier;
    Timeline timeline;
    bool in_recovery;
    uint32_t data_checksum_version;
    bool wal_minimal;   /* wal_level */
    char directory[64]; /* when two of its files were made that never change */
    Lsn position;       /* WAL is flushed up to here; of a standby LSN_INVALID */
} ServerIdentity;

/* A worker's connection. */
typedef struct ServerConnection
{
    pthread_mutex_t lock;                    /* held by the user of the connection */
    Connection *connection;                  /* NULL when it was lost */
    char instance[CONNECTION_INSTANCE_SIZE]; /* of the server process that was identified last */
    atomic_bool too_many;                    /* why it could not be opened again */
    atomic_bool alive;                       /* it worked when it was used last */
} ServerConnection;

typedef struct ServerSource
{
    Source source;
    char *conninfo;
    char *description, *host, *address, *port;
    int retry_timeout_seconds;
    const Version *version; /* once it was connected to */
    ServerIdentity identity;
    bool streams;          /* a standby that has asked its primary for WAL */
    atomic_bool restarted; /* another server process than the first has answered */
    ServerConnection connections[SERVER_CONNECTIONS_MAX]; /* one for each worker */
    int connection_count;
    char first_instance[CONNECTION_INSTANCE_SIZE];
    pthread_mutex_t lock; /* guards what follows */
    Lsn position_seen;    /* the highest flush position of a primary */
    Timeline
        timeline_replayed; /* of a standby: pg_control may come to it later; 0: not known yet */
} ServerSource;

/* What can be tried again on a new connection; in a transaction. */
typedef bool (*Attempt)(Connection *connection, void *context, Error *error);

/* ---- source_server_query.c ---- */

/*
 * Put words of our own before what the server said, in place of the statement that io/connection
 * names: the long ones would hide the reason. False.
 */
bool error_reword(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);

#define SERVER_VERSION_MAJOR(number) ((number) / 10000)

/* The server's row, or NULL. */
const Version *server_version(const Connection *connection);

/* The same; NULL is an error, in the contract's words. */
MUST_CHECK bool server_version_known(const Connection *connection, const Version **version,
                                     Error *error);

/* What connection_begin_with is to get for a server of that version. */
#define CONNECTION_SETTINGS_SIZE 256
void server_begin_settings(const Version *version, char settings[CONNECTION_SETTINGS_SIZE]);

/*
 * Files that are not there: functions on files give NULL with one more argument, which is what the
 * first two functions give for SQL. Where they do not know it, the statement fails. Was that why
 * the last one failed? Then the transaction goes on. False with *lacked: the connection was lost
 * now; false without: it failed for another reason, which the error still says.
 */
const char *server_may_lack(const ServerSql *names);
const char *server_list_may_lack(const ServerSql *names); /* of pg_ls_dir */
MUST_CHECK bool server_lacked_file(Connection *connection, bool *lacked, Error *error);

/* One text value that is never NULL. */
MUST_CHECK bool server_query_text(Connection *connection, Arena *arena, const char *sql,
                                  char **value, Error *error);

typedef struct FileRead
{
    const char *path;
    size_t limit; /* a larger one is an error */
    Buffer *buffer;
    bool found;
} FileRead;

/* Attempts: a file, context is a FileRead; pg_control, context is a Control. */
bool server_read_file_once(Connection *connection, void *context, Error *error);
bool server_read_control_once(Connection *connection, void *context, Error *error);

/* ---- source_server_connect.c ---- */

/*
 * Make the attempt, on new connections as long as the old ones get lost. The time allowed counts
 * from the server's last answer before a loss, and starts again whenever *progress (may be NULL)
 * has grown since the previous loss. If the server has too many connections to accept a new one for
 * a worker that lost its own, the worker shares another worker's. ERROR_RETRY: all are lost.
 */
MUST_CHECK bool server_attempt(ServerSource *self, int worker, Attempt attempt, void *context,
                               const size_t *progress, Error *error);

/* A new connection, as connection_open makes it, that keeps to the rate and has what its server's
 * version needs set. */
MUST_CHECK Connection *server_connect(const ServerSource *self, double seconds,
                                      ConnectionRefusal *refusal, Error *error);

/* What a source is known by, as this connection shows it. */
MUST_CHECK bool server_identify(Connection *connection, ServerIdentity *identity, Error *error);

/*
 * WAL that was flushed once cannot be missing on the same server, whatever happened to it: an error
 * if position is less than seen, which was asked for before the position was.
 */
Lsn server_position_seen(ServerSource *self);
MUST_CHECK bool server_check_position(ServerSource *self, Lsn seen, Lsn position, Error *error);

/* SourceOperations' start_workers. */
bool server_start_workers(Source *source, int jobs, int *granted, Error *error);

/* The pause after this one: 0, then from the least, doubled up to the most. */
int server_longer_pause(int milliseconds);

/* ---- source_server_digest.c ---- */

/* What stands before and after a bytea whose digest is meant, DIGEST_SIZE bytes; NULL of NULL. */
typedef struct DigestSql
{
    const char *before, *after;
} DigestSql;

const DigestSql *server_digest_sql(DigestKind kind);

/* Set the source's digest: the first that the server and we compute. A library that obeys FIPS 140
 * refuses MD5, and before 11 there is no other. */
MUST_CHECK bool server_find_digest(ServerSource *self, Arena *arena, Error *error);

/* ---- source_server_list.c and source_server_fetch.c ---- */

/* SourceOperations' list. */
bool server_list(Source *source, const Version *version, SourceFileVisitor visit, void *context,
                 Error *error);

/* SourceOperations' fetch and digest. */
bool server_fetch(Source *source, int worker, const FetchRequest *requests, size_t count,
                  FetchDelivery deliver, void *context, Error *error);
bool server_digest(Source *source, int worker, const FetchRequest *requests, size_t count,
                   FetchDelivery deliver, void *context, bool *supported, Error *error);
bool server_digest_blocks(Source *source, int worker, const FetchRequest *requests, size_t count,
                          uint32_t block_size, FetchDelivery deliver, void *context,
                          bool *supported, Error *error);

#endif
