/*
 * Index entries that the target marked as dead without WAL, on pages that none of its WAL names:
 * design/unlogged-changes.md, "Dead index entries of a promoted target". They are looked for on the
 * pages themselves.
 */
#include "phases/run.h"

#include "apply/roots.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/page.h"
#include "io/file.h"

#include <pthread.h>
#include <stdlib.h>

#define PIECE_SIZE (1024 * 1024)

typedef struct Search
{
    Run *run;
    Buffer databases;     /* Oid: that a transaction of the target changed something in */
    pthread_mutex_t lock; /* guards what follows, and the block map */
    uint64_t read_bytes;
    uint64_t found_blocks;
} Search;

static bool has_database(const Search *search, Oid database)
{
    const Oid *databases = (const Oid *) search->databases.bytes;

    for (size_t i = 0; i < search->databases.size / sizeof(*databases); i++)
    {
        if (databases[i] == database)
            return true;
    }
    return false;
}

/* A BlockMapVisitor. */
static bool note_database(void *context, RelationId id, const BlockMapRelation *relation)
{
    Search *search = context;

    (void) relation;
    if (!has_database(search, id.database))
        buffer_append(&search->databases, &id.database, sizeof(id.database));
    return true;
}

static void name_block(Search *search, RelationId relation, BlockNumber block)
{
    pthread_mutex_lock(&search->lock);
    search->found_blocks += blockmap_add(search->run->scanned.blocks, relation, block);
    pthread_mutex_unlock(&search->lock);
}

static void judge_pages(Search *search, const RelationFile *file, BlockNumber first,
                        const uint8_t *bytes, size_t size)
{
    const uint32_t block_size = search->run->plan.block_size;

    for (size_t offset = 0; offset + block_size <= size; offset += block_size)
    {
        if (page_may_have_dead_entries(bytes + offset, block_size))
            name_block(search, file->relation, first + (BlockNumber) (offset / block_size));
    }
    pthread_mutex_lock(&search->lock);
    search->read_bytes += size;
    pthread_mutex_unlock(&search->lock);
}

static bool read_file(Search *search, const PlanEntry *entry, const RelationFile *file,
                      Error *error)
{
    const uint64_t size = plan_compared_size(&search->run->plan, entry);
    uint8_t *bytes = memory_allocate(PIECE_SIZE);
    char path[PATH_SIZE];
    size_t length = PIECE_SIZE;
    int fd = -1;
    bool ok = target_path(path, sizeof(path), search->run->target.directory, entry->path, error) &&
              file_open_read(path, &fd, NULL, error);

    for (uint64_t offset = 0; ok && offset < size && length == PIECE_SIZE; offset += PIECE_SIZE)
    {
        ok = stop_check(error) && file_read_at(fd, path, bytes, PIECE_SIZE, offset, &length, error);
        if (ok)
            judge_pages(search, file,
                        entry->first_block + (BlockNumber) (offset / search->run->plan.block_size),
                        bytes, length);
    }
    file_close(fd);
    free(bytes);
    return ok;
}

/* A WorkerFunction. */
static bool read_entry(void *context, int worker, size_t item, Error *error)
{
    Search *search = context;
    const PlanEntry *entry = &search->run->plan.entries[item];
    RelationFile file;

    (void) worker;
    return !entry->by_blocks || !relpath_parse(search->run->shape.version, entry->path, &file) ||
           !has_database(search, file.relation.database) || read_file(search, entry, &file, error);
}

bool run_find_dead_entries(Run *run, Error *error)
{
    Search search = {.run = run};
    bool result;

    if (!run->dead_entries_unlogged || run->problems > 0)
        return true;
    log_progress_message("reading indexes of the target for entries marked as dead without WAL");
    blockmap_each(run->scanned.blocks, note_database, &search);
    pthread_mutex_init(&search.lock, NULL);
    result = workers_run(run->options->jobs, run->plan.count, read_entry, &search, error);
    pthread_mutex_destroy(&search.lock);
    buffer_free(&search.databases);
    log_debug("%llu MB of the target's relations were read, and %llu more blocks are fetched",
              (unsigned long long) (search.read_bytes / (1024 * 1024)),
              (unsigned long long) search.found_blocks);
    if (result)
        plan_name_blocks(&run->input, &run->plan);
    return result;
}
