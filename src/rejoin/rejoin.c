#include "rejoin/rejoin.h"

#include "apply/apply.h"
#include "base/workers.h"
#include "target/pid_file.h"
#include "pair/saved_directory.h"
#include "rejoin/rejoin_demotion.h"
#include "source/directory.h"
#include "standby/next_start.h"
#include "standby/standby_files.h"
#include "standby/streaming.h"

#include <stdio.h>

#define START_SECONDS 5 /* for another --rejoin to start the server after its rewind */

/* A rewind that was interrupted may have removed its configuration. It is finished first. */
static bool check_configuration(Rejoin *rejoin, Error *error)
{
    const char *directory = rejoin->target.directory;

    if (!rejoin->control.needs_own_file || file_exists(directory, CONFIGURATION_PATH) ||
        apply_look_for_pending(directory, false) != PENDING_NOT_THERE)
        return true;
    rejoin->control.start = NULL; /* no advice */
    return error_no_configuration(error);
}

static bool find_target(Rejoin *rejoin, Error *error)
{
    Target *target = &rejoin->target;

    if (!target_open(rejoin->arena, rejoin->options->target, target, error) ||
        !directory_control_read(target->directory, &target->control, error) ||
        !pid_file_find_server(target->directory, NULL, &rejoin->pid, error) ||
        !server_control_find(target, rejoin->options, rejoin->arena, &rejoin->control, error) ||
        !check_configuration(rejoin, error))
        return false;
    target->config_file = rejoin->control.config_file;
    if (pid_file_has_status(target->directory, PID_FILE_STOPPING))
        rejoin->pid = 0;
    rejoin->report.was_primary = target_was_primary(target);
    return true;
}

/* The position that the target must reach is known before its server is started. */
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
    if (!server_control_start(&rejoin->control, error))
        return false;
    rejoin->report.started = true;
    return true;
}

/* A directory that was copied from under a running server has its postmaster.pid: our commands
 * would stop that one. A command of the user's knows better. */
static bool check_own_process(Rejoin *rejoin, Error *error)
{
    const char *directory = rejoin->target.directory;

    if (rejoin->options->stop_command != NULL || process_works_in(rejoin->pid, directory))
        return true;
    /* A server that was stopping may have ended since it was found. */
    if (!pid_file_find_server(directory, NULL, &rejoin->pid, error))
        return false;
    if (rejoin->pid == 0 || process_works_in(rejoin->pid, directory))
        return true;
    error_set(error, ERROR_FAILED, "the server in postmaster.pid is not the target's");
    error_hint_process(rejoin->pid, directory, error);
    return error_hint(error, "If one runs in another container, name its --stop-command.");
}

/*
 * True if a source that is a standby may follow the target: it is on the target's own timeline, or
 * on one that the target has left, and has no WAL of that one past the point where the target left
 * it. Then it may be about to follow.
 */
static bool source_may_follow_target(const Rejoin *rejoin, const History *target)
{
    const Timeline timeline = rejoin->state.position.timeline;

    for (size_t i = 0; i + 1 < target->count; i++)
        if (target->entries[i].timeline == timeline)
            return rejoin->state.position.end <= target->entries[i].end;
    return timeline == control_timeline(&rejoin->target.control);
}

/* A primary must not become the standby of its standby: no server would take writes. */
static bool check_source_promoted(const Rejoin *rejoin, const History *target, Error *error)
{
    const Timeline own = control_timeline(&rejoin->target.control);

    if (rejoin->target.control.state != STATE_IN_PRODUCTION ||
        !rejoin->state.position.in_recovery || !source_may_follow_target(rejoin, target))
        return true;
    if (rejoin->state.position.timeline == own)
        error_set(error, ERROR_FAILED,
                  "the source server is a standby on the target's own timeline");
    else
        error_set(error, ERROR_FAILED, "the source server is a standby that may follow the target");
    error_detail(error, "The target is a primary: as a standby of its standby it would leave no "
                        "primary.");
    if (rejoin->state.position.timeline != own)
        error_detail(error,
                     "The source has no WAL of timeline %u past the point where the target left "
                     "it for timeline %u.",
                     rejoin->state.position.timeline, own);
    error_hint(error, "Promote the source first, or name the new primary with "
                      "--source-server.");
    return rejoin->state.position.timeline != own &&
           error_hint(error, "If it follows another primary, run CHECKPOINT there, then run "
                             "pg_rewind again.");
}

/* A dry run that does not come to the rewind: the limits that -R would write. */
static bool tell_of_limits(Rejoin *rejoin, const Clusters *clusters, ExpectedStart expected,
                           Error *error)
{
    LowLimits low;

    if (!next_start_limits(rejoin->options, clusters, expected, rejoin->arena, &low, error))
        return false;
    if (!standby_uses_recovery_conf(clusters->shape.version))
        standby_limits_tell(&low);
    return true;
}

/* Check that the standby will be able to stream: with its slot as if the target's server were
 * stopped. rewound: it certainly has diverged. */
static bool check_streaming(Rejoin *rejoin, const Look *look, Error *error)
{
    const Clusters *clusters = &look->session.clusters;
    const Options *options = rejoin->options;
    const ExpectedStart expected = {.rewound = look->divergence.needed,
                                    .needs_own_file = rejoin->control.needs_own_file,
                                    .of_standby = rejoin->state.position.in_recovery,
                                    .control = &rejoin->state.control,
                                    .divergence = look->divergence.lsn};
    Problems problems = {0};
    SourcesCommands commands = {0};

    if (!standby_settings_make(options, clusters, rejoin->arena, &rejoin->settings, error))
        return false;
    streaming_find_slot_user(options, &rejoin->target, rejoin_server(rejoin), rejoin->arena,
                             &rejoin->settings);
    if (!streaming_check(options, clusters, &rejoin->settings, &problems, rejoin->arena, error) ||
        (look->divergence.needed && !next_start_check(options, clusters, expected, &problems,
                                                      &commands, rejoin->arena, error)))
        return false;
    /* The rewind, which comes after the stop, says it again. */
    if (options->dry_run)
        sources_commands_warn(&commands);
    return problems_check(&problems, error) &&
           (!options->dry_run || tell_of_limits(rejoin, clusters, expected, error));
}

static bool check_saved_directories(const Options *options, const Clusters *clusters, Error *error)
{
    AUTO_BUFFER Buffer wal = {0}, rows = {0};
    const char *existing;

    return (options->save_diverged_wal == NULL ||
            saved_directory_check("--save-diverged-wal", options->save_diverged_wal, clusters, &wal,
                                  &existing, error)) &&
           (options->save_lost_rows == NULL ||
            saved_directory_check("--save-lost-rows", options->save_lost_rows, clusters, &rows,
                                  &existing, error));
}

/* Note which WAL a rewind would need: from the last common checkpoint on, where that is known. */
static void find_wal_to_hold(Rejoin *rejoin, const Look *look)
{
    const Control *control = &look->session.clusters.target.control;
    const Lsn common = look->divergence.common_checkpoint.checkpoint.redo;

    rejoin->held_wal =
        (HeldWal){.shape = look->session.clusters.shape,
                  .wal_directory =
                      arena_printf(rejoin->arena, "%s/%s", look->session.clusters.target.directory,
                                   control->version->wal_directory),
                  .needed_from = common != LSN_INVALID ? common : control->checkpoint.redo};
}

/* Hold the WAL that the stop would remove. Where nothing can be held the rewind can still do
 * without that WAL. */
static bool hold_wal(const Rejoin *rejoin, Error *error)
{
    Error why;

    if (rejoin->options->compare || held_wal_take(&rejoin->held_wal, &why))
        return true;
    if (!stop_check(error))
        return false;
    log_warning("%s", why.message);
    log_detail("When it stops, the server may remove WAL that shows what it has changed. Then the "
               "rewind compares all blocks.");
    return true;
}

static void release_wal(const Rejoin *rejoin)
{
    Error why;

    if (rejoin->held_wal.wal_directory != NULL &&
        !held_wal_release(rejoin->held_wal.wal_directory, &why))
        log_warning("%s", why.message);
}

/* Keep nothing of what is kept for the time after the stop, if the server goes on. */
static void release_if_server_goes_on(const Rejoin *rejoin)
{
    const char *directory = rejoin->target.directory;
    long pid;

    if (!pid_file_find_server(directory, NULL, &pid, NULL) || pid == 0 ||
        pid_file_has_status(directory, PID_FILE_STOPPING))
        return;
    release_wal(rejoin);
    server_control_forget(&rejoin->control);
}

/* A service must not be stopped for nothing. So the look that the rewind takes later, and all else
 * that could fail after the stop, comes before it. */
static bool check_before_stop(Rejoin *rejoin, Error *error)
{
    Look look = {
        .session = {.options = rejoin->options, .arena = rejoin->arena, .only_certain = true}};
    bool result;

    log_set_amount(LOG_WARNINGS);
    result = session_open(&look.session, error) && session_identify_target(&look.session, error) &&
             look_at_pair(&look, error);
    log_set_amount(LOG_ALL);
    if (!result && error_worst_kind(error) == ERROR_RETRY)
        log_hint("The server is only stopped once the source can be reached.");
    /* The source stays connected: it is asked for more before the stop. */
    rejoin->source = look.session.clusters.source;
    rejoin->state = look.source;
    result = result &&
             check_source_promoted(rejoin, &look.session.clusters.target_history, error) &&
             (!look.divergence.needed ||
              check_saved_directories(rejoin->options, &look.session.clusters, error)) &&
             check_streaming(rejoin, &look, error);
    /* The rewind prints what there is to remark on files. */
    log_set_amount(LOG_NOTHING);
    result = result && look_at_files(&look, &rejoin->settings, error);
    log_set_amount(LOG_ALL);
    /* Last, since files may take long to list: a client may come in the meantime. */
    result = result && rejoin_check_demotion(rejoin, &look, error);
    if (result)
        find_wal_to_hold(rejoin, &look);
    look.session.clusters.source = NULL;
    look_close(&look);
    return result;
}

static void warn_of_manager(const Rejoin *rejoin)
{
    const char *manager = next_start_manager(&rejoin->target);

    if (manager == NULL)
        return;
    log_warning("%s may start or stop the target's server at the same time", manager);
    log_hint(
        "It has its file in the data directory. If it looks after this server, pause it before "
        "--rejoin.");
}

/* Checked for a server that is to be stopped only. */
static bool check_first_process(const Rejoin *rejoin, Error *error)
{
    if (rejoin->options->stop_command != NULL || rejoin->pid != 1 ||
        !process_works_in(1, rejoin->target.directory))
        return true;
    error_set(error, ERROR_FAILED, "the target's server is process 1 of its container");
    error_detail(error, "Its end would be that of the container, and of this command.");
    return error_hint(error, "Stop the container, and run pg_rewind with "
                             "--write-recovery-conf on the data directory from another one.");
}

/* *follows: the server is a standby of the source already. */
static bool stop_server(Rejoin *rejoin, bool *follows, Error *error)
{
    *follows = false;
    if (rejoin->pid != 0 && !check_own_process(rejoin, error))
        return false;
    if (rejoin->pid == 0)
    {
        warn_of_manager(rejoin);
        return true;
    }
    if (!check_before_stop(rejoin, error))
        return false;
    /* A healthy standby of the source is left alone, also one that an earlier run has started. */
    if (!rejoin_find_whether_it_follows(rejoin, follows, error))
        return false;
    if (*follows && rejoin->options->slot != NULL && !rejoin->settings.target_uses_slot)
    {
        log_info("the target's server (PID %ld) follows the source, but not with replication slot "
                 "\"%s\"",
                 rejoin->pid, rejoin->options->slot);
        *follows = false;
    }
    if (*follows)
        return true;
    if (!check_first_process(rejoin, error))
        return false;
    warn_of_manager(rejoin);
    server_control_warn(&rejoin->control, rejoin->pid);
    if (rejoin->options->dry_run)
    {
        log_info("would stop the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
        log_hint("What a rewind would do cannot be examined while the server runs.");
        standby_settings_warn(&rejoin->settings);
        return true;
    }
    log_info("stopping the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
    /* It is started as it was, also by the same command after this run was killed. */
    if (!server_control_save(&rejoin->control, error) || !hold_wal(rejoin, error))
    {
        release_if_server_goes_on(rejoin);
        return false;
    }
    rejoin_forget_server(rejoin);
    rejoin->report.stopped =
        server_control_stop(&rejoin->control, rejoin->options->wait_timeout_seconds, error);
    if (rejoin->report.stopped)
        return true;
    /* The command was interrupted, or its time was over. */
    rejoin->report.stopping = pid_file_has_status(rejoin->target.directory, PID_FILE_STOPPING);
    release_if_server_goes_on(rejoin);
    return false;
}

/*
 * Stop the server. Another --rejoin, which has done so or found it stopped, starts it after its
 * rewind: then it is looked at, as by the same command again.
 */
static bool find_and_stop(Rejoin *rejoin, double *patience_seconds, bool *follows, Error *error)
{
    Interlock *interlock = NULL;
    bool waited;
    long pid;

    if (!find_target(rejoin, error) || !stop_server(rejoin, follows, error))
        return false;
    if (*follows || (rejoin->options->dry_run && rejoin->pid != 0))
        return true;
    /* The rewind has its own connections, and may take its time. */
    rejoin_forget_source(rejoin);
    /* The rewind itself reports that this takes too long. */
    if (!session_wait_for_lock(rejoin->target.directory, patience_seconds, &interlock, &waited,
                               error))
        return false;
    interlock_release(interlock);
    if (!waited)
        return true;
    if (!pid_file_wait_for_server(rejoin->target.directory, START_SECONDS, &pid, error))
        return false;
    return pid == 0 || (find_target(rejoin, error) && stop_server(rejoin, follows, error));
}

/*
 * An interrupted rewind is finished also without its source. If it was one without -R the target is
 * no standby: its server would open for writing, on the source's timeline.
 */
static bool check_standby(Rejoin *rejoin, const Run *run, Error *error)
{
    rejoin->report.is_standby = run->next_start == NULL || run->next_start->standby;
    if (rejoin->report.is_standby || rejoin->options->dry_run)
        return true;
    error_set(error, ERROR_RETRY, "the target is not a standby of the source yet");
    return error_detail(error, "The interrupted rewind was not to make it one, and without the "
                               "source it cannot be set up.");
}

/* --drop-slots drops them while no server runs. */
static void warn_of_slots_left(const Rejoin *rejoin)
{
    AUTO_BUFFER Buffer drops = {0};
    TargetSlots slots;

    if (!rejoin->options->drop_slots ||
        !target_slots_read(&rejoin->target, rejoin->arena, &slots, NULL))
        return;
    for (size_t i = 0; i < slots.count; i++)
    {
        if (!slots.slots[i].of_primary)
            continue;
        buffer_append_string(&drops, " SELECT ");
        buffer_append_call(&drops, "pg_drop_replication_slot", slots.slots[i].name, "name", "");
        buffer_append_u8(&drops, ';');
    }
    if (drops.size == 0)
        return;
    log_warning("--drop-slots has dropped no replication slot, since the target's server was not "
                "stopped");
    log_hint("Drop those of its time as a primary there:%s", buffer_string(&drops));
}

static bool run_rejoin(Rejoin *rejoin, Run *run, Error *error)
{
    const Options *options = rejoin->options;
    bool follows;

    run_begin_phase(run, PHASE_STOP);
    if (!find_and_stop(rejoin, &run->patience_seconds, &follows, error))
        return false;
    if (follows)
    {
        log_info("the target's server (PID %ld) follows the source already", rejoin->pid);
        warn_of_slots_left(rejoin);
    }
    else if (options->dry_run && rejoin->pid != 0)
    {
        run->divergence.needed = true; /* as far as can be known */
        return true;
    }
    else
    {
        if (!options->dry_run && !server_control_save(&rejoin->control, error))
            return false;
        run->server_stopped = rejoin->report.stopped;
        run->needs_own_file = rejoin->control.needs_own_file;
        if (!rewind_run(options, run, error) || !check_standby(rejoin, run, error))
            return false;
        run_begin_phase(run, PHASE_START);
        if (options->dry_run)
        {
            log_info("would start the target's server: %s", rejoin->control.start);
            return true;
        }
        /* From here on the target is a standby of the source, which only has to run. */
        session_set_outcome(&run->session, REWIND_NOT_JOINED);
        signals_heed_again();
        if (!start_server(rejoin, error))
            return false;
    }
    session_set_outcome(&run->session, REWIND_NOT_JOINED);
    if (options->dry_run)
        return true;
    run_begin_phase(run, PHASE_FOLLOW);
    if (!rejoin_wait_until_it_follows(rejoin, error))
        return false;
    server_control_forget(&rejoin->control);
    release_wal(rejoin);
    session_set_outcome(&run->session, REWIND_DONE);
    return true;
}

/* A rewind that was not begun, or failed early, did not find out all of it. */
static void complete_run(Rejoin *rejoin, Run *run)
{
    Target *target = &run->session.clusters.target;
    long pid;

    if (run->session.arena == NULL)
        run->session.arena = arena_create();
    if (target->directory == NULL)
        target->directory = arena_strdup(run->session.arena, rejoin->target.directory);
    /* All of it: a version without its catalog version would be a fork's. */
    if (target->control.version == NULL)
        target->control = rejoin->target.control;
    if (run->source.description == NULL && rejoin->source != NULL)
        run->source.description = arena_strdup(run->session.arena, rejoin->source->description);
    if (!run->lost_count.counted)
    {
        run->lost_count = rejoin->report.lost_count;
        if (run->lost_count.unknown != NULL)
            run->lost_count.unknown = arena_strdup(run->session.arena, run->lost_count.unknown);
    }
    rejoin->report.running = rejoin->target.directory != NULL &&
                             pid_file_find_server(rejoin->target.directory, NULL, &pid, NULL) &&
                             pid != 0 && process_works_in(pid, rejoin->target.directory) &&
                             !pid_file_has_status(rejoin->target.directory, PID_FILE_STOPPING);
    if (rejoin->control.start != NULL)
        rejoin->report.start_command = arena_strdup(run->session.arena, rejoin->control.start);
    if (!rejoin->report.running)
        rejoin->report.failure = server_control_failure(&rejoin->control, run->session.arena);
}

bool rejoin_run(const Options *options, Run *run, RejoinResult *result, Error *error)
{
    Rejoin rejoin = {.options = options, .arena = arena_create(), .since = "0"};
    const bool succeeded = run_rejoin(&rejoin, run, error);

    run_begin_phase(run, PHASE_NONE);
    /* "The target is unchanged" would not be true of one that was finished just now: "as it was"
     * its server must not start any more. */
    rejoin.report.resumed = run->session.resumed;
    if (!succeeded && run->session.resumed && run->session.outcome == REWIND_UNTOUCHED &&
        error_worst_kind(error) != ERROR_IMPOSSIBLE)
        session_set_outcome(&run->session, REWIND_NOT_JOINED);
    complete_run(&rejoin, run);
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
    else if (outcome == REWIND_NOT_JOINED && rejoin->resumed && !rejoin->is_standby)
        log_hint(
            "The interrupted rewind is finished, but the target could not be set up as a standby "
            "of the source: do not start its server. Remove the cause and run the same %s command "
            "again.",
            log_program_name());
    else if (outcome == REWIND_NOT_JOINED && rejoin->running)
        log_hint("The target is a standby of the source and its server is running, but it has not "
                 "caught up yet: run the same %s command again, it goes on waiting.",
                 log_program_name());
    else if (outcome == REWIND_NOT_JOINED && rejoin->failure != NULL)
        log_hint("The target is a standby of the source, but its server does not start. Its log "
                 "says: \"%s\". Remove that cause, then run the same %s command again, it starts "
                 "the server. To start it yourself: %s",
                 rejoin->failure, log_program_name(), rejoin->start_command);
    else if (outcome == REWIND_NOT_JOINED)
        log_hint("The target is a standby of the source, but its server is not running: run the "
                 "same %s command again, it starts the server. To start it yourself: %s",
                 log_program_name(), rejoin->start_command);
    else if (outcome == REWIND_UNTOUCHED && rejoin->running)
        log_hint("The target is unchanged, and its server is running.");
    else if (outcome == REWIND_UNTOUCHED && !options->dry_run && rejoin->start_command != NULL &&
             !rejoin->resumed)
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
