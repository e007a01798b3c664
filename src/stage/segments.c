/*
 * Segments of WAL are staged one by one, before and after everything else.
 */
#include "stage/stage.h"

#include "base/log.h"
#include "base/workers.h"
#include "wal_store/segment_fetch.h"

#include <assert.h>
#include <errno.h>

#define COPY_SIZE (2u * 1024 * 1024)

static void account(Stage *stage, uint64_t bytes)
{
    pthread_mutex_lock(&stage->lock);
    stage->statistics.fetched_bytes += bytes;
    stage->statistics.fetched_bytes_by_kind[KIND_WAL] += bytes;
    pthread_mutex_unlock(&stage->lock);
}

static bool copy_local_segment(const StagedSegment *segment, int to_fd, const char *to,
                               Error *error)
{
    FileRange from = {.fd = -1, .path = segment->local_path};
    FileRange copy = {.fd = to_fd, .path = to};
    AUTO_FD int fd = -1;
    uint64_t copied;

    if (!file_open_read(segment->local_path, &fd, NULL, error))
        return false;
    from.fd = fd;
    for (; from.offset < segment->size; from.offset = copy.offset += copied)
    {
        const uint64_t left = segment->size - from.offset;

        if (!stop_check(error) ||
            !file_copy_range(&from, &copy, left < COPY_SIZE ? left : COPY_SIZE, &copied, error))
            return false;
        if (copied == 0)
            return error_set(error, ERROR_FAILED, "WAL file \"%s\" is shorter than %u bytes",
                             segment->local_path, segment->size);
        progress_add(copied);
    }
    return true;
}

static bool fetch_segment(Stage *stage, Source *source, SegmentFetch *fetch, Error *error)
{
    const bool ok = stage_start_workers(stage, source, error) &&
                    segments_fetch(source, stage->workers, fetch, 1, error);

    account(stage, fetch->received);
    return ok;
}

bool stage_wal_segment(Stage *stage, Source *source, const StagedSegment *segment, bool *found,
                       Error *error)
{
    AUTO_BUFFER Buffer path_buffer = {0}, staged = {0}, local_buffer = {0};
    const char *path = path_in(&path_buffer, stage->wal_directory, segment->name);
    const char *local =
        stage_local(stage, stage_name(stage, path, segment->name, &staged), &local_buffer);
    SegmentFetch fetch = {.source_path = path, .path = local, .size = segment->size};
    int fd = -1;
    bool ok;

    assert(segment->size <= segment->segment_size);
    *found = false;
    ok = file_create(local, &fd, error) &&
         (segment->size == segment->segment_size ||
          file_reserve(fd, local, segment->segment_size, error)) &&
         (segment->local_path != NULL ? copy_local_segment(segment, fd, local, error)
                                      : fetch_segment(stage, source, &fetch, error)) &&
         file_set_mode(fd, local, file_mode(), error);
    if (ok)
        file_begin_writeback(fd, 0, segment->size);
    written_keep(stage->written, fd, local);
    if (!ok)
        return false;
    if (fetch.missing)
    {
        stage_drop_extra(stage, path);
        return file_remove(local, error);
    }
    *found = true;
    stage_add_extra(stage, path, buffer_string(&staged));
    return true;
}

bool stage_wal_take(Stage *stage, const StagedSegment *segment, bool *taken, Error *error)
{
    AUTO_BUFFER Buffer path_buffer = {0}, staged = {0}, local_buffer = {0};
    const char *path = path_in(&path_buffer, stage->wal_directory, segment->name);
    const char *local =
        stage_local(stage, stage_name(stage, path, segment->name, &staged), &local_buffer);
    int fd;

    *taken = false;
    if (!file_rename(segment->local_path, local, error))
        return error->error_number == EXDEV;
    *taken = true;
    account(stage, segment->segment_size);
    /* Written when it was fetched: the proof of the chain reads it again, in case it has changed in
     * the meantime. */
    if (!file_open_read(local, &fd, NULL, error))
        return false;
    file_begin_writeback(fd, 0, segment->segment_size);
    written_keep(stage->written, fd, local);
    stage_add_extra(stage, path, buffer_string(&staged));
    return true;
}

const char *stage_wal_path(const Stage *stage, const char *name)
{
    AUTO_BUFFER Buffer path = {0};
    const ExtraFile *extra = stage_find_extra(stage, path_in(&path, stage->wal_directory, name));

    return extra != NULL ? extra->local : NULL;
}
