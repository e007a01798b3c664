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

/* The state of a target with this journal, as blocker, poison and new pg_control show it. */
MUST_CHECK bool commit_state(const char *target_directory, const JournalHead *head,
                             PendingState *state, Error *error);

#endif
