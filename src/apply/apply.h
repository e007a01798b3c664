/*
 * Commit, and carry the journal out; every action can be repeated.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "base/error.h"
#include "cluster/interlock.h"

#include <stdbool.h>

typedef enum PendingState
{
    PENDING_NONE,  /* no journal, or only leftovers of staging: remove them */
    PENDING_STALE, /* a journal that never was committed */
    PENDING_APPLY, /* committed: must be finished */
    PENDING_CLEANUP /* finished but for cleaning up */
} PendingState;

/* What an earlier run left in this target. Reads only. description: "rewind to SOURCE, divergence ..." for messages, in arena. */
MUST_CHECK bool apply_pending(const char *target_directory, Arena *arena, PendingState *state,
                              const char **description, Error *error);

/*
 * The commit: check pg_control's bytes and the pid file, install the blocker by rename, sync, check the pid file again (not ours: the blocker is taken
 * back and nothing was touched). *committed says whether the rewind must now be finished, also when an error is returned.
 */
MUST_CHECK bool apply_commit(const char *target_directory, Interlock *interlock, bool *committed,
                             Error *error);

/*
 * From the commit (or anywhere after it, in a later process) to the end: poison, pid text, all entries, sync, real backup_label, pid file, new pg_control, cleaning up. What can pass
 * (no space, I/O trouble) is tried again for a while before it is an error. sync_method_syncfs: sync by file system.
 */
typedef struct ApplyOptions
{
    bool syncfs;
    int jobs;
    int patience_seconds; /* how long a failing step is tried again */
} ApplyOptions;
MUST_CHECK bool apply_finish(const char *target_directory, Interlock *interlock,
                             const ApplyOptions *options, Error *error);

#endif
