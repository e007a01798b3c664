/*
 * Declarations shared by the files that implement a source server. Each file calls only those
 * before it: server_connect.c connects, retries lost connections and recognizes the same server
 * again; server_fetch.c fetches files and compares them by digests; server_list.c lists files;
 * server_query.c has small questions and opens a source.
 */
#ifndef SOURCE_SERVER_H
#define SOURCE_SERVER_H

#include "base/advice.h"
#include "source/source.h"

#include <pthread.h>
#include <stdatomic.h>

#define SERVER_CONNECTIONS_MAX 64 /* --jobs has the same limit */

/* Facts by which another connection's server is recognized as the source: see check_same_server. */
typedef struct ServerIdentity
{
    uint64_t system_identifier;
    Timeline timeline;
    bool in_recovery;
    uint32_t data_checksum_version;
    bool wal_minimal;   /* wal_level is minimal */
    char directory[64]; /* text that identifies the data directory: change times of PG_VERSION and
                           base/1/PG_VERSION, which a server never changes */
    Lsn redo;           /* redo position of the last checkpoint */
    Lsn position;       /* flush position; LSN_INVALID for a standby */
} ServerIdentity;

/* State of a server at one moment, the answer to one statement: see server_read_state. */
typedef struct ServerState
{
    Buffer control;    /* bytes of pg_control; the caller frees them */
    char *identity;    /* text of identity_column */
    char *position[3]; /* texts of position_columns; NULL for SQL NULL */
    bool removes;      /* a process removes a database's directory; false if that was not asked */
} ServerState;

/* FROM clause that reads what pg_stat_replication shows, by the functions of that view. Queries of
 * any server call the functions: a view may be closed to the role. (Rule O16.) */
#define SERVER_SENDERS                                                                             \
    "pg_catalog.pg_stat_get_wal_senders() AS sender\n"                                             \
    "  JOIN pg_catalog.pg_stat_get_activity(NULL) AS session ON session.pid = sender.pid"

/* Questions whether a process of the server removes a database's directory. After a refusal the
 * next one is asked. (Rule O16.) */
typedef enum RemovalQuestion
{
    REMOVAL_BY_SESSIONS, /* by locks, and by what the sessions that hold them do */
    REMOVAL_BY_LOCKS,    /* every holder of such a lock counts */
    REMOVAL_UNASKED      /* nothing is asked: the answer is false */
} RemovalQuestion;

/* Most files, and most directories, of which content or names are kept as a SeenPath. */
#define SEEN_MAX 16

/* A file, or the names in a directory, that was read before a caller asked for it. The first caller
 * that asks within SEEN_SECONDS (server_connect.c) gets the copy. */
typedef struct SeenPath
{
    const char *path;  /* path of the file or directory; NULL: already given to a caller */
    const char *bytes; /* file's content, or names separated by slashes; NULL: the directory is
                          missing. A missing file is not kept, so it is asked for once more */
    size_t size;
    double at; /* time of clock_seconds when it was read */
} SeenPath;

/* Bytes that were asked for before a caller asks: see source_server_expect_wal. */
typedef struct ExpectedBytes
{
    const char *path;
    uint64_t offset;
    uint32_t asked_size;
    Lsn last_from;  /* LSN of source_server_expect_last_wal; LSN_INVALID if not asked for so */
    uint8_t *bytes; /* the first `size` bytes from the offset on */
    uint32_t size;
    bool answered; /* the server has sent all, and no caller has got them yet */
} ExpectedBytes;

/* A worker's connection. */
typedef struct ServerConnection
{
    pthread_mutex_t lock;                    /* held while the connection is used */
    Connection *connection;                  /* NULL before it is opened, and after a loss */
    char instance[CONNECTION_INSTANCE_SIZE]; /* server process that was checked last; see
                                                connection_begin */
    int instance_number;                     /* number of this process by instance_count */
    bool opened;                             /* the worker has opened its connection, which may be
                                                lost now */
} ServerConnection;

typedef struct ServerSource
{
    Source source;
    Arena *arena; /* owns the strings, including those of `source` */
    const char *conninfo;
    int retry_timeout_seconds;
    const Version *version; /* server's version; NULL before the first connection */
    ServerIdentity identity;
    bool identified;        /* `identity` is set */
    double connect_seconds; /* seconds that it took to make the first connection */
    bool answers;           /* a server has answered, even if it refused us */
    _Atomic RemovalQuestion removal_question; /* what the server has not refused yet */
    bool told_of_removals; /* a warning said that the server refuses all of these questions */
    bool streams; /* a standby that has reported a receive position: it has asked its primary for
                     WAL since its start */
    /* The state at the end of reading (FetchBatch.ends_reading), for the next caller of state. */
    ServerState last_state;
    Control last_control;
    atomic_bool has_last_state;
    /* Answers to questions that were asked when the source was opened, for the first caller. */
    Control opened_control;
    char *opened_position[3];
    SourceRole opened_role; /* kept for every caller */
    bool has_opened_control, has_opened_position, has_opened_role;
    SeenPath seen_files[SEEN_MAX], seen_names[SEEN_MAX];
    AlongQuery along[ALONG_MAX]; /* questions of server_ask_along that were not asked yet */
    int along_count;
    ExpectedBytes expected_wal;
    /* list of source_server_expect_rewind; NULL: none was asked for, or server_list has taken it */
    struct FileList *expected_list;
    ServerConnection connections[SERVER_CONNECTIONS_MAX]; /* one for each worker */
    int connection_count;
    atomic_bool refused; /* another connection was refused: workers without one do not try */
    pthread_mutex_t instance_lock;                  /* guards changes of the next four fields */
    char newest_instance[CONNECTION_INSTANCE_SIZE]; /* server process that answered for the first
                                                       time most recently */
    atomic_int instance_count; /* number of server processes that have answered so far: a restart
                                  makes a new one, whose number is the count then */
    /* Replay positions that the target's recovery must reach to cover all that a standby sent. */
    Lsn newest_replayed;         /* highest replay position in answers of the newest process */
    _Atomic Lsn former_replayed; /* highest in answers of former processes */
    _Atomic Lsn position_seen;   /* highest flush position of a primary */
    _Atomic Lsn redo_seen;       /* highest redo position of a last checkpoint */
    _Atomic Timeline timeline_replayed; /* a standby's timeline, which pg_control may show only
                                           later; 0: not yet known */
} ServerSource;

/* Progress of all attempts at one thing, including failed attempts. */
typedef struct AttemptProgress
{
    size_t delivered; /* answers delivered by all attempts */
    Lsn replayed;     /* position of this attempt's answers: see server_take_replayed */
} AttemptProgress;

/* A function that works in a transaction; after a lost connection it is called again, on a new
 * one. */
typedef bool (*Attempt)(Connection *connection, void *context, Error *error);

/* ---- server_connect.c ---- */

/* The row of the server's version, or NULL if this program does not know the version. */
const Version *server_version(const Connection *connection);

/* Like server_version, but an unknown version is an error, in the contract's words. */
MUST_CHECK const Version *server_version_known(const Connection *connection, Error *error);

/* Like connection_open; each transaction on the connection begins with settings that the server's
 * version needs. */
MUST_CHECK Connection *server_connect(const char *conninfo, int retry_timeout_seconds,
                                      double seconds, ConnectionRefusal *refusal, Error *error);

/*
 * Missing files. The server's functions on files return NULL for one if their last argument,
 * missing_ok, is true. server_missing_ok_argument returns SQL text for this argument, ", true", or
 * "" for versions without it, whose functions fail.
 *
 * server_lacked_file: true if the last statement failed because a file was missing; the transaction
 * can then continue. False if the statement failed for another reason, which the error keeps, or if
 * the connection is lost.
 */
const char *server_missing_ok_argument(const ServerSql *names);
MUST_CHECK bool server_lacked_file(const Connection *connection);

/*
 * The replay position of a standby at the time of its answer: the target's recovery must pass it to
 * cover the bytes that were read before.
 *
 * server_replayed_sql returns an SQL expression for a column, server_take_replayed takes its text
 * and raises progress->replayed. A record that is being replayed lies after the position, and its
 * pages may already be on the disk: so, if more WAL was received, the result is the position plus
 * one, which only recovery of the next record passes. server_note_replayed asks for the position in
 * a separate statement; it does nothing if the source is not a standby.
 */
const char *server_replayed_sql(Arena *arena, const ServerSql *names);
MUST_CHECK bool server_take_replayed(const char *text, AttemptProgress *progress, Error *error);
MUST_CHECK bool server_note_replayed(const ServerSource *self, Connection *connection,
                                     AttemptProgress *progress, Error *error);

/*
 * Make the attempt on the worker's connection, and repeat it on a new connection after each loss.
 * The retry timeout counts from the server's last answer before the loss; it starts again if
 * progress->delivered (progress may be NULL) has grown since the previous loss. ERROR_RETRY: the
 * timeout is over.
 */
MUST_CHECK bool server_attempt(ServerSource *self, int worker, Attempt attempt, void *context,
                               AttemptProgress *progress, Error *error);

/*
 * Let the next attempt on the first connection take a question with it, in the same round trip,
 * before what the attempt itself asks. Strings of the query must live until then. A question that
 * fails, whose answer is lost, or that comes when ALONG_MAX are waiting, is not asked again; rows
 * may have been handed over.
 */
void server_ask_along(ServerSource *self, const AlongQuery *along);

/* Take back the questions with this context that were not yet asked. */
void server_withdraw_along(ServerSource *self, const void *context);

/* Let the next attempt on the first connection read files of the configuration too, as
 * server_config_query does, for the next callers of read_file. The arena must live until then.
 * Nothing is asked of servers that do not know the argument for missing files. */
void server_read_config_along(ServerSource *self, bool all, Arena *arena);

/* Run a query for at most one row, like connection_row, with server_attempt. If the query fails
 * because a file is missing, there is no row. */
MUST_CHECK bool server_ask(Source *source, Arena *arena, const Query *query, char **values,
                           Error *error);

/*
 * Connect for the first time, and make the attempt, whose context is self and which must end with
 * server_identify. A server that answers, but cannot accept the connection now (starting up,
 * shutting down, too many connections), is retried like after a loss. If no server answers at all,
 * fail at once.
 */
MUST_CHECK bool server_connect_first(ServerSource *self, Attempt attempt, Error *error);

/*
 * Read a server's state with one statement, which looks, in this order, at: processes that remove a
 * database's directory, pg_control, the identity, the position. After a torn read
 * of pg_control all is read again.
 *
 * server_state_query returns the statement; strings are in the arena. A caller that has sent it
 * together with others receives its answer with server_receive_state, then the answers of the
 * others, before it calls server_read_state, which sends the statement again after a torn read.
 * *state is in the arena, but its buffer is the caller's to free.
 */
Query server_state_query(const Version *version, RemovalQuestion removal, Arena *arena);
typedef struct StateRead
{
    Connection *connection;
    const Query *query;
    bool is_received; /* *state already holds an answer, not yet used by server_read_state */
    Arena *arena;
    ServerState *state;
} StateRead;
MUST_CHECK bool server_receive_state(StateRead *read, Error *error);
MUST_CHECK bool server_read_state(StateRead *read, Control *control, Error *error);

/* Set the source's identity to that of the connection's server, whose state was just read. */
MUST_CHECK bool server_identify(ServerSource *self, Connection *connection,
                                const ServerState *state, const Control *control, Error *error);

/* Files and names that are read while the source is opened: server_seen_query returns the statement
 * to send, server_take_seen receives its answer and keeps it. */
Query server_seen_query(const Version *version, Arena *arena);
MUST_CHECK bool server_take_seen(ServerSource *self, Connection *connection, const Query *query,
                                 Error *error);

/* The same for postgresql.auto.conf, or for all files of the configuration, of servers that know
 * the argument for missing files. The query fails if the server cannot read one of them. */
Query server_config_query(bool all, Arena *arena);
MUST_CHECK bool server_take_config(ServerSource *self, Connection *connection, const Query *query,
                                   Error *error);

/*
 * Check that a primary's flush position is not less than `seen`, a flush position that was known
 * before the server was asked. A smaller one is an error: WAL that a server has flushed cannot
 * disappear, even in a crash, so it is another server. Otherwise raise position_seen.
 */
MUST_CHECK bool server_check_position(ServerSource *self, Lsn seen, Lsn position, Error *error);

/* SourceOperations' read_control and names. */
bool server_read_control(Source *source, Control *control, Error *error);
bool server_names(Source *source, const char *directory, Arena *arena, const char ***names,
                  Error *error);

/* Raise redo_seen to the redo position in pg_control, which never goes back on the same server. */
void server_note_redo(ServerSource *self, const Control *control);
/* SourceOperations' read_file, start_workers and open_worker. */
bool server_read_file(Source *source, const char *path, size_t limit, Buffer *buffer, bool *found,
                      Error *error);
bool server_start_workers(Source *source, int jobs, uint64_t bytes, int *granted, Error *error);
void server_open_worker(Source *source, int worker);

/* ---- server_query.c ---- */

/* Rights of the connection's role, and settings of the server. */
typedef struct ServerRights
{
    const char *role, *database; /* names, quoted if SQL needs it */
    bool superuser;
    const char *grants; /* GRANT statements that the role needs to read files, a line each; empty:
                           it needs none, or the version has no grants for this */
    /* Role of the session, quoted, and statements, a line each, that remove the settings which give
     * the session another role, `role`; both NULL: there is no other one. Whoever owns the database
     * may have chosen it: no advice gives it rights. (Rule T13.) */
    const char *switched_from, *resets;
    bool full_page_writes; /* the setting is on */
    const char *wal_level; /* value of the setting */
} ServerRights;

/* Ask the server for the rights; strings are in the arena. */
MUST_CHECK bool server_rights(Connection *connection, Arena *arena, ServerRights *rights,
                              Error *error);

/* Append an advice about each setting that a rewind, or a standby afterwards, needs, even if the
 * value is right. server_advice_ids has the ids of the advice, and NULL at the end. */
void server_advise(const ServerRights *rights, const Version *version, AdviceList *list);
extern const char *const server_advice_ids[];

/* Like source_server_role, on the caller's connection. */
MUST_CHECK bool server_role(Connection *connection, Arena *arena, SourceRole *role, Error *error);

/* ---- server_fetch.c and server_list.c ---- */

/* Set source.digest to the first kind, beginning with the preferred one, that both the server and
 * this program can compute; otherwise it stays DIGEST_NONE. A library that obeys FIPS 140 refuses
 * MD5, and servers before 11 have no other. */
MUST_CHECK bool server_find_digest(ServerSource *self, Error *error);

/* Returns a statement that fails if the server cannot compute the preferred digest, *kind; NULL if
 * this program, or the server's version, cannot compute it. In the source's arena. */
const Query *server_digest_query(const ServerSource *self, DigestKind *kind);

/* Free the list of source_server_expect_rewind, if no caller has taken it. */
void server_forget_list(ServerSource *self);

/* SourceOperations' fetch, list and try_files. */
bool server_fetch(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                  void *context, Error *error);
bool server_list(Source *source, const Version *version, FileVisitor visit, void *context,
                 Error *error);
bool server_try_files(Source *source, const char *const *paths, size_t count, RefusedFiles *refused,
                      Error *error);

#endif
