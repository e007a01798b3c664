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

/* What the source's WAL says from the start of recovery to the end of what is replayed. */
typedef struct UnloggedEvidence
{
    const ScanResult *chain;
    Oid next_oid;        /* of the start's checkpoint */
    bool target_scanned; /* input->scan tells what the target has made and dropped: not with
                            --compare */
} UnloggedEvidence;

/*
 * Is it a fork, but not the init fork, of such a relation, to be left out? That is: of one whose
 * init fork the chain makes; or of one that was made after the start, without a record of that.
 * Whether a relation was made after the start is known if the target lacks its file, and has not
 * dropped it, or has made one of that number itself; and by its number, since a target may have
 * lost files without WAL.
 */
bool plan_becomes_unlogged(const PlanInput *input, const UnloggedEvidence *evidence,
                           const PlanEntry *entry);

#endif
