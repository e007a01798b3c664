/*
 * The first step: the target is found and locked, and what an interrupted rewind left is finished.
 */
#ifndef REWIND_OPENING_H
#define REWIND_OPENING_H

#include "base/arena.h"
#include "base/error.h"
#include "target/interlock.h"
#include "target/target.h"
#include "options.h"

#include <stdbool.h>

/* Where a run ended, for the exit status and the last line. */
typedef enum RewindOutcome
{
    REWIND_UNTOUCHED,  /* failed or nothing to do: the target is as it was */
    REWIND_BUSY,       /* failed: another pg_rewind has the target, and may be changing it */
    REWIND_COMMITTED,  /* failed after the commit: running the same command again finishes it */
    REWIND_NOT_JOINED, /* --rejoin: the rewind is done, but the server does not follow the source */
    REWIND_DONE
} RewindOutcome;

/* The rights of a run, or of a look, at a pair. */
typedef struct LookPolicy
{
    bool locks;   /* lock the target, finish or throw away what an interrupted rewind left, and keep
                     servers out; else WAL is fetched to memory, and only little is read (WalStore)
                   */
    bool may_run; /* the target's server may run: it is stopped before a rewind */
} LookPolicy;

/* The target, kept from other pg_rewinds. */
typedef struct Opened
{
    const LookPolicy *policy;
    bool running;         /* only where policy->may_run: the target's server runs */
    Interlock *interlock; /* NULL: not locked */
    const char *scratch;  /* directory for WAL that is fetched for reading; NULL: none yet */
    int scratch_lock;     /* of a dry run's, else -1 */
    bool waited_for_lock; /* another pg_rewind had the target before */
    bool resumed;         /* an interrupted rewind was finished first */
    bool pending;         /* one was found and left: there is nothing more to look at */
} Opened;

/*
 * As the policy says, find and lock the target; finish what an earlier run has committed, throw
 * away what it only prepared. *target gets its directory and mode only (target_open). *outcome is
 * as for rewind_run: REWIND_COMMITTED also where an interrupted rewind waits and could not be
 * finished. opened_release in any case.
 */
MUST_CHECK bool opened_make(const Options *options, const LookPolicy *policy, Arena *arena,
                            Target *target, Opened *opened, RewindOutcome *outcome, Error *error);

/* Remove the scratch directory, release the lock. What cannot be removed is a warning. */
void opened_release(Opened *opened);

#endif
