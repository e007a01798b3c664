/*
 * A data directory on this machine, the target's or the source's.
 */
#ifndef SOURCE_DIRECTORY_H
#define SOURCE_DIRECTORY_H

#include "source/source.h"
#include "io/dir.h"

/* Read and parse pg_control. An error if PG_VERSION is of another version. If pg_control cannot
 * be parsed because the cluster is encrypted, the error says that the cluster is encrypted. */
MUST_CHECK bool directory_control_read(const char *directory, Control *control, Error *error);

/* The same as source_standby_timeline, for the data directory of a stopped standby. */
MUST_CHECK bool directory_standby_timeline(const char *directory, const Control *control,
                                           Timeline *timeline, Error *error);

/* True if control_may_be_of_promoted, and pg_wal has the WAL that the server wrote then: this
 * timeline counts, even if pg_wal has a later one. (Rule C25.) */
bool directory_may_be_of_promoted(const char *directory, const Control *control);

/*
 * Visit all files of a data directory, as SourceOperations' list does. The walk enters the links at
 * pg_wal (pg_xlog, by version) and pg_tblspc/N, and of directories those of relpath_is_listed. A
 * directory that this user may not read is an error; if tolerant, the directory is visited with
 * `unreadable` set, and the walk does not enter it.
 */
MUST_CHECK bool data_directory_list(const char *directory, const Version *version, bool tolerant,
                                    FileVisitor visit, void *context, Error *error);

/* For visitors of dir_walk: set *readable if this user may read the directory `entry`, found in the
 * walk of the data directory `directory`. Any error but EACCES is an error. */
MUST_CHECK bool data_directory_is_readable(const char *directory, const DirEntry *entry,
                                           bool *readable, Error *error);

#endif
