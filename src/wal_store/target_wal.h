/*
 * The target's WAL: its pg_wal, and the places in which missing segments are looked for.
 */
#ifndef WAL_STORE_TARGET_WAL_H
#define WAL_STORE_TARGET_WAL_H

#include "base/arena.h"
#include "base/error.h"
#include "options.h"
#include "pair/clusters.h"
#include "wal/reader.h"
#include "wal_store/source_wal.h"
#include "wal_store/wal_store.h"

typedef struct TargetWal
{
    WalStore *store;
    WalStream stream; /* of the store */
} TargetWal;

/*
 * Common history is fetched from the source where the target lacks it. clusters may still lack its
 * histories. An error where --wal-archive or --restore-command can be seen to be wrong.
 * target_wal_close in any case.
 */
MUST_CHECK bool target_wal_open(const Options *options, const Clusters *clusters,
                                const char *restore_command, SourceWal *source_wal, Arena *arena,
                                TargetWal *target_wal, Error *error);

/* The same without a source, for callers that look into its pg_wal only. */
void target_wal_open_own(const Options *options, const Clusters *clusters, Arena *arena,
                         TargetWal *target_wal);
void target_wal_close(TargetWal *target_wal);

#endif
