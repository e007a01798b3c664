#include "source/file_pieces.h"

#include "base/workers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The state of one worker. */
typedef struct PieceBatch
{
    FilePieces *pieces;
    PieceWorker worker;
    FilePiece *piece;       /* batch_pieces_max of them */
    FetchRequest *requests; /* the same pieces, for the source */
    size_t count;
    PieceFile source_file; /* of a source that is a directory, */
    uint8_t *source_bytes; /* and what is read from it */
} PieceBatch;

/* ---- Local files ---- */

bool piece_file_open(PieceFile *file, const char *directory, const FilePiece *piece, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    if (file->of == piece->path)
        return true;
    file->of = piece->path;
    return open_file_switch(&file->open, path_in(&path, directory, piece->path), OPEN_TO_READ, NULL,
                            error);
}

bool piece_file_read_target(PieceFile *file, const char *directory, const FilePiece *piece,
                            uint8_t *bytes, size_t *length, Error *error)
{
    *length = 0;
    if (!piece_file_open(file, directory, piece, error) && error->error_number != EACCES)
        return false;
    return file->open.fd < 0 || file_read_at(file->open.fd, file->open.path, bytes,
                                             piece->asked_size, piece->offset, length, error);
}

bool piece_answer_equals(const PieceAnswer *answer, uint32_t unit_size, uint32_t offset,
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

/* ---- Which pieces ---- */

/* Cut the next piece from the range at hand. */
static FilePiece cut_piece(FilePieces *pieces)
{
    PieceRange *range = &pieces->range;
    const uint32_t size =
        range->size < pieces->piece_size ? (uint32_t) range->size : pieces->piece_size;
    FilePiece piece = {.file = range->file,
                       .path = range->path,
                       .offset = range->offset,
                       .size = size,
                       .asked_size = size,
                       .destination = range->destination,
                       .destination_offset = range->destination_offset};

    if (pieces->size_to_ask != NULL)
        piece.asked_size = pieces->size_to_ask(pieces->context, &piece);
    range->offset += size;
    range->size -= size;
    range->destination_offset += size;
    return piece;
}

/* Fill the batch with what comes next. Empty: nothing is left, or a worker has failed. */
static void fill_batch(PieceBatch *batch)
{
    FilePieces *pieces = batch->pieces;
    uint64_t bytes = 0;

    batch->count = 0;
    pthread_mutex_lock(pieces->lock);
    while (!pieces->failed && !pieces->unsupported && batch->count < pieces->batch_pieces_max &&
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

/* ---- Asking ---- */

static bool hand_over_answer(void *context, size_t index, const uint8_t *bytes, size_t size,
                             Error *error)
{
    PieceBatch *batch = context;

    assert(index < batch->count);
    return batch->pieces->take_answer(batch->pieces->context, &batch->worker, &batch->piece[index],
                                      bytes, size, error);
}

/* Read a piece of a directory's file, and hand it over as an answer; NULL: the file is gone. */
static bool hand_over_bytes(PieceBatch *batch, const FilePiece *piece, const FileRange *file,
                            Error *error)
{
    FilePieces *pieces = batch->pieces;
    size_t length = 0;

    return (file == NULL || (file_read_at(file->fd, file->path, batch->source_bytes,
                                          piece->asked_size, file->offset, &length, error) &&
                             rate_take(pieces->source->rate, length, error))) &&
           pieces->take_answer(pieces->context, &batch->worker, piece,
                               file == NULL ? NULL : batch->source_bytes, length, error);
}

static bool hand_over_files(PieceBatch *batch, Error *error)
{
    const FilePieces *pieces = batch->pieces;
    PieceFile *file = &batch->source_file;

    for (size_t index = 0; index < batch->count; index++)
    {
        const FilePiece *piece = &batch->piece[index];
        FileRange open = {.offset = piece->offset};
        const FileRange *range = NULL;

        if (!piece_file_open(file, pieces->source->directory, piece, error))
            return false;
        open.fd = file->open.fd;
        open.path = file->open.path;
        if (open.fd >= 0)
            range = &open;
        if (!(pieces->take_file == NULL
                  ? hand_over_bytes(batch, piece, range, error)
                  : pieces->take_file(pieces->context, &batch->worker, piece, range, error)))
            return false;
    }
    return true;
}

static bool ask_source_for_batch(PieceBatch *batch, Error *error)
{
    FilePieces *pieces = batch->pieces;
    Source *source = pieces->source;
    const DigestBatch digests = {
        .requests = batch->requests,
        .count = batch->count,
        .block_size = pieces->question == ASK_BLOCK_DIGESTS ? pieces->block_size : 0};
    bool supported = true;
    bool ok;

    if (source->directory != NULL)
        return hand_over_files(batch, error);
    if (pieces->question == ASK_BYTES)
        ok = source->operations->fetch(source, batch->worker.number, batch->requests, batch->count,
                                       hand_over_answer, batch, error);
    else
        ok = source->operations->digest(source, batch->worker.number, &digests, hand_over_answer,
                                        batch, &supported, error);
    if (ok && !supported)
    {
        pthread_mutex_lock(pieces->lock);
        pieces->unsupported = true;
        pthread_mutex_unlock(pieces->lock);
    }
    return ok;
}

static bool ask_batches(PieceBatch *batch, Error *error)
{
    const FilePieces *pieces = batch->pieces;

    for (;;)
    {
        fill_batch(batch);
        if (batch->count == 0)
            return true;
        if (!stop_check(error) || !ask_source_for_batch(batch, error) ||
            (pieces->end_batch != NULL &&
             !pieces->end_batch(pieces->context, &batch->worker, error)))
            return false;
    }
}

static bool run_piece_worker(void *context, int worker, size_t item, Error *error)
{
    FilePieces *pieces = context;
    PieceBatch batch = {.pieces = pieces, .worker = {.number = worker}};
    bool ok;

    (void) item;
    open_file_init(&batch.source_file.open, NULL);
    open_file_init(&batch.worker.file.open, pieces->written);
    if (pieces->source->directory != NULL && pieces->take_file == NULL)
        batch.source_bytes = memory_allocate(pieces->piece_size + 1);
    if (pieces->bytes_size > 0)
        batch.worker.bytes = memory_allocate_aligned(pieces->bytes_size);
    batch.piece = memory_allocate(pieces->batch_pieces_max * sizeof(*batch.piece));
    batch.requests = memory_allocate(pieces->batch_pieces_max * sizeof(*batch.requests));
    ok = ask_batches(&batch, error);
    if (!ok)
    {
        pthread_mutex_lock(pieces->lock);
        pieces->failed = true;
        pthread_mutex_unlock(pieces->lock);
    }
    open_file_close(&batch.source_file.open);
    open_file_close(&batch.worker.file.open);
    free(batch.worker.bytes);
    free(batch.source_bytes);
    free(batch.piece);
    free(batch.requests);
    return ok;
}

bool file_pieces_ask(FilePieces *pieces, int workers, bool *supported, Error *error)
{
    const bool ok = workers_run(workers, (size_t) workers, run_piece_worker, pieces, error);

    assert(pieces->batch_pieces_max <= FETCH_COUNT_MAX);
    *supported = !pieces->unsupported;
    return ok;
}
