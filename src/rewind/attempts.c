#include "rewind/attempts.h"

#include "base/clock.h"
#include "base/log.h"
#include "divergence/saved_wal.h"
#include "plan/plan.h"
#include "stage/check.h"
#include "stage/staged_wal.h"
#include "stage/work_directories.h"
#include "standby/streaming.h"

#define ATTEMPTS_MAX 4 /* the source may copy a database while we work, and another */

/* Everything that can be checked before anything is written: places, types of files, space. */
static bool check_plan(const Options *options, const Run *run, Error *error)
{
    const Identified *identified = &run->identified;
    const Clusters *clusters = &identified->clusters;
    const Planned *planned = &run->planned;
    const WalSpace wal = staged_wal_space(
        clusters, identified->source_wal, run->start.wal_from,
        source_state_wal_end(&planned->source, run->divergence.lsn), options->dry_run);

    return saved_wal_check(options->save_diverged_wal, clusters, &identified->target_wal,
                           &run->divergence, error) &&
           stage_check(clusters->target.directory, &planned->plan, &wal, error);
}

static void warn_of_wal_before_gap(const Run *run)
{
    if (run->next_start->summarizes_wal && plan_keeps_wal_before_gap(&run->planned.input))
        log_warning("WAL of the target that is not archived yet stays, and a gap follows: while it "
                    "is there, the target's server cannot summarize WAL, and keeps all");
}

/*
 * Choose where recovery starts, and plan for that start. `source` is the source as it is now,
 * `first` says that nothing was planned before.
 */
static bool plan(const Options *options, const SourceState *source, bool first, Problems *problems,
                 Arena *arena, Run *run, Error *error)
{
    const Identified *identified = &run->identified;
    const Clusters *clusters = &identified->clusters;
    const StartInput known = {.clusters = clusters,
                              .source = source,
                              .divergence = &run->divergence,
                              .changes = options->compare ? NULL : &run->changes,
                              .source_wal = identified->source_wal,
                              .options = options,
                              .archives =
                                  run->next_start != NULL && run->next_start->archives_always};
    const PrepareInput input = {.known = &known,
                                .start = &run->start,
                                .standby_settings = run->standby_settings,
                                .problems = problems,
                                .first = first};
    double clock = clock_seconds();
    bool planned;

    /* The source's WAL is read from there: it tells whether replay from there comes out right, and
     * which blocks it writes whole, so that they need not be fetched. */
    recovery_start_free(&run->start);
    if (!recovery_start_choose(&known, arena, &run->start, error))
        return false;
    clock = run_count_seconds(run, PHASE_SCAN, clock);

    planned_free(&run->planned);
    planned = prepare_plan(&input, arena, &run->planned, error);
    run->compared_bytes += run->planned.compared_bytes;
    if (!planned || !check_plan(options, run, error) || !problems_check(problems, error) ||
        !run_find_next_start(options, run, arena, error))
        return false;
    if (first)
        warn_of_wal_before_gap(run);
    run_count_seconds(run, PHASE_PLAN, clock);
    return true;
}

static void discard_stage(Run *run)
{
    Staged *staged = &run->staged;

    if (staged->stage == NULL)
        return;
    run_add_fetched(run, staged->stage);
    stage_abandon(staged->stage);
    stage_free(staged->stage);
    staged->stage = NULL;
}

static TransferInput transfer_input(const Options *options, const Run *run)
{
    return (TransferInput){.clusters = &run->identified.clusters,
                           .divergence = &run->divergence,
                           .start = &run->start,
                           .planned = &run->planned,
                           .next = run->next_start,
                           .standby_settings = run->standby_settings,
                           .source_wal = run->identified.source_wal,
                           .interlock = run->opened.interlock,
                           .options = options};
}

/* Everything comes to the target's disks, and is proved. While the source copies databases, a plan
 * may be out of date when it is carried out: *obsolete. */
static bool stage(const Options *options, bool final, Run *run, Error *error)
{
    const double clock = clock_seconds();
    const TransferInput input = transfer_input(options, run);
    const bool result = transfer_make(&input, final, &run->staged, error);

    run_count_seconds(run, PHASE_STAGE, clock);
    return result;
}

/* The diverged WAL is kept before the commit takes it from the target; the journal says what the
 * apply will do. */
static bool finish_stage(const Options *options, Arena *arena, Run *run, Error *error)
{
    const double clock = clock_seconds();
    const Identified *identified = &run->identified;
    const TransferInput input = transfer_input(options, run);

    if (options->save_diverged_wal != NULL &&
        !saved_wal_write(options->save_diverged_wal, &identified->clusters, &identified->target_wal,
                         &run->divergence, arena, &run->saved_wal_command, error))
        return false;
    run->saved = options->save_diverged_wal != NULL;
    if (!transfer_finish(&input, arena, &run->staged, error))
        return false;
    streaming_check_slot_again(options, &identified->clusters);
    run_count_seconds(run, PHASE_STAGE, clock);
    return true;
}

/* True if the rewound standby archives what it receives (archive_mode = always), and does not
 * receive all of the source's WAL since the divergence. */
static bool leaves_gap_in_archive(const Run *run)
{
    const RecoveryStart *start = &run->start;

    return run->next_start->archives_always && start->wal_from > run->divergence.lsn &&
           start->wal_from > start->earliest.redo;
}

static void warn_of_gap_in_archive(const Run *run)
{
    const Version *version = run->identified.clusters.shape.version;

    log_warning("the archive of the rewound standby will lack the source's WAL from %s to %s",
                LSN_TEXT(version, run->divergence.lsn), LSN_TEXT(version, run->start.wal_from));
    log_hint("Recovery starts after that. Copy it from the source's archive, or make a base backup "
             "before you need this one.");
}

/* Only the plan shows the configuration that the rewound standby will have, and so whether it
 * archives. */
static bool plan_for_archive(const Options *options, const SourceState *source, bool first,
                             Problems *problems, Arena *arena, Run *run, Error *error)
{
    if (!plan(options, source, first, problems, arena, run, error))
        return false;
    if (leaves_gap_in_archive(run) && run->start.choice.reason == START_ESTIMATE &&
        !plan(options, source, false, problems, arena, run, error))
        return false;
    if (leaves_gap_in_archive(run))
        warn_of_gap_in_archive(run);
    return true;
}

bool attempts_make(const Options *options, Problems *problems, Arena *arena, Run *run, Error *error)
{
    SourceState source = run->identified.source;

    for (int attempt = 1;; attempt++)
    {
        if (!plan_for_archive(options, &source, attempt == 1, problems, arena, run, error))
            return false;
        /* Before anything is fetched: what the source has from now on, it keeps for the standby. */
        if (attempt == 1 && !streaming_make_slot(options, &run->identified.clusters, LSN_INVALID,
                                                 &run->slot_made, error))
            return false;
        if (options->dry_run)
            return true;
        if (!stage(options, attempt == ATTEMPTS_MAX, run, error))
            return false;
        if (!run->staged.obsolete)
            return finish_stage(options, arena, run, error);
        log_info("the source has copied a database or created a tablespace in the meantime: "
                 "starting again");
        discard_stage(run);
        if (!source_state_read_again(run->identified.clusters.source, &run->staged.source, &source,
                                     error))
            return false;
    }
}
