/*
 * stage_fetch: compare, then fetch, in as many threads as the source grants.
 *
 * Nothing is held for a whole plan: the threads take batches of pieces from a Walk over the plan,
 * one batch at a time. Blocks of files that stay in place have their place in the root's data file
 * by their order in the plan alone, so that stage_finish finds them by walking once more.
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
#define COPY_SIZE (1024u * 1024)
#define SEGMENT_PIECES_MAX 64 /* of a WAL segment, asked for at once */

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
    uint8_t *local;       /* comparing: COMPARE_PIECE_SIZE + 1 bytes */
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
        piece->data_offset = walk->stage->data_size[piece->root];
        walk->stage->data_size[piece->root] += size;
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

/* ---- Marks, by any thread ---- */

static void mark(Stage *stage, size_t index, unsigned bits)
{
    pthread_mutex_lock(&stage->lock);
    stage->state[index] |= (uint8_t) bits;
    pthread_mutex_unlock(&stage->lock);
}

static void account(Stage *stage, const PlanEntry *entry, const Piece *piece, size_t size)
{
    const uint64_t end = piece->offset + size;

    pthread_mutex_lock(&stage->lock);
    if (size < piece->expected && end < stage->actual_size[piece->index])
        stage->actual_size[piece->index] = end;
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
    file_close(batch->fd);
    batch->fd = -1;
    batch->open_index = index;
    return stage_entry_name(stage, &batch->walk->plan->entries[index], index, name, error) &&
           stage_local(stage, name, batch->path, error) &&
           file_open_or_create(batch->path, &batch->fd, error);
}

static bool deliver(void *context, size_t index, const uint8_t *bytes, size_t size, Error *error)
{
    Batch *batch = context;
    Stage *stage = batch->walk->stage;
    const Piece *piece = &batch->pieces[index];
    const PlanEntry *entry = &batch->walk->plan->entries[piece->index];

    assert(index < batch->count);
    if (bytes == NULL)
    {
        mark(stage, piece->index, STAGED_GONE);
        return true;
    }
    if (size > piece->size)
        return error_set(error, ERROR_FAILED, "received more of file \"%s\" than was asked for",
                         entry->path);
    if (stage_is_laid_out(stage, entry, piece->index))
    {
        if (size > 0 && !file_write_at(stage->data_fds[piece->root], DATA_NAME, bytes, size,
                                       piece->data_offset, error))
            return false;
    }
    else if (!open_whole(batch, piece->index, error) ||
             (size > 0 &&
              !file_write_at(batch->fd, batch->path, bytes, size, piece->offset, error)))
        return false;
    account(stage, entry, piece, size);
    return true;
}

/* ---- Comparing ---- */

/* Is the target's piece the one with this digest? */
static bool compare_piece(Batch *batch, const Piece *piece, const uint8_t *md5, bool *equal,
                          Error *error)
{
    const Walk *walk = batch->walk;
    uint8_t local_md5[16];
    size_t length = 0;

    *equal = false;
    if (batch->fd < 0 || batch->open_index != piece->index)
    {
        bool found;

        file_close(batch->fd);
        batch->fd = -1;
        batch->open_index = piece->index;
        if (!target_path(batch->path, sizeof(batch->path), walk->stage->target_directory,
                         walk->plan->entries[piece->index].path, error))
            return false;
        /* What we may not read is replaced unseen. */
        if (!file_open_read(batch->path, &batch->fd, &found, error) &&
            error->error_number != EACCES)
            return false;
    }
    if (batch->fd < 0)
        return true;
    if (!file_read_at(batch->fd, batch->path, batch->local, piece->size, piece->offset, &length,
                      error))
        return false;
    *equal = length == piece->expected && digest_bytes(batch->local, length, local_md5) &&
             memcmp(local_md5, md5, sizeof(local_md5)) == 0;
    return true;
}

static bool deliver_digest(void *context, size_t index, const uint8_t *bytes, size_t size,
                           Error *error)
{
    Batch *batch = context;
    const Piece *piece = &batch->pieces[index];
    bool equal;

    assert(index < batch->count);
    if (bytes == NULL)
    {
        mark(batch->walk->stage, piece->index, STAGED_GONE);
        return true;
    }
    if (size != 16)
        return error_set(error, ERROR_FAILED, "received a digest of %zu bytes", size);
    if (!compare_piece(batch, piece, bytes, &equal, error))
        return false;
    if (!equal)
        mark(batch->walk->stage, piece->index, STAGED_DIFFERS);
    return true;
}

/* ---- The threads ---- */

static bool ask(Batch *batch, int worker, Error *error)
{
    Walk *walk = batch->walk;
    Source *source = walk->source;
    bool supported = true;
    bool ok;

    if (!walk->comparing)
        return source->operations->fetch(source, worker, batch->requests, batch->count, deliver,
                                         batch, error);
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
    if (walk->comparing)
        batch->local = memory_allocate(COMPARE_PIECE_SIZE + 1);
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
    file_close(batch->fd);
    free(batch->local);
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

static bool start_workers(Stage *stage, Source *source, Error *error)
{
    return stage->workers > 0 ||
           source->operations->start_workers(source, stage->jobs, &stage->workers, error);
}

/* ---- Before and after ---- */

static bool copy_local(const char *from, const char *to, uint64_t limit, Error *error)
{
    uint8_t *bytes = memory_allocate(COPY_SIZE);
    int from_fd = -1;
    int to_fd = -1;
    size_t length = COPY_SIZE;
    bool ok = file_open_read(from, &from_fd, NULL, error) && file_create(to, &to_fd, error);

    for (uint64_t offset = 0; ok && offset < limit && length > 0; offset += length)
    {
        const uint64_t left = limit - offset;

        ok = stop_check(error) &&
             file_read_at(from_fd, from, bytes, left < COPY_SIZE ? (size_t) left : COPY_SIZE,
                          offset, &length, error) &&
             (length == 0 || file_write_at(to_fd, to, bytes, length, offset, error));
    }
    file_close(from_fd);
    file_close(to_fd);
    free(bytes);
    return ok;
}

/* A file that is to be patched, or a private copy of it, which will replace it. */
static bool prepare_patched(Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    const size_t root = roots_of(&stage->roots, entry->path);
    char target[PATH_SIZE];
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    FileUse use;

    if (!target_path(target, sizeof(target), stage->target_directory, entry->path, error) ||
        !stage_file_use(target, &use, error) || use == FILE_USE_GONE)
        return false;
    if (use == FILE_USE_COPY)
    {
        stage->state[index] |= STAGED_PRIVATE;
        return stage_entry_name(stage, entry, index, name, error) &&
               stage_local(stage, name, local, error) &&
               copy_local(target, local, entry->source_size, error);
    }
    if (stage->data_fds[root] >= 0)
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

    file_close(fd);
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

/* Write the marks of the comparison into the plan. */
static void conclude_comparison(Stage *stage, Plan *plan)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        PlanEntry *entry = &plan->entries[index];

        if (!is_compared(stage, entry, index))
            continue;
        if ((stage->state[index] & STAGED_GONE) != 0)
            entry->gone = true;
        else if ((stage->state[index] & STAGED_DIFFERS) == 0)
        {
            entry->equal = true;
            stage->statistics.compared_bytes += entry->source_size;
            progress_add(entry->source_size);
        }
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
        stage->actual_size[index] != SIZE_AS_PLANNED || (stage->state[index] & STAGED_PRIVATE) != 0;
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
    file_close(fd);
    return ok;
}

/* Write the marks of the fetch into the plan, and finish the files that were staged whole. */
static bool conclude_fetch(Stage *stage, Plan *plan, Error *error)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        PlanEntry *entry = &plan->entries[index];

        if ((stage->state[index] & STAGED_GONE) != 0)
            entry->gone = true;
        if (stage_is_whole(stage, entry, index) && !conclude_whole(stage, entry, index, error))
            return false;
    }
    return true;
}

bool stage_fetch(Stage *stage, Source *source, Plan *plan, Error *error)
{
    bool supported;
    bool ok;

    assert(plan->count == stage->entry_count);
    progress_begin("copied", plan->fetch_bytes);
    ok = start_workers(stage, source, error) && prepare(stage, plan, error) &&
         walk_plan(stage, source, plan, true, &supported, error);
    if (ok)
    {
        if (supported)
            conclude_comparison(stage, plan);
        ok = walk_plan(stage, source, plan, false, &supported, error) &&
             conclude_fetch(stage, plan, error);
    }
    progress_end();
    return ok;
}

/* ---- WAL ---- */

/* A segment that is being brought. */
typedef struct Segment
{
    Source *source;
    Stage *stage;
    const char *path; /* pg_wal/NAME */
    const char *local;
    int fd;
    uint32_t size;
    uint32_t piece_size;
    size_t portion; /* how many pieces are asked for at once */
    bool missing;   /* gone or too short on the source; guarded by the stage's lock */
} Segment;

/* Pieces of it, by one thread. */
typedef struct SegmentPortion
{
    Segment *segment;
    FetchRequest requests[SEGMENT_PIECES_MAX];
} SegmentPortion;

static bool deliver_segment(void *context, size_t index, const uint8_t *bytes, size_t size,
                            Error *error)
{
    const SegmentPortion *portion = context;
    const FetchRequest *request = &portion->requests[index];
    Segment *segment = portion->segment;
    Stage *stage = segment->stage;

    pthread_mutex_lock(&stage->lock);
    if (bytes == NULL || size != request->size)
        segment->missing = true;
    stage->statistics.fetched_bytes += size;
    stage->statistics.fetched_bytes_by_kind[KIND_WAL] += size;
    pthread_mutex_unlock(&stage->lock);
    if (bytes == NULL || size != request->size)
        return true;
    progress_add(size);
    return file_write_at(segment->fd, segment->local, bytes, size, request->offset, error);
}

static bool fetch_portion(void *context, int worker, size_t item, Error *error)
{
    Segment *segment = context;
    SegmentPortion portion = {.segment = segment};
    uint64_t offset = (uint64_t) item * segment->portion * segment->piece_size;
    size_t count = 0;

    for (; count < segment->portion && offset < segment->size; offset += segment->piece_size)
    {
        const uint64_t left = segment->size - offset;

        portion.requests[count++] = (FetchRequest){
            .path = segment->path,
            .offset = offset,
            .size = left < segment->piece_size ? (uint32_t) left : segment->piece_size};
    }
    return segment->source->operations->fetch(segment->source, worker, portion.requests, count,
                                              deliver_segment, &portion, error);
}

static bool fetch_segment(Segment *segment, Error *error)
{
    size_t count;

    if (!start_workers(segment->stage, segment->source, error))
        return false;
    segment->piece_size = source_piece_size(segment->source, FETCH_SIZE_MAX);
    count = ((size_t) segment->size + segment->piece_size - 1) / segment->piece_size;
    segment->portion = count / (size_t) segment->stage->workers + 1;
    if (segment->portion > SEGMENT_PIECES_MAX)
        segment->portion = SEGMENT_PIECES_MAX;
    return workers_run(segment->stage->workers, (count + segment->portion - 1) / segment->portion,
                       fetch_portion, segment, error);
}

/* From a file that an archive has brought. */
static bool copy_segment(const Segment *segment, const char *local_path, Error *error)
{
    uint8_t *bytes = memory_allocate(COPY_SIZE);
    int fd = -1;
    bool ok = file_open_read(local_path, &fd, NULL, error);

    for (uint32_t offset = 0; ok && offset < segment->size;)
    {
        const uint32_t left = segment->size - offset;
        const size_t piece = left < COPY_SIZE ? left : COPY_SIZE;
        size_t length;

        ok = file_read_at(fd, local_path, bytes, piece, offset, &length, error);
        if (ok && length < piece)
            ok = error_set(error, ERROR_FAILED, "WAL file \"%s\" is shorter than %u bytes",
                           local_path, segment->size);
        ok = ok && file_write_at(segment->fd, segment->local, bytes, piece, offset, error);
        offset += (uint32_t) piece;
    }
    file_close(fd);
    free(bytes);
    return ok;
}

bool stage_wal_segment(Stage *stage, Source *source, const char *name, uint32_t segment_size,
                       uint32_t size, const char *local_path, bool *found, Error *error)
{
    char path[PATH_SIZE];
    char staged[PATH_SIZE];
    char local[PATH_SIZE];
    Segment segment = {
        .source = source, .stage = stage, .path = path, .local = local, .fd = -1, .size = size};
    bool ok;

    assert(size <= segment_size);
    *found = false;
    ok = path_join(path, sizeof(path), "pg_wal", name, error) &&
         stage_name(stage, path, name, staged, error) && stage_local(stage, staged, local, error) &&
         file_create(local, &segment.fd, error) &&
         file_reserve(segment.fd, local, segment_size, error) &&
         (local_path != NULL ? copy_segment(&segment, local_path, error)
                             : fetch_segment(&segment, error)) &&
         file_set_mode(segment.fd, local, file_mode(), error);
    file_close(segment.fd);
    if (!ok)
        return false;
    if (segment.missing)
    {
        stage_forget_extra(stage, path);
        return file_remove(local, error);
    }
    *found = true;
    return stage_add_extra(stage, path, staged, error);
}

bool stage_wal_take(Stage *stage, const char *name, const char *local_path, uint32_t segment_size,
                    bool *taken, Error *error)
{
    char path[PATH_SIZE];
    char staged[PATH_SIZE];
    char local[PATH_SIZE];

    *taken = false;
    if (!path_join(path, sizeof(path), "pg_wal", name, error) ||
        !stage_name(stage, path, name, staged, error) || !stage_local(stage, staged, local, error))
        return false;
    if (!file_rename(local_path, local, error))
        return error->error_number == EXDEV;
    *taken = true;
    pthread_mutex_lock(&stage->lock);
    stage->statistics.fetched_bytes += segment_size;
    stage->statistics.fetched_bytes_by_kind[KIND_WAL] += segment_size;
    pthread_mutex_unlock(&stage->lock);
    return stage_add_extra(stage, path, staged, error);
}

const char *stage_wal_path(const Stage *stage, const char *name)
{
    char path[PATH_SIZE];
    Error ignored;
    const ExtraFile *extra;

    if (!path_join(path, sizeof(path), "pg_wal", name, &ignored))
        return NULL;
    extra = stage_find_extra(stage, path);
    return extra != NULL ? extra->local : NULL;
}
