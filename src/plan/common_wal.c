#include "plan/plan.h"

#include "format/wal_summary.h"

#include <stdio.h>
#include <string.h>

#define SEGMENT_NAME_LENGTH 24
#define ARCHIVED_NAME_SIZE 64

/* The range [begin, end) of a timeline is part of the history before the divergence. */
static bool wal_is_common(const PlanInput *input, Timeline timeline, Lsn begin, Lsn end)
{
    return end <= input->divergence && history_holds(input->source_history, timeline, begin, end);
}

bool plan_segment_is_common(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    return wal_is_common(input, timeline, wal_segment_start(&input->shape, segment),
                         wal_segment_start(&input->shape, segment + 1));
}

bool plan_summarizes_wal(const Listing *files)
{
    for (size_t i = 0; i < files->count; i++)
    {
        if (relpath_below(files->files[i].path, WAL_SUMMARY_DIRECTORY) != NULL)
            return true;
    }
    return false;
}

/* True if WAL is missing between the target's common WAL and the WAL that is staged. */
static bool has_gap(const PlanInput *input)
{
    return wal_segment_of(&input->shape, input->wal_from) >
           wal_segment_of(&input->shape, input->divergence);
}

/*
 * A server that summarizes its WAL, now or once that is enabled, starts at its oldest WAL. If a gap
 * follows, the summarizer would wait for the missing WAL, and the server would keep all WAL
 * (GetOldestUnsummarizedLSN, postmaster/walsummarizer.c). But a segment that the target has
 * not archived yet stays: no other server would archive it.
 */
bool plan_keeps_segment(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    char name[WAL_NAME_SIZE], path[64];

    if (!plan_segment_is_common(input, timeline, segment))
        return false;
    if (!has_gap(input) || !input->version->has_wal_summaries)
        return true;
    wal_segment_name(&input->shape, timeline, segment, name);
    snprintf(path, sizeof(path), "%s/archive_status/%s.ready", input->version->wal_directory, name);
    return listing_find(input->target, path) != NULL;
}

/* The name and timeline of a segment that stays: the oldest timeline's first one, or the newest.
 * NULL if none stays. */
static const char *kept_segment(const PlanInput *input, bool newest, Timeline *timeline)
{
    const char *kept = NULL;
    Timeline of_file;
    uint64_t segment;

    for (size_t i = 0; i < input->target->count && (newest || kept == NULL); i++)
    {
        const char *name =
            relpath_below(input->target->files[i].path, input->version->wal_directory);

        if (name != NULL && wal_segment_name_parse(&input->shape, name, &of_file, &segment) &&
            plan_keeps_segment(input, of_file, segment))
        {
            kept = name; /* listings are ascending, so the last one is the newest */
            *timeline = of_file;
        }
    }
    return kept;
}

const char *plan_wal_before_gap(const PlanInput *input)
{
    Timeline timeline;

    return has_gap(input) ? kept_segment(input, true, &timeline) : NULL;
}

bool plan_summarizer_reads(const PlanInput *input, Timeline timeline)
{
    Timeline oldest;

    return input->version->has_wal_summaries && !has_gap(input) &&
           kept_segment(input, false, &oldest) != NULL && oldest <= timeline;
}

bool plan_is_later_history(const PlanInput *input, const char *path)
{
    const char *name = relpath_below(path, input->version->wal_directory);
    Timeline timeline;

    return name != NULL && history_file_name_parse(name, &timeline) &&
           timeline > history_last_timeline(input->source_history);
}

bool plan_keeps_wal_file(const PlanInput *input, const ListedFile *file)
{
    const char *summary = relpath_below(file->path, WAL_SUMMARY_DIRECTORY);
    const char *name = relpath_below(file->path, input->version->wal_directory);
    const char *status = name != NULL ? relpath_below(name, "archive_status") : NULL;
    const char *dot = status != NULL ? strrchr(status, '.') : NULL;
    AUTO_BUFFER Buffer base = {0}, marked_buffer = {0};
    const char *marked;
    WalSummaryRange range;
    RelationFile relation;
    Timeline timeline;
    uint64_t segment;

    if (summary != NULL)
        return !input->rests_on_histories && wal_summary_name_parse(summary, &range) &&
               wal_is_common(input, range.timeline, range.start, range.end);
    if (status == NULL)
        return name != NULL && file->size == input->shape.segment_size &&
               wal_segment_name_parse(&input->shape, name, &timeline, &segment) &&
               plan_keeps_segment(input, timeline, segment);
    /* A marker in archive_status stays where the file that it is about stays. */
    if (dot == NULL)
        return false;
    buffer_append(&base, status, (size_t) (dot - status));
    if (wal_segment_name_parse(&input->shape, buffer_string(&base), &timeline, &segment))
        return plan_keeps_segment(input, timeline, segment);
    marked = path_in(&marked_buffer, input->version->wal_directory, buffer_string(&base));
    return listing_find(input->source, marked) != NULL &&
           listing_find(input->target, marked) != NULL && !plan_is_later_history(input, marked) &&
           path_classify(&input->version_directory, &input->shape, marked, &relation) !=
               PATH_WAL_REST;
}

const char *const *plan_archived_lost(const PlanInput *input, Arena *arena, size_t *count)
{
    const Listing *files = input->target;
    const char **names = arena_allocate(arena, (files->count + 1) * sizeof(*names));
    AUTO_BUFFER Buffer directory = {0};
    const char *archived = path_in(&directory, input->version->wal_directory, "archive_status");

    *count = 0;
    for (size_t i = 0; i < files->count; i++)
    {
        const char *status = relpath_below(files->files[i].path, archived);
        const char *end = status != NULL ? strrchr(status, '.') : NULL;
        char name[ARCHIVED_NAME_SIZE], segment_name[SEGMENT_NAME_LENGTH + 1];
        Timeline timeline;
        uint64_t segment;
        bool is_lost;

        if (end == NULL || strcmp(end, ".done") != 0 || end - status >= ARCHIVED_NAME_SIZE)
            continue;
        snprintf(name, sizeof(name), "%.*s", (int) (end - status), status);
        snprintf(segment_name, sizeof(segment_name), "%.*s", SEGMENT_NAME_LENGTH, name);
        is_lost = wal_segment_name_parse(&input->shape, segment_name, &timeline, &segment)
                      ? !plan_segment_is_common(input, timeline, segment)
                      : history_file_name_parse(name, &timeline) &&
                            !history_has(input->source_history, timeline);
        if (is_lost)
            names[(*count)++] = arena_strdup(arena, name);
    }
    return names;
}
