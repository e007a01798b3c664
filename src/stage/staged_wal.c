#include "stage/staged_wal.h"

#include "base/log.h"
#include "io/file.h"

#include <stdio.h>

/* True if the rewound target needs a segment under two names, since a timeline was left inside of
 * it.
 */
static bool stages_left_segment(const WalShape *shape, Lsn from, const HistoryEntry *left, Lsn end)
{
    const uint64_t segment = wal_segment_of(shape, left->end);

    return left->end > wal_segment_start(shape, wal_segment_of(shape, from)) && left->end < end &&
           left->begin < left->end && left->end != wal_segment_start(shape, segment);
}

/* True if the segment was fetched whole, and staging only has to move its file. */
static bool is_fetched(SourceWal *source_wal, uint64_t segment)
{
    AUTO_BUFFER Buffer path = {0};
    bool may_take, found;

    return wal_segment_start(&source_wal->stream.shape, segment + 1) <= source_wal->fetched_end &&
           source_wal_find(source_wal, segment, &path, &may_take, &found, NULL) && may_take;
}

WalSpace staged_wal_space(const Clusters *clusters, SourceWal *source_wal, Lsn from, Lsn end,
                          bool dry_run)
{
    const uint64_t last = wal_segment_before(&clusters->shape, end);
    WalSpace wal = {.is_fetched = !dry_run};

    for (uint64_t segment = wal_segment_of(&clusters->shape, from); segment <= last; segment++)
    {
        if (source_wal_is_kept(source_wal, segment))
            continue;
        if (is_fetched(source_wal, segment))
            wal.fetched_bytes += clusters->shape.segment_size;
        else
            wal.written_bytes += clusters->shape.segment_size;
    }
    for (size_t i = 0; i + 1 < clusters->source_history.count; i++)
    {
        if (stages_left_segment(&clusters->shape, from, &clusters->source_history.entries[i], end))
            wal.written_bytes += clusters->shape.segment_size;
    }
    return wal;
}

/* Stage a segment that an archive has. One that was incomplete when it was fetched is no
 * substitute. */
static bool stage_archived(const StagedWal *wal, uint64_t number, StagedSegment *segment,
                           bool *found, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    bool may_take;

    if ((wal->clusters->source->is_server && !source_wal_remove(wal->source_wal, number, error)) ||
        !source_wal_find(wal->source_wal, number, &path, &may_take, found, error) ||
        (!*found && source_wal_ask_target_command(wal->source_wal) &&
         !source_wal_find(wal->source_wal, number, &path, &may_take, found, error)))
        return false;
    segment->local_path = buffer_string(&path);
    return !*found || stage_wal_segment(wal->stage, wal->clusters->source, segment, found, error);
}

/* Stage one segment up to `end`: what was fetched here before, else from the source. *found false:
 * it is nowhere. */
static bool stage_segment(const StagedWal *wal, uint64_t number, Lsn end, bool *found, Error *error)
{
    const Lsn begin = wal_segment_start(&wal->clusters->shape, number);
    const Lsn segment_end = wal_segment_start(&wal->clusters->shape, number + 1);
    Source *source = wal->clusters->source;
    char name[WAL_NAME_SIZE];
    StagedSegment segment = {.name = name,
                             .segment_size = wal->clusters->shape.segment_size,
                             .size = (uint32_t) ((end < segment_end ? end : segment_end) - begin)};
    AUTO_BUFFER Buffer path = {0};
    bool is_here = false, may_take = false;

    *found = false;
    source_wal_segment_name(wal->source_wal, number, name);
    if (segment_end <= wal->source_wal->fetched_end &&
        !source_wal_find(wal->source_wal, number, &path, &may_take, &is_here, error))
        return false;
    if (is_here && (source->is_server || may_take))
        segment.local_path = buffer_string(&path);
    if (may_take && !stage_wal_take(wal->stage, &segment, found, error))
        return false;
    return *found || (stage_wal_segment(wal->stage, source, &segment, found, error) &&
                      (*found || stage_archived(wal, number, &segment, found, error)));
}

static const char *staged_wal_directory(const StagedWal *wal)
{
    return wal->clusters->shape.version->wal_directory;
}

static const char *target_segment_path(const StagedWal *wal, const char *name, Buffer *path)
{
    buffer_clear(path);
    buffer_printf(path, "%s/%s/%s", wal->clusters->target.directory, staged_wal_directory(wal),
                  name);
    return buffer_string(path);
}

static bool add_marker(const StagedWal *wal, const char *name, bool to_archive, Error *error)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/archive_status/%s.%s", staged_wal_directory(wal), name,
             to_archive ? "ready" : "done");
    return stage_content(wal->stage, path, "", 0, error);
}

/* A standby with archive_mode = always archives the WAL that it receives. It would have received
 * the staged WAL after the divergence; WAL from before, it has archived itself. */
static bool add_segment_marker(const StagedWal *wal, uint64_t segment, const char *name,
                               Error *error)
{
    bool is_new = wal_segment_start(&wal->clusters->shape, segment + 1) > wal->input->divergence;

    return add_marker(wal, name, wal->archives_always && is_new, error);
}

/* The same for history files: in an archive without its history file no server finds a timeline. */
bool staged_wal_mark_histories(const StagedWal *wal, Error *error)
{
    const History *history = &wal->clusters->source_history;

    for (size_t i = 1; i < history->count && wal->archives_always; i++)
    {
        char name[HISTORY_NAME_SIZE], path[64];
        const PlanEntry *entry;

        history_file_name(history->entries[i].timeline, name);
        snprintf(path, sizeof(path), "%s/%s", staged_wal_directory(wal), name);
        entry = plan_find(wal->plan, path);
        if (entry != NULL && !entry->on_target && plan_final_size(entry) > 0 &&
            !stage_is_gone(wal->stage, (size_t) (entry - wal->plan->entries)) &&
            !add_marker(wal, name, true, error))
            return false;
    }
    return true;
}

/*
 * How much of the segments [first, limit) is to be copied: what is neither kept nor was fetched.
 * The end is what the source said, and may be anything: only segments that may be here are looked
 * at.
 */
static uint64_t bytes_to_copy(const StagedWal *wal, uint64_t first, uint64_t limit, Lsn end)
{
    const WalShape *shape = &wal->clusters->shape;
    const SourceWal *source_wal = wal->source_wal;
    const Lsn common_end = source_wal->store->common_end;
    const Lsn here_end =
        source_wal->fetched_end > common_end ? source_wal->fetched_end : common_end;
    uint64_t bytes;

    if (end > wal_segment_start(shape, limit))
        end = wal_segment_start(shape, limit);
    if (end <= wal_segment_start(shape, first))
        return 0;
    bytes = end - wal_segment_start(shape, first);
    for (uint64_t segment = first; segment < limit; segment++)
    {
        const Lsn begin = wal_segment_start(shape, segment);

        if (begin >= here_end)
            break;
        if (source_wal_is_kept(source_wal, segment) || is_fetched(wal->source_wal, segment))
            bytes -= end - begin < shape->segment_size ? end - begin : shape->segment_size;
    }
    return bytes;
}

static bool stage_segments(const StagedWal *wal, uint64_t *next, uint64_t limit, Lsn end,
                           Error *error)
{
    AUTO_BUFFER Buffer missing = {0};
    bool result = true;

    for (; *next < limit && result; (*next)++)
    {
        char name[WAL_NAME_SIZE];
        bool found = true;

        if (source_wal_is_kept(wal->source_wal, *next))
            continue;
        source_wal_segment_name(wal->source_wal, *next, name);
        result = stage_segment(wal, *next, end, &found, error);
        if (result && !found && !wal_missing_add(&missing, name))
            break;
        if (result && found && end >= wal_segment_start(&wal->clusters->shape, *next + 1))
            result = add_segment_marker(wal, *next, name, error);
    }
    if (result && missing.size > 0)
        result =
            error_source_wal_missing(wal->clusters->shape.version, buffer_string(&missing), error);
    return result;
}

/* Stage the segments [*next, end's) that are whole, or with last set also the one that end lies in.
 */
bool staged_wal_add(const StagedWal *wal, uint64_t *next, Lsn end, bool last, Error *error)
{
    uint64_t limit = wal_segment_of(&wal->clusters->shape, end);
    uint64_t bytes;
    bool result;

    if (last && end > wal_segment_start(&wal->clusters->shape, limit))
        limit++;
    bytes = bytes_to_copy(wal, *next, limit, end);
    if (bytes == 0)
        return stage_segments(wal, next, limit, end, error);
    progress_begin(PROGRESS_FETCH_WAL, bytes);
    result = stage_segments(wal, next, limit, end, error);
    progress_end(result);
    return result;
}

/* The older timeline's file of the segment in which it was left: the newest one's has the same
 * bytes up to there. */
static bool stage_left_segment(const StagedWal *wal, const HistoryEntry *left, Error *error)
{
    uint64_t segment = wal_segment_of(&wal->clusters->shape, left->end);
    Lsn begin = wal_segment_start(&wal->clusters->shape, segment);
    char name[WAL_NAME_SIZE], newest[WAL_NAME_SIZE];
    StagedSegment older = {.name = name,
                           .segment_size = wal->clusters->shape.segment_size,
                           .size = (uint32_t) (left->end - begin)};
    AUTO_BUFFER Buffer path = {0};
    bool found;

    wal_segment_name(&wal->clusters->shape, left->timeline, segment, name);
    path_in(&path, staged_wal_directory(wal), name);
    if (plan_keeps_segment(wal->input, left->timeline, segment) &&
        listing_find(wal->input->target, buffer_string(&path)) != NULL)
        return true;
    source_wal_segment_name(wal->source_wal, segment, newest);
    older.local_path = stage_wal_path(wal->stage, newest);
    if (older.local_path == NULL)
        older.local_path = target_segment_path(wal, newest, &path);
    return stage_wal_segment(wal->stage, wal->clusters->source, &older, &found, error) &&
           add_marker(wal, name, false, error);
}

/*
 * Replay reads a segment from its newest timeline's file. But while it is still on an older
 * timeline, the server reads prepared transactions from that one's file (XlogReadTwoPhaseData), as
 * a standby that followed the switch has it.
 */
bool staged_wal_add_left(const StagedWal *wal, Lsn end, Error *error)
{
    const History *history = &wal->clusters->source_history;

    for (size_t i = 0; i + 1 < history->count; i++)
    {
        const HistoryEntry *left = &history->entries[i];

        if (stages_left_segment(&wal->clusters->shape, wal->from, left, end) &&
            !stage_left_segment(wal, left, error))
            return false;
    }
    return true;
}

bool staged_wal_open(void *context, Timeline timeline, uint64_t segment, int *fd, bool *found,
                     Error *error)
{
    const StagedWal *wal = context;
    char name[WAL_NAME_SIZE];
    AUTO_BUFFER Buffer path = {0};
    const char *staged;

    wal_segment_name(&wal->clusters->shape, timeline, segment, name);
    staged = stage_wal_path(wal->stage, name);
    *found = staged != NULL || source_wal_is_kept(wal->source_wal, segment);
    return !*found ||
           file_open_read(staged != NULL ? staged : target_segment_path(wal, name, &path), fd,
                          found, error);
}
