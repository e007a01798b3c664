/*
 * Before the fetch: find the files that are equal on both sides, of those that are copied whole and
 * have one size. A server computes a digest of each piece; a directory as source is compared by its
 * bytes. A piece that differs, or that grew, makes its file one that is fetched.
 */
#include "stage/stage.h"

#include "base/log.h"
#include "source/file_pieces.h"

#include <assert.h>

#define COMPARED_PIECE_SIZE (DIGEST_SIZE_MAX / 2)
#define COMPARED_BATCH_BYTES_MAX (64u * 1024 * 1024)

typedef struct FileComparison
{
    Stage *stage; /* its lock guards index */
    Source *source;
    const Plan *plan;
    size_t index; /* the next entry */
} FileComparison;

/* ---- Which files ---- */

static bool is_compared(const Stage *stage, const PlanEntry *entry, size_t index)
{
    return entry->compare && entry->on_target && entry->source_size == entry->target_size &&
           entry->source_size > 0 && stage_is_whole(stage, entry, index);
}

static bool next_compared_file(void *context, PieceRange *range)
{
    FileComparison *comparison = context;
    const Plan *plan = comparison->plan;

    while (comparison->index < plan->count)
    {
        const size_t index = comparison->index++;
        const PlanEntry *entry = &plan->entries[index];

        if (!is_compared(comparison->stage, entry, index))
            continue;
        assert(entry->rebuilt == NULL);
        *range = (PieceRange){.file = index, .path = entry->path, .size = entry->source_size};
        return true;
    }
    return false;
}

/* One byte more at the end: a file that has grown is not equal. */
static uint32_t size_to_compare(void *context, const FilePiece *piece)
{
    const FileComparison *comparison = context;
    const PlanEntry *entry = &comparison->plan->entries[piece->file];

    return piece->offset + piece->size == entry->source_size ? piece->size + 1 : piece->size;
}

static uint64_t bytes_to_compare(const Stage *stage, const Plan *plan)
{
    uint64_t bytes = 0;

    for (size_t index = 0; index < plan->count; index++)
    {
        if (is_compared(stage, &plan->entries[index], index))
            bytes += plan->entries[index].source_size;
    }
    return bytes;
}

/* ---- What was found, by any worker ---- */

void stage_note_gone(Stage *stage, size_t index)
{
    pthread_mutex_lock(&stage->lock);
    stage->findings[index].gone = true;
    pthread_mutex_unlock(&stage->lock);
}

static void note_difference(Stage *stage, size_t index)
{
    pthread_mutex_lock(&stage->lock);
    stage->findings[index].differs = true;
    pthread_mutex_unlock(&stage->lock);
}

/* ---- One piece ---- */

/* By the digest that came, or by the bytes. */
static bool compare_with_answer(void *context, PieceWorker *worker, const FilePiece *piece,
                                const uint8_t *bytes, size_t size, Error *error)
{
    FileComparison *comparison = context;
    const Source *source = comparison->source;
    const PieceAnswer answer = {source->directory != NULL ? DIGEST_NONE : source->digest, bytes,
                                size};
    size_t length;

    if (bytes == NULL)
    {
        stage_note_gone(comparison->stage, piece->file);
        return true;
    }
    if (source->directory == NULL && size != DIGEST_SIZE)
        return error_set(error, ERROR_FAILED, "received a digest of %zu bytes", size);
    if (!piece_read_target(&worker->file, comparison->stage->target_directory, piece, worker->bytes,
                           &length, error))
        return false;
    progress_add(piece->size);
    if (length != piece->size || (answer.digest == DIGEST_NONE && size != length) ||
        !piece_answer_equals(&answer, piece->size, 0, worker->bytes, length))
        note_difference(comparison->stage, piece->file);
    return true;
}

/* ---- All files ---- */

/* A file that was compared, is there and does not differ is equal. */
static void note_equal_files(Stage *stage, const Plan *plan)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        FoundFile *finding = &stage->findings[index];

        if (!is_compared(stage, entry, index) || finding->differs)
            continue;
        finding->equal = true;
        stage->statistics.compared_bytes += entry->source_size;
    }
}

bool stage_compare_files(Stage *stage, Source *source, const Plan *plan, Error *error)
{
    FileComparison comparison = {.stage = stage, .source = source, .plan = plan};
    FilePieces pieces = {.source = source,
                         .question = ASK_DIGEST,
                         .piece_size = rate_piece(source->rate, COMPARED_PIECE_SIZE),
                         .batch_pieces_max = FETCH_COUNT_MAX,
                         .batch_bytes_max = COMPARED_BATCH_BYTES_MAX,
                         .bytes_size = COMPARED_PIECE_SIZE + 1,
                         .context = &comparison,
                         .lock = &stage->lock,
                         .next_range = next_compared_file,
                         .size_to_ask = size_to_compare,
                         .take_answer = compare_with_answer};
    bool ok;

    if (source->directory == NULL && source->digest == DIGEST_NONE)
        return true;
    progress_begin(PROGRESS_COMPARE_FILES, bytes_to_compare(stage, plan));
    ok = file_pieces_ask(&pieces, stage->workers, error);
    progress_end(ok);
    if (ok)
        note_equal_files(stage, plan);
    return ok;
}
