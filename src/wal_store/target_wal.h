/*
 * The target's WAL: its pg_wal, and the places in which missing segments are looked for; and the
 * histories of both clusters, from their history files.
 */
#ifndef WAL_STORE_TARGET_WAL_H
#define WAL_STORE_TARGET_WAL_H

#include "wal_store/source_wal.h"

/*
 * Create the store of the target's WAL, which the caller destroys in any case. Segments of common
 * history that the target lacks are fetched from the source, if the caller sets the store's
 * `fetch`. clusters may still lack its histories. An error if --wal-archive or --restore-command is
 * visibly wrong.
 */
MUST_CHECK bool target_wal_open(const Options *options, const Clusters *clusters,
                                const char *restore_command, Scratch *scratch, Arena *arena,
                                WalStore **target_wal, Error *error);

/*
 * Find the newest segment in the target's pg_wal, for stream.newest, and raise limits.known_end
 * into it: a segment is written after all those before it, so the cluster has had these. A file
 * that was recycled, or made in advance, does not count. Requires the stream's history. (Rule
 * C109.)
 */
MUST_CHECK bool target_wal_find_newest(WalStore *target_wal, Error *error);

/* ---- Histories ---- */

/* Read the target's timeline history into clusters->target_history. Its file is looked for wherever
 * missing WAL of the target is (target_wal), and last in the source's pg_wal. With --compare the
 * history need not be known: it then has no entries. Otherwise a file that is missing or wrong is
 * an error. */
MUST_CHECK bool target_history_read(const Options *options, WalStore *target_wal, Arena *arena,
                                    Clusters *clusters, Error *error);

/* Read the source's history, then the target's, into clusters. */
MUST_CHECK bool histories_read(const Options *options, WalStore *target_wal,
                               Timeline source_timeline, Arena *arena, Clusters *clusters,
                               Error *error);

#endif
