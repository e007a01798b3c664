/*
 * The transactions that are lost by the rewind, one by one, with the source's names for it.
 */
#ifndef DIVERGENCE_LOST_TRANSACTIONS_H
#define DIVERGENCE_LOST_TRANSACTIONS_H

#include "base/arena.h"
#include "base/error.h"
#include "divergence/divergence.h"
#include "divergence/target_changes.h"
#include "options.h"
#include "wal/lost.h"

#include <stddef.h>

typedef struct LostTransactions
{
    Lost *lost;        /* the caller's: lost_destroy. Its names are in the arena */
    const char **gids; /* of transactions that are prepared since the divergence and not finished;
                          in the arena */
    size_t gid_count;
} LostTransactions;

/*
 * Read the target's WAL from the last common checkpoint to its end once more: what is lost may have
 * begun before the divergence. Only REPORT_TRANSACTIONS_ALL needs memory for each transaction. The
 * scan has proved it already: what goes wrong here is a warning, and costs the list, which then is
 * not complete, or the names, which then are numbers. So this fails only when a stop is requested;
 * *result is set also then.
 */
MUST_CHECK bool lost_transactions_read(const Clusters *clusters, const Divergence *diverged,
                                       const TargetChanges *changes, ReportTransactions which,
                                       Arena *arena, LostTransactions *result, Error *error);

#endif
