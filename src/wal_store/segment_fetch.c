#include "wal_store/segment_fetch.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"

#include <assert.h>

/* A server does not send a piece that is all zeros: so much is sent for nothing behind a switch. */
#define PIECE_SIZE (256 * 1024)

typedef struct SegmentsFetch
{
    Source *source;
    SegmentFetch *segments;
    size_t count;
    uint32_t piece_size;
    size_t pieces_each; /* of the largest segment */
    size_t pieces_at_once;
} SegmentsFetch;

/* What one worker asks for at once. Pieces of one segment may come to several workers. */
typedef struct Portion
{
    SegmentsFetch *fetch;
    FetchRequest requests[SEGMENT_PIECES_MAX];
    SegmentFetch *segments[SEGMENT_PIECES_MAX]; /* of the requests */
    size_t count;
    const SegmentFetch *open; /* the segment whose file is open; NULL: none */
    int fd;
} Portion;

/* The file is kept open for the pieces that follow. */
static bool open_segment_file(Portion *portion, const SegmentFetch *segment, Error *error)
{
    if (portion->open == segment)
        return true;
    file_close(portion->fd);
    portion->fd = -1;
    portion->open = NULL;
    if (!file_open_or_create(segment->path, &portion->fd, error))
        return false;
    portion->open = segment;
    return true;
}

/* The last piece has come. */
static bool finish_segment(Portion *portion, SegmentFetch *segment, Error *error)
{
    if (segment->missing) /* progress counts what was asked for */
        progress_add(segment->size - segment->received);
    if (segment->whole_path == NULL)
        return true;
    if (segment->missing)
        return file_remove(segment->path, error);
    if (segment->size < segment->whole_size &&
        (!open_segment_file(portion, segment, error) ||
         !file_truncate(portion->fd, segment->path, segment->whole_size, error)))
        return false;
    return file_rename(segment->path, segment->whole_path, error);
}

static bool finish_piece(Portion *portion, SegmentFetch *segment, Error *error)
{
    return atomic_fetch_sub(&segment->pieces_left, 1) > 1 ||
           finish_segment(portion, segment, error);
}

/* A FetchDelivery. */
static bool write_piece(void *context, size_t index, const uint8_t *bytes, size_t size,
                        Error *error)
{
    Portion *portion = context;
    const FetchRequest *request = &portion->requests[index];
    SegmentFetch *segment = portion->segments[index];

    progress_add(size);
    segment->received += size;
    if (bytes == NULL || size != request->size)
        segment->missing = true;
    else if (!open_segment_file(portion, segment, error) ||
             !file_write_at(portion->fd, segment->path, bytes, size, request->offset, error))
        return false;
    return finish_piece(portion, segment, error);
}

/* Nothing more is asked for of a segment that is known to be missing. */
static bool add_piece(Portion *portion, size_t piece, Error *error)
{
    const SegmentsFetch *fetch = portion->fetch;
    SegmentFetch *segment = &fetch->segments[piece / fetch->pieces_each];
    const uint64_t offset = (uint64_t) (piece % fetch->pieces_each) * fetch->piece_size;
    uint64_t left;

    if (offset >= segment->size)
        return true;
    if (segment->missing)
        return finish_piece(portion, segment, error);
    left = segment->size - offset;
    portion->segments[portion->count] = segment;
    portion->requests[portion->count++] = (FetchRequest){
        .path = segment->source_path,
        .offset = offset,
        .size = left < fetch->piece_size ? (uint32_t) left : fetch->piece_size,
    };
    return true;
}

static bool fetch_portion(void *context, int worker, size_t item, Error *error)
{
    SegmentsFetch *fetch = context;
    const size_t first = item * fetch->pieces_at_once;
    Portion portion = {.fetch = fetch, .fd = -1};
    bool ok = true;

    for (size_t piece = first;
         ok && piece < first + fetch->pieces_at_once && piece < fetch->count * fetch->pieces_each;
         piece++)
        ok = add_piece(&portion, piece, error);
    if (ok && portion.count > 0)
        ok = fetch->source->operations->fetch(fetch->source, worker, portion.requests,
                                              portion.count, write_piece, &portion, error);
    file_close(portion.fd);
    return ok;
}

uint32_t segment_piece_size(const Source *source)
{
    return source_piece_size(source, PIECE_SIZE);
}

bool segments_fetch(Source *source, int workers, size_t pieces_at_once, uint32_t size_max,
                    SegmentFetch *segments, size_t count, Error *error)
{
    const uint32_t piece_size = segment_piece_size(source);
    SegmentsFetch fetch = {
        .source = source,
        .segments = segments,
        .count = count,
        .piece_size = piece_size,
        .pieces_each = ((size_t) size_max + piece_size - 1) / piece_size,
        .pieces_at_once = pieces_at_once,
    };

    assert(pieces_at_once > 0 && pieces_at_once <= SEGMENT_PIECES_MAX);
    for (size_t i = 0; i < count; i++)
    {
        assert(segments[i].size <= size_max);
        segments[i].missing = false;
        segments[i].received = 0;
        segments[i].pieces_left = ((size_t) segments[i].size + piece_size - 1) / piece_size;
    }
    return workers_run(workers, (count * fetch.pieces_each + pieces_at_once - 1) / pieces_at_once,
                       fetch_portion, &fetch, error);
}
