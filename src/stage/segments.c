/*
 * Segments of WAL are staged one by one, before and after everything else.
 */
#include "stage/stage_parts.h"

#include "base/log.h"
#include "base/workers.h"
#include "wal_store/segment_fetch.h"

#include <assert.h>
#include <errno.h>

#define COPY_SIZE (2u * 1024 * 1024)

/* A segment that is being staged. */
typedef struct Segment
{
    Source *source;
    Stage *stage;
    const char *path; /* pg_wal/NAME */
    const char *local;
    int fd;
    uint32_t size;
    bool missing; /* gone or too short on the source; guarded by the stage's lock */
} Segment;

static void account(Stage *stage, uint64_t bytes)
{
    pthread_mutex_lock(&stage->lock);
    stage->statistics.fetched_bytes += bytes;
    stage->statistics.fetched_bytes_by_kind[KIND_WAL] += bytes;
    pthread_mutex_unlock(&stage->lock);
}

static void mark_missing(Segment *segment)
{
    pthread_mutex_lock(&segment->stage->lock);
    segment->missing = true;
    pthread_mutex_unlock(&segment->stage->lock);
}

static bool fetch_segment(Segment *segment, Error *error)
{
    Stage *stage = segment->stage;
    const uint32_t piece_size = segment_piece_size(segment->source);
    const size_t count = ((size_t) segment->size + piece_size - 1) / piece_size;
    SegmentFetch fetch = {
        .source_path = segment->path, .path = segment->local, .size = segment->size};
    size_t portion;
    bool ok;

    if (!stage_start_workers(stage, segment->source, error))
        return false;
    portion = count / (size_t) stage->workers + 1;
    if (portion > SEGMENT_PIECES_MAX)
        portion = SEGMENT_PIECES_MAX;
    ok = segments_fetch(segment->source, stage->workers, portion, segment->size, &fetch, 1, error);
    account(stage, fetch.received);
    segment->missing = fetch.missing;
    return ok;
}

/* A segment that is a file on this machine: an archive's, or the source's own. */
typedef struct LocalSegment
{
    Segment *segment;
    const char *path;
    int fd;
    uint32_t piece_size;
    Rate *rate;
} LocalSegment;

static bool copy_piece(void *context, int worker, size_t item, Error *error)
{
    const LocalSegment *from = context;
    Segment *segment = from->segment;
    const uint64_t offset = (uint64_t) item * from->piece_size;
    const uint64_t left = segment->size - offset;
    const uint64_t size = left < from->piece_size ? left : from->piece_size;
    const FileRange source = {from->fd, from->path, offset};
    const FileRange staged = {segment->fd, segment->local, offset};
    uint64_t copied;

    (void) worker;
    if (!stop_check(error) || !file_copy_range(&source, &staged, size, &copied, error) ||
        !rate_take(from->rate, copied, error))
        return false;
    progress_add(copied);
    if (copied < size)
        mark_missing(segment);
    return true;
}

static bool copy_segment(LocalSegment *from, Error *error)
{
    from->piece_size = rate_piece(from->rate, COPY_SIZE);
    return workers_run(from->segment->stage->jobs,
                       ((size_t) from->segment->size + from->piece_size - 1) / from->piece_size,
                       copy_piece, from, error);
}

static bool copy_archived(Segment *segment, const char *local_path, Error *error)
{
    LocalSegment from = {.segment = segment, .path = local_path, .fd = -1};
    const bool ok = file_open_read(local_path, &from.fd, NULL, error) && copy_segment(&from, error);

    file_close(from.fd);
    if (ok && segment->missing)
        return error_set(error, ERROR_FAILED, "WAL file \"%s\" is shorter than %u bytes",
                         local_path, segment->size);
    return ok;
}

static bool copy_from_source(Segment *segment, Error *error)
{
    char path[PATH_SIZE];
    LocalSegment from = {.segment = segment, .path = path, .fd = -1, .rate = segment->source->rate};
    bool found;
    bool ok = path_join(path, sizeof(path), segment->source->directory, segment->path, error) &&
              file_open_read(path, &from.fd, &found, error);

    if (ok && !found)
        segment->missing = true;
    else if (ok)
        ok = copy_segment(&from, error);
    file_close(from.fd);
    if (ok && !segment->missing)
        account(segment->stage, segment->size);
    return ok;
}

static bool copy_or_fetch(Segment *segment, const char *local_path, Error *error)
{
    if (local_path != NULL)
        return copy_archived(segment, local_path, error);
    if (segment->source->directory != NULL)
        return copy_from_source(segment, error);
    return fetch_segment(segment, error);
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
    ok = path_join(path, sizeof(path), stage->wal_directory, name, error) &&
         stage_name(stage, path, name, staged, error) && stage_local(stage, staged, local, error) &&
         file_create(local, &segment.fd, error) &&
         (size == segment_size || file_reserve(segment.fd, local, segment_size, error)) &&
         copy_or_fetch(&segment, local_path, error) &&
         file_set_mode(segment.fd, local, file_mode(), error);
    if (ok)
        file_begin_writeback(segment.fd, 0, size);
    written_keep(stage->written, segment.fd, local);
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
    int fd;

    *taken = false;
    if (!path_join(path, sizeof(path), stage->wal_directory, name, error) ||
        !stage_name(stage, path, name, staged, error) || !stage_local(stage, staged, local, error))
        return false;
    if (!file_rename(local_path, local, error))
        return error->error_number == EXDEV;
    *taken = true;
    account(stage, segment_size);
    /* Written when it was fetched: the proof of the chain reads it again, in case it has changed in
     * the meantime. */
    if (!file_open_read(local, &fd, NULL, error))
        return false;
    file_begin_writeback(fd, 0, segment_size);
    written_keep(stage->written, fd, local);
    return stage_add_extra(stage, path, staged, error);
}

const char *stage_wal_path(const Stage *stage, const char *name)
{
    char path[PATH_SIZE];
    const ExtraFile *extra;

    if (!path_join(path, sizeof(path), stage->wal_directory, name, NULL))
        return NULL;
    extra = stage_find_extra(stage, path);
    return extra != NULL ? extra->local : NULL;
}
