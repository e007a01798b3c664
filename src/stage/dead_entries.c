#include "stage/dead_entries.h"

#include "apply/journal.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/page.h"
#include "io/file.h"

#include <pthread.h>
#include <stdlib.h>

#define PIECE_SIZE (1024 * 1024)

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

static void name_block(DeadEntrySearch *search, RelationId relation, BlockNumber block)
{
    pthread_mutex_lock(&search->lock);
    search->found_blocks += blockmap_add(search->blocks, relation, block);
    pthread_mutex_unlock(&search->lock);
}

static void judge_pages(DeadEntrySearch *search, const RelationFile *file, BlockNumber first,
                        const uint8_t *bytes, size_t size)
{
    const uint32_t block_size = search->plan->block_size;

    for (size_t offset = 0; offset + block_size <= size; offset += block_size)
    {
        if (page_may_have_dead_entries(bytes + offset, block_size))
            name_block(search, file->relation, first + (BlockNumber) (offset / block_size));
    }
    pthread_mutex_lock(&search->lock);
    search->read_bytes += size;
    pthread_mutex_unlock(&search->lock);
    progress_add(size);
}

static bool read_file(DeadEntrySearch *search, const PlanEntry *entry, const RelationFile *file,
                      Error *error)
{
    const uint64_t size = plan_compared_size(search->plan, entry);
    AUTO_BUFFER Buffer path_buffer = {0}, piece = {0};
    const char *path = target_path(&path_buffer, search->target->directory, entry->path);
    AUTO_FD int fd = -1;
    size_t length = PIECE_SIZE;

    buffer_reserve(&piece, PIECE_SIZE);
    if (!file_open_read(path, &fd, NULL, error))
        return false;
    for (uint64_t offset = 0; offset < size && length == PIECE_SIZE; offset += PIECE_SIZE)
    {
        if (!stop_check(error) ||
            !file_read_at(fd, path, piece.bytes, PIECE_SIZE, offset, &length, error))
            return false;
        judge_pages(search, file,
                    entry->first_block + (BlockNumber) (offset / search->plan->block_size),
                    piece.bytes, length);
    }
    return true;
}

/* The file is read if its database is one of those; then *file says of which relation it is. */
static bool is_searched(const DeadEntrySearch *search, const PlanEntry *entry, RelationFile *file)
{
    return entry->reason == REASON_BLOCKS_NAMED &&
           relpath_parse(search->target->control.version, entry->path, file) &&
           has_database(search, file->relation.database);
}

static uint64_t bytes_to_search(const DeadEntrySearch *search)
{
    const Plan *plan = search->plan;
    uint64_t bytes = 0;
    RelationFile file;

    for (size_t i = 0; i < plan->count; i++)
    {
        if (is_searched(search, &plan->entries[i], &file))
            bytes += plan_compared_size(plan, &plan->entries[i]);
    }
    return bytes;
}

/* A WorkerFunction. */
static bool read_entry(void *context, int worker, size_t item, Error *error)
{
    DeadEntrySearch *search = context;
    const PlanEntry *entry = &search->plan->entries[item];
    RelationFile file;

    (void) worker;
    return !is_searched(search, entry, &file) || read_file(search, entry, &file, error);
}

bool dead_entries_find(const Target *target, const Plan *plan, int jobs, BlockMap *blocks,
                       Error *error)
{
    DeadEntrySearch search = {.target = target, .plan = plan, .blocks = blocks};
    const BlockMapRelation *relation;
    bool result;

    log_progress_message("reading indexes of the target for entries marked as dead without WAL");
    for (size_t at = 0; (relation = blockmap_next(blocks, &at)) != NULL;)
        if (!has_database(&search, relation->id.database))
            buffer_append(&search.databases, &relation->id.database, sizeof(Oid));
    pthread_mutex_init(&search.lock, NULL);
    progress_begin(PROGRESS_READ_INDEXES, bytes_to_search(&search));
    result = workers_run(jobs, plan->count, read_entry, &search, error);
    progress_end(result);
    pthread_mutex_destroy(&search.lock);
    buffer_free(&search.databases);
    log_debug("%llu MB of the target's relations were read, and %llu more blocks are fetched",
              (unsigned long long) (search.read_bytes / (1024 * 1024)),
              (unsigned long long) search.found_blocks);
    return result;
}
