#include "source/file_pieces.h"

#include "base/workers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A worker and its current batch of pieces. */
typedef struct PieceBatch
{
    FilePieces *pieces;
    PieceWorker worker;
    FilePiece *piece;       /* the batch; array of batch_pieces_max pieces */
    FetchRequest *requests; /* the same pieces, as requests to the source */
    size_t count;           /* pieces in the batch */
    OpenFile source_file;   /* file to hand over, if the source is a directory */
} PieceBatch;

/* ---- Local files ---- */

/* Open the piece's file below `directory` for reading, unless it is the open one. The open file is
 * recognized by the pointer to its path. */
static bool open_piece_file(OpenFile *file, const char *directory, const FilePiece *piece,
                            Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    if (file->purpose == piece->path)
        return true;
    if (!open_file_switch(file, path_in(&path, directory, piece->path), OPEN_TO_READ, NULL, error))
        return false;
    file->purpose = piece->path;
    return true;
}

bool piece_read_target(OpenFile *file, const char *directory, const FilePiece *piece,
                       uint8_t *bytes, size_t *length, Error *error)
{
    *length = 0;
    if (!open_piece_file(file, directory, piece, error))
        return error->error_number == EACCES;
    return file->fd < 0 || file_read_at(file->fd, file->path, bytes, piece->asked_size,
                                        piece->offset, length, error);
}

bool piece_answer_equals(const PieceAnswer *answer, uint64_t unit_size, uint64_t offset,
                         const uint8_t *bytes, size_t size)
{
    const bool by_digest = answer->digest != DIGEST_NONE;
    const size_t at = by_digest ? offset / unit_size * DIGEST_SIZE : offset;
    const size_t needed = by_digest ? DIGEST_SIZE : size;
    uint8_t digest[DIGEST_SIZE];

    if (answer->bytes == NULL || size == 0 || at + needed > answer->size ||
        (by_digest && !digest_bytes(answer->digest, bytes, size, digest)))
        return false;
    return memcmp(answer->bytes + at, by_digest ? digest : bytes, needed) == 0;
}

/* ---- Cutting ranges into pieces ---- */

/* Cut the next piece from the current range. */
static FilePiece cut_piece(FilePieces *pieces)
{
    FilePiece *range = &pieces->range;
    FilePiece piece = *range;

    if (piece.size > pieces->piece_size)
        piece.size = pieces->piece_size;
    piece.asked_size = (uint32_t) piece.size;
    if (pieces->size_to_ask != NULL)
        piece.asked_size = pieces->size_to_ask(pieces->context, &piece);
    range->offset += piece.size;
    range->size -= piece.size;
    range->destination_offset += piece.size;
    return piece;
}

/* Fill the batch with the next pieces. The batch stays empty if no piece is left, or if a worker
 * has failed. */
static void fill_batch(PieceBatch *batch)
{
    FilePieces *pieces = batch->pieces;
    uint64_t bytes = 0;

    batch->count = 0;
    pthread_mutex_lock(pieces->lock);
    while (!pieces->failed && batch->count < pieces->batch_pieces_max &&
           bytes < pieces->batch_bytes_max &&
           (pieces->range.size > 0 || pieces->next_range(pieces->context, &pieces->range)))
    {
        const FilePiece piece = cut_piece(pieces);

        batch->piece[batch->count] = piece;
        batch->requests[batch->count++] =
            (FetchRequest){piece.path, piece.offset, piece.asked_size};
        bytes += piece.size;
    }
    pthread_mutex_unlock(pieces->lock);
}

/* True if a piece is left that no batch has. */
static bool has_more(FilePieces *pieces)
{
    bool result;

    pthread_mutex_lock(pieces->lock);
    result = !pieces->failed &&
             (pieces->range.size > 0 || pieces->next_range(pieces->context, &pieces->range));
    pthread_mutex_unlock(pieces->lock);
    return result;
}

/* ---- Asking ---- */

/* A FetchDelivery: pass the answer to the caller with its piece. */
static bool hand_over_answer(void *context, size_t index, const uint8_t *bytes, size_t size,
                             Error *error)
{
    PieceBatch *batch = context;

    assert(index < batch->count);
    return batch->pieces->take_answer(batch->pieces->context, &batch->worker, &batch->piece[index],
                                      bytes, size, error);
}

/* Hand over the open files of a source that is a directory, one for each piece of the batch. */
static bool hand_over_files(PieceBatch *batch, Error *error)
{
    const FilePieces *pieces = batch->pieces;
    OpenFile *file = &batch->source_file;

    for (size_t index = 0; index < batch->count; index++)
    {
        const FilePiece *piece = &batch->piece[index];
        FileRange range = {.offset = piece->offset};

        if (!open_piece_file(file, pieces->source->directory, piece, error))
            return false;
        range.fd = file->fd;
        range.path = file->path;
        if (!pieces->take_file(pieces->context, &batch->worker, piece,
                               range.fd >= 0 ? &range : NULL, error))
            return false;
    }
    return true;
}

/* Ask for the batch, and for those that follow. */
static bool ask_batches(PieceBatch *batch, Error *error)
{
    FilePieces *pieces = batch->pieces;
    Source *source = pieces->source;
    const bool reads_files = source->directory != NULL && pieces->take_file != NULL;

    for (; batch->count > 0; fill_batch(batch))
    {
        const FetchBatch asked = {.requests = batch->requests,
                                  .count = batch->count,
                                  .digests = pieces->digests && source->directory == NULL,
                                  .block_size = pieces->block_size,
                                  .ends_reading = pieces->ends_reading && !has_more(pieces)};

        if (!stop_check(error) ||
            !(reads_files ? hand_over_files(batch, error)
                          : source->operations->fetch(source, batch->worker.number, &asked,
                                                      hand_over_answer, batch, error)) ||
            (pieces->end_batch != NULL &&
             !pieces->end_batch(pieces->context, &batch->worker, error)))
            return false;
    }
    return true;
}

/* Allocate the memory of a worker's batch. free_batch also closes its files. */
static void make_batch(PieceBatch *batch, FilePieces *pieces, int number)
{
    *batch = (PieceBatch){.pieces = pieces, .worker = {.number = number}};
    open_file_init(&batch->source_file, NULL);
    open_file_init(&batch->worker.file, pieces->written);
    if (pieces->bytes_size > 0)
        batch->worker.bytes = memory_allocate_aligned(pieces->bytes_size);
    batch->piece = memory_allocate(pieces->batch_pieces_max * sizeof(*batch->piece));
    batch->requests = memory_allocate(pieces->batch_pieces_max * sizeof(*batch->requests));
}

static void free_batch(PieceBatch *batch)
{
    open_file_close(&batch->source_file);
    open_file_close(&batch->worker.file);
    free(batch->worker.bytes);
    free(batch->piece);
    free(batch->requests);
}

/* A WorkerFunction, whose context is the filled batch of worker 0. */
static bool run_piece_worker(void *context, size_t item, Error *error)
{
    PieceBatch *first = context, own;
    FilePieces *pieces = first->pieces;
    Source *source = pieces->source;
    bool ok;

    if (item == 0)
        ok = ask_batches(first, error);
    else if (!has_more(pieces))
        return true;
    else
    {
        /* While this worker connects, which may take many round trips, worker 0 takes batches. */
        if (source->operations->open_worker != NULL)
            source->operations->open_worker(source, (int) item);
        make_batch(&own, pieces, (int) item);
        fill_batch(&own);
        ok = ask_batches(&own, error);
        free_batch(&own);
    }
    if (!ok)
    {
        pthread_mutex_lock(pieces->lock);
        pieces->failed = true;
        pthread_mutex_unlock(pieces->lock);
    }
    return ok;
}

bool file_pieces_ask(FilePieces *pieces, int workers, Error *error)
{
    const Source *source = pieces->source;
    PieceBatch first;
    bool ok;

    assert(pieces->batch_pieces_max <= FETCH_COUNT_MAX);
    if (pieces->digests && source->directory == NULL && source->digest == DIGEST_NONE)
        return true;
    pieces->ends_reading = pieces->ends_reading && workers == 1;
    if (workers == 1)
    {
        pieces->batch_pieces_max = FETCH_COUNT_MAX;
        pieces->batch_bytes_max = BATCH_BYTES_MAX;
    }
    make_batch(&first, pieces, 0);
    fill_batch(&first);
    ok = workers_run(workers, (size_t) workers, run_piece_worker, &first, error);
    free_batch(&first);
    return ok;
}
