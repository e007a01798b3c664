/*
 * The commit, and how it is seen afterwards.
 */
#ifndef APPLY_COMMIT_H
#define APPLY_COMMIT_H

#include "apply/journal.h"
#include "target/interlock.h"

/* The table at the top of journal.h says what is on the disk in each. */
typedef enum PendingState
{
    PENDING_NONE,   /* leftovers of staging or cleaning up can be there, among them a journal that
                       cannot be read and was never committed: stage_remove_stale */
    PENDING_STALE,  /* a journal that is not live: stage_remove_stale */
    PENDING_APPLY,  /* committed: must be finished */
    PENDING_CLEANUP /* finished except for cleaning up */
} PendingState;

typedef struct PendingRewind
{
    PendingState state;
    const char *divergence; /* "LSN on timeline N", for messages; "": not known */
    const char *options;    /* Options.decided of the run that began it; NULL: not known */
} PendingRewind;

/*
 * Find what an earlier run left in this target; texts are in arena. Reads only. A journal that
 * cannot be read is an error only where it can have been committed, else there is none.
 */
MUST_CHECK bool apply_pending(const char *target_directory, Arena *arena, PendingRewind *pending,
                              Error *error);

/* The answer of the disk to whether an earlier run has left a rewind that must be finished. */
typedef enum PendingSight
{
    PENDING_NOT_THERE,
    PENDING_THERE,    /* PENDING_APPLY or PENDING_CLEANUP */
    PENDING_UNCERTAIN /* a rewind may be pending: the directory cannot be read, or a journal is not
                         live but no server can start there */
} PendingSight;

/*
 * Look without an error, for a run that has failed or that only asks. A path that leads to no
 * directory which this user may enter holds no rewind of theirs; with `suspected`, when a process
 * of this command was killed there, it may.
 */
PendingSight apply_look_for_pending(const char *target_directory, bool suspected);

/*
 * The commit: check pg_control's bytes and the pid file, install the blocker by rename, check both
 * again (not ours: the blocker is taken back and nothing was touched). *committed says whether the
 * rewind must now be finished, also when an error is returned.
 */
MUST_CHECK bool apply_commit(const char *target_directory, Interlock *interlock, bool *committed,
                             Error *error);

/* *same: global/pg_control is this one, byte for byte. A missing or short one is not. */
MUST_CHECK bool commit_control_is(const char *target_directory,
                                  const uint8_t expected[CONTROL_FILE_SIZE], bool *same,
                                  Error *error);

/* Fails if pg_control is not the one of the plan: a server has run since. */
MUST_CHECK bool commit_check_control(const char *target_directory,
                                     const uint8_t old_control[CONTROL_FILE_SIZE], Error *error);

/* The state of a target with this journal, as blocker, poison and new pg_control show it. */
MUST_CHECK bool commit_state(const char *target_directory, const JournalHead *head,
                             PendingState *state, Error *error);

/*
 * Take the blocker of the journal's run back, if it is in place: the target's own backup_label, or
 * none, replaces it. For a journal that is not live. After a failure the blocker is in place still,
 * and what is needed to take it back must stay.
 */
MUST_CHECK bool commit_take_back(const char *target_directory, Error *error);

#endif
