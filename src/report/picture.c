#include "report/facts.h"

#define PICTURE_COLUMNS_MAX 100
#define TIMELINES_SHOWN_MAX 4

/* Signs of the picture, each one byte and one column wide, and the UTF-8 signs that replace them.
 * No other text of the picture has these bytes. */
static const struct
{
    char sign;
    const char *utf8;
} signs[] = {{'-', "─"}, {'+', "┬"}, {'`', "└"}, {'>', "▶"}, {'*', "●"}, {'.', "…"}};
#define SIGN_COUNT (sizeof(signs) / sizeof(signs[0]))

/* Append the timelines of the entries first .. last - 1: "1 -- 2 -- . -- 9". Of many timelines the
 * middle ones are left out. */
static void append_timelines(const History *history, size_t first, size_t last, Buffer *text)
{
    size_t count = last - first;

    for (size_t i = 0; i < count; i++)
    {
        if (i > 0)
            buffer_append_string(text, " -- ");
        if (count > TIMELINES_SHOWN_MAX && i == 1)
        {
            buffer_append_string(text, ".");
            i = count - 3;
        }
        else
            buffer_printf(text, "%u", history->entries[first + i].timeline);
    }
}

/* Append the common part of the histories, with the last common checkpoint: "1 ---*-- 2 ---". */
static void append_common(const Report *report, Buffer *text)
{
    const History *history = &report->run->session.clusters.source_history;
    const ScanCheckpoint *common = report_common_checkpoint(report);
    const Lsn divergence = report->run->divergence.printed;
    size_t end = 0; /* count of entries that begin before the divergence */
    size_t checkpoint = 0;

    while (end < history->count && history->entries[end].begin < divergence)
    {
        if (common != NULL && history->entries[end].timeline == common->checkpoint.timeline)
            checkpoint = end;
        end++;
    }
    if (end == 0)
        return;
    append_timelines(history, 0, checkpoint + 1, text);
    buffer_append_string(text, common != NULL ? " --*--" : " --");
    if (checkpoint + 1 < end)
    {
        buffer_append_u8(text, ' ');
        append_timelines(history, checkpoint + 1, end, text);
        buffer_append_string(text, " --");
    }
}

/* Append the timelines of one side after the divergence: "-- 2 -- 3 --> 0/5000000". */
static void append_branch(const Report *report, const History *history, Lsn end, Buffer *text)
{
    const Lsn divergence = report->run->divergence.printed;

    buffer_append_string(text, "--");
    if (end == LSN_INVALID || end > divergence)
    {
        buffer_append_u8(text, ' ');
        append_timelines(history, history_entry_at(history, divergence), history->count, text);
        buffer_append_string(text, " --");
    }
    buffer_append_string(text, ">");
    if (end != LSN_INVALID)
        buffer_printf(text, " %s", report_lsn(report, end));
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Append the two lines and a legend of their signs: beside the lines, or below if that would be too
 * wide. */
static void append_with_legend(const Report *report, const Buffer lines[2], Buffer *text)
{
    const ScanCheckpoint *common = report_common_checkpoint(report);
    AUTO_BUFFER Buffer checkpoint = {0}, divergence = {0};

    if (common != NULL)
        buffer_printf(&checkpoint, "* last common checkpoint %s", report_lsn(report, common->lsn));
    buffer_printf(&divergence, "+ divergence %s",
                  report_lsn(report, report->run->divergence.printed));

    const char *legend[2] = {buffer_string(&checkpoint), buffer_string(&divergence)};
    const size_t width = max_size(lines[0].size, lines[1].size);
    const bool beside =
        width + 5 + max_size(checkpoint.size, divergence.size) <= PICTURE_COLUMNS_MAX;

    for (int i = 0; i < 2; i++)
    {
        buffer_append(text, lines[i].bytes, lines[i].size);
        if (beside && legend[i][0] != '\0')
            buffer_printf(text, "%*s%s", (int) (width + 5 - lines[i].size), "", legend[i]);
        buffer_append_u8(text, '\n');
    }
    for (int i = 0; i < 2; i++)
        if (!beside && legend[i][0] != '\0')
            buffer_printf(text, "           %s\n", legend[i]);
}

static void append_picture(const Report *report, Buffer *text)
{
    const Clusters *clusters = &report->run->session.clusters;
    const History *source = &clusters->source_history, *target = &clusters->target_history;
    const Lsn source_end = run_source_end(report->run), target_end = report_target_end(report);
    const Lsn ends[] = {source_end, target_end};
    Buffer lines[2] = {{0}};

    if (source->count == 0 || target->count == 0)
        return;
    if (report->run->divergence.printed == LSN_INVALID)
    {
        for (int side = 0; side < 2; side++)
        {
            const History *history = side == 0 ? source : target;

            buffer_append_string(text, side == 0 ? "  source   " : "  target   ");
            append_timelines(history, 0, history->count, text);
            buffer_append_string(text, " -->");
            if (ends[side] != LSN_INVALID)
                buffer_printf(text, " %s", report_lsn(report, ends[side]));
            buffer_append_u8(text, '\n');
        }
        return;
    }

    buffer_append_string(&lines[0], "  source   ");
    append_common(report, &lines[0]);
    buffer_append_string(&lines[1], "  target   ");
    buffer_printf(&lines[1], "%*s", (int) (lines[0].size - lines[1].size), "");
    buffer_append_string(&lines[0], "+");
    append_branch(report, source, source_end, &lines[0]);
    buffer_append_string(&lines[1], "`");
    append_branch(report, target, target_end, &lines[1]);

    append_with_legend(report, lines, text);
    buffer_free(&lines[0]);
    buffer_free(&lines[1]);
}

void report_picture(const Report *report, bool utf8, Buffer *text)
{
    AUTO_BUFFER Buffer picture = {0};

    append_picture(report, &picture);
    for (size_t i = 0; i < picture.size; i++)
    {
        size_t k = 0;

        while (k < SIGN_COUNT && (uint8_t) signs[k].sign != picture.bytes[i])
            k++;
        if (utf8 && k < SIGN_COUNT)
            buffer_append_string(text, signs[k].utf8);
        else
            buffer_append_u8(text, picture.bytes[i]);
    }
}
