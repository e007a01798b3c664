#include "pair/direction.h"

#include "base/log.h"

/* The last common timeline of source and target, where the first of them left it, and which of them
 * left it by a promotion. All is zero if the histories do not tell. */
typedef struct Parting
{
    Timeline timeline;
    Lsn at;
    bool source_left, target_left;
} Parting;

static Parting find_parting(const Clusters *clusters)
{
    const History *source = &clusters->source_history, *target = &clusters->target_history;
    Parting parting = {0};
    size_t common;

    if (target->count > 0 && history_common(source, target, &common, &parting.at))
    {
        parting.timeline = source->entries[common].timeline;
        parting.source_left = common + 1 < source->count;
        parting.target_left = common + 1 < target->count;
    }
    return parting;
}

bool direction_is_doubtful(const Clusters *clusters)
{
    const History *source = &clusters->source_history;
    const Timeline target = clusters->target.timeline;
    Parting parting;

    if (source->count == 0 || target < history_last_timeline(source))
        return false;
    parting = find_parting(clusters);
    return target > history_last_timeline(source) || (parting.source_left && parting.target_left);
}

bool error_direction(const Clusters *clusters, Error *error)
{
    const Timeline source = history_last_timeline(&clusters->source_history);
    const Timeline target = clusters->target.timeline;
    const Parting parting = find_parting(clusters);

    if (target == source)
        error_set(error, ERROR_FAILED,
                  "source and target were both promoted from timeline %u, the first at %s, and the "
                  "timeline %u of one is not that of the other",
                  parting.timeline, LSN_TEXT(clusters->shape.version, parting.at), target);
    else if (parting.target_left && !parting.source_left)
        error_set(error, ERROR_FAILED,
                  "the target was promoted from the source's timeline %u: it left that at %s, and "
                  "is on timeline %u",
                  source, LSN_TEXT(clusters->shape.version, parting.at), target);
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
