/*
 * The source's WAL on this machine: read before the plan is made, staged from there afterwards.
 *
 * Segments of a server are brought to the scratch directory, as source.NAME, once.
 */
#include "phases/run.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PIECES_MIN 4 /* of one request to the source */
#define PIECES_MAX 64
#define PORTIONS_PER_WORKER 4
#define MEGABYTE 1048576

/* ---- One segment, in one piece after the other ---- */

/* Writes a segment's pieces to a file. */
typedef struct SegmentFile
{
    const FetchRequest *requests;
    const char *path;
    int fd;
    uint64_t size; /* what has come, without a gap */
} SegmentFile;

static bool write_next_piece(void *context, size_t index, const uint8_t *bytes, size_t size,
                             Error *error)
{
    SegmentFile *file = context;
    uint64_t offset = file->requests[index].offset;

    if (bytes == NULL || size == 0 || offset != file->size)
        return true;
    file->size += size;
    progress_add(size);
    return file_write_at(file->fd, file->path, bytes, size, offset, error);
}

bool run_fetch_segment(Run *run, int worker, const char *name, const char *path, bool *found,
                       Error *error)
{
    const uint32_t piece_size = source_piece_size(run->source, FETCH_SIZE_MAX);
    char source_path[64], temporary[PATH_SIZE];
    FetchRequest requests[PIECES_MAX];
    SegmentFile file = {.requests = requests, .path = temporary};
    uint64_t asked = 0;
    bool result = true;

    *found = false;
    snprintf(source_path, sizeof(source_path), "pg_wal/%s", name);
    if (snprintf(temporary, sizeof(temporary), "%s.new", path) >= (int) sizeof(temporary))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", path);
    if (!file_create(temporary, &file.fd, error))
        return false;
    while (result && asked == file.size && asked < run->shape.segment_size)
    {
        size_t count = 0;

        for (; count < PIECES_MAX && asked < run->shape.segment_size; asked += piece_size)
            requests[count++] = (FetchRequest){source_path, asked, piece_size};
        result = run->source->operations->fetch(run->source, worker, requests, count,
                                                write_next_piece, &file, error);
    }
    file_close(file.fd);
    *found = result && file.size == run->shape.segment_size;
    if (*found)
        return file_rename(temporary, path, error);
    return result && file_remove(temporary, error);
}

/* PGDATA/pg_wal/NAME or the like. */
static bool segment_path(const Run *run, const char *directory, const char *prefix,
                         uint64_t segment, char path[PATH_SIZE], Error *error)
{
    char name[WAL_NAME_SIZE];

    run_segment_name(run, segment, name);
    if (snprintf(path, PATH_SIZE, "%s%s%s", directory, prefix, name) >= PATH_SIZE)
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", directory);
    return true;
}

static bool exists(const char *path, bool *found, Error *error)
{
    struct stat status;

    return file_stat(path, &status, found, error);
}

/* ---- All segments, by all workers ---- */

/* One that is being brought. Its pieces may come to several workers. */
typedef struct BroughtSegment
{
    uint32_t size;             /* that is wanted; 0: nothing */
    atomic_size_t pieces_left; /* that have not come yet */
    atomic_bool missing;       /* one was gone, or too short */
} BroughtSegment;

typedef struct Bringing
{
    Run *run;
    uint64_t first; /* the number of segments[0] */
    size_t count;
    BroughtSegment *segments;
    uint32_t piece_size;
    size_t pieces_each; /* of a whole segment */
    size_t portion;     /* how many pieces are asked for at once */
} Bringing;

/* What one worker asks for at once. */
typedef struct Portion
{
    Bringing *bringing;
    FetchRequest requests[PIECES_MAX];
    size_t indexes[PIECES_MAX]; /* of their segments */
    char source_paths[PIECES_MAX][sizeof("pg_wal/") + WAL_NAME_SIZE];
    size_t count;
    int fd; /* of the file at hand; -1: none */
    size_t open_index;
    char path[PATH_SIZE];      /* where it shall be */
    char temporary[PATH_SIZE]; /* where it is until it is whole */
} Portion;

/* Open the file that the segment's pieces are written to, and keep it open for those that follow.
 */
static bool open_brought(Portion *portion, size_t index, Error *error)
{
    const Run *run = portion->bringing->run;

    if (portion->fd >= 0 && portion->open_index == index)
        return true;
    file_close(portion->fd);
    portion->fd = -1;
    portion->open_index = index;
    if (!segment_path(run, run->scratch, "/source.", portion->bringing->first + index,
                      portion->path, error))
        return false;
    if (snprintf(portion->temporary, PATH_SIZE, "%s.new", portion->path) >= PATH_SIZE)
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", portion->path);
    return file_open_or_create(portion->temporary, &portion->fd, error);
}

/* Its last piece has come: it gets its name, and zeros behind the end of the source's WAL. */
static bool finish_brought(Portion *portion, size_t index, Error *error)
{
    const BroughtSegment *segment = &portion->bringing->segments[index];
    const uint32_t whole = portion->bringing->run->shape.segment_size;

    if (!open_brought(portion, index, error))
        return false;
    if (segment->missing)
        return file_remove(portion->temporary, error);
    if (segment->size < whole && !file_truncate(portion->fd, portion->temporary, whole, error))
        return false;
    return file_rename(portion->temporary, portion->path, error);
}

static bool write_piece(void *context, size_t number, const uint8_t *bytes, size_t size,
                        Error *error)
{
    Portion *portion = context;
    const FetchRequest *request = &portion->requests[number];
    const size_t index = portion->indexes[number];
    BroughtSegment *segment = &portion->bringing->segments[index];

    if (bytes == NULL || size != request->size)
        segment->missing = true;
    else if (!open_brought(portion, index, error) ||
             !file_write_at(portion->fd, portion->temporary, bytes, size, request->offset, error))
        return false;
    progress_add(request->size);
    return atomic_fetch_sub(&segment->pieces_left, 1) > 1 || finish_brought(portion, index, error);
}

static void add_piece(Portion *portion, size_t piece)
{
    const Bringing *bringing = portion->bringing;
    const size_t index = piece / bringing->pieces_each;
    const uint64_t offset = (uint64_t) (piece % bringing->pieces_each) * bringing->piece_size;
    const uint32_t wanted = bringing->segments[index].size;
    char name[WAL_NAME_SIZE];
    uint64_t size;

    if (offset >= wanted)
        return;
    size = wanted - offset < bringing->piece_size ? wanted - offset : bringing->piece_size;
    run_segment_name(bringing->run, bringing->first + index, name);
    snprintf(portion->source_paths[portion->count], sizeof(portion->source_paths[0]), "pg_wal/%s",
             name);
    portion->indexes[portion->count] = index;
    portion->requests[portion->count] =
        (FetchRequest){portion->source_paths[portion->count], offset, (uint32_t) size};
    portion->count++;
}

static bool bring_portion(void *context, int worker, size_t item, Error *error)
{
    Bringing *bringing = context;
    Source *source = bringing->run->source;
    const size_t all = bringing->count * bringing->pieces_each;
    Portion portion = {.bringing = bringing, .fd = -1};
    bool result;

    for (size_t piece = item * bringing->portion;
         piece < all && piece < (item + 1) * bringing->portion; piece++)
        add_piece(&portion, piece);
    result = portion.count == 0 ||
             source->operations->fetch(source, worker, portion.requests, portion.count, write_piece,
                                       &portion, error);
    file_close(portion.fd);
    return result;
}

/*
 * How much is wanted of a segment: nothing of one that is here already. What was brought of the one
 * that WAL ended in before is too little now.
 */
static bool size_wanted(const Run *run, uint64_t segment, Lsn end, uint32_t *size, Error *error)
{
    const Lsn begin = wal_segment_start(&run->shape, segment);
    const Lsn segment_end = begin + run->shape.segment_size;
    char path[PATH_SIZE];
    bool here = run_keeps_segment(run, segment);

    if (!here && segment_end <= run->source_wal_brought_end &&
        (!segment_path(run, run->scratch, "/source.", segment, path, error) ||
         !exists(path, &here, error)))
        return false;
    *size = here ? 0 : (uint32_t) ((end < segment_end ? end : segment_end) - begin);
    return true;
}

static bool too_little_space(const Run *run, uint64_t bytes, uint64_t free_bytes, Error *error)
{
    error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"", run->scratch);
    error_detail(error,
                 "At least %llu MB of the source's WAL must be fetched to it, %llu MB are free.",
                 (unsigned long long) ((bytes + MEGABYTE - 1) / MEGABYTE),
                 (unsigned long long) (free_bytes / MEGABYTE));
    return error_hint(error, run->options->dry_run ? "Set TMPDIR to a directory with more space."
                                                   : "Make space and run pg_rewind again.");
}

/* Is there room for what is to be brought? *bytes is how much that is. Where the source says that
 * its WAL ends is not believed: nothing is counted any more when it is too much. */
static bool check_space(const Run *run, uint64_t first, uint64_t count, Lsn end, uint64_t *bytes,
                        Error *error)
{
    FileSpace space;

    *bytes = 0;
    if (!file_space(run->scratch, &space, error))
        return false;
    for (uint64_t i = 0; i < count && *bytes <= space.free_bytes; i++)
    {
        uint32_t size;

        if (!size_wanted(run, first + i, end, &size, error))
            return false;
        *bytes += size;
    }
    return *bytes <= space.free_bytes || too_little_space(run, *bytes, space.free_bytes, error);
}

/* Begin with what is known of each segment. */
static bool prepare_bringing(Bringing *bringing, Lsn end, int workers, uint64_t bytes, Error *error)
{
    const uint32_t piece_size = source_piece_size(bringing->run->source, FETCH_SIZE_MAX);

    bringing->piece_size = piece_size;
    bringing->pieces_each = (bringing->run->shape.segment_size + piece_size - 1) / piece_size;
    bringing->portion = (size_t) (bytes / piece_size) / ((size_t) workers * PORTIONS_PER_WORKER);
    if (bringing->portion < PIECES_MIN)
        bringing->portion = PIECES_MIN;
    if (bringing->portion > PIECES_MAX)
        bringing->portion = PIECES_MAX;
    for (size_t i = 0; i < bringing->count; i++)
    {
        BroughtSegment *segment = &bringing->segments[i];

        if (!size_wanted(bringing->run, bringing->first + i, end, &segment->size, error))
            return false;
        segment->pieces_left = (segment->size + (size_t) piece_size - 1) / piece_size;
    }
    return true;
}

bool run_bring_source_wal(Run *run, Lsn from, Lsn end, Error *error)
{
    Bringing bringing = {.run = run, .first = wal_segment_of(&run->shape, from)};
    uint64_t bytes;
    bool result;
    int granted;

    if (!run->source->is_server || end <= from)
        return true;
    bringing.count = (size_t) (wal_segment_before(&run->shape, end) - bringing.first) + 1;
    if (!file_make_directory(run->scratch, error) ||
        !check_space(run, bringing.first, bringing.count, end, &bytes, error) ||
        !run->source->operations->start_workers(run->source, run->options->jobs, &granted, error))
        return false;
    bringing.segments = memory_allocate_zeroed(bringing.count, sizeof(*bringing.segments));
    progress_begin("copied", bytes);
    result = prepare_bringing(&bringing, end, granted, bytes, error) &&
             workers_run(granted,
                         (bringing.count * bringing.pieces_each + bringing.portion - 1) /
                             bringing.portion,
                         bring_portion, &bringing, error);
    progress_end();
    free(bringing.segments);
    return result;
}

/* From where an archive has it. */
static bool find_in_archive(Run *run, uint64_t segment, char path[PATH_SIZE], bool *found,
                            Error *error)
{
    Lsn begin = wal_segment_start(&run->shape, segment);

    return archive_find(
        run->source_archive,
        history_timeline_of_segment(&run->source_history, begin, begin + run->shape.segment_size),
        segment, path, found, error);
}

bool run_may_take(const Run *run, const char *path)
{
    size_t length = strlen(run->scratch);

    return strncmp(path, run->scratch, length) == 0 && path[length] == '/';
}

bool run_forget_brought_segment(Run *run, uint64_t segment, Error *error)
{
    char path[PATH_SIZE];

    return !run->source->is_server ||
           (segment_path(run, run->scratch, "/source.", segment, path, error) &&
            file_remove(path, error));
}

/* Where the source or the target has a segment. */
static bool own_segment_path(const Run *run, uint64_t segment, char path[PATH_SIZE], Error *error)
{
    if (run_keeps_segment(run, segment))
        return segment_path(run, run->target.directory, "/pg_wal/", segment, path, error);
    if (run->source->is_server)
        return segment_path(run, run->scratch, "/source.", segment, path, error);
    return segment_path(run, run->options->source_directory, "/pg_wal/", segment, path, error);
}

bool run_segment_rebuilds(void *context, uint64_t segment, bool *rebuilds, Error *error)
{
    char path[PATH_SIZE];

    return own_segment_path(context, segment, path, error) && exists(path, rebuilds, error);
}

bool run_find_source_segment(Run *run, uint64_t segment, char path[PATH_SIZE], bool *found,
                             Error *error)
{
    if (!own_segment_path(run, segment, path, error) || !exists(path, found, error))
        return false;
    return *found || find_in_archive(run, segment, path, found, error);
}

bool run_open_source_segment(void *context, Timeline timeline, uint64_t segment, int *fd,
                             bool *found, Error *error)
{
    char path[PATH_SIZE];

    (void) timeline; /* the source's history decides, as for every stream */
    if (!run_find_source_segment(context, segment, path, found, error))
        return false;
    return !*found || file_open_read(path, fd, found, error);
}

/* What both sides have in common cannot have been minimal: the target's level is checked as well.
 */
static bool check_wal_level(const Run *run, const ScanResult *scanned, Error *error)
{
    char text[LSN_TEXT_SIZE];

    if (scanned->minimal_record_at == LSN_INVALID)
        return true;
    error_set(error, ERROR_IMPOSSIBLE, "source server ran with \"wal_level = minimal\"");
    return error_detail(error,
                        "It was switched at %s, in the WAL that the rewound target would replay: "
                        "changes made with it were not WAL-logged.",
                        run_lsn_text(run, scanned->minimal_record_at, text));
}

bool run_scan_source_wal(Run *run, WalOpen open, Lsn from, Lsn end, WalScan **scan,
                         ScanResult *result, Lsn *last_end, Error *error)
{
    WalStream *stream = arena_allocate(run->arena, sizeof(*stream));
    Lsn first = wal_skip_header(&run->shape, from), last;
    char reason[256], text[LSN_TEXT_SIZE];
    bool missing, scanned;

    *stream = (WalStream){.shape = run->shape,
                          .data_block_size = run->target.control.block_size,
                          .history = &run->source_history,
                          .limit = end,
                          .open = open,
                          .rebuilds = open == run_open_source_segment ? run_segment_rebuilds : NULL,
                          .context = run};
    *scan = scan_create(stream, run->options->jobs, first);
    progress_begin("scanned", end > from ? end - from : 0);
    scanned = scan_forward(*scan, first, last_end, &last, &missing, reason, error) &&
              scan_finish(*scan, run->arena, first, first, result, error);
    progress_end();
    if (scanned && (*last_end >= end || scan_ended_at_limit(*scan)))
    {
        if (check_wal_level(run, result, error))
            return true;
    }
    else if (scanned)
    {
        error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s", /* contract */
                  run_lsn_text(run, *last_end, text), reason);
        error_detail(error,
                     "The source's WAL is incomplete or damaged there; a standby could not replay "
                     "it.");
    }
    scan_destroy(*scan);
    *scan = NULL;
    return false;
}
