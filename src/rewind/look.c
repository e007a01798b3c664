#include "rewind/look.h"

#include "apply/apply.h"
#include "apply/commit.h"
#include "apply/journal.h"
#include "base/clock.h"
#include "base/wait.h"
#include "base/workers.h"
#include "io/file.h"
#include "io/scratch.h"
#include "io/trust.h"
#include "pair/prerequisites.h"
#include "recovery_start/recovery_start.h"
#include "stage/stage.h"
#include "target/configuration.h"
#include "target/last_start.h"
#include "target/pid_file.h"

#include <stdlib.h>
#include <string.h>

#define SCRATCH_ROOM (UINT64_C(1024) * 1024 * 1024)

/* ---- Open ---- */

static const char *target_directory(const Look *look)
{
    return look->clusters.target.directory;
}

void look_set_outcome(Look *look, RewindOutcome outcome)
{
    look->outcome = outcome;
    memory_set_unfinished(outcome != REWIND_UNTOUCHED);
}

RewindOutcome look_outcome_on_disk(const char *target, RewindOutcome known, bool suspected)
{
    static const RewindOutcome outcomes[] = {
        [PENDING_NOT_THERE] = REWIND_UNTOUCHED,
        [PENDING_THERE] = REWIND_COMMITTED,
        [PENDING_UNCERTAIN] = REWIND_UNCERTAIN,
    };

    return known == REWIND_UNTOUCHED ? outcomes[apply_look_for_pending(target, suspected)] : known;
}

bool look_wait_for_lock(const char *target, double *patience_seconds, Interlock **interlock,
                        bool *waited, Error *error)
{
    Wait wait = wait_begin(*patience_seconds);

    *waited = false;
    do
    {
        if (!interlock_acquire(target, interlock, error))
            return false;
        if (*interlock == NULL && wait_reports(&wait, 0))
            log_info("waiting for another pg_rewind that is working on directory \"%s\"", target);
        *waited = wait.reported;
    } while (!wait_until(*interlock != NULL, &wait, error));
    *patience_seconds = clock_patience_left(*patience_seconds, wait.begin);
    return !wait.stopped;
}

bool look_is_in_use(const char *target)
{
    Interlock *interlock = NULL;
    double patience_seconds = 0;
    bool waited;
    const bool ok = look_wait_for_lock(target, &patience_seconds, &interlock, &waited, NULL);
    const bool in_use = ok && interlock == NULL;

    interlock_release(interlock);
    return in_use;
}

/*
 * Another pg_rewind that works here is waited for; then this is the same command once more. "The
 * target is unchanged" would not be true as long as it has the lock, whatever it has done until
 * now.
 */
static bool acquire_lock(Look *look, Error *error)
{
    const char *target = target_directory(look);
    bool waited;
    const bool ok =
        look_wait_for_lock(target, look->patience_seconds, &look->interlock, &waited, error);

    look->waited_for_lock = look->waited_for_lock || waited;
    if (look->interlock == NULL && (ok || waited))
        look_set_outcome(look, REWIND_BUSY);
    if (!ok || look->interlock != NULL)
        return ok;
    error_set(error, ERROR_FAILED, "another pg_rewind is working on directory \"%s\"", target);
    return error_detail(error,
                        "This pg_rewind waited %d s for others that use the target "
                        "(--wait-timeout).",
                        look->options->wait_timeout_seconds);
}

/* The journal decides, whatever this command asks for. Options without effect are named before the
 * work. */
static void warn_of_other_options(const Look *look, const PendingRewind *pending)
{
    const char *asked = journal_options_text(look->options, look->arena);
    AUTO_BUFFER Buffer ignored = {0}, begun_with = {0};

    if (pending->options != NULL)
    {
        journal_options_missing(asked, pending->options, false, &ignored);
        journal_options_missing(pending->options, asked, true, &begun_with);
    }
    if (ignored.size > 0 || begun_with.size > 0)
        log_warning("the interrupted rewind is finished with the options that it was begun with");
    if (ignored.size > 0)
        log_detail("Options of this command that have no effect on it: %s.",
                   buffer_string(&ignored));
    if (begun_with.size > 0)
        log_detail("Options that it was begun with, and that this command does not have: %s.",
                   buffer_string(&begun_with));
}

/* Carry out what an earlier run has committed; then the target is like any other, and the lock is
 * free of that run. */
static bool finish_pending(Look *look, const PendingRewind *pending, Error *error)
{
    log_info("finishing an interrupted rewind: servers diverged at WAL location %s",
             pending->divergence);
    warn_of_other_options(look, pending);
    look_set_outcome(look, REWIND_COMMITTED);
    signals_hold_off();
    if (!apply_finish(target_directory(look), look->interlock, look->options,
                      APPLY_PATIENCE_SECONDS, error))
        return false;
    log_info("the interrupted rewind is finished");
    look_set_outcome(look, REWIND_UNTOUCHED);
    look->resumed = true;
    interlock_release(look->interlock);
    look->interlock = NULL;
    signals_heed_again();
    /* A request to stop that came in the meantime is no request to begin another rewind. */
    return acquire_lock(look, error) && stop_check(error);
}

/* Finish or throw away what an earlier run left; a dry run only notes it. */
static bool handle_pending(Look *look, Error *error)
{
    AUTO_BUFFER Buffer work = {0};
    PendingRewind pending;
    bool is_live;

    /* A journal of somebody else's would do what he likes, with our rights. */
    if (!trust_check_entry(path_in(&work, target_directory(look), WORK_DIRECTORY), error))
        return error_hint(error, "Find out who has made it before you remove it.");
    if (!apply_pending(target_directory(look), look->arena, &pending, error))
        return false;
    is_live = pending.state == PENDING_APPLY || pending.state == PENDING_CLEANUP;
    memory_set_unfinished(is_live);
    if (look->options->dry_run)
    {
        look->pending = is_live;
        if (!is_live)
            return true;
        log_info("servers diverged at WAL location %s",
                 pending.divergence); /* contract: callers look for it */
        warn_of_other_options(look, &pending);
        log_info("an interrupted rewind is pending");
        return true;
    }
    return (!is_live || finish_pending(look, &pending, error)) &&
           interlock_remove_leftover(look->interlock, error) &&
           stage_remove_stale(target_directory(look), error) &&
           scratch_remove(look->scratch, error);
}

/* Several segments of WAL find room there, as a rule. */
static bool is_roomy(const char *place)
{
    FileSpace space;

    return file_space(place, &space, NULL) && space.free_bytes >= SCRATCH_ROOM;
}

/*
 * A dry run writes nothing in the target. In a container /tmp may be small, read-only or lack the
 * sticky bit, so other places do as well, also the one beside the target. Those with little room
 * come last; where none does, the first one's error counts.
 */
static bool make_own_scratch(Look *look, Error *error)
{
    const char *target = target_directory(look);
    const char *slash = strrchr(target, '/');
    const char *const places[] = {
        "/tmp", "/var/tmp", arena_printf(look->arena, "%.*s/", (int) (slash - target), target),
        "/dev/shm"};
    const size_t count = sizeof(places) / sizeof(*places);
    const char *chosen = getenv("TMPDIR");
    Error first = {0}, failure;

    if (chosen != NULL && chosen[0] != '\0')
        return scratch_make(chosen, look->arena, &look->scratch, &look->scratch_lock, error);
    for (size_t i = 0; i < 2 * count; i++)
    {
        if (is_roomy(places[i % count]) != (i < count))
            continue;
        if (scratch_make(places[i % count], look->arena, &look->scratch, &look->scratch_lock,
                         &failure))
            return true;
        log_debug("%s", failure.message);
        if (first.kind == ERROR_NONE)
            first = failure;
    }
    *error = first;
    return false;
}

static bool lock_target(Look *look, Error *error)
{
    if (!acquire_lock(look, error))
        return false;
    if (look->options->dry_run)
        return make_own_scratch(look, error);
    look->scratch = arena_printf(look->arena, "%s/" WORK_DIRECTORY ".wal", target_directory(look));
    return true;
}

/* Nothing is locked or changed. An interrupted rewind keeps servers out. */
static bool find_running_server(Look *look, Error *error)
{
    long pid;

    if (!pid_file_find_server(target_directory(look), NULL, &pid, error))
        return false;
    look->running = pid != 0;
    look->pending = !look->running &&
                    apply_look_for_pending(target_directory(look), false) != PENDING_NOT_THERE;
    return true;
}

bool look_open(Look *look, Error *error)
{
    look->scratch_lock = -1;
    if (!target_open(look->arena, look->options->target, &look->clusters.target, error))
        return false;
    if (!look->locks)
        return find_running_server(look, error);
    return lock_target(look, error) && handle_pending(look, error);
}

/* ---- Identify ---- */

static void add_problem(Look *look, const char *topic, const Error *problem)
{
    look->problems.topic = topic;
    problems_add(&look->problems, problem);
    look->problems.topic = NULL;
}

/* The command that fetches missing WAL; NULL: none. After a problem with it all else is still
 * looked at. */
static const char *find_restore_command(Look *look)
{
    const Options *options = look->options;
    const Target *target = &look->clusters.target;
    char *command = NULL;
    Error problem;

    if (options->restore_command != NULL)
        return arena_strdup(look->arena, options->restore_command);
    if (!options->restore_target_wal ||
        target_restore_command(look->arena, target, options, &command, &problem))
        return command;
    /* After a rewind the configuration is the source's, and the target lacks no WAL: the same
     * command again goes on without a restore command. WAL that is missing is still an error. */
    if (look->resumed || target_was_standby(target))
        log_warning("%s", problem.message);
    else
        add_problem(look, "archive", &problem);
    return NULL;
}

/* Find the target's configuration: the options of its server's last start, and the main file. Where
 * that is outside, only --rejoin, which starts the server so, takes it from the last start. */
static void find_configuration(Look *look)
{
    Target *target = &look->clusters.target;
    const char *named = look->options->config_file;
    Settings *options = arena_allocate(look->arena, sizeof(*options));
    Configuration configuration = {target->directory, named, NULL, look->arena};
    bool by_directory;
    LastStart start;
    long pid;

    if (!pid_file_find_server(target->directory, NULL, &pid, NULL))
        pid = 0;
    last_start_find(target->directory, pid, look->arena, &start);
    options->arena = look->arena;
    last_start_settings(&start, options);
    target->options = options;
    if (named == NULL && look->options->rejoin)
        configuration.config_file =
            last_start_config_file(&start, target->directory, look->arena, &by_directory);
    target->config_file = configuration_find_file(&configuration, target->control.version);
    if (target->config_file != named)
        log_debug("the target's configuration is in \"%s\"", target->config_file);
}

/* The restore command needs the version, so pg_control is read before; its problems are reported in
 * their turn. */
bool look_identify_target(Look *look, Error *error)
{
    Target *target = &look->clusters.target;

    if ((look->locks && !target_wait_for_stop(target, look->patience_seconds, error)) ||
        !target_read(target, error))
        return false;
    find_configuration(look);
    look->clusters.shape = control_wal_shape(&target->control);
    look->restore_command = find_restore_command(look);
    return true;
}

static bool open_source(Look *look, Error *error)
{
    const Options *options = look->options;
    Source **source = &look->clusters.source;

    if (options->source_server != NULL)
        return source_server_open(options->source_server, options->retry_timeout_seconds,
                                  options->max_rate, source, error);
    return source_directory_open(options->source_directory, options->max_rate, source, error);
}

/*
 * The source cannot be asked: that is an error, but the target's problems are reported as well.
 * It is a warning if an interrupted rewind was finished, which needed nothing more from the source.
 */
static bool do_without_source(Look *look, Error *error)
{
    if (look->resumed)
    {
        log_warning("%s", error->message);
        log_detail("The interrupted rewind is finished. It could not be checked whether the source "
                   "has diverged since then.%s",
                   look->options->write_recovery_conf ? " As a standby it is set up as the "
                                                        "interrupted run was told to, not as this "
                                                        "one."
                                                      : "");
        look->done = true;
        return true;
    }
    add_problem(look, "source", error);
    if (stop_check(NULL))
        prerequisites_check(&look->clusters, NULL, look->options, look->running, &look->problems);
    return problems_check(&look->problems, error);
}

/*
 * Keep servers out from now on: one that is started while WAL is read would cost the whole run. A
 * directory that cannot be written to is reported later, with all other such directories. If
 * another run has just ended, its caller may be starting the server: the server is not kept out
 * before there is something to write.
 */
static bool claim_target(const Look *look, Error *error)
{
    const Target *target = &look->clusters.target;
    long pid;

    if (!look->locks || look->options->dry_run || look->waited_for_lock || look->problems.count > 0)
        return true;
    /* A server may have come and gone since pg_control was read: better told before the work. */
    if (interlock_claim_pid_file(look->interlock, error))
        return commit_check_control(target->directory, target->control.bytes, error);
    return pid_file_find_server(target->directory, NULL, &pid, NULL) && pid == 0;
}

/* Find the source's position, the places of both WALs, and both histories. */
static bool find_positions(Look *look, Error *error)
{
    Clusters *clusters = &look->clusters;
    SourceState *state = &look->source;
    Source *source = clusters->source;

    if (!source->operations->position(source, &state->control, &state->position, error))
        return false;
    look->source_wal = source_wal_create(look->options, clusters, state, look->restore_command,
                                         look->scratch, look->arena);
    if (!target_wal_open(look->options, clusters, look->restore_command, look->source_wal,
                         look->arena, &look->target_wal, error) ||
        !histories_read(look->options, look->target_wal, state->position.timeline, look->arena,
                        clusters, error))
        return false;
    return source->is_server || source_wal_find_end(look->source_wal, state, error);
}

/* The order of the original: callers match the first message. */
bool look_identify_pair(Look *look, Error *error)
{
    Clusters *clusters = &look->clusters;
    SourceState *state = &look->source;

    if (!open_source(look, error) ||
        !clusters->source->operations->read_control(clusters->source, &state->control, error))
        return do_without_source(look, error);
    look->may_be_looked_at =
        prerequisites_check(clusters, state, look->options, look->running, &look->problems);
    if (!look->may_be_looked_at && !problems_check(&look->problems, error))
        return false;
    return claim_target(look, error) && find_positions(look, error);
}

/* ---- The divergence ---- */

DivergenceInput look_divergence_input(const Look *look)
{
    return (DivergenceInput){.clusters = &look->clusters,
                             .state = &look->source,
                             .target_wal = look->target_wal,
                             .source_wal = look->source_wal,
                             .jobs = look->locks ? look->options->jobs : 1};
}

/* True if what was not found may be there nevertheless: it was not looked for to the end, or a
 * restore command was tried in memory, and the caller asks for certainty. */
static bool is_unknown(const Look *look)
{
    const WalStore *target = look->target_wal;
    const WalStore *source = look->source_wal->store;

    return wal_store_is_exhausted(target) || wal_store_is_exhausted(source) ||
           (look->only_certain && (target->command_failed || source->command_failed));
}

/* True if this error of a look means no more than that. A source that is lost is an error. */
static bool fails_unknown(const Look *look, const Error *error)
{
    return is_unknown(look) && error_worst_kind(error) != ERROR_RETRY;
}

/* True if an option asks for something that only the target's WAL has. */
static bool needs_target_wal(const Options *options)
{
    return options->early_start || options->save_diverged_wal != NULL ||
           options->max_lost_transactions >= 0 ||
           (options->save_lost_rows != NULL && options->require_lost_rows);
}

bool look_compare_instead(Look *look, const Error *error)
{
    Options *options;

    if (!look->options->rejoin || error->remedy != REMEDY_WAL || look->problems.count > 0 ||
        needs_target_wal(look->options) || !divergence_is_certain(&look->clusters) ||
        fails_unknown(look, error))
        return false;
    if (look->locks || look->options->dry_run)
    {
        log_warning("%s", error->message);
        log_detail("No WAL tells what the target has changed, or which transactions are lost.%s",
                   look->options->save_lost_rows != NULL ? " No rows can be saved." : "");
    }
    options = arena_allocate(look->arena, sizeof(*options));
    *options = *look->options;
    options->compare = true;
    options->save_lost_rows = NULL;
    look->options = options;
    /* None of the target's WAL is proved, so none counts as common history any more. */
    look->target_wal->common_end = look->source_wal->store->common_end = LSN_INVALID;
    look->source_wal->store->unproven_end = LSN_INVALID;
    scan_destroy(look->divergence.scan);
    look->divergence.scan = NULL;
    divergence_leave_unknown(&look->clusters, &look->divergence);
    return true;
}

/* Hints that were not logged matter to a target that has diverged, or that was a primary and
 * crashed. Where that is certain they are looked at first, since the divergence itself may not be
 * found without WAL that is missing. */
bool look_for_divergence(Look *look, Error *error)
{
    const Clusters *clusters = &look->clusters;
    Divergence *divergence = &look->divergence;
    const DivergenceInput input = look_divergence_input(look);
    const bool hints_matter =
        divergence_is_certain(clusters) || target_crashed_as_primary(&clusters->target);

    if (look->options->compare)
    {
        divergence_leave_unknown(clusters, divergence);
        return true;
    }
    if (hints_matter)
        prerequisites_check_hints(clusters, &look->problems);
    if (!divergence_find(&input, look->arena, divergence, error))
        return look_compare_instead(look, error);
    if (divergence->needed && !hints_matter)
        prerequisites_check_hints(clusters, &look->problems);
    if (!divergence->needed)
        prerequisites_check_level(clusters, &look->problems);
    return true;
}

bool look_for_next_wal(const Look *look, uint64_t *segment, bool *has, Error *error)
{
    const Lsn end = look->divergence.target_end;

    *segment = wal_segment_of(&look->clusters.shape, end);
    *has = end >= source_state_wal_end(&look->source, end);
    return *has ||
           (source_wal_source_has(look->source_wal, *segment, has, error) &&
            (*has || source_wal_target_can_restore(look->source_wal, *segment, has, error)));
}

/* ---- A look at a pair ---- */

/*
 * True if a target whose server runs has diverged. A primary was on its timeline after the point
 * where the source left that, and goes on. Whether others have is only known when they are stopped.
 */
static bool running_has_diverged(const Clusters *clusters, Lsn *latest)
{
    size_t common;

    return history_common(&clusters->source_history, &clusters->target_history, &common, latest) &&
           *latest != LSN_INVALID &&
           (clusters->target.control.state == STATE_IN_PRODUCTION ||
            divergence_is_certain(clusters));
}

/* A rewind compares all blocks, because no WAL tells what the target has changed. */
static bool look_for_start_without_changes(Look *look, Error *error)
{
    const Lsn divergence = look->divergence.lsn;
    Start late;

    if (look->options->early_start ||
        !start_late(&look->source.control, divergence, divergence - 1, &late))
    {
        look->replayed = REPLAYED_WAL_MISSING;
        return error_no_proof_before(&look->clusters, divergence, error);
    }
    look->replayed = REPLAYED_WAL_NOT_NEEDED;
    return true;
}

/* Find the WAL that is replayed and that the target itself does not keep. An archive is asked for
 * the first segment that is gone from the source. */
static bool look_for_replayed_wal(Look *look, Error *error)
{
    SourceWal *wal = look->source_wal;
    const Control *source = &look->source.control;
    const Lsn earliest = start_early(&look->divergence.common_checkpoint, source).redo;
    const Lsn end = source_state_wal_end(&look->source, look->divergence.lsn);
    AUTO_BUFFER Buffer path = {0};
    Lsn gone_end;
    Start late;
    bool found, may_take;

    if (look->divergence.changes_unknown)
        return look_for_start_without_changes(look, error);
    if (!source_wal_find_gone(wal, earliest, end, &look->replayed_segment, &gone_end, error))
        return false;
    if (gone_end == LSN_INVALID)
        look->replayed = REPLAYED_WAL_OF_SOURCE;
    else if (!source_wal_find(wal, look->replayed_segment, &path, &may_take, &found, error))
        return fails_unknown(look, error);
    else if (found)
        look->replayed = REPLAYED_WAL_OF_ARCHIVE;
    else if (!look->options->early_start &&
             start_late(source, look->divergence.lsn, gone_end - 1, &late))
        look->replayed = REPLAYED_WAL_NOT_NEEDED;
    else if (!is_unknown(look))
    {
        look->replayed = REPLAYED_WAL_MISSING;
        return error_source_wal_missing(look->clusters.shape.version,
                                        SEGMENT_NAME(&wal->store->stream, look->replayed_segment),
                                        error);
    }
    return true;
}

/* True if an interrupted rewind has left files: the next one removes them, then asks for room. */
static bool frees_space_first(const Look *look)
{
    return file_exists(target_directory(look), WORK_DIRECTORY) ||
           file_exists(target_directory(look), WORK_DIRECTORY ".wal");
}

/* A rewind fetches the source's WAL from the early start on; where there is no room for it, from
 * the late one on, if it may choose that. */
static bool check_space_for_wal(Look *look, Error *error)
{
    const Options *options = look->options;
    const Control *source = &look->source.control;
    const Lsn divergence = look->divergence.lsn;
    const Lsn end = source_state_wal_end(&look->source, divergence);
    const Start early = options->compare ? start_of_source(source)
                                         : start_early(&look->divergence.common_checkpoint, source);
    Start late;
    bool may_start_late;

    if (frees_space_first(look))
        return true;
    may_start_late = !options->compare && !options->early_start &&
                     start_late(source, divergence, LSN_INVALID, &late) &&
                     (options->late_start || look->replayed == REPLAYED_WAL_NOT_NEEDED ||
                      start_may_be_cheaper(look->clusters.shape.version, &early, &late));
    look->lacks_space = !source_wal_check_space(
        look->source_wal, may_start_late ? late.redo : early.redo, end, 0, error);
    return !look->lacks_space;
}

/* As of a target that is stopped, or that will be. */
static bool find_divergence_of_look(Look *look, Error *error)
{
    const Clusters *clusters = &look->clusters;
    Lsn latest = LSN_INVALID, known_end;

    if (look->running && !look->options->compare)
    {
        if (!running_has_diverged(clusters, &latest))
            return true;
        /* It writes more: the end of its WAL is not looked for. */
        known_end = look->target_wal->known_end;
        look->target_wal->stream.limit = known_end > latest ? known_end : latest;
    }
    look->found = look_for_divergence(look, error);
    look->rewinds = look->found ? look->options->compare || look->divergence.needed
                                : look->running || divergence_is_certain(clusters);
    if (!look->found)
        return fails_unknown(look, error);
    if (!look->rewinds)
        return true;
    return (look->options->compare || look_for_replayed_wal(look, error)) &&
           check_space_for_wal(look, error);
}

bool look_at_pair(Look *look, Error *error)
{
    bool result = look_identify_pair(look, error);

    if (result)
        result = find_divergence_of_look(look, error);
    else if (look->target_wal != NULL)
        result = look->clusters.target_history.count == 0 && fails_unknown(look, error);
    return result && problems_check(&look->problems, error);
}

void look_release(Look *look)
{
    Error error = {0};

    wal_store_destroy(look->target_wal);
    if (look->source_wal != NULL)
        wal_store_destroy(look->source_wal->store);
    source_close(look->clusters.source);
    if (look->scratch != NULL && !scratch_remove(look->scratch, &error))
        log_warning("%s", error.message);
    file_close(look->scratch_lock);
    interlock_release(look->interlock);
}
