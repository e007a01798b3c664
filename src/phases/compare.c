/*
 * --compare: what the WAL of the target would tell is found by comparing. Every block of every main
 * fork that both sides have is compared with the source's; those that differ are named in the block
 * map that a scan would have made, and everything goes on as after a scan.
 *
 * Recovery starts at the source's own last checkpoint, read before the first block. A block that is
 * found equal is a copy of the source's as it was read after that, like a block that is fetched:
 * design/comparing.md.
 */
#include "phases/run.h"

#include "apply/roots.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MAX 32 /* of one request to the source */
#define PIECE_SIZE (DIGEST_SIZE_MAX / 2)
#define ROUND_SECONDS 20 /* between two times that the source's new WAL is brought */

typedef struct Piece
{
    const PlanEntry *entry;
    uint64_t offset;
    uint32_t size;
} Piece;

/* The whole comparison, shared by the threads. */
typedef struct Comparison
{
    Run *run;
    pthread_mutex_t lock; /* guards what follows, and the block map */
    size_t index;         /* the entry at hand */
    uint64_t offset;      /* in its file: what comes next */
    bool failed;          /* a thread has failed: the others stop */
    bool by_digest;       /* else the source's bytes are read, or received */
    double round_end;
    uint64_t done_bytes;
} Comparison;

/* What one thread holds. */
typedef struct Batch
{
    Comparison *comparison;
    Piece pieces[PIECES_MAX];
    FetchRequest requests[PIECES_MAX];
    size_t count;
    const PlanEntry *open; /* whose file is open */
    int fd;                /* -1: there is none that we may read */
    char path[PATH_SIZE];
    uint8_t *bytes; /* PIECE_SIZE of the target's */
} Batch;

/* ---- Which pieces ---- */

/* Whole blocks. Of bytes that are not sent the rate is no concern. */
static uint32_t size_of_pieces(const Comparison *comparison)
{
    const Run *run = comparison->run;
    const uint32_t block_size = run->plan.block_size;
    const uint32_t most =
        comparison->by_digest ? PIECE_SIZE : source_piece_size(run->source, FETCH_SIZE_MAX);

    return most < block_size ? block_size : most - most % block_size;
}

static void take_batch(Batch *batch)
{
    Comparison *comparison = batch->comparison;
    const Run *run = comparison->run;
    const uint32_t limit = size_of_pieces(comparison);

    batch->count = 0;
    pthread_mutex_lock(&comparison->lock);
    while (!comparison->failed && batch->count < PIECES_MAX &&
           comparison->index < run->plan.count && clock_seconds() < comparison->round_end)
    {
        const PlanEntry *entry = &run->plan.entries[comparison->index];
        const uint64_t left = plan_compared_size(&run->plan, entry) - comparison->offset;
        const uint32_t size = left < limit ? (uint32_t) left : limit;

        if (left == 0)
        {
            comparison->index++;
            comparison->offset = 0;
            continue;
        }
        batch->pieces[batch->count] = (Piece){entry, comparison->offset, size};
        batch->requests[batch->count++] = (FetchRequest){entry->path, comparison->offset, size};
        comparison->offset += size;
    }
    pthread_mutex_unlock(&comparison->lock);
}

/* ---- One piece ---- */

/* Read the target's piece. What we may not read has no bytes: all of it differs. */
static bool read_target(Batch *batch, const Piece *piece, size_t *length, Error *error)
{
    *length = 0;
    if (batch->open != piece->entry)
    {
        bool found;

        file_close(batch->fd);
        batch->fd = -1;
        batch->open = piece->entry;
        if (!target_path(batch->path, sizeof(batch->path), batch->comparison->run->target.directory,
                         piece->entry->path, error))
            return false;
        if (!file_open_read(batch->path, &batch->fd, &found, error) &&
            error->error_number != EACCES)
            return false;
    }
    return batch->fd < 0 || file_read_at(batch->fd, batch->path, batch->bytes, piece->size,
                                         piece->offset, length, error);
}

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

/*
 * Name the blocks that differ. What the source has no longer (source NULL, or too short) is named
 * as well: the fetch finds out what became of the file.
 */
static bool deliver(void *context, size_t index, const uint8_t *source, size_t source_size,
                    Error *error)
{
    Batch *batch = context;
    Comparison *comparison = batch->comparison;
    const Run *run = comparison->run;
    const Piece *piece = &batch->pieces[index];
    const uint32_t block_size = run->plan.block_size;
    RelationFile file;
    size_t length;

    assert(index < batch->count);
    if (!relpath_parse(run->shape.version, piece->entry->path, &file) ||
        !read_target(batch, piece, &length, error))
        return false;
    for (uint32_t offset = 0; offset < piece->size; offset += block_size)
    {
        const size_t left = offset < length ? length - offset : 0;
        const size_t size = left < block_size ? left : block_size;
        const uint8_t *block = batch->bytes + offset;
        const bool equal = source != NULL && size > 0 &&
                           (comparison->by_digest
                                ? has_digest(block, size, offset / block_size, source, source_size)
                                : has_bytes(block, size, offset, source, source_size));

        if (equal)
            continue;
        pthread_mutex_lock(&comparison->lock);
        blockmap_add(run->compared, file.relation,
                     piece->entry->first_block +
                         (BlockNumber) ((piece->offset + offset) / block_size));
        pthread_mutex_unlock(&comparison->lock);
    }
    progress_add(piece->size);
    pthread_mutex_lock(&comparison->lock);
    comparison->done_bytes += piece->size;
    pthread_mutex_unlock(&comparison->lock);
    return true;
}

/* ---- The threads ---- */

static bool work(void *context, int worker, size_t item, Error *error)
{
    Comparison *comparison = context;
    Source *source = comparison->run->source;
    Batch *batch = memory_allocate_zeroed(1, sizeof(*batch));
    bool supported = true;
    bool ok = true;

    (void) item;
    batch->comparison = comparison;
    batch->fd = -1;
    batch->bytes = memory_allocate(PIECE_SIZE);
    while (ok)
    {
        take_batch(batch);
        if (batch->count == 0)
            break;
        ok = stop_check(error) &&
             (comparison->by_digest
                  ? source->operations->digest_blocks(source, worker, batch->requests, batch->count,
                                                      comparison->run->plan.block_size, deliver,
                                                      batch, &supported, error)
                  : source->operations->fetch(source, worker, batch->requests, batch->count,
                                              deliver, batch, error));
        assert(supported);
    }
    if (!ok)
    {
        pthread_mutex_lock(&comparison->lock);
        comparison->failed = true;
        pthread_mutex_unlock(&comparison->lock);
    }
    file_close(batch->fd);
    free(batch->bytes);
    free(batch);
    return ok;
}

/* Does the source compute digests? A server may not, a directory need not. */
static bool ask_for_digests(Comparison *comparison, Error *error)
{
    Source *source = comparison->run->source;

    return source->operations->digest_blocks(source, 0, NULL, 0, comparison->run->plan.block_size,
                                             deliver, NULL, &comparison->by_digest, error);
}

/* The WAL that the source has written meanwhile, before it removes it. */
static bool bring_new_wal(Run *run, Error *error)
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

static bool compare_all(Comparison *comparison, uint64_t total, Error *error)
{
    Run *run = comparison->run;
    int granted;

    if (!ask_for_digests(comparison, error) ||
        !run->source->operations->start_workers(run->source, run->options->jobs, &granted, error))
        return false;
    while (comparison->index < run->plan.count)
    {
        bool ok;

        comparison->round_end = clock_seconds() + ROUND_SECONDS;
        progress_begin("compared", total);
        progress_add(comparison->done_bytes);
        ok = workers_run(granted, (size_t) granted, work, comparison, error);
        progress_end();
        if (!ok || !bring_new_wal(run, error))
            return false;
    }
    return true;
}

bool run_compare(Run *run, Error *error)
{
    Comparison comparison = {.run = run};
    uint64_t total = 0;
    bool result;

    if (run->problems > 0)
        return true; /* the run ends before anything is staged */
    for (size_t i = 0; i < run->plan.count; i++)
        total += plan_compared_size(&run->plan, &run->plan.entries[i]);
    log_progress_message("comparing %llu MB of relations block by block",
                         (unsigned long long) (total / (1024 * 1024)));
    pthread_mutex_init(&comparison.lock, NULL);
    result = compare_all(&comparison, total, error);
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
