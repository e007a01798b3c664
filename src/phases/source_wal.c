/*
 * The source's WAL on this machine: read before the plan is made, staged from there afterwards.
 *
 * Segments of a server are brought to the scratch directory, as source.NAME, once.
 */
#include "phases/run.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

#define PIECES_MAX 16 /* of one request */
#define MEGABYTE 1048576

/* Writes a segment's pieces to a file. */
typedef struct SegmentFile
{
    const FetchRequest *requests;
    const char *path;
    int fd;
    uint64_t size; /* what has come, without a gap */
} SegmentFile;

static bool write_piece(void *context, size_t index, const uint8_t *bytes, size_t size,
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

        for (; count < PIECES_MAX && asked < run->shape.segment_size; asked += FETCH_SIZE_MAX)
            requests[count++] = (FetchRequest){source_path, asked, FETCH_SIZE_MAX};
        result = run->source->operations->fetch(run->source, worker, requests, count, write_piece,
                                                &file, error);
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

typedef struct Bringing
{
    Run *run;
    uint64_t first;
} Bringing;

static bool bring_segment(void *context, int worker, size_t item, Error *error)
{
    const Bringing *bringing = context;
    Run *run = bringing->run;
    uint64_t segment = bringing->first + item;
    char name[WAL_NAME_SIZE], path[PATH_SIZE];
    bool found;

    if (run_keeps_segment(run, segment))
        return true;
    run_segment_name(run, segment, name);
    return stop_check(error) && segment_path(run, run->scratch, "/source.", segment, path, error) &&
           run_fetch_segment(run, worker, name, path, &found, error);
}

/* Is there room for what is to be brought? *bytes is how much that is. Where the source says that
 * its WAL ends is not believed: nothing is counted any more when it is too much. */
static bool check_space(const Run *run, uint64_t first, uint64_t count, uint64_t *bytes,
                        Error *error)
{
    FileSpace space;

    *bytes = 0;
    if (!file_space(run->scratch, &space, error))
        return false;
    for (uint64_t i = 0; i < count && *bytes <= space.free_bytes; i++)
        *bytes += run_keeps_segment(run, first + i) ? 0 : run->shape.segment_size;
    if (*bytes <= space.free_bytes)
        return true;
    error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"", run->scratch);
    error_detail(error,
                 "At least %llu MB of the source's WAL are to be brought there, %llu MB are free.",
                 (unsigned long long) ((*bytes + MEGABYTE - 1) / MEGABYTE),
                 (unsigned long long) (space.free_bytes / MEGABYTE));
    return error_hint(error, run->options->dry_run ? "Set TMPDIR to a directory with more space."
                                                   : "Make space and run pg_rewind again.");
}

bool run_bring_source_wal(Run *run, Lsn from, Lsn end, Error *error)
{
    Bringing bringing = {.run = run, .first = wal_segment_of(&run->shape, from)};
    size_t count = (size_t) (wal_segment_before(&run->shape, end) - bringing.first) + 1;
    uint64_t bytes;
    bool result;
    int granted;

    if (!run->source->is_server || end <= from)
        return true;
    if (!file_make_directory(run->scratch, error) ||
        !check_space(run, bringing.first, count, &bytes, error) ||
        !run->source->operations->start_workers(run->source, run->options->jobs, &granted, error))
        return false;
    progress_begin("copied", bytes);
    result = workers_run(granted, count, bring_segment, &bringing, error);
    progress_end();
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
        return segment_path(run, run->options->target, "/pg_wal/", segment, path, error);
    if (run->source->is_server)
        return segment_path(run, run->scratch, "/source.", segment, path, error);
    return segment_path(run, run->options->source_directory, "/pg_wal/", segment, path, error);
}

bool run_segment_rebuilds(void *context, uint64_t segment)
{
    char path[PATH_SIZE];
    bool found;
    Error ignored;

    return own_segment_path(context, segment, path, &ignored) && exists(path, &found, &ignored) &&
           found;
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
                        "changes made with it are in no WAL.",
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
                     "The source's WAL has a hole or damage there; a standby could not replay "
                     "it.");
    }
    scan_destroy(*scan);
    *scan = NULL;
    return false;
}
