#include "phases/run.h"

#include "apply/apply.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "io/scratch.h"

#include <stdlib.h>
#include <unistd.h>

#define POLL_MILLISECONDS 100

/*
 * Another pg_rewind that works here is waited for; then this is the same command once more. "The
 * target is unchanged" would not be true as long as it has the lock, whatever it has done until
 * now.
 */
static bool acquire_lock(Run *run, RewindOutcome *outcome, Error *error)
{
    const char *target = run->target.directory;
    const int patience = run->options->wait_timeout_seconds;
    const double begin = clock_seconds();
    bool told = false;

    for (;;)
    {
        if (!interlock_acquire(target, &run->interlock, error))
            return false;
        *outcome = run->interlock != NULL ? REWIND_UNTOUCHED : REWIND_BUSY;
        if (run->interlock != NULL)
            return true;
        if (clock_seconds() - begin >= patience)
            break;
        if (!told)
            log_info("waiting for another pg_rewind that is working on directory \"%s\"", target);
        told = run->lock_waited = true;
        if (!stop_pause(POLL_MILLISECONDS, error))
            return false;
    }
    error_set(error, ERROR_FAILED, "another pg_rewind is working on directory \"%s\"", target);
    return error_detail(error, "This pg_rewind waited %d s for it (--wait-timeout).", patience);
}

/* Carry out what an earlier run has committed; then the target is like any other, and the lock is
 * free of that run. */
static bool finish_pending(Run *run, const char *description, RewindOutcome *outcome, Error *error)
{
    log_info("finishing an interrupted rewind: servers diverged at WAL location %s", description);
    *outcome = REWIND_COMMITTED;
    signals_hold_off();
    if (!run_finish_apply(run, error))
        return false;
    log_info("the interrupted rewind is finished");
    *outcome = REWIND_UNTOUCHED;
    run->resumed = run->report->resumed = true;
    interlock_release(run->interlock);
    run->interlock = NULL;
    signals_heed_again();
    /* Who wanted us to stop meanwhile does not want another rewind to begin. */
    return acquire_lock(run, outcome, error) && stop_check(error);
}

/* What an earlier run left is finished or thrown away. *finished: a dry run, for which there is
 * nothing more to say. */
static bool handle_pending(Run *run, bool *finished, RewindOutcome *outcome, Error *error)
{
    PendingState state;
    const char *description = NULL;
    bool pending;

    *finished = false;
    if (!apply_pending(run->target.directory, run->arena, &state, &description, error))
        return false;
    pending = state == PENDING_APPLY || state == PENDING_CLEANUP;
    if (pending && run->options->dry_run)
    {
        *finished = true;
        run->report->rewind_needed = run->report->resumed = true;
        log_info("servers diverged at WAL location %s",
                 description); /* contract: callers look for it */
        log_info("an interrupted rewind is pending; running without --dry-run finishes it");
        return true;
    }
    if (run->options->dry_run)
        return true;
    if (pending && !finish_pending(run, description, outcome, error))
        return false;
    return interlock_remove_leftover(run->interlock, error) &&
           stage_remove_stale(run->target.directory, error) && run_remove_scratch(run, error);
}

/* A dry run writes nothing in the target. */
static bool make_own_scratch(Run *run, Error *error)
{
    const char *parent = getenv("TMPDIR");
    char path[PATH_SIZE];

    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if (!scratch_make(parent, path, &run->scratch_lock, error))
        return false;
    run->scratch = arena_strdup(run->arena, path);
    return true;
}

static bool lock_target(Run *run, RewindOutcome *outcome, Error *error)
{
    const char *target = run->target.directory;

    if (!acquire_lock(run, outcome, error))
        return false;
    if (!run->options->dry_run)
    {
        run->scratch = arena_printf(run->arena, "%s/" WORK_DIRECTORY ".wal", target);
        return true;
    }
    return make_own_scratch(run, error);
}

bool phase_open(Run *run, bool *finished, RewindOutcome *outcome, Error *error)
{
    bool opened = target_open(run->arena, run->options->target, &run->target, error);

    run->report->target = run->target.directory;
    if (opened && lock_target(run, outcome, error) && handle_pending(run, finished, outcome, error))
        return true;
    /* "The target is unchanged" would not be true of one that waits for being finished. */
    if (*outcome == REWIND_UNTOUCHED && !run->resumed &&
        apply_may_be_pending(run->target.directory))
        *outcome = REWIND_COMMITTED;
    return false;
}
