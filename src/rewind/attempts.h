/*
 * From the divergence to the journal: where recovery starts, the plan for that start, and
 * everything that the plan needs on the target's disks; again where the source made a plan
 * obsolete.
 */
#ifndef REWIND_ATTEMPTS_H
#define REWIND_ATTEMPTS_H

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "rewind/run.h"
#include "options.h"

#include <stdbool.h>

/*
 * Set run->start, planned, next_start and staged. While the source copies databases, or makes
 * tablespaces, a plan may be out of date when it has been staged: then all of it is thrown away,
 * and made again for a start past what the source did. A dry run ends with the plan. With problems
 * nothing is staged, and the error says so.
 */
MUST_CHECK bool attempts_make(const Options *options, Problems *problems, Arena *arena, Run *run,
                              Error *error);

#endif
