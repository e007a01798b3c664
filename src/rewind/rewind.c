#include "rewind/run.h"

#include "apply/apply.h"
#include "apply/commit.h"
#include "base/clock.h"
#include "base/text_lines.h"
#include "base/workers.h"
#include "divergence/saved_wal.h"
#include "pair/direction.h"
#include "stage/staged_wal.h"
#include "standby/given_up_history.h"
#include "standby/standby_files.h"
#include "standby/streaming.h"
#include "target/last_start.h"
#include "target/pid_file.h"
#include "target/unsynced.h"
#include "wal_store/held_wal.h"

#include <stdlib.h>

#define NAMES_SHOWN_MAX 8
#define ATTEMPTS_MAX 4 /* plans, each after the source has made the one before out of date */

void run_begin_phase(Run *run, RunPhase phase)
{
    const double now = clock_seconds();

    if (run->phase != PHASE_NONE)
        run->seconds[run->phase] += now - run->phase_begin;
    run->phase = phase;
    run->phase_begin = now;
}

/* The limits that a standby needs by what is known so far. */
static NeededLimits needed_limits(const Run *run)
{
    NeededLimits needed = standby_limits_of(&run->source_state.control);
    const NeededLimits own = standby_limits_of(&run->session.clusters.target.control);

    (void) standby_limits_raise(run->planned.known ? &run->start.needed : &own, &needed);
    (void) standby_limits_raise(&run->staged.needed, &needed);
    return needed;
}

/* Set run->next_start: what the target's server will find at its next start, with the target
 * rewound as planned, or, without a plan, as it is. Fails only if the source is lost. */
static bool find_next_start(Run *run, Error *error)
{
    const Session *session = &run->session;
    const Planned *planned = &run->planned;
    const Control *control = &session->clusters.target.control;
    const bool source_known = session->clusters.source_history.count > 0;
    const NeededLimits needed = source_known ? needed_limits(run) : (NeededLimits){0};
    const NextStartInput input = {.options = session->options,
                                  .clusters = &session->clusters,
                                  .control = planned->known ? &run->source_state.control : control,
                                  .needed = source_known ? &needed : NULL,
                                  .plan = planned->known ? &planned->plan : NULL,
                                  .source_files = &planned->source_files,
                                  .standby_settings = run->standby_settings,
                                  .slots = run->slots};
    NextStart *next = arena_allocate(session->arena, sizeof(*next));

    if (!next_start_find(&input, session->arena, next, error))
        return false;
    run->next_start = next;
    if (next->limits_written)
        run->standby_settings->limits = next->low_limits;
    return true;
}

/* Look for archived files that would lead the rewound target's server away from the source. Called
 * before the commit, while the scratch directory for these files exists. */
static void look_for_misleading_wal(Run *run)
{
    const Session *session = &run->session;
    const NextStart *next = run->next_start;
    const StandbyArchive archive = {.options = session->options,
                                    .clusters = &session->clusters,
                                    .restore_command = next->restore_command,
                                    .position = &run->source_state.position,
                                    .takes_newest_timeline = next->takes_newest_timeline,
                                    .rewound = run->planned.known,
                                    .divergence = run->divergence.lsn,
                                    .scratch = session->scratch};

    if (session->clusters.source_history.count > 0)
        run->misleading = standby_archive_look(&archive, session->arena);
}

/* ---- From the divergence to the journal ---- */

/* Check everything that can be checked before anything is written: places, types of files, space.
 */
static bool check_plan(Run *run, Error *error)
{
    Session *session = &run->session;
    const Clusters *clusters = &session->clusters;
    const Planned *planned = &run->planned;
    const WalSpace wal =
        staged_wal_space(session->source_wal, &planned->input,
                         source_state_wal_end(&planned->source, run->divergence.lsn));

    if (run->start.lack.kind != ERROR_NONE)
        problems_add(&session->problems, &run->start.lack);
    return saved_wal_check(session->options->save_diverged_wal, clusters,
                           &session->target_wal->stream, &run->divergence, error) &&
           stage_check(clusters->target.directory, &planned->plan, &wal, error);
}

/* Set *archives if the rewound standby will archive what it receives: then its archive needs all
 * WAL since the divergence, which a late start leaves out. If there is too little WAL for a late
 * start by its cost, the source is not asked. (Rule C68.) */
static bool find_archives(const Run *run, const SourceState *source, bool *archives, Error *error)
{
    const Session *session = &run->session;
    const Lsn common = run->divergence.common_checkpoint.checkpoint.redo;
    const Lsn own = source->control.checkpoint.redo, early = own < common ? own : common;

    *archives = run->next_start != NULL && run->next_start->archives_always;
    return run->next_start != NULL || session->options->compare ||
           source_state_wal_end(source, run->divergence.lsn) - early < ESTIMATE_WAL_MIN ||
           next_start_archives(session->options, &session->clusters, session->arena, archives,
                               error);
}

/*
 * Choose where recovery starts, and make the plan for that start. `source` is the source as it is
 * now; `first`: this is the run's first plan.
 */
static bool plan(Run *run, const SourceState *source, bool first, Error *error)
{
    Session *session = &run->session;
    SourceWal *wal = session->source_wal;
    StartInput known = {.clusters = &session->clusters,
                        .source = source,
                        .divergence = &run->divergence,
                        .changes = session->options->compare ? NULL : &run->changes,
                        .source_wal = wal,
                        .options = session->options,
                        .unlogged_drop = &run->unlogged_drop};
    AdviceList warnings = {.arena = session->arena};
    const StartChoice former = run->start.choice;
    bool planned, chosen;

    run_begin_phase(run, PHASE_SCAN);
    if (!find_archives(run, source, &known.archives, error))
        return false;
    /* Read the source's WAL from the start of recovery: it shows whether replay from there gives a
     * correct result, and which blocks the WAL writes in whole, so that they need not be
     * fetched. */
    recovery_start_free(&run->start);
    chosen = recovery_start_choose(&known, session->arena, &run->start, error);
    if (former.checkpoint_made)
    {
        run->start.choice.checkpoint_made = true;
        run->start.choice.checkpoint = former.checkpoint;
    }
    /* Rule C31: remove WAL that was staged for the former plan, and that this plan does not need:
     * the check of the space counts neither its bytes nor its space. */
    if (!chosen || (!first && wal->fetched_from != LSN_INVALID &&
                    !source_wal_remove_before(wal, wal->fetched_from, run->start.wal_from, error)))
        return false;
    run_begin_phase(run, PHASE_PLAN);
    planned =
        prepare_plan(session, &run->divergence, &run->start, run->changes.dead_entries_unlogged,
                     run->standby_settings, &run->planned, error);
    run->compared_bytes += run->planned.compared_bytes;
    if (!planned || !check_plan(run, error) || !problems_check(&session->problems, error) ||
        !find_next_start(run, error))
        return false;
    if (!first)
        return true;
    if (run->next_start->limits_written)
        standby_limits_log(&run->next_start->low_limits);
    look_for_misleading_wal(run);
    run_advise_on_plan(run, &warnings);
    advice_add_to_problems(&warnings, true, &session->problems);
    return true;
}

/* Add the statistics of the stage to those of the run. */
static void add_fetched(Run *run)
{
    StageStatistics *sum = &run->fetched;
    const StageStatistics *more = &run->staged.stage->statistics;

    for (int kind = 0; kind < KIND_COUNT; kind++)
        sum->fetched_bytes_by_kind[kind] += more->fetched_bytes_by_kind[kind];
    sum->fetched_bytes += more->fetched_bytes;
    sum->compared_bytes += more->compared_bytes;
}

/* The source may need higher limits, or more replication origins, since the plan was made: find the
 * next start again if so. (Rule S22.) */
static bool raise_limits(Run *run, Error *error)
{
    NeededLimits needed = run->next_start->needed;

    if (!standby_limits_raise(&run->staged.needed, &needed))
        return true;
    if (!find_next_start(run, error))
        return false;
    if (run->next_start->limits_written)
        standby_limits_log(&run->next_start->low_limits);
    return true;
}

/*
 * With --create-slot, create the slot before the plan, and set *source to the source's state after
 * that: the plan then ends no earlier than the slot begins, and the source keeps everything after
 * the plan's end until it is staged. Does nothing if there are problems already, since nothing is
 * staged then. (Rule S17.)
 */
static bool make_slot(Run *run, SourceState *source, Error *error)
{
    const Session *session = &run->session;
    const Clusters *clusters = &session->clusters;
    const Options *options = session->options;

    if (!options->create_slot || session->problems.count > 0)
        return true;
    return streaming_make_slot(options, clusters, LSN_INVALID, &run->slot_made, error) &&
           (options->dry_run || source_state_read_again(clusters->source, source, source, error));
}

/* Report why the staged plan is out of date, and keep what the source's WAL does not tell the next
 * plan. */
static void note_obsolete_plan(Run *run)
{
    const UnloggedDrop *drop = &run->staged.unlogged_drop;

    if (drop->start == LSN_INVALID)
    {
        log_info("the source has copied a database, created a tablespace, dropped a replication "
                 "origin or logged changes without page images in the meantime: starting again");
        return;
    }
    log_info("database \"%s\" is gone from the source, whose WAL does not say that it was dropped: "
             "starting again",
             drop->directory);
    run->unlogged_drop = *drop;
}

/*
 * Set run->start, planned, next_start and staged. A dry run ends with the plan.
 *
 * If the source's WAL has a new hazard for replay in the meantime (replay_hazard_find), or lacks
 * the drop of a database whose files are gone, the plan is out of date when its files are staged:
 * discard plan and stage, and plan again for a start after this hazard.
 * Problems found by the plan are an error, and nothing is staged.
 */
static bool plan_and_stage(Run *run, Error *error)
{
    const Session *session = &run->session;
    const Options *options = session->options;
    const Clusters *clusters = &session->clusters;
    SourceState source = run->source_state;

    if (!make_slot(run, &source, error))
        return false;
    for (int attempt = 1;; attempt++)
    {
        if (!plan(run, &source, attempt == 1, error))
            return false;
        run->saved_rows.rewind_bytes = run->planned.plan.fetch_bytes;
        /* Save lost rows before anything is fetched; a dry run saves them too. */
        if (attempt == 1 && options->save_lost_rows != NULL &&
            !run->save_rows(options, clusters, &run->divergence, session->arena, &run->saved_rows,
                            error))
            return false;
        if (options->dry_run)
            return true;
        run_begin_phase(run, PHASE_STAGE);
        if (!transfer_make(session, &run->planned, &run->start, run->next_start->archives_always,
                           attempt == ATTEMPTS_MAX, &run->staged, error))
            return false;
        if (!run->staged.obsolete)
            break;
        note_obsolete_plan(run);
        stage_return_wal(run->staged.stage);
        add_fetched(run);
        stage_abandon(run->staged.stage);
        stage_free(run->staged.stage);
        run->staged.stage = NULL;
        if (!source_state_read_again(clusters->source, &run->staged.source, &source, error))
            return false;
    }
    if (!raise_limits(run, error))
        return false;
    /* Save the diverged WAL now: the commit removes it from the target. */
    if ((options->save_diverged_wal != NULL &&
         !saved_wal_write(options->save_diverged_wal, clusters, &session->target_wal->stream,
                          &run->divergence, session->arena, &run->saved_wal_command, error)) ||
        !transfer_finish(session, &run->divergence, run->standby_settings, &run->staged, error))
        return false;
    streaming_check_slot_again(options, clusters);
    return true;
}

/* ---- No rewind ---- */

/* Warn if a target that has not diverged cannot continue as a standby, because the source no longer
 * has the WAL that follows the target's. */
static bool warn_if_left_behind(Run *run, Error *error)
{
    bool has;

    run->left_behind.arena = run->session.arena;
    if (!session_advise_on_next_wal(&run->session, &run->source_state, run->divergence.target_end,
                                    &run->left_behind, &has, error))
        return false;
    advice_add_to_problems(&run->left_behind, true, NULL);
    return true;
}

/* Name the slots that --drop-slots does not drop: slots of a target that was a standby, which its
 * own standbys may use. Slots from its time as a primary have no clients any more. */
static void tell_of_slots_left(const TargetSlots *slots)
{
    AUTO_BUFFER Buffer names = {0};
    TextList list = {&names, ", ", NAMES_SHOWN_MAX, 0};

    for (size_t i = 0; i < slots->count; i++)
        if (!slots->slots[i].of_primary)
            text_list_add(&list, "%s", slots->slots[i].name);
    text_list_end(&list);
    if (list.count > 0)
        log_info("--drop-slots leaves the replication slots of a target that was a standby, since "
                 "its own standbys may use them: %s",
                 buffer_string(&names));
}

/* Continue a hash with which file lies at a path of the target, if any. */
static uint64_t add_to_fingerprint(uint64_t fingerprint, const Target *target, const char *path)
{
    AUTO_BUFFER Buffer full = {0};
    struct stat status;
    bool found = false;

    if (path != NULL)
        (void) !file_lstat(path_in(&full, target->directory, path), &status, &found, NULL);
    return fingerprint * 31 + (found ? status.st_ino : 0);
}

/* Returns a hash of the files that -R writes or removes, and of the slots' directories: it differs
 * after any of them was replaced or removed. */
static uint64_t fingerprint_of_set_up(const Run *run)
{
    const Target *target = &run->session.clusters.target;
    const Version *version = target->control.version;
    const char *const *written = standby_written_files(version);
    const char *files[] = {written[0], written[1], standby_unwanted_file(version)};
    uint64_t fingerprint = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        fingerprint = add_to_fingerprint(fingerprint, target, files[i]);
    for (const char *const *path = run->given_up_histories; *path != NULL; path++)
        fingerprint = add_to_fingerprint(fingerprint, target, *path);
    for (size_t i = 0; i < run->slots.count; i++)
        fingerprint = add_to_fingerprint(
            fingerprint, target,
            arena_printf(run->session.arena, "pg_replslot/%s", run->slots.slots[i].name));
    return fingerprint;
}

/* Find history files that would lead the server away from the source; -R removes them. */
static bool find_given_up_histories(Run *run, Error *error)
{
    if (!given_up_histories_find(&run->session.clusters, run->session.arena,
                                 &run->given_up_histories, error))
        return false;
    for (const char *const *path = run->given_up_histories;
         run->standby_settings != NULL && *path != NULL; path++)
        log_info("%s \"%s\", the history of a timeline that was given up",
                 run->session.options->dry_run ? "would remove" : "removing", *path);
    return true;
}

/* With -R, make the target a standby: what would lead it away goes first. */
static bool set_up_standby(Run *run, Error *error)
{
    const Clusters *clusters = &run->session.clusters;

    return run->standby_settings == NULL ||
           (given_up_histories_remove(clusters, run->given_up_histories, error) &&
            standby_files_write(clusters, run->standby_settings, run->session.options->keep,
                                error));
}

/* Look once more after a change without a commit: a server that has got past the pid file may have
 * read its files before they were written. (Rule I82.) */
static bool check_undisturbed(const Session *session, Error *error)
{
    const Target *target = &session->clusters.target;
    bool ours, same;

    if (!interlock_still_ours(session->interlock, &ours, error) ||
        !commit_control_is(target->directory, target->control.bytes, &same, error))
        return false;
    if (ours && same)
        return true;
    error_set(error, ERROR_FAILED, "another program has used the target while it was set up");
    return error_hint(error, "If a server was started there, it may be a second primary: stop it.");
}

/* Finish a run without a rewind: the target has not diverged from the source's history. Only -R,
 * --create-slot and --drop-slots have something to do. */
static bool finish_unneeded(Run *run, Error *error)
{
    Session *session = &run->session;
    const Options *options = session->options;
    const Clusters *clusters = &session->clusters;
    const Target *target = &clusters->target;
    const Lsn needed_from = run->divergence.target_end;
    const ExpectedStart expected = {.source = &run->source_state};
    StandbySettings *settings = run->standby_settings;
    uint64_t before;
    bool drops, found, result;
    long pid;

    log_info("no rewind required"); /* contract */
    if (!warn_if_left_behind(run, error))
        return false;
    if (!target_slots_read(target, session->arena, &run->slots, error) ||
        !find_given_up_histories(run, error))
        return false;
    drops = options->drop_slots && run->slots.count > 0;
    if (options->drop_slots)
        tell_of_slots_left(&run->slots);
    /* -R raises limits that are too low for replay of the source's WAL. */
    if (settings != NULL && !standby_uses_recovery_conf(clusters->shape.version))
    {
        if (!next_start_limits(options, clusters, expected, session->arena, &settings->limits,
                               error))
            return false;
        standby_limits_log(&settings->limits);
    }
    if (!streaming_make_slot(options, clusters, needed_from, &run->slot_made, error))
        return false;
    if (options->dry_run)
        return true;
    /* A run that was killed while it cleaned up has left its postmaster.pid. Claim the file, so
     * that it is removed at the end of this run. */
    if (!pid_file_find_server(target->directory, &found, &pid, error))
        return false;
    if (settings == NULL && !drops)
        return !found || pid != 0 || interlock_claim_pid_file(session->interlock, error);
    if (!session_keep_servers_out(session, error))
        return false;
    /* Drop the slots last: if that fails, the same command drops the rest, as long as no server was
     * started. After a failure the fingerprint shows whether -R or --drop-slots changed anything.
     */
    before = fingerprint_of_set_up(run);
    session_set_outcome(session, REWIND_SET_UP_IN_PART);
    result = set_up_standby(run, error) && check_undisturbed(session, error) &&
             (!drops ||
              (target_slots_drop(target, &run->slots, error) && check_undisturbed(session, error)));
    if (result || fingerprint_of_set_up(run) == before)
        session_set_outcome(session, REWIND_UNTOUCHED);
    return result;
}

/* ---- Steps of a run ---- */

/* With -R, make the settings that it will write, while the target still has its former
 * configuration, and check that the standby can stream with them. */
static bool prepare_standby(Run *run, Error *error)
{
    Session *session = &run->session;
    StandbySettings *settings;

    if (!session->options->write_recovery_conf)
        return true;
    settings = arena_allocate(session->arena, sizeof(*settings));
    if (!standby_settings_make(session->options, &session->clusters, session->arena, settings,
                               error))
        return false;
    advice_add_to_problems(&settings->warnings, true, &run->session.problems);
    run->standby_settings = settings;
    return streaming_check(session->options, &session->clusters, settings, &session->problems,
                           session->arena, error);
}

/* Find what the target changed since the last common checkpoint; for a report, read its lost
 * transactions as well. */
static bool read_changes(Run *run, Error *error)
{
    const Session *session = &run->session;
    const ReportTransactions listed = session->options->report_transactions;
    const DivergenceInput input = session_divergence_input(session, &run->source_state);
    bool result;

    progress_begin(PROGRESS_SCAN_TARGET, 0); /* total not known: the scan may restart earlier */
    result = progress_end(
        target_changes_scan(&input, &run->divergence, session->arena, &run->changes, error));
    if (run->changes.known)
        run->lost_count =
            lost_count_of_scan(&session->clusters, &run->divergence, &run->changes.scanned);
    if (result && session->options->report_wanted && listed != REPORT_TRANSACTIONS_NONE)
        result = lost_transactions_read(&session->clusters, &run->divergence, listed,
                                        session->arena, &run->lost, error);
    if (result && run->lost != NULL)
    {
        run->name_lost(&session->clusters, &run->divergence, session->arena, run->lost);
        result = stop_check(error);
    }
    return result;
}

/* With --rejoin, check the server's next start. No check if no rewind is needed and --rejoin has
 * stopped the server itself: it then starts the server again in any case. */
static bool check_next_start(Run *run, Error *error)
{
    Session *session = &run->session;
    const ExpectedStart expected = {.rewound = run->divergence.needed,
                                    .needs_own_file = run->needs_own_file,
                                    .source = &run->source_state,
                                    .divergence = run->divergence.lsn,
                                    .scratch = session->scratch,
                                    .slot_patience_seconds = STREAMING_RELEASE_SECONDS};
    AdviceList advice = {.arena = session->arena};

    if (!session->options->rejoin || (!run->divergence.needed && run->server_stopped))
        return true;
    if (!next_start_check(session->options, &session->clusters, expected, &advice, error))
        return false;
    advice_add_to_problems(&advice, true, &session->problems);
    return true;
}

/* Print the problems found so far, after the warning of a doubtful direction, which comes before
 * the first error. From now on each problem is printed at once. (Rule D8.) */
static void tell_problems(Run *run)
{
    if (!run->direction_told)
        direction_warn(&run->session.clusters, run->session.options);
    run->direction_told = run->session.clusters.source_history.count > 0;
    problems_print(&run->session.problems);
}

/* Before anything is changed, report what the rewind discards, warn if source and target may be
 * swapped, and refuse more losses than the options allow. */
static bool judge_losses(Run *run, Error *error)
{
    const Session *session = &run->session;
    const Options *options = session->options;
    const Clusters *clusters = &session->clusters;
    const DivergenceInput input = session_divergence_input(session, &run->source_state);

    /* With --compare the target's WAL was not read: read it to count lost transactions. */
    if (!run->lost_count.counted)
    {
        progress_begin(PROGRESS_SCAN_TARGET, 0);
        if (!progress_end(lost_count_read(&input, &run->divergence, &session->target_wal->stream,
                                          false, session->arena, &run->lost_count, error)))
            return false;
    }
    /* The target's WAL no longer has the transactions that a resumed rewind discarded. The first
     * run has printed their number. (Rule D4.) */
    if (session->resumed && run->lost_count.unknown == NULL && run->lost_count.transactions == 0)
        run->lost_count = (LostCount){0};
    else
        lost_count_print(&run->lost_count, options);
    /* --rejoin starts a standby where a primary was: it asks for the number as if that ran. */
    if (options->rejoin && direction_is_unconfirmed(clusters, options) &&
        target_was_primary(&clusters->target))
    {
        error_direction(clusters, error);
        error_hint(error,
                   "To discard what this primary has written, add --demote=%u: the number is its "
                   "timeline.",
                   clusters->target.timeline);
        log_error(error);
        run->direction_told = true;
        return error_set_reported(error, ERROR_FAILED);
    }
    tell_problems(run);
    return lost_count_check(&run->lost_count, options, error);
}

/* Do all steps before the commit. *done: nothing is to be committed. */
static bool prepare_rewind(Run *run, bool *done, Error *error)
{
    Session *session = &run->session;

    /* Identify both clusters: of one system, and shut down cleanly unless the source runs. */
    run_begin_phase(run, PHASE_IDENTIFY);
    progress_begin(PROGRESS_IDENTIFY, 0);
    if (!progress_end(session_identify_target(session, error) &&
                      session_identify_pair(session, &run->source_state, done, error)))
        return false;
    if (*done)
        return true;
    if (!prepare_standby(run, error))
        return false;
    /* Find the divergence. History files give an upper limit; the bytes of both sides' WAL decide.
     */
    run_begin_phase(run, PHASE_SCAN);
    if (!session_find_divergence(session, &run->source_state, &run->divergence, error))
        return false;
    if (!check_next_start(run, error))
        return false;
    *done = !run->divergence.needed;
    if (*done)
        return problems_check(&session->problems, error) && finish_unneeded(run, error);
    /* Find every block that may differ: by the target's WAL, or otherwise by comparing. */
    if (!session->options->compare && !read_changes(run, error) &&
        !session_compare_instead(session, &run->divergence, error))
        return false;
    if (!judge_losses(run, error))
        return false;
    *done = session->options->dry_run;
    return plan_and_stage(run, error);
}

/* All blocks were compared, and are on the disk: remove the note that a file may be lost. (Rule
 * I27.) */
static void forget_failed_sync(const Run *run)
{
    const Target *target = &run->session.clusters.target;
    Error why;

    if (!target->is_unsynced || !file_sync_enabled() ||
        unsynced_remove_note(target->directory, &why))
        return;
    log_warning("%s", why.message);
    log_detail("The next run will compare all blocks again.");
}

/* Commit and apply. After the commit the target is a mixture of both clusters until the apply has
 * finished; if this run does not finish it, the same command does. */
static bool commit_and_apply(Run *run, Error *error)
{
    const char *target = run->session.clusters.target.directory;
    Interlock *interlock = run->session.interlock;
    bool committed = false, result;

    run_begin_phase(run, PHASE_APPLY);
    if (!stop_check(error) || !last_start_forget_outdated(target, error))
        return false;
    signals_hold_off();
    /* Set the outcome before the commit: if memory ran out between the rename and the next line,
     * the run would call the target unchanged. */
    session_set_outcome(&run->session, REWIND_COMMITTED);
    result = apply_commit(target, interlock, &committed, error);
    if (!committed)
        session_set_outcome(&run->session, REWIND_UNTOUCHED);
    if (!result)
        return false;
    log_progress_message("syncing target data directory"); /* contract */
    if (!apply_finish(target, interlock, run->session.options, APPLY_PATIENCE_SECONDS, error))
        return false;
    session_set_outcome(&run->session, REWIND_DONE);
    forget_failed_sync(run);
    return true;
}

/*
 * After a step before the stage has failed with this error, look at the target's files and disks as
 * well, so that the user sees all problems in one run; the error becomes ERROR_REPORTED. Does
 * nothing if the source is lost, since the look would wait for it again, or if the run must stop.
 */
static void survey_target(Run *run, Error *error)
{
    const Clusters *clusters = &run->session.clusters;
    Problems *problems = &run->session.problems;
    const WalSpace wal = {0};
    Error problem;

    if (run->staged.stage != NULL || error_worst_kind(error) == ERROR_RETRY || !stop_check(NULL))
        return;
    problems_add(problems, error);
    /* A failed plan has already examined the target's files: source_files is set then. */
    if (run->session.may_be_looked_at && clusters->source_history.count > 0 &&
        run->planned.source_files.strings == NULL &&
        (!prepare_least_plan(&run->session, &run->source_state, run->standby_settings,
                             &run->planned, &problem) ||
         !stage_check(clusters->target.directory, &run->planned.plan, &wal, &problem)))
        problems_add(problems, &problem);
    error_set_reported(error, problems->worst);
}

/* Release the WAL that --rejoin held before it stopped the server: a target that is rewound, or
 * needs no rewind, no longer needs this WAL. */
static void release_held_wal(const Session *session)
{
    const Target *target = &session->clusters.target;
    AUTO_BUFFER Buffer path = {0};
    Error why;

    if (session->options->dry_run || session->pending || target->control.version == NULL ||
        held_wal_release(path_in(&path, target->directory, target->control.version->wal_directory),
                         &why))
        return;
    log_warning("%s", why.message);
    log_detail("The directory \"%s/" HELD_WAL_DIRECTORY "\" may be removed.", buffer_string(&path));
}

/* Do all steps of a run. */
static bool run_steps(Run *run, Error *error)
{
    bool prepared, done;

    /* Lock the target, and first finish a rewind that was interrupted after its commit. */
    run_begin_phase(run, PHASE_IDENTIFY);
    if (!session_open(&run->session, error))
        return false;
    if (run->session.resumed)
        run->phase = PHASE_APPLY; /* the time since the phase's start was spent on the apply */
    if (run->session.pending)
        return true;
    prepared = prepare_rewind(run, &done, error);
    if (run->standby_settings != NULL)
        streaming_check_end(run->session.options, &run->session.clusters, run->standby_settings,
                            &run->session.problems, run->session.arena);
    if (!prepared)
    {
        tell_problems(run);
        if (!run->session.server_started)
            survey_target(run, error);
        return false;
    }
    if (!done && !commit_and_apply(run, error))
        return false;
    release_held_wal(&run->session);
    if (!done || (run->session.options->dry_run && run->planned.known))
        log_info("Done!"); /* contract */
    return true;
}

static const char *copy_or_null(Arena *arena, const char *text)
{
    return text != NULL && text[0] != '\0' ? arena_strdup(arena, text) : NULL;
}

/* Copy facts of the source and the stage for the report, before both are closed. */
static void note_source(Run *run)
{
    Arena *arena = run->session.arena;
    const Source *source = run->session.clusters.source;

    if (run->session.source_wal != NULL)
        run->reread_wal_bytes = run->session.source_wal->removed_bytes;
    if (run->staged.stage != NULL)
    {
        add_fetched(run);
        run->fetched.fetched_bytes_by_kind[KIND_WAL] += run->reread_wal_bytes;
        run->fetched.fetched_bytes += run->reread_wal_bytes;
    }
    if (source != NULL)
        run->source = (SourceAddress){
            .description = arena_strdup(arena, source->description),
            .is_server = source->is_server,
            .host = copy_or_null(arena, source->host),
            .address = copy_or_null(arena, source->address),
            .port = source->port != NULL ? (uint32_t) strtoul(source->port, NULL, 10) : 0,
            .round_trips = source->round_trips};
}

/* After a successful run, print what the user has to do next; nothing if that cannot be found out.
 */
static void tell_next_steps(Run *run)
{
    if (run->session.pending) /* a dry run, which has only found an interrupted rewind */
        run->next_start = arena_allocate(run->session.arena, sizeof(*run->next_start));
    else if (run->next_start == NULL)
    {
        if (run->session.clusters.target.control.version == NULL || !find_next_start(run, NULL))
            return;
        look_for_misleading_wal(run);
    }
    next_steps_make(run->session.options, run);
    next_steps_print(run->session.options, run);
}

bool rewind_run(const Options *options, Run *run, Error *error)
{
    Session *session = &run->session;
    bool result;

    *session = (Session){.options = options,
                         .arena = session->arena,
                         .patience_seconds = &run->patience_seconds,
                         .locks = true};
    result = run_steps(run, error);
    run_begin_phase(run, PHASE_NONE);
    /* Invariant 6: drop the slot that this run created. After the commit it is the standby's. */
    if (!result && session->outcome == REWIND_UNTOUCHED && run->slot_made)
        streaming_drop_slot(options, &session->clusters);
    note_source(run);
    if (result)
        tell_next_steps(run);
    /* Remove files and close descriptors only: the report still reads the memory. */
    if (run->staged.stage != NULL && session->outcome == REWIND_UNTOUCHED)
        stage_abandon(run->staged.stage);
    stage_free(run->staged.stage);
    /* Rules I27, I40. --rejoin sets its own outcome. */
    if (!result && session->outcome == REWIND_UNTOUCHED && !options->rejoin &&
        error_worst_kind(error) != ERROR_IMPOSSIBLE && session_is_set_up_in_part(session))
        session_set_outcome(session, REWIND_SET_UP_IN_PART);
    session_close(session);
    return result;
}

void run_free(Run *run)
{
    lost_destroy(run->lost);
    scan_destroy(run->divergence.scan);
    planned_free(&run->planned);
    recovery_start_free(&run->start);
    arena_destroy(run->session.arena);
}
