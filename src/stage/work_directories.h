/*
 * The beginning and the end of a stage: its work directories are made, and removed when nothing
 * needs them.
 */
#ifndef STAGE_WORK_DIRECTORIES_H
#define STAGE_WORK_DIRECTORIES_H

#include "stage/stage.h"

/* Make the work directories (stale ones are removed first), the missing locations of new
 * tablespaces, the ballast. The plan must live as long as the stage. */
MUST_CHECK bool stage_create(const char *target_directory, const Plan *plan, int jobs,
                             Stage **stage, Error *error);

/* Before the commit: remove the work directories. Errors become warnings. */
void stage_abandon(Stage *stage);
void stage_free(Stage *stage); /* memory only; NULL is allowed */

/* Remove the work directories of a run that was killed before its commit or while cleaning up.
 * Refuses while a journal is live. */
MUST_CHECK bool stage_remove_stale(const char *target_directory, Error *error);

#endif
