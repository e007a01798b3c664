/*
 * Files that were written and wait for being synced.
 *
 * The kernel keeps a write-back error with the cached file, and reports it once. If the file is
 * closed, the kernel may drop it together with its error, or may report the error to another
 * process that syncs it: a sync by a new descriptor then succeeds although data is lost. A
 * descriptor that was open when the error happened always gets it. So descriptors are kept open
 * until the sync; where they become too many, a descriptor of the file system gets every error on
 * it since it was opened (Linux 5.8 and later).
 *
 * Nothing is kept with --no-sync.
 */
#ifndef IO_WRITTEN_H
#define IO_WRITTEN_H

#include "base/error.h"

#include <stdbool.h>

#define WRITTEN_KEPT_MAX 500 /* fewer where the limit of open files is below 756 */

typedef struct Written Written;

Written *written_create(void);

/* Before the first write to the file system that holds path. */
MUST_CHECK bool written_watch(Written *written, const char *path, Error *error);

/* In place of file_close, for a file that was written: takes fd over, which may be -1. Any thread.
 */
void written_keep(Written *written, int fd, const char *path);

/* Was every one kept? Else files have to be synced by their paths as well, for older kernels. */
bool written_all_kept(const Written *written);

/* Sync by the descriptors that are kept, in several threads; where not all are, or with
 * by_file_system, the file systems that are watched. Once: kept descriptors are closed. */
MUST_CHECK bool written_sync(Written *written, bool by_file_system, int jobs, Error *error);

/* NULL: fine. */
void written_free(Written *written);

#endif
