/*
 * The run: one call for each step of design/overview.md, top to bottom.
 */
#ifndef REWIND_REWIND_H
#define REWIND_REWIND_H

#include "base/error.h"
#include "options.h"
#include "report/report.h"

#include <stdbool.h>
#include <stdint.h>

/* Where a run ended, for the exit status and the last line. */
typedef enum RewindOutcome
{
    REWIND_UNTOUCHED,  /* failed or nothing to do: the target is as it was */
    REWIND_BUSY,       /* failed: another pg_rewind has the target, and may be changing it */
    REWIND_COMMITTED,  /* failed after the commit: running the same command again finishes it */
    REWIND_NOT_JOINED, /* --rejoin: the rewind is done, but the server does not follow the source */
    REWIND_DONE
} RewindOutcome;

/* Rewind. report is filled as far as the run came, also on failure. */
MUST_CHECK bool rewind_run(const Options *options, Report *report, RewindOutcome *outcome,
                           Error *error);

#endif
