/*
 * How many committed transactions a rewind discards: one line in every run, and the limit of
 * --max-lost-transactions.
 */
#ifndef DIVERGENCE_LOST_COUNT_H
#define DIVERGENCE_LOST_COUNT_H

#include "divergence/divergence.h"

typedef struct LostCount
{
    bool counted;        /* the following are set */
    const char *unknown; /* why the number is not known, a part of a sentence; NULL: it is known */
    bool so_far;         /* the target's server runs, and may commit more */
    bool can_save_rows;  /* the divergence is proved, as --save-lost-rows needs it */
    uint64_t transactions;
    int64_t first_time, last_time; /* of their commits, in microseconds since 2000; only if there
                                      are transactions */
    Timeline first_timeline, last_timeline; /* of the target, from the divergence to its end */
} LostCount;

/* The number in what was scanned of the target's WAL from the divergence on. */
LostCount lost_count_of_scan(const Clusters *clusters, const Divergence *divergence,
                             const ScanResult *scanned);

/*
 * Where that was not scanned (--compare, a running server): read `wal` from the divergence, or from
 * where the histories say that it is at the latest, to its end. WAL that cannot be read makes the
 * number unknown, with the reason in the arena, and is no failure: this fails only when a stop is
 * requested. running: the target's server writes to this WAL.
 */
MUST_CHECK bool lost_count_read(const DivergenceInput *input, const Divergence *divergence,
                                const WalStream *wal, bool running, Arena *arena, LostCount *count,
                                Error *error);

/* Print the line: how many, when, on which timelines, and which options save them. */
void lost_count_print(const LostCount *count, const Options *options);

/* Fails if the number is more than --max-lost-transactions, or with that option is not known.
 * (Rule D3.) */
MUST_CHECK bool lost_count_check(const LostCount *count, const Options *options, Error *error);

#endif
