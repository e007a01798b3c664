/*
 * The operations of a source, which is a running server (server.h; server_fetch.c, server_query.c)
 * or a stopped data directory (directory.c).
 *
 * source.c has the code that both kinds share, digests, and the recognition of encrypted clusters.
 * The functions source_server_... are in server_query.c, but source_server_expect_rewind in
 * server_list.c, source_server_expect_wal and source_server_expect_last_wal in server_fetch.c;
 * source_directory_open is in directory.c.
 *
 * Nothing is written on the source, except a replication slot that was asked for. Paths are
 * relative to the source's data directory. Functions with a worker number may be called by several
 * workers at once, each with its own number; all others only by the main thread.
 */
#ifndef SOURCE_SOURCE_H
#define SOURCE_SOURCE_H

#include "format/control.h"
#include "io/connection.h"

#include <sys/types.h>

/* ---- Digests ---- */

/*
 * Kinds of digests, by which blocks and pieces of files are compared without being sent: the
 * source's server computes the digest of its bytes, this program that of the target's.
 *
 * SHA-256 is cut to the length of MD5, 128 bits: they suffice against accidents, and only half the
 * bytes cross the link.
 */
typedef enum DigestKind
{
    DIGEST_NONE, /* no digests: the server cannot compute any, or the source is a directory, whose
                    bytes are compared */
    DIGEST_MD5,
    DIGEST_SHA256,
    DIGEST_KINDS
} DigestKind;

#define DIGEST_SIZE 16

/* Compute the digest of bytes in memory. False if kind is DIGEST_NONE, or if the library refuses
 * this kind (FIPS). */
bool digest_bytes(DigestKind kind, const void *bytes, size_t size, uint8_t digest[DIGEST_SIZE]);

/* Name of the kind for messages, such as "MD5"; static. */
const char *digest_name(DigestKind kind);

/* True if this machine's processor has instructions for SHA-256. */
bool digest_has_instructions(void);

/* The kind of digest to ask a server of this version for first: SHA-256 if processors have
 * instructions for it, since it is the faster then; otherwise, and before 11, MD5. The source's
 * machine is assumed to have the same instructions as this one. */
DigestKind digest_preferred(const Version *version, bool has_instructions);

/* ---- Questions to a source, and answers ---- */

typedef enum FileType
{
    FILE_REGULAR,
    FILE_DIRECTORY,
    FILE_LINK, /* a symbolic link that the listing does not enter; a tablespace's link is FILE_LINK
                  too, although its content is listed below it */
    FILE_OTHER /* socket, fifo, device: never touched */
} FileType;

/* A file as a listing shows it, of the source or, in data_directory_list, of the target. Strings
 * are valid during the visitor's call only. */
typedef struct VisitedFile
{
    const char *path; /* relative to the data directory; a server's path is not yet checked */
    FileType type;
    uint64_t size;           /* bytes of a regular file; otherwise 0 */
    const char *link_target; /* target of a FILE_LINK; otherwise NULL */
    bool unreadable; /* in the target: a directory that this user may not read; on the source: a
                        file whose name is invalid in the server's encoding */
    dev_t device;    /* file's device on this host, after following links that the listing enters;
                        0 for a server's file */
    ino_t inode;     /* file's inode number, like device */
    bool tried; /* the source's server has read a byte of the file, so the server may read the file
                 */
} VisitedFile;

/* A symbolic link of a listing. */
typedef struct ListedLink
{
    const char *path;
    const char *target; /* the path that the link holds */
} ListedLink;

/* Called for each listed file. False, with error, stops the listing. */
typedef bool (*FileVisitor)(void *context, const VisitedFile *file, Error *error);

/* A piece of a file: bytes to fetch, or to compute digests of. */
typedef struct FetchRequest
{
    const char *path;
    uint64_t offset;
    uint32_t size; /* bytes; a server is asked for at most FETCH_SIZE_MAX, or for digests of at most
                      DIGEST_PIECE_SIZE_MAX */
} FetchRequest;
#define FETCH_SIZE_MAX (1024 * 1024) /* bytes in a piece that is fetched */
#define FETCH_COUNT_MAX 8192         /* pieces in a FetchBatch */

/*
 * Pieces that a source is asked for in one call: their bytes, or digests of DIGEST_SIZE bytes.
 *
 * With a block size the answer about a piece is the digests of its blocks, one after the other.
 * Such a piece begins at a block's start. If the file ends within a block, the digest of this block
 * is that of the bytes which exist; blocks after the file's end have none. If the piece begins
 * after the end, the answer is that of a missing file, bytes NULL.
 */
typedef struct FetchBatch
{
    const FetchRequest *requests;
    size_t count;        /* at most FETCH_COUNT_MAX */
    bool digests;        /* digests are wanted, not bytes; not if Source.digest is DIGEST_NONE */
    uint32_t block_size; /* bytes in a digest; 0: one digest for the whole piece */
    bool ends_reading;   /* nothing more is read from the source before its state is asked for, with
                            removals: a server answers that question too, after the pieces */
} FetchBatch;
#define DIGEST_PIECE_SIZE_MAX (4 * 1024 * 1024) /* bytes in a piece whose digests are wanted */

/*
 * Takes the answer to request number `index`; answers come in the order of the requests. bytes
 * NULL: the file is gone. Fewer bytes than asked for: the file ends there. Bytes are valid during
 * the call only. False, with error, stops the fetch.
 */
typedef bool (*FetchDelivery)(void *context, size_t index, const uint8_t *bytes, size_t size,
                              Error *error);

/* Files that the source's server or this user may not read: the first REFUSED_FILES_MAX of them. */
#define REFUSED_FILES_MAX 10
typedef struct RefusedFiles
{
    const char *paths[REFUSED_FILES_MAX]; /* pointers of the caller of try_files */
    Error errors[REFUSED_FILES_MAX];      /* error for each, which names the file */
    size_t count;
} RefusedFiles;

/* WAL positions of the source at one moment. */
typedef struct SourcePosition
{
    bool in_recovery; /* a running standby, or a directory shut down in recovery */

    /* End of the WAL on the source's disk: a primary's flush position, or the position up to which
       a standby has received WAL, at least `minimum`. LSN_INVALID for a directory, whose WAL the
       caller reads. */
    Lsn end;

    /* Position that the target's recovery must reach at least. A primary: the same as end. A
       standby: its replay position, at least minRecoveryPoint. A directory of a standby:
       minRecoveryPoint; of a primary: LSN_INVALID. */
    Lsn minimum;

    Timeline timeline; /* actual timeline; that of pg_control may be older */

    bool streams; /* a running standby has reported its receive position; all that it has begun to
                     replay lies before `end` */
} SourcePosition;

typedef struct Source Source;

typedef struct SourceOperations
{
    void (*close)(Source *source);

    /* Read and parse pg_control. A torn read is repeated a few times.
       Answers of a server to questions that were asked when it was opened (pg_control, position,
       some files and names) are kept for the first caller that asks for them. */
    bool (*read_control)(Source *source, Control *control, Error *error);

    /* Find the source's position; control must have been read just before. */
    bool (*position)(Source *source, const Control *control, SourcePosition *position,
                     Error *error);

    /* Of a server only; NULL for a directory. Read pg_control, then the position, both now, by one
       question. If removes is not NULL, first set *removes if a process of the server, a session or
       a standby's startup process, holds the lock under which directories of databases are removed.
     */
    bool (*state)(Source *source, Control *control, SourcePosition *position, bool *removes,
                  Error *error);

    /* Append a whole file to buffer. *found is false if the file does not exist. A file of more
       than limit bytes is an error. */
    bool (*read_file)(Source *source, const char *path, size_t limit, Buffer *buffer, bool *found,
                      Error *error);

    /* Visit all files of a cluster of this version, a directory before its content. A server
       follows links to directories, and reports a fifo, socket or device as a regular file of size
       0: files of size 0 must not be fetched, since reading a fifo would block the server's
       process. */
    bool (*list)(Source *source, const Version *version, FileVisitor visit, void *context,
                 Error *error);

    /* Read a byte of each file, and put those that may not be read into *refused. The files must be
       regular and not empty, since reading a fifo would block. A file that is gone counts as read.
       Fails only if the source cannot be asked. */
    bool (*try_files)(Source *source, const char *const *paths, size_t count, RefusedFiles *refused,
                      Error *error);

    /* Set *names to the names in a directory, in no order, NULL after the last; in the arena. A
       missing directory has no names. */
    bool (*names)(Source *source, const char *directory, Arena *arena, const char ***names,
                  Error *error);

    /* Prepare for up to `jobs` workers, which will fetch or compare `bytes` bytes. *granted, at
       least 1, is the number of workers to start: fewer for few bytes, which are not worth another
       connection. A server's worker opens its connection with open_worker or its first request; a
       worker that gets none shares the first connection. */
    bool (*start_workers)(Source *source, int jobs, uint64_t bytes, int *granted, Error *error);

    /* Open the worker's connection now, if it is not open. NULL for a directory. */
    void (*open_worker)(Source *source, int worker);

    /* Deliver the bytes of pieces, or their digests; nothing is delivered twice.
       A lost connection is retried for the retry timeout, here and in all other functions. The
       server may have been restarted in the meantime; another server is an error (check_same_server
       in server_connect.c). ERROR_RETRY: the retry timeout is over. */
    bool (*fetch)(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                  void *context, Error *error);
} SourceOperations;

struct Source
{
    const SourceOperations *operations;
    bool is_server;
    const char *directory;   /* path of a source directory, for direct reads and copies; NULL for a
                                server */
    const char *description; /* text for messages and the report; no password */
    const char *host, *address, *port; /* host, address and port of the first server that answered;
                                          NULL for a directory */
    Rate *rate; /* limit of the bytes read from the source per second, counted with rate_take;
                   NULL: no limit. Owned by the source */
    DigestKind digest;            /* kind of digest by which the source's files are compared */
    _Atomic uint64_t round_trips; /* times that a server was asked and waited for, not counting
                                     those for making connections */
};

/*
 * Connect to a source server (--source-server). Checks that the role may execute the functions that
 * read files (the error names all missing grants, as GRANT statements), and that full_page_writes
 * is on (contract's words). bytes_per_second limits the bytes received over all connections; 0: no
 * limit.
 */
MUST_CHECK bool source_server_open(const char *conninfo, int retry_timeout_seconds,
                                   uint64_t bytes_per_second, Source **source, Error *error);

/* Ask for the source's configuration and its list of files together with the next question on the
 * first connection, since a rewind will need both soon: the later calls of read_file and list then
 * need no round trip. Does nothing if the source is a directory. */
void source_server_expect_rewind(Source *source);

/* The same for WAL of the source: `size` bytes, at most EXPECTED_WAL_MAX, of a file from an offset
 * on, which the source's flush position has passed. The first batch of bytes that begins with some
 * of them gets them from there. Does nothing for a standby, nor with a limit of the rate. */
#define EXPECTED_WAL_MAX (4 * FETCH_SIZE_MAX)
void source_server_expect_wal(Source *source, const char *path, uint64_t offset, uint32_t size);

/* The same for WAL that the source will have flushed when its state at the end is asked for
 * (FetchBatch's ends_reading): bytes of a file from an offset on, where the LSN `from` lies; the
 * server sends those before its flush position, at most FETCH_SIZE_MAX. */
void source_server_expect_last_wal(Source *source, const char *path, uint64_t offset, Lsn from);

/*
 * Ask a source server for names. `database` is called with each database: OID, name, whether this
 * connection is to it, encoding. `relation` is called with those relations of the connection's
 * database whose relfilenode is in filenodes, an array literal: relfilenode, tablespace's OID,
 * name, and for an index or TOAST table the name of its table, otherwise NULL. After a lost
 * connection all rows come again, so both functions must accept repeated rows.
 */
MUST_CHECK bool source_server_names(Source *source, const char *filenodes, ConnectionRow database,
                                    ConnectionRow relation, void *context, Error *error);

/* Set *may if the role may run CHECKPOINT on the server, and *buffers_bytes to the size of its
 * shared buffers, the most that a checkpoint has to write. */
MUST_CHECK bool source_server_may_checkpoint(Source *source, bool *may, uint64_t *buffers_bytes,
                                             Error *error);

/* WAL of the source that a rewind may need after a CHECKPOINT there. */
typedef struct NeededWal
{
    Lsn from;
    uint64_t size;         /* bytes from `from` to the source's end of WAL */
    uint32_t segment_size; /* bytes */
    bool in_summaries;     /* summaries may replace this WAL */
} NeededWal;

/*
 * Set *keeps if the server keeps the needed WAL when a CHECKPOINT ends; otherwise it may then
 * remove all segments before the new redo position. The server keeps WAL by wal_keep_size or
 * wal_keep_segments (twice the needed size must be kept, since more is written before all is
 * read), for a slot (without a client, which could move the slot), or until it is in a summary.
 */
MUST_CHECK bool source_server_keeps_wal(Source *source, const NeededWal *needed, bool *keeps,
                                        Error *error);

/* Run CHECKPOINT on the server (--checkpoint), which may take minutes. On a standby it is a
 * restartpoint. */
MUST_CHECK bool source_server_checkpoint(Source *source, Error *error);

/* This connection's role and address as the source server sees them. A standby that streams from
 * the source with the same connection string has the same. */
typedef struct SourceRole
{
    bool may_replicate;  /* the role has REPLICATION or is a superuser; true if that is unknown */
    const char *name;    /* role's name, quoted if SQL and pg_hba.conf need it */
    const char *address; /* client's address as in pg_hba.conf, "10.0.0.1/32"; NULL: a Unix-domain
                            socket */
    bool ssl;            /* the connection uses SSL */
} SourceRole;

/* Ask the server for the role; strings are in the arena. No privilege is needed. */
MUST_CHECK bool source_server_role(Source *source, Arena *arena, SourceRole *role, Error *error);

/* A replication slot of the source server. */
typedef struct SourceSlot
{
    bool exists;      /* a slot of this name exists; otherwise only none_free is set */
    bool physical;    /* the slot is physical, not logical */
    bool active;      /* a client streams with the slot */
    char holder[128]; /* application_name of this client; empty: no client, or the role may not see
                         it */
    bool lost;        /* the server no longer keeps the WAL from `restart` on, or not much longer
                         (wal_status lost or unreserved) */
    Lsn restart;      /* start of the WAL that the slot keeps; LSN_INVALID: it keeps none yet */
    bool none_free;   /* all slots that max_replication_slots allows exist */
} SourceSlot;

/* Set *names to the missing slots: names in synchronized_standby_slots, other than `except`, for
 * which the source has no slot; ascending, separated by commas, in the arena. Empty if no slot is
 * missing, or if the server's version does not have this setting. */
MUST_CHECK bool source_server_missing_slots(Source *source, const char *except, Arena *arena,
                                            const char **names, Error *error);

/* Read the state of the slot with this name. No privilege is needed. */
MUST_CHECK bool source_server_slot(Source *source, const char *name, SourceSlot *slot,
                                   Error *error);

/*
 * Create a physical slot that reserves WAL at once, from the redo position of the server's last
 * checkpoint or restartpoint on. An existing slot of this name is left alone: *made is false.
 *
 * *made is false as well if the connection was lost after the server had created the slot: the
 * retry then finds it. *slot is the slot's state afterwards. *made is set even after a failure.
 */
MUST_CHECK bool source_server_slot_make(Source *source, const char *name, bool *made,
                                        SourceSlot *slot, Error *error);

/* Drop the slot. Must be the last request to this source: from then on a lost connection is not
 * retried. */
MUST_CHECK bool source_server_slot_drop(Source *source, const char *name, Error *error);

/* A standby of the source: a row of pg_stat_replication. Values that the role may not see are empty
 * or LSN_INVALID. */
typedef struct SourceStandby
{
    bool all_visible; /* the role may see all columns of all rows */
    bool found;       /* a standby was found; otherwise the fields below are empty */
    char name[128];   /* standby's application_name */
    char state[32], sync_state[32];
    Lsn sent, flushed, replayed;
} SourceStandby;

/*
 * Find the standby of the source whose application_name is in the list `names`, which ends with
 * NULL, and that connected at or after `since`: microseconds since 1970, by the server's clock. If
 * several standbys match, prefer a streaming one, then whichever has replayed most.
 */
MUST_CHECK bool source_server_find_standby(Source *source, const char *const *names, int64_t since,
                                           SourceStandby *standby, Error *error);

/* The WAL receiver of a source that is a standby: a row of pg_stat_wal_receiver. */
typedef struct SourceReceiver
{
    bool streams; /* the receiver streams; true as well if the role may not see that, or before 9.6
                   */
    int64_t milliseconds; /* since the process began; -1: not known (before 10, or to the role) */
    const char *conninfo; /* the string with which it has connected, in the arena; "": not known */
} SourceReceiver;

/* Ask a source that is a standby for its WAL receiver. */
MUST_CHECK bool source_server_receiver(Source *source, Arena *arena, SourceReceiver *receiver,
                                       Error *error);

/* Set *now to the time of the server's clock, in microseconds since 1970. */
MUST_CHECK bool source_server_clock(Source *source, int64_t *now, Error *error);

/* Returns the first open connection to a source server, whose parameters -R writes; NULL for a
 * directory. */
Connection *source_connection(Source *source);

/* Open a source directory (--source-pgdata). bytes_per_second limits the bytes read; 0: no limit.
 * Does not check that its server is stopped: the prerequisites do. */
MUST_CHECK bool source_directory_open(const char *path, uint64_t bytes_per_second, Source **source,
                                      Error *error);

/*
 * For the implementations of a source: read pg_control with `read`, which appends its bytes to the
 * buffer, and parse it. After a wrong CRC read again, a few times: the server may be writing the
 * file. file has the name and pg_version.
 */
typedef bool (*SourceControlRead)(void *context, Buffer *buffer, Error *error);
MUST_CHECK bool source_control_read(SourceControlRead read, void *context, ControlFile file,
                                    Control *control, Error *error);
#define CONTROL_READ_MAX (2 * CONTROL_FILE_SIZE) /* bytes; more than a valid file has */

void source_close(Source *source); /* NULL is allowed */

/*
 * For the implementations of a source: find the timeline that a standby is really on. After it has
 * followed its primary to a new timeline, pg_control shows the old one until the next restartpoint,
 * or until a page is written.
 *
 * The result is the newest timeline above pg_control's that descends from it, has a history file
 * and a segment in pg_wal, and begins at or before `replayed` (LSN_INVALID: the replay position is
 * not known); otherwise pg_control's.
 */
MUST_CHECK bool source_standby_timeline(Source *source, const Control *control, Lsn replayed,
                                        Timeline *timeline, Error *error);

/*
 * Fail if the server encrypts the cluster's files, which the files with its keys show. Blocks of
 * source and target may then be encrypted with different keys (design/limits.md, "Encrypted
 * clusters"): no block of one may be written to the other, and digests cannot compare them.
 *
 * Looks into a local data directory; directory NULL: asks the source, a server. The error of found
 * keys, ERROR_FAILED, names what encrypts the cluster and the program that can rewind it. Fails as
 * well if the source cannot be asked or the directory cannot be read.
 */
MUST_CHECK bool encryption_check(Source *source, const char *directory, Error *error);

/* Returns the index-th directory that encryption_check looks into; NULL: there are no more. */
const char *encryption_directory(size_t index);

#endif
