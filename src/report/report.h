/*
 * The report of a run, including dry runs and failures: where the histories diverged, what is lost,
 * what was done.
 *
 * The report is made at the end, from the values of the run. main.c writes it; nothing else depends
 * on it. Its JSON is in document.c, its text in text.c, the picture in picture.c.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "rejoin/rejoin.h"

#include <stdio.h>

typedef struct Report
{
    const Options *options;
    const Run *run;
    const RejoinResult *rejoin; /* result of --rejoin; NULL without that option */
    int exit_status;
    const Error *const *errors; /* the errors to report: all that were printed, or the run's own if
                                   none was printed */
    size_t error_count;
    const char *program_version; /* left out of the report if NULL */
    int64_t begin, end;          /* microseconds since 2000-01-01 UTC; left out if 0 */
    double run_seconds;
} Report;

/*
 * Append the text report, for people. What the run did not find out is left out. Times are local
 * (TZ), with UTC beside them; what is not UTF-8 becomes U+FFFD. Only messages and paths can make a
 * line longer than 100 columns.
 */
void report_text(const Report *report, Buffer *out);

/*
 * Append the JSON report: one object with the facts of the text report. docs/report.schema.json
 * describes each key. Every key is always present; null means that the run did not find out the
 * value, or that it does not exist. LSNs are strings as the server prints them, times ISO 8601 in
 * UTC, sizes bytes; what is not UTF-8 in a path, name or message becomes U+FFFD.
 *
 * The object is appended to text. Unless file is NULL, a text that grows long is moved to file; the
 * caller writes the rest, and checks ferror(file).
 */
void report_json(const Report *report, Buffer *text, FILE *file);

/*
 * Append a small picture of both histories, such as
 *
 *   source   1 ──●──┬── 2 ── 3 ──▶ 0/5000000     ● last common checkpoint 0/3000060
 *   target          └── 1 ──▶ 0/4000000          ┬ divergence 0/3000148
 *
 * Appends nothing if the histories are not known. Of many timelines only the first and the last two
 * are named. Without utf8 the signs are - + ` > * and a dot.
 */
void report_picture(const Report *report, bool utf8, Buffer *text);

/* ---- report_file.c ---- */

/*
 * The output of the report: standard output, or --report-file.
 *
 * A new file has a temporary name beside the requested one, and is renamed when it is complete:
 * until then, and if no report is made, the previous file stays. A pipe, a device or an inherited
 * descriptor (/dev/stdout) is written to directly.
 */
typedef struct ReportFile
{
    FILE *stream;      /* where the report is written; NULL unless report_file_open has opened it */
    bool is_temporary; /* stream is the temporary file, which closing renames to path */
    char path[PATH_SIZE], temporary[PATH_SIZE];
} ReportFile;

/*
 * Open the output. Call this first, so that a wrong name is found before anything else is done.
 * path NULL means standard output. Fails, without a change, if the file cannot be created, if other
 * users can write to its directory, or if the directory belongs to a server: a data directory, or
 * the WAL or a tablespace of the target or source directory that options name.
 */
MUST_CHECK bool report_file_open(ReportFile *file, const char *path, const Options *options,
                                 Error *error);

/* Close the output: with written true the file gets its name, otherwise it is removed. A failure is
 * a warning, since the rewind's result stands. */
void report_file_close(ReportFile *file, bool written);

#endif
