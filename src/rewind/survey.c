#include "rewind/survey.h"

#include "base/workers.h"
#include "stage/check.h"

void survey_target(const Options *options, Problems *problems, Arena *arena, Findings *findings,
                   Error *error)
{
    const Identified *identified = &findings->identified;
    const Clusters *clusters = &identified->clusters;
    Planned *planned = &findings->planned;
    const WalSpace wal = {0};
    Error problem;

    if (findings->staged.stage != NULL || error_worst_kind(error) == ERROR_RETRY ||
        !stop_check(NULL))
        return;
    if (error->kind != ERROR_REPORTED)
        problems_add(problems, error);
    /* Where a plan was made, or tried to be, its files were looked at. */
    if (identified->may_be_looked_at && clusters->source_history.count > 0 &&
        planned->source_files.strings == NULL &&
        (!prepare_least_plan(clusters, &identified->source, options, arena, planned, &problem) ||
         !stage_check(clusters->target.directory, &planned->plan, &wal, &problem)))
        problems_add(problems, &problem);
    error_set_reported(error, problems->worst);
}
