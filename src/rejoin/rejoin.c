#include "rejoin/rejoin.h"

#include "apply/apply.h"
#include "base/workers.h"
#include "target/pid_file.h"
#include "target/unsynced.h"
#include "pair/direction.h"
#include "pair/saved_directory.h"
#include "rewind/look.h"
#include "source/directory.h"
#include "standby/next_start.h"
#include "standby/standby_files.h"
#include "standby/start_advice.h"
#include "standby/streaming.h"

#include <stdio.h>

#define LEAVING_SECONDS 5 /* wait for backends whose clients have disconnected */
#define START_SECONDS 5   /* wait for another --rejoin to start the server after its rewind */

static bool find_server(Rejoin *rejoin, Error *error)
{
    RejoinFacts *facts = &rejoin->report.facts;
    Target *target = &rejoin->target;
    const char *directory;

    if (!target_open(rejoin->arena, rejoin->options->target, target, error))
        return false;
    directory = target->directory;
    if (!directory_control_read(directory, &target->control, error) ||
        !pid_file_find_server(directory, NULL, &rejoin->pid, error) ||
        !server_control_find(target, rejoin->options, rejoin->arena, &rejoin->control, error))
        return false;
    /* A missing configuration is an error, unless a rewind was interrupted: this rewind, which will
     * be finished first, may have removed it for a moment. */
    if (rejoin->control.needs_own_file && !file_exists(directory, CONFIGURATION_PATH) &&
        apply_look_for_pending(directory, false) == PENDING_NOT_THERE)
    {
        rejoin->control.start = NULL; /* do not print a command that cannot work */
        return error_no_configuration(error);
    }
    target->config_file = rejoin->control.config_file;
    if (pid_file_has_status(directory, PID_FILE_STOPPING))
        rejoin->pid = 0;
    rejoin->report.was_primary = target_was_primary(target);
    /* A directory that was copied while its server ran has the postmaster.pid of that other server,
     * which our commands would stop. The user's --stop-command is trusted to stop the right one. */
    if (rejoin->pid != 0 && rejoin->options->stop_command == NULL &&
        !process_works_in(rejoin->pid, directory))
    {
        /* Look again: a server that was stopping may have exited in the meantime. */
        if (!pid_file_find_server(directory, NULL, &rejoin->pid, error))
            return false;
        if (rejoin->pid != 0 && !process_works_in(rejoin->pid, directory))
        {
            error_set(error, ERROR_FAILED, "the server in postmaster.pid is not the target's");
            error_hint_process(rejoin->pid, directory, error);
            return error_hint(error, "If one runs in another container, name its --stop-command.");
        }
    }
    facts->runs = rejoin->pid != 0 ? REJOIN_YES : REJOIN_NO;
    facts->ends_container =
        rejoin->options->stop_command == NULL && rejoin->pid != 0 &&
        process_ends_container(rejoin->pid, last_start_is_by_pg_ctl(&rejoin->control.last));
    return true;
}

/* A primary must not become the standby of its standby: no server would take writes. */
static bool error_no_primary_left(const Rejoin *rejoin, Error *error)
{
    const Timeline own = control_timeline(&rejoin->target.control);
    const Timeline timeline = rejoin->state.position.timeline;

    if (timeline == own)
        error_set(error, ERROR_FAILED,
                  "the source server is a standby on the target's own timeline");
    else
        error_set(error, ERROR_FAILED, "the source server is a standby that may follow the target");
    error_detail(error, "The target is a primary: as a standby of its standby it would leave no "
                        "primary.");
    if (timeline != own)
        error_detail(error,
                     "The source has no WAL of timeline %u past the point where the target left "
                     "it for timeline %u.",
                     timeline, own);
    error_hint(error, "Promote the source first, or name the new primary with "
                      "--source-server.");
    return timeline != own &&
           error_hint(error, "If it follows another primary, run CHECKPOINT there, then run "
                             "pg_rewind again.");
}

/* A standby must not become the standby of a server that follows it: neither would get any WAL. */
static bool check_no_circle(Rejoin *rejoin, Error *error)
{
    Circle circle;

    return rejoin_find_circle(rejoin, &circle, error) && (!circle.closed || error_circle(error));
}

/* Check that the standby will be able to stream. Its slot is judged as if the target's server,
 * which may use it now, were stopped. */
static bool check_streaming(Rejoin *rejoin, Look *look, Error *error)
{
    const Clusters *clusters = &look->session.clusters;
    const Options *options = rejoin->options;
    const ExpectedStart expected = {.rewound = look->divergence.needed,
                                    .needs_own_file = rejoin->control.needs_own_file,
                                    .source = &rejoin->state,
                                    .divergence = look->divergence.lsn,
                                    .scratch = look->session.scratch,
                                    .in_its_environment = rejoin->control.environment != NULL,
                                    .settings = &rejoin->settings,
                                    .slot_patience_seconds = STREAMING_RELEASE_SECONDS};
    AdviceList advice = {.arena = rejoin->arena}, unknown = advice;
    Problems *problems = &look->session.problems;
    LowLimits low;

    if (!standby_settings_make(options, clusters, rejoin->arena, &rejoin->settings, error))
        return false;
    streaming_find_slot_user(&rejoin->target, rejoin_server(rejoin), rejoin->arena,
                             &rejoin->settings);
    if (!streaming_check(options, clusters, &rejoin->settings, problems, rejoin->arena, error) ||
        (look->divergence.needed && !next_start_check(options, clusters, expected, &advice, error)))
        return false;
    /* Print the warnings in a dry run only: after a stop the rewind prints them. */
    advice_add_to_problems(&advice, options->dry_run, problems);
    if (!problems_check(problems, error))
        return false;
    if (!options->dry_run)
        return true;
    if (!next_start_limits(options, clusters, expected, rejoin->arena, &low, error))
        return false;
    if (!standby_uses_recovery_conf(clusters->shape.version))
        standby_limits_log(&low);
    start_advise_on_unknown_limits(&low, &unknown);
    advice_add_to_problems(&unknown, true, NULL);
    return true;
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

/*
 * Count what the target has committed since the divergence, in its own pg_wal, and keep to
 * --max-lost-transactions. A standby that is not known to have diverged is judged after the stop.
 */
static bool judge_losses_before_stop(Rejoin *rejoin, const Look *look, Error *error)
{
    const DivergenceInput input = session_divergence_input(&look->session, &look->source);
    const Divergence *divergence = &look->divergence;
    const bool is_known = divergence->lsn != LSN_INVALID || divergence->printed != LSN_INVALID;
    LostCount *count = &rejoin->lost_count;
    WalStream own;

    if (!rejoin->report.was_primary && !(divergence->needed && is_known))
        return true;
    own = look->session.target_wal->stream;
    own.open = wal_store_open_own;
    own.limit = LSN_INVALID;
    if (!lost_count_read(&input, divergence, &own, true, rejoin->arena, count, error))
        return false;
    lost_count_print(count, rejoin->options);
    return lost_count_check(count, rejoin->options, error);
}

/*
 * Check that the server may be stopped and become a standby. Unless --demote names the target's
 * timeline, fails if the target is a primary that was promoted after the source, or that clients or
 * standbys use. About a standby the rewind only warns.
 */
static bool check_demotion(Rejoin *rejoin, Error *error)
{
    const Clusters *clusters = &rejoin->clusters;
    const Timeline timeline = clusters->target.timeline, named = (Timeline) rejoin->options->demote;
    const bool was_primary = rejoin->report.was_primary, doubtful = direction_is_doubtful(clusters);
    RejoinDemotion answer;
    TargetUse use = {0};

    answer = rejoin_decide_demotion(was_primary, timeline, named, doubtful, NULL);
    if (answer == REJOIN_ASK_USE)
    {
        target_server_ask_use(rejoin_server(rejoin), LEAVING_SECONDS, rejoin->arena, &use);
        answer = rejoin_decide_demotion(was_primary, timeline, named, doubtful, &use);
    }
    if (answer == REJOIN_DEMOTE)
        return true;
    if (answer == REJOIN_OTHER_TIMELINE)
    {
        error_set(error, ERROR_FAILED,
                  "the target is on timeline %u, not on timeline %u (--demote)", timeline, named);
        return error_hint(error, "Check -D: --demote names the timeline of the primary that is to "
                                 "be stopped.");
    }
    if (answer == REJOIN_WRONG_DIRECTION)
        error_direction(clusters, error);
    else if (answer == REJOIN_IN_USE)
    {
        error_set(error, ERROR_FAILED, "the target is a primary in use");
        error_detail(error, "--rejoin would stop it, and discard what the source does not have.");
    }
    else
        error_set(error, ERROR_FAILED,
                  "it is not known whether clients or standbys use the target, a primary");
    if (use.known && target_is_used(&use))
        error_detail(error, "It has %s now.", target_use_text(&use, rejoin->arena));
    if (!use.known)
        error_detail(error, "Its server lets in neither the user that runs pg_rewind nor the role "
                            "of --source-server.");
    if (answer != REJOIN_WRONG_DIRECTION)
        error_hint(error, "If it still serves, do not rewind it. If it does not, disconnect them.");
    return error_hint(error,
                      "To stop this primary and discard what it has written, add --demote=%u: the "
                      "number is its timeline.",
                      timeline);
}

/* Hold the WAL that the stop could remove. A failure is only a warning: without this WAL the rewind
 * compares all blocks. */
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

/* If the server was not stopped, remove what was kept for the time after its stop. The held WAL
 * stays if the server was stopped and started again since. (Rule I67.) */
static void release_if_server_goes_on(const Rejoin *rejoin)
{
    const char *directory = rejoin->target.directory;
    long pid;

    if (!pid_file_find_server(directory, NULL, &pid, NULL) || pid == 0 ||
        pid_file_has_status(directory, PID_FILE_STOPPING))
        return;
    if (!rejoin->has_stopped)
        release_wal(rejoin);
    last_start_forget(rejoin->control.directory);
}

/* Check before the stop everything that could make the rewind or the new standby fail after it: a
 * service must not be stopped without need. */
static bool examine(Rejoin *rejoin, Error *error)
{
    Options *options = arena_allocate(rejoin->arena, sizeof(*options));
    Look look = {.session = {.options = options, .arena = rejoin->arena}};
    const Clusters *clusters = &look.session.clusters;
    const Control *control = &clusters->target.control;
    Lsn common;
    bool result;

    *options = *rejoin->options;
    options->restore_limit_seconds = UNASKED_COMMAND_SECONDS;

    log_set_amount(LOG_WARNINGS);
    result = session_open(&look.session, error) && session_identify_target(&look.session, error) &&
             look_at_pair(&look, error);
    log_set_amount(LOG_ALL);
    if (!result && error_worst_kind(error) == ERROR_RETRY)
        log_hint("The server is only stopped once the source can be reached.");
    /* Keep the connection to the source for further questions before the stop. */
    rejoin->source = clusters->source;
    rejoin->clusters = *clusters;
    rejoin->diverged = look.divergence.needed;
    rejoin->state = look.source;
    result =
        result &&
        (!rejoin_leaves_no_primary(&rejoin->target,
                                   standby_files_exist(&rejoin->target, rejoin->arena),
                                   &clusters->target_history, &rejoin->state.position) ||
         error_no_primary_left(rejoin, error)) &&
        check_no_circle(rejoin, error) &&
        (!look.divergence.needed || check_saved_directories(rejoin->options, clusters, error)) &&
        check_streaming(rejoin, &look, error);
    /* Print errors only: the rewind prints warnings about files again. */
    log_set_amount(LOG_ERRORS_ONLY);
    result = result && look_at_files(&look, &rejoin->settings, error);
    log_set_amount(LOG_ALL);
    result = result && judge_losses_before_stop(rejoin, &look, error);
    if (!result)
    {
        direction_warn(clusters, options);
        problems_print(&look.session.problems);
    }
    /* Check for clients last: during a long listing of files a client may connect. */
    rejoin->report.facts.examined = result && check_demotion(rejoin, error);
    /* WAL to hold: from the last common checkpoint on, or, if it is not known, from the target's.
     */
    common = look.divergence.common_checkpoint.checkpoint.redo;
    if (rejoin->report.facts.examined)
        rejoin->held_wal = (HeldWal){
            .shape = clusters->shape,
            .wal_directory = arena_printf(rejoin->arena, "%s/%s", clusters->target.directory,
                                          control->version->wal_directory),
            .needed_from = common != LSN_INVALID ? common : control->checkpoint.redo};
    look.session.clusters.source = NULL;
    look_close(&look);
    return rejoin->report.facts.examined;
}

/* Warn of slots that --drop-slots would have dropped, if the server had been stopped. */
static void warn_of_slots_left(const Rejoin *rejoin)
{
    AUTO_BUFFER Buffer drops = {0};
    bool for_conflicts = false;
    TargetSlots slots;

    if (!target_slots_read(&rejoin->target, rejoin->arena, &slots, NULL))
        return;
    target_slots_append_drops(&slots, " ", &drops);
    for (size_t i = 0; i < slots.count; i++)
        for_conflicts = for_conflicts || slots.slots[i].for_conflicts;
    if (drops.size > 0 || for_conflicts)
        log_warning("--drop-slots has dropped no replication slot, since the target's server was "
                    "not stopped");
    if (drops.size > 0)
        log_hint("Drop those of its time as a primary there: %s", buffer_string(&drops));
    /* Rule S26. */
    if (for_conflicts)
        log_hint("Stop the server and run the same command again: no statement drops "
                 "\"pg_conflict_detection\".");
}

static bool watch(Rejoin *rejoin, Error *error)
{
    RejoinFacts *facts = &rejoin->report.facts;
    bool follows;

    if (!rejoin_find_whether_it_follows(rejoin, &follows, error))
        return false;
    facts->follows = follows ? REJOIN_YES : REJOIN_NO;
    facts->has_slot =
        facts->names_slot && streaming_uses_slot(&rejoin->settings, rejoin->options->slot);
    if (follows && facts->names_slot && !facts->has_slot)
        log_info("the target's server (PID %ld) follows the source, but not with replication slot "
                 "\"%s\"",
                 rejoin->pid, rejoin->options->slot);
    else if (follows && unsynced_is_noted(rejoin->target.directory))
    {
        error_set(
            error, ERROR_FAILED,
            "a file of the target may be lost: an earlier run could not write it to the disk");
        return error_hint(error, "Its server follows the source. Stop it, and run the same command "
                                 "again, which compares all blocks.");
    }
    else if (follows)
    {
        log_info("the target's server (PID %ld) follows the source already", rejoin->pid);
        if (rejoin->options->compare)
            log_hint(
                "This run compared no block, since it did not stop the server. Stop it first to "
                "compare all blocks of a standby that follows.");
        if (rejoin->options->drop_slots)
            warn_of_slots_left(rejoin);
    }
    return true;
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

/* Forget what is known of the target's server: the next step is REJOIN_FIND. */
static void examine_again(Rejoin *rejoin)
{
    RejoinFacts *facts = &rejoin->report.facts;

    rejoin_close_connections(rejoin);
    rejoin->lost_count = (LostCount){0};
    *facts = (RejoinFacts){
        .dry_run = facts->dry_run, .names_slot = facts->names_slot, .stopped = facts->stopped};
}

/* Set *changed if the target's server was promoted, stopped, or started again since examine, which
 * may have been minutes ago. Another --rejoin may have done it. */
static bool find_server_change(const Rejoin *rejoin, bool *changed, Error *error)
{
    const Control *examined = &rejoin->target.control;
    const char *directory = rejoin->target.directory;
    Control control;
    long pid;

    if (!pid_file_find_server(directory, NULL, &pid, error))
        return false;
    *changed = pid != rejoin->pid;
    if (*changed)
        return true;
    if (!directory_control_read(directory, &control, error))
        return false;
    *changed = control.state != examined->state ||
               control_timeline(&control) != control_timeline(examined);
    return true;
}

/*
 * Check that the target's files have nothing with which its server would not follow the source,
 * such as a recovery target that came with the rewind, or was set since the server's last start: it
 * might be promoted beside the source. written: -R has written its settings. (Rule S31.)
 */
static bool check_start(Rejoin *rejoin, const Clusters *clusters, bool written, Error *error)
{
    AdviceList advice = {.arena = rejoin->arena};
    Problems problems = {0};

    next_start_judge(rejoin->options, clusters, &rejoin->state, written, &advice);
    advice_add_to_problems(&advice, false, &problems);
    rejoin->report.held_back = written && problems.count > 0;
    return problems_check(&problems, error);
}

/*
 * Another program has started the server that this command has stopped, or found stopped: probably
 * another --rejoin, whose standby is left alone, as if the command were repeated. A supervisor
 * would start it again after each stop, so the second time is an error. (Rule I54.)
 */
static bool examine_started(Rejoin *rejoin, Error *error)
{
    release_if_server_goes_on(rejoin);
    if (rejoin->was_started)
    {
        error_set(error, ERROR_FAILED, "another program keeps starting the target's server");
        error_detail(error, "This command has stopped it, or found it stopped, and each time it "
                            "was started again at once.");
        return error_hint(error, "Pause what starts it, such as a supervisor or a cluster manager, "
                                 "or name the commands that stop and start it there with "
                                 "--stop-command and --start-command.");
    }
    rejoin->was_started = true;
    log_info("another program has started the target's server: examining it");
    examine_again(rejoin);
    return true;
}

static bool stop_server(Rejoin *rejoin, Run *run, Error *error)
{
    RejoinFacts *facts = &rejoin->report.facts;
    long successor;
    bool changed;

    if (!rejoin->diverged && !check_start(rejoin, &rejoin->clusters, false, error))
        return false;
    warn_of_manager(rejoin);
    server_control_warn(&rejoin->control, rejoin->pid);
    if (facts->dry_run)
    {
        log_info("would stop the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
        log_hint("What a rewind would do cannot be examined while the server runs.");
        advice_add_to_problems(&rejoin->settings.warnings, true, NULL);
        run->divergence.needed = true; /* assumed: a running target is not examined */
        facts->printed = true;
        return true;
    }
    /* Keep how the server was started, so that it is started in the same way, even by the same
     * command after this run was killed. Copying WAL takes time: a client may connect. */
    if (!server_control_save(&rejoin->control, error) || !hold_wal(rejoin, error) ||
        !find_server_change(rejoin, &changed, error) ||
        (!changed && !check_demotion(rejoin, error)))
    {
        release_if_server_goes_on(rejoin);
        return false;
    }
    if (changed)
    {
        log_info("the target's server has changed since it was examined: examining it again");
        release_if_server_goes_on(rejoin);
        examine_again(rejoin);
        return true;
    }
    log_info("stopping the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
    rejoin_forget_server(rejoin);
    rejoin->report.asked_to_stop = true;
    facts->stopped = server_control_stop(&rejoin->control, rejoin->pid,
                                         rejoin->options->wait_timeout_seconds, &successor, error);
    rejoin->has_stopped = rejoin->has_stopped || facts->stopped;
    facts->runs = facts->stopped ? REJOIN_NO : REJOIN_YES;
    if (facts->stopped)
        return successor == 0 || examine_started(rejoin, error);
    /* The stop failed, was interrupted or took too long; the server may still be stopping. */
    release_if_server_goes_on(rejoin);
    return false;
}

/* Wait for another --rejoin that is working on this target: it has stopped the server, or found it
 * stopped, and may start it. The rewind that follows finds that server, or reports that the wait
 * takes too long. */
static bool yield_to_others(Rejoin *rejoin, double *patience_seconds, Error *error)
{
    RejoinFacts *facts = &rejoin->report.facts;
    const char *directory = rejoin->target.directory;
    Interlock *interlock = NULL;
    bool waited;
    long pid = 0;

    if (!facts->stopped)
        warn_of_manager(rejoin);
    /* Close our connection: the other rewind may take long, and ours makes its own connections. */
    rejoin_close_connections(rejoin);
    if (!session_wait_for_lock(directory, patience_seconds, &interlock, &waited, error))
        return false;
    interlock_release(interlock);
    if (waited && !pid_file_wait_for_server(directory, START_SECONDS, &pid, error))
        return false;
    facts->yielded = true;
    return true;
}

static bool rewind_target(Rejoin *rejoin, Run *run, Error *error)
{
    RejoinFacts *facts = &rejoin->report.facts;
    bool saved;
    Error why;

    rejoin_close_connections(rejoin);
    saved = facts->dry_run || server_control_save(&rejoin->control, &why);
    /* Rule I73: an interrupted rewind is finished even if there is no space for this file. */
    if (!saved && apply_look_for_pending(rejoin->control.directory, false) == PENDING_NOT_THERE)
        return error_copy(error, &why);
    run->server_stopped = facts->stopped;
    run->needs_own_file = rejoin->control.needs_own_file;
    facts->rewound = rewind_run(rejoin->options, run, error);
    rejoin->report.resumed = rejoin->report.resumed || run->session.resumed;
    /* That rewind has removed postmaster.opts: save even if this run fails now. */
    if (!saved && !server_control_save(&rejoin->control, &why))
        log_warning("%s", why.message);
    if (!facts->rewound && run->session.server_started)
        return examine_started(rejoin, error);
    facts->is_standby = facts->rewound && (run->next_start == NULL || run->next_start->standby);
    return facts->rewound;
}

/* Start the server of the target, which is a standby of the source now. The position that it must
 * reach is found before the start. */
static bool start_server(Rejoin *rejoin, Run *run, Error *error)
{
    RejoinFacts *facts = &rejoin->report.facts;
    Clocks clocks;

    server_control_warn_of_service(&rejoin->control);
    if (facts->dry_run)
    {
        log_info("would start the target's server: %s",
                 server_control_start_shown(&rejoin->control));
        facts->printed = true;
        return true;
    }
    session_set_outcome(&run->session, REWIND_NOT_JOINED);
    signals_heed_again();
    if (!rejoin_ask_source(rejoin, error) ||
        !check_start(rejoin, &run->session.clusters, true, error) ||
        !rejoin_compare_clocks(rejoin, &clocks, error))
        return false;
    if (rejoin->report.was_primary && rejoin->state.position.in_recovery)
    {
        log_warning("the source server is a standby");
        log_detail("The target was a primary. If the source had no other one, no server takes "
                   "writes until one is promoted.");
    }
    log_info("starting the target's server: %s", server_control_start_shown(&rejoin->control));
    facts->started = server_control_start(&rejoin->control, error);
    /* A supervisor may have started the server before this command did. */
    rejoin_find_start_of_server(rejoin, &clocks);
    return facts->started;
}

static bool wait_for_standby(Rejoin *rejoin, Run *run, Error *error)
{
    session_set_outcome(&run->session, REWIND_NOT_JOINED);
    if (!rejoin_wait_until_it_follows(rejoin, error))
        return false;
    last_start_forget(rejoin->control.directory);
    release_wal(rejoin);
    session_set_outcome(&run->session, REWIND_DONE);
    return true;
}

static bool error_container(const Rejoin *rejoin, Error *error)
{
    if (rejoin->pid == 1)
    {
        error_set(error, ERROR_FAILED, "the target's server is process 1 of its container");
        error_detail(error, "When that process stops, the container stops, and this command with "
                            "it.");
    }
    else
    {
        error_set(error, ERROR_FAILED,
                  "the target's server was started by process 1 of its container");
        error_detail(error, "When the server stops, that process probably exits, so the container "
                            "stops, and this command with it.");
        error_hint(error, "If the container continues to run, name the --stop-command.");
    }
    return error_hint(error, "Stop the container, and run pg_rewind with --write-recovery-conf on "
                             "the data directory from another one.");
}

static bool take_step(Rejoin *rejoin, Run *run, RejoinStep step, Error *error)
{
    run_begin_phase(run, step == REJOIN_START  ? PHASE_START
                         : step == REJOIN_WAIT ? PHASE_FOLLOW
                                               : PHASE_STOP);
    switch (step)
    {
    case REJOIN_FIND:
        return find_server(rejoin, error);
    case REJOIN_EXAMINE:
        return examine(rejoin, error);
    case REJOIN_WATCH:
        return watch(rejoin, error);
    case REJOIN_STOP:
        return stop_server(rejoin, run, error);
    case REJOIN_YIELD:
        return yield_to_others(rejoin, &run->patience_seconds, error);
    case REJOIN_REWIND:
        return rewind_target(rejoin, run, error);
    case REJOIN_START:
        return start_server(rejoin, run, error);
    case REJOIN_WAIT:
        return wait_for_standby(rejoin, run, error);
    case REJOIN_END:
        return true;
    case REJOIN_REFUSE_CONTAINER:
        return error_container(rejoin, error);
    case REJOIN_REFUSE_NO_STANDBY:
        return error_no_standby(error);
    }
    return true;
}

bool rejoin_run(const Options *options, Run *run, RejoinResult *result, Error *error)
{
    Rejoin rejoin = {
        .options = options,
        .arena = run->session.arena,
        .report.facts = {.dry_run = options->dry_run, .names_slot = options->slot != NULL}};
    Target *target = &run->session.clusters.target;
    const char *directory;
    bool succeeded = true;
    RejoinStep step;
    long pid;

    while (succeeded && (step = rejoin_decide(&rejoin.report.facts)) != REJOIN_END)
        succeeded = take_step(&rejoin, run, step, error);
    run_begin_phase(run, PHASE_NONE);
    directory = rejoin.target.directory;
    /* If an interrupted rewind was finished just now, the outcome is not "unchanged": the server
     * must not be started as it was before that rewind. */
    run->session.resumed = rejoin.report.resumed;
    if (!succeeded && run->session.resumed && !rejoin.was_started &&
        run->session.outcome == REWIND_UNTOUCHED && error_worst_kind(error) != ERROR_IMPOSSIBLE)
        session_set_outcome(&run->session, REWIND_NOT_JOINED);
    /* Fill in for the report what a rewind that was not begun, or failed early, has not set. */
    if (target->directory == NULL)
        target->directory = directory;
    /* Copy the whole Control: a version without a catalog version would count as a fork's. */
    if (target->control.version == NULL)
        target->control = rejoin.target.control;
    if (run->source.description == NULL && rejoin.source != NULL)
        run->source.description = arena_strdup(rejoin.arena, rejoin.source->description);
    if (!run->lost_count.counted)
        run->lost_count = rejoin.lost_count;
    if (directory != NULL && pid_file_find_server(directory, NULL, &pid, NULL) && pid != 0 &&
        (options->stop_command != NULL || process_works_in(pid, directory)))
    {
        rejoin.report.stopping = pid_file_has_status(directory, PID_FILE_STOPPING);
        rejoin.report.running = !rejoin.report.stopping;
    }
    rejoin.report.stop_command = rejoin.control.stop;
    rejoin.report.start_command = server_control_start_shown(&rejoin.control);
    if (!rejoin.report.running)
        rejoin.report.failure = server_control_failure(&rejoin.control, rejoin.arena);
    *result = rejoin.report;
    rejoin_close_connections(&rejoin);
    return succeeded;
}

bool rejoin_say_what_next(const Options *options, const RejoinResult *rejoin, RewindOutcome outcome)
{
    const bool stopped = rejoin->facts.stopped || rejoin->asked_to_stop;

    if (outcome == REWIND_UNTOUCHED && rejoin->stopping && !stopped)
        log_hint("The target is unchanged, and its server was stopping already when this command "
                 "began. After a smart shutdown its sessions may go on to commit. Run the same %s "
                 "command again when it has stopped.%s%s",
                 log_program_name(),
                 rejoin->stop_command != NULL ? " To end these sessions and stop it now: " : "",
                 rejoin->stop_command != NULL ? rejoin->stop_command : "");
    else if (outcome == REWIND_UNTOUCHED && rejoin->stopping)
        log_hint(
            "The target is unchanged, but this command has asked its server to stop, and it is "
            "stopping. Run the same %s command again. To start it as it was instead: %s",
            log_program_name(), rejoin->start_command);
    else if (outcome == REWIND_NOT_JOINED && rejoin->resumed && !rejoin->facts.is_standby &&
             (rejoin->facts.rewound || (!rejoin->running && !rejoin->stopping)))
        log_hint(
            "The interrupted rewind is finished, but the target could not be set up as a standby "
            "of the source: %s. Remove the cause and run the same %s command again.",
            rejoin->running ? "another program has started its server, which may be a second "
                              "primary, so stop it"
                            : "do not start its server",
            log_program_name());
    else if (outcome == REWIND_NOT_JOINED && rejoin->held_back)
        log_hint("The target's server was not started, since it would not follow the source. "
                 "Remove the cause and run the same %s command again, it starts the server.",
                 log_program_name());
    else if (outcome == REWIND_NOT_JOINED && rejoin->promoted)
        log_hint("The target's server is a second primary now: stop it before a client writes to "
                 "it. Then remove what promoted it, such as a recovery target, and run %s again.",
                 log_program_name());
    else if (outcome == REWIND_NOT_JOINED && rejoin->in_circle)
        log_hint("Target and source are standbys of each other now, and their data stands still. "
                 "Run %s again with the primary as --source-server.",
                 log_program_name());
    else if (outcome == REWIND_NOT_JOINED && rejoin->running)
        log_hint("The target is a standby of the source and its server is running, but it has not "
                 "caught up yet: run the same %s command again, it continues to wait.",
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
    {
        /* A server that this run did not stop need not start: a primary would be a second one, and
         * what keeps a standby from following may promote it. */
        log_hint("The target is unchanged, %s. Remove the cause and run the same %s command again."
                 "%s%s%s%s",
                 stopped ? "but its server was stopped by this command and is not running"
                         : "and its server is not running",
                 log_program_name(), stopped ? " To start the server as it was instead" : "",
                 stopped && rejoin->was_primary ? ", a primary beside the source" : "",
                 stopped ? ": " : "", stopped ? rejoin->start_command : "");
    }
    else
        return false;
    return true;
}
