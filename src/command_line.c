#include "command_line.h"

#include "base/arena.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/words.h"
#include "target/tablespace_mapping.h"
#include "plan/keep.h"

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

/* Options in front of those of the command line, for callers that cannot be told to give them. */
#define OPTIONS_VARIABLE "PG_REWIND_OPTIONS"

#define JOBS_DEFAULT_MAX 4
#define JOBS_MAX 64
#define RATE_MIN_KB 32 /* both as pg_basebackup's */
#define RATE_MAX_KB (1024 * 1024)
#define RETRY_TIMEOUT_DEFAULT_SECONDS 60
#define WAIT_TIMEOUT_DEFAULT_SECONDS 300 /* checkpoint_timeout's default */
#define TIMEOUT_MAX_SECONDS 86400
#define REJOIN_TIMEOUT_DEFAULT_SECONDS 300
#define RETRIES_DEFAULT 3
#define RETRIES_MAX 10
#define SLOT_NAME_MAX 63 /* NAMEDATALEN - 1 */

/* Options that have no letter. */
enum
{
    OPTION_SOURCE_PGDATA = UCHAR_MAX + 1,
    OPTION_SOURCE_SERVER,
    OPTION_CHECK,
    OPTION_CHECKPOINT,
    OPTION_COMPARE,
    OPTION_CONFIG_FILE,
    OPTION_CREATE_SLOT,
    OPTION_DEBUG,
    OPTION_DROP_SLOTS,
    OPTION_EARLY_START,
    OPTION_HELP,
    OPTION_KEEP,
    OPTION_KEEP_CONFIG,
    OPTION_LATE_START,
    OPTION_NO_ENSURE_SHUTDOWN,
    OPTION_REJOIN,
    OPTION_REJOIN_TIMEOUT,
    OPTION_REPORT,
    OPTION_REPORT_FILE,
    OPTION_REPORT_TRANSACTIONS,
    OPTION_RESTORE_COMMAND,
    OPTION_RETRIES,
    OPTION_RETRY_TIMEOUT,
    OPTION_SAVE_DIVERGED_WAL,
    OPTION_SLOT,
    OPTION_START_COMMAND,
    OPTION_STOP_COMMAND,
    OPTION_SYNC_METHOD,
    OPTION_WAIT_TIMEOUT,
    OPTION_WAL_ARCHIVE
};

typedef struct OptionRow
{
    int letter; /* or one of the numbers above */
    const char *name;
    const char *argument; /* its name in the help, NULL: takes none; in brackets: the long option
                             may have one, "--NAME=ARGUMENT", the letter has none */
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
    {'P', "progress", "[FORMAT]", "write progress messages (as text or json)"},
    {'r', "max-rate", "RATE",
     "maximum rate at which to read from the source\n"
     "(in kB/s, or use suffix \"k\" or \"M\")"},
    {'R', "write-recovery-conf", NULL,
     "write configuration for replication\n"
     "(requires --source-server)"},
    {'T', "tablespace-mapping", "OLD=NEW",
     "put a tablespace that the target does not have\n"
     "yet into NEW, if it is in OLD on the source"},
    {OPTION_CHECK, "check", NULL,
     "tell whether the target could be rewound, now\n"
     "or after a failover; change nothing"},
    {OPTION_CHECKPOINT, "checkpoint", NULL,
     "run CHECKPOINT on the source if recovery must\n"
     "start later than at its last checkpoint, or is\n"
     "over sooner if it does"},
    {OPTION_COMPARE, "compare", NULL,
     "compare all blocks with those of the source:\n"
     "none of the target's WAL is needed"},
    {OPTION_CONFIG_FILE, "config-file", "FILENAME",
     "use specified main server configuration\n"
     "file when running target cluster"},
    {OPTION_CREATE_SLOT, "create-slot", NULL,
     "make that slot on the source, with its WAL\n"
     "reserved, before anything is copied"},
    {OPTION_DEBUG, "debug", NULL, "write a lot of debug messages"},
    {OPTION_DROP_SLOTS, "drop-slots", NULL,
     "drop the replication slots of a former primary\n"
     "that needs no rewind; a rewind removes them"},
    {OPTION_EARLY_START, "early-start", NULL,
     "recover from the last common checkpoint if\n"
     "possible: less is copied, more replayed"},
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
    {OPTION_REJOIN, "rejoin", NULL,
     "stop the target's server, rewind it with -R,\n"
     "start it, and wait until it follows the source"},
    {OPTION_REJOIN_TIMEOUT, "rejoin-timeout", "SECONDS",
     "how long to wait for that (default: 300)"},
    {OPTION_REPORT, "report", "FORMAT",
     "write what diverged, what is lost and what was\n"
     "done to standard output, as text or json"},
    {OPTION_REPORT_FILE, "report-file", "FILENAME",
     "write that report to a file instead\n"
     "(as text, unless --report says otherwise)"},
    {OPTION_REPORT_TRANSACTIONS, "report-transactions", "WHICH",
     "lost transactions that the report lists: none,\n"
     "summary or all (default)"},
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
    {OPTION_SLOT, "slot", "NAME",
     "the replication slot on the source that the\n"
     "standby will use (requires -R)"},
    {OPTION_START_COMMAND, "start-command", "COMMAND",
     "starts the server that rejoins (default: pg_ctl,\n"
     "pg_ctlcluster or systemctl)"},
    {OPTION_STOP_COMMAND, "stop-command", "COMMAND", "stops the server that rejoins"},
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

/* As getopt_long calls it. */
static int argument_of(const OptionRow *row)
{
    if (row->argument == NULL)
        return no_argument;
    return row->argument[0] == '[' ? optional_argument : required_argument;
}

static void print_help_row(const OptionRow *row)
{
    char left[64];
    const char *line = row->help;
    bool first = true;
    int length;

    length = row->letter <= UCHAR_MAX ? snprintf(left, sizeof(left), "  -%c, ", row->letter)
                                      : snprintf(left, sizeof(left), "      ");
    if (argument_of(row) == optional_argument)
        snprintf(left + length, sizeof(left) - (size_t) length, "--%s[=%s", row->name,
                 row->argument + 1);
    else
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

void command_line_print_help(void)
{
    const char *name = log_program_name();

    printf("%s resynchronizes a PostgreSQL cluster with another copy of the cluster.\n\n", name);
    printf("Usage:\n  %s [OPTION]...\n\nOptions:\n", name);
    for (size_t i = 0; i < OPTION_COUNT; i++)
        print_help_row(&option_rows[i]);
    printf(
        "\nExit status:\n"
        "  0  rewound, or nothing to do\n"
        "  1  failed; the target is unchanged\n"
        "  2  failed half-way: run the same command again to finish\n"
        "  3  nothing can rewind this target to this source, not even --compare:\n"
        "     take a new base backup; the target is unchanged\n\n"
        "This is the standalone pg_rewind for PostgreSQL 9.3 to 18 and 19rc1; see pg_rewind(1).\n"
        "PostgreSQL home page: <https://www.postgresql.org/>\n");
}

void command_line_print_version(void)
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
    error_set(error, ERROR_FAILED, "unrecognized sync method: %s", value); /* contract */
    return error_hint(error, "Valid methods are fsync and syncfs.");
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

static bool parse_report_transactions(const char *value, ReportTransactions *which, Error *error)
{
    if (strcmp(value, "none") == 0)
        *which = REPORT_TRANSACTIONS_NONE;
    else if (strcmp(value, "summary") == 0)
        *which = REPORT_TRANSACTIONS_SUMMARY;
    else if (strcmp(value, "all") == 0)
        *which = REPORT_TRANSACTIONS_ALL;
    else
    {
        error_set(error, ERROR_FAILED, "invalid value \"%s\" for option %s", value,
                  "--report-transactions");
        return error_hint(error, "Valid values are none, summary and all.");
    }
    return true;
}

/* FORMAT is optional: of a letter it would be what stands directly behind it. */
static bool parse_progress(const char *value, Error *error)
{
    if (value == NULL || strcmp(value, "text") == 0)
        log_set_progress(PROGRESS_TEXT);
    else if (strcmp(value, "json") == 0)
        log_set_progress(PROGRESS_JSON);
    else
    {
        error_set(error, ERROR_FAILED, "unrecognized progress format: %s", value);
        return error_hint(error, "Valid formats are text and json.");
    }
    return true;
}

/* The server's rule: ReplicationSlotValidateName in replication/slot.c. */
static bool parse_slot_name(const char *value, const char **name, Error *error)
{
    const size_t length = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_");

    *name = value;
    if (length >= 1 && length <= SLOT_NAME_MAX && value[length] == '\0')
        return true;
    error_set(error, ERROR_FAILED, "invalid value \"%s\" for option %s", value, "--slot");
    return error_hint(error,
                      "Replication slot names have 1 to %d lower case letters, digits and "
                      "underscores.",
                      SLOT_NAME_MAX);
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
        return parse_progress(value, error);
    case 'r':
        return parse_rate(value, &options->max_rate, error);
    case 'R':
        options->write_recovery_conf = true;
        return true;
    case 'T':
        return tablespace_mapping_add(options->tablespaces, value, error);
    case OPTION_CHECK:
        options->check = true;
        return true;
    case OPTION_CHECKPOINT:
        options->checkpoint = true;
        return true;
    case OPTION_COMPARE:
        options->compare = true;
        return true;
    case OPTION_CONFIG_FILE:
        options->config_file = value;
        return true;
    case OPTION_CREATE_SLOT:
        options->create_slot = true;
        return true;
    case OPTION_DEBUG:
        log_set_debug(true);
        return true;
    case OPTION_DROP_SLOTS:
        options->drop_slots = true;
        return true;
    case OPTION_EARLY_START:
        options->early_start = true;
        options->late_start = false;
        return true;
    case OPTION_KEEP:
        return keep_add(options->keep, value, error);
    case OPTION_KEEP_CONFIG:
        options->keep->configuration = true;
        return true;
    case OPTION_LATE_START:
        options->late_start = true;
        options->early_start = false;
        return true;
    case OPTION_NO_ENSURE_SHUTDOWN:
        options->no_ensure_shutdown = true;
        return true;
    case OPTION_REJOIN:
        options->rejoin = true;
        options->write_recovery_conf = true;
        return true;
    case OPTION_REJOIN_TIMEOUT:
        return parse_number("--rejoin-timeout", value, 0, TIMEOUT_MAX_SECONDS,
                            &options->rejoin_timeout_seconds, error);
    case OPTION_REPORT:
        options->report_wanted = true;
        return parse_report_format(value, &command->report_format, error);
    case OPTION_REPORT_FILE:
        command->report_file = value;
        options->report_wanted = true;
        return true;
    case OPTION_REPORT_TRANSACTIONS:
        return parse_report_transactions(value, &options->report_transactions, error);
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
    case OPTION_SLOT:
        return parse_slot_name(value, &options->slot, error);
    case OPTION_START_COMMAND:
        options->start_command = value;
        return check_not_empty("--start-command", value, error);
    case OPTION_STOP_COMMAND:
        options->stop_command = value;
        return check_not_empty("--stop-command", value, error);
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

/* What getopt_long needs to know. */
typedef struct Syntax
{
    struct option long_options[OPTION_COUNT + 1];
    char letters[2 * OPTION_COUNT + 1];
} Syntax;

static void make_syntax(Syntax *syntax)
{
    size_t length = 0;

    *syntax = (Syntax){0};
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const OptionRow *row = &option_rows[i];

        syntax->long_options[i] = (struct option){row->name, argument_of(row), NULL, row->letter};
        /* getopt says '?' for what it does not know: -? is for main, --help has a number. */
        if (row->letter == '?')
            syntax->long_options[i].val = OPTION_HELP;
        if (row->letter > UCHAR_MAX || row->letter == '?')
            continue;
        syntax->letters[length++] = (char) row->letter;
        if (argument_of(row) == required_argument)
            syntax->letters[length++] = ':';
    }
}

/* One option is wrong: nothing is done, but a report that is asked for tells of that too. */
static void take_report_options(int argc, char **argv, const Syntax *syntax, Command *command)
{
    int letter;

    opterr = 0;
    while ((letter = getopt_long(argc, argv, syntax->letters, syntax->long_options, NULL)) != -1)
    {
        if (letter == OPTION_REPORT || letter == OPTION_REPORT_FILE)
            take_option(command, letter, optarg, NULL);
    }
}

/*
 * Read the options up to --help or --version. Where getopt has said itself what is wrong, the kind
 * is ERROR_REPORTED. *first_argument: index of what is no option, else argc.
 */
static bool parse_options(int argc, char **argv, const Syntax *syntax, Command *command,
                          int *first_argument, Error *error)
{
    int letter;

    optind = 0; /* begin */
    while (!command->help && !command->version)
    {
        letter = getopt_long(argc, argv, syntax->letters, syntax->long_options, NULL);
        if (letter == -1)
            break;
        if (letter == '?')
            error_set_reported(error, ERROR_USAGE);
        if (letter == '?' || !take_option(command, letter, optarg, error))
        {
            take_report_options(argc, argv, syntax, command);
            return false;
        }
    }
    *first_argument = optind;
    return true;
}

/* --check changes nothing: options that ask for a change by name contradict it. The others say
 * which rewind is meant. */
static bool check_options_of_check(const Options *options, Error *error)
{
    const struct
    {
        bool given;
        const char *name;
    } others[] = {
        {options->rejoin, "--rejoin"},
        {options->checkpoint, "--checkpoint"},
        {options->create_slot, "--create-slot"},
        {options->drop_slots, "--drop-slots"},
        {options->save_diverged_wal != NULL, "--save-diverged-wal"},
    };

    for (size_t i = 0; options->check && i < sizeof(others) / sizeof(others[0]); i++)
        if (others[i].given)
            return error_set(error, ERROR_USAGE,
                             "--check changes nothing: it cannot be used with %s", others[i].name);
    return true;
}

/* Does the command line ask for --help or --version, before anything that is wrong? */
static bool asks_for_information(int argc, char **argv, const Syntax *syntax)
{
    const int print_errors = opterr;
    int letter;

    opterr = optind = 0;
    do
        letter = getopt_long(argc, argv, syntax->letters, syntax->long_options, NULL);
    while (letter != -1 && letter != '?' && letter != 'V' && letter != OPTION_HELP);
    opterr = print_errors;
    return letter == 'V' || letter == OPTION_HELP;
}

/* What ends the run with success but without a rewind would make a caller believe in one; and the
 * caller of a rewind does not expect a server to be started. */
static bool check_environment_rewinds(const Command *command, Error *error)
{
    const char *name = command->help              ? "--help"
                       : command->version         ? "--version"
                       : command->options.check   ? "--check"
                       : command->options.dry_run ? "--dry-run"
                       : command->options.rejoin  ? "--rejoin"
                                                  : NULL;

    return name == NULL ||
           error_set(error, ERROR_USAGE, "PG_REWIND_OPTIONS must not ask for %s", name);
}

static bool parse_environment_words(const Words *words, const Syntax *syntax, Command *command,
                                    Error *error)
{
    const int count = (int) words->count + 1;
    char **arguments = memory_allocate_zeroed(words->count + 2, sizeof(*arguments));
    char name[64];
    int first;
    bool ok;

    /* getopt begins its messages with it. */
    snprintf(name, sizeof(name), "%.30s: " OPTIONS_VARIABLE, log_program_name());
    arguments[0] = name;
    memcpy(arguments + 1, words->words, words->count * sizeof(*arguments));
    ok = parse_options(count, arguments, syntax, command, &first, error);
    if (!ok && error->kind != ERROR_REPORTED)
        error_detail(error, "This option is from the environment variable %s.", OPTIONS_VARIABLE);
    else if (ok && first < count)
        ok = error_set(error, ERROR_USAGE, "PG_REWIND_OPTIONS has \"%s\", which is no option",
                       arguments[first]);
    else if (ok)
        ok = check_environment_rewinds(command, error);
    command->help = command->version = false;
    free(arguments);
    return ok;
}

/* The words live to the end of the program. Programs that this one runs do not get them. */
static bool parse_environment(const Syntax *syntax, Command *command, Error *error)
{
    static Arena *arena;
    const char *text = getenv(OPTIONS_VARIABLE);
    const char *wrong;
    Words words;

    if (text == NULL)
        return true;
    arena = arena_create();
    if (!words_split(arena, text, &words, &wrong))
        return error_set(error, ERROR_USAGE, "PG_REWIND_OPTIONS has %s", wrong);
    unsetenv(OPTIONS_VARIABLE);
    return parse_environment_words(&words, syntax, command, error);
}

static bool check_options(const Options *options, const char *extra_argument, Error *error)
{
    if (options->source_server == NULL && options->source_directory == NULL && !options->check)
        return error_set(error, ERROR_USAGE,
                         "no source specified (--source-pgdata or --source-server)"); /* contract */
    if (options->source_server != NULL && options->source_directory != NULL)
        return error_set(
            error, ERROR_USAGE,
            "only one of --source-pgdata or --source-server can be specified"); /* contract */
    if (options->target == NULL)
        return error_set(error, ERROR_USAGE,
                         "no target data directory specified (--target-pgdata)"); /* contract */
    if (options->rejoin && options->source_server == NULL)
        return error_set(error, ERROR_USAGE,
                         "--rejoin can only be used with a source server (--source-server)");
    if (options->write_recovery_conf && options->source_server == NULL)
        return error_set(error, ERROR_USAGE,
                         "no source server information (--source-server) specified for "
                         "--write-recovery-conf"); /* contract */
    if (!check_options_of_check(options, error))
        return false;
    if (options->checkpoint && options->source_server == NULL)
        return error_set(error, ERROR_USAGE,
                         "--checkpoint can only be used with a source server (--source-server)");
    if (!options->rejoin && (options->start_command != NULL || options->stop_command != NULL))
        return error_set(error, ERROR_USAGE, "%s can only be used with --rejoin",
                         options->start_command != NULL ? "--start-command" : "--stop-command");
    if (options->slot != NULL && !options->write_recovery_conf && !options->rejoin)
        return error_set(error, ERROR_USAGE,
                         "--slot can only be used with --write-recovery-conf or --rejoin");
    if (options->create_slot && options->slot == NULL)
        return error_set(error, ERROR_USAGE, "--create-slot can only be used with --slot");
    if (options->drop_slots && !options->write_recovery_conf && !options->rejoin)
        return error_set(error, ERROR_USAGE,
                         "--drop-slots can only be used with --write-recovery-conf or --rejoin");
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

bool command_line_read(int argc, char **argv, Command *command, Error *error)
{
    static Keep keep;
    static TablespaceMappings tablespaces;
    int first_argument = argc;
    bool in_environment;
    Syntax syntax;

    *command = (Command){
        .begin = clock_timestamp(), .clock_begin = clock_seconds(), .retries = RETRIES_DEFAULT};
    command->options.keep = &keep;
    command->options.tablespaces = &tablespaces;
    command->options.jobs = default_jobs();
    command->options.retry_timeout_seconds = RETRY_TIMEOUT_DEFAULT_SECONDS;
    command->options.wait_timeout_seconds = WAIT_TIMEOUT_DEFAULT_SECONDS;
    command->options.rejoin_timeout_seconds = REJOIN_TIMEOUT_DEFAULT_SECONDS;
    command->help = argc > 1 && strcmp(argv[1], "-?") == 0; /* contract: only in the first place */
    if (command->help)
        return true;
    make_syntax(&syntax);
    in_environment = getenv(OPTIONS_VARIABLE) != NULL;
    if (!asks_for_information(argc, argv, &syntax) && !parse_environment(&syntax, command, error))
    {
        optind = 0;
        take_report_options(argc, argv, &syntax, command);
        return false;
    }
    if (!parse_options(argc, argv, &syntax, command, &first_argument, error))
        return false;
    if (command->help || command->version ||
        check_options(&command->options, argv[first_argument], error))
        return true;
    if (in_environment && error->kind == ERROR_USAGE)
        error_detail(error,
                     "The options of the environment variable %s stand in front of those of the "
                     "command line.",
                     OPTIONS_VARIABLE);
    return false;
}
