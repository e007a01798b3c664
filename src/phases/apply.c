#include "phases/run.h"

#include "apply/apply.h"
#include "base/log.h"
#include "base/workers.h"

#define PATIENCE_SECONDS 300 /* a step that fails after the commit is tried again so long */

bool run_finish_apply(Run *run, Error *error)
{
    const ApplyOptions options = {.syncfs = run->options->syncfs,
                                  .jobs = run->options->jobs,
                                  .patience_seconds = PATIENCE_SECONDS};

    return apply_finish(run->clusters.target.directory, run->interlock, &options, error);
}

bool phase_apply(Run *run, RewindOutcome *outcome, Error *error)
{
    bool committed = false, result;

    if (!stop_check(error))
        return false;
    signals_hold_off();
    result = apply_commit(run->clusters.target.directory, run->interlock, &committed, error);
    if (committed)
        *outcome = REWIND_COMMITTED;
    if (!result)
        return false;
    log_progress_message("syncing target data directory"); /* contract */
    if (!run_finish_apply(run, error))
        return false;
    *outcome = REWIND_DONE;
    return true;
}
