/*
 * --save-diverged-wal: the target's WAL from the divergence on, and its history files, are copied
 * to a directory of the user's before the commit takes them from the target.
 *
 * Where the divergence is not known (--compare), or the target's WAL ends there, all segments of
 * its pg_wal are copied. Each copy gets its name only when it is whole and on the disk, so that the
 * same command can go on after an interruption.
 */
#ifndef DIVERGENCE_SAVED_WAL_H
#define DIVERGENCE_SAVED_WAL_H

#include "divergence/divergence.h"

/*
 * Check all that can be checked without writing: that the directory, which need not exist, lies
 * outside of both clusters and can be written to, that no file in it has other content than its
 * segment, and that there is room. directory NULL: nothing is to be saved.
 */
MUST_CHECK bool saved_wal_check(const char *directory, const Clusters *clusters,
                                const WalStream *wal, const Divergence *diverged, Error *error);

/*
 * Copy. When this returns true all copies are on the disk. A file of the same name with other
 * content is an error. *command gets the pg_waldump that reads the copies, in the arena; NULL:
 * there is no single one.
 */
MUST_CHECK bool saved_wal_write(const char *directory, const Clusters *clusters,
                                const WalStream *wal, const Divergence *diverged, Arena *arena,
                                const char **command, Error *error);

#endif
