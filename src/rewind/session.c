#include "rewind/session.h"

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
#include "plan/listing.h"
#include "recovery_start/recovery_start.h"
#include "source/directory.h"
#include "stage/stage.h"
#include "standby/standby_files.h"
#include "target/configuration.h"
#include "target/last_start.h"
#include "target/pid_file.h"
#include "target/unsynced.h"

#include <stdlib.h>
#include <string.h>

#define PID_SECONDS 1 /* time for a server that starts to write its pid */
#define SCRATCH_ROOM (UINT64_C(1024) * 1024 * 1024) /* for several segments of WAL, as a rule */

/* ---- Open ---- */

static const char *target_directory(const Session *session)
{
    return session->clusters.target.directory;
}

void session_set_outcome(Session *session, RewindOutcome outcome)
{
    session->outcome = outcome;
    memory_set_unfinished(outcome != REWIND_UNTOUCHED);
}

bool session_wait_for_lock(const char *target, double *patience_seconds, Interlock **interlock,
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

RewindOutcome session_failed_outcome(const Session *session, const char *target, bool suspected)
{
    static const RewindOutcome outcomes[] = {
        [PENDING_NOT_THERE] = REWIND_UNTOUCHED,
        [PENDING_THERE] = REWIND_COMMITTED,
        [PENDING_UNCERTAIN] = REWIND_UNCERTAIN,
    };
    RewindOutcome outcome = session->outcome;
    Interlock *interlock = NULL;
    double patience_seconds = 0;
    bool waited;

    if (outcome == REWIND_UNTOUCHED)
        outcome = outcomes[apply_look_for_pending(target, suspected)];
    if (outcome == REWIND_UNTOUCHED && !session->locks &&
        session_wait_for_lock(target, &patience_seconds, &interlock, &waited, NULL) &&
        interlock == NULL)
        outcome = REWIND_BUSY;
    interlock_release(interlock);
    return outcome;
}

/*
 * Lock the target, and wait for another pg_rewind that holds the lock; afterwards this run is like
 * the same command run again. If the wait is too long, the error must not say that the target is
 * unchanged: the other pg_rewind may be changing it. (Rule I8.)
 */
static bool acquire_lock(Session *session, Error *error)
{
    const char *target = target_directory(session);
    bool waited;
    const bool ok = session_wait_for_lock(target, session->patience_seconds, &session->interlock,
                                          &waited, error);

    session->waited_for_lock = session->waited_for_lock || waited;
    if (session->interlock == NULL && (ok || waited))
        session_set_outcome(session, REWIND_BUSY);
    if (!ok || session->interlock != NULL)
        return ok;
    error_set(error, ERROR_FAILED, "another pg_rewind is working on directory \"%s\"", target);
    return error_detail(error,
                        "This pg_rewind waited %d s for others that use the target "
                        "(--wait-timeout).",
                        session->options->wait_timeout_seconds);
}

/* The journal decides, whatever this command asks for. Options without effect are named before the
 * work. */
static void warn_of_other_options(const Session *session, const PendingRewind *pending)
{
    const char *asked = session->options->decided;
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

/* A plan of a build before 1.1.0 can be wrong, and a run that finishes it carries it out. (Rule
 * I78.) */
static void warn_of_earlier_version(const Session *session, const PendingRewind *pending)
{
    if (!pending->is_of_earlier || session->options->compare)
        return;
    log_warning("the interrupted rewind was begun by a version before 1.1.0, whose rewinds can be "
                "wrong");
    log_detail("When it is finished, run %s once more with --compare, before the server starts: "
               "this copies all blocks that differ.",
               log_program_name());
}

/* Check that no link of the target leads to another cluster's files. A copy of a directory whose
 * rewind was interrupted has its journal, and the links of the directory that it was copied from.
 * (Rule C80.) */
static bool check_links_are_own(const Session *session, Error *error)
{
    Target target = {.directory = target_directory(session)};

    (void) !directory_control_read(target.directory, &target.control, NULL);
    return neighbours_check(&target, session->options->source_directory, error);
}

/* Finish the rewind that an earlier run has committed. Afterwards the target is like any other. */
static bool finish_pending(Session *session, const PendingRewind *pending, Error *error)
{
    log_info("finishing an interrupted rewind: servers diverged at WAL location %s",
             pending->divergence);
    warn_of_other_options(session, pending);
    warn_of_earlier_version(session, pending);
    session_set_outcome(session, REWIND_COMMITTED);
    signals_hold_off();
    if (!apply_finish(target_directory(session), session->interlock, session->options,
                      APPLY_PATIENCE_SECONDS, error))
        return false;
    log_info("the interrupted rewind is finished");
    session_set_outcome(session, REWIND_UNTOUCHED);
    session->resumed = true;
    interlock_release(session->interlock);
    session->interlock = NULL;
    signals_heed_again();
    /* A request to stop that came in the meantime is no request to begin another rewind. */
    return acquire_lock(session, error) && stop_check(error);
}

/* Remove what an earlier run left. What cannot be removed of a rewind that was just finished is no
 * obstacle, and apply_finish has told of it. */
static bool remove_leftover(Session *session, Error *error)
{
    return interlock_remove_leftover(session->interlock, error) &&
           (stage_remove_stale(target_directory(session), error) || session->resumed) &&
           scratch_remove(session->scratch->path, error);
}

/* Finish or throw away what an earlier run left; a dry run only notes it. */
static bool handle_pending(Session *session, Error *error)
{
    AUTO_BUFFER Buffer work = {0};
    PendingRewind pending;
    bool is_live;

    /* A journal of somebody else's would do what he likes, with our rights. */
    if (!trust_check_entry(path_in(&work, target_directory(session), WORK_DIRECTORY), false, error))
        return error_hint(
            error, "It may be that of an interrupted rewind, without which the target is "
                   "lost: find out which program or user has created or changed it before "
                   "you remove it. If no other user has written to it, give it back to the "
                   "user of the target, and take the right to write from others: chmod go-w.");
    if (!apply_pending(target_directory(session), session->arena, &pending, error))
        return false;
    is_live = pending.state == PENDING_APPLY || pending.state == PENDING_CLEANUP;
    memory_set_unfinished(is_live);
    if (is_live && !check_links_are_own(session, error))
        return false;
    if (session->options->dry_run)
    {
        session->pending = is_live;
        if (!is_live)
            return true;
        log_info("servers diverged at WAL location %s",
                 pending.divergence); /* contract: callers look for it */
        warn_of_other_options(session, &pending);
        warn_of_earlier_version(session, &pending);
        log_info("an interrupted rewind is pending");
        return true;
    }
    return (!is_live || finish_pending(session, &pending, error)) &&
           remove_leftover(session, error);
}

/*
 * A dry run and a look write nothing in the target. In a container /tmp may be small, read-only or
 * lack the sticky bit, so other places do as well, also the one beside the target. Those with
 * little room come last.
 */
static Scratch *own_scratch(const Session *session)
{
    const char *target = target_directory(session);
    const char *slash = strrchr(target, '/');
    const char *const places[] = {
        "/tmp", "/var/tmp", arena_printf(session->arena, "%.*s/", (int) (slash - target), target),
        "/dev/shm"};
    const size_t count = sizeof(places) / sizeof(*places);
    const char **parents =
        arena_allocate(session->arena, (count + 1) * sizeof(*parents)); /* ends with NULL */
    const char *chosen = getenv("TMPDIR");
    size_t taken = 0;
    FileSpace space;

    if (chosen != NULL && chosen[0] != '\0')
        parents[taken] = chosen;
    else
        for (size_t i = 0; i < 2 * count; i++)
        {
            const char *place = places[i % count];
            const bool roomy = file_space(place, &space, NULL) && space.free_bytes >= SCRATCH_ROOM;

            if (roomy == (i < count))
                parents[taken++] = place;
        }
    return scratch_create(parents, NULL, session->arena);
}

bool session_open(Session *session, Error *error)
{
    const char *target;
    long pid;

    if (session->problems.list == NULL)
    {
        session->problems.list = arena_allocate(session->arena, sizeof(AdviceList));
        *session->problems.list = (AdviceList){.arena = session->arena};
    }
    if (!target_open(session->arena, session->options->target, &session->clusters.target, error))
        return false;
    target = target_directory(session);
    if (!session->locks)
    {
        /* Nothing is locked or changed. An interrupted rewind keeps servers out. */
        if (!pid_file_find_server(target, NULL, &pid, error))
            return false;
        session->running = pid != 0;
        session->pending =
            !session->running && apply_look_for_pending(target, false) != PENDING_NOT_THERE;
        session->scratch = own_scratch(session);
        return true;
    }
    if (!acquire_lock(session, error))
        return false;
    session->scratch =
        session->options->dry_run
            ? own_scratch(session)
            : scratch_create(NULL,
                             arena_printf(session->arena, "%s/" WORK_DIRECTORY ".wal", target),
                             session->arena);
    return scratch_need(session->scratch, error) && handle_pending(session, error);
}

/* ---- Identify ---- */

/* The command that fetches missing WAL; NULL: none. After a problem with it all else is still
 * looked at. */
static const char *find_restore_command(Session *session)
{
    const Options *options = session->options;
    const Target *target = &session->clusters.target;
    char *command = NULL;
    Error problem;

    if (options->restore_command != NULL)
        return arena_strdup(session->arena, options->restore_command);
    if (!options->restore_target_wal ||
        target_restore_command(session->arena, target, options, &command, &problem))
        return command;
    /* After a rewind the configuration is the source's, and may have no restore_command: then -c
     * must not make the repeated command fail. The target has all WAL after a rewind; if some is
     * missing nevertheless, that is an error later. */
    if (target->configuration_is_new || target_was_standby(target))
        log_warning("%s", problem.message);
    else
        problems_add_finding(&session->problems, "archive", &problem);
    return NULL;
}

/* Refuse a server that was started beside a --rejoin, which has stopped the target's or found it
 * stopped: the caller examines that server instead of asking to stop it. An empty postmaster.pid is
 * that of a server whose pid comes in a moment. (Rule I54.) */
static bool check_not_started(Session *session, Error *error)
{
    const char *target = target_directory(session);
    const double seconds = pid_file_is_empty(target) ? PID_SECONDS : 0;
    long pid;

    session->server_started = session->locks && session->options->rejoin &&
                              pid_file_wait_for_server(target, seconds, &pid, NULL) && pid != 0 &&
                              !pid_file_has_status(target, PID_FILE_STOPPING);
    return !session->server_started ||
           error_set(error, ERROR_FAILED, "target server must be shut down cleanly");
}

/* Find the main configuration file of the last start. One that does not exist here no server of
 * this host can start with: either the configuration has another place since, or the server runs
 * where that file exists, as in a container. (Rule S41.) */
static void find_last_config_file(const LastStart *start, Arena *arena, Target *target)
{
    const LastStart others = {.arguments = start->arguments == NULL ? start->others : NULL};
    const char *file = last_start_config_file(start, arena);
    struct stat status;
    bool found;

    if (file != NULL && (!file_stat(file, &status, &found, NULL) || found))
        target->last_config_file = file;
    target->main_is_doubtful = (file != NULL && target->last_config_file == NULL) ||
                               last_start_config_file(&others, arena) != NULL;
}

/* Go on as with --compare; returns the session's own copy of the options. */
static Options *go_on_comparing(Session *session)
{
    Options *options = arena_allocate(session->arena, sizeof(*options));

    *options = *session->options;
    options->compare = true;
    session->options = options;
    return options;
}

/* Rule I27: a target of which a file may be lost is read from the disk, and compared. */
static bool doubt_target(Session *session, Error *error)
{
    Target *target = &session->clusters.target;
    const Options *asked = session->options;

    target->is_unsynced = unsynced_is_noted(target->directory);
    if (!target->is_unsynced)
        return true;
    if (session->locks && (!listing_drop_cached(target, error) || !target_read(target, error)))
        return false;
    session->compares_unasked = !asked->compare;
    if (session->locks && !asked->compare)
    {
        log_warning("a file of the target may be lost: an earlier run could not write it to the "
                    "disk");
        log_detail("So all blocks are compared with those of the source, as with --compare, "
                   "because of the file \"%s/" UNSYNCED_PATH "\".%s",
                   target->directory,
                   asked->save_lost_rows != NULL ? " No rows can be saved." : "");
    }
    go_on_comparing(session);
    return true;
}

bool session_identify_target(Session *session, Error *error)
{
    Target *target = &session->clusters.target;
    const char *named = session->options->config_file;
    Settings *options = arena_allocate(session->arena, sizeof(*options));
    Configuration configuration = {.config_file = named, .arena = session->arena};
    LastStart start;
    long pid;

    /* The restore command needs the version, so pg_control is read before; its problems are
     * reported in their turn. */
    if (!check_not_started(session, error) ||
        (session->locks && !target_wait_for_stop(target, session->patience_seconds, error)) ||
        !target_read(target, error) || !doubt_target(session, error))
        return false;
    /* The configuration is that of the server's last start, even if the data directory has a main
     * file as well, which may be the source's. But -c uses the main file of that start only with
     * --rejoin, which starts the server so. A --start-command may start it where another main file
     * exists. (Rules D6, S6, S41.) */
    configuration.directory = target->directory;
    if (!pid_file_find_server(target->directory, NULL, &pid, NULL))
        pid = 0;
    last_start_find(target->directory, target->control.version, pid, session->arena, &start);
    options->arena = session->arena;
    last_start_settings(&start, options);
    target->options = options;
    target->port = last_start_port(&start);
    target->environment = start.environment;
    if (named == NULL && (!session->options->rejoin || session->options->start_command != NULL))
        find_last_config_file(&start, session->arena, target);
    if (named == NULL && session->options->rejoin && !target->main_is_doubtful)
        configuration.config_file = last_start_config_file(&start, session->arena);
    target->config_file = configuration_find_file(&configuration, target->control.version);
    if (target->config_file != named)
        log_debug("the target's configuration is in \"%s\"", target->config_file);
    session->clusters.shape = control_wal_shape(&target->control);
    target->configuration_is_new = session->resumed || session->pending;
    session->restore_command = find_restore_command(session);
    return true;
}

static bool lacks_standby(const Session *session)
{
    return session->resumed && session->options->write_recovery_conf &&
           !standby_files_exist(&session->clusters.target, session->arena);
}

bool session_is_set_up_in_part(const Session *session)
{
    return lacks_standby(session) || session_left_doubt(session);
}

bool session_left_doubt(const Session *session)
{
    return session->resumed && unsynced_is_noted(target_directory(session));
}

bool error_no_standby(Error *error)
{
    error_set(error, ERROR_RETRY, "the target is not a standby of the source yet");
    return error_detail(error, "The interrupted rewind was started without --write-recovery-conf, "
                               "and without the source the target cannot be set up as a standby.");
}

/*
 * Report that the source cannot be asked, as an error, and the target's problems too. If an
 * interrupted rewind was finished, which needed nothing more from the source, this is only a
 * warning, unless -R still has to set up the target; --rejoin refuses such a target itself.
 */
static bool do_without_source(Session *session, bool *done, Error *error)
{
    if (session->resumed && !session->clusters.target.is_unsynced)
    {
        const bool is_no_standby = lacks_standby(session);

        log_warning("%s", error->message);
        log_detail("The interrupted rewind is finished. It could not be checked whether the source "
                   "has diverged since then.%s",
                   session->options->write_recovery_conf && !is_no_standby
                       ? " It is set up as a standby by the options of the interrupted run, not by "
                         "those of this command."
                       : "");
        *done = true;
        return !is_no_standby || session->options->rejoin || error_no_standby(error);
    }
    problems_add_finding(&session->problems, "source", error);
    if (stop_check(NULL))
        prerequisites_check(&session->clusters, NULL, session->options, session->running,
                            &session->problems);
    return problems_check(&session->problems, error);
}

/*
 * Keep servers out from now on: one that is started while WAL is read would cost the whole run. A
 * directory that cannot be written to is reported later, with all other such directories. If
 * another run has just ended, its caller may be starting the server: the server is not kept out
 * before there is something to write.
 */
static bool claim_target(Session *session, Error *error)
{
    const Target *target = &session->clusters.target;
    long pid;

    if (!session->locks || session->options->dry_run || session->waited_for_lock ||
        session->problems.count > 0)
        return true;
    /* A server may have come and gone since pg_control was read: better told before the work. */
    if (interlock_claim_pid_file(session->interlock, error))
        return commit_check_control(target->directory, target->control.bytes, error);
    return check_not_started(session, error) &&
           pid_file_find_server(target->directory, NULL, &pid, NULL) && pid == 0;
}

/* Rule I82: pg_control is looked at before the claim as well. The pid of a server in another
 * container may seem to be that of no process, and the claim would take away that server's
 * postmaster.pid. */
bool session_keep_servers_out(Session *session, Error *error)
{
    const Target *target = &session->clusters.target;
    long pid;

    return check_not_started(session, error) &&
           pid_file_find_server(target->directory, NULL, &pid, error) &&
           (pid != 0 || commit_check_control(target->directory, target->control.bytes, error)) &&
           interlock_claim_pid_file(session->interlock, error) &&
           commit_check_control(target->directory, target->control.bytes, error);
}

/* The order of the original: callers match the first message. */
bool session_identify_pair(Session *session, SourceState *state, bool *done, Error *error)
{
    const Options *options = session->options;
    Clusters *clusters = &session->clusters;
    Source **source = &clusters->source;
    const bool opened =
        options->source_server != NULL
            ? source_server_open(options->source_server, options->retry_timeout_seconds,
                                 options->max_rate, source, error)
            : source_directory_open(options->source_directory, options->max_rate, source, error);

    *done = false;
    if (!opened || !(*source)->operations->read_control(*source, &state->control, error))
        return do_without_source(session, done, error);
    if (!check_not_started(session, error))
        return false;
    session->may_be_looked_at =
        prerequisites_check(clusters, state, options, session->running, &session->problems);
    if (!session->may_be_looked_at && !problems_check(&session->problems, error))
        return false;
    if (!claim_target(session, error) ||
        !(*source)->operations->position(*source, &state->control, &state->position, error))
        return false;
    /* The places of both WALs, then both histories. */
    session->source_wal =
        source_wal_create(options, clusters, state, session->restore_command, session->scratch,
                          !session->locks || options->dry_run, session->arena);
    if (!target_wal_open(options, clusters, session->restore_command, session->scratch,
                         session->arena, &session->target_wal, error))
        return false;
    session->target_wal->fetch = source_wal_fetch_segment;
    session->target_wal->fetch_context = session->source_wal;
    return histories_read(options, session->target_wal, state->position.timeline, session->arena,
                          clusters, error) &&
           ((*source)->is_server || source_wal_find_end(session->source_wal, state, error));
}

/* ---- The divergence ---- */

DivergenceInput session_divergence_input(const Session *session, const SourceState *source)
{
    return (DivergenceInput){.clusters = &session->clusters,
                             .state = source,
                             .target_wal = session->target_wal,
                             .source_wal = session->source_wal,
                             .jobs = session->options->jobs,
                             .is_preview = !session->locks};
}

/* Go on without the divergence, and drop what a search for it has found: no WAL of the target is
 * proved to be common history, so none counts as that. */
static void leave_divergence_unknown(Session *session, Divergence *divergence)
{
    session->target_wal->limits.divergence = LSN_INVALID;
    session->source_wal->store->limits.divergence = LSN_INVALID;
    scan_destroy(divergence->scan);
    divergence->scan = NULL;
    divergence_leave_unknown(&session->clusters, divergence);
}

/* True if the source is a standby on the target's timeline, which may still receive what the target
 * has. Then WAL decides before the target is compared, unless somebody has asked for that. (Rule
 * K6.) */
static bool source_may_receive_more(const Session *session, const SourceState *source)
{
    const Clusters *clusters = &session->clusters;

    return source->position.in_recovery && !session->running &&
           source->position.timeline == clusters->target.timeline &&
           !divergence_is_certain(clusters);
}

/* Go on comparing after a search for the divergence that has failed, if the target was a standby
 * whose files depend on no WAL that the source lacks: all that it needs is copied. A primary may
 * have commits that no other server has. */
static bool compare_unsearched(const Session *session, const SourceState *source,
                               const Divergence *divergence, Error *error)
{
    const Clusters *clusters = &session->clusters;

    if (divergence->source_lags || error_worst_kind(error) == ERROR_RETRY ||
        !target_was_standby(&clusters->target) ||
        divergence_known_end(clusters) > source->position.end || !stop_check(error))
        return false;
    log_warning("%s", error->message);
    return true;
}

bool session_compare_instead(Session *session, Divergence *divergence, const Error *error)
{
    const Options *asked = session->options;
    const bool needs_target_wal = asked->early_start || asked->save_diverged_wal != NULL ||
                                  asked->max_lost_transactions >= 0 ||
                                  (asked->save_lost_rows != NULL && asked->require_lost_rows);

    if (!asked->rejoin || error->remedy != REMEDY_WAL || session->problems.count > 0 ||
        needs_target_wal || !divergence_is_certain(&session->clusters) || session->scratch->failed)
        return false;
    if (session->locks || asked->dry_run)
    {
        log_warning("%s", error->message);
        log_detail("No WAL tells what the target has changed, or which transactions are lost.%s",
                   asked->save_lost_rows != NULL ? " No rows can be saved." : "");
    }
    go_on_comparing(session)->save_lost_rows = NULL;
    leave_divergence_unknown(session, divergence);
    return true;
}

/* Hints that were not logged matter to a target that has diverged, or that was a primary and
 * crashed. Where that is certain they are looked at first, since the divergence itself may not be
 * found without WAL that is missing. */
bool session_find_divergence(Session *session, const SourceState *source, Divergence *divergence,
                             Error *error)
{
    const Clusters *clusters = &session->clusters;
    const DivergenceInput input = session_divergence_input(session, source);
    const bool hints_matter =
        divergence_is_certain(clusters) || target_crashed_as_primary(&clusters->target);

    if (session->options->compare)
    {
        if (session->compares_unasked && source_may_receive_more(session, source) &&
            !divergence_find(&input, session->arena, divergence, error) &&
            !compare_unsearched(session, source, divergence, error))
            return false;
        leave_divergence_unknown(session, divergence);
        return true;
    }
    if (hints_matter)
    {
        prerequisites_check_hints(clusters, &session->problems);
        source_server_expect_rewind(clusters->source);
    }
    if (!divergence_find(&input, session->arena, divergence, error))
        return session_compare_instead(session, divergence, error);
    if (divergence->needed && !hints_matter)
        prerequisites_check_hints(clusters, &session->problems);
    if (!divergence->needed)
        prerequisites_check_level(clusters, &session->problems);
    return true;
}

bool session_advise_on_next_wal(const Session *session, const SourceState *source, Lsn end,
                                AdviceList *list, bool *has, Error *error)
{
    SourceWal *wal = session->source_wal;
    const uint64_t segment = wal_segment_of(&session->clusters.shape, end);

    *has = end >= source_state_wal_end(source, end);
    if (!*has && (!source_wal_source_has(wal, segment, has, error) ||
                  (!*has && !source_wal_target_can_restore(wal, segment, has, error))))
        return false;
    if (!*has)
        advice_add(list,
                   (Advice){.id = "source_wal",
                            .severity = ADVICE_WARNING,
                            .remedy = "Set restore_command to an archive that has the segment, or "
                                      "run pg_rewind again with --compare: it copies only what "
                                      "differs."},
                   "the source no longer has segment %s: the target cannot follow it",
                   SEGMENT_NAME(&wal->store->stream, segment));
    return true;
}

bool session_lacks_scratch(const Session *session, const Error *error)
{
    return !session->locks && session->scratch != NULL && session->scratch->failed &&
           error_worst_kind(error) != ERROR_RETRY;
}

void session_close(Session *session)
{
    Error error = {0};

    wal_store_destroy(session->target_wal);
    if (session->source_wal != NULL)
        wal_store_destroy(session->source_wal->store);
    source_close(session->clusters.source);
    if (session->scratch != NULL && !scratch_close(session->scratch, &error))
        log_warning("%s", error.message);
    interlock_release(session->interlock);
}
