#include "plan/common_wal.h"

#include "format/history.h"

#include <stdio.h>
#include <string.h>

/* Is the range [begin, end) of a timeline part of the history before the divergence? */
static bool wal_is_common(const PlanInput *input, Timeline timeline, Lsn begin, Lsn end)
{
    const History *history = input->source_history;

    if (end > input->divergence)
        return false;
    for (size_t i = 0; i < history->count; i++)
    {
        const HistoryEntry *entry = &history->entries[i];

        if (entry->timeline == timeline)
            return entry->begin < end && (entry->end == LSN_INVALID || entry->end > begin);
    }
    return false;
}

bool plan_keeps_segment(const PlanInput *input, Timeline timeline, uint64_t segment)
{
    return wal_is_common(input, timeline, wal_segment_start(&input->shape, segment),
                         wal_segment_start(&input->shape, segment + 1));
}

bool plan_keeps_status(const PlanInput *input, const char *path)
{
    const char *name = path + strlen("pg_wal/archive_status/");
    const char *dot = strrchr(name, '.');
    char file[512];
    Timeline timeline;
    uint64_t segment;

    if (dot == NULL || (size_t) (dot - name) >= sizeof(file) - sizeof("pg_wal/"))
        return false;
    snprintf(file, sizeof(file), "%.*s", (int) (dot - name), name);
    if (wal_segment_name_parse(&input->shape, file, &timeline, &segment))
        return plan_keeps_segment(input, timeline, segment);
    snprintf(file, sizeof(file), "pg_wal/%.*s", (int) (dot - name), name);
    return listing_find(input->source, file) != NULL && listing_find(input->target, file) != NULL &&
           strstr(name, ".partial") == NULL;
}

bool plan_keeps_summary(const PlanInput *input, const char *path)
{
    unsigned timeline, start_high, start_low, end_high, end_low;
    const char *name = path + strlen("pg_wal/summaries/");

    if (strlen(name) != 48 || sscanf(name, "%8X%8X%8X%8X%8X.summary", &timeline, &start_high,
                                     &start_low, &end_high, &end_low) != 5)
        return false;
    return wal_is_common(input, timeline, (Lsn) start_high << 32 | start_low,
                         (Lsn) end_high << 32 | end_low);
}
