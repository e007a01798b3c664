/*
 * Options, --help, the report's destination and the exit status. The only file that exits.
 */
#include "report_file.h"
#include "rewind.h"

#include "base/buffer.h"
#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "base/workers.h"
#include "cluster/tablespace_mapping.h"
#include "io/connection.h"
#include "io/file.h"
#include "io/place.h"
#include "io/supervise.h"
#include "plan/keep.h"
#include "report/report.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * The version line begins as the original's does, for callers that look for "(PostgreSQL)" and a
 * number after it: that of the newest server release that this program was tested with.
 */
#define TESTED_WITH "18.4"

#define STATUS_DONE 0       /* rewound, or nothing to do */
#define STATUS_FAILED 1     /* the target is as it was */
#define STATUS_UNFINISHED 2 /* failed after the commit, or another run is changing the target */
#define STATUS_IMPOSSIBLE 3 /* never possible for this pair; the target is as it was */

#define JOBS_DEFAULT_MAX 4
#define JOBS_MAX 64
#define RATE_MIN_KB 32 /* both as pg_basebackup's */
#define RATE_MAX_KB (1024 * 1024)
#define RETRY_TIMEOUT_DEFAULT_SECONDS 60
#define WAIT_TIMEOUT_DEFAULT_SECONDS 300 /* checkpoint_timeout's default */
#define TIMEOUT_MAX_SECONDS 86400
#define RETRIES_DEFAULT 3
#define RETRIES_MAX 10

/* Options that have no letter. */
enum
{
    OPTION_SOURCE_PGDATA = UCHAR_MAX + 1,
    OPTION_SOURCE_SERVER,
    OPTION_CHECKPOINT,
    OPTION_COMPARE,
    OPTION_CONFIG_FILE,
    OPTION_DEBUG,
    OPTION_HELP,
    OPTION_KEEP,
    OPTION_KEEP_CONFIG,
    OPTION_LATE_START,
    OPTION_NO_ENSURE_SHUTDOWN,
    OPTION_REPORT,
    OPTION_REPORT_FILE,
    OPTION_RESTORE_COMMAND,
    OPTION_RETRIES,
    OPTION_RETRY_TIMEOUT,
    OPTION_SAVE_DIVERGED_WAL,
    OPTION_SYNC_METHOD,
    OPTION_WAIT_TIMEOUT,
    OPTION_WAL_ARCHIVE
};

typedef struct OptionRow
{
    int letter; /* or one of the numbers above */
    const char *name;
    const char *argument; /* its name in the help, NULL: takes none */
    const char *help;     /* lines of at most 61 characters */
} OptionRow;

/* In the order of the help: by letter, then by name. */
static const OptionRow option_rows[] = {
    {'B', "bindir", "DIRECTORY",
     "server programs of the target's version, for -c\n"
     "(default: next to pg_rewind, in PATH, or where\n"
     "distributions install them)"},
    {'c', "restore-target-wal", NULL,
     "use restore_command in target configuration to\n"
     "retrieve WAL files from archives"},
    {'D', "target-pgdata", "DIRECTORY", "existing data directory to modify"},
    {OPTION_SOURCE_PGDATA, "source-pgdata", "DIRECTORY",
     "source data directory to synchronize with"},
    {OPTION_SOURCE_SERVER, "source-server", "CONNSTR", "source server to synchronize with"},
    {'j', "jobs", "NUMBER",
     "use this many threads and connections (1 to 64;\n"
     "default: number of processors, at most 4)"},
    {'n', "dry-run", NULL, "stop before modifying anything"},
    {'N', "no-sync", NULL,
     "do not wait for changes to be written\n"
     "safely to disk"},
    {'P', "progress", NULL, "write progress messages"},
    {'r', "max-rate", "RATE",
     "maximum rate at which to read from the source\n"
     "(in kB/s, or use suffix \"k\" or \"M\")"},
    {'R', "write-recovery-conf", NULL,
     "write configuration for replication\n"
     "(requires --source-server)"},
    {'T', "tablespace-mapping", "OLD=NEW",
     "put a tablespace that the target does not have\n"
     "yet into NEW, if it is in OLD on the source"},
    {OPTION_CHECKPOINT, "checkpoint", NULL,
     "run CHECKPOINT on the source if recovery must\n"
     "start later than at its last checkpoint"},
    {OPTION_COMPARE, "compare", NULL,
     "compare all blocks with those of the source:\n"
     "none of the target's WAL is needed"},
    {OPTION_CONFIG_FILE, "config-file", "FILENAME",
     "use specified main server configuration\n"
     "file when running target cluster"},
    {OPTION_DEBUG, "debug", NULL, "write a lot of debug messages"},
    {OPTION_KEEP, "keep", "PATTERN",
     "do not change files of the target that match\n"
     "(may be repeated)"},
    {OPTION_KEEP_CONFIG, "keep-config", NULL,
     "keep the target's configuration files,\n"
     "certificates and keys"},
    {OPTION_LATE_START, "late-start", NULL,
     "recover from the source's last checkpoint if\n"
     "possible: more is copied, less replayed"},
    {OPTION_NO_ENSURE_SHUTDOWN, "no-ensure-shutdown", NULL,
     "refuse a target that was not shut down cleanly"},
    {OPTION_REPORT, "report", "FORMAT",
     "write what diverged, what is lost and what was\n"
     "done to standard output, as text or json"},
    {OPTION_REPORT_FILE, "report-file", "FILENAME",
     "write that report to a file instead\n"
     "(as text, unless --report says otherwise)"},
    {OPTION_RESTORE_COMMAND, "restore-command", "COMMAND",
     "retrieve WAL files from archives with this\n"
     "command (instead of the configured one)"},
    {OPTION_RETRIES, "retries", "NUMBER",
     "how often to run the rewind again if it was\n"
     "killed or interrupted during its changes\n"
     "(default: 3; 0: do everything in one process)"},
    {OPTION_RETRY_TIMEOUT, "retry-timeout", "SECONDS",
     "how long to retry a lost connection to the\n"
     "source (default: 60; 0: do not retry)"},
    {OPTION_SAVE_DIVERGED_WAL, "save-diverged-wal", "DIR",
     "keep the WAL that the target has written after\n"
     "the divergence, for pg_waldump"},
    {OPTION_SYNC_METHOD, "sync-method", "METHOD",
     "set method for syncing files to disk\n"
     "(fsync or syncfs)"},
    {OPTION_WAIT_TIMEOUT, "wait-timeout", "SECONDS",
     "how long to wait for the source (a checkpoint,\n"
     "the end of a replay), a target server that is\n"
     "stopping, another pg_rewind (default: 300)"},
    {OPTION_WAL_ARCHIVE, "wal-archive", "DIRECTORY",
     "look for missing WAL files in this directory\n"
     "(plain, .gz, .zst, .lz4, .partial)"},
    {'V', "version", NULL, "output version information, then exit"},
    {'?', "help", NULL, "show this help, then exit"},
};

#define OPTION_COUNT (sizeof(option_rows) / sizeof(option_rows[0]))
#define HELP_COLUMN 33

typedef enum ReportFormat
{
    REPORT_NONE,
    REPORT_TEXT,
    REPORT_JSON
} ReportFormat;

/* All that a command line says. */
typedef struct Command
{
    Options options;
    bool no_sync;
    bool help;
    bool version;
    int retries;
    bool target_found; /* the directory that -D names, when the program began */
    Place target_place;
    int64_t target_birth;
    ReportFormat report_format;
    const char *report_file; /* NULL: standard output */
} Command;

static void print_help_row(const OptionRow *row)
{
    char left[64];
    const char *line = row->help;
    bool first = true;
    int length;

    length = row->letter <= UCHAR_MAX ? snprintf(left, sizeof(left), "  -%c, ", row->letter)
                                      : snprintf(left, sizeof(left), "      ");
    snprintf(left + length, sizeof(left) - (size_t) length, "--%s%s%s", row->name,
             row->argument != NULL ? "=" : "", row->argument != NULL ? row->argument : "");
    if (strlen(left) > HELP_COLUMN - 2)
    {
        puts(left);
        first = false;
    }
    while (*line != '\0')
    {
        int size = (int) strcspn(line, "\n");

        printf("%-*s%.*s\n", HELP_COLUMN, first ? left : "", size, line);
        first = false;
        line += size;
        if (*line == '\n')
            line++;
    }
}

static void print_help(void)
{
    const char *name = log_program_name();

    printf("%s resynchronizes a PostgreSQL cluster with another copy of the cluster.\n\n", name);
    printf("Usage:\n  %s [OPTION]...\n\nOptions:\n", name);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        print_help_row(&option_rows[i]);
    printf("\nExit status:\n"
           "  0  rewound, or nothing to do\n"
           "  1  failed; the target is unchanged\n"
           "  2  failed half-way: run the same command again to finish\n"
           "  3  never possible for this target and source; the target is unchanged\n\n"
           "This is the standalone pg_rewind for PostgreSQL 10 to 18; see pg_rewind(1).\n"
           "PostgreSQL home page: <https://www.postgresql.org/>\n");
}

static void print_version(void)
{
    printf("pg_rewind (PostgreSQL) " TESTED_WITH " (standalone " PROJECT_VERSION ")\n");
}

static bool parse_number(const char *name, const char *value, int minimum, int maximum, int *number,
                         Error *error)
{
    char *end;
    long parsed;

    errno = 0;
    parsed = strtol(value, &end, 10);
    if (end == value || *end != '\0')
        return error_set(error, ERROR_FAILED, "invalid value \"%s\" for option %s", value, name);
    if (errno == ERANGE || parsed < minimum || parsed > maximum)
        return error_set(error, ERROR_FAILED, "%s must be in range %d..%d", name, minimum, maximum);
    *number = (int) parsed;
    return true;
}

/*
 * RATE as pg_basebackup takes it: a number, which may have a fraction, of kB or with the suffix M
 * of MB per second, with blanks anywhere around both.
 */
static bool parse_rate(const char *value, uint64_t *bytes_per_second, Error *error)
{
    static const char blanks[] = " \t\n\v\f\r";
    char *end;
    double number;

    errno = 0;
    number = strtod(value, &end);
    if (end == value || errno != 0)
        return error_set(error, ERROR_FAILED, "transfer rate \"%s\" is not a valid value", value);
    if (!(number > 0))
        return error_set(error, ERROR_FAILED, "transfer rate must be greater than zero");
    end += strspn(end, blanks);
    if (*end == 'M')
        number *= 1024;
    if (*end == 'M' || *end == 'k')
        end++;
    end += strspn(end, blanks);
    if (*end != '\0')
        return error_set(error, ERROR_FAILED, "invalid --max-rate unit: \"%s\"", end);
    if (number < RATE_MIN_KB || number > RATE_MAX_KB)
    {
        error_set(error, ERROR_FAILED, "transfer rate \"%s\" is out of range", value);
        return error_detail(error, "It must be from %d kB to %d MB per second.", RATE_MIN_KB,
                            RATE_MAX_KB / 1024);
    }
    *bytes_per_second = (uint64_t) number * 1024;
    return true;
}

static bool check_not_empty(const char *name, const char *value, Error *error)
{
    if (value[0] == '\0')
        return error_set(error, ERROR_FAILED, "invalid value \"%s\" for option %s", value, name);
    return true;
}

static bool parse_sync_method(const char *value, bool *syncfs_wanted, Error *error)
{
    *syncfs_wanted = strcmp(value, "syncfs") == 0;
    if (*syncfs_wanted || strcmp(value, "fsync") == 0)
        return true;
    return error_set(error, ERROR_FAILED, "unrecognized sync method: %s", value); /* contract */
}

static bool parse_report_format(const char *value, ReportFormat *format, Error *error)
{
    if (strcmp(value, "text") == 0)
        *format = REPORT_TEXT;
    else if (strcmp(value, "json") == 0)
        *format = REPORT_JSON;
    else
    {
        error_set(error, ERROR_FAILED, "unrecognized report format: %s", value);
        return error_hint(error, "Valid formats are text and json.");
    }
    return true;
}

/* Take one option; value is NULL unless it has an argument. Of a repeated one the last wins. */
static bool take_option(Command *command, int letter, const char *value, Error *error)
{
    Options *options = &command->options;

    switch (letter)
    {
    case 'B':
        options->bindir = value;
        return true;
    case 'c':
        options->restore_target_wal = true;
        return true;
    case 'D':
        options->target = value;
        return true;
    case OPTION_SOURCE_PGDATA:
        options->source_directory = value;
        return true;
    case OPTION_SOURCE_SERVER:
        options->source_server = value;
        return true;
    case 'j':
        return parse_number("-j/--jobs", value, 1, JOBS_MAX, &options->jobs, error);
    case 'n':
        options->dry_run = true;
        return true;
    case 'N':
        command->no_sync = true;
        return true;
    case 'P':
        options->progress = true;
        log_set_progress(true);
        return true;
    case 'r':
        return parse_rate(value, &options->max_rate, error);
    case 'R':
        options->write_recovery_conf = true;
        return true;
    case 'T':
        return tablespace_mapping_add(options->tablespaces, value, error);
    case OPTION_CHECKPOINT:
        options->checkpoint = true;
        return true;
    case OPTION_COMPARE:
        options->compare = true;
        return true;
    case OPTION_CONFIG_FILE:
        options->config_file = value;
        return true;
    case OPTION_DEBUG:
        log_set_debug(true);
        return true;
    case OPTION_KEEP:
        return keep_add(options->keep, value, error);
    case OPTION_KEEP_CONFIG:
        options->keep->configuration = true;
        return true;
    case OPTION_LATE_START:
        options->late_start = true;
        return true;
    case OPTION_NO_ENSURE_SHUTDOWN:
        options->no_ensure_shutdown = true;
        return true;
    case OPTION_REPORT:
        options->report_wanted = true;
        return parse_report_format(value, &command->report_format, error);
    case OPTION_REPORT_FILE:
        command->report_file = value;
        options->report_wanted = true;
        return true;
    case OPTION_RESTORE_COMMAND:
        options->restore_command = value;
        return check_not_empty("--restore-command", value, error);
    case OPTION_RETRIES:
        return parse_number("--retries", value, 0, RETRIES_MAX, &command->retries, error);
    case OPTION_RETRY_TIMEOUT:
        return parse_number("--retry-timeout", value, 0, TIMEOUT_MAX_SECONDS,
                            &options->retry_timeout_seconds, error);
    case OPTION_SAVE_DIVERGED_WAL:
        options->save_diverged_wal = value;
        return check_not_empty("--save-diverged-wal", value, error);
    case OPTION_SYNC_METHOD:
        return parse_sync_method(value, &options->syncfs, error);
    case OPTION_WAIT_TIMEOUT:
        return parse_number("--wait-timeout", value, 0, TIMEOUT_MAX_SECONDS,
                            &options->wait_timeout_seconds, error);
    case OPTION_WAL_ARCHIVE:
        options->wal_archive = value;
        return check_not_empty("--wal-archive", value, error);
    case 'V':
        command->version = true;
        return true;
    case OPTION_HELP:
        command->help = true;
        return true;
    default:
        abort(); /* a row of the table without a case */
    }
}

/* One option is wrong: nothing is done, but a report that is asked for tells of that too. */
static void take_report_options(int argc, char **argv, const char *letters,
                                const struct option *long_options, Command *command)
{
    int letter;

    opterr = 0;
    while ((letter = getopt_long(argc, argv, letters, long_options, NULL)) != -1)
    {
        if (letter == OPTION_REPORT || letter == OPTION_REPORT_FILE)
            take_option(command, letter, optarg, NULL);
    }
}

/*
 * Read the options up to --help or --version. Where getopt has said itself what is wrong, the kind
 * is ERROR_REPORTED. *first_argument: index of what is no option, else argc.
 */
static bool parse_options(int argc, char **argv, Command *command, int *first_argument,
                          Error *error)
{
    struct option long_options[OPTION_COUNT + 1] = {{0}};
    char letters[2 * OPTION_COUNT + 1] = "";
    size_t length = 0;
    int letter;

    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const OptionRow *row = &option_rows[i];

        long_options[i] = (struct option){
            row->name, row->argument != NULL ? required_argument : no_argument, NULL, row->letter};
        /* getopt says '?' for what it does not know: -? is for main, --help has a number. */
        if (row->letter == '?')
            long_options[i].val = OPTION_HELP;
        if (row->letter > UCHAR_MAX || row->letter == '?')
            continue;
        letters[length++] = (char) row->letter;
        if (row->argument != NULL)
            letters[length++] = ':';
    }

    while (!command->help && !command->version)
    {
        letter = getopt_long(argc, argv, letters, long_options, NULL);
        if (letter == -1)
            break;
        if (letter == '?')
            error_set_reported(error, ERROR_USAGE);
        if (letter == '?' || !take_option(command, letter, optarg, error))
        {
            take_report_options(argc, argv, letters, long_options, command);
            return false;
        }
    }
    *first_argument = optind;
    return true;
}

static bool check_options(const Options *options, const char *extra_argument, Error *error)
{
    if (options->source_server == NULL && options->source_directory == NULL)
        return error_set(error, ERROR_USAGE,
                         "no source specified (--source-pgdata or --source-server)"); /* contract */
    if (options->source_server != NULL && options->source_directory != NULL)
        return error_set(
            error, ERROR_USAGE,
            "only one of --source-pgdata or --source-server can be specified"); /* contract */
    if (options->target == NULL)
        return error_set(error, ERROR_USAGE,
                         "no target data directory specified (--target-pgdata)"); /* contract */
    if (options->write_recovery_conf && options->source_server == NULL)
        return error_set(error, ERROR_USAGE,
                         "no source server information (--source-server) specified for "
                         "--write-recovery-conf"); /* contract */
    if (options->checkpoint && options->source_server == NULL)
        return error_set(error, ERROR_USAGE,
                         "--checkpoint can only be used with a source server (--source-server)");
    if (extra_argument != NULL)
        return error_set(error, ERROR_USAGE,
                         "too many command-line arguments (first is \"%s\")", /* contract */
                         extra_argument);
    if (geteuid() == 0)
    {
        error_set(error, ERROR_FAILED, "cannot be executed by \"root\"");        /* contract */
        return error_hint(error, "You must run %s as the PostgreSQL superuser.", /* contract */
                          log_program_name());
    }
    return true;
}

static int default_jobs(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);

    if (processors < 1)
        return 1;
    return processors < JOBS_DEFAULT_MAX ? (int) processors : JOBS_DEFAULT_MAX;
}

static bool open_report(const Command *command, ReportFile *report_file, Error *error)
{
    *report_file = (ReportFile){0};
    return (command->report_file == NULL && command->report_format == REPORT_NONE) ||
           report_file_open(report_file, command->report_file, &command->options, error);
}

/* The rewind's result stands, whatever becomes of its report. */
static void write_report(const Command *command, Report *report, int status,
                         ReportFile *report_file)
{
    Error usage;
    const Error *const only_error = &usage;
    Buffer text = {0};
    bool written;

    if (report_file->stream == NULL)
        return;
    report->errors = log_errors(&report->error_count);
    if (status != STATUS_DONE && report->error_count == 0) /* getopt has said it */
    {
        error_set(&usage, ERROR_USAGE, "the command line is wrong");
        error_hint(&usage, "Try \"pg_rewind --help\" for more information.");
        report->errors = &only_error;
        report->error_count = 1;
    }
    if (command->report_format == REPORT_JSON)
        report_json(report, status, &text, report_file->stream);
    else
        report_text(report, status, &text);
    written = fwrite(text.bytes, 1, text.size, report_file->stream) == text.size &&
              !ferror(report_file->stream);
    report_file_close(report_file, written);
    buffer_free(&text);
}

/* What is wrong with the command line; on stderr exactly these lines. Nothing was looked at yet. */
static int refuse(const Command *command, const Error *error)
{
    Report report = {0};
    ReportFile standard_output = {.stream = stdout};

    if (error->kind != ERROR_REPORTED)
        log_error(error);
    if (error_worst_kind(error) == ERROR_USAGE)
        log_hint("Try \"%s --help\" for more information.", log_program_name()); /* contract */
    report.target = command->options.target;
    report.dry_run = command->options.dry_run;
    /* Which directories are forbidden to a file, only a right command line says. */
    if (command->report_file == NULL && command->report_format != REPORT_NONE)
        write_report(command, &report, STATUS_FAILED, &standard_output);
    return STATUS_FAILED;
}

/* The last line of a failed run: the state of the target, and what to do next. */
static void say_what_next(int status, RewindOutcome outcome, const Error *error,
                          const Report *report)
{
    size_t errors;

    log_errors(&errors);
    if (outcome == REWIND_BUSY)
        log_hint("Another run is using the target and may be changing it: do not start a server "
                 "there, do not remove anything, wait until it ends and run the same %s command "
                 "again.",
                 log_program_name());
    else if (status == STATUS_UNFINISHED)
        log_hint(
            "The rewind has begun and must be finished before a server can start: run the same %s "
            "command again; it no longer needs the source.",
            log_program_name());
    else if (status == STATUS_IMPOSSIBLE)
        log_hint(
            "The target is unchanged. It cannot be rewound to this source: replace it by a new "
            "base backup.");
    else if (report->resumed)
        log_hint("The interrupted rewind is finished. The target has not been changed since then.");
    else if (error_worst_kind(error) == ERROR_RETRY)
        log_hint("The target is unchanged. Run %s again when the source can be reached.",
                 log_program_name());
    else if (errors > 1)
        log_hint("The target is unchanged. Fix all problems listed above, then run %s again.",
                 log_program_name());
    else
        log_hint("The target is unchanged.");
}

static int exit_status(bool succeeded, RewindOutcome outcome, const Error *error)
{
    if (succeeded)
        return STATUS_DONE;
    if (outcome != REWIND_UNTOUCHED)
        return STATUS_UNFINISHED;
    return error_worst_kind(error) == ERROR_IMPOSSIBLE ? STATUS_IMPOSSIBLE : STATUS_FAILED;
}

/* The rewind; last: nothing comes after it, so this is where the report is written. */
static int run(const Command *command, ReportFile *report_file, bool last)
{
    Report report = {0};
    Error error = {0};
    RewindOutcome outcome = REWIND_UNTOUCHED;
    bool succeeded;
    int status;

    file_set_sync(!command->no_sync);
    succeeded = rewind_run(&command->options, &report, &outcome, &error);
    status = exit_status(succeeded, outcome, &error);
    if (!succeeded)
    {
        if (error.kind != ERROR_REPORTED)
            log_error(&error);
        say_what_next(status, outcome, &error, &report);
    }
    if (outcome == REWIND_COMMITTED && !last && !stop_signalled())
        return SUPERVISE_AGAIN;
    write_report(command, &report, status, report_file);
    lost_destroy(report.lost);
    arena_destroy(report.arena);
    return status;
}

/*
 * A manager that takes the death of one process for the end of all may have put another directory
 * in the place of the target, such as a base backup: that is not to be touched.
 */
static bool check_same_target(const Command *command, Error *error)
{
    const char *target = command->options.target;
    Place place;
    bool found;

    if (!command->target_found)
        return true;
    if (!place_find(target, &place, &found, error))
        return false;
    /* The number of a directory that was removed is soon given to another one. */
    if (found && place_same(&place, &command->target_place) &&
        place_birth(target) == command->target_birth)
        return true;
    error_set(error, ERROR_FAILED, "directory \"%s\" was replaced by another one", target);
    return error_hint(error, "That happened before the rewind was run again. Nothing is done with "
                             "the new one.");
}

/* A SupervisedWork. */
static int do_command(void *context, bool last)
{
    ReportFile report_file;
    const Command *command = context;
    Error error;
    int status;

    if (!check_same_target(command, &error) || !open_report(command, &report_file, &error))
    {
        log_error(&error);
        return STATUS_FAILED;
    }
    status = run(command, &report_file, last);
    if (connection_attempts_go_on())
    {
        fflush(NULL);
        _exit(status);
    }
    return status;
}

int main(int argc, char **argv)
{
    static Command command; /* its mappings of tablespaces are in use to the end */
    static Keep keep;
    static TablespaceMappings tablespaces;
    int first_argument = argc;
    Error error;

    command.options.keep = &keep;
    command.options.tablespaces = &tablespaces;
    command.options.jobs = default_jobs();
    command.options.retry_timeout_seconds = RETRY_TIMEOUT_DEFAULT_SECONDS;
    command.retries = RETRIES_DEFAULT;
    command.options.wait_timeout_seconds = WAIT_TIMEOUT_DEFAULT_SECONDS;
    if (!file_open_standard())
        return STATUS_FAILED; /* there is nowhere to say so */
    log_init(argv[0]);
    signals_install();
    if (argc > 1 && strcmp(argv[1], "-?") == 0) /* contract: only in the first place */
        command.help = true;
    else if (!parse_options(argc, argv, &command, &first_argument, &error))
        return refuse(&command, &error);
    if (command.help || command.version)
    {
        if (command.help)
            print_help();
        else
            print_version();
        return fflush(stdout) == 0 ? STATUS_DONE : STATUS_FAILED;
    }
    if (!check_options(&command.options, argv[first_argument], &error))
        return refuse(&command, &error);
    /* What cannot be read is reported in its turn. */
    if (!place_find(command.options.target, &command.target_place, &command.target_found, &error))
        command.target_found = false;
    command.target_birth = place_birth(command.options.target);
    /* A dry run leaves nothing to be finished. */
    return supervise(command.options.dry_run ? 0 : command.retries, do_command, &command,
                     STATUS_UNFINISHED);
}
