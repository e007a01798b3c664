/*
 * Relations that become unlogged ones while pg_rewind works.
 *
 * The server makes the main fork of an unlogged relation without WAL, and much later its init fork,
 * with WAL: an index is built between the two. A main fork that was listed by then is not to be
 * copied: replay makes the init fork, and the end of recovery makes the main fork from that, which
 * fails where one lies ("could not create file ...: File exists").
 */
#ifndef PLAN_UNLOGGED_H
#define PLAN_UNLOGGED_H

#include "plan/plan.h"
#include "wal/scan.h"

/* The WAL from the start at `next_oid` to the end of what the rewound target will replay. */
typedef struct UnloggedEvidence
{
    const ScanResult *chain;  /* what it replays */
    const ScanResult *before; /* from that start to a late one; NULL: recovery begins at it */
    Oid next_oid;             /* of the start's checkpoint */
} UnloggedEvidence;

/*
 * Leave out all forks but the init fork of such relations: those whose init fork the chain makes;
 * and those with a number that was given away after the start, and no record of their creation. The
 * WAL of what is logged goes from its creation on: replay makes it, if its creation is still to
 * come.
 */
void plan_leave_out_unlogged(const PlanInput *input, const UnloggedEvidence *evidence, Plan *plan);

#endif
