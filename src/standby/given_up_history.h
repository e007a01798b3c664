/*
 * History files in the target's pg_wal of timelines that were given up. Without a rewind they stay,
 * and the target's server, when it starts, would take the newest for the source's. (Rule C104.)
 */
#ifndef STANDBY_GIVEN_UP_HISTORY_H
#define STANDBY_GIVEN_UP_HISTORY_H

#include "pair/clusters.h"

/*
 * Find the files of timelines above the target's, up to the source's, with another history than the
 * source has on that timeline; a file that cannot be read as a history counts. (Newer ones:
 * wal_store/standby_archive.h.) Returns their paths, relative to the data directory, in the arena,
 * up to a NULL.
 */
MUST_CHECK bool given_up_histories_find(const Clusters *clusters, Arena *arena,
                                        const char *const **paths, Error *error);

/* Remove these files, durably. The server fetches the source's from the source or the archive. */
MUST_CHECK bool given_up_histories_remove(const Clusters *clusters, const char *const *paths,
                                          Error *error);

#endif
