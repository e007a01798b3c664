/*
 * A directory for what is only needed while the program runs, where other users may make files too.
 */
#ifndef IO_SCRATCH_H
#define IO_SCRATCH_H

#include "base/arena.h"

/*
 * Make a new directory, mode 0700, with an unpredictable name below parent: *path. *lock_fd is
 * locked (flock) as long as it is in use: close it when the directory has been removed. First
 * remove what killed processes of the same user have left there. Fails also if parent is
 * not to be trusted (trust_check); then *path is NULL.
 */
MUST_CHECK bool scratch_make(const char *parent, Arena *arena, const char **path, int *lock_fd,
                             Error *error);

/*
 * Add what is in a scratch directory, as its file system counts it, to *free_bytes, if that is the
 * free space of its own pool (place_pool): then *free_bytes is what will be free without the
 * directory.
 */
MUST_CHECK bool scratch_add_space(const char *path, const char *pool, uint64_t *free_bytes,
                                  Error *error);

/*
 * Remove a directory with all that is in it. A process of a restore command that fetches in advance
 * may still write there: removing is tried again for some seconds.
 */
MUST_CHECK bool scratch_remove(const char *path, Error *error);

#endif
