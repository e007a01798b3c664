/*
 * The commit of a rewind, and how a later run recognizes a committed one on the disk.
 */
#ifndef APPLY_COMMIT_H
#define APPLY_COMMIT_H

#include "apply/journal.h"
#include "target/interlock.h"

/* State of an earlier rewind of a target. The table at the top of journal.h says which files each
 * state leaves on the disk. */
typedef enum PendingState
{
    PENDING_NONE,  /* nothing to finish; stage_remove_stale removes leftovers of staging or cleaning
                      up, such as an unreadable journal that was never committed */
    PENDING_STALE, /* a journal that must not be carried out; stage_remove_stale removes it */
    PENDING_APPLY, /* committed: the rewind must be finished */
    PENDING_CLEANUP /* complete, except that work directories are left */
} PendingState;

typedef struct PendingRewind
{
    PendingState state;
    bool has_journal;       /* a whole one; set even if the state cannot be found */
    const char *divergence; /* "LSN on timeline N", for messages; "" if not known */
    const char *options; /* Options.decided of the run that began the rewind; NULL if not known */
    bool is_of_earlier;  /* JournalHead.is_of_earlier */
} PendingRewind;

/*
 * Find the state of an earlier rewind in this target. Reads only; texts are in arena. An unreadable
 * journal is an error only if it may have been committed, otherwise the state is PENDING_NONE. A
 * whole journal is one if pg_control is missing or damaged. (Rule I81.)
 */
MUST_CHECK bool apply_pending(const char *target_directory, Arena *arena, PendingRewind *pending,
                              Error *error);

/* The answer of apply_look_for_pending: has the target a rewind that must be finished? */
typedef enum PendingSight
{
    PENDING_NOT_THERE,
    PENDING_THERE,    /* PENDING_APPLY or PENDING_CLEANUP */
    PENDING_UNCERTAIN /* a rewind may be pending: the directory cannot be read, or a server cannot
                         start although the journal is not live */
} PendingSight;

/*
 * Like apply_pending, but every failure is an answer: for a run that has failed or that only asks.
 * A path that leads to no directory which this user may enter holds no rewind of this user; with
 * `suspected` (a process with this command line was killed) the answer is PENDING_UNCERTAIN even
 * then.
 */
PendingSight apply_look_for_pending(const char *target_directory, bool suspected);

/*
 * The commit: check that pg_control is the plan's and that the pid file is still ours, install the
 * blocker by rename, and check both again. If the second check fails, the blocker is removed again
 * and the target is unchanged. *committed says whether the rewind must now be finished, even if an
 * error is returned. After a success stops are held off (signals_hold_off).
 */
MUST_CHECK bool apply_commit(const char *target_directory, Interlock *interlock, bool *committed,
                             Error *error);

/* Set *same if global/pg_control has exactly the expected bytes. A missing or shorter file
 * differs. */
MUST_CHECK bool commit_control_is(const char *target_directory,
                                  const uint8_t expected[CONTROL_FILE_SIZE], bool *same,
                                  Error *error);

/* Fails if pg_control is not the one for which the plan was made: a server has run since. */
MUST_CHECK bool commit_check_control(const char *target_directory,
                                     const uint8_t old_control[CONTROL_FILE_SIZE], Error *error);

/* Set *state to the state of a target that has this journal: blocker, poison and new pg_control
 * show it. Fails if pg_control is missing or damaged. (Rule I81.) */
MUST_CHECK bool commit_state(const char *target_directory, const JournalHead *head,
                             PendingState *state, Error *error);

/*
 * Remove the blocker of a journal that is not live, if it is in place: the target's own
 * backup_label, if it had one, is restored. After a failure the blocker is still in place; keep the
 * work directory, which holds what the next attempt needs.
 */
MUST_CHECK bool commit_take_back(const char *target_directory, Error *error);

#endif
