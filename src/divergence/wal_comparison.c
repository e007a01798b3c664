#include "divergence/wal_comparison.h"

#include "io/file.h"
#include "source/file_pieces.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH_PIECES 16   /* whose digests are asked for at once */
#define WINDOW_PIECES 256 /* more are asked for when these are found to be equal */

/* The result of comparing digests of a piece. */
typedef enum WalPieceState
{
    WAL_PIECE_UNKNOWN, /* its bytes are compared */
    WAL_PIECE_EQUAL,
    WAL_PIECE_GONE /* the source has no such file */
} WalPieceState;

/* At most FETCH_SIZE_MAX bytes of a segment. */
typedef struct WalPiece
{
    Lsn begin, end;
    uint64_t segment;
    char path[sizeof("pg_xlog/") + WAL_NAME_SIZE]; /* the source's */
    Timeline timeline;                             /* the source's */
    WalPieceState state;
} WalPiece;

/* The pieces that come next. */
typedef struct WalWindow
{
    const WalSides *sides;
    WalPiece pieces[WINDOW_PIECES];
    size_t count;
    size_t next; /* to be asked for */
} WalWindow;

/* How a piece compares. */
typedef struct PieceResult
{
    size_t compared; /* bytes that the source has; those before the first difference are equal */
    size_t equal;
    bool from_archive;
} PieceResult;

/* Read the target's bytes of a piece; *size is 0 if it has none. */
static bool read_target_piece(const WalSides *sides, const WalPiece *piece, uint8_t *bytes,
                              size_t *size, Error *error)
{
    const WalStream *target = sides->target;
    const Lsn start = wal_segment_start(&target->shape, piece->segment);
    const Timeline timeline =
        history_timeline_of_segment(target->history, start, start + target->shape.segment_size);
    AUTO_FD int fd = -1;
    bool found;

    *size = 0;
    return target->open(target->context, timeline, piece->segment, &fd, &found, error) &&
           (!found || file_read_at(fd, piece->path, bytes, (size_t) (piece->end - piece->begin),
                                   piece->begin - start, size, error));
}

/* ---- Digests of the pieces of a window, by all workers ---- */

static bool next_window_piece(void *context, PieceRange *range)
{
    WalWindow *window = context;
    const WalPiece *piece = &window->pieces[window->next];

    if (window->next == window->count)
        return false;
    *range = (PieceRange){
        .file = window->next++,
        .path = piece->path,
        .offset = piece->begin - wal_segment_start(&window->sides->target->shape, piece->segment),
        .size = piece->end - piece->begin};
    return true;
}

/* An error of the target's file is reported when the bytes are compared. */
static bool compare_wal_digest(void *context, PieceWorker *worker, const FilePiece *piece,
                               const uint8_t *bytes, size_t size, Error *error)
{
    WalWindow *window = context;
    WalPiece *compared = &window->pieces[piece->file];
    const PieceAnswer answer = {window->sides->source->digest, bytes, size};
    size_t length;

    (void) error;
    if (bytes == NULL)
        compared->state = WAL_PIECE_GONE;
    else if (read_target_piece(window->sides, compared, worker->bytes, &length, NULL) &&
             length == piece->size &&
             piece_answer_equals(&answer, piece->size, 0, worker->bytes, length))
        compared->state = WAL_PIECE_EQUAL;
    return true;
}

static bool compare_digests(WalWindow *window, Error *error)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    FilePieces pieces = {.source = window->sides->source,
                         .question = ASK_DIGEST,
                         .piece_size = FETCH_SIZE_MAX,
                         .batch_pieces_max = BATCH_PIECES,
                         .batch_bytes_max = UINT64_MAX,
                         .bytes_size = FETCH_SIZE_MAX,
                         .context = window,
                         .lock = &lock,
                         .next_range = next_window_piece,
                         .take_answer = compare_wal_digest};
    bool supported;

    window->next = 0;
    return file_pieces_ask(&pieces, window->sides->workers, &supported, error);
}

/* The pieces from `at` on; none is of two segments. */
static void set_window(WalWindow *window, Lsn at, Lsn to)
{
    const WalSides *sides = window->sides;
    const WalShape *shape = &sides->target->shape;

    for (window->count = 0; at < to && window->count < WINDOW_PIECES; window->count++)
    {
        WalPiece *piece = &window->pieces[window->count];
        const uint64_t segment = wal_segment_of(shape, at);
        const Lsn segment_end = wal_segment_start(shape, segment + 1);
        const Lsn end = segment_end < to ? segment_end : to;
        char name[WAL_NAME_SIZE];

        *piece =
            (WalPiece){.begin = at,
                       .end = end - at < FETCH_SIZE_MAX ? end : at + FETCH_SIZE_MAX,
                       .segment = segment,
                       .timeline = history_timeline_of_segment(
                           sides->source_history, wal_segment_start(shape, segment), segment_end)};
        wal_segment_name(shape, piece->timeline, segment, name);
        snprintf(piece->path, sizeof(piece->path), "%s/%s", shape->version->wal_directory, name);
        at = piece->end;
    }
}

/* ---- Bytes of one piece ---- */

typedef struct BytesComparison
{
    const uint8_t *target;
    size_t size;
    PieceResult result;
} BytesComparison;

/* A FetchDelivery. A shorter file on the source is an interrupted copy or a hole: what is there
 * counts. */
static bool compare_bytes(void *context, size_t index, const uint8_t *bytes, size_t size,
                          Error *error)
{
    BytesComparison *comparison = context;
    PieceResult *result = &comparison->result;

    (void) index;
    (void) error;
    if (bytes == NULL)
        return true;
    result->compared = size < comparison->size ? size : comparison->size;
    result->equal = 0;
    while (result->equal < result->compared &&
           bytes[result->equal] == comparison->target[result->equal])
        result->equal++;
    return true;
}

static bool compare_with_archive(const WalSides *sides, const WalPiece *piece,
                                 BytesComparison *comparison, uint8_t *bytes, Error *error)
{
    const WalStream *archive = sides->archive;
    const uint64_t offset = piece->begin - wal_segment_start(&sides->target->shape, piece->segment);
    AUTO_FD int fd = -1;
    size_t size;
    bool found;

    comparison->result.from_archive = true;
    return archive->open(archive->context, piece->timeline, piece->segment, &fd, &found, error) &&
           (!found ||
            (file_read_at(fd, piece->path, bytes, comparison->size, offset, &size, error) &&
             compare_bytes(comparison, 0, bytes, size, error)));
}

/* bytes: room for both sides of a piece. */
static bool compare_piece(const WalSides *sides, const WalPiece *piece, uint8_t *bytes,
                          PieceResult *result, Error *error)
{
    BytesComparison comparison = {.target = bytes};
    FetchRequest request = {.path = piece->path,
                            .offset = piece->begin -
                                      wal_segment_start(&sides->target->shape, piece->segment)};

    if (piece->state == WAL_PIECE_EQUAL)
    {
        result->equal = result->compared = (size_t) (piece->end - piece->begin);
        return true;
    }
    if (!read_target_piece(sides, piece, bytes, &comparison.size, error))
        return false;
    request.size = (uint32_t) comparison.size;
    if (request.size > 0 && piece->state != WAL_PIECE_GONE &&
        !sides->source->operations->fetch(sides->source, 0, &request, 1, compare_bytes, &comparison,
                                          error))
        return false;
    if (request.size > 0 && comparison.result.compared == 0 && sides->archive != NULL &&
        !compare_with_archive(sides, piece, &comparison, bytes + FETCH_SIZE_MAX, error))
        return false;
    *result = comparison.result;
    return true;
}

/* ---- Piece after piece ---- */

/* Add one more piece: it may go on with the equal bytes before it. */
static void add_to_comparison(WalComparison *comparison, const WalPiece *piece,
                              const PieceResult *result)
{
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

/* Pass over the rest of the segment if nothing reads the bytes that differ. */
static bool pass_over_no_content(const WalSides *sides, Lsn to, WalComparison *comparison,
                                 Error *error)
{
    bool no_content;

    if (!sides->is_no_content(sides->context, comparison->lsn, &no_content, error))
        return false;
    if (no_content)
    {
        comparison->differs = comparison->differs_in_archive = false;
        comparison->lsn = to;
    }
    return true;
}

static bool compare_window(const WalWindow *window, Lsn to, uint8_t *bytes,
                           WalComparison *comparison, Error *error)
{
    uint64_t passed_over = UINT64_MAX;

    for (size_t i = 0; i < window->count && !comparison->differs; i++)
    {
        const WalPiece *piece = &window->pieces[i];
        PieceResult result = {0};

        if (piece->segment == passed_over)
            continue;
        if (!compare_piece(window->sides, piece, bytes, &result, error))
            return false;
        add_to_comparison(comparison, piece, &result);
        if (!comparison->differs)
            continue;
        if (!pass_over_no_content(window->sides, to, comparison, error))
            return false;
        passed_over = piece->segment;
    }
    return true;
}

bool wal_compare(const WalSides *sides, Lsn from, Lsn to, WalComparison *comparison, Error *error)
{
    WalWindow *window = memory_allocate(sizeof(*window));
    uint8_t *bytes = memory_allocate(2 * (size_t) FETCH_SIZE_MAX);
    bool result = true;

    *comparison = (WalComparison){.lsn = to, .equal_from = from < to ? from : to};
    comparison->own_from = comparison->equal_from;
    window->sides = sides;
    for (Lsn at = from; at < to && !comparison->differs && result;)
    {
        set_window(window, at, to);
        result =
            compare_digests(window, error) && compare_window(window, to, bytes, comparison, error);
        at = window->pieces[window->count - 1].end;
    }
    free(bytes);
    free(window);
    return result;
}
