/*
 * The command line, --help and --version.
 */
#ifndef COMMAND_LINE_H
#define COMMAND_LINE_H

#include "base/buffer.h"
#include "options.h"
#include "plan/keep.h"
#include "target/tablespace_mapping.h"

#include <stdint.h>

typedef enum ReportFormat
{
    REPORT_NONE,
    REPORT_TEXT,
    REPORT_JSON
} ReportFormat;

/* All that a command line says, and when it was read. */
typedef struct Command
{
    int64_t begin;      /* microseconds since 2000-01-01 UTC */
    double clock_begin; /* the same time in clock_seconds' */
    Options options;
    Keep keep;                      /* options.keep */
    TablespaceMappings tablespaces; /* options.tablespaces */
    bool unasked_failed;            /* options.unasked_failed */
    bool no_sync;
    bool debug;
    bool verbose;
    bool timestamps;
    bool help; /* print_help, then exit */
    bool version;
    int retries;
    ReportFormat report_format;
    const char *report_file; /* NULL: standard output */
    uint64_t given;          /* a bit for each row of the table of options */
    Buffer decided;          /* options.decided */
    Arena *environment;      /* the words of PG_REWIND_OPTIONS; NULL: there is none */
} Command;

/*
 * Read the options in the environment (PG_REWIND_OPTIONS) and then a command line, up to --help or
 * --version, and check that its options go together and that
 * the caller may run the program. What it says points into argv, *command and static memory: to be
 * called once. Where it fails, *command has at least what it says of the report. Where getopt has
 * said itself what is wrong, the kind is ERROR_REPORTED, the worst of it ERROR_USAGE.
 */
MUST_CHECK bool command_line_read(int argc, char **argv, Command *command, Error *error);

/*
 * Append the table of options: of each one a line with letter, name, argument, what is asked of the
 * option and the text of the help, with tabs between them. A line without a name is a heading.
 */
void command_line_describe(Buffer *text);

void command_line_print_help(void);
void command_line_print_version(void);

#endif
