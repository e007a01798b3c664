/*
 * The source's segments are fetched to the scratch directory, as source.NAME, once each.
 */
#include "wal_store/source_wal_parts.h"

#include "base/clock.h"
#include "base/log.h"
#include "wal_store/segment_fetch.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECES_MIN 4 /* of one request to the source */
#define PORTIONS_PER_WORKER 4
#define MEGABYTE 1048576
#define RATE_BYTES_MIN (16 * MEGABYTE) /* what tells how fast the source is */

bool source_wal_fetch_segment(void *context, const char *name, const char *path, bool *found,
                              Error *error)
{
    const SourceWal *wal = context;
    char source_path[64], temporary[PATH_SIZE];
    SegmentFetch fetch = {
        .source_path = source_path,
        .path = temporary,
        .whole_path = path,
        .whole_size = wal->shape.segment_size,
        .size = wal->shape.segment_size,
    };

    *found = false;
    snprintf(source_path, sizeof(source_path), "%s/%s", wal->shape.version->wal_directory, name);
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int) sizeof(temporary))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", path);
    if (!segments_fetch(wal->source, 1, SEGMENT_PIECES_MAX, fetch.size, &fetch, 1, error))
        return false;
    *found = !fetch.missing;
    return true;
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
    char name[WAL_NAME_SIZE], path[64];
    const FetchRequest request = {.path = path, .size = WAL_LONG_HEADER_SIZE};

    *has = false;
    source_wal_segment_name(wal, segment, name);
    snprintf(path, sizeof(path), "%s/%s", wal->shape.version->wal_directory, name);
    return wal->source->operations->fetch(wal->source, 0, &request, 1, note_bytes, has, error);
}

/*
 * How much is wanted of a segment: nothing of one that is here already. The part that was fetched
 * of the segment in which WAL ended before is too short now.
 */
static bool size_wanted(const SourceWal *wal, uint64_t segment, Lsn end, uint32_t *size,
                        Error *error)
{
    const Lsn begin = wal_segment_start(&wal->shape, segment);
    const Lsn segment_end = begin + wal->shape.segment_size;
    char path[PATH_SIZE];
    bool here = source_wal_is_kept(wal, segment);

    if (!here && segment_end <= wal->fetched_end &&
        (!source_wal_path(wal, wal->scratch, "/source.", segment, path, error) ||
         !source_wal_file_exists(path, &here, error)))
        return false;
    *size = here ? 0 : (uint32_t) ((end < segment_end ? end : segment_end) - begin);
    return true;
}

static bool error_too_little_space(const SourceWal *wal, uint64_t bytes, uint64_t free_bytes,
                                   Error *error)
{
    error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"", wal->scratch);
    error_detail(error,
                 "At least %llu MB of the source's WAL must be fetched to it, %llu MB are free.",
                 (unsigned long long) ((bytes + MEGABYTE - 1) / MEGABYTE),
                 (unsigned long long) (free_bytes / MEGABYTE));
    return error_hint(error, wal->dry_run ? "Set TMPDIR to a directory with more space."
                                          : "Make space and run pg_rewind again.");
}

/* Is there room for what is to be fetched? *bytes is how much that is. The end of its WAL that the
 * source reports may be wrong: counting stops once it is too much. */
static bool check_space(const SourceWal *wal, uint64_t first, size_t count, Lsn end,
                        uint64_t *bytes, Error *error)
{
    FileSpace space;

    *bytes = 0;
    if (!file_space(wal->scratch, &space, error))
        return false;
    for (uint64_t i = 0; i < count && *bytes <= space.free_bytes; i++)
    {
        uint32_t size;

        if (!size_wanted(wal, first + i, end, &size, error))
            return false;
        *bytes += size;
    }
    if (*bytes > space.free_bytes)
        return error_too_little_space(wal, *bytes, space.free_bytes, error);
    return true;
}

/* Strings are the arena's. */
static bool describe_fetch(const SourceWal *wal, Arena *arena, uint64_t segment, Lsn end,
                           SegmentFetch *fetch, Error *error)
{
    char name[WAL_NAME_SIZE], path[PATH_SIZE];

    if (!size_wanted(wal, segment, end, &fetch->size, error))
        return false;
    if (fetch->size == 0)
        return true;
    source_wal_segment_name(wal, segment, name);
    if (!source_wal_path(wal, wal->scratch, "/source.", segment, path, error))
        return false;
    fetch->source_path = arena_printf(arena, "%s/%s", wal->shape.version->wal_directory, name);
    fetch->path = arena_printf(arena, "%s.new", path);
    fetch->whole_path = arena_strdup(arena, path);
    fetch->whole_size = wal->shape.segment_size;
    return true;
}

static size_t pieces_at_once(const SourceWal *wal, int workers, uint64_t bytes)
{
    const size_t pieces = (size_t) (bytes / segment_piece_size(wal->source)) /
                          ((size_t) workers * PORTIONS_PER_WORKER);

    if (pieces < PIECES_MIN)
        return PIECES_MIN;
    return pieces > SEGMENT_PIECES_MAX ? SEGMENT_PIECES_MAX : pieces;
}

bool source_wal_check_space(SourceWal *wal, Lsn from, Lsn end, Error *error)
{
    const uint64_t first = wal_segment_of(&wal->shape, from);
    uint64_t bytes;

    if (!wal->source->is_server || end <= from)
        return true;
    return file_make_directory(wal->scratch, error) &&
           check_space(wal, first, (size_t) (wal_segment_before(&wal->shape, end) - first) + 1, end,
                       &bytes, error);
}

double source_wal_fetch_rate(const SourceWal *wal)
{
    const double seconds = (double) wal->fetch_microseconds / 1e6;

    return wal->fetched_bytes < RATE_BYTES_MIN ? 0 : (double) wal->fetched_bytes / seconds;
}

static bool fetch_from_server(SourceWal *wal, Lsn from, Lsn end, Error *error)
{
    const uint64_t first = wal_segment_of(&wal->shape, from);
    const size_t count = (size_t) (wal_segment_before(&wal->shape, end) - first) + 1;
    SegmentFetch *fetches;
    Arena *arena;
    uint64_t bytes;
    const double begun = clock_seconds();
    int workers;
    bool result = true;

    if (!file_make_directory(wal->scratch, error) ||
        !check_space(wal, first, count, end, &bytes, error) ||
        !wal->source->operations->start_workers(wal->source, wal->jobs, &workers, error))
        return false;
    arena = arena_create();
    fetches = memory_allocate_zeroed(count, sizeof(*fetches));
    if (!wal->reads)
        progress_begin(PROGRESS_FETCH_WAL, bytes);
    for (size_t i = 0; i < count && result; i++)
        result = describe_fetch(wal, arena, first + i, end, &fetches[i], error);
    result = result && segments_fetch(wal->source, workers, pieces_at_once(wal, workers, bytes),
                                      wal->shape.segment_size, fetches, count, error);
    if (!wal->reads)
        progress_end(result);
    wal->fetched_bytes += bytes;
    wal->fetch_microseconds += (uint64_t) ((clock_seconds() - begun) * 1e6) + 1;
    free(fetches);
    arena_destroy(arena);
    return result;
}

bool source_wal_fetch(SourceWal *wal, Lsn from, Lsn end, Error *error)
{
    if (wal->source->is_server && end > from && !fetch_from_server(wal, from, end, error))
        return false;
    if (end > wal->fetched_end)
        wal->fetched_end = end;
    return true;
}
