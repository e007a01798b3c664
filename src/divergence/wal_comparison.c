#include "divergence/wal_comparison.h"

#include "io/file.h"
#include "source/file_pieces.h"

#include <stdio.h>

#define BATCH_PIECES 16   /* pieces of one request for digests */
#define WINDOW_PIECES 256 /* pieces whose digests are requested before any are compared */

/* The result of comparing digests of a piece. */
typedef enum WalPieceState
{
    WAL_PIECE_UNKNOWN, /* the digests differ or are missing: compare bytes */
    WAL_PIECE_EQUAL,
    WAL_PIECE_GONE /* the source does not have the file */
} WalPieceState;

/* A part of a segment, of at most FETCH_SIZE_MAX bytes. */
typedef struct WalPiece
{
    Lsn begin, end;
    uint64_t segment;
    char path[sizeof("pg_xlog/") + WAL_NAME_SIZE]; /* path of the segment on the source */
    WalPieceState state;
    bool is_divided; /* source and target were on different timelines at the segment's end, so each
                        has its own file of this segment */
    bool is_of_source; /* is_divided, and the target has not archived a file of the source's name.
                          (Up to 9.4 a promoted server archives the file in which it leaves a
                          timeline; later the file's name ends with ".partial": exitArchiveRecovery,
                          xlog.c) */
} WalPiece;

/* The next pieces to compare. */
typedef struct WalWindow
{
    const WalSides *sides;
    WalPiece pieces[WINDOW_PIECES];
    size_t count;
    size_t next; /* index of the next piece whose digest is requested */
} WalWindow;

/* The result of comparing one piece. */
typedef struct PieceResult
{
    const uint8_t *target; /* the target's bytes of the piece */
    size_t size;
    size_t compared; /* number of bytes that the other side has */
    size_t equal;
    bool from_archive;
} PieceResult;

static uint64_t offset_of(const WalSides *sides, const WalPiece *piece)
{
    return piece->begin - wal_segment_start(&sides->target->shape, piece->segment);
}

/* Read the bytes of a piece from the target or an archive; *size is 0 if the segment is missing. */
static bool read_piece(const WalSides *sides, const WalStream *side, const WalPiece *piece,
                       uint8_t *bytes, size_t *size, Error *error)
{
    AUTO_FD int fd = -1;
    bool found;

    *size = 0;
    return side->open(side->context, piece->segment, &fd, &found, error) &&
           (!found || file_read_at(fd, piece->path, bytes, (size_t) (piece->end - piece->begin),
                                   offset_of(sides, piece), size, error));
}

/* ---- Digests of the pieces of a window, by all workers ---- */

static bool next_window_piece(void *context, FilePiece *range)
{
    WalWindow *window = context;
    const WalPiece *piece = &window->pieces[window->next];

    if (window->next == window->count)
        return false;
    *range = (FilePiece){.file = window->next++,
                         .path = piece->path,
                         .offset = offset_of(window->sides, piece),
                         .size = piece->end - piece->begin};
    return true;
}

/* Compare a digest. An error in reading the target's file is reported later, when the bytes are
 * compared. */
static bool compare_wal_digest(void *context, PieceWorker *worker, const FilePiece *piece,
                               const uint8_t *bytes, size_t size, Error *error)
{
    WalWindow *window = context;
    const WalSides *sides = window->sides;
    WalPiece *compared = &window->pieces[piece->file];
    const PieceAnswer answer = {sides->source->digest, bytes, size};
    size_t length;

    (void) error;
    if (bytes == NULL)
        compared->state = WAL_PIECE_GONE;
    else if (read_piece(sides, sides->target, compared, worker->bytes, &length, NULL) &&
             length == piece->size &&
             piece_answer_equals(&answer, piece->size, 0, worker->bytes, length))
        compared->state = WAL_PIECE_EQUAL;
    return true;
}

/* Fill the window with the pieces from `at` on. No piece crosses a segment boundary. */
static void set_window(WalWindow *window, Lsn at, Lsn to)
{
    const WalSides *sides = window->sides;
    const WalShape *shape = &sides->target->shape;
    const History *target = sides->target->history;

    window->next = 0;
    for (window->count = 0; at < to && window->count < WINDOW_PIECES; window->count++)
    {
        WalPiece *piece = &window->pieces[window->count];
        const uint64_t segment = wal_segment_of(shape, at);
        const Lsn segment_end = wal_segment_start(shape, segment + 1);
        const Lsn end = segment_end < to ? segment_end : to;
        const Timeline timeline = history_timeline_of_segment(sides->source_history, segment_end);
        const bool is_divided = history_timeline_of_segment(target, segment_end) != timeline;
        char name[WAL_NAME_SIZE];

        *piece = (WalPiece){.begin = at,
                            .end = end - at < FETCH_SIZE_MAX ? end : at + FETCH_SIZE_MAX,
                            .segment = segment,
                            .is_divided = is_divided,
                            .is_of_source = is_divided && (shape->version->number >= 905 ||
                                                           !history_has(target, timeline))};
        wal_segment_name(shape, timeline, segment, name);
        snprintf(piece->path, sizeof(piece->path), "%s/%s", shape->version->wal_directory, name);
        at = piece->end;
    }
}

/* ---- Bytes of one piece ---- */

/* A FetchDelivery that counts equal bytes. A shorter file on the source is an interrupted copy or
 * has a hole: the bytes that it has count. */
static bool compare_bytes(void *context, size_t index, const uint8_t *bytes, size_t size,
                          Error *error)
{
    PieceResult *result = context;

    (void) index;
    (void) error;
    if (bytes == NULL)
        return true;
    result->compared = size < result->size ? size : result->size;
    result->equal = 0;
    while (result->equal < result->compared &&
           bytes[result->equal] == result->target[result->equal])
        result->equal++;
    return true;
}

/* Compare one piece. `bytes` has room for both sides. */
static bool compare_piece(const WalSides *sides, const WalPiece *piece, uint8_t *bytes,
                          PieceResult *result, Error *error)
{
    FetchRequest request = {.path = piece->path, .offset = offset_of(sides, piece)};
    uint8_t *archived = bytes + FETCH_SIZE_MAX;
    size_t size;

    *result = (PieceResult){.target = bytes};
    if (piece->state == WAL_PIECE_EQUAL)
    {
        result->size = result->equal = result->compared = (size_t) (piece->end - piece->begin);
        return true;
    }
    if (!read_piece(sides, sides->target, piece, bytes, &result->size, error) ||
        (result->size == 0 && piece->is_divided &&
         !read_piece(sides, sides->target_archive, piece, bytes, &result->size, error)))
        return false;
    request.size = (uint32_t) result->size;
    if (request.size > 0 && piece->state != WAL_PIECE_GONE &&
        !sides->source->operations->fetch(sides->source, 0,
                                          &(FetchBatch){.requests = &request, .count = 1},
                                          compare_bytes, result, error))
        return false;
    if (request.size == 0 || result->compared > 0 || sides->archive == NULL ||
        (sides->archive_of_source_only && !piece->is_of_source))
        return true;
    result->from_archive = !piece->is_of_source;
    return read_piece(sides, sides->archive, piece, archived, &size, error) &&
           compare_bytes(result, 0, archived, size, error);
}

/* ---- Results of all pieces ---- */

/* Add the result of the next piece, which can extend the equal bytes before it. */
static void add_to_comparison(WalComparison *comparison, const WalPiece *piece,
                              const PieceResult *result)
{
    if (result->size < piece->end - piece->begin)
        comparison->target_lacks = true;
    if (result->compared == 0)
    {
        comparison->equal_from = comparison->own_from = piece->end;
        return;
    }
    comparison->differs = result->equal < result->compared;
    comparison->differs_in_archive = comparison->differs && result->from_archive;
    if (comparison->differs)
        comparison->lsn = piece->begin + result->equal;
    else if (piece->begin + result->compared < piece->end)
        comparison->equal_from = piece->end;
    if (result->from_archive || comparison->equal_from == piece->end)
        comparison->own_from = comparison->differs ? comparison->lsn : piece->end;
}

static bool compare_window(const WalWindow *window, Lsn to, uint8_t *bytes,
                           WalComparison *comparison, Error *error)
{
    const WalSides *sides = window->sides;
    uint64_t passed_over = UINT64_MAX;
    bool no_content;

    for (size_t i = 0; i < window->count; i++)
    {
        const WalPiece *piece = &window->pieces[i];
        PieceResult result;

        if (piece->segment == passed_over)
            continue;
        if (!compare_piece(sides, piece, bytes, &result, error))
            return false;
        add_to_comparison(comparison, piece, &result);
        if (!comparison->differs)
            continue;
        if (!sides->is_no_content(sides->context, comparison->lsn, &no_content, error))
            return false;
        if (!no_content)
            return true;
        /* No server reads the bytes that differ: skip the rest of the segment. */
        passed_over = piece->segment;
        comparison->differs = comparison->differs_in_archive = false;
        comparison->lsn = to;
    }
    return true;
}

bool wal_compare(const WalSides *sides, Lsn from, Lsn to, WalComparison *comparison, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    WalWindow *window = arena_allocate(arena, sizeof(*window));
    uint8_t *bytes = arena_allocate(arena, 2 * (size_t) FETCH_SIZE_MAX);
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    FilePieces pieces = {.source = sides->source,
                         .digests = true,
                         .piece_size = FETCH_SIZE_MAX,
                         .batch_pieces_max = BATCH_PIECES,
                         .batch_bytes_max = UINT64_MAX,
                         .bytes_size = FETCH_SIZE_MAX,
                         .context = window,
                         .lock = &lock,
                         .next_range = next_window_piece,
                         .take_answer = compare_wal_digest};

    *comparison = (WalComparison){.lsn = to, .equal_from = from < to ? from : to};
    comparison->own_from = comparison->equal_from;
    window->sides = sides;
    for (Lsn at = from; at < to && !comparison->differs;)
    {
        set_window(window, at, to);
        if (!file_pieces_ask(&pieces, sides->workers, error) ||
            !compare_window(window, to, bytes, comparison, error))
            return false;
        at = window->pieces[window->count - 1].end;
    }
    return true;
}
