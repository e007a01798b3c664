#include "wal_store/source_wal.h"

#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "io/place.h"
#include "io/scratch.h"
#include "source/file_pieces.h"

#include <stdio.h>
#include <stdlib.h>

#define MEGABYTE 1048576
#define RATE_BYTES_MIN (16 * MEGABYTE) /* bytes fetched before a rate is computed from them */
#define SOURCE_PATH_SIZE (WAL_NAME_SIZE + 16)

/* Size of the pieces that a server is asked for. The end of a segment after pg_switch_wal is zeros:
 * small pieces let the server leave most of it out, since it does not send a piece that is all
 * zeros. */
#define PIECE_SIZE (256 * 1024)
#define COPIED_SIZE (2 * MEGABYTE) /* size of pieces that are copied from a source directory */

/* Limits of the number of pieces in one request to the source. */
#define BATCH_PIECES_MIN 4
#define BATCH_PIECES_MAX 64
#define BATCHES_PER_WORKER 4 /* requests of each of several workers, for more than one segment */

SourceWal *source_wal_create(const Options *options, const Clusters *clusters,
                             const SourceState *state, const char *restore_command,
                             Scratch *scratch, bool only_reads, Arena *arena)
{
    const Source *source = clusters->source;
    const Control *control = &state->control;
    SourceWal *wal = arena_allocate(arena, sizeof(*wal));
    WalStore store =
        wal_store_template(WAL_STORE_OF_SOURCE, options, clusters, restore_command, scratch, arena);

    store.stream.history = &clusters->source_history;
    store.source_prefix = source->is_server ? "source." : "";
    store.source_directory = source->is_server ? NULL
                                               : arena_printf(arena, "%s/%s", source->directory,
                                                              control->version->wal_directory);
    /* Limits are for a source directory only: a server reports where its WAL ends, and has the
     * segment of that end. */
    store.limits = source->is_server ? (WalLimits){0} : wal_limits_of(control);
    *wal = (SourceWal){.arena = arena,
                       .options = *options,
                       .clusters = clusters,
                       .scratch = scratch,
                       .only_reads = only_reads,
                       .flushed_end = state->position.end,
                       .has_command = restore_command != NULL,
                       .store = wal_store_create(&store)};
    return wal;
}

/* ---- Segments ---- */

/* List the source's pg_wal, unless an earlier call has listed it. */
static bool list_segments(SourceWal *wal, Error *error)
{
    return wal->listed.is_known ||
           listed_wal_read(wal->clusters->source, &wal->store->stream, wal->flushed_end, wal->arena,
                           &wal->listed, error);
}

bool source_wal_find_gone(SourceWal *wal, Lsn from, Lsn end, uint64_t *first, Lsn *gone_end,
                          Error *error)
{
    const WalShape *shape = &wal->store->stream.shape;
    const ListedWal *listed = &wal->listed;
    uint64_t segment = wal_segment_of(shape, from), last = wal_segment_before(shape, end);

    for (*first = segment; wal_store_keeps(wal->store, *first);)
        (*first)++;
    *gone_end = LSN_INVALID;
    if (!list_segments(wal, error))
        return false;
    if (last > listed->newest)
        last = listed->newest;
    while (segment <= last &&
           (wal_store_keeps(wal->store, segment) || !listed_wal_is_gone(listed, segment)))
        segment++;
    if (segment > last)
        return true;
    *first = segment;
    while (wal_store_keeps(wal->store, last) || !listed_wal_is_gone(listed, last))
        last--;
    *gone_end = wal_segment_start(shape, last + 1);
    return true;
}

/* ---- Fetching ---- */

/* A segment that is being fetched. */
typedef struct SegmentFetch
{
    const char *source_path;    /* path in the source's data directory: pg_wal/NAME */
    const char *path;           /* file that is written */
    const char *whole_path;     /* name that the file gets when all wanted bytes have arrived; it is
                                   then     extended by zeros to a segment's size. If the source lacks
                                   some     of     the bytes, the file is removed */
    uint64_t number;            /* segment's number; set only by list_fetches */
    uint32_t begin, size;       /* offsets of the bytes to fetch, [begin, size); earlier bytes are
                                   already in the file */
    bool continues;             /* earlier bytes are in whole_path, from a fetch in part */
    atomic_bool missing;        /* the source lacks the segment, or a part of it */
    atomic_uint_least64_t left; /* bytes not yet fetched */
} SegmentFetch;

/* The segments that one call of file_pieces_ask fetches. */
typedef struct WalFetch
{
    const SourceWal *wal;
    Arena *arena;           /* owns the paths */
    SegmentFetch *segments; /* array of `count` segments */
    size_t count;
    uint64_t bytes;                       /* bytes to fetch */
    atomic_uint_least64_t received_bytes; /* bytes that have arrived */
    size_t
        next; /* index of the segment that next_segment returns next; guarded by FilePieces.lock */
} WalFetch;

static SegmentFetch *add_segment(WalFetch *fetch, const char *name, const char *path, uint32_t size)
{
    const Version *version = fetch->wal->store->stream.shape.version;

    ARRAY_GROW(fetch->segments, fetch->count);
    fetch->segments[fetch->count++] = (SegmentFetch){
        .source_path = arena_printf(fetch->arena, "%s/%s", version->wal_directory, name),
        .path = arena_printf(fetch->arena, "%s.new", path),
        .whole_path = arena_strdup(fetch->arena, path),
        .size = size,
        .left = size};
    fetch->bytes += size;
    return &fetch->segments[fetch->count - 1];
}

/* FilePieces.next_range: a segment is one range. */
static bool next_segment(void *context, FilePiece *range)
{
    WalFetch *fetch = context;
    const SegmentFetch *segment = &fetch->segments[fetch->next];

    if (fetch->next == fetch->count)
        return false;
    *range = (FilePiece){.file = fetch->next++,
                         .path = segment->source_path,
                         .offset = segment->begin,
                         .size = segment->size - segment->begin};
    return true;
}

static bool open_segment_copy(const SegmentFetch *segment, PieceWorker *worker, Error *error)
{
    return open_file_switch(&worker->file, segment->path, OPEN_TO_CREATE, NULL, error);
}

/* Count a piece of which `size` bytes have arrived. After a segment's last piece, give the file its
 * size and name. If the source lacked bytes of the segment, remove the file instead, and a part
 * that was fetched earlier: the segment will come from another place. */
static bool finish_piece(WalFetch *fetch, PieceWorker *worker, const FilePiece *piece,
                         uint64_t size, Error *error)
{
    const uint32_t segment_size = fetch->wal->store->stream.shape.segment_size;
    SegmentFetch *segment = &fetch->segments[piece->file];

    fetch->received_bytes += size;
    progress_add(fetch->wal->progress == WAL_FETCH_IS_SILENT ? 0 : size);
    if (size != piece->size)
        segment->missing = true;
    if (atomic_fetch_sub(&segment->left, piece->size) > piece->size)
        return true;
    if (segment->missing)
        return file_remove(segment->path, error) && file_remove(segment->whole_path, error);
    if (segment->size < segment_size &&
        (!open_segment_copy(segment, worker, error) ||
         !file_truncate(worker->file.fd, segment->path, segment_size, error)))
        return false;
    return file_rename(segment->path, segment->whole_path, error);
}

/* FilePieces.take_answer, for a server as source. */
static bool write_segment_piece(void *context, PieceWorker *worker, const FilePiece *piece,
                                const uint8_t *bytes, size_t size, Error *error)
{
    WalFetch *fetch = context;
    SegmentFetch *segment = &fetch->segments[piece->file];

    return (size != piece->size ||
            (open_segment_copy(segment, worker, error) &&
             file_write_at(worker->file.fd, segment->path, bytes, size, piece->offset, error))) &&
           finish_piece(fetch, worker, piece, bytes == NULL ? 0 : size, error);
}

/* FilePieces.take_file, for a directory as source. */
static bool copy_segment_piece(void *context, PieceWorker *worker, const FilePiece *piece,
                               const FileRange *file, Error *error)
{
    WalFetch *fetch = context;
    SegmentFetch *segment = &fetch->segments[piece->file];
    uint64_t copied = 0;

    if (file != NULL)
    {
        if (!open_segment_copy(segment, worker, error))
            return false;

        const FileRange copy = {worker->file.fd, segment->path, piece->offset};

        if (!file_copy_range(file, &copy, piece->size, &copied, error) ||
            !rate_take(fetch->wal->clusters->source->rate, copied, error))
            return false;
    }
    return finish_piece(fetch, worker, piece, copied, error);
}

/* Fetch the segments with `workers` threads, as many as the source has granted. Requests are small
 * enough to give every worker some, and never more than 16 MB. */
static bool fetch_pieces(WalFetch *fetch, int workers, Error *error)
{
    Source *source = fetch->wal->clusters->source;
    const size_t batches =
        (size_t) workers * (workers > 1 && fetch->count > 1 ? BATCHES_PER_WORKER : 1);
    const uint32_t piece_size =
        rate_piece(source->rate, source->directory != NULL ? COPIED_SIZE : PIECE_SIZE);
    /* Pieces in a request: few, so that all workers have some, but not too few, since every request
     * waits for the link's delay. */
    const size_t share = (size_t) (fetch->bytes / piece_size) / batches + 1;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    FilePieces pieces = {.source = source,
                         .piece_size = piece_size,
                         .batch_pieces_max = share < BATCH_PIECES_MIN   ? BATCH_PIECES_MIN
                                             : share > BATCH_PIECES_MAX ? BATCH_PIECES_MAX
                                                                        : share,
                         .batch_bytes_max = UINT64_MAX,
                         .context = fetch,
                         .lock = &lock,
                         .next_range = next_segment,
                         .take_answer = write_segment_piece,
                         .take_file = copy_segment_piece};

    return file_pieces_ask(&pieces, workers, error);
}

/* A FetchDelivery: set the bool `context` if the file has any bytes. */
static bool note_bytes(void *context, size_t index, const uint8_t *bytes, size_t size, Error *error)
{
    bool *there = context;

    (void) index;
    (void) error;
    *there = bytes != NULL && size > 0;
    return true;
}

/* Set *has if the source has the file pg_wal/NAME and it is not empty. */
static bool source_has_file(const SourceWal *wal, const char *name, bool *has, Error *error)
{
    Source *source = wal->clusters->source;
    char path[SOURCE_PATH_SIZE];
    const FetchRequest request = {.path = path, .size = WAL_LONG_HEADER_SIZE};

    *has = false;
    snprintf(path, sizeof(path), "%s/%s", wal->store->stream.shape.version->wal_directory, name);
    return source->operations->fetch(source, 0, &(FetchBatch){.requests = &request, .count = 1},
                                     note_bytes, has, error);
}

bool source_wal_source_has(const SourceWal *wal, uint64_t segment, bool *has, Error *error)
{
    char name[WAL_NAME_SIZE];

    wal_stream_segment_name(&wal->store->stream, segment, name);
    return source_has_file(wal, name, has, error);
}

bool source_wal_fetch_segment(void *context, const char *name, const char *path, bool *found,
                              Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    WalFetch fetch = {.wal = context, .arena = arena};
    bool result;

    if (path == NULL)
        return source_has_file(context, name, found, error);
    add_segment(&fetch, name, path, fetch.wal->store->stream.shape.segment_size);
    result = fetch_pieces(&fetch, 1, error);
    *found = result && !fetch.segments->missing;
    free(fetch.segments);
    return result;
}

/* Returns the path of the segment's copy in the scratch directory, which must exist: the copy that
 * was fetched from the source (`fetched`), or the one from an archive. */
static const char *copy_path(const SourceWal *wal, uint64_t segment, bool fetched, Buffer *path)
{
    char name[WAL_NAME_SIZE];

    wal_stream_segment_name(&wal->store->stream, segment, name);
    buffer_clear(path);
    buffer_printf(path, "%s/%s%s", wal->scratch->path, fetched ? "source." : "", name);
    return buffer_string(path);
}

/* True if the scratch directory has that copy of the segment: see copy_path. */
static bool scratch_has(const SourceWal *wal, uint64_t segment, bool fetched)
{
    AUTO_BUFFER Buffer path = {0};

    return wal->scratch->path != NULL && file_exists("", copy_path(wal, segment, fetched, &path));
}

/* Returns the number of a segment's bytes, from its first, that were fetched from the source and
 * are still in the scratch directory. */
static uint32_t size_sent(const SourceWal *wal, uint64_t segment)
{
    const WalShape *shape = &wal->store->stream.shape;
    const bool in_part = wal->part_size > 0 && wal->part_segment == segment;

    if ((!in_part && wal_segment_start(shape, segment + 1) > wal->fetched_end) ||
        !scratch_has(wal, segment, true))
        return 0;
    return in_part ? wal->part_size : shape->segment_size;
}

/* Returns the number of a segment's bytes, from its first, that WAL up to `end` needs; 0 if all of
 * them are already here. Set *sent to the number of bytes that are already here: kept by the
 * target, or, if `here`, fetched. */
static uint32_t size_wanted(const SourceWal *wal, uint64_t segment, Lsn end, bool here,
                            uint32_t *sent)
{
    const WalShape *shape = &wal->store->stream.shape;
    const Lsn left = end - wal_segment_start(shape, segment);
    const uint32_t size = left < shape->segment_size ? (uint32_t) left : shape->segment_size;

    *sent = wal_store_keeps(wal->store, segment) ? size : here ? size_sent(wal, segment) : 0;
    return size <= *sent ? 0 : size;
}

/* ---- Space ---- */

/*
 * Returns the number of bytes of [from, end) that must still be fetched. Not counted are segments
 * that the target keeps, segments that `listed` lacks, and, if `here`, bytes that were fetched.
 *
 * A source may report a wrong `end` that is far away. So that the loop does not run through all
 * these segments, segments after the last that can be here are not counted one by one.
 */
static uint64_t bytes_to_come(const SourceWal *wal, const ListedWal *listed, Lsn from, Lsn end,
                              bool here)
{
    const WalShape *shape = &wal->store->stream.shape;
    const uint64_t last = wal_segment_before(shape, end);
    Lsn here_end = wal->store->limits.is_proven ? wal->store->limits.divergence : LSN_INVALID;
    uint64_t segment = listed_wal_next(listed, wal_segment_of(shape, from)), bytes = 0;

    if (wal->fetched_end > here_end)
        here_end = wal->fetched_end;
    if (wal->archived_end > here_end)
        here_end = wal->archived_end;
    while (segment <= last &&
           (segment <= listed->newest || wal_segment_start(shape, segment) < here_end))
    {
        uint32_t sent;
        const uint32_t size = size_wanted(wal, segment, end, here, &sent);

        bytes += size == 0 || (here && scratch_has(wal, segment, false)) ? 0 : size - sent;
        segment = listed_wal_next(listed, segment + 1);
    }
    return segment <= last ? bytes + (end - wal_segment_start(shape, segment)) : bytes;
}

uint64_t source_wal_bytes_to_fetch(const SourceWal *wal, Lsn from, Lsn end)
{
    return wal->clusters->source->is_server && end > from
               ? bytes_to_come(wal, &wal->listed, from, end, true)
               : 0;
}

bool source_wal_scratch_room(const SourceWal *wal, uint64_t *bytes, Error *error)
{
    FileSpace space;

    if (!scratch_need(wal->scratch, error) || !file_make_directory(wal->scratch->path, error) ||
        !file_space(wal->scratch->path, &space, error))
        return false;
    *bytes = space.free_bytes;
    return true;
}

static bool error_no_space(const char *directory, uint64_t needed, uint64_t room, const char *hint,
                           Error *error)
{
    error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"", directory);
    error_detail(error,
                 "At least %llu MB of the source's WAL must be fetched to it, %llu MB are free.",
                 (unsigned long long) (needed / MEGABYTE + (needed % MEGABYTE > 0)),
                 (unsigned long long) (room / MEGABYTE));
    return error_hint(error, "%s", hint);
}

bool source_wal_check_space(const SourceWal *wal, Lsn from, Lsn end, uint64_t beside, Error *error)
{
    static const char make_space[] = "Make space and run pg_rewind again.";
    const ListedWal none = {0}; /* count segments that are gone as well: archives have them */
    const bool writes = !wal->only_reads;
    const char *scratch = wal->scratch->path;
    const char *directory = writes ? scratch : wal->clusters->target.directory;
    AUTO_BUFFER Buffer pool = {0};
    uint64_t needed, room;
    FileSpace space;

    if (!wal->clusters->source->is_server || end <= from)
        return true;
    if (writes && !source_wal_scratch_room(wal, &room, error))
        return false;
    if (!writes)
    {
        /* Find the room that a rewind would have: free space of the target's data directory, and
         * the space of this dry run's own files on the same disk, which are removed at its end. */
        if (!file_space(directory, &space, error) || !place_pool(directory, &pool, error))
            return false;
        room = space.free_bytes;
        if (scratch != NULL && !scratch_add_space(scratch, buffer_string(&pool), &room, error))
            return false;
    }
    needed = bytes_to_come(wal, &none, from, end, writes) + beside;
    return needed <= room || error_no_space(directory, needed, room, make_space, error);
}

void source_wal_take_own(SourceWal *wal, WalStore *target_wal, Lsn end)
{
    wal->target_wal = target_wal;
    wal->own_end = wal->clusters->source->is_server ? end : LSN_INVALID;
}

uint32_t source_wal_own_bytes(const SourceWal *wal, uint64_t segment)
{
    const WalShape *shape = &wal->store->stream.shape;

    return wal->own_end != LSN_INVALID && wal_segment_of(shape, wal->own_end) == segment
               ? (uint32_t) (wal->own_end - wal_segment_start(shape, segment))
               : 0;
}

/* Begin a segment's copy with the target's own bytes, if these are the source's. If they cannot be
 * copied, all of the segment is fetched. */
static void begin_with_own(SourceWal *wal, SegmentFetch *segment)
{
    const uint32_t size = source_wal_own_bytes(wal, segment->number);
    FileRange own = {.fd = -1, .path = segment->source_path};
    FileRange copy = {.fd = -1, .path = segment->path};
    uint64_t copied = 0;
    bool found;

    if (size == 0 || size >= segment->size)
        return;
    if (wal_store_open_own(wal->target_wal, segment->number, &own.fd, &found, NULL) && found &&
        file_create(segment->path, CREATE_EMPTY, &copy.fd, NULL) &&
        file_copy_range(&own, &copy, size, &copied, NULL) && copied == size)
        segment->begin = size;
    else
        wal->own_end = LSN_INVALID;
    file_close(own.fd);
    file_close(copy.fd);
}

/* Add to `fetch` the segments of [from, end) that must be fetched and that the source has. Fails if
 * the scratch directory has too little room for them. */
static bool list_fetches(SourceWal *wal, WalFetch *fetch, Lsn from, Lsn end, Error *error)
{
    const uint64_t needed = source_wal_bytes_to_fetch(wal, from, end);
    const uint64_t last = wal_segment_before(&wal->store->stream.shape, end);
    AUTO_BUFFER Buffer path = {0};
    uint64_t segment = wal_segment_of(&wal->store->stream.shape, from), room = 0;

    if (needed > 0 && !source_wal_scratch_room(wal, &room, error))
        return false;
    wal->scratch->failed = wal->scratch->failed || needed > room;
    if (needed > room)
        return error_no_space(wal->scratch->path, needed, room,
                              wal->only_reads ? "Set TMPDIR to a directory with more space."
                                              : "Make space and run pg_rewind again.",
                              error);
    while ((segment = listed_wal_next(&wal->listed, segment)) <= last)
    {
        uint32_t sent;
        const uint32_t size = size_wanted(wal, segment, end, true, &sent);
        char name[WAL_NAME_SIZE];

        wal_stream_segment_name(&wal->store->stream, segment, name);
        if (size > 0 && !source_wal_scratch_room(wal, &room, error))
            return false;
        if (size > 0)
        {
            SegmentFetch *added =
                add_segment(fetch, name, copy_path(wal, segment, true, &path), size);

            added->number = segment;
            added->begin = sent;
            added->continues = sent > 0;
            if (!added->continues)
                begin_with_own(wal, added);
            added->left -= added->begin;
            fetch->bytes -= added->begin;
        }
        segment++;
    }
    return true;
}

/* ---- Fetching segments ---- */

double source_wal_fetch_rate(const SourceWal *wal)
{
    const double seconds = (double) wal->fetch_microseconds / 1e6;

    return wal->fetched_bytes < RATE_BYTES_MIN ? 0 : (double) wal->fetched_bytes / seconds;
}

/* If a segment of `fetch` was already fetched in part, let its fetch continue the file of this
 * part. That gives correct bytes because WAL that a server has flushed does not change. Until the
 * rest has arrived, wal->part_size is 0, since a failure leaves no usable part. */
static bool continue_part(SourceWal *wal, const WalFetch *fetch, Error *error)
{
    for (size_t i = 0; i < fetch->count; i++)
    {
        const SegmentFetch *segment = &fetch->segments[i];

        if (wal->part_size == 0 || segment->number != wal->part_segment)
            continue;
        wal->part_size = 0;
        return !segment->continues || file_rename(segment->whole_path, segment->path, error);
    }
    return true;
}

static bool fetch_segments(SourceWal *wal, WalFetch *fetch, Error *error)
{
    const double begun = clock_seconds();
    Source *source = wal->clusters->source;
    /* One request fetches that much; a connection takes several round trips until it helps. */
    const bool is_one_request =
        fetch->count == 1 && fetch->bytes <= (uint64_t) BATCH_PIECES_MAX * PIECE_SIZE;
    const int jobs = is_one_request ? 1 : wal->options.jobs;
    const SegmentFetch *last;
    int workers;
    bool result;

    if (fetch->count == 0)
        return true;
    if (!source->operations->start_workers(source, jobs, fetch->bytes, &workers, error) ||
        !continue_part(wal, fetch, error))
        return false;
    if (wal->progress == WAL_FETCH_IS_PHASE)
        progress_begin(PROGRESS_FETCH_WAL, fetch->bytes);
    result = fetch_pieces(fetch, workers, error);
    if (wal->progress == WAL_FETCH_IS_PHASE)
        progress_end(result);
    wal->fetched_bytes += fetch->received_bytes;
    wal->fetch_microseconds += (uint64_t) ((clock_seconds() - begun) * 1e6) + 1;
    /* If the last segment was fetched in part, note it; all others are whole. */
    last = &fetch->segments[fetch->count - 1];
    if (!result || last->size == wal->store->stream.shape.segment_size || last->missing)
        return result;
    if (wal->part_size > 0 && !source_wal_remove(wal, wal->part_segment, error))
        return false;
    wal->part_segment = last->number;
    wal->part_size = last->size;
    return true;
}

/* Set `path` to the segment's path below the source's data directory; returns its text. */
static const char *source_path(const SourceWal *wal, uint64_t segment, Buffer *path)
{
    const WalStream *stream = &wal->store->stream;

    return path_in(path, stream->shape.version->wal_directory, SEGMENT_NAME(stream, segment));
}

void source_wal_expect(const SourceWal *wal, Lsn from, Lsn end)
{
    const WalShape *shape = &wal->store->stream.shape;
    const uint64_t segment = wal_segment_of(shape, from);
    const Lsn start = wal_segment_start(shape, segment);
    const Lsn segment_end = wal_segment_start(shape, segment + 1);
    AUTO_BUFFER Buffer path = {0};

    if (end > segment_end)
        end = segment_end;
    if (end > from)
        source_server_expect_wal(
            wal->clusters->source, source_path(wal, segment, &path), from - start,
            (uint32_t) (end - from < EXPECTED_WAL_MAX ? end - from : EXPECTED_WAL_MAX));
}

void source_wal_expect_last(const SourceWal *wal)
{
    const Lsn start = wal_segment_start(&wal->store->stream.shape, wal->part_segment);
    AUTO_BUFFER Buffer path = {0};

    if (wal->part_size > 0)
        source_server_expect_last_wal(wal->clusters->source,
                                      source_path(wal, wal->part_segment, &path), wal->part_size,
                                      start + wal->part_size);
}

bool source_wal_fetch(SourceWal *wal, Lsn from, Lsn end, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    WalFetch fetch = {.wal = wal, .arena = arena};
    const bool result = !wal->clusters->source->is_server || end <= from ||
                        (list_segments(wal, error) && list_fetches(wal, &fetch, from, end, error) &&
                         fetch_segments(wal, &fetch, error));

    free(fetch.segments);
    if (!result)
        return false;
    if (wal->fetched_from == LSN_INVALID || from < wal->fetched_from)
        wal->fetched_from = from;
    if (end > wal->fetched_end)
        wal->fetched_end = end;
    return true;
}

/* True if a dry run has fetched the whole segment, even if the copy was removed to free space. */
static bool has_come(const SourceWal *wal, uint64_t segment)
{
    return wal->only_reads && wal->clusters->source->is_server &&
           wal_segment_start(&wal->store->stream.shape, segment + 1) <= wal->fetched_end &&
           !listed_wal_is_gone(&wal->listed, segment);
}

uint32_t source_wal_fetched_bytes(const SourceWal *wal, uint64_t segment)
{
    const WalShape *shape = &wal->store->stream.shape;

    return has_come(wal, segment) || (wal_segment_start(shape, segment + 1) <= wal->fetched_end &&
                                      scratch_has(wal, segment, false))
               ? shape->segment_size
               : size_sent(wal, segment);
}

bool source_wal_remove(SourceWal *wal, uint64_t segment, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    return wal->scratch->path == NULL || file_remove(copy_path(wal, segment, true, &path), error);
}

bool source_wal_remove_fetched(SourceWal *wal, Error *error)
{
    const WalShape *shape = &wal->store->stream.shape;
    uint64_t segment = wal_segment_of(shape, wal->fetched_from);

    while (wal_segment_start(shape, segment) < wal->fetched_end)
        if (!source_wal_remove(wal, segment++, error))
            return false;
    wal->dropped_read_wal = true;
    return true;
}

bool source_wal_remove_before(SourceWal *wal, Lsn from, Lsn lsn, Error *error)
{
    const WalShape *shape = &wal->store->stream.shape;
    const uint64_t end = wal_segment_of(shape, lsn);
    AUTO_BUFFER Buffer path = {0};

    for (uint64_t segment = wal_segment_of(shape, from);
         wal->scratch->path != NULL && segment < end; segment++)
    {
        const bool fetched =
            scratch_has(wal, segment, true) || (wal->dropped_read_wal && has_come(wal, segment));

        if (!file_remove(copy_path(wal, segment, true, &path), error) ||
            !file_remove(copy_path(wal, segment, false, &path), error))
            return false;
        wal->removed_bytes += fetched ? shape->segment_size : 0;
    }
    return true;
}

/* ---- Missing segments ---- */

bool error_source_wal_missing(const Version *version, const char *names, Error *error)
{
    error_set(error, ERROR_FAILED, "the source no longer has WAL that the rewound target needs");
    error_detail(error, "Missing: %s.", names);
    return error_hint(error,
                      "Put the files into the source's %s, or let pg_rewind fetch them: "
                      "--wal-archive or --restore-command.",
                      version->wal_directory);
}

/* Set *found if a place has the segment, as source_wal_find does, but without asking the target's
 * own restore command. A segment that was not yet fetched counts as found if the server has it. */
static bool segment_is_somewhere(SourceWal *wal, uint64_t segment, bool fetched, bool *found,
                                 Error *error)
{
    AUTO_FD int own_fd = -1;
    AUTO_FD int fd = -1;

    *found = false;
    if (!fetched && wal->clusters->source->is_server &&
        (!list_segments(wal, error) || (!listed_wal_is_gone(&wal->listed, segment) &&
                                        !source_wal_source_has(wal, segment, found, error))))
        return false;
    if (!*found && !wal_store_open_own(wal->store, segment, &own_fd, found, error))
        return false;
    if (*found)
        return true;
    if (!wal_store_open_archived(wal->store, segment, &fd, found, error))
        return false;
    if (*found)
        wal->archived_end = wal_segment_start(&wal->store->stream.shape, segment + 1);
    return true;
}

/* The list of missing segments that source_wal_check_there makes. */
typedef struct MissingWal
{
    Buffer *names; /* names of the missing segments: see wal_missing_add */
    Lsn end;       /* end of the last missing segment */
    bool last;     /* the segment that was looked for last is missing */
    bool enough;   /* the list is long enough to be printed: look no further */
} MissingWal;

/* Add the segment to `missing` if no place has it. */
static bool look_for_segment(SourceWal *wal, uint64_t segment, bool fetched, MissingWal *missing,
                             Error *error)
{
    char name[WAL_NAME_SIZE];
    bool found;

    if (!segment_is_somewhere(wal, segment, fetched, &found, error))
        return false;
    missing->last = !found;
    if (found)
        return true;
    missing->end = wal_segment_start(&wal->store->stream.shape, segment + 1);
    wal_stream_segment_name(&wal->store->stream, segment, name);
    missing->enough = !wal_missing_add(missing->names, name);
    return true;
}

/* Fill *missing as source_wal_check_there describes. */
static bool list_missing_segments(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end,
                                  MissingWal *missing, Error *error)
{
    const WalShape *shape = &wal->store->stream.shape;
    const uint64_t fetched = wal_segment_before(shape, end);
    const uint64_t needed = wal_segment_before(shape, needed_end);
    uint64_t segment = wal_segment_of(shape, from);

    buffer_clear(missing->names);
    missing->end = LSN_INVALID;
    missing->last = missing->enough = false;
    for (; segment <= fetched && !missing->enough; segment++)
        if (!look_for_segment(wal, segment, true, missing, error))
            return false;
    for (; segment <= needed && missing->last && !missing->enough; segment++)
        if (!look_for_segment(wal, segment, false, missing, error))
            return false;
    /* If any is missing, list also later segments that are gone from the source, up to the first
     * that an archive has: the archive probably has those that follow. */
    missing->last = missing->names->size > 0;
    while ((segment = listed_wal_next_gone(&wal->listed, segment)) <= needed && missing->last &&
           !missing->enough)
        if (!look_for_segment(wal, segment++, false, missing, error))
            return false;
    return true;
}

bool source_wal_ask_target_command(SourceWal *wal)
{
    const Target *target = &wal->clusters->target;
    char *command;
    Error why;

    if (wal->has_command)
        return false;
    wal->has_command = true;
    if (!target_restore_command(wal->arena, target, &wal->options, &command, &why))
    {
        log_debug("%s", why.message);
        return false;
    }
    log_info("the source no longer has WAL that is needed: asking the target's own "
             "\"restore_command\"");
    wal_store_set_unasked_command(wal->store, command);
    return true;
}

bool source_wal_find(SourceWal *wal, uint64_t segment, Buffer *path, bool *may_take, bool *found,
                     Error *error)
{
    if (!wal_store_find(wal->store, segment, path, found, error) ||
        (!*found && source_wal_ask_target_command(wal) &&
         !wal_store_find(wal->store, segment, path, found, error)))
        return false;
    *may_take = *found && wal->scratch->path != NULL &&
                relpath_below(buffer_string(path), wal->scratch->path) != NULL;
    return true;
}

bool source_wal_target_can_restore(SourceWal *wal, uint64_t segment, bool *can, Error *error)
{
    AUTO_FD int fd = -1;

    *can = false;
    if (wal->store->archives[0] != NULL ||
        (!source_wal_ask_target_command(wal) &&
         (wal->options.restore_command != NULL || wal->store->restore.command == NULL)))
        return true;
    return wal_store_open_archived(wal->store, segment, &fd, can, error);
}

bool source_wal_check_there(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end, Lsn *missing_end,
                            Error *error)
{
    AUTO_BUFFER Buffer names = {0};
    MissingWal missing = {.names = &names, .end = LSN_INVALID};
    bool result = list_missing_segments(wal, from, end, needed_end, &missing, error);

    if (result && names.size > 0 && source_wal_ask_target_command(wal))
        result = list_missing_segments(wal, from, end, needed_end, &missing, error);
    *missing_end = result ? missing.end : LSN_INVALID;
    return result && (names.size == 0 || error_source_wal_missing(wal->store->stream.shape.version,
                                                                  buffer_string(&names), error));
}
