#include "divergence/wal_comparison.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PORTION_PIECES 16    /* whose digests are asked for at once */
#define AHEAD_PIECES_MAX 256 /* more are asked for when these are found to be equal */

/* What a digest has told of a piece. */
typedef enum PieceState
{
    PIECE_UNKNOWN,
    PIECE_EQUAL,
    PIECE_DIFFERENT,
    PIECE_GONE /* the source has no such file */
} PieceState;

/*
 * Digests of pieces that come next, which all workers ask for. Pieces are counted from the one at
 * `from` on; a segment has as many numbers as it could have pieces.
 */
typedef struct Ahead
{
    const WalSides *sides;
    Lsn from;
    Lsn to;
    size_t pieces_each;
    size_t first; /* the piece of states[0] */
    size_t count;
    uint8_t states[AHEAD_PIECES_MAX]; /* PieceState */
} Ahead;

/* One piece of one segment, on both sides. */
typedef struct Piece
{
    uint8_t digest[DIGEST_SIZE];
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

static bool compare_with_source(Source *source, const char *path, uint64_t offset, PieceState state,
                                Piece *piece, Error *error)
{
    FetchRequest request = {.path = path, .offset = offset, .size = (uint32_t) piece->local_size};
    bool supported = source->directory == NULL && state == PIECE_UNKNOWN &&
                     digest_bytes(source->digest, piece->local, piece->local_size, piece->digest);

    if (state == PIECE_GONE)
        return true;
    if (supported &&
        !source->operations->digest(source, 0, &(DigestBatch){.requests = &request, .count = 1},
                                    take_digest, piece, &supported, error))
        return false;
    return (supported && piece->compared > 0) ||
           source->operations->fetch(source, 0, &request, 1, take_bytes, piece, error);
}

/* ---- Digests that are asked for ahead ---- */

/* A few pieces, by one worker. */
typedef struct Portion
{
    Ahead *ahead;
    FetchRequest requests[PORTION_PIECES];
    size_t pieces[PORTION_PIECES];
    char paths[PORTION_PIECES][sizeof("pg_xlog/") + WAL_NAME_SIZE];
    size_t count;
    uint8_t *local;
    int fd; /* of the target's segment at hand; -1: none */
    uint64_t open_segment;
} Portion;

static uint64_t segment_of_piece(const Ahead *ahead, size_t piece)
{
    return wal_segment_of(&ahead->sides->target->shape, ahead->from) + piece / ahead->pieces_each;
}

/* The bytes [*begin, *end) of a piece; none if its segment has fewer, or they are not compared. */
static void piece_range(const Ahead *ahead, size_t piece, Lsn *begin, Lsn *end)
{
    const WalShape *shape = &ahead->sides->target->shape;
    const uint64_t segment = segment_of_piece(ahead, piece);
    const Lsn segment_begin = wal_segment_start(shape, segment);
    const Lsn segment_end = wal_segment_start(shape, segment + 1);
    const Lsn limit = segment_end < ahead->to ? segment_end : ahead->to;

    *begin = (segment_begin > ahead->from ? segment_begin : ahead->from) +
             (Lsn) (piece % ahead->pieces_each) * FETCH_SIZE_MAX;
    *end = *begin + FETCH_SIZE_MAX < limit ? *begin + FETCH_SIZE_MAX : limit;
}

static void source_segment(const WalSides *sides, uint64_t segment, Timeline *timeline,
                           char name[WAL_NAME_SIZE])
{
    const WalShape *shape = &sides->target->shape;

    *timeline =
        history_timeline_of_segment(sides->source_history, wal_segment_start(shape, segment),
                                    wal_segment_start(shape, segment + 1));
    wal_segment_name(shape, *timeline, segment, name);
}

/* The target's bytes of a piece. An error here is reported when the piece is compared. */
static bool read_local(Portion *portion, size_t number)
{
    const WalSides *sides = portion->ahead->sides;
    const WalShape *shape = &sides->target->shape;
    const FetchRequest *request = &portion->requests[number];
    const uint64_t segment = segment_of_piece(portion->ahead, portion->pieces[number]);
    const Timeline timeline =
        history_timeline_of_segment(sides->target->history, wal_segment_start(shape, segment),
                                    wal_segment_start(shape, segment + 1));
    size_t size;
    bool found = portion->fd >= 0;

    if (!found || portion->open_segment != segment)
    {
        file_close(portion->fd);
        portion->fd = -1;
        portion->open_segment = segment;
        if (!sides->target->open(sides->target->context, timeline, segment, &portion->fd, &found,
                                 NULL))
            return false;
    }
    return found &&
           file_read_at(portion->fd, request->path, portion->local, request->size, request->offset,
                        &size, NULL) &&
           size == request->size;
}

static bool take_digest_ahead(void *context, size_t index, const uint8_t *bytes, size_t size,
                              Error *error)
{
    Portion *portion = context;
    Ahead *ahead = portion->ahead;
    uint8_t *state = &ahead->states[portion->pieces[index] - ahead->first];
    uint8_t digest[DIGEST_SIZE];

    (void) error;
    if (bytes == NULL)
        *state = PIECE_GONE;
    else if (size == sizeof(digest) && read_local(portion, index) &&
             digest_bytes(portion->ahead->sides->source->digest, portion->local,
                          portion->requests[index].size, digest))
        *state = memcmp(digest, bytes, size) == 0 ? PIECE_EQUAL : PIECE_DIFFERENT;
    return true;
}

static void add_to_portion(Portion *portion, size_t piece)
{
    const Ahead *ahead = portion->ahead;
    const uint64_t segment = segment_of_piece(ahead, piece);
    char name[WAL_NAME_SIZE];
    Timeline timeline;
    Lsn begin, end;

    piece_range(ahead, piece, &begin, &end);
    if (begin >= end)
        return;
    source_segment(ahead->sides, segment, &timeline, name);
    snprintf(portion->paths[portion->count], sizeof(portion->paths[0]), "%s/%s",
             ahead->sides->target->shape.version->wal_directory, name);
    portion->pieces[portion->count] = piece;
    portion->requests[portion->count] =
        (FetchRequest){.path = portion->paths[portion->count],
                       .offset = begin - wal_segment_start(&ahead->sides->target->shape, segment),
                       .size = (uint32_t) (end - begin)};
    portion->count++;
}

static bool digest_portion(void *context, int worker, size_t item, Error *error)
{
    Ahead *ahead = context;
    Source *source = ahead->sides->source;
    Portion portion = {.ahead = ahead, .fd = -1};
    bool supported, result = true;

    for (size_t i = item * PORTION_PIECES; i < ahead->count && i < (item + 1) * PORTION_PIECES; i++)
        add_to_portion(&portion, ahead->first + i);
    if (portion.count > 0)
    {
        portion.local = memory_allocate(FETCH_SIZE_MAX);
        result = source->operations->digest(
            source, worker, &(DigestBatch){.requests = portion.requests, .count = portion.count},
            take_digest_ahead, &portion, &supported, error);
    }
    file_close(portion.fd);
    free(portion.local);
    return result;
}

/* What is known of a piece. If nothing, digests of it and of those that follow are asked for. */
static bool compare_digests_ahead(Ahead *ahead, Lsn at, PieceState *state, Error *error)
{
    const WalShape *shape = &ahead->sides->target->shape;
    const uint64_t first_segment = wal_segment_of(shape, ahead->from);
    const uint64_t segment = wal_segment_of(shape, at);
    const uint64_t segments = wal_segment_before(shape, ahead->to) - first_segment + 1;
    const Lsn begin = segment == first_segment ? ahead->from : wal_segment_start(shape, segment);
    const size_t piece = (size_t) (segment - first_segment) * ahead->pieces_each +
                         (size_t) ((at - begin) / FETCH_SIZE_MAX);

    if (piece >= ahead->first + ahead->count)
    {
        const size_t left = (size_t) segments * ahead->pieces_each - piece;

        ahead->first = piece;
        ahead->count = left < AHEAD_PIECES_MAX ? left : AHEAD_PIECES_MAX;
        memset(ahead->states, PIECE_UNKNOWN, sizeof(ahead->states));
        if (!workers_run(ahead->sides->workers,
                         (ahead->count + PORTION_PIECES - 1) / PORTION_PIECES, digest_portion,
                         ahead, error))
            return false;
    }
    *state = (PieceState) ahead->states[piece - ahead->first];
    return true;
}

/* ---- Piece by piece ---- */

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
static void add_to_comparison(WalComparison *comparison, Lsn at, Lsn end, const Piece *piece,
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

/* A piece that is not known to be equal. */
static bool compare_piece_with_source(const WalSides *sides, Segment *segment, Lsn at,
                                      PieceState state, Piece *piece, bool *from_archive,
                                      Error *error)
{
    const uint64_t offset = at - segment->start;

    if (piece->local_size > 0 && segment->archive_fd < 0 &&
        !compare_with_source(sides->source, segment->source_path, offset, state, piece, error))
        return false;
    *from_archive = piece->local_size > 0 && piece->compared == 0 && sides->archive != NULL;
    return !*from_archive || compare_with_archive(sides->archive, segment, offset, piece, error);
}

static bool compare_pieces(Ahead *ahead, Segment *segment, Lsn from, Lsn to, uint8_t *bytes,
                           WalComparison *comparison, Error *error)
{
    const WalSides *sides = ahead->sides;

    for (Lsn at = from; at < to && !comparison->differs; at += FETCH_SIZE_MAX)
    {
        const uint64_t offset = at - segment->start;
        const Lsn end = to - at < FETCH_SIZE_MAX ? to : at + FETCH_SIZE_MAX;
        Piece piece = {.local = bytes};
        PieceState state;
        bool from_archive = false;

        if (!compare_digests_ahead(ahead, at, &state, error))
            return false;
        if (state == PIECE_EQUAL && segment->archive_fd < 0)
            piece.local_size = piece.compared = piece.equal = (size_t) (end - at);
        else if (!file_read_at(segment->fd, segment->name, bytes, (size_t) (end - at), offset,
                               &piece.local_size, error) ||
                 !compare_piece_with_source(sides, segment, at, state, &piece, &from_archive,
                                            error))
            return false;
        add_to_comparison(comparison, at, end, &piece, from_archive);
    }
    return true;
}

static bool compare_segment(Ahead *ahead, Lsn from, Lsn to, uint8_t *bytes,
                            WalComparison *comparison, Error *error)
{
    const WalSides *sides = ahead->sides;
    const WalStream *target = sides->target;
    Segment segment = {.number = wal_segment_of(&target->shape, from), .archive_fd = -1};
    Lsn segment_end = wal_segment_start(&target->shape, segment.number + 1);
    bool found, result;

    segment.start = wal_segment_start(&target->shape, segment.number);
    source_segment(sides, segment.number, &segment.source_timeline, segment.name);
    if (!target->open(target->context,
                      history_timeline_of_segment(target->history, segment.start, segment_end),
                      segment.number, &segment.fd, &found, error))
        return false;
    if (!found)
    {
        comparison->equal_from = comparison->own_from = to;
        return true;
    }
    snprintf(segment.source_path, sizeof(segment.source_path), "%s/%s",
             target->shape.version->wal_directory, segment.name);
    result = compare_pieces(ahead, &segment, from, to, bytes, comparison, error);
    file_close(segment.fd);
    file_close(segment.archive_fd);
    return result;
}

/* The bytes differ: only where nothing reads them? */
static bool pass_over_no_content(const WalSides *sides, Lsn to, WalComparison *comparison,
                                 Error *error)
{
    bool no_content;

    if (!sides->is_no_content(sides->context, comparison->lsn, &no_content, error))
        return false;
    if (no_content)
    {
        comparison->differs = false;
        comparison->lsn = to;
    }
    return true;
}

bool wal_compare(const WalSides *sides, Lsn from, Lsn to, WalComparison *comparison, Error *error)
{
    const WalShape *shape = &sides->target->shape;
    Ahead ahead = {.sides = sides,
                   .from = from,
                   .to = to,
                   .pieces_each = (shape->segment_size + FETCH_SIZE_MAX - 1) / FETCH_SIZE_MAX};
    uint8_t *bytes = memory_allocate(FETCH_SIZE_MAX);
    bool result = true;

    *comparison = (WalComparison){.lsn = to, .equal_from = from < to ? from : to};
    comparison->own_from = comparison->equal_from;
    for (Lsn at = from; at < to && !comparison->differs && result;)
    {
        Lsn segment_end = wal_segment_start(shape, wal_segment_of(shape, at) + 1);
        Lsn end = segment_end < to ? segment_end : to;

        result = compare_segment(&ahead, at, end, bytes, comparison, error) &&
                 (!comparison->differs || pass_over_no_content(sides, to, comparison, error));
        at = segment_end;
    }
    free(bytes);
    return result;
}
