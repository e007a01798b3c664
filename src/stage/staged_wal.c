#include "stage/staged_wal.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_SIZE (2u * 1024 * 1024)

/* Copy the wanted bytes of a segment, in pieces as its rate allows. */
static bool copy_segment(const StagedSegment *segment, const char *path, int *to_fd, Error *error)
{
    const uint32_t piece_size = rate_piece(segment->rate, COPY_SIZE);
    FileRange from = {.path = segment->local_path}, to = {.path = path};
    AUTO_FD int fd = -1;
    uint64_t copied = 0;

    if (!file_create(path, CREATE_EMPTY, to_fd, error) ||
        (segment->size < segment->segment_size &&
         !file_reserve(*to_fd, path, segment->segment_size, error)) ||
        !file_open_read(from.path, &fd, NULL, error))
        return false;
    from.fd = fd;
    to.fd = *to_fd;
    for (; from.offset < segment->size; from.offset = to.offset += copied)
    {
        const uint64_t left = segment->size - from.offset;

        if (!file_copy_range(&from, &to, left < piece_size ? left : piece_size, &copied, error) ||
            !rate_take(segment->rate, copied, error))
            return false;
        progress_add(copied);
        if (copied == 0)
            return error_set(error, ERROR_FAILED, "WAL file \"%s\" is shorter than %u bytes",
                             from.path, segment->size);
    }
    return file_set_mode(*to_fd, path, file_mode(), error);
}

/* True if the file can be moved. A file of which only a part is wanted is cut, so it must be
 * writable, and have no other hard link, such as a restore command may create. */
static bool can_take(const StagedSegment *segment)
{
    struct stat status;

    return segment->size == segment->segment_size ||
           (lstat(segment->local_path, &status) == 0 && S_ISREG(status.st_mode) &&
            status.st_nlink == 1 && (status.st_mode & S_IWUSR) != 0 && status.st_uid == geteuid() &&
            (uint64_t) status.st_size >= segment->size);
}

/* Open a file that was moved, since its proof reads it again. Bytes after the
 * wanted ones are cut off. */
static bool open_taken(const StagedSegment *segment, const char *path, int *fd, Error *error)
{
    return segment->size == segment->segment_size
               ? file_open_read(path, fd, NULL, error)
               : file_open_update(path, fd, error) &&
                     file_truncate(*fd, path, segment->size, error) &&
                     file_reserve(*fd, path, segment->segment_size, error);
}

bool stage_wal_segment(Stage *stage, const StagedSegment *segment, Error *error)
{
    AUTO_BUFFER Buffer path_buffer = {0}, staged = {0}, local_buffer = {0};
    const char *path = path_in(&path_buffer, stage->plan->wal_directory, segment->name);
    const char *local =
        stage_local(stage, stage_name(stage, path, segment->name, &staged), &local_buffer);
    const bool may_take = segment->take && can_take(segment);
    const bool taken = may_take && file_rename(segment->local_path, local, error);
    StageStatistics *statistics = &stage->statistics;
    ExtraFile *extra;
    int fd = -1;
    bool ok;

    assert(segment->size <= segment->segment_size);
    if (may_take && !taken && error->error_number != EXDEV)
        return false;
    /* A file that is taken was written when it was fetched: the proof of the chain reads it again,
     * in case it has changed in the meantime. */
    ok = taken ? open_taken(segment, local, &fd, error) : copy_segment(segment, local, &fd, error);
    if (ok)
        file_begin_writeback(fd, 0, segment->size);
    written_keep(stage->written, fd, local);
    if (!ok)
        return false;
    if (taken)
        progress_add(segment->size);
    extra = stage_add_extra(stage, path, buffer_string(&staged));
    extra->fetched_bytes = segment->fetched_bytes;
    if (segment->take && segment->size == segment->segment_size)
        extra->taken_from = arena_strdup(stage->arena, segment->local_path);
    statistics->fetched_bytes += segment->fetched_bytes;
    statistics->fetched_bytes_by_kind[KIND_WAL] += segment->fetched_bytes;
    return taken || !segment->take || file_remove(segment->local_path, error);
}

void stage_return_wal(Stage *stage)
{
    Error why;

    stage_close_files(stage);
    for (size_t i = 0; i < stage->extra_count; i++)
    {
        const ExtraFile *extra = &stage->extras[i];

        if (extra->taken_from == NULL)
            continue;
        if (file_move(extra->local, extra->taken_from, &why))
        {
            stage->statistics.fetched_bytes -= extra->fetched_bytes;
            stage->statistics.fetched_bytes_by_kind[KIND_WAL] -= extra->fetched_bytes;
        }
        else
            log_debug("%s", why.message);
    }
}

const char *stage_wal_path(const Stage *stage, const char *name)
{
    AUTO_BUFFER Buffer path = {0};
    const ExtraFile *extra =
        stage_find_extra(stage, path_in(&path, stage->plan->wal_directory, name));

    return extra != NULL ? extra->local : NULL;
}

/* True if the rewound target needs a segment under two names, since a timeline was left inside of
 * it, and lacks the older one's. */
static bool stages_left_segment(const SourceWal *source_wal, const PlanInput *input,
                                const HistoryEntry *left, Lsn end)
{
    const uint64_t segment = wal_segment_of(&input->shape, left->end);
    const bool is_staged = segment >= wal_segment_of(&input->shape, input->wal_from);
    AUTO_BUFFER Buffer path = {0};
    char name[WAL_NAME_SIZE];
    const ListedFile *file;

    if (left->begin >= left->end || left->end >= end ||
        left->end == wal_segment_start(&input->shape, segment) ||
        (!is_staged && !(wal_store_keeps(source_wal->store, segment) &&
                         plan_summarizer_reads(input, left->timeline))))
        return false;
    wal_segment_name(&input->shape, left->timeline, segment, name);
    file = listing_find(input->target, path_in(&path, input->version->wal_directory, name));
    return file == NULL || !plan_keeps_wal_file(input, file);
}

WalSpace staged_wal_space(const SourceWal *source_wal, const PlanInput *input, Lsn end)
{
    const Clusters *clusters = source_wal->clusters;
    const uint64_t last = wal_segment_before(&clusters->shape, end);
    const bool dry_run = source_wal->options.dry_run;
    WalSpace wal = {.segment_size = clusters->shape.segment_size,
                    .is_fetched = !dry_run,
                    .scratch = dry_run ? source_wal->scratch->path : NULL};
    uint32_t fetched;

    for (uint64_t segment = wal_segment_of(&clusters->shape, input->wal_from); segment <= last;
         segment++)
    {
        if (wal_store_keeps(source_wal->store, segment))
            continue;
        fetched = source_wal_fetched_bytes(source_wal, segment);
        wal.fetched_bytes += fetched;
        wal.written_bytes += clusters->shape.segment_size - fetched;
    }
    for (size_t i = 0; i + 1 < clusters->source_history.count; i++)
    {
        if (stages_left_segment(source_wal, input, &clusters->source_history.entries[i], end))
            wal.written_bytes += clusters->shape.segment_size;
    }
    return wal;
}

/* Stage one segment up to `end`. *found is false if neither the source nor an archive has it. */
static bool stage_segment(const StagedWal *wal, uint64_t number, Lsn end, bool *found, Error *error)
{
    SourceWal *source_wal = wal->source_wal;
    const Source *source = source_wal->clusters->source;
    const WalShape *shape = &wal->input->shape;
    const Lsn begin = wal_segment_start(shape, number);
    const Lsn segment_end = wal_segment_start(shape, number + 1);
    StagedSegment segment = {.name = SEGMENT_NAME(&source_wal->store->stream, number),
                             .segment_size = shape->segment_size,
                             .size = (uint32_t) ((end < segment_end ? end : segment_end) - begin)};
    AUTO_BUFFER Buffer path = {0};
    bool may_take;

    if (!source_wal_fetch(source_wal, begin, begin + segment.size, error) ||
        !source_wal_find(source_wal, number, &path, &may_take, found, error))
        return false;
    if (!*found)
        return true;
    segment.local_path = buffer_string(&path);
    segment.take = may_take;
    /* The rate limits only copies from a source directory: a fetched file was limited when it was
     * fetched, and an archive is not the source. */
    segment.rate = may_take || source->is_server ? NULL : source->rate;
    /* A file that is copied from an archive's directory was not fetched. */
    if (may_take || !source->is_server)
    {
        const uint32_t own = source_wal_own_bytes(source_wal, number);

        segment.fetched_bytes = own < segment.size ? segment.size - own : segment.size;
    }
    return stage_wal_segment(wal->stage, &segment, error);
}

static bool add_marker(const StagedWal *wal, const char *name, bool to_archive, Error *error)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/archive_status/%s.%s", wal->stage->plan->wal_directory, name,
             to_archive ? "ready" : "done");
    return stage_content(wal->stage, path, "", 0, error);
}

bool staged_wal_mark_histories(const StagedWal *wal, Error *error)
{
    const History *history = wal->input->source_history;

    for (size_t i = 1; i < history->count && wal->archives_always; i++)
    {
        char name[HISTORY_NAME_SIZE], path[64];
        const PlanEntry *entry;

        history_file_name(history->entries[i].timeline, name);
        snprintf(path, sizeof(path), "%s/%s", wal->stage->plan->wal_directory, name);
        entry = plan_find(wal->stage->plan, path);
        if (entry != NULL && !entry->on_target && entry->source_size > 0 &&
            !stage_state_of(wal->stage, entry)->left_out && !add_marker(wal, name, true, error))
            return false;
    }
    return true;
}

/*
 * Stage segments from *next on, and mark their archive status. With archive_mode = always a standby
 * archives the WAL that it receives: staged WAL from after the divergence is marked .ready. The
 * target has archived the WAL from before the divergence itself.
 */
static bool stage_segments(const StagedWal *wal, uint64_t *next, uint64_t limit, Lsn end,
                           Error *error)
{
    const WalShape *shape = &wal->input->shape;
    AUTO_BUFFER Buffer missing = {0};

    for (; *next < limit; (*next)++)
    {
        const Lsn segment_end = wal_segment_start(shape, *next + 1);
        const bool is_new = segment_end > wal->input->divergence;
        const char *name = SEGMENT_NAME(&wal->source_wal->store->stream, *next);
        bool found;

        if (wal_store_keeps(wal->source_wal->store, *next))
        {
            progress_add(shape->segment_size);
            continue;
        }
        if (!stage_segment(wal, *next, end, &found, error) ||
            (found && end >= segment_end &&
             !add_marker(wal, name, wal->archives_always && is_new, error)))
            return false;
        if (!found && !wal_missing_add(&missing, name))
            break;
    }
    return missing.size == 0 ||
           error_source_wal_missing(shape->version, buffer_string(&missing), error);
}

bool staged_wal_add(const StagedWal *wal, uint64_t *next, Lsn end, bool last, Error *error)
{
    const WalShape *shape = &wal->input->shape;
    const Lsn begin = wal_segment_start(shape, *next);
    uint64_t limit = wal_segment_of(shape, end);
    bool result;

    if (last && end > wal_segment_start(shape, limit))
        limit++;
    else
        end = wal_segment_start(shape, limit);
    /* WAL that is still to be fetched counts in the progress when it is staged. */
    wal->source_wal->progress = WAL_FETCH_IS_SILENT;
    progress_begin(last ? PROGRESS_STAGE_NEW_WAL : PROGRESS_STAGE_WAL,
                   end > begin ? end - begin : 0);
    result = progress_end(stage_segments(wal, next, limit, end, error));
    wal->source_wal->progress = WAL_FETCH_IS_PHASE;
    return result;
}

bool staged_wal_add_left(const StagedWal *wal, Lsn end, Error *error)
{
    const History *history = wal->input->source_history;
    const WalShape *shape = &wal->input->shape;

    for (size_t i = 0; i + 1 < history->count; i++)
    {
        const HistoryEntry *left = &history->entries[i];
        const uint64_t segment = wal_segment_of(shape, left->end);
        const char *newest;
        char name[WAL_NAME_SIZE];
        StagedSegment older = {.name = name,
                               .segment_size = shape->segment_size,
                               .size = (uint32_t) (left->end - wal_segment_start(shape, segment))};
        AUTO_BUFFER Buffer path = {0}, local = {0};

        if (!stages_left_segment(wal->source_wal, wal->input, left, end))
            continue;
        wal_segment_name(shape, left->timeline, segment, name);
        newest = SEGMENT_NAME(&wal->source_wal->store->stream, segment);
        /* The newest timeline's file of the segment has the same bytes up to there. */
        older.local_path = stage_wal_path(wal->stage, newest);
        if (older.local_path == NULL) /* the target keeps the segment in pg_wal */
            older.local_path = stage_local(
                wal->stage, path_in(&path, wal->stage->plan->wal_directory, newest), &local);
        if (!stage_wal_segment(wal->stage, &older, error) || !add_marker(wal, name, false, error))
            return false;
    }
    return true;
}

bool staged_wal_open(void *context, uint64_t segment, int *fd, bool *found, Error *error)
{
    const StagedWal *wal = context;
    const Stage *stage = wal->stage;
    const char *name = SEGMENT_NAME(&wal->source_wal->store->stream, segment);
    const char *staged = stage_wal_path(stage, name);
    AUTO_BUFFER Buffer path = {0}, local = {0};

    *found = staged != NULL || wal_store_keeps(wal->source_wal->store, segment);
    if (staged == NULL)
        staged = stage_local(stage, path_in(&path, stage->plan->wal_directory, name), &local);
    return !*found || file_open_read(staged, fd, found, error);
}
