#include "phases/run.h"

#include "apply/apply.h"
#include "base/log.h"
#include "base/workers.h"

bool phase_apply(Run *run, RewindOutcome *outcome, Error *error)
{
    ApplyOptions apply = {.syncfs = run->options->syncfs,
                          .jobs = run->options->jobs,
                          .patience_seconds = APPLY_PATIENCE_SECONDS};
    bool committed = false, result;

    if (!stop_check(error))
        return false;
    signals_hold_off();
    result = apply_commit(run->options->target, run->interlock, &committed, error);
    if (committed)
        *outcome = REWIND_COMMITTED;
    if (!result)
        return false;
    log_progress_message("syncing target data directory"); /* contract */
    if (!apply_finish(run->options->target, run->interlock, &apply, error))
        return false;
    *outcome = REWIND_DONE;
    return true;
}
