/*
 * The output of the report: standard output, or --report-file.
 *
 * A file is written under another name beside the one that was asked for, and gets its name when it
 * is whole: until then, and if there never is a report, what is there stays. A pipe, a device or a
 * descriptor that the program was started with (/dev/stdout) is written to directly.
 */
#ifndef REPORT_REPORT_FILE_H
#define REPORT_REPORT_FILE_H

#include "io/file.h"
#include "options.h"

#include <stdio.h>

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
