/*
 * stage_fetch: compare, then fetch, in as many threads as the source grants.
 *
 * Nothing is held for a whole plan: the threads take batches of pieces from a Walk over the plan,
 * one batch at a time. Blocks of files that stay in place get their place in the root's data file
 * as they are handed out, and are fetched into it however often a connection is lost.
 *
 * Where the source is a directory of this machine, nothing is fetched and no digest computed: files
 * are compared by their bytes and copied by the kernel.
 */
#include "apply/staging.h"

#include "base/log.h"
#include "base/workers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One transaction on the source: a link's delay is waited for at its ends. */
#define BATCH_PIECES_MAX FETCH_COUNT_MAX
#define BATCH_BYTES_MAX (16u * 1024 * 1024)
#define COMPARE_PIECE_SIZE (DIGEST_SIZE_MAX / 2)
#define COMPARE_BATCH_BYTES_MAX (64u * 1024 * 1024)
#define COPY_SIZE (64u * 1024 * 1024) /* between two looks for signals */
#define GATHER_SIZE (1024u * 1024)
#define WRITEBACK_SIZE_MIN (64u * 1024) /* what is smaller, the sync writes */

/* A piece of a file that is asked for. */
typedef struct Piece
{
    size_t index; /* of the plan's entry */
    size_t root;
    uint64_t offset;
    uint64_t data_offset; /* in the root's data file */
    uint32_t size;        /* asked for */
    uint32_t expected;    /* fewer: the file has become shorter */
} Piece;

/* One pass over the plan, shared by the threads; guarded by the stage's lock. */
typedef struct Walk
{
    Stage *stage;
    Source *source;
    const Plan *plan;
    bool comparing;
    size_t index;           /* the entry at hand */
    uint64_t offset;        /* in its file: what comes next */
    uint64_t range_end;     /* in its file: end of the range at hand; 0: none */
    bool failed;            /* a thread has failed: the others stop */
    bool digests_supported; /* comparing: the source can */
} Walk;

/* What one thread holds. */
typedef struct Batch
{
    Walk *walk;
    FetchRequest requests[BATCH_PIECES_MAX];
    Piece pieces[BATCH_PIECES_MAX];
    size_t count;
    size_t open_index; /* the entry whose file is open */
    int fd;
    char path[PATH_SIZE]; /* of the open file */
    size_t source_index;  /* a directory as source: the entry whose file is open there */
    int source_fd;        /* -1: it is gone */
    char source_path[PATH_SIZE];
    uint8_t *local; /* comparing: COMPARE_PIECE_SIZE + 1 bytes of the target */
    uint8_t *other; /* and of a directory as source */
    uint8_t
        *gathered; /* fetching: GATHER_SIZE bytes that are one behind the other in a data file */
    size_t gathered_size;
    size_t gathered_root;
    uint64_t gathered_offset;
} Batch;

/* ---- Which pieces ---- */

static bool is_compared(const Stage *stage, const PlanEntry *entry, size_t index)
{
    return entry->compare && entry->on_target && entry->source_size == entry->target_size &&
           entry->source_size > 0 && stage_is_whole(stage, entry, index);
}

static bool takes_part(const Walk *walk, size_t index)
{
    const PlanEntry *entry = &walk->plan->entries[index];

    if (walk->comparing)
        return is_compared(walk->stage, entry, index);
    return stage_is_whole(walk->stage, entry, index) ||
           stage_is_laid_out(walk->stage, entry, index);
}

/* Find the next range of an entry that takes part. */
static bool next_range(Walk *walk)
{
    while (walk->index < walk->plan->count)
    {
        uint64_t size;

        if (takes_part(walk, walk->index) &&
            plan_next_range(walk->plan, &walk->plan->entries[walk->index], &walk->offset, &size))
        {
            walk->range_end = walk->offset + size;
            return true;
        }
        walk->index++;
        walk->offset = 0;
    }
    return false;
}

/* Small files are asked for as if they were large, so that one that has grown comes whole, in one
 * call. */
static bool may_have_grown(const PlanEntry *entry)
{
    return entry->kind != KIND_RELATION && entry->kind != KIND_FORK &&
           entry->source_size <= FETCH_SIZE_MAX;
}

static void make_piece(Walk *walk, Piece *piece)
{
    const PlanEntry *entry = &walk->plan->entries[walk->index];
    const uint64_t limit =
        source_piece_size(walk->source, walk->comparing ? COMPARE_PIECE_SIZE : FETCH_SIZE_MAX);
    const uint64_t left = walk->range_end - walk->offset;
    const uint32_t size = (uint32_t) (left < limit ? left : limit);

    /* Of a piece with one byte more, `expected` is what the target has. */
    *piece = (Piece){.index = walk->index, .offset = walk->offset, .size = size, .expected = size};
    piece->root = roots_of(&walk->stage->roots, entry->path);
    if (walk->comparing)
    {
        /* One byte more at the end: a file that has grown is not equal. */
        if (walk->offset + size == entry->source_size)
            piece->size++;
    }
    else if (stage_is_laid_out(walk->stage, entry, walk->index))
    {
        piece->data_offset =
            stage_place(walk->stage, piece->root, piece->index, piece->offset, size);
    }
    else if (may_have_grown(entry))
        piece->size = FETCH_SIZE_MAX;
    walk->offset += size;
    if (walk->offset == walk->range_end)
        walk->range_end = 0;
}

/* Fill the batch with what comes next; empty: nothing is left, or somebody failed. */
static void take_batch(Batch *batch)
{
    Walk *walk = batch->walk;
    const size_t limit = walk->comparing ? COMPARE_BATCH_BYTES_MAX : BATCH_BYTES_MAX;
    size_t bytes = 0;

    batch->count = 0;
    pthread_mutex_lock(&walk->stage->lock);
    while (!walk->failed && batch->count < BATCH_PIECES_MAX && bytes < limit &&
           (walk->range_end != 0 || next_range(walk)))
    {
        Piece *piece = &batch->pieces[batch->count];

        make_piece(walk, piece);
        batch->requests[batch->count] =
            (FetchRequest){.path = walk->plan->entries[piece->index].path,
                           .offset = piece->offset,
                           .size = piece->size};
        bytes += piece->expected;
        batch->count++;
    }
    pthread_mutex_unlock(&walk->stage->lock);
}

/* ---- Findings, by any thread ---- */

static void note_gone(Stage *stage, size_t index)
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

static void account(Stage *stage, const PlanEntry *entry, const Piece *piece, size_t size)
{
    const uint64_t end = piece->offset + size;

    pthread_mutex_lock(&stage->lock);
    if (size < piece->expected && end < stage->findings[piece->index].actual_size)
        stage->findings[piece->index].actual_size = end;
    stage->statistics.fetched_bytes += size;
    stage->statistics.fetched_bytes_by_kind[entry->kind] += size;
    pthread_mutex_unlock(&stage->lock);
    if (size > piece->expected)
        progress_grow(size - piece->expected);
    progress_add(size);
}

/* ---- Fetching ---- */

/* Open the file that is staged for an entry, and keep it open for the pieces that follow. */
static bool open_whole(Batch *batch, size_t index, Error *error)
{
    const Stage *stage = batch->walk->stage;
    char name[PATH_SIZE];

    if (batch->fd >= 0 && batch->open_index == index)
        return true;
    written_keep(batch->walk->stage->written, batch->fd, batch->path);
    batch->fd = -1;
    batch->open_index = index;
    return stage_entry_name(stage, &batch->walk->plan->entries[index], index, name, error) &&
           stage_local(stage, name, batch->path, error) &&
           file_open_or_create(batch->path, &batch->fd, error);
}

/* Where a piece is to be written. */
static bool find_place(Batch *batch, const Piece *piece, FileRange *place, Error *error)
{
    const Stage *stage = batch->walk->stage;
    const PlanEntry *entry = &batch->walk->plan->entries[piece->index];

    if (stage_is_laid_out(stage, entry, piece->index))
        *place = (FileRange){stage->data_fds[piece->root], DATA_NAME, piece->data_offset};
    else if (open_whole(batch, piece->index, error))
        *place = (FileRange){batch->fd, batch->path, piece->offset};
    else
        return false;
    return true;
}

static bool write_place(const FileRange *place, const uint8_t *bytes, size_t size, Error *error)
{
    if (size == 0)
        return true;
    if (!file_write_at(place->fd, place->path, bytes, size, place->offset, error))
        return false;
    if (size >= WRITEBACK_SIZE_MIN)
        file_begin_writeback(place->fd, place->offset, size);
    return true;
}

static bool write_gathered(Batch *batch, Error *error)
{
    const FileRange place = {.fd = batch->walk->stage->data_fds[batch->gathered_root],
                             .path = DATA_NAME,
                             .offset = batch->gathered_offset};
    const size_t size = batch->gathered_size;

    batch->gathered_size = 0;
    return write_place(&place, batch->gathered, size, error);
}

/* Single blocks are written many at a time. */
static bool gather(Batch *batch, const Piece *piece, const uint8_t *bytes, size_t size,
                   Error *error)
{
    if ((piece->root != batch->gathered_root || size > GATHER_SIZE - batch->gathered_size ||
         piece->data_offset != batch->gathered_offset + batch->gathered_size) &&
        !write_gathered(batch, error))
        return false;
    if (batch->gathered_size == 0)
    {
        batch->gathered_root = piece->root;
        batch->gathered_offset = piece->data_offset;
    }
    memcpy(batch->gathered + batch->gathered_size, bytes, size);
    batch->gathered_size += size;
    return true;
}

static bool deliver(void *context, size_t index, const uint8_t *bytes, size_t size, Error *error)
{
    Batch *batch = context;
    Stage *stage = batch->walk->stage;
    const Piece *piece = &batch->pieces[index];
    const PlanEntry *entry = &batch->walk->plan->entries[piece->index];
    FileRange place;

    assert(index < batch->count);
    if (bytes == NULL)
    {
        note_gone(stage, piece->index);
        return true;
    }
    if (size > piece->size)
        return error_set(error, ERROR_FAILED, "received more of file \"%s\" than was asked for",
                         entry->path);
    if (stage_is_laid_out(stage, entry, piece->index) && size < WRITEBACK_SIZE_MIN)
    {
        if (!gather(batch, piece, bytes, size, error))
            return false;
    }
    else if (!find_place(batch, piece, &place, error) || !write_place(&place, bytes, size, error))
        return false;
    account(stage, entry, piece, size);
    return true;
}

/* ---- Comparing ---- */

/* Read the target's piece; one that we may not read has no bytes, and is replaced unseen. */
static bool read_target(Batch *batch, const Piece *piece, size_t *length, Error *error)
{
    const Walk *walk = batch->walk;

    *length = 0;
    if (batch->fd < 0 || batch->open_index != piece->index)
    {
        bool found;

        file_close(batch->fd);
        batch->fd = -1;
        batch->open_index = piece->index;
        if (!target_path(batch->path, sizeof(batch->path), walk->stage->target_directory,
                         walk->plan->entries[piece->index].path, error))
            return false;
        if (!file_open_read(batch->path, &batch->fd, &found, error) &&
            error->error_number != EACCES)
            return false;
    }
    return batch->fd < 0 || file_read_at(batch->fd, batch->path, batch->local, piece->size,
                                         piece->offset, length, error);
}

static bool deliver_digest(void *context, size_t index, const uint8_t *bytes, size_t size,
                           Error *error)
{
    Batch *batch = context;
    const Piece *piece = &batch->pieces[index];
    uint8_t md5[16];
    size_t length;

    assert(index < batch->count);
    if (bytes == NULL)
    {
        note_gone(batch->walk->stage, piece->index);
        return true;
    }
    if (size != sizeof(md5))
        return error_set(error, ERROR_FAILED, "received a digest of %zu bytes", size);
    if (!read_target(batch, piece, &length, error))
        return false;
    if (length != piece->expected || !digest_bytes(batch->local, length, md5) ||
        memcmp(md5, bytes, sizeof(md5)) != 0)
        note_difference(batch->walk->stage, piece->index);
    return true;
}

/* ---- A directory as source ---- */

/* Open the source's file of an entry, and keep it open. */
static bool open_source(Batch *batch, size_t index, bool *found, Error *error)
{
    const Walk *walk = batch->walk;

    if (batch->source_index != index)
    {
        file_close(batch->source_fd);
        batch->source_fd = -1;
        batch->source_index = index;
        if (!path_join(batch->source_path, sizeof(batch->source_path), walk->source->directory,
                       walk->plan->entries[index].path, error) ||
            !file_open_read(batch->source_path, &batch->source_fd, found, error))
            return false;
    }
    *found = batch->source_fd >= 0;
    return true;
}

static bool compare_piece(Batch *batch, const Piece *piece, Error *error)
{
    size_t local_length;
    size_t length;

    if (!read_target(batch, piece, &local_length, error) ||
        !file_read_at(batch->source_fd, batch->source_path, batch->other, piece->size,
                      piece->offset, &length, error) ||
        !rate_take(batch->walk->source->rate, length, error))
        return false;
    if (local_length != piece->expected || length != piece->expected ||
        memcmp(batch->local, batch->other, length) != 0)
        note_difference(batch->walk->stage, piece->index);
    return true;
}

static bool copy_piece(Batch *batch, const Piece *piece, Error *error)
{
    Stage *stage = batch->walk->stage;
    const FileRange from = {batch->source_fd, batch->source_path, piece->offset};
    uint64_t copied;
    FileRange to;

    if (!find_place(batch, piece, &to, error) ||
        !file_copy_range(&from, &to, piece->size, &copied, error) ||
        !rate_take(batch->walk->source->rate, copied, error))
        return false;
    if (copied >= WRITEBACK_SIZE_MIN)
        file_begin_writeback(to.fd, to.offset, copied);
    account(stage, &batch->walk->plan->entries[piece->index], piece, (size_t) copied);
    return true;
}

/* What fetch and digest are for a server. */
static bool ask_directory(Batch *batch, Error *error)
{
    for (size_t index = 0; index < batch->count; index++)
    {
        const Piece *piece = &batch->pieces[index];
        bool found;

        if (!open_source(batch, piece->index, &found, error))
            return false;
        if (!found)
            note_gone(batch->walk->stage, piece->index);
        else if (!(batch->walk->comparing ? compare_piece(batch, piece, error)
                                          : copy_piece(batch, piece, error)))
            return false;
    }
    return true;
}

/* ---- The threads ---- */

static bool ask(Batch *batch, int worker, Error *error)
{
    Walk *walk = batch->walk;
    Source *source = walk->source;
    bool supported = true;
    bool ok;

    if (source->directory != NULL)
        return ask_directory(batch, error);
    if (!walk->comparing)
        return source->operations->fetch(source, worker, batch->requests, batch->count, deliver,
                                         batch, error) &&
               write_gathered(batch, error);
    ok = source->operations->digest(source, worker, batch->requests, batch->count, deliver_digest,
                                    batch, &supported, error);
    if (ok && !supported)
    {
        pthread_mutex_lock(&walk->stage->lock);
        walk->digests_supported = false;
        walk->index = walk->plan->count; /* nothing more to ask */
        walk->range_end = 0;
        pthread_mutex_unlock(&walk->stage->lock);
    }
    return ok;
}

static bool work(void *context, int worker, size_t item, Error *error)
{
    Walk *walk = context;
    Batch *batch = memory_allocate_zeroed(1, sizeof(Batch));
    bool ok = true;

    (void) item;
    batch->walk = walk;
    batch->fd = -1;
    batch->source_fd = -1;
    batch->source_index = SIZE_MAX;
    if (walk->comparing)
    {
        batch->local = memory_allocate(COMPARE_PIECE_SIZE + 1);
        batch->other = memory_allocate(COMPARE_PIECE_SIZE + 1);
    }
    else
        batch->gathered = memory_allocate(GATHER_SIZE);
    while (ok)
    {
        take_batch(batch);
        if (batch->count == 0)
            break;
        ok = stop_check(error) && ask(batch, worker, error);
    }
    if (!ok)
    {
        pthread_mutex_lock(&walk->stage->lock);
        walk->failed = true;
        pthread_mutex_unlock(&walk->stage->lock);
    }
    if (walk->comparing)
        file_close(batch->fd);
    else
        written_keep(walk->stage->written, batch->fd, batch->path);
    file_close(batch->source_fd);
    free(batch->local);
    free(batch->other);
    free(batch->gathered);
    free(batch);
    return ok;
}

static bool walk_plan(Stage *stage, Source *source, const Plan *plan, bool comparing,
                      bool *supported, Error *error)
{
    Walk walk = {.stage = stage,
                 .source = source,
                 .plan = plan,
                 .comparing = comparing,
                 .digests_supported = true};
    const bool ok = workers_run(stage->workers, (size_t) stage->workers, work, &walk, error);

    *supported = walk.digests_supported;
    return ok;
}

bool stage_start_workers(Stage *stage, Source *source, Error *error)
{
    return stage->workers > 0 ||
           source->operations->start_workers(source, stage->jobs, &stage->workers, error);
}

/* ---- Before and after ---- */

static bool copy_bytes(const FileRange *from, const FileRange *to, uint64_t limit, Error *error)
{
    uint64_t copied = COPY_SIZE;

    for (uint64_t offset = 0; offset < limit && copied == COPY_SIZE; offset += copied)
    {
        const uint64_t left = limit - offset;
        const FileRange next_from = {from->fd, from->path, offset};
        const FileRange next_to = {to->fd, to->path, offset};

        if (!stop_check(error) ||
            !file_copy_range(&next_from, &next_to, left < COPY_SIZE ? left : COPY_SIZE, &copied,
                             error))
            return false;
    }
    return true;
}

/* Stage a copy of the target's own file, to be changed instead of it. With only_clone: if that
 * costs nothing (*made). */
static bool make_private(Stage *stage, const PlanEntry *entry, size_t index, bool only_clone,
                         bool *made, Error *error)
{
    char target[PATH_SIZE];
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    FileRange from = {.fd = -1, .path = target};
    FileRange to = {.fd = -1, .path = local};
    bool ok = target_path(target, sizeof(target), stage->target_directory, entry->path, error) &&
              stage_entry_name(stage, entry, index, name, error) &&
              stage_local(stage, name, local, error) &&
              file_open_read(target, &from.fd, NULL, error) && file_create(local, &to.fd, error);

    *made = false;
    if (ok && only_clone)
        file_clone(from.fd, to.fd, made);
    else if (ok)
        ok = *made = copy_bytes(&from, &to, entry->source_size, error);
    file_close(from.fd);
    written_keep(stage->written, to.fd, local);
    if (*made)
        stage->findings[index].copied = true;
    return ok && (*made || file_remove(local, error));
}

/* A file that is to be patched, or a private copy of it, which will replace it. */
static bool prepare_patched(Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    const size_t root = roots_of(&stage->roots, entry->path);
    char target[PATH_SIZE];
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    bool made = false;
    FileUse use;

    if (!target_path(target, sizeof(target), stage->target_directory, entry->path, error) ||
        !stage_file_use(target, &use, error) || use == FILE_USE_GONE)
        return false;
    if (use == FILE_USE_COPY)
        return make_private(stage, entry, index, false, &made, error);
    /* Blocks get new places there in any case: now, while there may be none, not after the commit.
     */
    if (stage->roots.roots[root].copies_on_write &&
        !make_private(stage, entry, index, true, &made, error))
        return false;
    if (made || stage->data_fds[root] >= 0)
        return true;
    return path_join(name, sizeof(name), stage->roots.roots[root].work, DATA_NAME, error) &&
           stage_local(stage, name, local, error) &&
           file_create(local, &stage->data_fds[root], error);
}

/* Not all bytes of a whole file may be asked for: those of a file of no size, and blocks that
 * recovery rebuilds, for which the space is taken now. */
static bool prepare_whole(const Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    int fd = -1;
    const bool ok = stage_entry_name(stage, entry, index, name, error) &&
                    stage_local(stage, name, local, error) && file_create(local, &fd, error) &&
                    file_reserve(fd, local, entry->source_size, error);

    written_keep(stage->written, fd, local);
    return ok;
}

static bool prepare(Stage *stage, const Plan *plan, Error *error)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        bool ok = true;

        if (stage_is_patched(stage, entry, index))
            ok = prepare_patched(stage, entry, index, error);
        else if (stage_is_whole(stage, entry, index) &&
                 (entry->source_size == 0 || entry->rebuilt != NULL))
            ok = prepare_whole(stage, entry, index, error);
        if (!ok)
            return false;
    }
    return true;
}

/* What was compared, is there and does not differ is equal. */
static void conclude_comparison(Stage *stage, const Plan *plan)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        Finding *finding = &stage->findings[index];

        if (!is_compared(stage, entry, index) || finding->differs)
            continue;
        finding->equal = true;
        stage->statistics.compared_bytes += entry->source_size;
        progress_add(entry->source_size);
    }
}

/* A file that replaces one keeps its mode. */
static bool mode_of_target(const Stage *stage, const PlanEntry *entry, mode_t *mode, Error *error)
{
    char target[PATH_SIZE];
    struct stat status;
    bool found;

    *mode = file_mode();
    if (!entry->on_target)
        return true;
    if (!target_path(target, sizeof(target), stage->target_directory, entry->path, error) ||
        !file_lstat(target, &status, &found, error))
        return false;
    /* One that we could not read ourselves could not be synced. */
    if (found && S_ISREG(status.st_mode))
        *mode = (status.st_mode & 07777) | S_IRUSR;
    return true;
}

/* Size and mode of a file that was staged whole. Not earlier: with mode 0400 we could not open it
 * again. */
static bool conclude_whole(const Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    const bool resized =
        stage->findings[index].actual_size != SIZE_AS_PLANNED || stage->findings[index].copied;
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    mode_t mode;
    int fd = -1;
    bool ok;

    if (!mode_of_target(stage, entry, &mode, error))
        return false;
    if (!resized && mode == file_mode())
        return true;
    ok = stage_entry_name(stage, entry, index, name, error) &&
         stage_local(stage, name, local, error) && file_open_or_create(local, &fd, error) &&
         (!resized || file_truncate(fd, local, stage_final_size(stage, entry, index), error)) &&
         file_set_mode(fd, local, mode, error);
    written_keep(stage->written, fd, local);
    return ok;
}

/* Finish the files that were staged whole. */
static bool conclude_fetch(const Stage *stage, const Plan *plan, Error *error)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];

        if (stage_is_whole(stage, entry, index) && !conclude_whole(stage, entry, index, error))
            return false;
    }
    return true;
}

/*
 * Nobody writes to a directory that is a source. One file that changes its size says that somebody
 * does, and what else has changed, nobody knows. Looked at when all is copied, so that nothing is
 * missed: neither between the list and the copy, nor in a file of no bytes or one that was equal.
 */
static bool check_source_sizes(const Stage *stage, const Source *source, const Plan *plan,
                               Error *error)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        char path[PATH_SIZE];
        struct stat status;
        bool found;

        if (entry->action != ACTION_COPY ||
            !(stage->findings[index].equal || stage_is_whole(stage, entry, index)))
            continue;
        if (!path_join(path, sizeof(path), source->directory, entry->path, error) ||
            !file_stat(path, &status, &found, error))
            return false;
        /* A segment of a relation may be planned with more than was listed, never with less. */
        if (found &&
            ((uint64_t) status.st_size > entry->source_size ||
             ((uint64_t) status.st_size < entry->source_size && entry->kind != KIND_RELATION)))
            return error_set(
                error, ERROR_FAILED,
                "size of source file \"%s\" changed concurrently: %llu bytes expected, %llu copied",
                path, (unsigned long long) entry->source_size,
                (unsigned long long) status.st_size); /* contract */
    }
    return true;
}

bool stage_fetch(Stage *stage, Source *source, const Plan *plan, Error *error)
{
    bool supported;
    bool ok;

    assert(plan->count == stage->entry_count);
    progress_begin("copied", plan->fetch_bytes);
    ok = stage_start_workers(stage, source, error) && prepare(stage, plan, error) &&
         walk_plan(stage, source, plan, true, &supported, error);
    if (ok)
    {
        if (supported)
            conclude_comparison(stage, plan);
        ok = walk_plan(stage, source, plan, false, &supported, error) &&
             conclude_fetch(stage, plan, error) &&
             (source->directory == NULL || check_source_sizes(stage, source, plan, error));
    }
    progress_end();
    return ok;
}
