#include "rewind/identify.h"

#include "apply/commit.h"
#include "base/log.h"
#include "base/workers.h"
#include "target/interlock.h"
#include "pair/prerequisites.h"
#include "target/configuration.h"
#include "wal_store/histories.h"

static bool open_source(const Options *options, Source **source, Error *error)
{
    if (options->source_server != NULL)
        return source_server_open(options->source_server, options->retry_timeout_seconds,
                                  options->max_rate, source, error);
    return source_directory_open(options->source_directory, options->max_rate, source, error);
}

/* After an interrupted rewind was finished a source that is gone is no failure: nothing more was
 * needed from it. */
static void warn_without_source(const Options *options, const Error *error)
{
    log_warning("%s", error->message);
    log_detail(
        "The interrupted rewind is finished. It could not be checked whether the source has "
        "diverged since then.%s",
        options->write_recovery_conf
            ? " As a standby it is set up as the interrupted run was told to, not as this one."
            : "");
}

/* The command that fetches missing WAL; NULL: none. After a problem with it all else is still
 * looked at. */
static const char *find_restore_command(const Options *options, const Opened *opened,
                                        const Target *target, Arena *arena, Problems *problems)
{
    char *command = NULL;
    Error problem;

    if (options->restore_command != NULL)
        return arena_strdup(arena, options->restore_command);
    if (!options->restore_target_wal ||
        target_restore_command(arena, target, options->bindir, target->config_file, &command,
                               &problem))
        return command;
    /* After a rewind the configuration is the source's, and the target lacks no WAL: the same
     * command again goes on without a restore command. WAL that is missing is still an error. */
    if (opened->resumed || target_was_standby(target))
        log_warning("%s", problem.message);
    else
    {
        problems->topic = "archive";
        problems_add(problems, &problem);
        problems->topic = NULL;
    }
    return NULL;
}

/* --config-file, or where Debian has the configuration of this target. */
static void find_configuration(const Options *options, Target *target, Arena *arena)
{
    const Configuration configuration = {target->directory, options->config_file, arena};

    target->config_file = configuration_find_file(&configuration, target->control.version);
    if (target->config_file != options->config_file)
        log_debug("the target's configuration is in \"%s\"", target->config_file);
}

/* The source cannot be asked: that is an error, but the target's problems are reported as well. */
static bool do_without_source(const Options *options, const Opened *opened, Problems *problems,
                              Identified *identified, Error *error)
{
    if (opened->resumed)
    {
        warn_without_source(options, error);
        identified->done = true;
        return true;
    }
    problems->topic = "source";
    problems_add(problems, error);
    problems->topic = NULL;
    if (stop_check(NULL))
        prerequisites_check(&identified->clusters, NULL, options, opened->running, problems);
    return problems_check(problems, error);
}

/*
 * Keep servers out from now on: one that is started while WAL is read would cost the whole run. A
 * directory that cannot be written to is reported later, with all other such directories. If
 * another run has just ended, its caller may be starting the server: the server is not kept out
 * before there is something to write.
 */
static bool claim_target(const Options *options, const Opened *opened, const Target *target,
                         const Problems *problems, Error *error)
{
    bool running;
    long pid;

    if (!opened->policy->locks || options->dry_run || opened->waited_for_lock ||
        problems->count > 0)
        return true;
    /* A server may have come and gone since pg_control was read: better told before the work. */
    if (interlock_claim_pid_file(opened->interlock, error))
        return commit_check_control(target->directory, target->control.bytes, error);
    return target_server_running(target, &running, &pid, NULL) && !running;
}

/* Find the source's position, the places of both WALs, and both histories. */
static bool find_positions(const Options *options, const Opened *opened, Arena *arena,
                           Identified *identified, Error *error)
{
    Clusters *clusters = &identified->clusters;
    SourceState *state = &identified->source;
    Source *source = clusters->source;
    const char *restore_command = identified->restore_command;

    if (!source->operations->position(source, &state->control, &state->position, error))
        return false;
    identified->source_wal = source_wal_create(options, clusters, &state->control, restore_command,
                                               opened->scratch, arena);
    if (!target_wal_open(options, clusters, restore_command, identified->source_wal, arena,
                         &identified->target_wal, error) ||
        !histories_read(options, identified->target_wal.store, state->position.timeline, arena,
                        clusters, error))
        return false;
    return source->is_server || source_wal_find_end(identified->source_wal, state, error);
}

/* The restore command needs the version, so pg_control is read before; its problems are reported in
 * their turn. */
bool identify_target(const Options *options, const Opened *opened, Arena *arena, Problems *problems,
                     Identified *identified, Error *error)
{
    Target *target = &identified->clusters.target;

    if ((opened->policy->locks &&
         !target_wait_for_stop(target, options->wait_timeout_seconds, error)) ||
        !target_read(target, error))
        return false;
    find_configuration(options, target, arena);
    identified->clusters.shape = control_wal_shape(&target->control);
    identified->restore_command = find_restore_command(options, opened, target, arena, problems);
    return true;
}

/* The order of the original: callers match the first message. */
bool identify_pair(const Options *options, const Opened *opened, Arena *arena, Problems *problems,
                   Identified *identified, Error *error)
{
    Clusters *clusters = &identified->clusters;
    SourceState *state = &identified->source;

    if (!open_source(options, &clusters->source, error) ||
        !clusters->source->operations->read_control(clusters->source, &state->control, error))
        return do_without_source(options, opened, problems, identified, error);
    identified->may_be_looked_at =
        prerequisites_check(clusters, state, options, opened->running, problems);
    if (!identified->may_be_looked_at && !problems_check(problems, error))
        return false;
    return claim_target(options, opened, &clusters->target, problems, error) &&
           find_positions(options, opened, arena, identified, error);
}

void identified_release(Identified *identified)
{
    target_wal_close(&identified->target_wal);
    source_wal_destroy(identified->source_wal);
    source_close(identified->clusters.source);
}
