/*
 * The end of staging: the journal of all that the apply has to do.
 */
#ifndef STAGE_STAGE_JOURNAL_H
#define STAGE_STAGE_JOURNAL_H

#include "apply/journal.h"
#include "stage/stage.h"

/* Write the journal of all that was staged and of the plan's other actions; sync everything staged,
 * work directories and journal. */
MUST_CHECK bool stage_finish(Stage *stage, const Plan *plan, const JournalHead *head, Error *error);

#endif
