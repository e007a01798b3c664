/*
 * The operations of a source: a running server (server.h; server_fetch.c, server_query.c) or a
 * stopped data directory (directory.c).
 *
 * source.c has what both share, digests and encrypted clusters; the functions source_server_... are
 * in server_query.c, source_directory_open in directory.c.
 *
 * Nothing is written on the source but a replication slot that was asked for. Paths are relative to
 * the source's data directory. Functions that take a worker may be called by several workers at
 * once, each with its own number; all others only by the main thread.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "base/advice.h"
#include "format/control.h"
#include "io/connection.h"

#include <sys/types.h>

/* ---- Digests ---- */

/*
 * Digests, to compare blocks and pieces of files that the source's server does not send: the server
 * computes them there, this program here.
 *
 * SHA-256 is cut to the length of MD5: 128 bits of it are as good against accidents, and half the
 * bytes cross the link.
 */
typedef enum DigestKind
{
    DIGEST_NONE, /* the source computes none, or its bytes are at hand */
    DIGEST_MD5,
    DIGEST_SHA256,
    DIGEST_KINDS
} DigestKind;

#define DIGEST_SIZE 16

/* Of local bytes. False: DIGEST_NONE, or the library refuses it (FIPS). */
bool digest_bytes(DigestKind kind, const void *bytes, size_t size, uint8_t digest[DIGEST_SIZE]);

/* For messages: "MD5". */
const char *digest_name(DigestKind kind);

/*
 * The digest to be asked for first, and the other one: SHA-256 is the faster where the processor
 * has instructions for it, which that of the source's machine is taken to have as this one does.
 */
bool digest_has_instructions(void);
DigestKind digest_preferred(const Version *version, bool has_instructions);

/* ---- What a source is asked, and answers ---- */

typedef enum FileType
{
    FILE_REGULAR,
    FILE_DIRECTORY,
    FILE_LINK, /* a symbolic link that is not walked into; a tablespace's link is one, with its
                  content listed below it */
    FILE_OTHER /* socket, fifo, device: never touched */
} FileType;

typedef struct SourceFile
{
    const char *path; /* relative, checked by the listing; valid during the call */
    FileType type;
    uint64_t size;           /* of a regular file */
    const char *link_target; /* of a link; of a tablespace's link where it points to; else NULL */
    bool unreadable; /* a directory of the target that may not be looked into; on the source, a name
                        that its server does not take */
    dev_t
        device;  /* of a file on this host, where a link was followed of what it leads to; else 0 */
    ino_t inode; /* likewise */
} SourceFile;

typedef bool (*SourceFileVisitor)(void *context, const SourceFile *file, Error *error);

/* A piece of a file that is wanted. */
typedef struct FetchRequest
{
    const char *path;
    uint64_t offset;
    uint32_t size; /* at most FETCH_SIZE_MAX; any of a directory */
} FetchRequest;
#define FETCH_SIZE_MAX (1024 * 1024)
#define FETCH_COUNT_MAX 2000

/*
 * Pieces that are asked for at once, or the source's digests of them, DIGEST_SIZE bytes each. With
 * a block size: of each block of each piece, the last block's of what there is. Such pieces begin
 * at a block; no bytes come of a piece that begins after the end of its file.
 */
typedef struct FetchBatch
{
    const FetchRequest *requests; /* with digests of at most DIGEST_SIZE_MAX */
    size_t count;                 /* at most FETCH_COUNT_MAX */
    bool digests;                 /* not where `digest` of the source is DIGEST_NONE */
    uint32_t block_size;          /* of digests; 0: of the whole piece */
} FetchBatch;
#define DIGEST_SIZE_MAX (4 * 1024 * 1024)

/*
 * The answer to request number `index`, in order. bytes NULL: the file is gone. Fewer bytes than
 * asked for: the file ends there. Bytes live during the call.
 */
typedef bool (*FetchDelivery)(void *context, size_t index, const uint8_t *bytes, size_t size,
                              Error *error);

/* Files that the source may not read, each with the error that names it. */
#define REFUSED_FILES_MAX 10
typedef struct RefusedFiles
{
    const char *paths[REFUSED_FILES_MAX];
    Error errors[REFUSED_FILES_MAX];
    size_t count;
} RefusedFiles;

/* The position of the source at one moment. */
typedef struct SourcePosition
{
    bool in_recovery; /* a running standby, or a directory shut down in recovery */

    /* WAL before it is on the source's disk: the flush position of a primary, what a standby has
       received. For a directory LSN_INVALID: the caller finds it by reading. */
    Lsn end;

    /* A position that recovery must pass: how far a standby has replayed (minRecoveryPoint at
       least), a directory's minRecoveryPoint. For a primary the same as end, for a directory that
       was a primary LSN_INVALID. */
    Lsn minimum;

    Timeline timeline; /* the truth, not the checkpoint's */

    bool streams; /* a running standby whose `end` is known: all that it has begun to replay lies
                     before it */
} SourcePosition;

typedef struct Source Source;

typedef struct SourceOperations
{
    void (*close)(Source *source);

    /* pg_control now. A torn read is tried again a few times. The first that asks for it, for the
       position, or for names and files of which one is known to be asked for, gets what was found
       when the source was opened. */
    bool (*read_control)(Source *source, Control *control, Error *error);

    /* Its position now; control as just read. */
    bool (*position)(Source *source, const Control *control, SourcePosition *position,
                     Error *error);

    /* Both now, from a server by one question. With removes (it may be NULL) it is first asked
       whether a process of the server holds the lock under which directories of databases are
       removed: a session, or a standby's startup process. Then pg_control is read, then the
       position. */
    bool (*state)(Source *source, Control *control, SourcePosition *position, bool *removes,
                  Error *error);

    /* A whole file of at most limit bytes, appended to buffer. */
    bool (*read_file)(Source *source, const char *path, size_t limit, Buffer *buffer, bool *found,
                      Error *error);

    /* All files of a cluster of that version, a directory before its content. A server follows
       links to directories and hides odd files: these appear as regular files of size 0, which must
       not be fetched (reading a fifo blocks its backend). */
    bool (*list)(Source *source, const Version *version, SourceFileVisitor visit, void *context,
                 Error *error);

    /* Read a byte of each of these files, which must be regular and not empty: of a fifo that would
       block. Fails only where that cannot be asked. *refused: the first of those that may not be
       read; their paths are the caller's. A file that is gone counts as read. */
    bool (*try_files)(Source *source, const char *const *paths, size_t count, RefusedFiles *refused,
                      Error *error);

    /* The names in one directory as a list of the arena's, in no order, up to a NULL; it is empty
       where there is no such directory. */
    bool (*names)(Source *source, const char *directory, Arena *arena, const char ***names,
                  Error *error);

    /* Get ready for up to `jobs` workers, to fetch or compare so many bytes. *granted is how many
       there can be, at least 1: for little, no connection more than there is. A server's worker
       opens its connection itself, when it first asks; one that gets none shares the first. */
    bool (*start_workers)(Source *source, int jobs, uint64_t bytes, int *granted, Error *error);

    /* Deliver pieces, or their digests. Lost connections are retried for the retry timeout on the
       same server, which may have been restarted (check_same_server in server_connect.c; another
       one is an error); nothing is delivered twice. All functions retry so. ERROR_RETRY: the time
       is over. */
    bool (*fetch)(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                  void *context, Error *error);
} SourceOperations;

struct Source
{
    const SourceOperations *operations;
    bool is_server;
    const char *directory;   /* where its files can be read and copied from; NULL: a server */
    const char *description; /* for messages and the report; no password */
    const char *host, *address, *port; /* of the server that answered first; NULL: a directory */
    Rate *rate; /* of what is read from it, to be kept in every second (rate_piece); NULL: no limit.
                   The source's own. */
    AdviceList advice;            /* about the server's settings, warnings; in its arena */
    DigestKind digest;            /* by which files are compared with it */
    _Atomic uint64_t round_trips; /* of a server: how often it was asked and waited for, without
                                     those that make connections */
};

/*
 * Connect (--source-server). Checks the granted functions (all that are missing are named at once,
 * as GRANT statements), full_page_writes (contract's words), then is ready. retry_timeout in
 * seconds. Over all connections at most that many bytes per second are received (0: no limit).
 */
MUST_CHECK bool source_server_open(const char *conninfo, int retry_timeout_seconds,
                                   uint64_t bytes_per_second, Source **source, Error *error);

/*
 * Names, of a source that is a server: all databases (number, name, whether we are connected to
 * it, encoding), and of the one that we are connected to those relations whose storage number is
 * among filenodes (an array literal): that number, tablespace, name, and the name of the table that
 * an index or TOAST table belongs to, or NULL. After a lost connection all come again.
 */
MUST_CHECK bool source_server_names(Source *source, const char *filenodes, ConnectionRow database,
                                    ConnectionRow relation, void *context, Error *error);

/*
 * CHECKPOINT on the server (--checkpoint), on a standby a restartpoint. *may: our role may run it.
 * *buffers_bytes: size of its shared buffers, more than which no checkpoint has to write. Running
 * it may take minutes.
 */
MUST_CHECK bool source_server_may_checkpoint(Source *source, bool *may, uint64_t *buffers_bytes,
                                             Error *error);

MUST_CHECK bool source_server_checkpoint(Source *source, Error *error);

/* Our role and address as the source server sees them; a standby would stream as the same. */
typedef struct SourceRole
{
    bool may_replicate;  /* REPLICATION, or a superuser */
    const char *name;    /* quoted where SQL and pg_hba.conf need that */
    const char *address; /* where we come from, as of pg_hba.conf: "10.0.0.1/32"; NULL: a
                            Unix-domain socket */
    bool ssl;            /* the connection is encrypted by it */
} SourceRole;

/* Strings are in the arena. Any role may ask. */
MUST_CHECK bool source_server_role(Source *source, Arena *arena, SourceRole *role, Error *error);

/* A replication slot of the source server. */
typedef struct SourceSlot
{
    bool exists; /* then the next five are set */
    bool physical;
    bool active;
    char holder[128]; /* application_name of the client that streams with it; empty: this role may
                         not see it */
    bool lost;        /* it does not keep, or will not keep much longer, the WAL from restart on */
    Lsn restart;      /* WAL is kept from here on; LSN_INVALID: it reserves none yet */
    bool none_free;   /* max_replication_slots is reached */
} SourceSlot;

/* The names in synchronized_standby_slots, besides `except`, of slots that the source does not
 * have, ascending, with commas between them; empty: there are none, or its version has no such
 * setting. In the arena. */
MUST_CHECK bool source_server_awaited_slots(Source *source, const char *except, Arena *arena,
                                            const char **names, Error *error);

/* Look at the slot. Any role may do so. */
MUST_CHECK bool source_server_slot(Source *source, const char *name, SourceSlot *slot,
                                   Error *error);

/*
 * Make a physical slot that reserves WAL, from the redo position of the server's last checkpoint or
 * restartpoint on. *made false: there is one of that name, which is left alone, as it also is when
 * the connection was lost while it was made. *slot is what there is now. *made is set also after a
 * failure.
 */
MUST_CHECK bool source_server_slot_make(Source *source, const char *name, bool *made,
                                        SourceSlot *slot, Error *error);

/* Drop it. The last thing that is asked of this source: a lost connection is tried only once. */
MUST_CHECK bool source_server_slot_drop(Source *source, const char *name, Error *error);

/* A row of pg_stat_replication. What the role may not see is empty, or LSN_INVALID. */
typedef struct SourceStandby
{
    bool all_visible; /* the role sees all columns of all rows */
    bool found;       /* the following are of a standby */
    char name[128];   /* its application_name */
    char state[32], sync_state[32];
    Lsn sent, flushed, replayed;
} SourceStandby;

/*
 * The standby with one of these names (NULL-terminated), the furthest where there are several, that
 * has connected at or after `since`, a time of source_server_clock; "0": whenever.
 */
MUST_CHECK bool source_server_find_standby(Source *source, const char *const *names,
                                           const char *since, SourceStandby *standby, Error *error);

/* The source's clock, in microseconds since 1970, as text. */
MUST_CHECK bool source_server_clock(Source *source, Arena *arena, const char **now, Error *error);

/* The first connection of a source that is a server, for -R; NULL for a directory. */
Connection *source_connection(Source *source);

/* Open a stopped data directory (--source-pgdata), to fetch and digest at most that number of bytes
 * per second (0: no limit). The prerequisites check that it is stopped. */
MUST_CHECK bool source_directory_open(const char *path, uint64_t bytes_per_second, Source **source,
                                      Error *error);

/*
 * For the implementations of a source: read pg_control by read (which appends its bytes) and parse
 * it; a wrong CRC is tried again a few times, since the server may be writing it. file has the name
 * and pg_version.
 */
typedef bool (*SourceControlRead)(void *context, Buffer *buffer, Error *error);
MUST_CHECK bool source_control_read(SourceControlRead read, void *context, ControlFile file,
                                    Control *control, Error *error);
#define CONTROL_READ_MAX (2 * CONTROL_FILE_SIZE) /* enough to see that it is too large */

void source_close(Source *source); /* NULL is allowed */

/*
 * For the implementations of a source: the timeline that a standby is really on. Following its
 * primary to a new timeline is in pg_control only after the next restartpoint or page written. Of
 * the timelines above pg_control's of which pg_wal holds both the history file and a segment, the
 * last is taken that came out of pg_control's, and that begins at or before `replayed`
 * (LSN_INVALID: how far it has replayed is not known); else pg_control's own.
 */
MUST_CHECK bool source_standby_timeline(Source *source, const Control *control, Lsn replayed,
                                        Timeline *timeline, Error *error);

/*
 * Recognizes a cluster whose files its server encrypts, by the files that hold the server's keys.
 * Blocks of source and target may then be encrypted with different keys (design/limits.md,
 * "Encrypted clusters"): no block of one may be written to the other, and a digest tells nothing.
 *
 * Look in a data directory, whatever its server does; directory NULL: ask the source, a server.
 * Fails with ERROR_FAILED if there are keys, and names what encrypts and the program that can
 * rewind such a cluster. Fails as well if the source cannot be asked, or a directory cannot be
 * read.
 */
MUST_CHECK bool encryption_check(Source *source, const char *directory, Error *error);

/* The directories that encryption_check looks into, up to a NULL. */
const char *const *encryption_directories(void);

#endif
