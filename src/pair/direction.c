#include "pair/direction.h"

#include "base/log.h"

/* True if source and target each left their last common timeline by a promotion; *left is that
 * timeline, and *at the location where the first of them left it. */
static bool both_were_promoted(const Clusters *clusters, Timeline *left, Lsn *at)
{
    const History *source = &clusters->source_history, *target = &clusters->target_history;
    size_t common;

    if (target->count == 0 || !history_common(source, target, &common, at))
        return false;
    *left = source->entries[common].timeline;
    return common + 1 < source->count && common + 1 < target->count;
}

bool direction_is_doubtful(const Clusters *clusters)
{
    const History *source = &clusters->source_history;
    Timeline left;
    Lsn at;

    if (source->count == 0 || clusters->target.timeline < history_last_timeline(source))
        return false;
    return clusters->target.timeline > history_last_timeline(source) ||
           both_were_promoted(clusters, &left, &at);
}

bool error_direction(const Clusters *clusters, Error *error)
{
    const History *source_history = &clusters->source_history;
    const History *target_history = &clusters->target_history;
    const Timeline source = history_last_timeline(source_history);
    const Timeline target = clusters->target.timeline;
    size_t common;
    Timeline left;
    Lsn at;

    if (target == source && both_were_promoted(clusters, &left, &at))
        error_set(error, ERROR_FAILED,
                  "source and target were both promoted from timeline %u, the first at %s, and the "
                  "timeline %u of one is not that of the other",
                  left, LSN_TEXT(clusters->shape.version, at), target);
    /* A promotion of the target ended the source's last timeline in the target's history. */
    else if (target_history->count > 0 &&
             history_common(source_history, target_history, &common, &at) &&
             common + 1 == source_history->count && common + 1 < target_history->count)
        error_set(error, ERROR_FAILED,
                  "the target was promoted from the source's timeline %u: it left that at %s, and "
                  "is on timeline %u",
                  source, LSN_TEXT(clusters->shape.version, at), target);
    else
        error_set(error, ERROR_FAILED,
                  "the target is on timeline %u, which is newer than the source's timeline %u",
                  target, source);
    error_detail(error, "A rewind discards all that was written on the target since then. If the "
                        "target is the new primary, source and target are swapped.");
    return error_hint(error, "To keep what the target has, rewind the other cluster: its data "
                             "directory with -D, and this one's server with --source-server.");
}

bool direction_is_unconfirmed(const Clusters *clusters, const Options *options)
{
    return direction_is_doubtful(clusters) &&
           (Timeline) options->demote != clusters->target.timeline;
}

void direction_warn(const Clusters *clusters, const Options *options)
{
    Error warning;

    if (!direction_is_unconfirmed(clusters, options))
        return;
    error_direction(clusters, &warning);
    log_as_warning(&warning);
}
