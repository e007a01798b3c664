/*
 * The checks of both clusters before anything is read: a table.
 */
#ifndef PAIR_PREREQUISITES_H
#define PAIR_PREREQUISITES_H

#include "base/advice.h"
#include "pair/clusters.h"
#include "options.h"

/*
 * A manager may call us while the server is still stopping, or its processes have not noticed yet
 * that it has crashed. Wait for that: a few seconds, and up to *patience_seconds while the server
 * says that it is stopping; what was waited is taken from them. To be called before pg_control is
 * read: what that says must not change any more. What still runs afterwards is found by
 * prerequisites_check. Fails only when the run is to stop.
 */
MUST_CHECK bool target_wait_for_stop(const Target *target, double *patience_seconds, Error *error);

/*
 * Check all of them; each one that does not hold is a problem. state NULL: the source could not be
 * reached, and what is wrong with the target is still found. may_run: the target's server runs, and
 * will be stopped for a rewind; whether its WAL tells what changed is then only asked of a primary,
 * since a standby may need no rewind. False: nothing else can be looked at, since the two are not
 * of one cluster, or one of them runs or must not be looked at.
 */
bool prerequisites_check(const Clusters *clusters, const SourceState *state, const Options *options,
                         bool may_run, Problems *problems);

/*
 * Check, for a target that needs no rewind, that its server can start as a standby on the wal_level
 * of its pg_control. In a target that has diverged pg_control becomes the source's, and
 * target_changes_scan checks the WAL instead.
 */
void prerequisites_check_level(const Clusters *clusters, Problems *problems);

/*
 * Check that the target logged the hint bits that it set. Only for one that has diverged: what it
 * set before is true for the source as well (design/unlogged-changes.md, "A target that has not
 * diverged"). Not with --compare. What does not hold is printed.
 */
void prerequisites_check_hints(const Clusters *clusters, Problems *problems);

/* Add the hint, and the remedy, that without the target's WAL a rewind is still possible. False. */
bool error_offer_compare(Error *error);

#endif
