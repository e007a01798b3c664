#include "plan/common_wal.h"

#include "format/history.h"
#include "format/wal_summary.h"

#include <stdio.h>
#include <string.h>

/* Is the range [begin, end) of a timeline part of the history before the divergence? */
static bool wal_is_common(const PlanInput *input, Timeline timeline, Lsn begin, Lsn end)
{
    return end <= input->divergence && history_holds(input->source_history, timeline, begin, end);
}

bool plan_keeps_segment(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    return wal_is_common(input, timeline, wal_segment_start(&input->shape, segment),
                         wal_segment_start(&input->shape, segment + 1));
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
