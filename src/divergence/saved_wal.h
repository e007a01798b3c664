/*
 * --save-diverged-wal: copy the target's WAL from the divergence on, and its history files, to a
 * directory of the user before the rewind removes them from the target.
 *
 * If the divergence is not known (--compare), or the target's WAL ends at the divergence, all
 * segments in its pg_wal are copied. A copy gets its name only when it is complete and synced, so
 * the same command can continue after an interruption.
 */
#ifndef DIVERGENCE_SAVED_WAL_H
#define DIVERGENCE_SAVED_WAL_H

#include "divergence/divergence.h"

/*
 * Check, without writing, that the directory, which need not exist, lies outside of both clusters
 * and can be written to, that no file in it has other content than its segment, and that there is
 * room. directory is NULL if nothing is to be saved.
 */
MUST_CHECK bool saved_wal_check(const char *directory, const Clusters *clusters,
                                const WalStream *wal, const Divergence *diverged, Error *error);

/*
 * Copy the WAL; all copies are synced when this returns true. An existing file of the same name
 * with other content is an error. *command becomes the pg_waldump command that reads the copies, in
 * the arena; NULL if no divergence is known.
 */
MUST_CHECK bool saved_wal_write(const char *directory, const Clusters *clusters,
                                const WalStream *wal, const Divergence *diverged, Arena *arena,
                                const char **command, Error *error);

#endif
