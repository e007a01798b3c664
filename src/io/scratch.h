/* A directory for files that are needed only while the program runs. The directory is created when
 * it is first needed, so that a run without such files does not fail for lack of a place. */
#ifndef IO_SCRATCH_H
#define IO_SCRATCH_H

#include "base/arena.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct Scratch
{
    const char *const *parents; /* the new directory is created below the first of these in which
                                   that works; ends with NULL. NULL: `path` is given */
    _Atomic(const char *) path; /* path of the directory; NULL: not created yet */
    atomic_bool failed; /* no directory could be created when one was needed, or its file system was
                           full; the users of the directory set this, too */

    /* scratch.c's. */
    pthread_mutex_t lock;
    int lock_fd;  /* lock of a new directory; otherwise -1 */
    Arena *arena; /* owns path */
} Scratch;

/* Prepare a scratch directory, in the arena. Either parents, below one of which scratch_need
 * creates a new directory, or path, a given one, which the callers create themselves; the other one
 * is NULL. What they point to must live as long. */
Scratch *scratch_create(const char *const *parents, const char *path, Arena *arena);

/* Create the directory, unless that was done. If it works below none of the parents, the error is
 * the first one's. Any thread may call this. */
MUST_CHECK bool scratch_need(Scratch *scratch, Error *error);

/* Remove the directory, if it exists, with its content. No thread may use it any more. */
MUST_CHECK bool scratch_close(Scratch *scratch, Error *error);

/*
 * Create a new directory, mode 0700, with an unpredictable name below parent: *path. *lock_fd is
 * locked (flock) while the directory is in use: close it after the directory was removed.
 * Directories that killed processes of the same user have left there are removed first. A parent
 * that cannot be trusted (trust_check) is an error. After a failure *path is NULL.
 */
MUST_CHECK bool scratch_make(const char *parent, Arena *arena, const char **path, int *lock_fd,
                             Error *error);

/* Add the space that a scratch directory takes, as its file system counts it, to *free_bytes, so
 * that *free_bytes is what will be free without the directory. Only if the directory lies in `pool`
 * (place_pool), whose free space *free_bytes is; otherwise nothing is added. */
MUST_CHECK bool scratch_add_space(const char *path, const char *pool, uint64_t *free_bytes,
                                  Error *error);

/* Remove a directory with its content. A process of a restore command that fetches in advance may
 * still write there, so the removal is tried again for some seconds. */
MUST_CHECK bool scratch_remove(const char *path, Error *error);

#endif
