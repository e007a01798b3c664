#include "report/facts.h"

#include "base/clock.h"

#include <string.h>

#define REASON_ROW(id, key, text, about) [id] = {key, text},

/* clang-format off */
const ReportTerm report_reasons[] = {
    START_REASONS(REASON_ROW)
    [START_ESTIMATE] = {"estimate", ""},
};
/* clang-format on */

ReportTerm report_result(const Report *report)
{
    const Run *run = report->run;
    const bool dry_run = report->options->dry_run;
    const bool resumed = run->session.resumed || run->session.pending;

    if (report->exit_status == 2)
        return (ReportTerm){"unfinished", "begun but not finished: run the same command again"};
    if (report->exit_status == 3)
        return (ReportTerm){"impossible",
                            "impossible for this target and source; nothing was changed"};
    /* A wrong command line stops a run before it has looked at the target. */
    if (report->exit_status != 0)
        return (ReportTerm){
            "failed", report->error_count > 0 && report->errors[0]->kind == ERROR_USAGE
                          ? "failed; the command line is wrong, and the target was not looked at"
                      : run->session.resumed ? "failed, after an interrupted rewind was finished"
                                             : "failed; the target is unchanged"};
    if (resumed && dry_run)
        return (ReportTerm){"would_finish", "dry run: an interrupted rewind would be finished"};
    if (resumed)
        return (ReportTerm){"finished", "finished a rewind that had been interrupted"};
    if (!run->divergence.needed)
        return (ReportTerm){"not_required", "no rewind required"};
    if (dry_run)
        return (ReportTerm){"would_rewind", "dry run: the target would be rewound"};
    return (ReportTerm){"rewound", "the target was rewound"};
}

void report_times(const Report *report, ReportTime times[PHASE_COUNT])
{
    static const char *const names[PHASE_COUNT] = {
        [PHASE_STOP] = "stop",   [PHASE_IDENTIFY] = "identify", [PHASE_SCAN] = "scan",
        [PHASE_PLAN] = "plan",   [PHASE_STAGE] = "stage",       [PHASE_APPLY] = "apply",
        [PHASE_START] = "start", [PHASE_FOLLOW] = "follow"};
    double other = report->run_seconds;

    for (int phase = PHASE_NONE + 1; phase < PHASE_COUNT; phase++)
    {
        *times++ = (ReportTime){names[phase], report->run->seconds[phase]};
        other -= report->run->seconds[phase];
    }
    *times = (ReportTime){"other", other > 0 ? other : 0};
}

const char *report_lsn(const Report *report, Lsn lsn)
{
    const Version *version = report->run->session.clusters.target.control.version;
    Arena *arena = report->run->session.arena;

    return version != NULL ? arena_strdup(arena, LSN_TEXT(version, lsn))
                           : arena_printf(arena, "%X/%X", LSN_ARGS(lsn));
}

/* ---- Histories ---- */

bool report_compares(const Report *report)
{
    const Options *options = report->run->session.options;

    return (options != NULL ? options : report->options)->compare;
}

const ScanCheckpoint *report_common_checkpoint(const Report *report)
{
    const Divergence *divergence = &report->run->divergence;
    const ScanCheckpoint *common = &divergence->common_checkpoint;

    return divergence->printed != LSN_INVALID && divergence->needed && !report_compares(report) &&
                   common->lsn != LSN_INVALID
               ? common
               : NULL;
}

Lsn report_common_redo(const Report *report)
{
    return start_early(report_common_checkpoint(report), &report->run->source_state.control).redo;
}

Lsn report_target_end(const Report *report)
{
    return report_compares(report) ? LSN_INVALID : report->run->divergence.target_end;
}

/* ---- Bytes ---- */

uint64_t report_planned_wal_bytes(const Report *report)
{
    const Run *run = report->run;
    const WalShape *shape = &run->session.clusters.shape;
    const Lsn end = source_state_wal_end(&run->planned.source, run->divergence.lsn);

    /* A segment is staged from its first byte. */
    return end - wal_segment_start(shape, wal_segment_of(shape, run->start.wal_from)) +
           run->reread_wal_bytes;
}

uint64_t report_bytes_saved(const Report *report)
{
    const Plan *plan = &report->run->planned.plan;
    const uint64_t moved = report->options->dry_run
                               ? plan->fetch_bytes + report_planned_wal_bytes(report)
                               : report->run->fetched.fetched_bytes;

    return plan->source_bytes > moved ? plan->source_bytes - moved : 0;
}

/* ---- Consequences ---- */

bool report_replay(const Report *report, Lsn *from, Lsn *to, uint64_t *segments)
{
    const Run *run = report->run;
    const WalShape *shape = &run->session.clusters.shape;

    *from = run->start.chosen.redo;
    *to = run->staged.min_recovery_timeline != 0
              ? run->staged.min_recovery_point
              : source_state_wal_end(&run->planned.source, run->divergence.lsn);
    if (!run->planned.known || *from == LSN_INVALID || *to < *from)
        return false;
    *segments = *to > *from ? wal_segment_before(shape, *to) - wal_segment_of(shape, *from) + 1 : 0;
    return true;
}

bool report_prepared(const Report *report, PlanPrepared *prepared)
{
    const Run *run = report->run;

    if (!run->planned.known || !run->changes.known)
        return false;
    *prepared = plan_prepared(&run->planned.plan,
                              &(PlanPreparedList){run->start.prepared, run->start.prepared_count},
                              &run->changes.scanned, run->divergence.lsn, run->session.arena);
    return true;
}

const char *const *report_archived(const Report *report, size_t *count)
{
    const Run *run = report->run;

    *count = 0;
    if (!run->planned.known ||
        run->divergence.lsn == LSN_INVALID) /* with --compare no divergence is known */
        return NULL;
    return plan_archived_lost(&run->planned.input, run->session.arena, count);
}
