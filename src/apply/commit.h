/*
 * The commit, and how it is seen afterwards. For apply.c; all others go through apply.h.
 */
#ifndef APPLY_COMMIT_H
#define APPLY_COMMIT_H

#include "apply/apply.h"
#include "apply/journal.h"

/* Is global/pg_control this one, byte for byte? A missing or short one is not. */
MUST_CHECK bool commit_control_is(const char *target_directory,
                                  const uint8_t expected[CONTROL_FILE_SIZE], bool *same,
                                  Error *error);

/* An error if pg_control is not the one that everything is planned with: a server was there. */
MUST_CHECK bool commit_check_control(const char *target_directory,
                                     const uint8_t old_control[CONTROL_FILE_SIZE], Error *error);

/* The state of a target with this journal, as blocker, poison and new pg_control show it. */
MUST_CHECK bool commit_state(const char *target_directory, const JournalHead *head,
                             PendingState *state, Error *error);

/*
 * Take the blocker of the journal's run back, if it is in place: the target's own backup_label, or
 * none. For a journal that is not live.
 */
MUST_CHECK bool commit_take_back(const char *target_directory, Error *error);

#endif
