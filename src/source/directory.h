/*
 * A data directory on this machine, be it the target's or the source's.
 */
#ifndef SOURCE_DIRECTORY_H
#define SOURCE_DIRECTORY_H

#include "source/source.h"
#include "io/dir.h"

/* Read pg_control. If it cannot be parsed because the cluster is encrypted, that is the error. */
MUST_CHECK bool directory_control_read(const char *directory, Control *control, Error *error);

/* source_standby_timeline for the data directory of a stopped standby. */
MUST_CHECK bool directory_standby_timeline(const char *directory, const Control *control,
                                           Timeline *timeline, Error *error);

/*
 * Visit all files, as source's list does: links at pg_wal (of that version) and pg_tblspc/N
 * are walked into. A directory that cannot be read is an error; tolerant: it is marked, and passed
 * over.
 */
MUST_CHECK bool data_directory_list(const char *directory, const Version *version, bool tolerant,
                                    SourceFileVisitor visit, void *context, Error *error);

/* *readable: we may read this directory, an entry below `directory`. For other walks by dir_walk.
 */
MUST_CHECK bool data_directory_is_readable(const char *directory, const DirEntry *entry,
                                           bool *readable, Error *error);

#endif
