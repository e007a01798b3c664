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

/* Everything that a command line sets, and the time when it was read. */
typedef struct Command
{
    int64_t begin;      /* microseconds since 2000-01-01 UTC */
    double clock_begin; /* same moment by the clock of clock_seconds */
    Options options;
    Keep keep;                      /* options.keep */
    TablespaceMappings tablespaces; /* options.tablespaces */
    UnaskedFailure unasked_failure; /* options.unasked_failure */
    bool no_sync;
    bool debug;
    bool verbose; /* with --check: print findings that are ok, too; otherwise the same as debug */
    bool timestamps;
    bool help; /* print the help and exit */
    bool version;
    int retries; /* number of times that a killed or unfinished run is run again; 0: do all work in
                    this process */
    ReportFormat report_format;
    const char *report_file; /* path for the report; NULL: standard output */
    uint64_t given;          /* a bit for each row of the table of options: the option is given */
    Buffer decided;          /* options.decided */
    Arena *environment; /* arena with the words of PG_REWIND_OPTIONS; NULL if the variable is not
                           set */
} Command;

/*
 * Read the options in the environment (PG_REWIND_OPTIONS), then those of the command line, up to
 * --help or --version. Check that the options go together and that the caller may run the program.
 * Call this once: *command points into argv, into itself, into command->environment and into static
 * memory. After a failure *command has at least the options of the report. If getopt has already
 * printed the problem, error->kind is ERROR_REPORTED and error->worst is ERROR_USAGE.
 */
MUST_CHECK bool command_line_read(int argc, char **argv, Command *command, Error *error);

/*
 * Append the table of options, for tests that compare it with the documents. Each option is a line:
 * letter, name, argument, conditions (range, "not empty", "only with ..."), help, with tabs between
 * them. A line without a name is a heading.
 */
void command_line_describe(Buffer *text);

void command_line_print_help(void);
void command_line_print_version(void);

#endif
