/*
 * --compare: what the WAL of the target would tell is found by comparing. Every block of every main
 * fork that both sides have is compared with the source's; those that differ are named in the block
 * map that a scan would have made, and everything goes on as after a scan.
 *
 * Recovery starts at the source's own last checkpoint, read before the first block. A block that is
 * found equal is a copy of the source's as it was read after that, like a block that is fetched:
 * DESIGN.md, "Comparing instead of scanning".
 */
#include "phases/run.h"

#include "base/clock.h"
#include "base/log.h"
#include "cluster/file_pieces.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_PIECES_MAX 32
#define BLOCKS_PIECE_SIZE (DIGEST_SIZE_MAX / 2)
#define ROUND_SECONDS 20 /* between two times that the source's new WAL is brought */

/* What one worker holds. */
typedef struct BlockComparer
{
    PieceFile target;
    uint8_t *target_bytes; /* of one piece */
} BlockComparer;

/* The whole comparison, shared by the workers. */
typedef struct BlockComparison
{
    Run *run;
    BlockComparer *comparers;
    pthread_mutex_t lock; /* guards what follows, and the block map */
    size_t index;         /* the entry at hand */
    uint64_t offset;      /* in its file: what comes next */
    bool by_digest;       /* else the source's bytes are read, or received */
    double round_end;
    uint64_t done_bytes;
} BlockComparison;

/* ---- Which pieces ---- */

/* Whole blocks. Of bytes that are not sent the rate is no concern. */
static uint32_t compared_piece_size(const BlockComparison *comparison)
{
    const Run *run = comparison->run;
    const uint32_t block_size = run->plan.block_size;
    const uint32_t most =
        comparison->by_digest ? BLOCKS_PIECE_SIZE : source_piece_size(run->source, FETCH_SIZE_MAX);

    return most < block_size ? block_size : most - most % block_size;
}

/* One piece at a time, so that the round ends in time. */
static bool next_compared_piece(void *context, PieceRange *range)
{
    BlockComparison *comparison = context;
    const Plan *plan = &comparison->run->plan;
    const uint32_t limit = compared_piece_size(comparison);

    for (; comparison->index < plan->count; comparison->index++, comparison->offset = 0)
    {
        const PlanEntry *entry = &plan->entries[comparison->index];
        const uint64_t left = plan_compared_size(plan, entry) - comparison->offset;

        if (clock_seconds() >= comparison->round_end)
            return false;
        if (left == 0)
            continue;
        *range = (PieceRange){.file = comparison->index,
                              .path = entry->path,
                              .offset = comparison->offset,
                              .size = left < limit ? left : limit};
        comparison->offset += range->size;
        return true;
    }
    return false;
}

/* ---- One piece ---- */

/* Is the target's block what the source has there? By one of the digests that came, or by bytes. */
static bool has_digest(const uint8_t *block, size_t size, uint64_t number, const uint8_t *source,
                       size_t source_size)
{
    uint8_t md5[DIGEST_SIZE];

    return (number + 1) * DIGEST_SIZE <= source_size && digest_bytes(block, size, md5) &&
           memcmp(md5, source + number * DIGEST_SIZE, DIGEST_SIZE) == 0;
}

static bool has_bytes(const uint8_t *block, size_t size, uint64_t offset, const uint8_t *source,
                      size_t source_size)
{
    return offset + size <= source_size && memcmp(block, source + offset, size) == 0;
}

static void name_differing_block(BlockComparison *comparison, const FilePiece *piece,
                                 uint32_t offset, const RelationFile *file)
{
    const Run *run = comparison->run;
    const PlanEntry *entry = &run->plan.entries[piece->file];

    pthread_mutex_lock(&comparison->lock);
    blockmap_add(run->compared, file->relation,
                 entry->first_block +
                     (BlockNumber) ((piece->offset + offset) / run->plan.block_size));
    pthread_mutex_unlock(&comparison->lock);
}

/*
 * Name the blocks that differ. What the source has no longer (source NULL, or too short) is named
 * as well: the fetch finds out what became of the file.
 */
static bool compare_blocks(void *context, int worker, const FilePiece *piece, const uint8_t *source,
                           size_t source_size, Error *error)
{
    BlockComparison *comparison = context;
    BlockComparer *comparer = &comparison->comparers[worker];
    const Run *run = comparison->run;
    const uint32_t block_size = run->plan.block_size;
    RelationFile file;
    size_t length;

    if (!relpath_parse(run->shape.version, piece->path, &file) ||
        !piece_file_read_target(&comparer->target, run->target.directory, piece,
                                comparer->target_bytes, &length, error))
        return false;
    for (uint32_t offset = 0; offset < piece->size; offset += block_size)
    {
        const size_t left = offset < length ? length - offset : 0;
        const size_t size = left < block_size ? left : block_size;
        const uint8_t *block = comparer->target_bytes + offset;
        const bool equal = source != NULL && size > 0 &&
                           (comparison->by_digest
                                ? has_digest(block, size, offset / block_size, source, source_size)
                                : has_bytes(block, size, offset, source, source_size));

        if (equal)
            continue;
        name_differing_block(comparison, piece, offset, &file);
    }
    progress_add(piece->size);
    pthread_mutex_lock(&comparison->lock);
    comparison->done_bytes += piece->size;
    pthread_mutex_unlock(&comparison->lock);
    return true;
}

/* ---- All blocks ---- */

/* Does the source compute digests? A server may not, a directory need not. */
static bool find_out_by_digest(BlockComparison *comparison, Error *error)
{
    Source *source = comparison->run->source;

    return source->operations->digest_blocks(source, 0, NULL, 0, comparison->run->plan.block_size,
                                             NULL, NULL, &comparison->by_digest, error);
}

/* The WAL that the source has written meanwhile, before it removes it. */
static bool bring_written_wal(Run *run, Error *error)
{
    Control control;
    Lsn end;

    if (run->options->dry_run || !run->source->is_server)
        return true;
    if (!run_read_source_again(run, &control, error))
        return false;
    end = run_wal_end(run);
    if (!run_bring_source_wal(run, run->early.redo, end, error))
        return false;
    run->source_wal_brought_end = end;
    return true;
}

static BlockComparer *begin_block_comparers(int count)
{
    BlockComparer *comparers = memory_allocate((size_t) count * sizeof(*comparers));

    for (int i = 0; i < count; i++)
        comparers[i] = (BlockComparer){.target = piece_file_closed(),
                                       .target_bytes = memory_allocate(BLOCKS_PIECE_SIZE)};
    return comparers;
}

static void end_block_comparers(BlockComparer *comparers, int count)
{
    for (int i = 0; i < count; i++)
    {
        file_close(comparers[i].target.fd);
        free(comparers[i].target_bytes);
    }
    free(comparers);
}

/* Until the round ends, or all blocks are compared. */
static bool compare_for_a_round(BlockComparison *comparison, int workers, Error *error)
{
    const Run *run = comparison->run;
    FilePieces pieces = {.source = run->source,
                         .question = comparison->by_digest ? ASK_BLOCK_DIGESTS : ASK_BYTES,
                         .block_size = run->plan.block_size,
                         .piece_size = compared_piece_size(comparison),
                         .batch_pieces_max = BATCH_PIECES_MAX,
                         .batch_bytes_max = UINT64_MAX,
                         .context = comparison,
                         .lock = &comparison->lock,
                         .next_range = next_compared_piece,
                         .take_answer = compare_blocks};
    bool supported;
    bool ok;

    comparison->round_end = clock_seconds() + ROUND_SECONDS;
    comparison->comparers = begin_block_comparers(workers);
    ok = file_pieces_ask(&pieces, workers, &supported, error);
    end_block_comparers(comparison->comparers, workers);
    assert(supported);
    return ok;
}

static bool compare_all_blocks(BlockComparison *comparison, uint64_t total, Error *error)
{
    Run *run = comparison->run;
    int granted;

    if (!find_out_by_digest(comparison, error) ||
        !run->source->operations->start_workers(run->source, run->options->jobs, &granted, error))
        return false;
    while (comparison->index < run->plan.count)
    {
        bool ok;

        progress_begin("compared", total);
        progress_add(comparison->done_bytes);
        ok = compare_for_a_round(comparison, granted, error);
        progress_end();
        if (!ok || !bring_written_wal(run, error))
            return false;
    }
    return true;
}

bool run_compare(Run *run, Error *error)
{
    BlockComparison comparison = {.run = run};
    uint64_t total = 0;
    bool result;

    if (run->problems > 0)
        return true; /* the run ends before anything is staged */
    for (size_t i = 0; i < run->plan.count; i++)
        total += plan_compared_size(&run->plan, &run->plan.entries[i]);
    log_progress_message("comparing %llu MB of relations block by block",
                         (unsigned long long) (total / (1024 * 1024)));
    pthread_mutex_init(&comparison.lock, NULL);
    result = compare_all_blocks(&comparison, total, error);
    pthread_mutex_destroy(&comparison.lock);
    run->report->compared_bytes += comparison.done_bytes;
    if (result)
        plan_name_blocks(&run->input, &run->plan);
    return result;
}

/* ---- In place of the divergence and the scan ---- */

void run_begin_comparison(Run *run)
{
    blockmap_destroy(run->compared);
    run->compared = blockmap_create();
    run->scanned = (ScanResult){.blocks = run->compared};
    run->early = start_of_source(&run->source_control);
    run->report->redo = run->early.redo;
}

/* Where the histories part at the latest, for who wants to know: nothing depends on it. */
static void report_histories(Run *run)
{
    const History *target = &run->target_history;
    char text[LSN_TEXT_SIZE];
    size_t common;
    Lsn latest;

    if (target->count == 0 || !history_common(&run->source_history, target, &common, &latest) ||
        latest == LSN_INVALID)
        return;
    run->report->diverged = true;
    run->report->divergence = latest;
    run->report->divergence_timeline = target->entries[common].timeline;
    log_info("servers diverged at WAL location %s on timeline %u", /* contract */
             run_lsn_text(run, latest, text), run->report->divergence_timeline);
}

void run_skip_divergence(Run *run)
{
    const Control *control = &run->target.control;

    run->divergence = LSN_INVALID; /* so no WAL of the target is kept */
    run->target_end = control->checkpoint_lsn > control->min_recovery_point
                          ? control->checkpoint_lsn
                          : control->min_recovery_point;
    run->input = run_plan_input(run, LSN_INVALID);
    report_histories(run);
    log_info("comparing all blocks with the source's");
}
