/*
 * One run, its exit status and its last line, and the report about it. The only file that exits.
 */
#include "command_line.h"
#include "rejoin/rejoin.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "io/connection.h"
#include "io/file.h"
#include "io/place.h"
#include "io/process.h"
#include "io/supervise.h"
#include "check/readiness.h"
#include "lost/saved_rows.h"
#include "report/report.h"
#include "target/interlock.h"

#include <stdio.h>
#include <unistd.h>

#define STATUS_DONE 0       /* rewound, or nothing to do */
#define STATUS_FAILED 1     /* the target is as it was */
#define STATUS_UNFINISHED 2 /* failed after the commit, or another run is changing the target */
#define STATUS_IMPOSSIBLE 3 /* not possible for this pair by any means; the target is as it was */

/* The parent keeps this for each run. */
typedef struct Work
{
    Command command;
    bool target_found; /* the directory that -D names, when the program began; it is held */
    Place target_place;
} Work;

/* Returns the errors that were printed. If getopt_long has printed the only one, which is not in
 * the list, *usage stands for it. */
static const Error *const *find_errors(int status, const Error **only_error, Error *usage,
                                       size_t *count)
{
    const Error *const *errors = log_errors(count);

    if (status == STATUS_DONE || *count > 0)
        return errors;
    error_set(usage, ERROR_USAGE, "the command line is wrong");
    error_hint(usage, "Try \"pg_rewind --help\" for more information.");
    *only_error = usage;
    *count = 1;
    return only_error;
}

/* The rewind's result stands, whatever becomes of its report. rejoin is NULL without --rejoin. */
static void write_report(const Command *command, const Run *run, const RejoinResult *rejoin,
                         int status, ReportFile *report_file)
{
    Report report = {.options = &command->options,
                     .run = run,
                     .rejoin = rejoin,
                     .exit_status = status,
                     .program_version = PROJECT_VERSION,
                     .begin = command->begin,
                     .end = clock_timestamp(),
                     .run_seconds = clock_seconds() - command->clock_begin};
    const Error *only_error;
    Error usage;
    AUTO_BUFFER Buffer text = {0};
    bool written;

    if (report_file->stream == NULL)
        return;
    report.errors = find_errors(status, &only_error, &usage, &report.error_count);
    if (command->report_format == REPORT_JSON)
        report_json(&report, &text, report_file->stream);
    else
        report_text(&report, &text);
    written = fwrite(text.bytes, 1, text.size, report_file->stream) == text.size &&
              !ferror(report_file->stream);
    report_file_close(report_file, written);
}

/* --check: its output goes where a report goes. */
static void print_node(const Command *command, Node *node, ReportFile *report_file)
{
    FILE *stream = report_file->stream;

    if (command->report_format == REPORT_JSON)
        node_print_json(node, stream);
    else
        node_print_text(node, command->verbose, stream);
    report_file_close(report_file, !ferror(stream));
    arena_destroy(node->arena);
}

/* The status of a command that has not looked at the target. */
static int not_run_status(const Options *options)
{
    return options->check && options->monitor ? NODE_MONITOR_NOT_CHECKED : STATUS_FAILED;
}

/*
 * Report what is wrong with the command line, with these lines on stderr and no others. The target
 * is not looked at, and no message is about it: it is not certain which directory is meant, and
 * status 2 would promise that the same command finishes an interrupted rewind.
 */
static int refuse(const Command *command, const Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    Run nothing = {
        .session = {.arena = arena, .clusters.target.directory = command->options.target}};
    ReportFile standard_output = {.stream = stdout};
    const Error *const *errors;
    const Error *only_error;
    Error usage;
    size_t count;
    Node node;

    if (error->kind != ERROR_REPORTED)
        log_error(error);
    if (error_worst_kind(error) == ERROR_USAGE)
        log_hint("Try \"%s --help\" for more information.", log_program_name()); /* contract */
    /* Only a right command line tells which directories are forbidden to a file. */
    if (command->report_file == NULL && command->report_format != REPORT_NONE)
    {
        if (command->options.check)
        {
            errors = find_errors(STATUS_FAILED, &only_error, &usage, &count);
            node_refuse(&command->options, errors, count, &node);
            print_node(command, &node, &standard_output);
        }
        else
            write_report(command, &nothing, NULL, STATUS_FAILED, &standard_output);
    }
    return not_run_status(&command->options);
}

/* The last line of a failed run: the state of the target, and what to do next. */
static void say_what_next(int status, RewindOutcome outcome, const Error *error,
                          const Session *session)
{
    const bool resumed = session->resumed || session->pending;
    size_t errors;

    log_errors(&errors);
    if (outcome == REWIND_UNCERTAIN)
        log_hint(SUPERVISE_HINT);
    else if (outcome == REWIND_BUSY)
        log_hint("Another run is using the target and may be changing it: do not start a server "
                 "there, do not remove anything, wait until it ends and run the same %s command "
                 "again.",
                 log_program_name());
    else if (outcome == REWIND_SET_UP_IN_PART && session_left_doubt(session))
        log_hint("The interrupted rewind is finished, but a file of the target may be lost: do not "
                 "start its server. Remove the cause and run the same %s command again, with "
                 "--compare if the error says so.",
                 log_program_name());
    else if (outcome == REWIND_SET_UP_IN_PART && resumed)
        log_hint("The interrupted rewind is finished, but the target could not be set up as a "
                 "standby of the source: do not start its server. Remove the cause and run the "
                 "same %s command again.",
                 log_program_name());
    else if (outcome == REWIND_SET_UP_IN_PART)
        log_hint("The target needed no rewind, but it is set up only in part: run the same %s "
                 "command again before its server starts.",
                 log_program_name());
    else if (status == STATUS_UNFINISHED && error->remedy == REMEDY_RESTART)
        log_hint("The rewind has begun and must be finished before a server can start: restart "
                 "this host, and then run the same %s command again with --compare.",
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
    else if (resumed)
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

/*
 * The status of every run that has failed. Status 1 and 3 say that the target is as it was: this
 * run has done nothing to it, and the disk shows no rewind that an earlier one has begun
 * (session_failed_outcome).
 */
static int failed_status(RewindOutcome outcome, const Error *error)
{
    if (outcome != REWIND_UNTOUCHED)
        return STATUS_UNFINISHED;
    return error_worst_kind(error) == ERROR_IMPOSSIBLE ? STATUS_IMPOSSIBLE : STATUS_FAILED;
}

/*
 * A manager that takes the death of one process for the end of all, or a stopped one for a dead
 * one, may have put another directory in the place of the target, such as a base backup: that is
 * not to be touched. (Rules I37, I77.)
 */
static bool check_same_target(const Work *work, bool *replaced, Error *error)
{
    const char *target = work->command.options.target;
    Place place;
    bool found;

    *replaced = false;
    if (!work->target_found)
        return true;
    if (!place_find(target, &place, &found, error))
        return false;
    *replaced = !found || !place_same(&place, &work->target_place);
    if (!*replaced)
        return true;
    error_set(error, ERROR_FAILED, "directory \"%s\" was replaced by another one", target);
    return error_hint(error, "That happened before the rewind was run again. Nothing is done with "
                             "the new one.");
}

/* The rewind. The last turn, after which nothing comes, writes the report. */
static int run(const Work *work, ReportFile *report_file, SupervisedTurn turn)
{
    const Command *command = &work->command;
    const Options *options = &command->options;
    Run run = {.session.arena = arena_create(),
               .patience_seconds = options->wait_timeout_seconds,
               .save_rows = saved_rows_write,
               .name_lost = lost_names_read,
               .saved_rows.program_version = PROJECT_VERSION};
    RejoinResult rejoin = {0};
    Error error = {0};
    RewindOutcome outcome;
    bool succeeded, said, replaced = false;
    int status = STATUS_DONE;

    file_set_sync(!command->no_sync);
    succeeded = options->rejoin ? rejoin_run(options, &run, &rejoin, &error)
                                : rewind_run(options, &run, &error);
    outcome = run.session.outcome;
    if (!succeeded)
    {
        /* Another directory in the target's place is as it was. */
        if (outcome == REWIND_COMMITTED && !check_same_target(work, &replaced, NULL) && replaced)
            session_set_outcome(&run.session, REWIND_UNTOUCHED);
        outcome = session_failed_outcome(&run.session, options->target, turn.again && !replaced);
        status = failed_status(outcome, &error);
        if (error.kind != ERROR_REPORTED)
            log_error(&error);
        said = replaced || (options->rejoin && rejoin_say_what_next(options, &rejoin, outcome));
        if (!said || status == STATUS_IMPOSSIBLE)
            say_what_next(status, outcome, &error, &run.session);
    }
    /* Rule I82: another turn would not know what this one has set up, and call the target unchanged
     * if it failed. Rule I27: it would not see the failed sync that could not be noted. */
    if (status == STATUS_UNFINISHED && outcome != REWIND_BUSY && outcome != REWIND_NOT_JOINED &&
        outcome != REWIND_SET_UP_IN_PART && error.remedy != REMEDY_RESTART && !turn.last &&
        !stop_signalled())
        status = SUPERVISE_AGAIN;
    else
        write_report(command, &run, options->rejoin ? &rejoin : NULL, status, report_file);
    run_free(&run);
    return status;
}

/* The end of a turn that has failed before it has looked at the target. */
static int fail_early(const Command *command, SupervisedTurn turn, bool replaced,
                      const Error *error)
{
    const Session nothing = {.outcome = REWIND_UNTOUCHED};
    RewindOutcome outcome;

    log_error(error);
    if (command->options.check)
        return not_run_status(&command->options);
    outcome = session_failed_outcome(&nothing, command->options.target, turn.again && !replaced);
    if (outcome == REWIND_BUSY)
        say_what_next(STATUS_UNFINISHED, outcome, error, &nothing);
    else if (outcome != REWIND_UNTOUCHED)
        log_hint(SUPERVISE_HINT);
    return outcome == REWIND_COMMITTED || outcome == REWIND_UNCERTAIN
               ? (turn.last ? STATUS_UNFINISHED : SUPERVISE_AGAIN)
               : failed_status(outcome, error);
}

/* A SupervisedWork. */
static int do_command(void *context, SupervisedTurn turn)
{
    ReportFile report_file = {0};
    const Work *work = context;
    const Command *command = &work->command;
    bool replaced;
    Error error;
    int status;
    Node node;

    memory_set_unfinished_end(turn.last ? STATUS_UNFINISHED : SUPERVISE_AGAIN, SUPERVISE_HINT);
    if (!check_same_target(work, &replaced, &error) ||
        ((command->options.report_wanted || command->options.check) &&
         !report_file_open(&report_file, command->report_file, &command->options, &error)))
        return fail_early(command, turn, replaced, &error);
    if (command->options.check)
    {
        node_check(&command->options, &node);
        status = node_exit_status(&node);
        print_node(command, &node, &report_file);
    }
    else
        status = run(work, &report_file, turn);
    if (connection_attempts_go_on())
    {
        fflush(NULL);
        _exit(status);
    }
    return status;
}

int main(int argc, char **argv)
{
    static Work work; /* what its options point to is never freed */
    Command *command = &work.command;
    bool replaced;
    Error error;
    int status;

    memory_reserve_stack();
    if (!file_open_standard())
        return STATUS_FAILED; /* no standard error to report it on */
    process_begin();
    log_init(argv[0]);
    signals_install();
    if (!command_line_read(argc, argv, command, &error))
        return refuse(command, &error);
    if (command->help || command->version)
    {
        if (command->help)
            command_line_print_help();
        else
            command_line_print_version();
        return fflush(stdout) == 0 ? STATUS_DONE : STATUS_FAILED;
    }
    place_hold(command->options.target);
    /* A directory that cannot be read is reported later, when it is opened. */
    if (!place_find(command->options.target, &work.target_place, &work.target_found, &error))
        work.target_found = false;
    memory_set_unfinished_end(STATUS_UNFINISHED, SUPERVISE_HINT);
    /* Until what an earlier run has left is seen; a check changes nothing and says nothing of it.
     */
    memory_set_unfinished(!command->options.check);
    /* A dry run leaves nothing to be finished, a check neither. */
    status = supervise(command->options.dry_run || command->options.check ? 0 : command->retries,
                       do_command, &work, STATUS_UNFINISHED);
    /* A child that ran out of memory exits at once, with status 1 if it has changed nothing, and
     * leaves its postmaster.pid: remove it. */
    if (status == STATUS_FAILED && supervise_last_child() != 0 && work.target_found &&
        check_same_target(&work, &replaced, &error))
        interlock_release_for(command->options.target, supervise_last_child());
    return status;
}
