#include "pair/direction.h"

bool direction_is_doubtful(const Clusters *clusters)
{
    const History *source = &clusters->source_history;

    return source->count > 0 && clusters->target.timeline > history_last_timeline(source);
}

/* True if a promotion of the target ended the source's own timeline for it; *at is where. */
static bool target_left_source(const Clusters *clusters, Lsn *at)
{
    const History *source = &clusters->source_history, *target = &clusters->target_history;
    size_t common;

    return target->count > 0 && history_common(source, target, &common, at) &&
           common + 1 == source->count && common + 1 < target->count;
}

bool error_direction(const Clusters *clusters, Error *error)
{
    const Timeline source = history_last_timeline(&clusters->source_history);
    const Timeline target = clusters->target.timeline;
    Lsn at;

    if (target_left_source(clusters, &at))
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
