/*
 * A directory for what is only needed while the program runs: made when it is first needed, so that
 * a run which needs none does not fail for want of a place.
 */
#ifndef IO_SCRATCH_H
#define IO_SCRATCH_H

#include "base/arena.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct Scratch
{
    const char *const *parents; /* the directory is new, below the first of these that will do; ends
                                   with NULL */
    _Atomic(const char *) path; /* NULL: not made yet */
    atomic_bool failed;         /* none could be made when one was needed, or it had no room */

    /* scratch.c's. */
    pthread_mutex_t lock;
    int lock_fd;  /* of a new directory, else -1 */
    Arena *arena; /* of its path */
} Scratch;

/* A scratch directory that is not made yet, or that has this path, which callers make like any
 * other. parents or path is NULL; what they point to lives as long. The Scratch is the arena's. */
Scratch *scratch_create(const char *const *parents, const char *path, Arena *arena);

/* Make the directory, if that was not done. Where none of the parents will do, the first one's
 * error counts. Any thread may call this. */
MUST_CHECK bool scratch_need(Scratch *scratch, Error *error);

/* Remove the directory, if there is one, with all that is in it. Nothing may use it any more. */
MUST_CHECK bool scratch_close(Scratch *scratch, Error *error);

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
