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

#include "plan/entry.h"

/* The source's WAL from the start of recovery to the end of what is replayed. */
typedef struct UnloggedEvidence
{
    const ScanResult *chain;
    Oid next_oid;        /* of the start's checkpoint */
    bool target_scanned; /* input->scan tells what the target has made and dropped: not with
                            --compare */
} UnloggedEvidence;

/*
 * The entry is a fork, but not the init fork, of such a relation, and is to be left out: the chain
 * makes the init fork; or the relation was made after the start, without a record of that. A
 * relation was made after the start if the target lacks its file, and has not dropped it, or has
 * made one of that number itself; and if its number says so too, since a target may have lost files
 * without WAL.
 */
bool plan_becomes_unlogged(const PlanInput *input, const UnloggedEvidence *evidence,
                           const PlanEntry *entry);

#endif
