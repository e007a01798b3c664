/*
 * The files of a stage before the fetch writes to them, and after: made and reserved first, given
 * their size and mode last.
 */
#ifndef STAGE_STAGED_FILES_H
#define STAGE_STAGED_FILES_H

#include "stage/stage.h"

/* Files that are patched, or private copies of them, data files, and files of which not all bytes
 * are fetched. */
MUST_CHECK bool stage_prepare_files(Stage *stage, const Plan *plan, Error *error);

/* Size and mode of a file that was staged whole. Not earlier: with mode 0400 we could not open it
 * again. */
MUST_CHECK bool stage_conclude_file(const Stage *stage, const PlanEntry *entry, size_t index,
                                    Error *error);

#endif
