/*
 * A list of the transactions that a rewind discards, with the names of their relations on the
 * source.
 */
#ifndef DIVERGENCE_LOST_TRANSACTIONS_H
#define DIVERGENCE_LOST_TRANSACTIONS_H

#include "divergence/divergence.h"
#include "wal/lost.h"

/*
 * Read the target's WAL again, from the last common checkpoint to its end: lost transactions may
 * have begun before the divergence. Memory for each transaction is only needed with
 * REPORT_TRANSACTIONS_ALL. The scan has read this WAL before, so a failure here is only a warning:
 * the list is incomplete, or relations have numbers instead of names. This fails only when a stop
 * is requested. In any case the caller destroys *lost; its names are in the arena.
 */
MUST_CHECK bool lost_transactions_read(const Clusters *clusters, const Divergence *diverged,
                                       ReportTransactions which, Arena *arena, Lost **lost,
                                       Error *error);

/* Read the target's WAL from the last common checkpoint's redo position to its end, in one thread,
 * and call visit for each record. */
MUST_CHECK bool lost_wal_read(const Clusters *clusters, const Divergence *diverged,
                              WalVisitor visit, void *context, Error *error);

/*
 * Read the relfilenodes of all catalogs of the target, in all databases. A catalog that was
 * rewritten is found by its new relfilenode; by an earlier one only while pg_class still has the
 * dead row. What was found is sorted even after a failure; the caller frees catalogs->items.
 */
MUST_CHECK bool target_catalogs_read(const Target *target, Catalogs *catalogs, Error *error);

#endif
