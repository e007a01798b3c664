/*
 * The target's WAL: what its pg_wal has, and where missing segments are looked for.
 */
#ifndef WAL_STORE_TARGET_WAL_H
#define WAL_STORE_TARGET_WAL_H

#include "base/arena.h"
#include "base/error.h"
#include "pair/clusters.h"
#include "options.h"
#include "wal/reader.h"
#include "wal_store/archive.h"
#include "wal_store/source_wal.h"

/* Where the target's WAL is read from. */
typedef struct TargetWal
{
    Archive *archive; /* its pg_wal, and where segments are looked for that are no longer there */
    Archive *own;     /* its pg_wal, nothing else */
    WalStream stream; /* of the archive */
} TargetWal;

/*
 * Common history is fetched from the source where the target lacks it. clusters may still lack its
 * histories. An error where --wal-archive or --restore-command can be seen to be wrong.
 * target_wal_close in any case.
 */
MUST_CHECK bool target_wal_open(const Options *options, const Clusters *clusters,
                                const char *restore_command, const char *scratch,
                                SourceWal *source_wal, Arena *arena, TargetWal *target_wal,
                                Error *error);
void target_wal_close(TargetWal *target_wal);

/* For source_wal.c: what an archive of the target's WAL is made from, without a fetch; and what it
 * says of the end of a cluster's WAL, by its pg_control. */
ArchiveOptions archive_options_of_target(const Options *options, const Clusters *clusters,
                                         const char *restore_command, const char *scratch,
                                         Arena *arena);
Lsn archive_known_end(const Control *control);
Lsn archive_last_needed(const Control *control);

#endif
