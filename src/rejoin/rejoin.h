/*
 * --rejoin: stop the target's server, rewind it with -R, start it, and wait until it follows the
 * source. A layer above the rewind, which does not know of it.
 */
#ifndef REJOIN_REJOIN_H
#define REJOIN_REJOIN_H

#include "base/error.h"
#include "options.h"
#include "rewind/run.h"

#include <stdbool.h>

/* What was done with the target's server. */
typedef struct RejoinResult
{
    bool stopped, started;     /* by this run */
    bool stopping;             /* asked to stop by this run, and not stopped yet */
    bool running;              /* at the end */
    bool followed;             /* it streams from the source and has replayed the WAL up to */
    Lsn awaited;               /* what the source had when the server was started; LSN_INVALID */
    bool was_primary;          /* before the rewind */
    const char *start_command; /* NULL: not known */
    Lsn sent, replayed; /* when it followed; of pg_stat_replication, empty where the role may not
                           see it: */
    char application_name[128], sync_state[32];
} RejoinResult;

/*
 * As rewind_run. Succeeds when the server follows the source and has replayed what the source had
 * when it was started, or in a dry run, when nothing is known that would keep it from that.
 * REWIND_NOT_JOINED: failed after the rewind. *result is filled in any case; its strings are in
 * run->arena.
 */
MUST_CHECK bool rejoin_run(const Options *options, Run *run, RejoinResult *result,
                           RewindOutcome *outcome, Error *error);

/*
 * The last line of a failed run where the server is what matters: whether it runs, and how it is
 * started. False: nothing was printed, the rewind's own last line is the right one.
 */
bool rejoin_say_what_next(const Options *options, const RejoinResult *result,
                          RewindOutcome outcome);

#endif
