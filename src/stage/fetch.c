/*
 * stage_fetch makes the files of the stage, compares, fetches in the workers that the source
 * grants, and gives the files that were staged whole their size and mode.
 *
 * Of the files that are copied whole and have one size on both sides, those that are equal need not
 * be fetched. A server computes a digest of each piece; a directory as source is compared by its
 * bytes. A piece that differs, or that grew, makes its file one that is fetched.
 *
 * Nothing is held for a whole plan. Blocks of files that stay in place get their place in the
 * root's data file in the order of the plan, and are fetched into it however often a connection is
 * lost.
 *
 * Where the source is a directory of this machine, nothing is fetched and no digest computed: files
 * are compared by their bytes and copied by the kernel.
 */
#include "stage/stage.h"

#include "source/file_pieces.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#define COMPARED_PIECE_SIZE (DIGEST_PIECE_SIZE_MAX / 2)
#define FETCH_BATCH_BYTES_MIN (16u * 1024 * 1024)
#define FETCH_BATCHES_PER_WORKER 8 /* batches of one of several workers, unless small */
#define RANGE_SIZE_MAX (1024u * 1024 * 1024)
#define GATHER_SIZE (1024u * 1024)
#define WRITEBACK_SIZE_MIN (64u * 1024) /* smaller pieces are not written back before the sync */

/*
 * The state of one worker beside its PieceWorker, whose file is the one to which a whole file is
 * written; its bytes are GATHER_SIZE that lie one after the other in a data file, and then
 * FETCH_SIZE_MAX for bytes that are written past the system's cache.
 */
typedef struct FileFetcher
{
    bool direct;        /* the worker's file is written with O_DIRECT */
    FileRange gathered; /* the place of the bytes in a data file */
    size_t gathered_size;
} FileFetcher;

/* A comparison, then a fetch, each of all entries in order. */
typedef struct FileFetch
{
    Stage *stage; /* the stage, whose lock guards index and offset */
    Source *source;
    int workers;           /* number of workers that the source allows */
    size_t index;          /* index of the current entry of the plan */
    uint64_t offset;       /* offset in the current entry's file at which the next piece starts */
    FileFetcher *fetchers; /* one for each worker that fetches */
} FileFetch;

/* ---- The files of the stage, before the fetch ---- */

/* Stage a copy of the target's own file, which is patched instead of the file. only_clone: copy
 * only if the file system can clone the file. *made: the copy exists. */
static bool copy_target_file(Stage *stage, const PlanEntry *entry, bool only_clone, bool *made,
                             Error *error)
{
    AUTO_BUFFER Buffer target_buffer = {0}, buffer = {0};
    const char *target = stage_local(stage, entry->path, &target_buffer);
    const char *local = stage_entry_local(stage, entry, &buffer);
    AUTO_FD int from = -1;
    int to = -1;
    uint64_t copied;
    bool ok =
        file_open_read(target, &from, NULL, error) && file_create(local, CREATE_EMPTY, &to, error);

    *made = false;
    if (ok && only_clone)
        file_clone(from, to, made);
    else if (ok)
        ok = *made = file_copy_range(&(FileRange){from, target, 0}, &(FileRange){to, local, 0},
                                     entry->source_size, &copied, error);
    written_keep(stage->written, to, local);
    if (*made)
        stage_state_of(stage, entry)->copied = true;
    return ok && (*made || file_remove(local, error));
}

/* Prepare a file that is to be patched: check that it can be written, or stage a copy, which is
 * patched and replaces the file. */
static bool prepare_patched_file(Stage *stage, const PlanEntry *entry, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    const Root *root = &stage->roots.roots[roots_index(&stage->roots, entry->path)];
    bool made = false, must_copy;

    if (!stage_must_copy(stage_local(stage, entry->path, &path), true, &must_copy, error))
        return false;
    if (must_copy)
        return copy_target_file(stage, entry, false, &made, error);
    /* On a file system that copies on write every changed block needs new space. Patch a clone now:
     * a lack of space then shows before the commit. */
    return !root->space.copies_on_write || copy_target_file(stage, entry, true, &made, error);
}

/* Create a whole file before its bytes are fetched, and reserve its space. An empty file has no
 * piece that would create it. Blocks that recovery rebuilds are not fetched, but need space.
 * Threads that write a file with O_DIRECT need not wait for each other to extend it. A file that is
 * not the cluster's own may be a private key, which a group must not read before its mode is known.
 */
static bool prepare_whole_file(const Stage *stage, const PlanEntry *entry, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    const char *local = stage_entry_local(stage, entry, &path);
    int fd = -1;
    const bool ok =
        file_create(local, entry->cluster_mode ? CREATE_EMPTY : CREATE_PRIVATE, &fd, error) &&
        file_reserve(fd, local, entry->source_size, error);

    written_keep(stage->written, fd, local);
    return ok;
}

static bool prepare_files(Stage *stage, Error *error)
{
    for (size_t index = 0; index < stage->plan->count; index++)
    {
        const PlanEntry *entry = &stage->plan->entries[index];
        bool ok = true;

        if (stage_is_laid_out(stage, entry))
            ok = prepare_patched_file(stage, entry, error);
        else if (stage_is_whole(stage, entry) &&
                 (entry->source_size == 0 || entry->rebuilt != NULL || !entry->cluster_mode ||
                  stage_is_written_direct(stage, entry)))
            ok = prepare_whole_file(stage, entry, error);
        if (!ok)
            return false;
    }
    return true;
}

/* Returns false. */
static bool error_vanished(const char *directory, const char *path, Error *error)
{
    error_set(error, ERROR_FAILED, "source file \"%s/%s\" has vanished", directory, path);
    return error_detail(error, "It was there when the files of the source were listed.");
}

/*
 * The source does not have the file any more: a server has dropped it, and its WAL says so. One of
 * several segments is treated as if it were empty, and keeps its planned size. Of a directory,
 * whose WAL ends, somebody else has taken the file away, perhaps with its whole volume. (Rule C53.)
 */
static bool note_gone(const FileFetch *fetch, const FilePiece *piece, Error *error)
{
    StagingState *found = &fetch->stage->staging_states[piece->file];
    const char *directory = fetch->source->directory;

    if (directory != NULL)
        return error_vanished(directory, piece->path, error);
    if (!fetch->stage->plan->entries[piece->file].has_other_segments)
    {
        found->left_out = true;
        return true;
    }
    found->differs = true;
    pthread_mutex_lock(&fetch->stage->lock);
    found->actual_size = 0;
    pthread_mutex_unlock(&fetch->stage->lock);
    return true;
}

/* ---- Comparing ---- */

static bool is_compared(const Stage *stage, const PlanEntry *entry)
{
    return entry->compare && entry->on_target && entry->source_size == entry->target_size &&
           entry->source_size > 0 && stage_is_whole(stage, entry);
}

static bool next_compared_file(void *context, FilePiece *range)
{
    FileFetch *fetch = context;
    const Plan *plan = fetch->stage->plan;

    while (fetch->index < plan->count)
    {
        const size_t index = fetch->index++;
        const PlanEntry *entry = &plan->entries[index];

        if (!is_compared(fetch->stage, entry))
            continue;
        assert(entry->rebuilt == NULL);
        *range = (FilePiece){.file = index, .path = entry->path, .size = entry->source_size};
        return true;
    }
    return false;
}

/* Ask for one byte more at the end of a file: a file that has grown is not equal. */
static uint32_t size_to_compare(void *context, const FilePiece *piece)
{
    const FileFetch *fetch = context;
    const PlanEntry *entry = &fetch->stage->plan->entries[piece->file];

    return piece->asked_size + (piece->offset + piece->size == entry->source_size);
}

/* Compare a piece by the source's digest or bytes. */
static bool compare_with_answer(void *context, PieceWorker *worker, const FilePiece *piece,
                                const uint8_t *bytes, size_t size, Error *error)
{
    FileFetch *fetch = context;
    const Source *source = fetch->source;
    const PlanEntry *entry = &fetch->stage->plan->entries[piece->file];
    const PieceAnswer answer = {source->digest, bytes, size};
    size_t length;

    if (bytes == NULL)
        return note_gone(fetch, piece, error);
    if (source->directory == NULL && size != DIGEST_SIZE)
        return error_set(error, ERROR_FAILED, "received a digest of %zu bytes", size);
    if (!piece_read_target(&worker->file, fetch->stage->target_directory, piece, worker->bytes,
                           &length, error))
        return false;
    progress_add(piece->size);
    if (length != piece->size || (answer.digest == DIGEST_NONE && size != length) ||
        !piece_answer_equals(&answer, piece->size, 0, worker->bytes, length))
        stage_state_of(fetch->stage, entry)->differs = true;
    return true;
}

static bool compare_files(FileFetch *fetch, Error *error)
{
    Stage *stage = fetch->stage;
    const Plan *plan = stage->plan;
    Source *source = fetch->source;
    uint64_t bytes = 0;
    FilePieces pieces = {.source = source,
                         .digests = true,
                         .piece_size = rate_piece(source->rate, COMPARED_PIECE_SIZE),
                         .batch_pieces_max = FETCH_COUNT_MAX,
                         .batch_bytes_max = BATCH_BYTES_MAX,
                         .bytes_size = COMPARED_PIECE_SIZE + 1,
                         .context = fetch,
                         .lock = &stage->lock,
                         .next_range = next_compared_file,
                         .size_to_ask = size_to_compare,
                         .take_answer = compare_with_answer};

    if (source->directory == NULL && source->digest == DIGEST_NONE)
        return true;
    for (size_t index = 0; index < plan->count; index++)
    {
        if (is_compared(stage, &plan->entries[index]))
            bytes += plan->entries[index].source_size;
    }
    progress_begin(PROGRESS_COMPARE_FILES, bytes);
    if (!progress_end(file_pieces_ask(&pieces, fetch->workers, error)))
        return false;
    /* A compared file that is not known to differ is equal. */
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        StagingState *found = stage_state_of(stage, entry);

        if (!is_compared(stage, entry) || found->differs)
            continue;
        found->equal = true;
        stage->statistics.compared_bytes += entry->source_size;
    }
    return true;
}

/* ---- The ranges to fetch, and their places in the data files ---- */

static bool next_fetched_range(void *context, FilePiece *range)
{
    FileFetch *fetch = context;
    Stage *stage = fetch->stage;

    for (; fetch->index < fetch->stage->plan->count; fetch->index++, fetch->offset = 0)
    {
        const PlanEntry *entry = &fetch->stage->plan->entries[fetch->index];
        const bool laid_out = stage_is_laid_out(stage, entry);
        uint64_t size;

        if ((!laid_out && !stage_is_whole(stage, entry)) ||
            !plan_next_range(stage->plan, entry, &fetch->offset, &size))
            continue;
        if (size > RANGE_SIZE_MAX)
            size = RANGE_SIZE_MAX;
        *range = (FilePiece){
            .file = fetch->index, .path = entry->path, .offset = fetch->offset, .size = size};
        if (laid_out)
        {
            StagingState *found = &stage->staging_states[fetch->index];
            Root *root;

            /* Append the range to the root's data file. The offset of the file's first range is
             * noted for the journal. */
            range->destination = roots_index(&stage->roots, entry->path);
            root = &stage->roots.roots[range->destination];
            range->destination_offset = root->data_size;
            if (found->data_offset == DATA_OFFSET_NONE)
                found->data_offset = root->data_size;
            root->data_size += size;
        }
        fetch->offset += range->size;
        return true;
    }
    return false;
}

/* The last piece of a small file is asked for as if the file were large, so that one that has grown
 * comes whole, in one call. */
static uint32_t size_to_fetch(void *context, const FilePiece *piece)
{
    const FileFetch *fetch = context;
    const PlanEntry *entry = &fetch->stage->plan->entries[piece->file];
    const bool may_have_grown = entry->kind != KIND_RELATION && entry->kind != KIND_FORK &&
                                entry->source_size <= FETCH_SIZE_MAX &&
                                piece->offset + piece->size == entry->source_size &&
                                !stage_is_laid_out(fetch->stage, entry);

    return may_have_grown ? FETCH_SIZE_MAX : piece->asked_size;
}

static void count_fetched(const FileFetch *fetch, const FilePiece *piece, size_t size)
{
    Stage *stage = fetch->stage;
    const PlanEntry *entry = &fetch->stage->plan->entries[piece->file];
    const uint64_t end = piece->offset + size;
    StagingState *found = stage_state_of(stage, entry);

    pthread_mutex_lock(&stage->lock);
    if (size < piece->size && end < found->actual_size)
        found->actual_size = end;
    stage->statistics.fetched_bytes += size;
    stage->statistics.fetched_bytes_by_kind[entry->kind] += size;
    pthread_mutex_unlock(&stage->lock);
    progress_add(size);
}

/* ---- Writing ---- */

/* Find the file and offset to which the piece is written. The staged file of an entry is kept open
 * for the following pieces of the entry. */
static bool find_destination(const FileFetch *fetch, PieceWorker *worker, const FilePiece *piece,
                             FileRange *destination, Error *error)
{
    Stage *stage = fetch->stage;
    const PlanEntry *entry = &stage->plan->entries[piece->file];
    OpenFile *staged = &worker->file;
    AUTO_BUFFER Buffer path = {0};

    if (stage_is_laid_out(stage, entry))
        return stage_data_open(stage, &stage->roots.roots[piece->destination],
                               piece->destination_offset, destination, error);
    if (staged->purpose != piece->path)
    {
        if (!open_file_switch(staged, stage_entry_local(stage, entry, &path), OPEN_TO_CREATE, NULL,
                              error))
            return false;
        staged->purpose = piece->path;
        fetch->fetchers[worker->number].direct = fetch->source->is_server &&
                                                 stage_is_written_direct(stage, entry) &&
                                                 file_set_direct(staged->fd, true);
    }
    *destination = (FileRange){staged->fd, staged->path, piece->offset};
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

/*
 * Write a piece of a file that is staged whole, with O_DIRECT as far as alignment allows. The
 * first unaligned piece, usually the end of the file, and all later ones go through the page cache.
 */
static bool write_whole(const FileFetch *fetch, const PieceWorker *worker,
                        const FileRange *destination, const uint8_t *bytes, size_t size,
                        Error *error)
{
    FileFetcher *fetcher = &fetch->fetchers[worker->number];
    uint8_t *aligned = worker->bytes + GATHER_SIZE;

    if (!fetcher->direct)
        return write_staged(destination, bytes, size, error);
    if (destination->offset % FILE_DIRECT_UNIT == 0 && size % FILE_DIRECT_UNIT == 0 &&
        size <= FETCH_SIZE_MAX)
    {
        memcpy(aligned, bytes, size);
        if (file_write_at(destination->fd, destination->path, aligned, size, destination->offset,
                          error))
            return true;
        if (error->error_number != EINVAL)
            return false;
    }
    fetcher->direct = false;
    if (!file_set_direct(destination->fd, false))
        return error_set_errno(error, "could not write file \"%s\"", destination->path);
    return write_staged(destination, bytes, size, error);
}

/* Write the gathered blocks; called at the end of a batch. */
static bool write_gathered(void *context, PieceWorker *worker, Error *error)
{
    const FileFetch *fetch = context;
    FileFetcher *fetcher = &fetch->fetchers[worker->number];
    const size_t size = fetcher->gathered_size;

    fetcher->gathered_size = 0;
    return write_staged(&fetcher->gathered, worker->bytes, size, error);
}

/* Gather single blocks, to write many of them at a time. */
static bool gather_blocks(FileFetch *fetch, PieceWorker *worker, const FileRange *destination,
                          const uint8_t *bytes, size_t size, Error *error)
{
    FileFetcher *fetcher = &fetch->fetchers[worker->number];

    if ((destination->fd != fetcher->gathered.fd || size > GATHER_SIZE - fetcher->gathered_size ||
         destination->offset != fetcher->gathered.offset + fetcher->gathered_size) &&
        !write_gathered(fetch, worker, error))
        return false;
    if (fetcher->gathered_size == 0)
        fetcher->gathered = *destination;
    memcpy(worker->bytes + fetcher->gathered_size, bytes, size);
    fetcher->gathered_size += size;
    return true;
}

/* ---- One piece ---- */

static bool stage_fetched_bytes(void *context, PieceWorker *worker, const FilePiece *piece,
                                const uint8_t *bytes, size_t size, Error *error)
{
    FileFetch *fetch = context;
    const Stage *stage = fetch->stage;
    FileRange destination;
    bool ok;

    if (bytes == NULL)
        return note_gone(fetch, piece, error);
    if (size > piece->asked_size)
        return error_set(error, ERROR_FAILED, "received more of file \"%s\" than was asked for",
                         piece->path);
    if (!find_destination(fetch, worker, piece, &destination, error))
        return false;
    if (!stage_is_laid_out(stage, &stage->plan->entries[piece->file]))
        ok = write_whole(fetch, worker, &destination, bytes, size, error);
    else if (size < WRITEBACK_SIZE_MIN)
        ok = gather_blocks(fetch, worker, &destination, bytes, size, error);
    else
        ok = write_staged(&destination, bytes, size, error);
    if (!ok)
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
        return note_gone(fetch, piece, error);
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

static bool fetch_files(FileFetch *fetch, Error *error)
{
    Stage *stage = fetch->stage;
    Source *source = fetch->source;
    const uint64_t share =
        stage->plan->fetch_bytes / ((uint64_t) fetch->workers * FETCH_BATCHES_PER_WORKER);
    FilePieces pieces = {.source = source,
                         .piece_size = rate_piece(source->rate, FETCH_SIZE_MAX),
                         .batch_pieces_max = FETCH_COUNT_MAX,
                         .batch_bytes_max = share < FETCH_BATCH_BYTES_MIN ? FETCH_BATCH_BYTES_MIN
                                            : share > BATCH_BYTES_MAX     ? BATCH_BYTES_MAX
                                                                          : share,
                         .bytes_size = GATHER_SIZE + FETCH_SIZE_MAX,
                         .ends_reading = true,
                         .written = stage->written,
                         .context = fetch,
                         .lock = &stage->lock,
                         .next_range = next_fetched_range,
                         .size_to_ask = size_to_fetch,
                         .take_answer = stage_fetched_bytes,
                         .take_file = copy_source_file,
                         .end_batch = write_gathered};

    fetch->index = 0;
    fetch->fetchers =
        arena_allocate(stage->arena, (size_t) fetch->workers * sizeof(*fetch->fetchers));
    /* Files that were found equal are not fetched. */
    progress_begin(PROGRESS_FETCH, stage->plan->fetch_bytes - stage->statistics.compared_bytes);
    return progress_end(file_pieces_ask(&pieces, fetch->workers, error));
}

/* Give a staged file its size and mode. The mode is set last: with mode 0400 the file could not be
 * opened for writing again. */
static bool conclude_file(const FileFetch *fetch, const PlanEntry *entry, Error *error)
{
    const Stage *stage = fetch->stage;
    const char *directory = fetch->source->directory;
    const StagingState *found = stage_state_of(stage, entry);
    const bool resized = found->actual_size != SIZE_AS_PLANNED || found->copied;
    AUTO_BUFFER Buffer path = {0}, source = {0};
    const char *local = stage_entry_local(stage, entry, &path);
    const mode_t made = entry->cluster_mode ? file_mode() : PRIVATE_MODE;
    mode_t mode = made;
    int fd = -1;
    bool ok;

    if ((entry->on_target || !entry->cluster_mode) &&
        !stage_mode(stage, entry->path, entry->cluster_mode,
                    directory != NULL ? path_in(&source, directory, entry->path) : NULL, &mode,
                    error))
        return false;
    if (!resized && mode == made)
        return true;
    ok = file_create(local, CREATE_MISSING, &fd, error) &&
         (!resized || file_truncate(fd, local, stage_final_size(stage, entry), error)) &&
         file_set_mode(fd, local, mode, error);
    written_keep(stage->written, fd, local);
    return ok;
}

/* Give all staged files their size, and those that are staged whole their mode. */
static bool conclude_files(const FileFetch *fetch, Error *error)
{
    Stage *stage = fetch->stage;

    for (size_t index = 0; index < stage->plan->count; index++)
    {
        const PlanEntry *entry = &stage->plan->entries[index];

        if (stage_is_whole(stage, entry) && !conclude_file(fetch, entry, error))
            return false;
    }
    /* Data files read as zeros where a segment lacked bytes; extend them in case the missing bytes
     * are the last ones. */
    for (size_t index = 0; index < stage->roots.count; index++)
    {
        Root *root = &stage->roots.roots[index];
        FileRange data;

        if (root->data_size > 0 && (!stage_data_open(stage, root, 0, &data, error) ||
                                    !file_truncate(data.fd, data.path, root->data_size, error)))
            return false;
    }
    return true;
}

/*
 * A server that writes to a source directory would make the copy inconsistent. A file whose size
 * has changed shows that one does, and pg_rewind cannot know what else it changed. Checked after
 * everything is copied, so that no change is missed: neither between the list and the copy, nor in
 * a file that is empty or was equal. (Rule C53.)
 */
static bool check_source_sizes(const FileFetch *fetch, Error *error)
{
    const Stage *stage = fetch->stage;
    const char *directory = fetch->source->directory;

    for (size_t index = 0; index < stage->plan->count; index++)
    {
        const PlanEntry *entry = &fetch->stage->plan->entries[index];
        AUTO_BUFFER Buffer path = {0};
        struct stat status;
        bool found;

        if (!stage_state_of(stage, entry)->equal && !stage_is_whole(stage, entry) &&
            !stage_is_laid_out(stage, entry))
            continue;
        path_in(&path, directory, entry->path);
        if (!file_stat(buffer_string(&path), &status, &found, error))
            return false;
        if (!found)
            return error_vanished(directory, entry->path, error);
        if ((uint64_t) status.st_size > entry->source_size ||
            ((uint64_t) status.st_size < entry->source_size && !entry->settled))
            return error_set(
                error, ERROR_FAILED,
                "size of source file \"%s\" changed concurrently: %llu bytes expected, %llu copied",
                buffer_string(&path), (unsigned long long) entry->source_size,
                (unsigned long long) status.st_size); /* contract */
    }
    return true;
}

bool stage_fetch(Stage *stage, Source *source, Error *error)
{
    FileFetch fetch = {.stage = stage, .source = source};

    return source->operations->start_workers(source, stage->jobs, stage->plan->fetch_bytes,
                                             &fetch.workers, error) &&
           prepare_files(stage, error) && compare_files(&fetch, error) &&
           fetch_files(&fetch, error) && conclude_files(&fetch, error) &&
           (source->directory == NULL || check_source_sizes(&fetch, error));
}
