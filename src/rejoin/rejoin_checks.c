#include "rejoin/rejoin_parts.h"

#include "target/pid_file.h"
#include "pair/prerequisites.h"
#include "io/file.h"
#include "standby/streaming.h"

#include <stdio.h>
#include <string.h>

/* A directory that was copied from under a running server has its postmaster.pid: our commands
 * would stop that one. A command of the user's knows better. */
static bool check_own_process(const Rejoin *rejoin, Error *error)
{
    const char *directory = rejoin->target.directory;

    if (rejoin->options->stop_command != NULL || process_works_in(rejoin->pid, directory))
        return true;
    error_set(error, ERROR_FAILED, "the server in postmaster.pid is not the target's");
    error_hint_process(rejoin->pid, directory, error);
    return error_hint(error, "If one runs in another container, name its --stop-command.");
}

/* Is the target on that timeline? In pg_control it is only from the first checkpoint on it. */
static bool target_has_timeline(const Target *target, Timeline timeline)
{
    char path[PATH_SIZE];
    struct stat status;
    bool found;

    if (timeline == control_timeline(&target->control))
        return true;
    snprintf(path, sizeof(path), "%s/%s/%08X.history", target->directory,
             target->control.version->wal_directory, timeline);
    return file_stat(path, &status, &found, NULL) && found;
}

/* A primary that becomes the standby of its own standby: then nobody could write any more. */
static bool check_source_promoted(const Rejoin *rejoin, Error *error)
{
    const Target *target = &rejoin->target;

    if (target->control.state != STATE_IN_PRODUCTION || !rejoin->state.position.in_recovery ||
        !target_has_timeline(target, rejoin->state.position.timeline))
        return true;
    error_set(error, ERROR_FAILED, "the source server is a standby on the target's own timeline");
    error_detail(error, "The target is a primary: as a standby of its standby it would leave no "
                        "primary.");
    return error_hint(error, "Promote the source first, or name the new primary with "
                             "--source-server.");
}

/* Will the standby be able to stream? Of its slot, as if the target's server were stopped. */
static bool check_streaming(Rejoin *rejoin, const Clusters *clusters, Error *error)
{
    Problems problems = {0};

    if (!standby_settings_make(rejoin->options, clusters, rejoin->arena, &rejoin->settings, error))
        return false;
    rejoin_find_slot_user(rejoin);
    return streaming_check(rejoin->options, clusters, &rejoin->settings, &problems, rejoin->arena,
                           error) &&
           problems_check(&problems, error);
}

bool rejoin_check_before_stop(Rejoin *rejoin, Error *error)
{
    Clusters clusters = {.target = rejoin->target};

    if (!check_own_process(rejoin, error))
        return false;
    if (!rejoin_ask_source(rejoin, error))
    {
        if (error_hint_text(error)[0] == '\0')
            error_hint(error, "The server is only stopped once the source can be reached.");
        return false;
    }
    clusters.source = rejoin->source;
    clusters.shape = control_wal_shape(&rejoin->target.control);
    return prerequisites_check_not_own_server(&clusters, error) &&
           prerequisites_check_before_stop(&clusters, &rejoin->state, rejoin->options, error) &&
           check_source_promoted(rejoin, error) && check_streaming(rejoin, &clusters, error);
}
