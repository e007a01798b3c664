/*
 * stage_fetch compares, then fetches, in the workers that the source grants.
 *
 * Nothing is held for a whole plan. Blocks of files that stay in place get their place in the
 * root's data file as they are handed out, and are fetched into it however often a connection is
 * lost.
 *
 * Where the source is a directory of this machine, nothing is fetched and no digest computed: files
 * are compared by their bytes and copied by the kernel.
 */
#include "stage/staged_files.h"

#include "base/log.h"
#include "source/file_pieces.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FETCH_BATCH_BYTES_MAX (16u * 1024 * 1024)
#define RANGE_SIZE_MAX (1024u * 1024 * 1024)
#define GATHER_SIZE (1024u * 1024)
#define WRITEBACK_SIZE_MIN (64u * 1024) /* what is smaller, the sync writes */

/*
 * The state of one worker beside its PieceWorker, whose file is the one to which a whole file is
 * written; its bytes are GATHER_SIZE that lie one after the other in a data file, and then
 * FETCH_SIZE_MAX for bytes that are written past the system's cache.
 */
typedef struct FileFetcher
{
    bool direct; /* its file is written past the system's cache */
    size_t gathered_size;
    size_t gathered_root;
    uint64_t gathered_offset;
} FileFetcher;

typedef struct FileFetch
{
    Stage *stage; /* its lock guards index and offset */
    Source *source;
    const Plan *plan;
    size_t index;          /* the entry at hand */
    uint64_t offset;       /* in its file: what comes next */
    FileFetcher *fetchers; /* of each worker */
} FileFetch;

/* ---- Which ranges, and where they are put ---- */

/* A range of a file that stays in place comes next in the data file of its root. */
static void place_in_data_file(Stage *stage, const PlanEntry *entry, PieceRange *range)
{
    range->destination = roots_of(&stage->roots, entry->path);
    range->destination_offset =
        stage_place(stage, range->destination, range->file, range->offset, (uint32_t) range->size);
}

static bool next_fetched_range(void *context, PieceRange *range)
{
    FileFetch *fetch = context;
    Stage *stage = fetch->stage;

    for (; fetch->index < fetch->plan->count; fetch->index++, fetch->offset = 0)
    {
        const PlanEntry *entry = &fetch->plan->entries[fetch->index];
        const bool laid_out = stage_is_laid_out(stage, entry, fetch->index);
        uint64_t size;

        if ((!laid_out && !stage_is_whole(stage, entry, fetch->index)) ||
            !plan_next_range(fetch->plan, entry, &fetch->offset, &size))
            continue;
        if (size > RANGE_SIZE_MAX)
            size = RANGE_SIZE_MAX;
        *range = (PieceRange){
            .file = fetch->index, .path = entry->path, .offset = fetch->offset, .size = size};
        if (laid_out)
            place_in_data_file(stage, entry, range);
        fetch->offset += size;
        return true;
    }
    return false;
}

/* The last piece of a small file is asked for as if the file were large, so that one that has grown
 * comes whole, in one call. */
static uint32_t size_to_fetch(void *context, const FilePiece *piece)
{
    const FileFetch *fetch = context;
    const PlanEntry *entry = &fetch->plan->entries[piece->file];
    const bool may_have_grown = entry->kind != KIND_RELATION && entry->kind != KIND_FORK &&
                                entry->source_size <= FETCH_SIZE_MAX &&
                                piece->offset + piece->size == entry->source_size &&
                                !stage_is_laid_out(fetch->stage, entry, piece->file);

    return may_have_grown ? FETCH_SIZE_MAX : piece->size;
}

static void count_fetched(const FileFetch *fetch, const FilePiece *piece, size_t size)
{
    Stage *stage = fetch->stage;
    const PlanEntry *entry = &fetch->plan->entries[piece->file];
    const uint64_t end = piece->offset + size;

    pthread_mutex_lock(&stage->lock);
    if (size < piece->size && end < stage->findings[piece->file].actual_size)
        stage->findings[piece->file].actual_size = end;
    stage->statistics.fetched_bytes += size;
    stage->statistics.fetched_bytes_by_kind[entry->kind] += size;
    pthread_mutex_unlock(&stage->lock);
    progress_add(size);
}

/* ---- Writing ---- */

/* Open the file that is staged for an entry, and keep it open for the pieces that follow. */
static bool open_staged_file(const FileFetch *fetch, PieceWorker *worker, const FilePiece *piece,
                             Error *error)
{
    const Stage *stage = fetch->stage;
    const PlanEntry *entry = &fetch->plan->entries[piece->file];
    OpenFile *staged = &worker->file;
    AUTO_BUFFER Buffer path = {0};

    if (staged->purpose == piece->path)
        return true;
    if (!open_file_switch(staged, stage_entry_local(stage, entry, piece->file, &path),
                          OPEN_TO_CREATE, NULL, error))
        return false;
    staged->purpose = piece->path;
    fetch->fetchers[worker->number].direct = fetch->source->is_server &&
                                             stage_is_written_direct(stage, entry, piece->file) &&
                                             file_set_direct(staged->fd, true);
    return true;
}

static bool is_laid_out(const FileFetch *fetch, const FilePiece *piece)
{
    return stage_is_laid_out(fetch->stage, &fetch->plan->entries[piece->file], piece->file);
}

/* Find the place to which a piece is written. */
static bool find_destination(const FileFetch *fetch, PieceWorker *worker, const FilePiece *piece,
                             FileRange *destination, Error *error)
{
    if (is_laid_out(fetch, piece))
        *destination = (FileRange){fetch->stage->data_fds[piece->destination], DATA_NAME,
                                   piece->destination_offset};
    else if (open_staged_file(fetch, worker, piece, error))
        *destination = (FileRange){worker->file.fd, worker->file.path, piece->offset};
    else
        return false;
    return true;
}

static bool write_staged(const FileRange *destination, const uint8_t *bytes, size_t size,
                         Error *error)
{
    if (size == 0)
        return true;
    if (!file_write_at(destination->fd, destination->path, bytes, size, destination->offset, error))
        return false;
    if (size >= WRITEBACK_SIZE_MIN)
        file_begin_writeback(destination->fd, destination->offset, size);
    return true;
}

/* The same past the system's cache, where that is possible: else *written is false. What does not
 * fit is as a rule the end of the file, and what follows is written as usual. */
static bool write_direct(FileFetcher *fetcher, uint8_t *aligned, const FileRange *destination,
                         const uint8_t *bytes, size_t size, bool *written, Error *error)
{
    *written = false;
    if (destination->offset % FILE_DIRECT_UNIT == 0 && size % FILE_DIRECT_UNIT == 0 &&
        size <= FETCH_SIZE_MAX)
    {
        memcpy(aligned, bytes, size);
        *written = file_write_at(destination->fd, destination->path, aligned, size,
                                 destination->offset, error);
        if (*written || error->error_number != EINVAL)
            return *written;
    }
    fetcher->direct = false;
    return file_set_direct(destination->fd, false) ||
           error_set_errno(error, ERROR_FAILED, "could not write file \"%s\"", destination->path);
}

/* A piece of a file that is staged whole. */
static bool write_whole(const FileFetch *fetch, const PieceWorker *worker,
                        const FileRange *destination, const uint8_t *bytes, size_t size,
                        Error *error)
{
    FileFetcher *fetcher = &fetch->fetchers[worker->number];
    bool written = false;

    if (fetcher->direct && !write_direct(fetcher, worker->bytes + GATHER_SIZE, destination, bytes,
                                         size, &written, error))
        return false;
    return written || write_staged(destination, bytes, size, error);
}

/* Write what was gathered. A function for the end of a batch. */
static bool write_gathered(void *context, PieceWorker *worker, Error *error)
{
    const FileFetch *fetch = context;
    FileFetcher *fetcher = &fetch->fetchers[worker->number];
    const FileRange destination = {.fd = fetch->stage->data_fds[fetcher->gathered_root],
                                   .path = DATA_NAME,
                                   .offset = fetcher->gathered_offset};
    const size_t size = fetcher->gathered_size;

    fetcher->gathered_size = 0;
    return write_staged(&destination, worker->bytes, size, error);
}

/* Single blocks are written many at a time. */
static bool gather_blocks(FileFetch *fetch, PieceWorker *worker, const FilePiece *piece,
                          const uint8_t *bytes, size_t size, Error *error)
{
    FileFetcher *fetcher = &fetch->fetchers[worker->number];

    if ((piece->destination != fetcher->gathered_root ||
         size > GATHER_SIZE - fetcher->gathered_size ||
         piece->destination_offset != fetcher->gathered_offset + fetcher->gathered_size) &&
        !write_gathered(fetch, worker, error))
        return false;
    if (fetcher->gathered_size == 0)
    {
        fetcher->gathered_root = piece->destination;
        fetcher->gathered_offset = piece->destination_offset;
    }
    memcpy(worker->bytes + fetcher->gathered_size, bytes, size);
    fetcher->gathered_size += size;
    return true;
}

/* ---- One piece ---- */

static bool stage_fetched_bytes(void *context, PieceWorker *worker, const FilePiece *piece,
                                const uint8_t *bytes, size_t size, Error *error)
{
    FileFetch *fetch = context;
    FileRange destination;

    if (bytes == NULL)
    {
        stage_note_gone(fetch->stage, piece->file);
        return true;
    }
    if (size > piece->asked_size)
        return error_set(error, ERROR_FAILED, "received more of file \"%s\" than was asked for",
                         piece->path);
    if (is_laid_out(fetch, piece) && size < WRITEBACK_SIZE_MIN)
    {
        if (!gather_blocks(fetch, worker, piece, bytes, size, error))
            return false;
    }
    else if (!find_destination(fetch, worker, piece, &destination, error) ||
             !(is_laid_out(fetch, piece)
                   ? write_staged(&destination, bytes, size, error)
                   : write_whole(fetch, worker, &destination, bytes, size, error)))
        return false;
    count_fetched(fetch, piece, size);
    return true;
}

static bool copy_source_file(void *context, PieceWorker *worker, const FilePiece *piece,
                             const FileRange *file, Error *error)
{
    FileFetch *fetch = context;
    FileRange destination;
    uint64_t copied;

    if (file == NULL)
    {
        stage_note_gone(fetch->stage, piece->file);
        return true;
    }
    if (!find_destination(fetch, worker, piece, &destination, error) ||
        !file_copy_range(file, &destination, piece->asked_size, &copied, error) ||
        !rate_take(fetch->source->rate, copied, error))
        return false;
    if (copied >= WRITEBACK_SIZE_MIN)
        file_begin_writeback(destination.fd, destination.offset, copied);
    count_fetched(fetch, piece, (size_t) copied);
    return true;
}

/* ---- All files ---- */

static bool fetch_files(Stage *stage, Source *source, const Plan *plan, Error *error)
{
    FileFetch fetch = {.stage = stage,
                       .source = source,
                       .plan = plan,
                       .fetchers =
                           memory_allocate_zeroed((size_t) stage->workers, sizeof(FileFetcher))};
    FilePieces pieces = {.source = source,
                         .question = ASK_BYTES,
                         .piece_size = rate_piece(source->rate, FETCH_SIZE_MAX),
                         .batch_pieces_max = FETCH_COUNT_MAX,
                         .batch_bytes_max = FETCH_BATCH_BYTES_MAX,
                         .bytes_size = GATHER_SIZE + FETCH_SIZE_MAX,
                         .written = stage->written,
                         .context = &fetch,
                         .lock = &stage->lock,
                         .next_range = next_fetched_range,
                         .size_to_ask = size_to_fetch,
                         .take_answer = stage_fetched_bytes,
                         .take_file = copy_source_file,
                         .end_batch = write_gathered};
    bool ok;

    /* Files that were found equal are not fetched. */
    progress_begin(PROGRESS_FETCH, plan->fetch_bytes - stage->statistics.compared_bytes);
    ok = file_pieces_ask(&pieces, stage->workers, error);
    progress_end(ok);
    free(fetch.fetchers);
    return ok;
}

/* Finish the files that were staged whole. */
static bool conclude_fetch(const Stage *stage, const Plan *plan, Error *error)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];

        if (stage_is_whole(stage, entry, index) && !stage_conclude_file(stage, entry, index, error))
            return false;
    }
    return true;
}

/*
 * A server that writes to a source directory would make the copy inconsistent. A file whose size
 * has changed shows that one does, and pg_rewind cannot know what else it changed. Checked after
 * everything is copied, so that no change is missed: neither between the list and the copy, nor in
 * a file that is empty or was equal.
 */
static bool check_source_sizes(const Stage *stage, const Source *source, const Plan *plan,
                               Error *error)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        AUTO_BUFFER Buffer path = {0};
        struct stat status;
        bool found;

        if (entry->action != ACTION_COPY ||
            !(stage->findings[index].equal || stage_is_whole(stage, entry, index)))
            continue;
        path_in(&path, source->directory, entry->path);
        if (!file_stat(buffer_string(&path), &status, &found, error))
            return false;
        /* A segment of a relation may be planned with more than was listed, never with less. */
        if (found &&
            ((uint64_t) status.st_size > entry->source_size ||
             ((uint64_t) status.st_size < entry->source_size && entry->kind != KIND_RELATION)))
            return error_set(
                error, ERROR_FAILED,
                "size of source file \"%s\" changed concurrently: %llu bytes expected, %llu copied",
                buffer_string(&path), (unsigned long long) entry->source_size,
                (unsigned long long) status.st_size); /* contract */
    }
    return true;
}

bool stage_start_workers(Stage *stage, Source *source, Error *error)
{
    return stage->workers > 0 ||
           source->operations->start_workers(source, stage->jobs, &stage->workers, error);
}

bool stage_fetch(Stage *stage, Source *source, const Plan *plan, Error *error)
{
    assert(plan->count == stage->entry_count);
    return stage_start_workers(stage, source, error) && stage_prepare_files(stage, plan, error) &&
           stage_compare_files(stage, source, plan, error) &&
           fetch_files(stage, source, plan, error) && conclude_fetch(stage, plan, error) &&
           (source->directory == NULL || check_source_sizes(stage, source, plan, error));
}
