#include "command_line.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text_lines.h"

#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Server release in the first line of --version: the newest one that this program was tested with.
 * The line begins as the original's does, since callers look for "(PostgreSQL)" and the number
 * after it.
 */
#define TESTED_WITH "18.4"

/* Environment variable with options that are read before those of the command line: for users whose
 * failover manager offers no way to pass options. */
#define OPTIONS_VARIABLE "PG_REWIND_OPTIONS"

#define JOBS_DEFAULT_MAX 4
#define JOBS_MAX 64
#define RATE_MIN_KB 32 /* the limits of --max-rate are those of pg_basebackup */
#define RATE_MAX_KB (1024 * 1024)
#define RETRY_TIMEOUT_DEFAULT_SECONDS 60
#define WAIT_TIMEOUT_DEFAULT_SECONDS 300 /* default of checkpoint_timeout */
#define TIMEOUT_MAX_SECONDS 86400
#define REJOIN_TIMEOUT_DEFAULT_SECONDS 300
#define RETRIES_DEFAULT 3
#define RETRIES_MAX 10
#define SLOT_NAME_MAX 63 /* NAMEDATALEN - 1 */

typedef struct OptionRow OptionRow;

/* Other options, without which an option is refused. */
typedef enum OptionNeeds
{
    NEEDS_NOTHING,
    NEEDS_CHECK,
    NEEDS_SERVER,
    NEEDS_STANDBY,
    NEEDS_SLOT,
    NEEDS_REJOIN,
    NEEDS_LOST_ROWS
} OptionNeeds;

/* Store an option in the command. value is the option's argument, NULL without one. Of a repeated
 * option the last one counts. */
typedef bool OptionTaker(const OptionRow *row, Command *command, const char *value, Error *error);

struct OptionRow
{
    char letter;          /* option's letter; 0: none */
    const char *name;     /* option's long name; NULL: the row is a heading of the help */
    const char *argument; /* argument's name in the help; NULL: the option takes none. A name in
                             brackets: the long option may have an argument ("--NAME=ARGUMENT"),
                             the letter has none */
    OptionTaker *take;
    size_t field; /* offset in Command of the field that `take` sets; 0: `take` sets a field of its
                     choice */
    const char *help;  /* text of the help; printed in lines of up to HELP_WIDTH characters */
    OptionNeeds needs; /* other option without which this one is refused */
    bool is_change;    /* the option's purpose is a change, so --check refuses it */
    bool is_decided;   /* the option is part of Options.decided */
    int minimum;       /* smallest number that take_whole_number accepts */
    int maximum;       /* largest such number; 0: TIMEOUT_MAX_SECONDS */
};

#define COMMAND(field) offsetof(Command, field)
#define OPTION(field) offsetof(Command, options.field)

static bool take_flag(const OptionRow *row, Command *command, const char *value, Error *error)
{
    (void) value, (void) error;
    *(bool *) ((char *) command + row->field) = true;
    return true;
}

static bool take_argument(const OptionRow *row, Command *command, const char *value, Error *error)
{
    (void) error;
    memcpy((char *) command + row->field, &value, sizeof(value));
    return true;
}

/* Returns `text`, filled with the option's name for messages, like "-j/--jobs" or "--retries". */
#define OPTION_NAME_SIZE 64
static const char *option_name(const OptionRow *row, char text[OPTION_NAME_SIZE])
{
    if (row->letter != 0)
        snprintf(text, OPTION_NAME_SIZE, "-%c/--%s", row->letter, row->name);
    else
        snprintf(text, OPTION_NAME_SIZE, "--%s", row->name);
    return text;
}

static bool error_invalid_value(const OptionRow *row, const char *value, Error *error)
{
    char name[OPTION_NAME_SIZE];

    return error_set(error, ERROR_FAILED, "invalid value \"%s\" for option %s", value,
                     option_name(row, name));
}

/* An OptionTaker for a string that must not be empty. */
static bool take_nonempty(const OptionRow *row, Command *command, const char *value, Error *error)
{
    if (value[0] == '\0')
        return error_invalid_value(row, value, error);
    return take_argument(row, command, value, error);
}

static int maximum_of(const OptionRow *row)
{
    return row->maximum != 0 ? row->maximum : TIMEOUT_MAX_SECONDS;
}

static bool take_whole_number(const OptionRow *row, Command *command, const char *value,
                              Error *error)
{
    char name[OPTION_NAME_SIZE];
    char *end;
    long parsed;

    errno = 0;
    parsed = strtol(value, &end, 10);
    if (end == value || *end != '\0')
        return error_invalid_value(row, value, error);
    if (errno == ERANGE || parsed < row->minimum || parsed > maximum_of(row))
        return error_set(error, ERROR_FAILED, "%s must be in range %d..%d", option_name(row, name),
                         row->minimum, maximum_of(row));
    *(int *) (void *) ((char *) command + row->field) = (int) parsed;
    return true;
}

/* Returns the index of value in a list that ends with NULL; -1 if the list does not have it. */
static int find_choice(const char *value, const char *const *choices)
{
    for (int i = 0; choices[i] != NULL; i++)
        if (strcmp(value, choices[i]) == 0)
            return i;
    return -1;
}

static const char *const formats[] = {"text", "json", NULL};

/* An OptionTaker for -P/--progress[=FORMAT]; the letter has no FORMAT. */
static bool take_progress(const OptionRow *row, Command *command, const char *value, Error *error)
{
    const int format = value != NULL ? find_choice(value, formats) : 0;

    (void) row, (void) command;
    if (format < 0)
    {
        error_set(error, ERROR_FAILED, "unrecognized progress format: %s", value);
        return error_hint(error, "Valid formats are text and json.");
    }
    log_set_progress(format == 0 ? PROGRESS_TEXT : PROGRESS_JSON);
    return true;
}

static bool take_report(const OptionRow *row, Command *command, const char *value, Error *error)
{
    const int format = find_choice(value, formats);

    (void) row;
    if (format < 0)
    {
        error_set(error, ERROR_FAILED, "unrecognized report format: %s", value);
        return error_hint(error, "Valid formats are text and json.");
    }
    command->report_format = format == 0 ? REPORT_TEXT : REPORT_JSON;
    return true;
}

static bool take_transactions(const OptionRow *row, Command *command, const char *value,
                              Error *error)
{
    static const char *const choices[] = {[REPORT_TRANSACTIONS_ALL] = "all",
                                          [REPORT_TRANSACTIONS_SUMMARY] = "summary",
                                          [REPORT_TRANSACTIONS_NONE] = "none",
                                          NULL};
    const int choice = find_choice(value, choices);

    if (choice < 0)
    {
        error_invalid_value(row, value, error);
        return error_hint(error, "Valid values are all, summary and none.");
    }
    command->options.report_transactions = (ReportTransactions) choice;
    return true;
}

static const char *const checkpoint_uses[] = {[CHECKPOINT_UNASKED] = "",
                                              [CHECKPOINT_NO] = "no",
                                              [CHECKPOINT_AUTO] = "auto",
                                              [CHECKPOINT_YES] = "yes",
                                              NULL};

/* An OptionTaker for --checkpoint[=WHEN]; without a value it means "yes". */
static bool take_checkpoint(const OptionRow *row, Command *command, const char *value, Error *error)
{
    const int use = find_choice(value != NULL ? value : "yes", checkpoint_uses);

    if (use <= CHECKPOINT_UNASKED)
    {
        error_invalid_value(row, value, error);
        return error_hint(error, "Valid values are yes, no and auto.");
    }
    command->options.checkpoint = (CheckpointUse) use;
    return true;
}

static bool take_sync_method(const OptionRow *row, Command *command, const char *value,
                             Error *error)
{
    static const char *const methods[] = {"fsync", "syncfs", NULL};
    const int method = find_choice(value, methods);

    (void) row;
    if (method < 0)
    {
        error_set(error, ERROR_FAILED, "unrecognized sync method: %s", value); /* contract */
        return error_hint(error, "Valid methods are fsync and syncfs.");
    }
    command->options.sync_method = method == 1 ? SYNC_FILE_SYSTEMS : SYNC_EACH_FILE;
    return true;
}

/*
 * An OptionTaker for --max-rate. RATE has the syntax of pg_basebackup: kB per second, or MB with
 * the suffix M; the number may have a fraction, and blanks may surround number and suffix.
 */
static bool take_rate(const OptionRow *row, Command *command, const char *value, Error *error)
{
    static const char blanks[] = " \t\n\v\f\r";
    char *end;
    double number;

    (void) row;
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
    command->options.max_rate = (uint64_t) number * 1024;
    return true;
}

/* An OptionTaker for --slot. Slot names follow the server's rule: ReplicationSlotValidateName in
 * replication/slot.c. */
static bool take_slot(const OptionRow *row, Command *command, const char *value, Error *error)
{
    const size_t length = strspn(value, "abcdefghijklmnopqrstuvwxyz0123456789_");

    if (length >= 1 && length <= SLOT_NAME_MAX && value[length] == '\0')
        return take_argument(row, command, value, error);
    error_invalid_value(row, value, error);
    return error_hint(error,
                      "Replication slot names have 1 to %d lower case letters, digits and "
                      "underscores.",
                      SLOT_NAME_MAX);
}

static bool take_mapping(const OptionRow *row, Command *command, const char *value, Error *error)
{
    (void) row;
    return tablespace_mapping_add(command->options.tablespaces, value, error);
}

static bool take_keep(const OptionRow *row, Command *command, const char *value, Error *error)
{
    (void) row;
    return keep_add(command->options.keep, value, error);
}

/* An OptionTaker for --early-start and --late-start: the last of them counts. */
static bool take_start(const OptionRow *row, Command *command, const char *value, Error *error)
{
    command->options.early_start = command->options.late_start = false;
    return take_flag(row, command, value, error);
}

/* Text of each OptionNeeds, in messages and in the manual page. */
static const char *const needs_texts[] = {
    [NEEDS_NOTHING] = "",
    [NEEDS_CHECK] = "--check",
    [NEEDS_SERVER] = "a source server (--source-server)",
    [NEEDS_STANDBY] = "--write-recovery-conf or --rejoin",
    [NEEDS_SLOT] = "--slot",
    [NEEDS_REJOIN] = "--rejoin",
    [NEEDS_LOST_ROWS] = "--save-lost-rows",
};

/* Table of all options, in the order of the help. */
static const OptionRow option_rows[] = {
    {.help = "Options"},
    {'D', "target-pgdata", "DIRECTORY", take_argument, OPTION(target),
     .help = "existing data directory to modify"},
    {0, "source-pgdata", "DIRECTORY", take_argument, OPTION(source_directory),
     .help = "source data directory to synchronize with"},
    {0, "source-server", "CONNSTR", take_argument, OPTION(source_server),
     .help = "source server to synchronize with"},
    {'n', "dry-run", NULL, take_flag, OPTION(dry_run), .help = "stop before modifying anything"},
    {0, "check", NULL, take_flag, OPTION(check),
     .help = "tell whether the target could be rewound, now\n"
             "or after a failover; change nothing"},
    {0, "monitor", NULL, take_flag, OPTION(monitor),
     .help = "exit status of a monitoring plugin: 0 ready,\n"
             "1 warnings or unknowns, 2 not ready, 3 not\nchecked (requires --check)",
     .needs = NEEDS_CHECK},
    {'P', "progress", "[FORMAT]", take_progress, 0,
     .help = "write progress messages (as text or json)"},
    {'v', "verbose", NULL, take_flag, COMMAND(verbose),
     .help = "print all findings, including what is in order\n"
             "(with --check; in a rewind like --debug)"},
    {.help = "Options for a target that becomes a standby"},
    {'R', "write-recovery-conf", NULL, take_flag, OPTION(write_recovery_conf),
     .help = "write configuration for replication\n"
             "(requires --source-server)",
     .is_decided = true},
    {0, "slot", "NAME", take_slot, OPTION(slot),
     .help = "the replication slot on the source that the standby will use (requires -R)",
     .needs = NEEDS_STANDBY, .is_decided = true},
    {0, "create-slot", NULL, take_flag, OPTION(create_slot),
     .help = "create the slot that --slot names on the source, with its WAL reserved, before "
             "anything is copied",
     .needs = NEEDS_SLOT, .is_change = true},
    {0, "drop-slots", NULL, take_flag, OPTION(drop_slots),
     .help = "drop the replication slots of a former primary that needs no rewind; a rewind "
             "removes them",
     .needs = NEEDS_STANDBY, .is_change = true},
    {0, "rejoin", NULL, take_flag, OPTION(rejoin),
     .help = "stop the target's server, rewind it with -R, start it, and wait until it follows the "
             "source",
     .needs = NEEDS_SERVER, .is_change = true},
    {0, "demote", "TIMELINE", take_whole_number, OPTION(demote),
     .help = "stop a primary on this timeline even if it was promoted after the source, or has "
             "clients or standbys (with --rejoin)",
     .needs = NEEDS_REJOIN, .minimum = 1, .maximum = INT_MAX},
    {0, "rejoin-timeout", "SECONDS", take_whole_number, OPTION(rejoin_timeout_seconds),
     .help = "how long --rejoin waits until the target follows the source (default: 300)"},
    {0, "start-command", "COMMAND", take_nonempty, OPTION(start_command),
     .help = "command with which --rejoin starts the target's server (default: pg_ctl, "
             "pg_ctlcluster or systemctl)",
     .needs = NEEDS_REJOIN},
    {0, "stop-command", "COMMAND", take_nonempty, OPTION(stop_command),
     .help = "command with which --rejoin stops the target's server", .needs = NEEDS_REJOIN},
    {.help = "Options for missing WAL and the target's configuration"},
    {'c', "restore-target-wal", NULL, take_flag, OPTION(restore_target_wal),
     .help = "use restore_command in target configuration to retrieve WAL files from archives"},
    {0, "restore-command", "COMMAND", take_nonempty, OPTION(restore_command),
     .help = "retrieve WAL files from archives with this command (instead of the configured one)"},
    {0, "wal-archive", "DIRECTORY", take_nonempty, OPTION(wal_archive),
     .help = "look for missing WAL files in this directory (plain, .gz, .zst, .lz4, .partial)"},
    {'B', "bindir", "DIRECTORY", take_argument, OPTION(bindir),
     .help = "server programs of the target's version, for -c and --rejoin (default: next to "
             "pg_rewind, in "
             "PATH, or where distributions install them)"},
    {0, "config-file", "FILENAME", take_argument, OPTION(config_file),
     .help = "use specified main server configuration\n"
             "file when running target cluster"},
    {.help = "Options controlling what is copied and where recovery starts"},
    {0, "compare", NULL, take_flag, OPTION(compare),
     .help = "compare all blocks with those of the source: none of the target's WAL is needed",
     .is_decided = true},
    {0, "late-start", NULL, take_start, OPTION(late_start),
     .help = "recover from the source's last checkpoint if possible: more is copied, less replayed",
     .is_decided = true},
    {0, "early-start", NULL, take_start, OPTION(early_start),
     .help = "recover from the last common checkpoint if possible: less is copied, more replayed",
     .is_decided = true},
    {0, "checkpoint", "[WHEN]", take_checkpoint, 0,
     .help = "run CHECKPOINT on the source if recovery must start after the source's last "
             "checkpoint, or takes less time from a new one\n"
             "(auto: only if that clearly saves time and the role may run it; yes, no)",
     .needs = NEEDS_SERVER, .is_change = true, .is_decided = true},
    {'T', "tablespace-mapping", "OLD=NEW", take_mapping, 0,
     .help = "put a tablespace that the target does not have yet into NEW, if it is in OLD on the "
             "source",
     .is_decided = true},
    {0, "no-ensure-shutdown", NULL, take_flag, OPTION(no_ensure_shutdown),
     .help = "refuse a target that was not shut down cleanly"},
    {.help = "Options controlling what is kept"},
    {0, "keep", "PATTERN", take_keep, 0,
     .help = "do not change files of the target that match (may be repeated)", .is_decided = true},
    {0, "keep-config", NULL, take_flag, COMMAND(keep.configuration),
     .help = "keep the target's configuration files, certificates and keys", .is_decided = true},
    {0, "save-diverged-wal", "DIR", take_nonempty, OPTION(save_diverged_wal),
     .help = "copy the WAL that the target wrote after the divergence into DIR, for pg_waldump",
     .is_change = true, .is_decided = true},
    {0, "save-lost-rows", "DIR", take_nonempty, OPTION(save_lost_rows),
     .help =
         "write the rows that lost transactions inserted, updated or deleted, as JSON and as SQL",
     .is_change = true, .is_decided = true},
    {0, "require-lost-rows", NULL, take_flag, OPTION(require_lost_rows),
     .help = "change nothing if not all lost rows can be saved (default: warn, and rewind "
             "nevertheless)",
     .needs = NEEDS_LOST_ROWS, .is_decided = true},
    {0, "max-lost-transactions", "NUMBER", take_whole_number, OPTION(max_lost_transactions),
     .help = "change nothing if more than NUMBER committed transactions of the target would be "
             "discarded",
     .maximum = INT_MAX},
    {.help = "Report options"},
    {0, "report", "FORMAT", take_report, 0,
     .help =
         "write what diverged, what is lost and what was done to standard output, as text or json"},
    {0, "report-file", "FILENAME", take_argument, COMMAND(report_file),
     .help = "write the report to a file instead\n"
             "(as text, unless --report says otherwise)"},
    {0, "report-transactions", "WHICH", take_transactions, 0,
     .help = "lost transactions that the report lists: none, summary or all (default)"},
    {.help = "Options controlling speed, time and retries"},
    {'j', "jobs", "NUMBER", take_whole_number, OPTION(jobs),
     .help = "use this many threads and connections (1 to 64; default: number of processors, at "
             "most 4)",
     .minimum = 1, .maximum = JOBS_MAX},
    {'r', "max-rate", "RATE", take_rate, 0,
     .help =
         "maximum rate at which to read from the source (in kB/s, or use suffix \"k\" or \"M\")"},
    {'N', "no-sync", NULL, take_flag, COMMAND(no_sync),
     .help = "do not wait for changes to be written\n"
             "safely to disk"},
    {0, "sync-method", "METHOD", take_sync_method, 0,
     .help = "set method for syncing files to disk\n"
             "(fsync or syncfs)"},
    {0, "retries", "NUMBER", take_whole_number, COMMAND(retries),
     .help = "how often to run the rewind again if it was killed or interrupted during its changes "
             "(default: 3; 0: do everything in one process)",
     .maximum = RETRIES_MAX},
    {0, "retry-timeout", "SECONDS", take_whole_number, OPTION(retry_timeout_seconds),
     .help = "how long to retry a lost connection to the source (default: 60; 0: do not retry)"},
    {0, "wait-timeout", "SECONDS", take_whole_number, OPTION(wait_timeout_seconds),
     .help = "how long to wait for the source (a checkpoint, the end of a replay), a target server "
             "that is "
             "stopping, another pg_rewind (default: 300)"},
    {.help = "Other options"},
    {0, "debug", NULL, take_flag, COMMAND(debug), .help = "write a lot of debug messages"},
    {0, "timestamps", NULL, take_flag, COMMAND(timestamps),
     .help = "begin messages with the time, except on a terminal and in the journal of systemd"},
    {'V', "version", NULL, take_flag, COMMAND(version),
     .help = "output version information, then exit"},
    {'?', "help", NULL, take_flag, COMMAND(help), .help = "show this help, then exit"},
};

#define ROW_COUNT (sizeof(option_rows) / sizeof(option_rows[0]))
static_assert(ROW_COUNT <= 64, "Command.given has a bit for each row");

/* Returns the bit of the row's option in Command.given. */
static uint64_t given_bit(const OptionRow *row)
{
    return UINT64_C(1) << (row - option_rows);
}

#define HELP_COLUMN 33
#define HELP_WIDTH 48

/* Returns getopt_long's name for whether the option has an argument. */
static int argument_of(const OptionRow *row)
{
    if (row->argument == NULL)
        return no_argument;
    return row->argument[0] == '[' ? optional_argument : required_argument;
}

static void print_help_row(const OptionRow *row)
{
    AUTO_BUFFER Buffer line = {0};

    if (row->name == NULL)
    {
        printf("\n%s:\n", row->help);
        return;
    }
    if (row->letter != 0)
        buffer_printf(&line, "  -%c, --%s", row->letter, row->name);
    else
        buffer_printf(&line, "      --%s", row->name);
    if (argument_of(row) == optional_argument)
        buffer_printf(&line, "[=%s", row->argument + 1);
    else if (row->argument != NULL)
        buffer_printf(&line, "=%s", row->argument);
    if (line.size > HELP_COLUMN - 2)
        buffer_printf(&line, "\n%*s", HELP_COLUMN, "");
    else
        buffer_printf(&line, "%*s", HELP_COLUMN - (int) line.size, "");
    text_append_lines(&line, row->help, HELP_COLUMN, HELP_WIDTH);
    fputs(buffer_string(&line), stdout);
}

void command_line_describe(Buffer *text)
{
    for (const OptionRow *row = option_rows; row < option_rows + ROW_COUNT; row++)
    {
        AUTO_BUFFER Buffer about = {0};

        if (row->take == take_whole_number)
            buffer_printf(&about, "; %d to %d", row->minimum, maximum_of(row));
        if (row->take == take_nonempty || row->take == take_slot)
            buffer_append_string(&about, "; not empty");
        if (row->needs != NEEDS_NOTHING)
            buffer_printf(&about, "; only with %s", needs_texts[row->needs]);
        if (row->is_change)
            buffer_append_string(&about, "; not with --check");
        buffer_printf(text, "%c\t%s\t%s\t%s\t", row->letter != 0 ? row->letter : ' ',
                      row->name != NULL ? row->name : "",
                      row->argument != NULL ? row->argument : "",
                      about.size > 0 ? buffer_string(&about) + 2 : "");
        for (const char *c = row->help; *c != '\0'; c++)
            buffer_append_u8(text, (uint8_t) (*c == '\n' ? ' ' : *c));
        buffer_append_string(text, "\n");
    }
}

void command_line_print_help(void)
{
    const char *name = log_program_name();

    printf("%s resynchronizes a PostgreSQL cluster with another copy of the cluster.\n\n", name);
    printf("Usage:\n  %s [OPTION]...\n", name);
    for (size_t i = 0; i < ROW_COUNT; i++)
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

/* Long names of the original's options, without --help and --version. */
static const char *const original_names[] = {
    "config-file",        "debug",         "dry-run",
    "no-ensure-shutdown", "no-sync",       "progress",
    "source-pgdata",      "source-server", "sync-method",
    "restore-target-wal", "target-pgdata", "write-recovery-conf"};

#define ORIGINAL_COUNT (sizeof(original_names) / sizeof(original_names[0]))
#define ABBREVIATIONS_MAX 64

/* The table of options in the form that getopt_long reads. */
typedef struct Syntax
{
    struct option long_options[ROW_COUNT + ABBREVIATIONS_MAX + 1];
    size_t long_count, abbreviation_count;
    char abbreviations[ABBREVIATIONS_MAX][OPTION_NAME_SIZE];
    char letters[2 * ROW_COUNT + 1];
} Syntax;

/* True if the first `length` characters of an original option's name are unique among the options
 * of the original, but not among the options of this program. */
static bool is_originals(const char *name, size_t length)
{
    bool known = false;
    int originals = 0, ours = 0;

    for (size_t i = 0; i < ORIGINAL_COUNT; i++)
    {
        known |= strcmp(original_names[i], name) == 0;
        originals += strncmp(original_names[i], name, length) == 0;
    }
    for (size_t i = 0; i < ROW_COUNT; i++)
        ours += option_rows[i].name != NULL && strncmp(option_rows[i].name, name, length) == 0;
    return known && originals == 1 && ours > 1;
}

/* Keep abbreviations that the original accepts. An option that only this program has would make
 * some of them ambiguous; each of these becomes another name of the original's option. */
static void add_abbreviations(Syntax *syntax, struct option option)
{
    const char *name = option.name;
    const size_t name_length = strlen(name);

    for (size_t length = 1; length < name_length; length++)
    {
        char *abbreviation;

        if (!is_originals(name, length))
            continue;
        assert(syntax->abbreviation_count < ABBREVIATIONS_MAX);
        abbreviation = syntax->abbreviations[syntax->abbreviation_count++];
        snprintf(abbreviation, OPTION_NAME_SIZE, "%.*s", (int) length, name);
        option.name = abbreviation;
        syntax->long_options[syntax->long_count++] = option;
    }
}

/* Fill *syntax from the table. For a letter getopt_long will return the letter, for a long name
 * UCHAR_MAX + 1 + the index of the row. */
static void make_syntax(Syntax *syntax)
{
    size_t length = 0;

    *syntax = (Syntax){0};
    for (size_t i = 0; i < ROW_COUNT; i++)
    {
        const OptionRow *row = &option_rows[i];

        if (row->name == NULL)
            continue;
        syntax->long_options[syntax->long_count++] =
            (struct option){row->name, argument_of(row), NULL, UCHAR_MAX + 1 + (int) i};
        add_abbreviations(syntax, syntax->long_options[syntax->long_count - 1]);
        /* getopt_long returns '?' for unknown options, so command_line_read itself looks for -?. */
        if (row->letter == 0 || row->letter == '?')
            continue;
        syntax->letters[length++] = row->letter;
        if (argument_of(row) == required_argument)
            syntax->letters[length++] = ':';
    }
}

/* Returns the row of the next option; NULL after the last option, or with *wrong set for an option
 * that getopt_long refuses. */
static const OptionRow *next_option(int argc, char **argv, const Syntax *syntax, bool *wrong)
{
    const int letter = getopt_long(argc, argv, syntax->letters, syntax->long_options, NULL);

    *wrong = letter == '?';
    if (letter > UCHAR_MAX)
        return &option_rows[letter - UCHAR_MAX - 1];
    for (size_t i = 0; letter != -1 && letter != '?' && i < ROW_COUNT; i++)
        if (option_rows[i].letter == letter)
            return &option_rows[i];
    return NULL;
}

/* Take the options of the report from a command line with a wrong option: the run fails, but a
 * report that was asked for must still be written, with the error. */
static void take_report_options(int argc, char **argv, const Syntax *syntax, Command *command)
{
    const OptionRow *row;
    bool wrong;

    opterr = 0;
    while ((row = next_option(argc, argv, syntax, &wrong)) != NULL || wrong)
        if (row != NULL && (row->take == take_report || row->field == COMMAND(report_file) ||
                            row->field == OPTION(check) || row->field == OPTION(monitor)))
            row->take(row, command, optarg, NULL);
}

/*
 * Read the options up to --help or --version. If getopt_long has already printed what is wrong, the
 * error's kind is ERROR_REPORTED. *first_argument is the index of the first argument that is not an
 * option; argc without such an argument.
 */
static bool parse_options(int argc, char **argv, const Syntax *syntax, Command *command,
                          int *first_argument, Error *error)
{
    const OptionRow *row = NULL;
    bool wrong = false;

    optind = 0; /* restarts getopt_long */
    while (!command->help && !command->version &&
           (row = next_option(argc, argv, syntax, &wrong)) != NULL)
        if (!row->take(row, command, optarg, error))
            break;
        else
            command->given |= given_bit(row);
    if (wrong)
        error_set_reported(error, ERROR_USAGE);
    else if (command->help || command->version || row == NULL)
    {
        *first_argument = optind;
        return true;
    }
    take_report_options(argc, argv, syntax, command);
    return false;
}

/* True if the option is given and its request must be possible. The request of --checkpoint=auto or
 * =no need not be possible. */
static bool insists_on(const Command *command, const OptionRow *row)
{
    return (command->given & given_bit(row)) != 0 &&
           (row->take != take_checkpoint || command->options.checkpoint == CHECKPOINT_YES);
}

/* Refuse options that contradict --check, which changes nothing: those whose purpose is a change.
 * All other options are accepted, since they describe the rewind that --check judges. */
static bool check_options_of_check(const Command *command, Error *error)
{
    for (size_t i = 0; command->options.check && i < ROW_COUNT; i++)
        if (option_rows[i].is_change && insists_on(command, &option_rows[i]))
            return error_set(error, ERROR_USAGE,
                             "--check changes nothing: it cannot be used with --%s",
                             option_rows[i].name);
    return true;
}

/* Check that this row's option, if given, has the option that it needs. */
static bool check_needs(const OptionRow *row, const Command *command, Error *error)
{
    const Options *options = &command->options;
    const bool is_met[] = {
        [NEEDS_NOTHING] = true,
        [NEEDS_CHECK] = options->check,
        [NEEDS_SERVER] = options->source_server != NULL,
        [NEEDS_STANDBY] = options->write_recovery_conf, /* --rejoin sets this as well */
        [NEEDS_SLOT] = options->slot != NULL,
        [NEEDS_REJOIN] = options->rejoin,
        [NEEDS_LOST_ROWS] = options->save_lost_rows != NULL,
    };

    return !insists_on(command, row) || is_met[row->needs] ||
           error_set(error, ERROR_USAGE, "--%s can only be used with %s", row->name,
                     needs_texts[row->needs]);
}

/* Argument of --checkpoint in Options.decided; NULL: the option is left out. An empty argument
 * means "yes". */
static const char *const decided_checkpoints[] = {[CHECKPOINT_UNASKED] = NULL,
                                                  [CHECKPOINT_NO] = "no",
                                                  [CHECKPOINT_AUTO] = "auto",
                                                  [CHECKPOINT_YES] = ""};

static void append_decided(const OptionRow *row, const char *value, Buffer *text)
{
    buffer_printf(text, "--%s", row->name);
    if (row->argument != NULL && value[0] != '\0')
    {
        buffer_append_string(text, "=");
        buffer_append_word(text, value);
    }
    buffer_append_string(text, "\n");
}

static void append_decided_number(const OptionRow *row, const Command *command, Buffer *text)
{
    if ((command->given & given_bit(row)) != 0)
        buffer_printf(text, "--%s=%d\n", row->name,
                      *(const int *) (const void *) ((const char *) command + row->field));
}

/* Set Options.decided, the text of the options for the journal. It lives as long as *command. */
static void make_decided(Command *command)
{
    const Keep *keep = &command->keep;
    const TablespaceMappings *mappings = &command->tablespaces;
    AUTO_BUFFER Buffer mapping = {0};

    for (const OptionRow *row = option_rows; row < option_rows + ROW_COUNT; row++)
    {
        const char *field = (const char *) command + row->field;
        const char *value = NULL;

        if (!row->is_decided)
            continue;
        if (row->take == take_keep)
            for (size_t i = 0; i < keep->count; i++)
                append_decided(row, keep->patterns[i].text, &command->decided);
        else if (row->take == take_mapping)
            for (size_t i = 0; i < mappings->count; i++)
            {
                buffer_clear(&mapping);
                buffer_printf(&mapping, "%s=%s", mappings->mappings[i].from,
                              mappings->mappings[i].to);
                append_decided(row, buffer_string(&mapping), &command->decided);
            }
        else if (row->take == take_whole_number)
            append_decided_number(row, command, &command->decided);
        else if (row->take == take_checkpoint)
            value = decided_checkpoints[command->options.checkpoint];
        else if (row->argument != NULL)
            memcpy(&value, field, sizeof(value));
        if (value != NULL || (row->argument == NULL && *(const bool *) field))
            append_decided(row, value, &command->decided);
    }
    command->options.decided = buffer_string(&command->decided);
}

/* True if the command line has --help or --version, with no wrong option before it. */
static bool asks_for_information(int argc, char **argv, const Syntax *syntax)
{
    const int print_errors = opterr;
    const OptionRow *row;
    bool wrong;

    opterr = optind = 0;
    do
        row = next_option(argc, argv, syntax, &wrong);
    while (row != NULL && row->field != COMMAND(version) && row->field != COMMAND(help));
    opterr = print_errors;
    return row != NULL;
}

/* Refuse options in PG_REWIND_OPTIONS that would deceive callers who know nothing of the variable:
 * after a success without a rewind a caller believes in a rewind, and a caller that starts the
 * server itself does not expect --rejoin to start it. */
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

/* Read the options in PG_REWIND_OPTIONS. Their words live in command->environment. The variable is
 * unset, so that programs run by this one do not see it. */
static bool parse_environment(const Syntax *syntax, Command *command, Error *error)
{
    const char *text = getenv(OPTIONS_VARIABLE);
    const char *wrong;
    char **arguments, **words;
    size_t word_count;
    char name[64];
    int count, first;
    bool ok;

    if (text == NULL)
        return true;
    command->environment = arena_create();
    words = words_split(command->environment, text, &word_count, &wrong);
    if (words == NULL)
        return error_set(error, ERROR_USAGE, "PG_REWIND_OPTIONS has %s", wrong);
    unsetenv(OPTIONS_VARIABLE);
    /* getopt_long begins its messages with the name. */
    snprintf(name, sizeof(name), "%.30s: " OPTIONS_VARIABLE, log_program_name());
    count = (int) word_count + 1;
    arguments = memory_allocate_zeroed(word_count + 2, sizeof(*arguments));
    arguments[0] = name;
    memcpy(arguments + 1, words, word_count * sizeof(*arguments));
    ok = parse_options(count, arguments, syntax, command, &first, error);
    if (!ok && error->kind != ERROR_REPORTED)
        error_detail(error, "This option is from the environment variable %s.", OPTIONS_VARIABLE);
    else if (ok && first < count)
        ok = error_set(error, ERROR_USAGE, "PG_REWIND_OPTIONS has \"%s\", which is not an option",
                       arguments[first]);
    else if (ok)
        ok = check_environment_rewinds(command, error);
    command->help = command->version = false;
    free(arguments);
    return ok;
}

static bool check_options(const Command *command, const char *extra_argument, Error *error)
{
    const Options *options = &command->options;
    const bool server = options->source_server != NULL;
    const bool directory = options->source_directory != NULL;

    if (!server && !directory && !options->check)
        return error_set(error, ERROR_USAGE,
                         "no source specified (--source-pgdata or --source-server)"); /* contract */
    if (server && directory)
        return error_set(
            error, ERROR_USAGE,
            "only one of --source-pgdata or --source-server can be specified"); /* contract */
    if (options->target == NULL)
        return error_set(error, ERROR_USAGE,
                         "no target data directory specified (--target-pgdata)"); /* contract */
    if (!check_options_of_check(command, error))
        return false;
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (!check_needs(&option_rows[i], command, error))
            return false;
    if (options->write_recovery_conf && !server)
        return error_set(error, ERROR_USAGE,
                         "no source server information (--source-server) specified for "
                         "--write-recovery-conf"); /* contract */
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

bool command_line_read(int argc, char **argv, Command *command, Error *error)
{
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    int first_argument = argc;
    bool in_environment;
    Syntax syntax;

    *command = (Command){.begin = clock_timestamp(),
                         .clock_begin = clock_seconds(),
                         .retries = RETRIES_DEFAULT,
                         .options = {.keep = &command->keep,
                                     .tablespaces = &command->tablespaces,
                                     .unasked_failure = &command->unasked_failure,
                                     .max_lost_transactions = -1,
                                     .jobs = processors < 1                  ? 1
                                             : processors < JOBS_DEFAULT_MAX ? (int) processors
                                                                             : JOBS_DEFAULT_MAX,
                                     .retry_timeout_seconds = RETRY_TIMEOUT_DEFAULT_SECONDS,
                                     .wait_timeout_seconds = WAIT_TIMEOUT_DEFAULT_SECONDS,
                                     .rejoin_timeout_seconds = REJOIN_TIMEOUT_DEFAULT_SECONDS}};
    command->help = argc > 1 && strcmp(argv[1], "-?") == 0; /* contract: only as argument 1 */
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
    log_set_timestamps(command->timestamps);
    log_set_debug(command->debug || (command->verbose && !command->options.check));
    command->options.write_recovery_conf |= command->options.rejoin;
    make_decided(command);
    command->options.report_wanted =
        command->report_format != REPORT_NONE || command->report_file != NULL;
    if (command->help || command->version || check_options(command, argv[first_argument], error))
        return true;
    if (in_environment && error->kind == ERROR_USAGE)
        error_detail(error,
                     "The options of the environment variable %s are read before those of the "
                     "command line.",
                     OPTIONS_VARIABLE);
    return false;
}
