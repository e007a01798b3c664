/*
 * The report of a run: where the histories diverged, what is lost, what was done. Also of a dry run
 * and of a failure.
 *
 * It is made when the run is over, from the run's own values. main.c writes it; nothing else
 * depends on it. Its JSON is in document.c, its text in text.c, the picture in picture.c.
 */
#ifndef REPORT_REPORT_H
#define REPORT_REPORT_H

#include "rejoin/rejoin.h"

#include <stdio.h>

typedef struct Report
{
    const Options *options;
    const Run *run;
    const RejoinResult *rejoin; /* NULL: without --rejoin */
    int exit_status;
    const Error *const *errors; /* all that were printed, the run's own last or alone */
    size_t error_count;
    const char *program_version; /* NULL: left out */
    int64_t begin, end;          /* microseconds since 2000-01-01 UTC; 0: left out */
    double run_seconds;
} Report;

/*
 * The text document, for people, appended to out; what the run did not find out is left out.
 * Times are local (TZ), with UTC beside them; what is not UTF-8 becomes U+FFFD. Only messages and
 * paths can make a line longer than 100 columns.
 */
void report_text(const Report *report, Buffer *out);

/*
 * One JSON object, the same facts; docs/report.schema.json describes each key. Every key is always
 * present; null: the run did not find it out, or there is no such thing. LSNs are strings as the
 * server prints them, times ISO 8601 in UTC, sizes bytes; what is not UTF-8 in a path, name or
 * message becomes U+FFFD.
 * It is appended to text; what is long already goes to file, unless that is NULL, and errors stay
 * there (ferror).
 */
void report_json(const Report *report, Buffer *text, FILE *file);

/*
 * Both timelines as a small picture, such as
 *
 *   source   1 ──●──┬── 2 ── 3 ──▶ 0/5000000     ● last common checkpoint 0/3000060
 *   target          └── 1 ──▶ 0/4000000          ┬ divergence 0/3000148
 *
 * Nothing as long as the histories are not known. Of many timelines only the first and the last two
 * are named. Without utf8 its signs are - + ` > * and a dot.
 */
void report_picture(const Report *report, bool utf8, Buffer *text);

/* ---- report_file.c ---- */

/*
 * The output of the report: standard output, or --report-file.
 *
 * A file is written under another name beside the one that was asked for, and gets its name when it
 * is whole: until then, and if there never is a report, what is there stays. A pipe, a device or a
 * descriptor that the program was started with (/dev/stdout) is written to directly.
 */
typedef struct ReportFile
{
    FILE *stream; /* to write to; NULL: no report is wanted */
    bool renamed; /* the following are set */
    char path[PATH_SIZE], temporary[PATH_SIZE];
} ReportFile;

/*
 * Begin, before anything else is done: a wrong name is found while nothing has happened. path NULL:
 * standard output. Fails, and has changed nothing, if the file cannot be created, or if its place
 * belongs to a server: a data directory, or the WAL or a tablespace of the target or of the source
 * directory, as far as options name them.
 */
MUST_CHECK bool report_file_open(ReportFile *file, const char *path, const Options *options,
                                 Error *error);

/* All is written. A failure is a warning: the rewind's result stands. */
void report_file_close(ReportFile *file, bool written);

#endif
