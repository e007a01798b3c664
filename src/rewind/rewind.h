/*
 * The run: one call for each step of design/overview.md, top to bottom.
 */
#ifndef REWIND_REWIND_H
#define REWIND_REWIND_H

#include "base/error.h"
#include "options.h"
#include "rewind/findings.h"

#include <stdbool.h>

/*
 * Rewind. *findings, zero before, is filled as far as the run came, also on failure. findings_free
 * in any case.
 */
MUST_CHECK bool rewind_run(const Options *options, Findings *findings, RewindOutcome *outcome,
                           Error *error);

#endif
