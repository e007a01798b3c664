#include "rewind/opening.h"

#include "apply/apply.h"
#include "apply/journal.h"
#include "stage/work_directories.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "io/file.h"
#include "io/scratch.h"

#include <stdlib.h>

#define POLL_MILLISECONDS 100

/*
 * Another pg_rewind that works here is waited for; then this is the same command once more. "The
 * target is unchanged" would not be true as long as it has the lock, whatever it has done until
 * now.
 */
static bool acquire_lock(const char *target, int patience, Opened *opened, RewindOutcome *outcome,
                         Error *error)
{
    const double begin = clock_seconds();
    bool told = false;

    for (;;)
    {
        if (!interlock_acquire(target, &opened->interlock, error))
            return false;
        *outcome = opened->interlock != NULL ? REWIND_UNTOUCHED : REWIND_BUSY;
        if (opened->interlock != NULL)
            return true;
        if (clock_seconds() - begin >= patience)
            break;
        if (!told)
            log_info("waiting for another pg_rewind that is working on directory \"%s\"", target);
        told = opened->waited_for_lock = true;
        if (!stop_pause(POLL_MILLISECONDS, error))
            return false;
    }
    error_set(error, ERROR_FAILED, "another pg_rewind is working on directory \"%s\"", target);
    return error_detail(error, "This pg_rewind waited %d s for it (--wait-timeout).", patience);
}

/* The journal decides, whatever this command asks for. Options without effect are named before the
 * work. */
static void warn_of_other_options(const PendingRewind *pending, const Options *options,
                                  Arena *arena)
{
    const char *asked = journal_options_text(options, arena);
    AUTO_BUFFER Buffer ignored = {0};
    AUTO_BUFFER Buffer begun_with = {0};

    if (pending->options != NULL)
    {
        journal_options_missing(asked, pending->options, false, &ignored);
        journal_options_missing(pending->options, asked, true, &begun_with);
    }
    if (ignored.size > 0 || begun_with.size > 0)
        log_warning("the interrupted rewind is finished with the options that it was begun with");
    if (ignored.size > 0)
        log_detail("Options of this command that have no effect on it: %s.",
                   buffer_string(&ignored));
    if (begun_with.size > 0)
        log_detail("Options that it was begun with, and that this command does not have: %s.",
                   buffer_string(&begun_with));
}

/* Carry out what an earlier run has committed; then the target is like any other, and the lock is
 * free of that run. */
static bool finish_pending(const char *target, const Options *options, const PendingRewind *pending,
                           Arena *arena, Opened *opened, RewindOutcome *outcome, Error *error)
{
    log_info("finishing an interrupted rewind: servers diverged at WAL location %s",
             pending->divergence);
    warn_of_other_options(pending, options, arena);
    *outcome = REWIND_COMMITTED;
    signals_hold_off();
    if (!apply_finish(target, opened->interlock, options, APPLY_PATIENCE_SECONDS, error))
        return false;
    log_info("the interrupted rewind is finished");
    *outcome = REWIND_UNTOUCHED;
    opened->resumed = true;
    interlock_release(opened->interlock);
    opened->interlock = NULL;
    signals_heed_again();
    /* A request to stop that came in the meantime is no request to begin another rewind. */
    return acquire_lock(target, options->wait_timeout_seconds, opened, outcome, error) &&
           stop_check(error);
}

/* Finish or throw away what an earlier run left; a dry run only notes it. */
static bool handle_pending(const char *target, const Options *options, Arena *arena, Opened *opened,
                           RewindOutcome *outcome, Error *error)
{
    PendingRewind pending;
    bool is_live;

    if (!apply_pending(target, arena, &pending, error))
        return false;
    is_live = pending.state == PENDING_APPLY || pending.state == PENDING_CLEANUP;
    if (is_live && options->dry_run)
    {
        opened->pending = true;
        log_info("servers diverged at WAL location %s",
                 pending.divergence); /* contract: callers look for it */
        warn_of_other_options(&pending, options, arena);
        log_info("an interrupted rewind is pending");
        return true;
    }
    if (options->dry_run)
        return true;
    if (is_live && !finish_pending(target, options, &pending, arena, opened, outcome, error))
        return false;
    return interlock_remove_leftover(opened->interlock, error) &&
           stage_remove_stale(target, error) && scratch_remove(opened->scratch, error);
}

/* A dry run writes nothing in the target. */
static bool make_own_scratch(Arena *arena, Opened *opened, Error *error)
{
    const char *parent = getenv("TMPDIR");
    char *path;

    if (parent == NULL || parent[0] == '\0')
        parent = "/tmp";
    if (!scratch_make(parent, arena, &path, &opened->scratch_lock, error))
        return false;
    opened->scratch = path;
    return true;
}

static bool lock_target(const char *target, const Options *options, Arena *arena, Opened *opened,
                        RewindOutcome *outcome, Error *error)
{
    if (!acquire_lock(target, options->wait_timeout_seconds, opened, outcome, error))
        return false;
    if (options->dry_run)
        return make_own_scratch(arena, opened, error);
    opened->scratch = arena_printf(arena, "%s/" WORK_DIRECTORY ".wal", target);
    return true;
}

/* Nothing is locked or changed. An interrupted rewind keeps servers out. */
static bool find_running_server(const Target *target, Opened *opened, Error *error)
{
    long pid;

    if (!target_server_running(target, &opened->running, &pid, error))
        return false;
    opened->pending = !opened->running && apply_may_be_pending(target->directory);
    return true;
}

bool opened_make(const Options *options, const LookPolicy *policy, Arena *arena, Target *target,
                 Opened *opened, RewindOutcome *outcome, Error *error)
{
    *opened = (Opened){.policy = policy, .scratch_lock = -1};
    if (!target_open(arena, options->target, target, error))
        return false;
    if (!policy->locks)
        return find_running_server(target, opened, error);
    if (lock_target(target->directory, options, arena, opened, outcome, error) &&
        handle_pending(target->directory, options, arena, opened, outcome, error))
        return true;
    /* "The target is unchanged" would not be true of one that waits for being finished. */
    if (*outcome == REWIND_UNTOUCHED && !opened->resumed && apply_may_be_pending(target->directory))
        *outcome = REWIND_COMMITTED;
    return false;
}

void opened_release(Opened *opened)
{
    Error error = {0};

    if (opened->scratch != NULL && !scratch_remove(opened->scratch, &error))
        log_warning("%s", error.message);
    file_close(opened->scratch_lock);
    interlock_release(opened->interlock);
}
