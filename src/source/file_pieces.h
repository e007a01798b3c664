/*
 * Ask the source for pieces of many files, by several workers at once.
 *
 *     ranges of files ──▶ pieces ──▶ a worker's batch ──▶ one call to the source ──▶ answers
 *     (next_range)                                                     (take_answer, take_file)
 *
 * The caller names ranges of files, one after the other. The ranges are cut into pieces. Each
 * worker takes a batch of pieces, asks the source for all of them in one call (so that the batch
 * waits for the link's delay once), hands each answer to the caller, and takes the next batch. A
 * batch is bounded in number and bytes; memory does not grow with the number of files. A worker
 * that is alone has nobody to leave pieces for: it takes the largest batches, which have
 * BATCH_BYTES_MAX bytes or FETCH_COUNT_MAX pieces. The first error stops all workers, and so does a
 * signal.
 *
 * Used by the fetch, the comparison of whole files and --compare (stage/), and for WAL by the fetch
 * of segments (wal_store/) and their comparison (divergence/).
 */
#ifndef SOURCE_FILE_PIECES_H
#define SOURCE_FILE_PIECES_H

#include "source/source.h"
#include "io/open_file.h"

#include <pthread.h>

/* Bytes of a file that are wanted: first a range that the caller names (next_range), then a piece
 * cut from this range. */
typedef struct FilePiece
{
    size_t file;      /* the caller's number of the file */
    const char *path; /* relative; must live until file_pieces_ask returns; all ranges of a file
                         must have the same pointer, by which an open file is recognized */
    uint64_t offset;
    uint64_t size;       /* bytes, not 0; a piece has at most FilePieces' piece_size */
    uint32_t asked_size; /* bytes asked for, set in pieces only: what size_to_ask returns, at least
                            size; the answer is shorter where the file ends earlier */
    size_t destination;  /* for the caller's use */
    uint64_t destination_offset; /* for the caller's use: in a piece it has grown by the piece's
                                    distance from the range's start */
} FilePiece;

/* State of one worker's thread for the caller's functions; kept until all pieces are done. */
typedef struct PieceWorker
{
    int number;     /* from 0 */
    OpenFile file;  /* for the caller's use: the local file that the piece is compared with, or
                       written to */
    uint8_t *bytes; /* scratch memory of FilePieces' bytes_size bytes, aligned to 4096,
                       uninitialised; NULL if bytes_size is 0 */
} PieceWorker;

/* Bytes of a batch that is worth waiting for the link's delay: more would spare little time. */
#define BATCH_BYTES_MAX (64u * 1024 * 1024)

/* The question to the source, and the caller's functions. */
typedef struct FilePieces
{
    Source *source;
    bool digests;        /* a server is asked for digests; if false, for bytes. A directory gives
                            bytes in any case */
    uint32_t block_size; /* bytes in a digest, see FetchBatch; without digests unused */
    uint32_t piece_size; /* largest size of a piece, bytes */
    size_t batch_pieces_max;  /* largest number of pieces in a batch, up to FETCH_COUNT_MAX; a
                                 worker that is alone takes FETCH_COUNT_MAX */
    uint64_t batch_bytes_max; /* a batch that has reached this size takes no further piece; that of
                                 a worker that is alone has BATCH_BYTES_MAX */
    size_t bytes_size;        /* size of PieceWorker.bytes; 0: no memory is wanted */
    bool ends_reading;        /* FetchBatch's ends_reading for the last batch, if one worker asks */
    Written *written;         /* `written` of PieceWorker.file; NULL is allowed */
    void *context;            /* first argument of the functions below */
    pthread_mutex_t *lock;    /* the caller's; held during next_range and size_to_ask */

    /* Set *range to the next range. Returns false if nothing is left. */
    bool (*next_range)(void *context, FilePiece *range);

    /* Returns the number of bytes to ask for: the piece's size or more, within the limits of
       FetchRequest and of the memory that take_answer reads into. NULL: the piece's size is asked
       for. */
    uint32_t (*size_to_ask)(void *context, const FilePiece *piece);

    /* Take the source's answer about a piece, in the form of FetchDelivery: digests of a server
       that was asked for digests, otherwise bytes. bytes NULL: the file is gone. */
    bool (*take_answer)(void *context, PieceWorker *worker, const FilePiece *piece,
                        const uint8_t *bytes, size_t size, Error *error);

    /* Take the open source file itself, instead of take_answer, if the source is a directory: read
       asked_size bytes at file->offset, and count the bytes by the source's rate (rate_take). file
       NULL: the file is gone. If this function is NULL, take_answer gets the bytes, even if
       `digests` is set. */
    bool (*take_file)(void *context, PieceWorker *worker, const FilePiece *piece,
                      const FileRange *file, Error *error);

    /* Called after all answers of a batch were taken. NULL is allowed. */
    bool (*end_batch)(void *context, PieceWorker *worker, Error *error);

    /* Private to file_pieces.c, zeros before the call; guarded by the lock. */
    FilePiece range; /* rest of the current range, not yet cut into pieces */
    bool failed;     /* a worker has failed, so the others stop */
} FilePieces;

/*
 * Ask the source for all pieces, with `workers` threads, at most as many as Source's start_workers
 * granted. Returns true at once, without calling any function of `pieces`, if digests are wanted
 * from a server that computes none.
 */
MUST_CHECK bool file_pieces_ask(FilePieces *pieces, int workers, Error *error);

/* Read the target's bytes at a piece's place, up to asked_size. *length, the number of bytes read,
 * is 0 for a missing file and for one that this user may not read. */
MUST_CHECK bool piece_read_target(OpenFile *file, const char *directory, const FilePiece *piece,
                                  uint8_t *bytes, size_t *length, Error *error);

/* The source's answer about a piece. The piece consists of units (blocks, or one unit for the whole
 * piece), each of which has a digest. */
typedef struct PieceAnswer
{
    DigestKind digest;    /* kind of the digests; DIGEST_NONE: the answer is bytes */
    const uint8_t *bytes; /* digests of the units, or bytes; NULL if the source's file is gone */
    size_t size;          /* size of the answer in bytes */
} PieceAnswer;

/* True if the source's unit at `offset` of the piece, a multiple of unit_size, is identical to the
 * `size` local bytes at `bytes`. False if size is 0, or if the answer ends before the unit's end.
 */
bool piece_answer_equals(const PieceAnswer *answer, uint64_t unit_size, uint64_t offset,
                         const uint8_t *bytes, size_t size);

#endif
