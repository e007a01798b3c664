/*
 * Commit, and carry the journal out; every action can be repeated.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "base/arena.h"
#include "base/error.h"
#include "target/interlock.h"
#include "options.h"

#include <stdbool.h>

typedef enum PendingState
{
    PENDING_NONE,   /* no journal; leftovers of staging or cleaning up can be there:
                       stage_remove_stale */
    PENDING_STALE,  /* a journal that is not live: never committed, or of a server that has run
                       since; stage_remove_stale */
    PENDING_APPLY,  /* committed: must be finished */
    PENDING_CLEANUP /* finished but for cleaning up */
} PendingState;

typedef struct PendingRewind
{
    PendingState state;
    const char *divergence; /* "LSN on timeline N", for messages; "": not known */
    const char *options;    /* journal_options_text of the run that began it; NULL: not known */
} PendingRewind;

/*
 * Find what an earlier run left in this target; texts are in arena. Reads only. A journal that
 * cannot be read is an error only where it can have been committed, else PENDING_STALE without a
 * description.
 */
MUST_CHECK bool apply_pending(const char *target_directory, Arena *arena, PendingRewind *pending,
                              Error *error);

/*
 * For a run that failed before it could call apply_pending: is there a journal, and is pg_control a
 * poison or backup_label a blocker? An I/O error counts as a yes.
 */
bool apply_may_be_pending(const char *target_directory);

/*
 * The commit: check pg_control's bytes and the pid file, install the blocker by rename, sync, check
 * the pid file again (not ours: the blocker is taken back and nothing was touched). *committed says
 * whether the rewind must now be finished, also when an error is returned.
 */
MUST_CHECK bool apply_commit(const char *target_directory, Interlock *interlock, bool *committed,
                             Error *error);

/*
 * From the commit (or anywhere after it, in a later process) to the end: poison, pid text, all
 * entries, sync, real backup_label, pid file, new pg_control, cleaning up. What can pass (no space,
 * I/O trouble) is tried again for a while before it is an error. What cannot be cleaned up is a
 * warning. The caller releases the interlock.
 */
typedef struct ApplyOptions
{
    bool syncfs; /* sync by file system, not by file */
    int jobs;
    int patience_seconds; /* how long a failing step is tried again */
} ApplyOptions;
ApplyOptions apply_options(const Options *options);
MUST_CHECK bool apply_finish(const char *target_directory, Interlock *interlock,
                             const ApplyOptions *options, Error *error);

#endif
