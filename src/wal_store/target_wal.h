/*
 * The target's WAL: its pg_wal, and the places in which missing segments are looked for; and the
 * histories of both clusters, from their history files.
 */
#ifndef WAL_STORE_TARGET_WAL_H
#define WAL_STORE_TARGET_WAL_H

#include "wal_store/source_wal.h"

/*
 * Common history is fetched from the source where the target lacks it, if the caller sets the
 * store's fetch. clusters may still lack its histories. An error where --wal-archive or
 * --restore-command can be seen to be wrong. The caller destroys the store in any case.
 */
MUST_CHECK bool target_wal_open(const Options *options, const Clusters *clusters,
                                const char *restore_command, Scratch *scratch, Arena *arena,
                                WalStore **target_wal, Error *error);

/* ---- Histories ---- */

/*
 * Read the target's history into clusters->target_history. Its file is also looked for where its
 * missing WAL is (target_wal). With --compare it need not be known: then it has no entries. A file
 * that is missing or wrong is an error otherwise.
 */
MUST_CHECK bool target_history_read(const Options *options, WalStore *target_wal, Arena *arena,
                                    Clusters *clusters, Error *error);

/* The source's, then the target's. */
MUST_CHECK bool histories_read(const Options *options, WalStore *target_wal,
                               Timeline source_timeline, Arena *arena, Clusters *clusters,
                               Error *error);

#endif
