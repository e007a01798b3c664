/*
 * The run: one call for each step of design/overview.md, top to bottom.
 */
#ifndef REWIND_REWIND_H
#define REWIND_REWIND_H

#include "base/error.h"
#include "options.h"
#include "rewind/run.h"

#include <stdbool.h>

/*
 * Rewind. *run, zero before, is filled as far as the run came, also on failure. run_free
 * in any case.
 */
MUST_CHECK bool rewind_run(const Options *options, Run *run, RewindOutcome *outcome, Error *error);

#endif
