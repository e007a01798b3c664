/*
 * The direction of a rewind: with source and target swapped, the new primary's work is discarded.
 */
#ifndef PAIR_DIRECTION_H
#define PAIR_DIRECTION_H

#include "options.h"
#include "pair/clusters.h"

/*
 * True if the target may be the new primary: it is on a newer timeline than the source, or on
 * another timeline of the same number, because both were promoted. A target that was promoted by
 * mistake, or for a test, looks the same. The source's history must be known; unless the target's
 * is known too, only the numbers are compared.
 */
bool direction_is_doubtful(const Clusters *clusters);

/* Set the error (or warning) for a doubtful direction: it names the command that keeps the target's
 * work. Always false. */
bool error_direction(const Clusters *clusters, Error *error);

/* True if the direction is doubtful, and --demote does not confirm it with the target's timeline.
 */
bool direction_is_unconfirmed(const Clusters *clusters, const Options *options);

/* Warn of a direction that is doubtful and not confirmed. (Rule D8.) */
void direction_warn(const Clusters *clusters, const Options *options);

#endif
