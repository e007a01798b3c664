/*
 * Other clusters on this machine that use a directory which the target takes for its own: its
 * pg_wal or the place of a tablespace, where these are links. A data directory that was copied with
 * its links is such a target: what is written there is written to the other cluster.
 */
#ifndef TARGET_NEIGHBOURS_H
#define TARGET_NEIGHBOURS_H

#include "base/error.h"

/*
 * Looks, by device and inode, at the source's directory (NULL: it is a server) and at the data
 * directories in which processes of this machine run. An error if one shares a directory with the
 * target. What may not be looked at (another user's processes, other containers) is passed over.
 */
MUST_CHECK bool neighbours_check(const char *target_directory, const char *source_directory,
                                 Error *error);

#endif
