#include "rejoin/rejoin_parts.h"

#include "apply/apply.h"
#include "base/log.h"
#include "base/workers.h"
#include "target/pid_file.h"
#include "source/directory.h"
#include "target/configuration.h"

static bool find_target(Rejoin *rejoin, Error *error)
{
    Target *target = &rejoin->target;
    Configuration configuration = {.arena = rejoin->arena};
    DebianCluster cluster;
    bool is_debians;

    if (!target_open(rejoin->arena, rejoin->options->target, target, error) ||
        !directory_control_read(target->directory, &target->control, error) ||
        !target_server_running(target, &rejoin->running, &rejoin->pid, error))
        return false;
    configuration.directory = target->directory;
    is_debians = configuration_find_debian(&configuration, target->control.version, &cluster);
    if (!server_control_find(target, rejoin->options, is_debians ? &cluster : NULL, rejoin->arena,
                             &rejoin->control, error))
        return false;
    rejoin->running = rejoin->running && !pid_file_is_stopping(target->directory);
    rejoin->report.was_primary = target_was_primary(target);
    return true;
}

/* Not in vain either: what the target is to reach is known before it is started. */
static bool start_server(Rejoin *rejoin, Error *error)
{
    if (!rejoin_ask_source(rejoin, error) ||
        !source_server_clock(rejoin->source, rejoin->arena, &rejoin->since, error))
        return false;
    if (rejoin->report.was_primary && rejoin->state.position.in_recovery)
    {
        log_warning("the source server is a standby");
        log_detail("The target was a primary. If the source had no other one, no server takes "
                   "writes until one is promoted.");
    }
    log_info("starting the target's server: %s", rejoin->control.start);
    if (!server_control_start(&rejoin->control, &rejoin->target, error))
        return false;
    rejoin->report.started = true;
    return true;
}

/* *follows: the server is a standby of the source already. */
static bool stop_server(Rejoin *rejoin, bool *follows, Error *error)
{
    *follows = false;
    if (!rejoin->running)
        return true;
    /* A service is not stopped in vain: what would fail afterwards must not fail then. */
    if (!rejoin_check_before_stop(rejoin, error))
        return false;
    /* A healthy standby of the source is left alone, also one that an earlier run has started. */
    if (!rejoin_find_whether_it_follows(rejoin, follows, error) || *follows)
        return *follows;
    if (rejoin->options->dry_run)
    {
        log_info("would stop the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
        log_hint("What a rewind would do cannot be examined while the server runs.");
        standby_settings_warn(&rejoin->settings);
        return true;
    }
    log_info("stopping the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
    /* It is started as it was, also by the same command after this run was killed. */
    if (!server_control_save(&rejoin->control, error))
        return false;
    rejoin_forget_server(rejoin);
    rejoin->report.stopped = server_control_stop(&rejoin->control, &rejoin->target,
                                                 rejoin->options->wait_timeout_seconds, error);
    if (!rejoin->report.stopped)
        /* Where the command was interrupted, or its time was over. */
        rejoin->report.stopping = pid_file_is_stopping(rejoin->target.directory);
    return rejoin->report.stopped;
}

static bool run_rejoin(Rejoin *rejoin, Findings *findings, RewindOutcome *outcome, Error *error)
{
    const Options *options = rejoin->options;
    bool follows;

    if (!find_target(rejoin, error) || !stop_server(rejoin, &follows, error))
        return false;
    if (follows)
        log_info("the target's server (PID %ld) follows the source already", rejoin->pid);
    else if (options->dry_run && rejoin->running)
    {
        findings->divergence.needed = true; /* as far as can be known */
        return true;
    }
    else
    {
        /* The rewind has its own connections, and may take its time. */
        rejoin_forget_source(rejoin);
        if (!options->dry_run && !server_control_save(&rejoin->control, error))
            return false;
        if (!rewind_run(options, findings, outcome, error))
            return false;
        if (options->dry_run)
        {
            log_info("would start the target's server: %s", rejoin->control.start);
            return true;
        }
        /* From here on the target is a standby of the source, which only has to run. */
        *outcome = REWIND_NOT_JOINED;
        signals_heed_again();
        if (!start_server(rejoin, error))
            return false;
    }
    *outcome = REWIND_NOT_JOINED;
    if (options->dry_run)
        return true;
    if (!rejoin_wait_until_it_follows(rejoin, error))
        return false;
    server_control_forget(&rejoin->control);
    *outcome = REWIND_DONE;
    return true;
}

/* A rewind that was not begun, or failed early, did not find out all of it. */
static void complete_findings(Rejoin *rejoin, Findings *findings)
{
    Target *target = &findings->identified.clusters.target;
    bool running;
    long pid;

    if (findings->arena == NULL)
        findings->arena = arena_create();
    if (target->directory == NULL)
        target->directory = arena_strdup(findings->arena, rejoin->target.directory);
    if (target->control.version == NULL)
        target->control.version = rejoin->target.control.version;
    if (findings->source.description == NULL && rejoin->source != NULL)
        findings->source.description = arena_strdup(findings->arena, rejoin->source->description);
    rejoin->report.running = rejoin->target.directory != NULL &&
                             target_server_running(&rejoin->target, &running, &pid, NULL) &&
                             running && process_works_in(pid, rejoin->target.directory);
    if (rejoin->control.start != NULL)
        rejoin->report.start_command = arena_strdup(findings->arena, rejoin->control.start);
}

bool rejoin_run(const Options *options, Findings *findings, RejoinResult *result,
                RewindOutcome *outcome, Error *error)
{
    Rejoin rejoin = {.options = options, .arena = arena_create(), .since = "0"};
    bool succeeded;

    *outcome = REWIND_UNTOUCHED;
    succeeded = run_rejoin(&rejoin, findings, outcome, error);
    /* "The target is unchanged" would not be true of one that waits for being finished. */
    if (!succeeded && findings->arena == NULL && rejoin.target.directory != NULL &&
        apply_may_be_pending(rejoin.target.directory))
        *outcome = REWIND_COMMITTED;
    complete_findings(&rejoin, findings);
    *result = rejoin.report;
    rejoin_forget_source(&rejoin);
    arena_destroy(rejoin.arena);
    return succeeded;
}

bool rejoin_say_what_next(const Options *options, const RejoinResult *rejoin, RewindOutcome outcome)
{
    if (outcome == REWIND_UNTOUCHED && rejoin->stopping)
        log_hint(
            "The target is unchanged, but this command has asked its server to stop, and it is "
            "stopping. Run the same %s command again. To start it as it was instead: %s",
            log_program_name(), rejoin->start_command);
    else if (outcome == REWIND_NOT_JOINED && rejoin->running)
        log_hint("The target is a standby of the source and its server is running, but it has not "
                 "caught up yet: run the same %s command again, it goes on waiting.",
                 log_program_name());
    else if (outcome == REWIND_NOT_JOINED)
        log_hint("The target is a standby of the source, but its server is not running: run the "
                 "same %s command again, it starts the server. To start it yourself: %s",
                 log_program_name(), rejoin->start_command);
    else if (outcome == REWIND_UNTOUCHED && rejoin->running)
        log_hint("The target is unchanged, and its server is running.");
    else if (outcome == REWIND_UNTOUCHED && !options->dry_run && rejoin->start_command != NULL)
        log_hint("The target is unchanged, %s. Remove the cause and run the same %s command again. "
                 "To start the server as it was instead%s: %s",
                 rejoin->stopped ? "but its server was stopped by this command and is not running"
                                 : "and its server is not running",
                 log_program_name(), rejoin->was_primary ? ", a primary beside the source" : "",
                 rejoin->start_command);
    else
        return false;
    return true;
}
