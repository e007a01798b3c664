#include "report/report.h"

#include "base/utf8.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

#define LABEL_COLUMN 2
#define VALUE_COLUMN 28
#define PICTURE_COLUMNS_MAX 100
#define TIMELINES_SHOWN_MAX 4
#define MICROSECONDS 1000000
#define EPOCH_2000_SECONDS 946684800 /* 2000-01-01 00:00:00 UTC since 1970 */

static const char *const phase_names[PHASE_COUNT] = {"identify", "scan", "plan", "stage", "apply"};
static const char *const kind_labels[KIND_COUNT] = {[KIND_RELATION] = "tables and indexes",
                                                    [KIND_FORK] = "visibility, free space",
                                                    [KIND_WAL] = "WAL",
                                                    [KIND_STATUS] = "transaction status",
                                                    [KIND_CONFIGURATION] = "configuration",
                                                    [KIND_OTHER] = "other files"};
static const char *const kind_keys[KIND_COUNT] = {[KIND_RELATION] = "relations",
                                                  [KIND_FORK] = "other_forks",
                                                  [KIND_WAL] = "wal",
                                                  [KIND_STATUS] = "transaction_status",
                                                  [KIND_CONFIGURATION] = "configuration",
                                                  [KIND_OTHER] = "other"};

/* How it ended: a key for programs, a line for people. */
typedef struct Verdict
{
    const char *key;
    const char *text;
} Verdict;

static Verdict verdict_of(const Report *report, const Error *error, int exit_status)
{
    if (error != NULL && exit_status == 2)
        return (Verdict){"unfinished", "begun but not finished: run the same command again"};
    if (error != NULL && exit_status == 3)
        return (Verdict){"impossible",
                         "impossible for this target and source; nothing was changed"};
    if (error != NULL)
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

static uint64_t bytes_to_fetch(const Report *report)
{
    return report->planned_bytes + report->planned_wal_bytes;
}

/* Against a copy of the whole source: what was fetched, or in a dry run what would be at most. */
static uint64_t bytes_saved(const Report *report)
{
    uint64_t moved = report->dry_run ? bytes_to_fetch(report) : report->fetched_bytes;

    return report->source_bytes > moved ? report->source_bytes - moved : 0;
}

static double seconds_total(const Report *report)
{
    double total = 0;

    for (int phase = 0; phase < PHASE_COUNT; phase++)
        total += report->seconds[phase];
    return total;
}

/*
 * Microseconds since 2000 as seconds since 1970; *microseconds: the rest, never negative. No 64
 * bits of microseconds make a year that struct tm could not hold.
 */
static time_t unix_time(int64_t timestamp, int *microseconds)
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

/* As the server prints it; a report of an early failure knows no version yet. */
static const char *lsn_of(const Report *report, Lsn lsn, char text[LSN_TEXT_SIZE])
{
    if (report->version != NULL)
        return lsn_text(report->version, lsn, text);
    snprintf(text, LSN_TEXT_SIZE, "%X/%X", LSN_ARGS(lsn));
    return text;
}

/* ---- the picture ---- */

/* Columns on a terminal: every character of the picture takes one. */
static int columns_of(const char *utf8)
{
    int columns = 0;

    for (; *utf8 != '\0'; utf8++)
        columns += ((unsigned char) *utf8 & 0xC0) != 0x80;
    return columns;
}

static void append_spaces(Buffer *text, int count)
{
    for (int i = 0; i < count; i++)
        buffer_append_u8(text, ' ');
}

/* "1 ── 2 ── … ── 9": the entries first .. last - 1, the middle ones left out where there are many.
 */
static void append_timelines(const History *history, size_t first, size_t last, Buffer *text)
{
    size_t count = last - first;

    for (size_t i = 0; i < count; i++)
    {
        if (i > 0)
            buffer_append_string(text, " ── ");
        if (count > TIMELINES_SHOWN_MAX && i == 1)
        {
            buffer_append_string(text, "…");
            i = count - 3;
        }
        else
            buffer_printf(text, "%u", history->entries[first + i].timeline);
    }
}

/* Where the source's and the target's histories are the same: "1 ───●── 2 ───", with the
 * checkpoint. */
static void append_common(const Report *report, Buffer *text)
{
    const History *history = report->source_history;
    size_t end = 0; /* entries that begin before the divergence */
    size_t checkpoint = 0;

    while (end < history->count && history->entries[end].begin < report->divergence)
    {
        if (history->entries[end].timeline == report->checkpoint_timeline)
            checkpoint = end;
        end++;
    }
    if (end == 0)
        return;
    append_timelines(history, 0, checkpoint + 1, text);
    buffer_append_string(text, report->checkpoint != LSN_INVALID ? " ──●──" : " ──");
    if (checkpoint + 1 < end)
    {
        buffer_append_u8(text, ' ');
        append_timelines(history, checkpoint + 1, end, text);
        buffer_append_string(text, " ──");
    }
}

/* What one side did after the divergence: "── 2 ── 3 ──▶ 0/5000000". */
static void append_branch(const Report *report, const History *history, Lsn end, Buffer *text)
{
    char lsn[LSN_TEXT_SIZE];

    buffer_append_string(text, "──");
    if (end == LSN_INVALID || end > report->divergence)
    {
        buffer_append_u8(text, ' ');
        append_timelines(history, history_entry_at(history, report->divergence), history->count,
                         text);
        buffer_append_string(text, " ──");
    }
    buffer_append_string(text, "▶");
    if (end != LSN_INVALID)
        buffer_printf(text, " %s", lsn_of(report, end, lsn));
}

static void append_undiverged(const Report *report, const char *name, const History *history,
                              Lsn end, Buffer *text)
{
    char lsn[LSN_TEXT_SIZE];

    buffer_printf(text, "  %s   ", name);
    append_timelines(history, 0, history->count, text);
    buffer_append_string(text, " ──▶");
    if (end != LSN_INVALID)
        buffer_printf(text, " %s", lsn_of(report, end, lsn));
    buffer_append_u8(text, '\n');
}

/* The two lines, and what their signs mean: beside them, or below where that would be too wide. */
static void append_with_legend(const Report *report, Buffer lines[2], Buffer *text)
{
    char lsn[LSN_TEXT_SIZE];
    Buffer legend[2] = {{0}};
    int width = 0;
    int legend_width = 0;

    if (report->checkpoint != LSN_INVALID)
        buffer_printf(&legend[0], "● last common checkpoint %s",
                      lsn_of(report, report->checkpoint, lsn));
    buffer_printf(&legend[1], "┬ divergence %s", lsn_of(report, report->divergence, lsn));
    for (int i = 0; i < 2; i++)
    {
        int columns = columns_of(buffer_string(&lines[i]));
        int legend_columns = columns_of(buffer_string(&legend[i]));

        width = columns > width ? columns : width;
        legend_width = legend_columns > legend_width ? legend_columns : legend_width;
    }

    bool beside = width + 5 + legend_width <= PICTURE_COLUMNS_MAX;
    for (int i = 0; i < 2; i++)
    {
        buffer_append(text, lines[i].bytes, lines[i].size);
        if (beside && legend[i].size > 0)
        {
            append_spaces(text, width + 5 - columns_of(buffer_string(&lines[i])));
            buffer_append(text, legend[i].bytes, legend[i].size);
        }
        buffer_append_u8(text, '\n');
    }
    for (int i = 0; i < 2; i++)
    {
        if (!beside && legend[i].size > 0)
            buffer_printf(text, "           %s\n", buffer_string(&legend[i]));
        buffer_free(&legend[i]);
    }
}

void report_picture(const Report *report, Buffer *text)
{
    Buffer lines[2] = {{0}};

    if (report->source_history == NULL || report->target_history == NULL)
        return;
    if (!report->diverged)
    {
        append_undiverged(report, "source", report->source_history, report->source_end, text);
        append_undiverged(report, "target", report->target_history, report->target_end, text);
        return;
    }

    buffer_append_string(&lines[0], "  source   ");
    append_common(report, &lines[0]);
    buffer_append_string(&lines[1], "  target   ");
    append_spaces(&lines[1],
                  columns_of(buffer_string(&lines[0])) - columns_of(buffer_string(&lines[1])));
    buffer_append_string(&lines[0], "┬");
    append_branch(report, report->source_history, report->source_end, &lines[0]);
    buffer_append_string(&lines[1], "└");
    append_branch(report, report->target_history, report->target_end, &lines[1]);

    append_with_legend(report, lines, text);
    buffer_free(&lines[0]);
    buffer_free(&lines[1]);
}

/* ---- text ---- */

/* "  label          value", the value printf-like. */
static void PRINTF_LIKE(3, 4) text_row(Buffer *text, const char *label, const char *format, ...)
{
    va_list arguments;

    append_spaces(text, LABEL_COLUMN);
    buffer_append_string(text, label);
    append_spaces(text, VALUE_COLUMN - LABEL_COLUMN - (int) strlen(label));
    va_start(arguments, format);
    buffer_vprintf(text, format, arguments);
    va_end(arguments);
    buffer_append_u8(text, '\n');
}

/* A row for each line of value; the label stands before the first. */
static void text_lines(Buffer *text, const char *label, const char *value)
{
    while (*value != '\0')
    {
        size_t length = strcspn(value, "\n");

        text_row(text, label, "%.*s", (int) length, value);
        label = "";
        value += length;
        if (*value == '\n')
            value++;
    }
}

#define SIZE_TEXT_SIZE 32
static const char *size_text(uint64_t bytes, char out[SIZE_TEXT_SIZE])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    double value = (double) bytes;
    size_t unit = 0;

    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]))
    {
        value /= 1024;
        unit++;
    }
    snprintf(out, SIZE_TEXT_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

/* "2026-07-01 12:34:56.123456 CEST (2026-07-01 10:34:56 UTC)" */
#define TIME_TEXT_SIZE 128
static const char *time_text(int64_t timestamp, char out[TIME_TEXT_SIZE])
{
    int microseconds;
    time_t seconds = unix_time(timestamp, &microseconds);
    struct tm local;
    struct tm utc;
    char date[40];
    char zone[32];
    char universal[40];

    tzset(); /* localtime_r need not */
    localtime_r(&seconds, &local);
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local);
    strftime(zone, sizeof(zone), "%Z", &local);
    strftime(universal, sizeof(universal), "%Y-%m-%d %H:%M:%S", &utc);
    if (strcmp(zone, "UTC") == 0)
        snprintf(out, TIME_TEXT_SIZE, "%s.%06d UTC", date, microseconds);
    else
        snprintf(out, TIME_TEXT_SIZE, "%s.%06d %s (%s UTC)", date, microseconds, zone, universal);
    return out;
}

static void text_failure(const Error *error, Buffer *text)
{
    text_lines(text, "error", error->message);
    text_lines(text, "detail", error->detail);
    text_lines(text, "hint", error->hint);
}

static void text_histories(const Report *report, Buffer *text)
{
    char lsn[LSN_TEXT_SIZE];
    char redo[LSN_TEXT_SIZE];

    if (report->diverged)
    {
        text_row(text, "divergence", "%s on timeline %u", lsn_of(report, report->divergence, lsn),
                 report->divergence_timeline);
        if (report->checkpoint != LSN_INVALID)
            text_row(text, "last common checkpoint", "%s on timeline %u, redo from %s",
                     lsn_of(report, report->checkpoint, lsn), report->checkpoint_timeline,
                     lsn_of(report, report->redo, redo));
    }
    if (report->source_history == NULL || report->target_history == NULL)
        return;
    buffer_append_u8(text, '\n');
    report_picture(report, text);
}

static void text_lost(const Report *report, bool done, Buffer *text)
{
    char time[TIME_TEXT_SIZE];
    char size[SIZE_TEXT_SIZE];

    if (!report->scanned)
        return;
    buffer_printf(text, "\n%s\n",
                  done ? "Discarded from the target" : "To be discarded from the target");
    text_row(text, "committed transactions", "%llu", (unsigned long long) report->lost_commits);
    if (report->lost_commits > 0)
    {
        text_row(text, "first commit", "%s", time_text(report->first_lost_commit, time));
        text_row(text, "last commit", "%s", time_text(report->last_lost_commit, time));
    }
    if (report->lost_prepared > 0)
        text_row(text, "prepared transactions", "%llu", (unsigned long long) report->lost_prepared);
    text_row(text, "target WAL read", "%s", size_text(report->target_wal_bytes, size));
}

static void text_fetched(const Report *report, bool done, Buffer *text)
{
    char size[SIZE_TEXT_SIZE];
    char whole[SIZE_TEXT_SIZE];
    uint64_t saved = bytes_saved(report);

    if (!report->planned)
        return;
    if (report->dry_run)
    {
        buffer_append_string(text, "\nTo be fetched from the source, at most\n");
        text_row(text, "files and blocks", "%s", size_text(report->planned_bytes, size));
        text_row(text, "WAL", "%s", size_text(report->planned_wal_bytes, size));
    }
    else
    {
        buffer_append_string(text, "\nFetched from the source\n");
        for (int kind = 0; kind < KIND_COUNT; kind++)
            if (report->fetched_bytes_by_kind[kind] > 0)
                text_row(text, kind_labels[kind], "%s",
                         size_text(report->fetched_bytes_by_kind[kind], size));
        text_row(text, "total", "%s", size_text(report->fetched_bytes, size));
        if (report->equal_bytes > 0)
            text_row(text, "compared and found equal", "%s", size_text(report->equal_bytes, size));
    }
    if (report->rebuilt_bytes > 0)
        text_row(text, "left to recovery", "%s", size_text(report->rebuilt_bytes, size));
    if (!done && !report->dry_run)
        return; /* not all of it yet */
    text_row(text, "saved", "%s of the source's %s (%.1f%%)", size_text(saved, size),
             size_text(report->source_bytes, whole),
             report->source_bytes == 0 ? 0.0
                                       : (double) saved * 100 / (double) report->source_bytes);
}

static void text_times(const Report *report, Buffer *text)
{
    buffer_append_string(text, "\nTime\n");
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        if (report->seconds[phase] > 0)
            text_row(text, phase_names[phase], "%.2f s", report->seconds[phase]);
    text_row(text, "total", "%.2f s", seconds_total(report));
}

void report_text(const Report *report, const Error *error, int exit_status, Buffer *text)
{
    const bool done = error == NULL && !report->dry_run;
    char lsn[LSN_TEXT_SIZE];

    buffer_printf(text, "pg_rewind: %s\n\n", verdict_of(report, error, exit_status).text);
    if (error != NULL)
        text_failure(error, text);
    if (report->source != NULL)
        text_row(text, "source", "%s", report->source);
    if (report->target != NULL)
        text_row(text, "target", "%s", report->target);
    if (report->version != NULL)
        text_row(text, "server version", "PostgreSQL %d", report->version->major);
    text_histories(report, text);
    text_lost(report, done, text);
    text_fetched(report, done, text);
    if (report->min_recovery_point != LSN_INVALID)
    {
        buffer_append_string(text, "\nThe target is consistent after replay of\n");
        text_row(text, "source WAL up to", "%s on timeline %u",
                 lsn_of(report, report->min_recovery_point, lsn), report->min_recovery_timeline);
    }
    text_times(report, text);
}

/* ---- JSON ---- */

/* Writes one object: keys in the order of calls, two spaces a level, commas where they belong. */
typedef struct Json
{
    Buffer *text;
    int level;
    bool first; /* nothing stands in the innermost object yet */
} Json;

/* A string, NULL as null. Paths and messages may hold any bytes: what is not UTF-8 becomes U+FFFD.
 */
static void json_append_string(Buffer *text, const char *string)
{
    const unsigned char *bytes = (const unsigned char *) string;

    if (string == NULL)
    {
        buffer_append_string(text, "null");
        return;
    }
    buffer_append_u8(text, '"');
    while (*bytes != '\0')
    {
        size_t length = utf8_length(bytes);

        if (length == 0)
            buffer_append_string(text, "\\ufffd");
        else if (*bytes == '"' || *bytes == '\\')
            buffer_printf(text, "\\%c", *bytes);
        else if (*bytes == '\n')
            buffer_append_string(text, "\\n");
        else if (*bytes < 0x20 || *bytes == 0x7F)
            buffer_printf(text, "\\u%04x", *bytes);
        else
            buffer_append(text, bytes, length);
        bytes += length == 0 ? 1 : length;
    }
    buffer_append_u8(text, '"');
}

static void json_next_line(Json *json)
{
    if (!json->first)
        buffer_append_u8(json->text, ',');
    json->first = false;
    buffer_append_u8(json->text, '\n');
    append_spaces(json->text, 2 * json->level);
}

static void json_key(Json *json, const char *key)
{
    json_next_line(json);
    buffer_printf(json->text, "\"%s\": ", key);
}

static void json_open(Json *json, char bracket)
{
    buffer_append_u8(json->text, (uint8_t) bracket);
    json->level++;
    json->first = true;
}

static void json_close(Json *json, char bracket)
{
    json->level--;
    if (!json->first)
    {
        buffer_append_u8(json->text, '\n');
        append_spaces(json->text, 2 * json->level);
    }
    buffer_append_u8(json->text, (uint8_t) bracket);
    json->first = false;
}

static void json_string(Json *json, const char *key, const char *value)
{
    json_key(json, key);
    json_append_string(json->text, value);
}

static void json_null(Json *json, const char *key)
{
    json_string(json, key, NULL);
}

static void json_number(Json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    buffer_printf(json->text, "%llu", (unsigned long long) value);
}

static void json_bool(Json *json, const char *key, bool value)
{
    json_key(json, key);
    buffer_append_string(json->text, value ? "true" : "false");
}

static void json_seconds(Json *json, const char *key, double value)
{
    json_key(json, key);
    buffer_printf(json->text, "%.3f", value);
}

static void json_lsn(Json *json, const char *key, const Report *report, Lsn lsn)
{
    char text[LSN_TEXT_SIZE];

    json_string(json, key, lsn == LSN_INVALID ? NULL : lsn_of(report, lsn, text));
}

/* ISO 8601, UTC. */
static void json_time(Json *json, const char *key, bool known, int64_t timestamp)
{
    int microseconds;
    time_t seconds = unix_time(timestamp, &microseconds);
    struct tm utc;
    char date[40];
    char text[64];

    if (!known)
    {
        json_null(json, key);
        return;
    }
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof(text), "%s.%06dZ", date, microseconds);
    json_string(json, key, text);
}

static void json_history(Json *json, const char *key, const Report *report, const History *history)
{
    char lsn[LSN_TEXT_SIZE];

    if (history == NULL)
    {
        json_null(json, key);
        return;
    }
    json_key(json, key);
    json_open(json, '[');
    for (size_t i = 0; i < history->count; i++)
    {
        json_next_line(json);
        json_open(json, '{');
        json_number(json, "timeline", history->entries[i].timeline);
        json_string(json, "begin", lsn_of(report, history->entries[i].begin, lsn));
        json_lsn(json, "end", report, history->entries[i].end);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_error(Json *json, const Error *error)
{
    if (error == NULL)
    {
        json_null(json, "error");
        return;
    }
    json_key(json, "error");
    json_open(json, '{');
    json_string(json, "message", error->message);
    json_string(json, "detail", error->detail[0] != '\0' ? error->detail : NULL);
    json_string(json, "hint", error->hint[0] != '\0' ? error->hint : NULL);
    json_close(json, '}');
}

static void json_divergence(Json *json, const Report *report)
{
    if (!report->diverged)
    {
        json_null(json, "divergence");
        json_null(json, "last_common_checkpoint");
        return;
    }
    json_key(json, "divergence");
    json_open(json, '{');
    json_lsn(json, "lsn", report, report->divergence);
    json_number(json, "timeline", report->divergence_timeline);
    json_close(json, '}');
    if (report->checkpoint == LSN_INVALID)
    {
        json_null(json, "last_common_checkpoint");
        return;
    }
    json_key(json, "last_common_checkpoint");
    json_open(json, '{');
    json_lsn(json, "lsn", report, report->checkpoint);
    json_lsn(json, "redo", report, report->redo);
    json_number(json, "timeline", report->checkpoint_timeline);
    json_close(json, '}');
}

static void json_discarded(Json *json, const Report *report)
{
    if (!report->scanned)
    {
        json_null(json, "discarded");
        return;
    }
    json_key(json, "discarded");
    json_open(json, '{');
    json_number(json, "transactions", report->lost_commits);
    json_time(json, "first_commit", report->lost_commits > 0, report->first_lost_commit);
    json_time(json, "last_commit", report->lost_commits > 0, report->last_lost_commit);
    json_number(json, "prepared_transactions", report->lost_prepared);
    json_number(json, "target_wal_bytes_read", report->target_wal_bytes);
    json_close(json, '}');
}

static void json_bytes(Json *json, const Report *report)
{
    if (!report->planned)
    {
        json_null(json, "bytes");
        return;
    }
    json_key(json, "bytes");
    json_open(json, '{');
    json_number(json, "planned", report->planned_bytes);
    json_number(json, "planned_wal", report->planned_wal_bytes);
    json_number(json, "rebuilt", report->rebuilt_bytes);
    json_number(json, "fetched", report->fetched_bytes);
    json_key(json, "fetched_by_kind");
    json_open(json, '{');
    for (int kind = 0; kind < KIND_COUNT; kind++)
        json_number(json, kind_keys[kind], report->fetched_bytes_by_kind[kind]);
    json_close(json, '}');
    json_number(json, "equal", report->equal_bytes);
    json_number(json, "source", report->source_bytes);
    json_number(json, "saved", bytes_saved(report));
    json_close(json, '}');
}

static void json_times(Json *json, const Report *report)
{
    json_key(json, "seconds");
    json_open(json, '{');
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        json_seconds(json, phase_names[phase], report->seconds[phase]);
    json_seconds(json, "total", seconds_total(report));
    json_close(json, '}');
}

void report_json(const Report *report, const Error *error, int exit_status, Buffer *text)
{
    Json json = {.text = text};

    json_open(&json, '{');
    json_string(&json, "result", verdict_of(report, error, exit_status).key);
    json_number(&json, "exit_status", (uint64_t) exit_status);
    json_bool(&json, "dry_run", report->dry_run);
    json_error(&json, error);
    json_string(&json, "source", report->source);
    json_string(&json, "target", report->target);
    if (report->version != NULL)
        json_number(&json, "server_version", (uint64_t) report->version->major);
    else
        json_null(&json, "server_version");
    json_divergence(&json, report);
    json_history(&json, "source_history", report, report->source_history);
    json_lsn(&json, "source_end", report, report->source_end);
    json_history(&json, "target_history", report, report->target_history);
    json_lsn(&json, "target_end", report, report->target_end);
    json_discarded(&json, report);
    json_bytes(&json, report);
    json_lsn(&json, "min_recovery_point", report, report->min_recovery_point);
    json_times(&json, report);
    json_close(&json, '}');
    buffer_append_u8(text, '\n');
}
