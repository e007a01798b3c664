#include "rewind/attempts.h"

#include "base/clock.h"
#include "base/log.h"
#include "divergence/saved_wal.h"
#include "plan/common_wal.h"
#include "stage/check.h"
#include "stage/staged_wal.h"
#include "stage/work_directories.h"
#include "standby/streaming.h"

#define ATTEMPTS_MAX 4 /* the source may copy a database while we work, and another */

/* Everything that can be checked before anything is written: places, types of files, space. */
static bool check_plan(const Options *options, const Findings *findings, Error *error)
{
    const Identified *identified = &findings->identified;
    const Clusters *clusters = &identified->clusters;
    const Planned *planned = &findings->planned;
    const WalSpace wal = staged_wal_space(
        clusters, identified->source_wal, findings->start.wal_from,
        source_state_wal_end(&planned->source, findings->divergence.lsn), options->dry_run);

    return saved_wal_check(options->save_diverged_wal, clusters, &identified->target_wal,
                           &findings->divergence, error) &&
           stage_check(clusters->target.directory, &planned->plan, &wal, error);
}

static void warn_of_wal_before_gap(const Findings *findings)
{
    if (findings->next_start->summarizes_wal && plan_keeps_wal_before_gap(&findings->planned.input))
        log_warning("WAL of the target that is not archived yet stays, and a gap follows: while it "
                    "is there, the target's server cannot summarize WAL, and keeps all");
}

/*
 * Choose where recovery starts, and plan for that start. `source` is the source as it is now,
 * `first` says that nothing was planned before.
 */
static bool plan(const Options *options, const SourceState *source, bool first, Problems *problems,
                 Arena *arena, Findings *findings, Error *error)
{
    const Identified *identified = &findings->identified;
    const Clusters *clusters = &identified->clusters;
    const StartInput known = {.clusters = clusters,
                              .source = source,
                              .divergence = &findings->divergence,
                              .changes = options->compare ? NULL : &findings->changes,
                              .source_wal = identified->source_wal,
                              .options = options,
                              .archives = findings->next_start != NULL &&
                                          findings->next_start->archives_always};
    const PrepareInput input = {.known = &known,
                                .start = &findings->start,
                                .standby_settings = findings->standby_settings,
                                .problems = problems,
                                .first = first};
    double clock = clock_seconds();
    bool planned;

    /* The source's WAL is read from there: it tells whether replay from there comes out right, and
     * which blocks it writes whole, so that they need not be fetched. */
    recovery_start_free(&findings->start);
    if (!recovery_start_choose(&known, arena, &findings->start, error))
        return false;
    clock = findings_count_seconds(findings, PHASE_SCAN, clock);

    planned_free(&findings->planned);
    planned = prepare_plan(&input, arena, &findings->planned, error);
    findings->compared_bytes += findings->planned.compared_bytes;
    if (!planned || !check_plan(options, findings, error) || !problems_check(problems, error) ||
        !findings_find_next_start(options, findings, arena, error))
        return false;
    if (first)
        warn_of_wal_before_gap(findings);
    findings_count_seconds(findings, PHASE_PLAN, clock);
    return true;
}

static void discard_stage(Findings *findings)
{
    Staged *staged = &findings->staged;

    if (staged->stage == NULL)
        return;
    findings_add_fetched(findings, staged->stage);
    stage_abandon(staged->stage);
    stage_free(staged->stage);
    staged->stage = NULL;
}

static TransferInput transfer_input(const Options *options, const Findings *findings)
{
    return (TransferInput){.clusters = &findings->identified.clusters,
                           .divergence = &findings->divergence,
                           .start = &findings->start,
                           .planned = &findings->planned,
                           .next = findings->next_start,
                           .standby_settings = findings->standby_settings,
                           .source_wal = findings->identified.source_wal,
                           .interlock = findings->opened.interlock,
                           .options = options};
}

/* Everything comes to the target's disks, and is proved. While the source copies databases, a plan
 * may be out of date when it is carried out: *obsolete. */
static bool stage(const Options *options, bool final, Findings *findings, Error *error)
{
    const double clock = clock_seconds();
    const TransferInput input = transfer_input(options, findings);
    const bool result = transfer_make(&input, final, &findings->staged, error);

    findings_count_seconds(findings, PHASE_STAGE, clock);
    return result;
}

/* The diverged WAL is kept before the commit takes it from the target; the journal says what the
 * apply will do. */
static bool finish_stage(const Options *options, Arena *arena, Findings *findings, Error *error)
{
    const double clock = clock_seconds();
    const Identified *identified = &findings->identified;
    const TransferInput input = transfer_input(options, findings);

    if (options->save_diverged_wal != NULL &&
        !saved_wal_write(options->save_diverged_wal, &identified->clusters, &identified->target_wal,
                         &findings->divergence, arena, &findings->saved_wal_command, error))
        return false;
    findings->saved = options->save_diverged_wal != NULL;
    if (!transfer_finish(&input, arena, &findings->staged, error))
        return false;
    streaming_check_slot_again(options, &identified->clusters);
    findings_count_seconds(findings, PHASE_STAGE, clock);
    return true;
}

/* True if the rewound standby archives what it receives (archive_mode = always), and does not
 * receive all of the source's WAL since the divergence. */
static bool leaves_gap_in_archive(const Findings *findings)
{
    const RecoveryStart *start = &findings->start;

    return findings->next_start->archives_always && start->wal_from > findings->divergence.lsn &&
           start->wal_from > start->earliest.redo;
}

static void warn_of_gap_in_archive(const Findings *findings)
{
    const Version *version = findings->identified.clusters.shape.version;
    char from[LSN_TEXT_SIZE], to[LSN_TEXT_SIZE];

    log_warning("the archive of the rewound standby will lack the source's WAL from %s to %s",
                lsn_text(version, findings->divergence.lsn, from),
                lsn_text(version, findings->start.wal_from, to));
    log_hint("Recovery starts after that. Copy it from the source's archive, or make a base backup "
             "before you need this one.");
}

/* Only the plan shows the configuration that the rewound standby will have, and so whether it
 * archives. */
static bool plan_for_archive(const Options *options, const SourceState *source, bool first,
                             Problems *problems, Arena *arena, Findings *findings, Error *error)
{
    if (!plan(options, source, first, problems, arena, findings, error))
        return false;
    if (leaves_gap_in_archive(findings) && findings->start.choice.reason == START_ESTIMATE &&
        !plan(options, source, false, problems, arena, findings, error))
        return false;
    if (leaves_gap_in_archive(findings))
        warn_of_gap_in_archive(findings);
    return true;
}

bool attempts_make(const Options *options, Problems *problems, Arena *arena, Findings *findings,
                   Error *error)
{
    SourceState source = findings->identified.source;

    for (int attempt = 1;; attempt++)
    {
        if (!plan_for_archive(options, &source, attempt == 1, problems, arena, findings, error))
            return false;
        /* Before anything is fetched: what the source has from now on, it keeps for the standby. */
        if (attempt == 1 && !streaming_make_slot(options, &findings->identified.clusters,
                                                 LSN_INVALID, &findings->slot_made, error))
            return false;
        if (options->dry_run)
            return true;
        if (!stage(options, attempt == ATTEMPTS_MAX, findings, error))
            return false;
        if (!findings->staged.obsolete)
            return finish_stage(options, arena, findings, error);
        log_info("the source has copied a database or created a tablespace in the meantime: "
                 "starting again");
        discard_stage(findings);
        if (!source_state_read_again(findings->identified.clusters.source, &findings->staged.source,
                                     &source, error))
            return false;
    }
}
