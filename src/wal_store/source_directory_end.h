/*
 * Where the WAL of a source ends that is a stopped data directory.
 */
#ifndef WAL_STORE_SOURCE_DIRECTORY_END_H
#define WAL_STORE_SOURCE_DIRECTORY_END_H

#include "base/arena.h"
#include "base/error.h"
#include "pair/clusters.h"
#include "wal_store/archive.h"

/*
 * Complete state->position, which such a source does not know by itself: its WAL is read from its
 * last checkpoint to the last record. archive has what its pg_wal no longer has. Of a stopped
 * standby it is not known how far it has replayed: it may have removed or copied directories past
 * its minRecoveryPoint, which does not wait for that; then recovery must pass all the WAL it has.
 */
MUST_CHECK bool source_directory_find_end(const Clusters *clusters, Archive *archive, Arena *arena,
                                          SourceState *state, Error *error);

#endif
