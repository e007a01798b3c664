#include "plan/common_wal.h"

#include "base/text_cursor.h"
#include "format/history.h"

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
    TextCursor name = text_cursor(path + strlen("pg_wal/summaries/"));
    uint32_t parts[5];

    if (strspn(name.position, UPPER_HEX_DIGITS) != 40)
        return false;
    for (size_t i = 0; i < 5; i++)
        if (!text_take_hex(&name, 8, &parts[i]))
            return false;
    return strcmp(name.position, ".summary") == 0 &&
           wal_is_common(input, parts[0], (Lsn) parts[1] << 32 | parts[2],
                         (Lsn) parts[3] << 32 | parts[4]);
}
