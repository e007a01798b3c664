#include "plan/common_wal.h"

#include "base/array.h"
#include "format/history.h"
#include "format/wal_summary.h"

#include <stdio.h>
#include <string.h>

/* Is the range [begin, end) of a timeline part of the history before the divergence? */
static bool wal_is_common(const PlanInput *input, Timeline timeline, Lsn begin, Lsn end)
{
    return end <= input->divergence && history_holds(input->source_history, timeline, begin, end);
}

bool plan_segment_is_common(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    return wal_is_common(input, timeline, wal_segment_start(&input->shape, segment),
                         wal_segment_start(&input->shape, segment + 1));
}

static int compare_with_listed(const void *path, const void *file)
{
    return strcmp(path, ((const ListedFile *) file)->path);
}

bool plan_summarizes_wal(const Listing *files)
{
    const char directory[] = WAL_SUMMARY_DIRECTORY "/";
    bool found;
    const size_t first = array_search(directory, files->files, files->count, sizeof(*files->files),
                                      compare_with_listed, &found);

    return first < files->count &&
           strncmp(files->files[first].path, directory, sizeof(directory) - 1) == 0;
}

/* Does the target's common WAL not lead to the WAL that is staged? */
static bool has_gap(const PlanInput *input)
{
    return wal_segment_of(&input->shape, input->wal_from) >
           wal_segment_of(&input->shape, input->divergence);
}

static bool waits_for_archive(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    char name[WAL_NAME_SIZE], path[64];

    wal_segment_name(&input->shape, timeline, segment, name);
    snprintf(path, sizeof(path), "%s/archive_status/%s.ready", input->version->wal_directory, name);
    return listing_find(input->target, path) != NULL;
}

/*
 * A server that summarizes its WAL, now or once it is told to, begins with the oldest that it has.
 * Where a gap follows, it would wait for what is missing and keep all WAL in the meantime
 * (GetOldestUnsummarizedLSN, postmaster/walsummarizer.c). But no other server archives what the
 * target has not archived yet.
 */
bool plan_keeps_segment(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    return plan_segment_is_common(input, timeline, segment) &&
           !(has_gap(input) && input->version->has_wal_summaries &&
             !waits_for_archive(input, timeline, segment));
}

bool plan_keeps_wal_before_gap(const PlanInput *input)
{
    Timeline timeline;
    uint64_t segment;

    if (!has_gap(input))
        return false;
    for (size_t i = 0; i < input->target->count; i++)
    {
        const char *name =
            relpath_below(input->target->files[i].path, input->version->wal_directory);

        if (name != NULL && wal_segment_name_parse(&input->shape, name, &timeline, &segment) &&
            plan_keeps_segment(input, timeline, segment))
            return true;
    }
    return false;
}

bool plan_keeps_status(const PlanInput *input, const char *path)
{
    const char *directory = input->version->wal_directory;
    const char *name = path + strlen(directory) + strlen("/archive_status/");
    const char *dot = strrchr(name, '.');
    char file[512];
    Timeline timeline;
    uint64_t segment;

    if (dot == NULL || (size_t) (dot - name) >= sizeof(file) - strlen(directory) - sizeof("/"))
        return false;
    snprintf(file, sizeof(file), "%.*s", (int) (dot - name), name);
    if (wal_segment_name_parse(&input->shape, file, &timeline, &segment))
        return plan_keeps_segment(input, timeline, segment);
    snprintf(file, sizeof(file), "%s/%.*s", directory, (int) (dot - name), name);
    return listing_find(input->source, file) != NULL && listing_find(input->target, file) != NULL &&
           strstr(name, ".partial") == NULL;
}

bool plan_keeps_summary(const PlanInput *input, const char *path)
{
    WalSummaryRange range;

    return wal_summary_name_parse(path + strlen(WAL_SUMMARY_DIRECTORY "/"), &range) &&
           wal_is_common(input, range.timeline, range.start, range.end);
}
