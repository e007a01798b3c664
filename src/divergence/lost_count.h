/*
 * The number of committed transactions that a rewind discards: one line in every run, and the limit
 * of --max-lost-transactions.
 */
#ifndef DIVERGENCE_LOST_COUNT_H
#define DIVERGENCE_LOST_COUNT_H

#include "divergence/divergence.h"

typedef struct LostCount
{
    bool counted;        /* the other members are set; false before counting was tried */
    const char *unknown; /* part of a sentence: why the number is not known, so transactions is 0;
                            NULL if it is known */
    bool so_far;         /* the target's server runs and may commit more */
    bool can_save_rows;  /* the divergence is proved, which --save-lost-rows requires */
    uint64_t transactions;
    int64_t first_time, last_time; /* times of the first and last commit, in microseconds since
                                      2000; only if transactions is not 0 */
    Timeline first_timeline, last_timeline; /* the target's, at divergence and end */
} LostCount;

/* The number from a finished scan of the target's WAL from the divergence on. */
LostCount lost_count_of_scan(const Clusters *clusters, const Divergence *divergence,
                             const ScanResult *scanned);

/*
 * Count in `wal`, for a target that was not scanned (--compare, a running server): from the
 * divergence, or the latest point that the histories allow, to the end of the WAL. If WAL cannot be
 * read, the number is unknown, with the reason in the arena; this fails only when a stop is
 * requested. running says that the target's server writes to this WAL.
 */
MUST_CHECK bool lost_count_read(const DivergenceInput *input, const Divergence *divergence,
                                const WalStream *wal, bool running, Arena *arena, LostCount *count,
                                Error *error);

/* Print the line: number, times and timelines of the lost transactions, and the options that save
 * them. */
void lost_count_print(const LostCount *count, const Options *options);

/* Fails if the number exceeds --max-lost-transactions, or is unknown while that option is given.
 * (Rule D3.) */
MUST_CHECK bool lost_count_check(const LostCount *count, const Options *options, Error *error);

#endif
