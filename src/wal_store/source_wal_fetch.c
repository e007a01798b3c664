/*
 * The source's segments are fetched to the scratch directory, as source.NAME, once each.
 */
#include "wal_store/source_wal.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/file.h"
#include "wal_store/segment_fetch.h"

#include <stdio.h>
#include <stdlib.h>

#define MEGABYTE 1048576
#define RATE_BYTES_MIN (16 * MEGABYTE) /* what tells how fast the source is */
#define SOURCE_PATH_SIZE (WAL_NAME_SIZE + 16)

/* The segment as the source has it, below its data directory. */
static void source_path_of(const SourceWal *wal, const char *name, char path[SOURCE_PATH_SIZE])
{
    snprintf(path, SOURCE_PATH_SIZE, "%s/%s", wal->stream.shape.version->wal_directory, name);
}

/* For a look: the file at path lies in memory, and cannot be renamed. */
static bool copy_whole(const SourceWal *wal, const char *source_path, const char *path, bool *found,
                       Error *error)
{
    Source *source = wal->clusters->source;
    AUTO_BUFFER Buffer bytes = {0};
    AUTO_FD int fd = -1;

    if (!source->operations->read_file(source, source_path, wal->stream.shape.segment_size, &bytes,
                                       found, error))
        return false;
    return !*found || (file_open_update(path, &fd, error) &&
                       file_write_at(fd, path, bytes.bytes, bytes.size, 0, error));
}

bool source_wal_fetch_segment(void *context, const char *name, const char *path, bool *found,
                              Error *error)
{
    const SourceWal *wal = context;
    const uint32_t size = wal->stream.shape.segment_size;
    AUTO_BUFFER Buffer temporary = {0};
    char source_path[SOURCE_PATH_SIZE];

    source_path_of(wal, name, source_path);
    if (wal->scratch == NULL)
        return copy_whole(wal, source_path, path, found, error);
    buffer_printf(&temporary, "%s.new", path);

    SegmentFetch fetch = {.source_path = source_path,
                          .path = buffer_string(&temporary),
                          .whole_path = path,
                          .whole_size = size,
                          .size = size};
    const bool result = segments_fetch(wal->clusters->source, 1, &fetch, 1, error);

    *found = result && !fetch.missing;
    return result;
}

/* A FetchDelivery. */
static bool note_bytes(void *context, size_t index, const uint8_t *bytes, size_t size, Error *error)
{
    bool *there = context;

    (void) index;
    (void) error;
    *there = bytes != NULL && size > 0;
    return true;
}

bool source_wal_source_has(const SourceWal *wal, uint64_t segment, bool *has, Error *error)
{
    Source *source = wal->clusters->source;
    char name[WAL_NAME_SIZE], path[SOURCE_PATH_SIZE];
    const FetchRequest request = {.path = path, .size = WAL_LONG_HEADER_SIZE};

    *has = false;
    source_wal_segment_name(wal, segment, name);
    source_path_of(wal, name, path);
    return source->operations->fetch(source, 0, &request, 1, note_bytes, has, error);
}

/* The segment in the scratch directory: fetched from the source, or restored. */
static const char *scratch_path(const SourceWal *wal, uint64_t segment, bool fetched, Buffer *path)
{
    char name[WAL_NAME_SIZE], file_name[SOURCE_PATH_SIZE];

    source_wal_segment_name(wal, segment, name);
    snprintf(file_name, sizeof(file_name), "%s%s", fetched ? "source." : "", name);
    return path_in(path, wal->scratch, file_name);
}

/*
 * Set *size to how much is wanted of a segment: nothing of one that is here already. The part that
 * was fetched of the segment in which WAL ended before is too short now.
 */
static bool size_wanted(const SourceWal *wal, uint64_t segment, Lsn end, uint32_t *size,
                        Error *error)
{
    const Lsn begin = wal_segment_start(&wal->stream.shape, segment);
    const Lsn segment_end = begin + wal->stream.shape.segment_size;
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool here = source_wal_is_kept(wal, segment);

    if (!here && segment_end <= wal->fetched_end &&
        !file_stat(scratch_path(wal, segment, true, &path), &status, &here, error))
        return false;
    *size = here ? 0 : (uint32_t) ((end < segment_end ? end : segment_end) - begin);
    return true;
}

static SegmentFetch describe_fetch(const SourceWal *wal, Arena *arena, uint64_t segment,
                                   uint32_t size)
{
    char name[WAL_NAME_SIZE], source_path[SOURCE_PATH_SIZE];
    AUTO_BUFFER Buffer path = {0};
    const char *whole = scratch_path(wal, segment, true, &path);

    source_wal_segment_name(wal, segment, name);
    source_path_of(wal, name, source_path);
    return (SegmentFetch){.source_path = arena_strdup(arena, source_path),
                          .path = arena_printf(arena, "%s.new", whole),
                          .whole_path = arena_strdup(arena, whole),
                          .whole_size = wal->stream.shape.segment_size,
                          .size = size};
}

/* The segments that are to be fetched. */
typedef struct WalFetch
{
    SegmentFetch *segments;
    size_t count;
    uint64_t bytes;
} WalFetch;

/* List those of [from, end) in the arena; an error if there is too little room. The end of its WAL
 * that the source reports may be wrong: listing stops once it is too much. */
static bool list_fetches(SourceWal *wal, Lsn from, Lsn end, Arena *arena, WalFetch *fetch,
                         Error *error)
{
    const uint64_t last = wal_segment_before(&wal->stream.shape, end);
    FileSpace space;

    *fetch = (WalFetch){0};
    if (!file_make_directory(wal->scratch, error) || !file_space(wal->scratch, &space, error))
        return false;
    for (uint64_t segment = wal_segment_of(&wal->stream.shape, from);
         segment <= last && fetch->bytes <= space.free_bytes; segment++)
    {
        uint32_t size;

        if (!size_wanted(wal, segment, end, &size, error))
            return false;
        if (size == 0)
            continue;
        ARRAY_GROW(fetch->segments, fetch->count);
        fetch->segments[fetch->count++] = describe_fetch(wal, arena, segment, size);
        fetch->bytes += size;
    }
    if (fetch->bytes <= space.free_bytes)
        return true;
    error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"", wal->scratch);
    error_detail(error,
                 "At least %llu MB of the source's WAL must be fetched to it, %llu MB are free.",
                 (unsigned long long) ((fetch->bytes + MEGABYTE - 1) / MEGABYTE),
                 (unsigned long long) (space.free_bytes / MEGABYTE));
    return error_hint(error, wal->options.dry_run ? "Set TMPDIR to a directory with more space."
                                                  : "Make space and run pg_rewind again.");
}

double source_wal_fetch_rate(const SourceWal *wal)
{
    const double seconds = (double) wal->fetch_microseconds / 1e6;

    return wal->fetched_bytes < RATE_BYTES_MIN ? 0 : (double) wal->fetched_bytes / seconds;
}

static bool fetch_segments(SourceWal *wal, WalFetch *fetch, Error *error)
{
    const double begun = clock_seconds();
    Source *source = wal->clusters->source;
    int workers;
    bool result;

    if (!source->operations->start_workers(source, wal->options.jobs, &workers, error))
        return false;
    if (!wal->reads)
        progress_begin(PROGRESS_FETCH_WAL, fetch->bytes);
    result = segments_fetch(source, workers, fetch->segments, fetch->count, error);
    if (!wal->reads)
        progress_end(result);
    wal->fetched_bytes += fetch->bytes;
    wal->fetch_microseconds += (uint64_t) ((clock_seconds() - begun) * 1e6) + 1;
    return result;
}

/* Fetch the segments of [from, end), or with only_check see if there is room for them. */
static bool fetch_if_room(SourceWal *wal, Lsn from, Lsn end, bool only_check, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    WalFetch fetch = {0};
    const bool result = !wal->clusters->source->is_server || end <= from ||
                        (list_fetches(wal, from, end, arena, &fetch, error) &&
                         (only_check || fetch_segments(wal, &fetch, error)));

    free(fetch.segments);
    return result;
}

bool source_wal_check_space(SourceWal *wal, Lsn from, Lsn end, Error *error)
{
    return fetch_if_room(wal, from, end, true, error);
}

bool source_wal_fetch(SourceWal *wal, Lsn from, Lsn end, Error *error)
{
    if (!fetch_if_room(wal, from, end, false, error))
        return false;
    if (end > wal->fetched_end)
        wal->fetched_end = end;
    return true;
}

bool source_wal_remove(SourceWal *wal, uint64_t segment, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    return file_remove(scratch_path(wal, segment, true, &path), error);
}

bool source_wal_remove_before(SourceWal *wal, Lsn from, Lsn lsn, Error *error)
{
    const WalShape *shape = &wal->stream.shape;
    const uint64_t end = wal_segment_of(shape, lsn);
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool fetched;

    for (uint64_t segment = wal_segment_of(shape, from); segment < end; segment++)
    {
        if (!file_stat(scratch_path(wal, segment, true, &path), &status, &fetched, error) ||
            !file_remove(buffer_string(&path), error) ||
            !file_remove(scratch_path(wal, segment, false, &path), error))
            return false;
        wal->removed_bytes += fetched ? shape->segment_size : 0;
    }
    return true;
}

uint64_t source_wal_removed_bytes(const SourceWal *wal)
{
    return wal != NULL ? wal->removed_bytes : 0;
}
