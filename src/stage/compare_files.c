/*
 * Before the fetch: find the files that are equal on both sides, of those that are copied whole and
 * have one size. A server computes a digest of each piece; a directory as source is compared by its
 * bytes. A piece that differs, or that grew, makes its file one that is fetched.
 */
#include "stage/stage_parts.h"

#include "base/log.h"
#include "source/file_pieces.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define COMPARED_PIECE_SIZE (DIGEST_SIZE_MAX / 2)
#define COMPARED_BATCH_BYTES_MAX (64u * 1024 * 1024)

/* What one worker holds. */
typedef struct FileComparer
{
    PieceFile target;
    uint8_t *target_bytes; /* COMPARED_PIECE_SIZE + 1 */
    uint8_t *source_bytes; /* the same, of a directory as source */
} FileComparer;

typedef struct FileComparison
{
    Stage *stage; /* its lock guards index */
    Source *source;
    const Plan *plan;
    size_t index; /* the next entry */
    FileComparer *comparers;
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

/* ---- One piece ---- */

static bool compare_digest(void *context, int worker, const FilePiece *piece, const uint8_t *bytes,
                           size_t size, Error *error)
{
    FileComparison *comparison = context;
    FileComparer *comparer = &comparison->comparers[worker];
    uint8_t digest[DIGEST_SIZE];
    size_t length;

    if (bytes == NULL)
    {
        stage_note_gone(comparison->stage, piece->file);
        return true;
    }
    if (size != sizeof(digest))
        return error_set(error, ERROR_FAILED, "received a digest of %zu bytes", size);
    if (!piece_file_read_target(&comparer->target, comparison->stage->target_directory, piece,
                                comparer->target_bytes, &length, error))
        return false;
    progress_add(piece->size);
    if (length != piece->size ||
        !digest_bytes(comparison->source->digest, comparer->target_bytes, length, digest) ||
        memcmp(digest, bytes, sizeof(digest)) != 0)
        stage_note_difference(comparison->stage, piece->file);
    return true;
}

static bool compare_with_file(void *context, int worker, const FilePiece *piece,
                              const FileRange *file, Error *error)
{
    FileComparison *comparison = context;
    FileComparer *comparer = &comparison->comparers[worker];
    size_t target_length;
    size_t length;

    if (file == NULL)
    {
        stage_note_gone(comparison->stage, piece->file);
        return true;
    }
    if (!piece_file_read_target(&comparer->target, comparison->stage->target_directory, piece,
                                comparer->target_bytes, &target_length, error) ||
        !file_read_at(file->fd, file->path, comparer->source_bytes, piece->asked_size, file->offset,
                      &length, error) ||
        !rate_take(comparison->source->rate, length, error))
        return false;
    progress_add(piece->size);
    if (target_length != piece->size || length != piece->size ||
        memcmp(comparer->target_bytes, comparer->source_bytes, length) != 0)
        stage_note_difference(comparison->stage, piece->file);
    return true;
}

/* ---- All files ---- */

/* What was compared, is there and does not differ is equal. */
static void note_equal_files(Stage *stage, const Plan *plan)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        Finding *finding = &stage->findings[index];

        if (!is_compared(stage, entry, index) || finding->differs)
            continue;
        finding->equal = true;
        stage->statistics.compared_bytes += entry->source_size;
    }
}

static FileComparer *begin_comparers(int count)
{
    FileComparer *comparers = memory_allocate((size_t) count * sizeof(*comparers));

    for (int i = 0; i < count; i++)
    {
        piece_file_init(&comparers[i].target, NULL);
        comparers[i].target_bytes = memory_allocate(COMPARED_PIECE_SIZE + 1);
        comparers[i].source_bytes = memory_allocate(COMPARED_PIECE_SIZE + 1);
    }
    return comparers;
}

static void end_comparers(FileComparer *comparers, int count)
{
    for (int i = 0; i < count; i++)
    {
        open_file_close(&comparers[i].target.open);
        free(comparers[i].target_bytes);
        free(comparers[i].source_bytes);
    }
    free(comparers);
}

bool stage_compare_files(Stage *stage, Source *source, const Plan *plan, Error *error)
{
    FileComparison comparison = {.stage = stage,
                                 .source = source,
                                 .plan = plan,
                                 .comparers = begin_comparers(stage->workers)};
    FilePieces pieces = {.source = source,
                         .question = ASK_DIGEST,
                         .piece_size = source_piece_size(source, COMPARED_PIECE_SIZE),
                         .batch_pieces_max = FETCH_COUNT_MAX,
                         .batch_bytes_max = COMPARED_BATCH_BYTES_MAX,
                         .context = &comparison,
                         .lock = &stage->lock,
                         .next_range = next_compared_file,
                         .size_to_ask = size_to_compare,
                         .take_answer = compare_digest,
                         .take_file = compare_with_file};
    bool supported, ok;

    progress_begin(PROGRESS_COMPARE_FILES, bytes_to_compare(stage, plan));
    ok = file_pieces_ask(&pieces, stage->workers, &supported, error);
    progress_end(ok);
    end_comparers(comparison.comparers, stage->workers);
    if (ok && supported)
        note_equal_files(stage, plan);
    return ok;
}
