/*
 * Ask the source for pieces of many files, by several workers at once.
 *
 *     ranges of files ──▶ pieces ──▶ a worker's batch ──▶ one call to the source ──▶ answers
 *     (next_range)                                                     (take_answer, take_file)
 *
 * The caller names ranges of files, one after the other. They are cut into pieces. Each worker
 * takes a batch of pieces, asks the source for all of them in one call (a link's delay is waited
 * for once in a call), hands each answer to the caller, and takes the next batch. A batch is
 * bounded in number and bytes, and nothing is held for all files together. The first error stops
 * all workers, and so does a signal.
 *
 * Used by the fetch, the comparison of whole files and --compare (stage/), and for WAL by the fetch
 * of segments (wal_store/) and their comparison (divergence/).
 */
#ifndef SOURCE_FILE_PIECES_H
#define SOURCE_FILE_PIECES_H

#include "source/source.h"
#include "io/open_file.h"

#include <pthread.h>

/* Bytes of a file that are wanted: a range that the caller names, then a piece of it. */
typedef struct FilePiece
{
    size_t file;      /* the caller's number of it */
    const char *path; /* relative; lives until the end, one pointer for all ranges of a file */
    uint64_t offset;
    uint64_t size;       /* not 0; of a piece at most FilePieces' piece_size */
    uint32_t asked_size; /* of a piece: size or more (size_to_ask); less comes where the file ends
                            before */
    size_t destination;  /* the caller's */
    uint64_t destination_offset; /* the caller's, of the first byte */
} FilePiece;

/* The caller's state in one thread, until all pieces are done. */
typedef struct PieceWorker
{
    int number;     /* from 0 */
    OpenFile file;  /* the caller's: the one on this machine that the piece is compared with, or
                       written to */
    uint8_t *bytes; /* FilePieces' bytes_size of them, at a multiple of 4096; uninitialised */
} PieceWorker;

/* The question to the source, and the caller's functions. */
typedef struct FilePieces
{
    Source *source;
    bool digests;             /* are wanted: see FetchBatch */
    uint32_t block_size;      /* of digests */
    uint32_t piece_size;      /* at most */
    size_t batch_pieces_max;  /* not above FETCH_COUNT_MAX */
    uint64_t batch_bytes_max; /* a batch that has reached it gets no further piece */
    size_t bytes_size;        /* of each worker's bytes; 0: it has none */
    Written *written;         /* of each worker's file: see OpenFile */
    void *context;
    pthread_mutex_t *lock; /* the caller's: next_range is called with it held */

    /* The next range; false: nothing is left. */
    bool (*next_range)(void *context, FilePiece *range);

    /* How many bytes to ask for: the piece's size or more (of a directory that is read here, one
       more at most). NULL: its size. Called with the lock held. */
    uint32_t (*size_to_ask)(void *context, const FilePiece *piece);

    /* The source's answer: see FetchDelivery and the operation. bytes NULL: gone. */
    bool (*take_answer)(void *context, PieceWorker *worker, const FilePiece *piece,
                        const uint8_t *bytes, size_t size, Error *error);

    /* A source that is a directory is asked for bytes, whatever the question. With this function it
       is not asked: its file is handed over, to be read at the range's offset and counted by the
       source's rate; NULL: gone. */
    bool (*take_file)(void *context, PieceWorker *worker, const FilePiece *piece,
                      const FileRange *file, Error *error);

    /* All answers of a batch were taken. NULL: nothing to do. */
    bool (*end_batch)(void *context, PieceWorker *worker, Error *error);

    /* Our own, zeros before the first call; guarded by the lock. */
    FilePiece range; /* what is left of the range at hand */
    bool failed;     /* a worker has failed: the others stop */
} FilePieces;

/*
 * Ask for all pieces, by that many workers (Source's start_workers). Nothing is answered if the
 * question is for digests and the source is a server that computes none.
 */
MUST_CHECK bool file_pieces_ask(FilePieces *pieces, int workers, Error *error);

/* Read the target's piece, asked_size bytes. A file that is not there, or that we may not read, has
 * no bytes. */
MUST_CHECK bool piece_read_target(OpenFile *file, const char *directory, const FilePiece *piece,
                                  uint8_t *bytes, size_t *length, Error *error);

/* The source's answer about a piece, which may have several units, each with a digest. */
typedef struct PieceAnswer
{
    DigestKind digest;    /* DIGEST_NONE: the answer is the bytes themselves */
    const uint8_t *bytes; /* NULL: the source no longer has it */
    size_t size;
} PieceAnswer;

/* True if the unit at offset, a multiple of unit_size, is what we have of it: size bytes. */
bool piece_answer_equals(const PieceAnswer *answer, uint64_t unit_size, uint64_t offset,
                         const uint8_t *bytes, size_t size);

#endif
