#include "rejoin/rejoin_demotion.h"

#include "pair/direction.h"

#define LEAVING_SECONDS 5 /* for backends of clients that have disconnected */

/*
 * Count what the target has committed since the divergence, in its own pg_wal, and keep to
 * --max-lost-transactions. A standby that is not known to have diverged is judged after the stop.
 */
static bool judge_losses_before_stop(Rejoin *rejoin, const Look *look, Error *error)
{
    const DivergenceInput input = session_divergence_input(&look->session, &look->source);
    const Divergence *divergence = &look->divergence;
    const bool is_known = divergence->lsn != LSN_INVALID || divergence->printed != LSN_INVALID;
    LostCount *count = &rejoin->report.lost_count;
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

static bool error_in_use(const Rejoin *rejoin, const TargetUse *use, bool doubtful,
                         const Clusters *clusters, Error *error)
{
    const Timeline timeline = clusters->target.timeline;

    if (doubtful)
        error_direction(clusters, error);
    else if (use->known)
    {
        error_set(error, ERROR_FAILED, "the target is a primary in use");
        error_detail(error, "--rejoin would stop it, and discard what the source does not have.");
    }
    else
        error_set(error, ERROR_FAILED,
                  "it is not known whether clients or standbys use the target, a primary");
    if (use->known && target_is_used(use))
        error_detail(error, "It has %s now.", target_use_text(use, rejoin->arena));
    if (!use->known)
        error_detail(error, "Its server lets in neither the user that runs pg_rewind nor the role "
                            "of --source-server.");
    if (!doubtful)
        error_hint(error, "If it still serves, do not rewind it. If it does not, disconnect them.");
    return error_hint(error,
                      "To stop this primary and discard what it has written, add --demote=%u: the "
                      "number is its timeline.",
                      timeline);
}

bool rejoin_check_demotion(Rejoin *rejoin, const Look *look, Error *error)
{
    const Clusters *clusters = &look->session.clusters;
    const Timeline timeline = clusters->target.timeline, named = (Timeline) rejoin->options->demote;
    const bool doubtful = direction_is_doubtful(clusters);
    TargetUse use;

    if (!judge_losses_before_stop(rejoin, look, error))
        return false;
    if (!rejoin->report.was_primary || named == timeline)
        return true;
    if (named != 0)
    {
        error_set(error, ERROR_FAILED,
                  "the target is on timeline %u, not on timeline %u (--demote)", timeline, named);
        return error_hint(error, "Check -D: --demote names the timeline of the primary that is to "
                                 "be stopped.");
    }
    target_server_ask_use(rejoin_server(rejoin), LEAVING_SECONDS, rejoin->arena, &use);
    return (!doubtful && !target_is_used(&use)) ||
           error_in_use(rejoin, &use, doubtful, clusters, error);
}
