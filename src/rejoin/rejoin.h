/*
 * --rejoin: stop the target's server, rewind it with -R, start it, and wait until it follows the
 * source. A layer above the rewind, which does not know of it.
 */
#ifndef REJOIN_REJOIN_H
#define REJOIN_REJOIN_H

#include "rejoin/rejoin_following.h"
#include "rewind/run.h"

/*
 * As rewind_run. Succeeds when the server follows the source and has replayed what the source had
 * when it was started, or in a dry run, when nothing is known that would keep it from that.
 * REWIND_NOT_JOINED: failed after the rewind. *result is filled in any case; its strings are in
 * the arena of the session.
 */
MUST_CHECK bool rejoin_run(const Options *options, Run *run, RejoinResult *result, Error *error);

/*
 * The last line of a failed run where the server is what matters: whether it runs, and how it is
 * started. False: nothing was printed, the rewind's own last line is the right one.
 */
bool rejoin_say_what_next(const Options *options, const RejoinResult *result,
                          RewindOutcome outcome);

#endif
