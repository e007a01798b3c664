/*
 * Which of two clusters may be the new primary: a rewind the wrong way round discards its work.
 */
#ifndef PAIR_DIRECTION_H
#define PAIR_DIRECTION_H

#include "pair/clusters.h"

/*
 * True if the target is on a newer timeline than the source: it was promoted after the source was,
 * by mistake, for a test, or because it is the new primary. The source's history must be known; of
 * the target's, which may be unknown with --compare, its timeline is enough.
 */
bool direction_is_doubtful(const Clusters *clusters);

/* The error, or warning, that says so, and which command keeps the target's work. Always false. */
bool error_direction(const Clusters *clusters, Error *error);

#endif
