/*
 * The inside of a source that is a server. Each of these files calls only those before it: what
 * happens when connections are lost, and what makes a server the same one (server_connect.c); how
 * files are fetched and compared by digests (server_fetch.c) and listed (server_list.c); small
 * questions, and how a source is opened (server_query.c).
 */
#ifndef SOURCE_SERVER_H
#define SOURCE_SERVER_H

#include "source/source.h"

#include <pthread.h>
#include <stdatomic.h>

#define SERVER_CONNECTIONS_MAX 64 /* --jobs has the same limit */

/* A source is recognized by this on another connection; why, see check_same_server. */
typedef struct ServerIdentity
{
    uint64_t system_identifier;
    Timeline timeline;
    bool in_recovery;
    uint32_t data_checksum_version;
    bool wal_minimal;   /* wal_level */
    char directory[64]; /* when two of its files were made that never change */
    Lsn redo;           /* of its last checkpoint */
    Lsn position;       /* WAL is flushed up to here; of a standby LSN_INVALID */
} ServerIdentity;

/* What one statement tells of a server at one moment: see server_read_state. */
typedef struct ServerState
{
    Buffer control;    /* bytes of pg_control */
    char *identity;    /* see identity_column */
    char *position[3]; /* see position_columns */
    bool removes;      /* see SourceOperations' state; false where that was not asked */
} ServerState;

/* A file, or the names in a directory, that was read before it was asked for. It is given to the
 * first that asks soon. */
#define SEEN_MAX 8
typedef struct SeenPath
{
    const char *path;  /* NULL: it was given */
    const char *bytes; /* of the file, or its names with slashes between; NULL: it is not there */
    size_t size;
} SeenPath;

/* A worker's connection. */
typedef struct ServerConnection
{
    pthread_mutex_t lock;                    /* held by the user of the connection */
    Connection *connection;                  /* NULL when it was lost */
    char instance[CONNECTION_INSTANCE_SIZE]; /* of the server process that was identified last */
    int instance_number;                     /* see ServerSource.instance_count */
    bool opened;                             /* it was once; before, its worker opens it */
} ServerConnection;

typedef struct ServerSource
{
    Source source;
    Arena *arena; /* owns the strings, of the Source too */
    const char *conninfo;
    int retry_timeout_seconds;
    const Version *version; /* once it was connected to */
    ServerIdentity identity;
    bool identified; /* `identity` is set */
    bool answers;    /* a server has answered, even if it refused us */
    bool streams;    /* a standby that has asked its primary for WAL */
    /* What was found when the source was opened, for the first that asks. */
    Control opened_control;
    char *opened_position[3];
    bool has_opened_control, has_opened_position;
    SeenPath seen_files[SEEN_MAX], seen_names[SEEN_MAX];
    double seen_at;                                       /* clock_seconds */
    ServerConnection connections[SERVER_CONNECTIONS_MAX]; /* one for each worker */
    int connection_count;
    atomic_bool refused; /* a further connection; then those that were not opened are not tried */
    pthread_mutex_t instance_lock; /* held while the following four are changed */
    char newest_instance[CONNECTION_INSTANCE_SIZE];
    atomic_int instance_count; /* server processes that have answered, one after the other; a
                                  process is numbered by it when it answers for the first time */
    /* Recovery must pass these positions to cover what a standby has sent. */
    Lsn newest_replayed;         /* answers of the newest server process */
    _Atomic Lsn former_replayed; /* answers of those before it */
    _Atomic Lsn position_seen;   /* the highest flush position of a primary */
    _Atomic Lsn redo_seen;       /* the highest redo position of a last checkpoint */
    /* The timeline of a standby; its pg_control may come to it later. 0: not known yet. */
    _Atomic Timeline timeline_replayed;
} ServerSource;

/* The progress of attempts, also of those that failed. */
typedef struct AttemptProgress
{
    size_t delivered; /* by all attempts */
    Lsn replayed;     /* by this attempt: see server_take_replayed */
} AttemptProgress;

/* One try of something, in a transaction; it can be tried again on a new connection. */
typedef bool (*Attempt)(Connection *connection, void *context, Error *error);

/* ---- server_connect.c ---- */

/* The server's row, or NULL. */
const Version *server_version(const Connection *connection);

/* The same; NULL is an error, in the contract's words. */
MUST_CHECK const Version *server_version_known(const Connection *connection, Error *error);

/* connection_open; each transaction begins with the settings that a server of that version needs.
 */
MUST_CHECK Connection *server_connect(const char *conninfo, int retry_timeout_seconds,
                                      double seconds, ConnectionRefusal *refusal, Error *error);

/*
 * Functions on files give NULL for a missing file if they get one more argument, which is what
 * server_may_lack gives for SQL. Servers that do not know the argument fail. server_lacked_file:
 * that was why the last statement failed, and the transaction goes on. False: the connection was
 * lost now, or the statement failed for another reason, which the error still says.
 */
const char *server_may_lack(const ServerSql *names);
MUST_CHECK bool server_lacked_file(Connection *connection, Error *error);

/*
 * How far a standby has replayed WAL when it answers.
 *
 * The text of one column comes from the SQL expression server_replayed_sql, and
 * server_take_replayed raises progress->replayed to the position that recovery must pass to cover
 * what was read before. A record that is being replayed lies past the position, and its pages may
 * be on disk already: as long as more WAL was received, the position is one that only the next
 * record passes. server_note_replayed asks for it in a statement of its own, if the source is a
 * standby.
 */
const char *server_replayed_sql(Arena *arena, const ServerSql *names);
MUST_CHECK bool server_take_replayed(const char *text, AttemptProgress *progress, Error *error);
MUST_CHECK bool server_note_replayed(const ServerSource *self, Connection *connection,
                                     AttemptProgress *progress, Error *error);

/*
 * Make the attempt, on new connections as long as the old ones get lost. The time allowed counts
 * from the server's last answer before a loss, and starts again whenever progress->delivered
 * (progress may be NULL) has grown since the previous loss. ERROR_RETRY: the time is over.
 */
MUST_CHECK bool server_attempt(ServerSource *self, int worker, Attempt attempt, void *context,
                               AttemptProgress *progress, Error *error);

/* Ask for at most one row, with server_attempt: see connection_row. A missing file is no row. */
MUST_CHECK bool server_ask(Source *source, Arena *arena, const Query *query, char **values,
                           Error *error);

/*
 * Connect for the first time, and make the attempt, whose context is self, and which ends with
 * server_identify. A server that answers, but cannot take us now (starting up, shutting down, too
 * many connections) is tried again like one that was lost, even if it then cannot be reached for a
 * while. If no server answers the first time, that is an error at once.
 */
MUST_CHECK bool server_connect_first(ServerSource *self, Attempt attempt, Error *error);

/*
 * What identifies the server, its pg_control and its position, by one statement: first whether it
 * removes a database, if that is asked, then pg_control, then the position. A torn pg_control is
 * read again with all else.
 *
 * server_state_query gives the statement. A caller that has sent it already says so. *state is of
 * the arena; its buffer is the caller's to free.
 */
Query server_state_query(const Version *version, bool asks_removal, Arena *arena);
typedef struct StateRead
{
    Connection *connection;
    const Query *query;
    bool sent; /* the first answer is under way */
    Arena *arena;
    ServerState *state;
} StateRead;
MUST_CHECK bool server_read_state(StateRead *read, Control *control, Error *error);

/* From now on the source is the server of this connection, which is in this state. */
MUST_CHECK bool server_identify(ServerSource *self, Connection *connection,
                                const ServerState *state, const Control *control, Error *error);

/* Note the paths that were read while the source was opened: a statement to send, and its
 * answer. */
Query server_seen_query(const Version *version, Arena *arena);
MUST_CHECK bool server_take_seen(ServerSource *self, Connection *connection, const Query *query,
                                 Error *error);

/*
 * WAL that was flushed once cannot be missing on the same server, whatever happened to it: an error
 * if position is less than seen, which was asked for before the position was.
 */
MUST_CHECK bool server_check_position(ServerSource *self, Lsn seen, Lsn position, Error *error);

/* SourceOperations' read_control, read_file, names and start_workers. */
bool server_read_control(Source *source, Control *control, Error *error);
bool server_names(Source *source, const char *directory, Arena *arena, const char ***names,
                  Error *error);

/* Its redo position never goes back on the same server. */
void server_note_redo(ServerSource *self, const Control *control);
bool server_read_file(Source *source, const char *path, size_t limit, Buffer *buffer, bool *found,
                      Error *error);
bool server_start_workers(Source *source, int jobs, uint64_t bytes, int *granted, Error *error);

/* ---- server_query.c ---- */

/* What a connection's role may do on a server of a known version, and what is set there. */
typedef struct ServerRights
{
    const char *role, *database; /* quoted where SQL needs that */
    bool superuser;
    const char *settings; /* the values of setting_rows, a line each */
    const char *grants;   /* statements that let the role read files, lines; empty: it may, or the
                             version has no grants for this */
} ServerRights;

/* Ask for them. Strings are in the arena. */
MUST_CHECK bool server_rights(Connection *connection, Arena *arena, ServerRights *rights,
                              Error *error);

/* Add one advice for each setting of the server to the list, including settings that are right. The
 * warnings among them are next steps of a run (Source.advice). */
void server_advise(const ServerRights *rights, const Version *version, AdviceList *list);

/* The finding of the index-th of these settings; NULL: there are no more. */
const char *server_advice_id(size_t index);

/* source_server_role, by a connection of the caller's. */
MUST_CHECK bool server_role(Connection *connection, Arena *arena, SourceRole *role, Error *error);

/* ---- server_fetch.c and server_list.c ---- */

/* Set the source's digest: the preferred one, or the other, as the server and we compute it. A
 * library that obeys FIPS 140 refuses MD5, and before 11 there is no other. */
MUST_CHECK bool server_find_digest(ServerSource *self, Error *error);

/* The preferred one, as a statement to send; NULL if this program cannot compute it. */
const Query *server_digest_query(const ServerSource *self, DigestKind *kind);

/* SourceOperations' fetch, list and try_files. */
bool server_fetch(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                  void *context, Error *error);
bool server_list(Source *source, const Version *version, SourceFileVisitor visit, void *context,
                 Error *error);
bool server_try_files(Source *source, const char *const *paths, size_t count, RefusedFiles *refused,
                      Error *error);

#endif
