#include "wal_store/segment_fetch.h"

#include "base/log.h"
#include "io/file.h"
#include "source/file_pieces.h"

/* A server does not send a piece that is all zeros, as those after a switch of segments are. */
#define PIECE_SIZE (256 * 1024)
#define COPIED_SIZE (2 * 1024 * 1024) /* of a directory, whose zeros cost nothing */

/* The pieces of one request to the source. */
#define BATCH_PIECES_MIN 4
#define BATCH_PIECES_MAX 64
#define BATCHES_PER_WORKER 4 /* for several segments */

typedef struct SegmentsFetch
{
    Source *source;
    SegmentFetch *segments;
    size_t count;
    size_t next;
} SegmentsFetch;

static bool next_segment(void *context, PieceRange *range)
{
    SegmentsFetch *fetch = context;

    while (fetch->next < fetch->count)
    {
        const size_t index = fetch->next++;
        const SegmentFetch *segment = &fetch->segments[index];

        if (segment->size == 0)
            continue;
        *range = (PieceRange){.file = index, .path = segment->source_path, .size = segment->size};
        return true;
    }
    return false;
}

static bool open_segment_copy(const SegmentFetch *segment, PieceWorker *worker, Error *error)
{
    return open_file_switch(&worker->file, segment->path, OPEN_TO_CREATE, NULL, error);
}

/* The last piece has come. */
static bool finish_segment(const SegmentFetch *segment, PieceWorker *worker, Error *error)
{
    if (segment->whole_path == NULL)
        return true;
    if (segment->missing)
        return file_remove(segment->path, error);
    if (segment->size < segment->whole_size &&
        (!open_segment_copy(segment, worker, error) ||
         !file_truncate(worker->file.fd, segment->path, segment->whole_size, error)))
        return false;
    return file_rename(segment->path, segment->whole_path, error);
}

/* So many bytes of a piece are here. */
static bool finish_piece(SegmentFetch *segment, PieceWorker *worker, const FilePiece *piece,
                         uint64_t size, Error *error)
{
    progress_add(piece->size); /* also what is missing: it counts what was asked for */
    segment->received += size;
    if (size != piece->size)
        segment->missing = true;
    return atomic_fetch_sub(&segment->left, piece->size) > piece->size ||
           finish_segment(segment, worker, error);
}

static bool write_segment_piece(void *context, PieceWorker *worker, const FilePiece *piece,
                                const uint8_t *bytes, size_t size, Error *error)
{
    SegmentsFetch *fetch = context;
    SegmentFetch *segment = &fetch->segments[piece->file];

    return (size != piece->size ||
            (open_segment_copy(segment, worker, error) &&
             file_write_at(worker->file.fd, segment->path, bytes, size, piece->offset, error))) &&
           finish_piece(segment, worker, piece, bytes == NULL ? 0 : size, error);
}

static bool copy_segment_piece(void *context, PieceWorker *worker, const FilePiece *piece,
                               const FileRange *file, Error *error)
{
    SegmentsFetch *fetch = context;
    SegmentFetch *segment = &fetch->segments[piece->file];
    uint64_t copied = 0;

    if (file != NULL)
    {
        if (!open_segment_copy(segment, worker, error))
            return false;

        const FileRange copy = {worker->file.fd, segment->path, piece->offset};

        if (!file_copy_range(file, &copy, piece->size, &copied, error) ||
            !rate_take(fetch->source->rate, copied, error))
            return false;
    }
    return finish_piece(segment, worker, piece, copied, error);
}

/* Few pieces for each request, so that all workers have some; but a request has its delay. */
static size_t batch_pieces(uint64_t bytes, uint32_t piece_size, size_t batches)
{
    const size_t pieces = (size_t) (bytes / piece_size) / batches + 1;

    if (pieces < BATCH_PIECES_MIN)
        return BATCH_PIECES_MIN;
    return pieces > BATCH_PIECES_MAX ? BATCH_PIECES_MAX : pieces;
}

bool segments_fetch(Source *source, int workers, SegmentFetch *segments, size_t count, Error *error)
{
    SegmentsFetch fetch = {.source = source, .segments = segments, .count = count};
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    FilePieces pieces = {.source = source,
                         .question = ASK_BYTES,
                         .piece_size = rate_piece(
                             source->rate, source->directory != NULL ? COPIED_SIZE : PIECE_SIZE),
                         .batch_bytes_max = UINT64_MAX,
                         .context = &fetch,
                         .lock = &lock,
                         .next_range = next_segment,
                         .take_answer = write_segment_piece,
                         .take_file = copy_segment_piece};
    uint64_t bytes = 0;

    for (size_t i = 0; i < count; i++)
    {
        segments[i].missing = false;
        segments[i].received = 0;
        segments[i].left = segments[i].size;
        bytes += segments[i].size;
    }
    pieces.batch_pieces_max = batch_pieces(bytes, pieces.piece_size,
                                           (size_t) workers * (count > 1 ? BATCHES_PER_WORKER : 1));
    return file_pieces_ask(&pieces, workers, error);
}
