/*
 * The histories of both clusters, from their history files.
 */
#ifndef WAL_STORE_HISTORIES_H
#define WAL_STORE_HISTORIES_H

#include "base/arena.h"
#include "base/error.h"
#include "pair/clusters.h"
#include "options.h"
#include "wal_store/wal_store.h"

/*
 * Read the target's into clusters->target_history. Its file is also looked for where its missing
 * WAL is (target_wal). With --compare it need not be known: then it has no entries. A file that
 * is missing or wrong is an error otherwise.
 */
MUST_CHECK bool target_history_read(const Options *options, WalStore *target_wal, Arena *arena,
                                    Clusters *clusters, Error *error);

/* The source's, then the target's. */
MUST_CHECK bool histories_read(const Options *options, WalStore *target_wal,
                               Timeline source_timeline, Arena *arena, Clusters *clusters,
                               Error *error);

#endif
