#include "plan/divergence.h"

#include "base/log.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One piece of one segment, on both sides. */
typedef struct Piece
{
    uint8_t digest[16];
    const uint8_t *local;
    size_t local_size;
    size_t compared; /* bytes that the source has; those before the first difference are equal */
    size_t equal;
} Piece;

/* A shorter file on the source is an interrupted copy or a hole: what is there counts. */
static void compare_bytes(Piece *piece, const uint8_t *bytes, size_t size)
{
    piece->compared = size < piece->local_size ? size : piece->local_size;
    piece->equal = 0;
    while (piece->equal < piece->compared && bytes[piece->equal] == piece->local[piece->equal])
        piece->equal++;
}

static bool take_digest(void *context, size_t index, const uint8_t *bytes, size_t size,
                        Error *error)
{
    Piece *piece = context;

    (void) index;
    (void) error;
    if (bytes != NULL && size == sizeof(piece->digest) && memcmp(bytes, piece->digest, size) == 0)
        piece->compared = piece->equal = piece->local_size;
    return true;
}

static bool take_bytes(void *context, size_t index, const uint8_t *bytes, size_t size, Error *error)
{
    Piece *piece = context;

    (void) index;
    (void) error;
    if (bytes != NULL)
        compare_bytes(piece, bytes, size);
    return true;
}

static bool compare_with_source(Source *source, const char *path, uint64_t offset, Piece *piece,
                                Error *error)
{
    FetchRequest request = {.path = path, .offset = offset, .size = (uint32_t) piece->local_size};
    bool supported = digest_bytes(piece->local, piece->local_size, piece->digest);

    if (supported &&
        !source->operations->digest(source, 0, &request, 1, take_digest, piece, &supported, error))
        return false;
    return (supported && piece->compared > 0) ||
           source->operations->fetch(source, 0, &request, 1, take_bytes, piece, error);
}

/* Both sides of one segment. */
typedef struct Segment
{
    uint64_t number;
    Lsn start;
    Timeline source_timeline;
    int fd;         /* of the target's */
    int archive_fd; /* of the source's in an archive; -1: not asked for */
    char name[WAL_NAME_SIZE];
    char source_path[64];
} Segment;

static bool compare_with_archive(const WalStream *archive, Segment *segment, uint64_t offset,
                                 Piece *piece, Error *error)
{
    uint8_t *bytes;
    size_t size;
    bool found = true, result;

    if (segment->archive_fd < 0 &&
        !archive->open(archive->context, segment->source_timeline, segment->number,
                       &segment->archive_fd, &found, error))
        return false;
    if (!found)
        return true;
    bytes = memory_allocate(piece->local_size);
    result = file_read_at(segment->archive_fd, segment->name, bytes, piece->local_size, offset,
                          &size, error);
    if (result)
        compare_bytes(piece, bytes, size);
    free(bytes);
    return result;
}

/* One more piece: does it go on with the equal bytes before it? */
static void add_piece(WalComparison *comparison, Lsn at, Lsn end, const Piece *piece,
                      bool from_archive)
{
    if (piece->compared == 0)
    {
        comparison->equal_from = comparison->own_from = end;
        return;
    }
    comparison->differs = piece->equal < piece->compared;
    if (comparison->differs)
        comparison->lsn = at + piece->equal;
    else if (at + piece->compared < end)
        comparison->equal_from = end;
    if (from_archive || comparison->equal_from == end)
        comparison->own_from = comparison->differs ? comparison->lsn : end;
}

static bool compare_pieces(const WalSides *sides, Segment *segment, Lsn from, Lsn to,
                           uint8_t *bytes, WalComparison *comparison, Error *error)
{
    for (Lsn at = from; at < to && !comparison->differs; at += FETCH_SIZE_MAX)
    {
        const uint64_t offset = at - segment->start;
        const Lsn end = to - at < FETCH_SIZE_MAX ? to : at + FETCH_SIZE_MAX;
        Piece piece = {.local = bytes};
        bool from_archive = false;

        if (!file_read_at(segment->fd, segment->name, bytes, (size_t) (end - at), offset,
                          &piece.local_size, error))
            return false;
        if (piece.local_size > 0 && segment->archive_fd < 0 &&
            !compare_with_source(sides->source, segment->source_path, offset, &piece, error))
            return false;
        if (piece.local_size > 0 && piece.compared == 0 && sides->archive != NULL)
        {
            from_archive = true;
            if (!compare_with_archive(sides->archive, segment, offset, &piece, error))
                return false;
        }
        add_piece(comparison, at, end, &piece, from_archive);
    }
    return true;
}

static bool compare_segment(const WalSides *sides, Lsn from, Lsn to, uint8_t *bytes,
                            WalComparison *comparison, Error *error)
{
    const WalStream *target = sides->target;
    Segment segment = {.number = wal_segment_of(&target->shape, from), .archive_fd = -1};
    Lsn segment_end = wal_segment_start(&target->shape, segment.number + 1);
    bool found, result;

    segment.start = wal_segment_start(&target->shape, segment.number);
    segment.source_timeline =
        history_timeline_of_segment(sides->source_history, segment.start, segment_end);
    if (!target->open(target->context,
                      history_timeline_of_segment(target->history, segment.start, segment_end),
                      segment.number, &segment.fd, &found, error))
        return false;
    if (!found)
    {
        comparison->equal_from = comparison->own_from = to;
        return true;
    }
    wal_segment_name(&target->shape, segment.source_timeline, segment.number, segment.name);
    snprintf(segment.source_path, sizeof(segment.source_path), "pg_wal/%s", segment.name);
    result = compare_pieces(sides, &segment, from, to, bytes, comparison, error);
    file_close(segment.fd);
    file_close(segment.archive_fd);
    return result;
}

bool divergence_compare(const WalSides *sides, Lsn from, Lsn to, WalComparison *comparison,
                        Error *error)
{
    const WalShape *shape = &sides->target->shape;
    uint8_t *bytes = memory_allocate(FETCH_SIZE_MAX);
    bool result = true;

    *comparison = (WalComparison){.lsn = to, .equal_from = from < to ? from : to};
    comparison->own_from = comparison->equal_from;
    for (Lsn at = from; at < to && !comparison->differs && result;)
    {
        Lsn segment_end = wal_segment_start(shape, wal_segment_of(shape, at) + 1);
        Lsn end = segment_end < to ? segment_end : to;

        result = compare_segment(sides, at, end, bytes, comparison, error);
        at = segment_end;
    }
    free(bytes);
    return result;
}
