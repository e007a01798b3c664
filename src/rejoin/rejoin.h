/*
 * --rejoin stops the target's server, rewinds the target with -R, starts the server, and waits
 * until the server follows the source. This folder calls src/rewind, which does not know of
 * --rejoin.
 */
#ifndef REJOIN_REJOIN_H
#define REJOIN_REJOIN_H

#include "rejoin/rejoin_following.h"
#include "rewind/run.h"

/*
 * Like rewind_run, with a server that is stopped before and started afterwards. Succeeds when the
 * server follows the source and has replayed what the source had when the server was started; in a
 * dry run, if nothing is known that would prevent that. A failure after the rewind has outcome
 * REWIND_NOT_JOINED. *result is filled in any case; its strings are in the session's arena.
 */
MUST_CHECK bool rejoin_run(const Options *options, Run *run, RejoinResult *result, Error *error);

/*
 * Print the last line of a failed run if the server's state matters: whether it runs, and how to
 * start it. Returns false, without printing, if the rewind's own last line is the right one.
 */
bool rejoin_say_what_next(const Options *options, const RejoinResult *result,
                          RewindOutcome outcome);

#endif
