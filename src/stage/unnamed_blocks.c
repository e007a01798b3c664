#include "stage/unnamed_blocks.h"

#include "apply/journal.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/page.h"
#include "source/file_pieces.h"

#include <assert.h>

#define READ_SIZE (1024 * 1024) /* bytes of one read of the target's files */
#define BATCH_PIECES_MAX 32
#define BLOCKS_PIECE_SIZE (DIGEST_PIECE_SIZE_MAX / 2)
#define SAMPLED_PIECE_SIZE (128u * 1024)
#define SAMPLE_STEP_MIN ((uint64_t) 2 * 1024 * 1024)
#define SAMPLED_PIECES_MAX 32
#define ROUND_SECONDS 20 /* seconds between two fetches of the source's new WAL */

/* The number, in the relation, of the block at this offset of a file. */
static BlockNumber block_at(const Plan *plan, const PlanEntry *entry, uint64_t offset)
{
    return entry->first_block + (BlockNumber) (offset / plan->block_size);
}

/* ---- Dead entries ---- */

typedef struct DeadEntrySearch
{
    const Target *target;
    const Plan *plan;
    BlockMap *blocks;
    Buffer databases;     /* Oid: a transaction of the target changed something there */
    pthread_mutex_t lock; /* guards what follows, and the block map */
    uint64_t read_bytes;
    uint64_t found_blocks;
} DeadEntrySearch;

static bool has_database(const DeadEntrySearch *search, Oid database)
{
    const Oid *databases = (const Oid *) search->databases.bytes;

    for (size_t i = 0; i < search->databases.size / sizeof(*databases); i++)
    {
        if (databases[i] == database)
            return true;
    }
    return false;
}

static void judge_pages(DeadEntrySearch *search, const RelationFile *file, BlockNumber first,
                        const uint8_t *bytes, size_t size)
{
    const uint32_t block_size = search->plan->block_size;

    for (size_t offset = 0; offset + block_size <= size; offset += block_size)
    {
        if (!page_may_have_dead_entries(bytes + offset, block_size))
            continue;
        pthread_mutex_lock(&search->lock);
        search->found_blocks += blockmap_add(search->blocks, file->relation,
                                             first + (BlockNumber) (offset / block_size));
        pthread_mutex_unlock(&search->lock);
    }
    pthread_mutex_lock(&search->lock);
    search->read_bytes += size;
    pthread_mutex_unlock(&search->lock);
    progress_add(size);
}

/* True if the file is read, because its database is one of these; *file is its relation, fork and
 * segment. */
static bool is_searched(const DeadEntrySearch *search, const PlanEntry *entry, RelationFile *file)
{
    return entry->reason == REASON_BLOCKS_NAMED &&
           relpath_parse(&search->target->control.version_directory, entry->path, file) &&
           has_database(search, file->relation.database);
}

/* A WorkerFunction. */
static bool read_entry(void *context, size_t item, Error *error)
{
    DeadEntrySearch *search = context;
    const PlanEntry *entry = &search->plan->entries[item];
    const uint64_t size = plan_compared_size(search->plan, entry);
    AUTO_BUFFER Buffer path_buffer = {0}, piece = {0};
    const char *path = target_path(&path_buffer, search->target->directory, entry->path);
    AUTO_FD int fd = -1;
    size_t length = READ_SIZE;
    RelationFile file;

    if (!is_searched(search, entry, &file))
        return true;
    buffer_reserve(&piece, READ_SIZE);
    if (!file_open_read(path, &fd, NULL, error))
        return false;
    for (uint64_t offset = 0; offset < size && length == READ_SIZE; offset += READ_SIZE)
    {
        if (!stop_check(error) ||
            !file_read_at(fd, path, piece.bytes, READ_SIZE, offset, &length, error))
            return false;
        judge_pages(search, &file, block_at(search->plan, entry, offset), piece.bytes, length);
    }
    return true;
}

bool dead_entries_find(const Target *target, const Plan *plan, int jobs, BlockMap *blocks,
                       Error *error)
{
    DeadEntrySearch search = {
        .target = target, .plan = plan, .blocks = blocks, .lock = PTHREAD_MUTEX_INITIALIZER};
    const BlockMapRelation *relation;
    uint64_t bytes = 0;
    RelationFile file;
    bool result;

    log_progress_message("reading indexes of the target for entries marked as dead without WAL");
    for (size_t at = 0; (relation = blockmap_next(blocks, &at)) != NULL;)
        if (!has_database(&search, relation->id.database))
            buffer_append(&search.databases, &relation->id.database, sizeof(Oid));
    for (size_t i = 0; i < plan->count; i++)
        if (is_searched(&search, &plan->entries[i], &file))
            bytes += plan_compared_size(plan, &plan->entries[i]);
    progress_begin(PROGRESS_READ_INDEXES, bytes);
    result = progress_end(workers_run(jobs, plan->count, read_entry, &search, error));
    buffer_free(&search.databases);
    log_debug("%llu MB of the target's relations were read, and %llu more blocks are fetched",
              (unsigned long long) (search.read_bytes / (1024 * 1024)),
              (unsigned long long) search.found_blocks);
    return result;
}

/* ---- Comparing: the pieces ---- */

/* The whole comparison, shared by the workers. */
typedef struct BlockComparison
{
    const Clusters *clusters;
    const Divergence *divergence;
    const Plan *plan;
    const RecoveryStart *start;
    SourceWal *source_wal;
    ComparedBlocks *result;
    pthread_mutex_t lock; /* guards what follows, and the block map */
    size_t index;         /* index of the current entry of the plan */
    uint64_t offset;      /* offset in the current entry's file at which the next piece starts */
    bool samples;         /* the current round compares samples only */
    /* digest that the source computes; DIGEST_NONE: the source's bytes are compared */
    DigestKind digest;
    double round_end;
    uint64_t spared_bytes; /* size of the files of which only samples are compared */
} BlockComparison;

static BlockNumber blocks_end(const Plan *plan, const PlanEntry *entry, uint64_t end)
{
    return block_at(plan, entry, end + plan->block_size - 1);
}

static RelationId relation_of(const BlockComparison *comparison, const PlanEntry *entry)
{
    RelationFile file;
    const VersionDirectory *own = &comparison->clusters->target.control.version_directory;
    const bool is_relation = relpath_parse(own, entry->path, &file);

    assert(is_relation); /* only files that have block numbers are compared */
    return file.relation;
}

/* Blocks of the entry's relation that are named so far; NULL if none is. */
static const BlockMapRelation *find_named(const BlockComparison *comparison, const PlanEntry *entry)
{
    return blockmap_find(comparison->result->blocks, relation_of(comparison, entry));
}

/* A piece has whole blocks. The rate does not limit bytes that are not sent. */
static uint32_t compared_piece_size(const BlockComparison *comparison)
{
    const uint32_t block_size = comparison->plan->block_size;
    const uint32_t wanted = comparison->samples ? SAMPLED_PIECE_SIZE : BLOCKS_PIECE_SIZE;
    const uint32_t most = comparison->digest != DIGEST_NONE
                              ? wanted
                              : rate_piece(comparison->clusters->source->rate, FETCH_SIZE_MAX);
    const uint32_t size = most < wanted ? most : wanted;

    return size < block_size ? block_size : size - size % block_size;
}

/* True for a file so large that it may be replaced: a sample of the file shows whether comparing
 * the whole file is worth the time. */
static bool is_sampled(const Plan *plan, const PlanEntry *entry)
{
    return entry->source_size >= PLAN_REPLACED_SIZE_MIN && plan_compared_size(plan, entry) > 0;
}

/* The distance between two pieces of a sample: they lie all over the file, since what its first
 * part shows need not be true of the others. */
static uint64_t sample_step(const Plan *plan, const PlanEntry *entry)
{
    const uint64_t step = plan_compared_size(plan, entry) / SAMPLED_PIECES_MAX;

    return step < SAMPLE_STEP_MIN ? SAMPLE_STEP_MIN : step - step % plan->block_size;
}

/* True if its sample has shown that the file is replaced: then all of its blocks are named before
 * the others are compared. */
static bool is_settled(const BlockComparison *comparison, const PlanEntry *entry)
{
    const Plan *plan = comparison->plan;
    const BlockMapRelation *named = find_named(comparison, entry);
    const BlockNumber end = blocks_end(plan, entry, plan_compared_size(plan, entry));
    BlockNumber first, count;

    return named != NULL && blockmap_next_run(named, entry->first_block, end, &first, &count) &&
           count == end - entry->first_block;
}

/* True if the current round skips the entry: it has no sample, or the sample has settled it. */
static bool is_passed_over(const BlockComparison *comparison, const PlanEntry *entry)
{
    const bool sampled = is_sampled(comparison->plan, entry);

    return comparison->samples ? !sampled : sampled && is_settled(comparison, entry);
}

/* Give out one piece at a time, so that the round ends in time. */
static bool next_compared_piece(void *context, FilePiece *range)
{
    BlockComparison *comparison = context;
    const Plan *plan = comparison->plan;
    const uint32_t limit = compared_piece_size(comparison);

    for (; comparison->index < plan->count; comparison->index++, comparison->offset = 0)
    {
        const PlanEntry *entry = &plan->entries[comparison->index];
        const uint64_t size = plan_compared_size(plan, entry);
        uint64_t left;

        if (clock_seconds() >= comparison->round_end)
            return false;
        if (comparison->offset >= size ||
            (comparison->offset == 0 && is_passed_over(comparison, entry)))
            continue;
        left = size - comparison->offset;
        *range = (FilePiece){.file = comparison->index,
                             .path = entry->path,
                             .offset = comparison->offset,
                             .size = left < limit ? left : limit};
        comparison->offset += comparison->samples ? sample_step(plan, entry) : range->size;
        return true;
    }
    return false;
}

/* ---- Comparing: one piece ---- */

/*
 * Name the blocks that differ. Blocks that the source no longer has (source NULL, or too short)
 * are named as well: the fetch finds out what became of the file.
 */
static bool compare_piece_blocks(void *context, PieceWorker *worker, const FilePiece *piece,
                                 const uint8_t *source, size_t source_size, Error *error)
{
    BlockComparison *comparison = context;
    const PlanEntry *entry = &comparison->plan->entries[piece->file];
    const uint32_t block_size = comparison->plan->block_size;
    const PieceAnswer answer = {comparison->digest, source, source_size};
    const RelationId relation = relation_of(comparison, entry);
    size_t length;

    if (!piece_read_target(&worker->file, comparison->clusters->target.directory, piece,
                           worker->bytes, &length, error))
        return false;
    for (uint64_t offset = 0; offset < piece->size; offset += block_size)
    {
        const size_t left = offset < length ? length - offset : 0;
        const size_t size = left < block_size ? left : block_size;
        const uint8_t *block = worker->bytes + offset;

        if (piece_answer_equals(&answer, block_size, offset, block, size))
            continue;
        pthread_mutex_lock(&comparison->lock);
        blockmap_add(comparison->result->blocks, relation,
                     block_at(comparison->plan, entry, piece->offset + offset));
        pthread_mutex_unlock(&comparison->lock);
    }
    if (comparison->samples)
        return true; /* counted by settle_by_samples, or compared again with the others */
    progress_add(piece->size);
    pthread_mutex_lock(&comparison->lock);
    comparison->result->bytes += piece->size;
    pthread_mutex_unlock(&comparison->lock);
    return true;
}

/* ---- Comparing: what the samples show ---- */

static uint64_t count_named(const BlockMapRelation *named, BlockNumber from, BlockNumber end)
{
    BlockNumber first, count;
    uint64_t total = 0;

    for (; named != NULL && blockmap_next_run(named, from, end, &first, &count);
         from = first + count)
        total += count;
    return total;
}

/* The sample has been compared. If it shows that the file is replaced, name all of its blocks. */
static void settle_entry(BlockComparison *comparison, const PlanEntry *entry)
{
    const Plan *plan = comparison->plan;
    const uint64_t size = plan_compared_size(plan, entry);
    const uint64_t step = sample_step(plan, entry), piece_size = compared_piece_size(comparison);
    const BlockMapRelation *named = find_named(comparison, entry);
    const RelationId relation = relation_of(comparison, entry);
    uint64_t sampled = 0, differing = 0;

    for (uint64_t offset = 0; offset < size; offset += step)
    {
        const uint64_t end = size - offset < piece_size ? size : offset + piece_size;
        const BlockNumber first = block_at(plan, entry, offset),
                          last = blocks_end(plan, entry, end);

        sampled += last - first;
        differing += count_named(named, first, last);
    }
    if (!plan_replaces_by_sample(plan, entry, sampled, differing))
        return;
    for (BlockNumber block = entry->first_block; block < blocks_end(plan, entry, size); block++)
        blockmap_add(comparison->result->blocks, relation, block);
    comparison->result->bytes += sampled * plan->block_size;
    comparison->spared_bytes += size;
    progress_add(size);
}

static void settle_by_samples(BlockComparison *comparison)
{
    const Plan *plan = comparison->plan;

    for (size_t i = 0; i < plan->count; i++)
        if (is_sampled(plan, &plan->entries[i]))
            settle_entry(comparison, &plan->entries[i]);
    log_debug(
        "%llu MB of relations are fetched whole: by samples nearly all of their blocks differ",
        (unsigned long long) (comparison->spared_bytes / (1024 * 1024)));
}

/* ---- Comparing: all blocks ---- */

/* Fetch the WAL that the source has written in the meantime, before the source removes the WAL. */
static bool fetch_new_wal(BlockComparison *comparison, Error *error)
{
    SourceState *now = &comparison->result->source;
    Source *source = comparison->clusters->source;
    SourceWal *wal = comparison->source_wal;
    bool result;

    if (wal->options.dry_run || !source->is_server)
        return true;
    wal->progress = WAL_FETCH_IS_SILENT;
    result = source_state_read_again(source, now, now, error) &&
             source_wal_fetch(wal, comparison->start->wal_from,
                              source_state_wal_end(now, comparison->divergence->lsn), error);
    wal->progress = WAL_FETCH_IS_PHASE;
    return result;
}

/* Compare until the round ends, or all blocks are compared. */
static bool compare_for_a_round(BlockComparison *comparison, int workers, Error *error)
{
    FilePieces pieces = {.source = comparison->clusters->source,
                         .digests = comparison->digest != DIGEST_NONE,
                         .block_size = comparison->plan->block_size,
                         .piece_size = compared_piece_size(comparison),
                         .batch_pieces_max = BATCH_PIECES_MAX,
                         .batch_bytes_max = UINT64_MAX,
                         .bytes_size = BLOCKS_PIECE_SIZE,
                         .context = comparison,
                         .lock = &comparison->lock,
                         .next_range = next_compared_piece,
                         .take_answer = compare_piece_blocks};

    comparison->round_end = clock_seconds() + ROUND_SECONDS;
    return file_pieces_ask(&pieces, workers, error);
}

/* Compare all pieces, or those of samples. New WAL is fetched whenever a round ends. */
static bool compare_pieces(BlockComparison *comparison, bool samples, int workers, Error *error)
{
    const size_t count = comparison->plan->count;

    comparison->samples = samples;
    comparison->index = comparison->offset = 0;
    while (comparison->index < count)
    {
        if (!compare_for_a_round(comparison, workers, error) ||
            (!(samples && comparison->index == count) && !fetch_new_wal(comparison, error)))
            return false;
    }
    return true;
}

bool compared_blocks_find(SourceWal *source_wal, const Divergence *divergence,
                          const RecoveryStart *start, const Plan *plan, ComparedBlocks *result,
                          Error *error)
{
    BlockComparison comparison = {.clusters = source_wal->clusters,
                                  .divergence = divergence,
                                  .plan = plan,
                                  .start = start,
                                  .source_wal = source_wal,
                                  .result = result,
                                  .lock = PTHREAD_MUTEX_INITIALIZER};
    Source *source = source_wal->clusters->source;
    uint64_t total = 0;
    int granted;
    bool ok;

    *result = (ComparedBlocks){.blocks = blockmap_create(), .source = start->source};
    for (size_t i = 0; i < plan->count; i++)
        total += plan_compared_size(plan, &plan->entries[i]);
    log_progress_message("comparing %llu MB of relations block by block",
                         (unsigned long long) (total / (1024 * 1024)));
    /* Not every server computes digests; a directory's bytes are compared. */
    comparison.digest = source->digest;
    if (!source->operations->start_workers(source, source_wal->options.jobs, total, &granted,
                                           error))
        return false;
    log_debug("comparing blocks by %s", digest_name(source->digest));
    progress_begin(PROGRESS_COMPARE_BLOCKS, total);
    ok = compare_pieces(&comparison, true, granted, error);
    if (ok)
        settle_by_samples(&comparison);
    return progress_end(ok && compare_pieces(&comparison, false, granted, error));
}
