#include "report/facts.h"

#include "base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MICROSECONDS 1000000

const char *const report_phase_names[PHASE_COUNT] = {"identify", "scan", "plan", "stage", "apply"};

Verdict report_verdict(const Report *report, int exit_status)
{
    if (exit_status == 2)
        return (Verdict){"unfinished", "begun but not finished: run the same command again"};
    if (exit_status == 3)
        return (Verdict){"impossible",
                         "impossible for this target and source; nothing was changed"};
    if (exit_status != 0)
        return (Verdict){"failed", "failed; the target is unchanged"};
    if (report->resumed && report->dry_run)
        return (Verdict){"would_finish", "dry run: an interrupted rewind would be finished"};
    if (report->resumed)
        return (Verdict){"finished", "finished a rewind that had been interrupted"};
    if (!report->rewind_needed)
        return (Verdict){"not_required", "no rewind required"};
    if (report->dry_run)
        return (Verdict){"would_rewind", "dry run: the target would be rewound"};
    return (Verdict){"rewound", "the target was rewound"};
}

uint64_t report_bytes_to_fetch(const Report *report)
{
    return report->planned_bytes + report->planned_wal_bytes;
}

uint64_t report_bytes_saved(const Report *report)
{
    uint64_t moved = report->dry_run ? report_bytes_to_fetch(report) : report->fetched_bytes;

    return report->source_bytes > moved ? report->source_bytes - moved : 0;
}

double report_seconds_total(const Report *report)
{
    double total = 0;

    for (int phase = 0; phase < PHASE_COUNT; phase++)
        total += report->seconds[phase];
    return total;
}

time_t report_unix_time(int64_t timestamp, int *microseconds)
{
    int64_t seconds = timestamp / MICROSECONDS;
    int64_t rest = timestamp % MICROSECONDS;

    if (rest < 0)
    {
        rest += MICROSECONDS;
        seconds--;
    }
    *microseconds = (int) rest;
    return (time_t) (seconds + EPOCH_2000_SECONDS);
}

const char *report_lsn_text(const Report *report, Lsn lsn, char text[LSN_TEXT_SIZE])
{
    if (report->version != NULL)
        return lsn_text(report->version, lsn, text);
    snprintf(text, LSN_TEXT_SIZE, "%X/%X", LSN_ARGS(lsn));
    return text;
}

void report_append_spaces(Buffer *text, int count)
{
    for (int i = 0; i < count; i++)
        buffer_append_u8(text, ' ');
}

const char *report_full_backup(const Report *report, char text[REPORT_FULL_BACKUP_SIZE])
{
    char lsn[LSN_TEXT_SIZE];

    if (!report->full_backup || report->divergence == LSN_INVALID)
        return NULL;
    snprintf(
        text, REPORT_FULL_BACKUP_SIZE,
        "Take a full backup when the target follows the source, unless there is one that ended "
        "before %s. Backups of the target that ended after that hold lost history. An "
        "incremental backup based on one of them can be wrong without a message: %s.",
        report_lsn_text(report, report->divergence, lsn),
        report->one_timeline
            ? "both sides used the same timeline number"
            : "the server refuses it only if that one also began after the divergence");
    return text;
}

bool report_locale_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL, *encoding;

    for (size_t i = 0; i < 3 && (locale == NULL || locale[0] == '\0'); i++)
        locale = getenv(variables[i]);
    encoding = locale != NULL ? strchr(locale, '.') : NULL;
    return encoding != NULL &&
           (strncasecmp(encoding, ".UTF-8", 6) == 0 || strncasecmp(encoding, ".utf8", 5) == 0);
}
