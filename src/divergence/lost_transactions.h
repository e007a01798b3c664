/*
 * The transactions that are lost by the rewind, one by one, with the source's names for it.
 */
#ifndef DIVERGENCE_LOST_TRANSACTIONS_H
#define DIVERGENCE_LOST_TRANSACTIONS_H

#include "divergence/divergence.h"
#include "wal/lost.h"

/*
 * Read the target's WAL from the last common checkpoint to its end once more: what is lost may have
 * begun before the divergence. Only REPORT_TRANSACTIONS_ALL needs memory for each transaction. The
 * scan has proved it already: what goes wrong here is a warning, and costs the list, which then is
 * not complete, or the names, which then are numbers. So this fails only when a stop is requested.
 * *lost is the caller's to destroy in any case; its names are in the arena.
 */
MUST_CHECK bool lost_transactions_read(const Clusters *clusters, const Divergence *diverged,
                                       ReportTransactions which, Arena *arena, Lost **lost,
                                       Error *error);

/* Read the target's WAL from the last common checkpoint's redo to its end, in one thread. */
MUST_CHECK bool lost_wal_read(const Clusters *clusters, const Divergence *diverged,
                              WalVisitor visit, void *context, Error *error);

/*
 * Read which storage of the target is which catalog, in all databases. Catalogs that were rewritten
 * since are found, too; not their storage before that, unless pg_class still has the row. What was
 * found is sorted, also after a failure; the items are released by free.
 */
MUST_CHECK bool target_catalogs_read(const Target *target, Catalogs *catalogs, Error *error);

#endif
