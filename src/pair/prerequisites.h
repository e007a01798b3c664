/*
 * The checks of both clusters before anything is compared: a table.
 */
#ifndef PAIR_PREREQUISITES_H
#define PAIR_PREREQUISITES_H

#include "base/advice.h"
#include "pair/clusters.h"
#include "options.h"

/*
 * Wait until the target's server has stopped: a manager may call pg_rewind while the server is
 * still stopping, or before its processes have noticed a crash. Waits up to *patience_seconds while
 * the server says that it is stopping, otherwise up to 5 seconds, even if *patience_seconds is 0;
 * then up to 5 seconds for its last processes. *patience_seconds is reduced by the time waited.
 * Call this before pg_control is read, which must not change afterwards. prerequisites_check finds
 * a server that still runs. Fails only if a signal stops the run.
 */
MUST_CHECK bool target_wait_for_stop(const Target *target, double *patience_seconds, Error *error);

/*
 * Run all checks; each one that fails is added to problems. With state NULL the source could not be
 * reached, and only the target is checked. may_run says that the target's server runs, and will be
 * stopped for the rewind: whether its WAL tells what changed is then only checked for a primary,
 * since a standby may need no rewind. Returns true, even with problems, if other facts about the
 * two can be found out; false if they are not of one cluster, or one of them runs or must not be
 * read.
 */
bool prerequisites_check(const Clusters *clusters, const SourceState *state, const Options *options,
                         bool may_run, Problems *problems);

/*
 * Check, for a target that needs no rewind, that its server can start as a standby with the
 * wal_level in its pg_control. A diverged target gets the source's pg_control, and
 * target_changes_scan checks its WAL instead.
 */
void prerequisites_check_level(const Clusters *clusters, Problems *problems);

/*
 * Add a problem if the target set hint bits without logging them. Only for a target that has
 * diverged: hint bits from before the divergence are true for the source as well
 * (design/unlogged-changes.md, "A target that has not diverged"). Not with --compare.
 */
void prerequisites_check_hints(const Clusters *clusters, Problems *problems);

/* Add hint and remedy: --compare needs none of the target's WAL. Always false. */
bool error_offer_compare(Error *error);

#endif
