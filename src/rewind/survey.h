/*
 * After a failure: what else is wrong with the target, so that all of it can be fixed at once.
 */
#ifndef REWIND_SURVEY_H
#define REWIND_SURVEY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/problems.h"
#include "rewind/findings.h"
#include "options.h"

/*
 * A step before the stage has failed, with this error: look at the target's files and disks, and
 * report what is wrong with them in the same run. Not if the source is lost, which would be waited
 * for again, nor if the run is to stop. The error is then ERROR_REPORTED.
 */
void survey_target(const Options *options, Problems *problems, Arena *arena, Findings *findings,
                   Error *error);

#endif
