/*
 * The files of a data directory on this machine, be it the target's or the source's.
 */
#ifndef SOURCE_DATA_DIRECTORY_H
#define SOURCE_DATA_DIRECTORY_H

#include "source/source.h"
#include "io/dir.h"

#include <stdbool.h>

/*
 * Visit all files, as source's list does: links at pg_wal (of that version) and pg_tblspc/N
 * are walked into. A directory that cannot be read is an error; tolerant: it is marked, and passed
 * over.
 */
MUST_CHECK bool data_directory_list(const char *directory, const Version *version, bool tolerant,
                                    SourceFileVisitor visit, void *context, Error *error);

/* What data_directory_list is made of, for other walks with dir_walk: may we read this directory,
 * an entry below `directory`? */
MUST_CHECK bool data_directory_is_readable(const char *directory, const DirEntry *entry,
                                           bool *readable, Error *error);

#endif
