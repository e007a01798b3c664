/*
 * A search for the divergence, and what it rests on: for divergence.c and proof.c.
 */
#ifndef DIVERGENCE_SEARCH_H
#define DIVERGENCE_SEARCH_H

#include "base/arena.h"
#include "divergence/divergence.h"
#include "divergence/wal_comparison.h"

typedef struct Search
{
    const Clusters *clusters;
    const SourceState *state;
    const TargetWal *target_wal;
    SourceWal *source_wal;
    int jobs;
    Arena *arena;
    Divergence *divergence; /* as far as it is known */
    Lsn latest;             /* where it is at the latest, by histories and positions */
    bool moved;             /* bytes have shown it to be earlier than histories and positions say */
    WalComparison comparison; /* of the bytes before the divergence */
} Search;

/*
 * `latest` is what the history files say, LSN_INVALID: nothing. It holds where the source left the
 * target's timeline and the target went on: a chain of WAL with all its links leads there.
 * Elsewhere *proven says whether the bytes prove it.
 */
MUST_CHECK bool divergence_find_proof(Search *search, Lsn latest, bool *proven, Error *error);

/* The error for a divergence that nothing proves. */
bool error_no_proof(const Search *search, Error *error);

#endif
