#include "recovery_start/choice.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "recovery_start/by_summaries.h"
#include "recovery_start/replay_hazard.h"

#include <string.h>

#define MEGABYTE (1024 * 1024)
#define POLL_MILLISECONDS 100 /* between two looks at the source's pg_control */

/* As much WAL before a late start is kept for a second rewind, towards another source, of a target
 * that was never started; its cost is not worth a word. */
#define KEPT_BEFORE_LATE ESTIMATE_WAL_MIN

/* What the WAL from the chosen start on, which was read, says of its replay. */
static bool judge_replay(Choice *choice, WalScan *scan, ScanResult *chain, Lsn last_end,
                         ReplayHazard *hazard, Error *error)
{
    RecoveryStart *made = choice->made;

    if (!replay_hazard_find(choice->clusters, &made->source, choice->options, scan_stream(scan),
                            chain, hazard, error))
        return false;
    made->opens_later = start_opening(&made->chosen, chain, made->wal_end) == OPENING_LATER;
    blockmap_destroy(made->rebuilt);
    made->rebuilt = scan_take_rebuilt(scan, chain);
    made->rebuilt_end = last_end;
    made->prepared = chain->prepared;
    made->prepared_count = chain->prepared_count;
    return true;
}

static void add_databases(Arena *arena, const ScanResult *more, ScanResult *changes)
{
    const size_t count = changes->database_count + more->database_count;
    ScanDatabase *databases = arena_allocate(arena, (count + 1) * sizeof(*databases));

    if (changes->database_count > 0)
        memcpy(databases, changes->databases, changes->database_count * sizeof(*databases));
    if (more->database_count > 0)
        memcpy(databases + changes->database_count, more->databases,
               more->database_count * sizeof(*databases));
    changes->databases = databases;
    changes->database_count = count;
}

/*
 * What the source touched before a late start is not rebuilt by replay: it counts like what the
 * target touched. Before the early start there is nothing that only the source has. `scanned` is of
 * the source's WAL from the early start on, or from where such WAL ended that was added before.
 */
static bool add_source_changes(Choice *choice, const ScanResult *scanned, Lsn end, Error *error)
{
    RecoveryStart *made = choice->made;

    if (!scan_check_known_updates(choice->clusters->shape.version, scanned, error))
        return false;
    if (made->own_blocks == NULL)
    {
        made->own_blocks = blockmap_copy(choice->changes->scanned.blocks);
        made->changes = choice->changes->scanned;
        made->changes.blocks = made->own_blocks;
        made->whole_from = made->earliest.redo;
    }
    blockmap_forget_forks(scanned->blocks); /* which ones the target has made is asked for later */
    blockmap_merge(made->own_blocks, scanned->blocks);
    add_databases(choice->arena, scanned, &made->changes);
    choice->added_to = end;
    return true;
}

static bool keeps_wal_before_late(const RecoveryStart *made)
{
    return !made->by_summaries && !made->choice.compares &&
           made->chosen.redo - made->earliest.redo <= KEPT_BEFORE_LATE;
}

/* What the source changed before the late start is found when the plan is made, by comparing: like
 * what the target changed. */
static bool leave_to_comparing(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;

    blockmap_destroy(made->own_blocks);
    made->own_blocks = blockmap_create();
    made->changes = (ScanResult){.blocks = made->own_blocks};
    return source_wal_forget_before(choice->source_wal, made->earliest.redo, made->chosen.redo,
                                    error);
}

/* Before the WAL is read that lies before a late start which was not chosen by what it costs: does
 * comparing cost less? */
static bool weigh_comparing(Choice *choice, Error *error)
{
    const RecoveryStart *made = choice->made;
    const bool may = made->choice.reason == START_ASKED || made->choice.reason == START_SPACE;

    return !may || made->by_summaries || made->choice.compares ||
           prefer_comparing(choice, made->chosen.redo - made->earliest.redo, error);
}

/* It was chosen by what it would cost to read the WAL before it, or by summaries that lead to that
 * WAL: now it is the only one. */
static bool compare_instead_of_missing(Choice *choice, Error *error)
{
    StartChoice *made = &choice->made->choice;

    if (made->reason == START_ESTIMATE)
        made->reason = START_NO_WAL;
    choice->made->by_summaries = false;
    return compare_without_wal(choice, error);
}

/* Read what lies before the late start, as far as it was not read yet. Where that is nowhere, all
 * blocks are to be compared. */
static bool read_before_late(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;
    SourceWalReading reading = {
        .from = choice->added_to != LSN_INVALID ? choice->added_to : made->earliest.redo,
        .end = made->chosen.redo,
        .once = !keeps_wal_before_late(made),
        .watch = made->choice.reason == START_ESTIMATE ? regret_late : NULL,
        .watch_context = choice,
    };
    ScanResult scanned;
    WalScan *scan;
    bool result;

    /* All of it was read before that start was chosen. Where nothing was, this goes on though
     * nothing may lie between the two starts: the early one's own blocks become ours. */
    if (choice->added_to >= made->chosen.redo)
        return true;
    if (reading.once &&
        !source_wal_forget_before(choice->source_wal, made->earliest.redo, reading.from, error))
        return false;
    if (!source_wal_read(choice->source_wal, &reading, &scan, &scanned, error))
        return reading.missing_end != LSN_INVALID && compare_instead_of_missing(choice, error);
    choice->regretted = reading.stopped;
    result = reading.stopped || add_source_changes(choice, &scanned, made->chosen.redo, error);
    scan_destroy(scan);
    return result;
}

/* Add what makes a later start possible. */
static bool error_hint_checkpoint(const Choice *choice, Error *error)
{
    const Options *options = choice->options;

    if (options->checkpoint && choice->made->source.position.in_recovery)
        return error_hint(error, "A standby makes no later checkpoint than its primary's last one: "
                                 "run CHECKPOINT on the primary, then run pg_rewind again.");
    if (!choice->clusters->source->is_server)
        return error_hint(error, "Start the source, run CHECKPOINT there, and stop it; then run "
                                 "pg_rewind again.");
    return error_hint(error, "Run CHECKPOINT on the source, then run pg_rewind again.\n"
                             "With --checkpoint pg_rewind runs it itself.");
}

/* Read what is replayed from the late start, and what lies before it, unless that is regretted. */
static bool start_later(Choice *choice, ReplayHazard *hazard, Error *error)
{
    RecoveryStart *made = choice->made;
    SourceWalReading reading;
    ScanResult chain;
    WalScan *scan;
    char text[LSN_TEXT_SIZE];
    bool result;

    log_debug("recovery starts late, at the source's checkpoint %s",
              lsn_text(choice->clusters->shape.version, made->chosen.checkpoint, text));
    /* With --compare nothing is compared yet: what the source did before this start, it is compared
     * with. */
    if (choice->changes == NULL)
        made->earliest = made->chosen;
    else if (!weigh_comparing(choice, error) ||
             (!made->choice.compares && !read_before_late(choice, error)) ||
             (made->choice.compares && !leave_to_comparing(choice, error)))
        return false;
    if (choice->regretted)
        return true;
    made->wal_from = keeps_wal_before_late(made) ? made->earliest.redo : made->chosen.redo;
    /* The checkpoint may be later than all that was read. */
    made->wal_end = source_state_wal_end(&made->source, choice->divergence->lsn);
    reading = (SourceWalReading){.from = made->chosen.redo, .end = made->wal_end};
    if (!source_wal_read(choice->source_wal, &reading, &scan, &chain, error))
        return reading.missing_end != LSN_INVALID && error_hint_checkpoint(choice, error);
    result = judge_replay(choice, scan, &chain, reading.last_end, hazard, error);
    scan_destroy(scan);
    return result;
}

/* There is no start from which replay is right. */
static bool error_no_start(const Choice *choice, const ReplayHazard *hazard, Error *error)
{
    error_copy(error, &hazard->error);
    return error_hint_checkpoint(choice, error);
}

/* Not where a dry run has not made the checkpoint that the rewind would make. */
static bool refuse_start(const Choice *choice, const ReplayHazard *hazard, Error *error)
{
    if (choice->options->checkpoint && choice->options->dry_run)
        return true;
    return error_no_start(choice, hazard, error);
}

/*
 * Is there a late start past that record (LSN_INVALID: any)? With --checkpoint one is made. A dry
 * run makes none, and goes on without it.
 */
static bool find_late_start(Choice *choice, Lsn record, bool *there, Error *error)
{
    RecoveryStart *made = choice->made;
    Source *source = choice->clusters->source;
    const Lsn divergence = choice->divergence->lsn;

    *there = start_late(&made->source.control, divergence, record, &made->chosen);
    if (*there || !choice->options->checkpoint)
        return true;
    if (choice->options->dry_run)
    {
        log_info("not running CHECKPOINT on the source in a dry run: less would be replayed, and "
                 "more copied, than is planned now");
        return true;
    }
    log_info("running CHECKPOINT on the source");
    /* The one exception to invariant 6, asked for by name. */
    if (!source_server_checkpoint(source, error) ||
        !source_state_read_again(source, &made->source, &made->source, error))
        return false;
    *there = start_late(&made->source.control, divergence, record, &made->chosen);
    return true;
}

/* A primary that has copied a database makes a checkpoint at once: wait for that. One that was
 * promoted since takes its time. */
static bool wait_for_late_start(Choice *choice, const ReplayHazard *hazard, bool *there,
                                Error *error)
{
    RecoveryStart *made = choice->made;
    Source *source = choice->clusters->source;
    const double deadline = clock_seconds() + choice->options->wait_timeout_seconds;

    if (!find_late_start(choice, hazard->lsn, there, error))
        return false;
    if (*there || choice->options->checkpoint || !hazard->checkpoint_follows ||
        made->source.position.in_recovery || !source->is_server)
        return true;
    log_info("waiting for a checkpoint of the source after its copy of a database; CHECKPOINT "
             "there ends the wait");
    while (!*there && clock_seconds() < deadline)
    {
        if (!stop_pause(POLL_MILLISECONDS, error) ||
            !source_state_read_again(source, &made->source, &made->source, error))
            return false;
        *there =
            start_late(&made->source.control, choice->divergence->lsn, hazard->lsn, &made->chosen);
    }
    return true;
}

/* Is there a start past the hazard, or none needed? *late tells which. */
static bool avoid_hazard(Choice *choice, const ReplayHazard *hazard, bool *late, Error *error)
{
    if (!wait_for_late_start(choice, hazard, late, error))
        return false;
    if (*late)
        return true;
    choice->made->copies_are_replayed = hazard->copies_come_out_right;
    return hazard->copies_come_out_right || refuse_start(choice, hazard, error);
}

/* Take that start. Past it replay may do something wrong as well: *hazard. */
static bool take_late_start(Choice *choice, StartReason reason, ReplayHazard *hazard, Error *error)
{
    choice->made->choice.reason = reason;
    choice->made->choice.late = true;
    return start_later(choice, hazard, error);
}

/* Would the source make a checkpoint, which so much WAL lies before that it may be worth it? */
static bool may_make_checkpoint(const Choice *choice, Lsn last_redo)
{
    const RecoveryStart *made = choice->made;

    return choice->options->checkpoint && choice->clusters->source->is_server &&
           !choice->without_checkpoint && !made->source.position.in_recovery &&
           made->wal_end >= last_redo + ESTIMATE_WAL_MUCH;
}

/* Is there a choice? Then *late is the other start; with choice->needs_checkpoint it is still to be
 * made. Not a shutdown checkpoint, whose record lies at its own redo position, where no standby
 * should start. */
static bool may_start_late(Choice *choice, Start *late)
{
    const RecoveryStart *made = choice->made;
    bool there;

    choice->needs_checkpoint = false;
    if (choice->changes == NULL)
        return false;
    there = start_late(&made->source.control, choice->divergence->lsn, LSN_INVALID, late) &&
            late->redo - made->earliest.redo >= ESTIMATE_WAL_MIN &&
            (late->checkpoint != late->redo || choice->clusters->shape.version->starts_at_shutdown);
    choice->needs_checkpoint =
        may_make_checkpoint(choice, there ? late->redo : made->earliest.redo);
    if (choice->needs_checkpoint)
        *late = (Start){.redo = made->wal_end};
    return there || choice->needs_checkpoint;
}

/* A dry run does not make the checkpoint from which recovery would start: no WAL before its end is
 * needed. */
static bool foretell_comparing(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;

    made->wal_from = made->wal_end;
    return choice->changes == NULL ||
           (compare_without_wal(choice, error) && leave_to_comparing(choice, error));
}

/*
 * WAL from the early start on, up to missing_end, is nowhere. A late start needs none of what lies
 * before it, if all blocks are compared. The source may have made it since the run began, and
 * removed that WAL then. *error says what is missing; where there is no such start, also what would
 * help.
 */
static bool start_without_wal(Choice *choice, Lsn missing_end, bool *late, Error *error)
{
    RecoveryStart *made = choice->made;
    Error why = {0};

    if (choice->options->early_start)
        return error_hint(error, "Without --early-start recovery can start at a later checkpoint "
                                 "of the source; all blocks are compared then.");
    if (!source_state_read_again(choice->clusters->source, &made->source, &made->source, &why) ||
        !find_late_start(choice, missing_end - 1, late, &why))
        return error_copy(error, &why);
    if (!*late && !(choice->options->checkpoint && choice->options->dry_run))
        return error_hint_checkpoint(choice, error);
    made->choice.reason = START_NO_WAL;
    if (!*late)
        return foretell_comparing(choice, error);
    made->choice.late_redo = made->chosen.redo;
    return choice->changes == NULL || compare_without_wal(choice, error);
}

/* Read the WAL from the early start on. *late: the start that was found to be better is chosen
 * instead, with what was read of the WAL before it; else *hazard is what replay would do wrongly.
 */
static bool read_from_early(Choice *choice, bool *late, ReplayHazard *hazard, Error *error)
{
    RecoveryStart *made = choice->made;
    const bool decided = choice->options->early_start || choice->archives;
    SourceWalReading reading = {.from = made->earliest.redo, .end = made->wal_end};
    ScanResult scanned;
    WalScan *scan;
    Start other;
    Error why = {0};
    const bool choose = may_start_late(choice, &other);
    bool result;

    *late = false;
    if (choose)
        made->choice.late_redo = other.redo;
    if (choose && decided)
        made->choice.reason = choice->options->early_start ? START_ASKED : START_ARCHIVE;
    if (choose && !decided && made->choice.reason != START_ESTIMATE)
    {
        if (!prefer_comparing_at_once(choice, error))
            return false;
        *late = made->choice.compares;
        made->chosen = *late ? other : made->earliest;
        if (*late)
            return true;
    }
    if (!source_wal_check_space(choice->source_wal, reading.from, reading.end, &why))
    {
        if (!choose || choice->options->early_start)
            return error_copy(error, &why);
        log_debug("%s", why.message);
        made->choice.reason = START_SPACE;
        made->chosen = other;
        *late = true;
        return true;
    }
    if (choose && !decided)
    {
        choice_begin_looking(choice);
        reading.watch = prefer_late;
        reading.watch_context = choice;
    }
    if (!source_wal_read(choice->source_wal, &reading, &scan, &scanned, error))
        return reading.missing_end != LSN_INVALID &&
               start_without_wal(choice, reading.missing_end, late, error);
    *late = reading.stopped;
    if (*late)
        made->chosen = other;
    result = *late ? add_source_changes(choice, &scanned, reading.last_end, error)
                   : judge_replay(choice, scan, &scanned, reading.last_end, hazard, error);
    scan_destroy(scan);
    return result;
}

/* As it was at first. What was not kept of the WAL is fetched again. */
static void forget_late_start(Choice *choice)
{
    RecoveryStart *made = choice->made;

    made->chosen = made->earliest;
    made->choice.late = made->choice.compares = made->by_summaries = false;
    made->choice.estimate.fetched_bytes = made->choice.estimate.compared_bytes = 0;
    blockmap_destroy(made->own_blocks);
    made->own_blocks = NULL;
    made->changes = choice->changes->scanned;
    made->whole_from = choice->divergence->lsn;
    made->wal_from = made->earliest.redo;
    choice->added_to = LSN_INVALID;
    choice->regretted = false;
}

/*
 * The same, with the checkpoint that the late start needs. Where it is not made, in a dry run, all
 * is as if there were no such start.
 */
static bool read_from_early_or_late(Choice *choice, bool *late, ReplayHazard *hazard, Error *error)
{
    RecoveryStart *made = choice->made;

    if (!read_from_early(choice, late, hazard, error))
        return false;
    if (!*late || !choice->needs_checkpoint)
        return true;
    if (!find_late_start(choice, made->wal_end - 1, late, error))
        return false;
    if (*late)
    {
        made->choice.late_redo = made->chosen.redo;
        return true;
    }
    choice->without_checkpoint = true;
    forget_late_start(choice);
    made->choice = (StartChoice){0};
    return read_from_early(choice, late, hazard, error);
}

/* Has the source removed the WAL before `end`? It removes the oldest first. */
static bool find_wal_gone(const Choice *choice, Lsn end, bool *gone, Error *error)
{
    const uint64_t segment =
        source_wal_first_not_kept(choice->source_wal, choice->made->earliest.redo);
    bool has = true;

    if (segment < wal_segment_of(&choice->clusters->shape, end) &&
        !source_wal_source_has(choice->source_wal, segment, &has, error))
        return false;
    *gone = !has;
    return true;
}

/* Is that start better, now that summaries name the blocks that it fetches? The rest of the WAL
 * before it is read. */
static bool prefer_by_summaries(Choice *choice, const Start *late, const SourceSummaries *summaries,
                                bool *prefer, Error *error)
{
    RecoveryStart *made = choice->made;
    const uint64_t rest = late->redo > summaries->end ? late->redo - summaries->end : 0;
    const StartEstimate estimate = {
        .wal_bytes = late->redo - made->earliest.redo,
        .fetched_bytes = summaries->end - made->earliest.redo,
        .block_bytes = rest + blockmap_block_count(summaries->blocks) *
                                  choice->clusters->target.control.block_size,
        .bytes_per_second = source_wal_fetch_rate(choice->source_wal),
    };
    bool gone;

    if (!find_wal_gone(choice, summaries->end, &gone, error))
        return false;
    *prefer =
        gone ||
        (estimate.fetched_bytes > KEPT_BEFORE_LATE && rest <= KEPT_BEFORE_LATE &&
         (choice->options->late_start || (!choice->archives && estimate_prefers_late(&estimate))));
    if (*prefer && !choice->options->late_start)
    {
        made->choice.reason = gone ? START_NO_WAL : START_ESTIMATE;
        made->choice.estimate = estimate;
    }
    return true;
}

/* A late start without the WAL before it that summaries tell of: *late where it is chosen. */
static bool start_by_summaries(Choice *choice, bool *late, Error *error)
{
    RecoveryStart *made = choice->made;
    SourceSummaries summaries;
    Start other;
    bool usable, prefer = false, result;

    if (choice->changes == NULL || choice->options->early_start ||
        !choice->clusters->shape.version->has_wal_summaries ||
        !start_late(&made->source.control, choice->divergence->lsn, LSN_INVALID, &other) ||
        other.redo <= made->earliest.redo)
        return true;
    result = read_source_summaries(choice->clusters, choice->divergence, choice->changes,
                                   made->earliest.redo, other.redo, choice->options->jobs,
                                   choice->arena, &summaries, &usable, error) &&
             (!usable || prefer_by_summaries(choice, &other, &summaries, &prefer, error));
    if (result && prefer)
    {
        const ScanResult scanned = {.blocks = summaries.blocks,
                                    .databases = summaries.databases,
                                    .database_count = summaries.database_count};

        log_debug("the source's WAL summaries tell what it changed before its last checkpoint");
        *late = true;
        made->chosen = other;
        made->choice.late_redo = other.redo;
        made->by_summaries = true;
        choice->added_blocks = choice->blocks_then = blockmap_block_count(summaries.blocks);
        choice->looked_at = summaries.end;
        result = add_source_changes(choice, &scanned, summaries.end, error);
    }
    source_summaries_free(&summaries);
    return result;
}

/* True if the standby would take no connections at first from the cheaper late start, but would
 * from the early one. The common WAL, which the target has, is enough to judge the early one. */
static bool opens_sooner_from_early(const Choice *choice)
{
    const RecoveryStart *made = choice->made;

    return made->choice.reason == START_ESTIMATE && made->opens_later &&
           start_opening(&made->earliest, &choice->changes->scanned, choice->divergence->lsn) ==
               OPENING_AT_ONCE;
}

/* The late start was taken, and is given up. */
static bool start_early_after_all(Choice *choice, bool *late, ReplayHazard *hazard, Error *error)
{
    RecoveryStart *made = choice->made;
    const bool opens_later = !choice->regretted;

    forget_late_start(choice);
    if (!read_from_early_or_late(choice, late, hazard, error))
        return false;
    /* The disk may be too full for it by now. */
    if (*late)
        return take_late_start(choice, made->choice.reason, hazard, error);
    if (opens_later)
    {
        made->choice = (StartChoice){0};
        log_info("recovery starts at the last common checkpoint, although a later start would cost "
                 "less: from there the target would take no connections at first");
    }
    return true;
}

static bool choose(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;
    ReplayHazard hazard = {0};
    bool late = false;

    if (choice->options->late_start && !find_late_start(choice, LSN_INVALID, &late, error))
        return false;
    if (late)
        made->choice.reason = START_ASKED;
    if (!start_by_summaries(choice, &late, error))
        return false;
    if (!late && !read_from_early_or_late(choice, &late, &hazard, error))
        return false;
    if (late && !take_late_start(choice, made->choice.reason, &hazard, error))
        return false;
    if (late && (choice->regretted || opens_sooner_from_early(choice)) &&
        !start_early_after_all(choice, &late, &hazard, error))
        return false;
    if (hazard.found && !(late && hazard.copies_come_out_right))
    {
        if (!avoid_hazard(choice, &hazard, &late, error))
            return false;
        if (late && !take_late_start(choice, START_HAZARD, &hazard, error))
            return false;
    }
    if (!late)
        return true;
    /* Not past it yet: with --checkpoint, one past all that was read. */
    if (hazard.found && !hazard.copies_come_out_right && choice->options->checkpoint &&
        (!find_late_start(choice, made->rebuilt_end - 1, &late, error) ||
         (late && !take_late_start(choice, START_HAZARD, &hazard, error))))
        return false;
    made->copies_are_replayed = hazard.found && hazard.copies_come_out_right;
    return !hazard.found || hazard.copies_come_out_right || refuse_start(choice, &hazard, error);
}

/* Who waits for the standby is told what he can do about it. */
static void tell_of_choice(const Choice *choice)
{
    const RecoveryStart *made = choice->made;
    const uint64_t replayed = made->wal_end - made->chosen.redo;

    if (made->opens_later)
    {
        log_warning("the target will take no connections when it starts");
        log_detail(
            "A transaction with more than 64 subtransactions, which may be prepared, runs on "
            "the source since before the checkpoint where the target's recovery starts. The "
            "target replays WAL, and takes connections once that transaction has ended.");
    }
    if (choice->lacks_wal)
        log_info("comparing all blocks with the source's, %llu MB: some of its WAL since the last "
                 "common checkpoint no longer exists",
                 (unsigned long long) (made->choice.estimate.compared_bytes / MEGABYTE));
    else if (made->choice.compares && choice->changes != NULL)
        log_info("comparing all blocks with the source's, %llu MB, rather than reading %llu MB of "
                 "its WAL",
                 (unsigned long long) (made->choice.estimate.compared_bytes / MEGABYTE),
                 (unsigned long long) (made->choice.estimate.fetched_bytes / MEGABYTE));
    else if (made->choice.reason == START_NO_OTHER && replayed >= ESTIMATE_WAL_MUCH &&
             !choice->options->checkpoint && choice->clusters->source->is_server &&
             !made->source.position.in_recovery && choice->changes != NULL)
        log_info("the target will replay %llu MB of the source's WAL when it starts; with "
                 "--checkpoint it may be ready sooner",
                 (unsigned long long) (replayed / MEGABYTE));
}

bool recovery_start_choose(const Clusters *clusters, const SourceState *state,
                           const Divergence *divergence, const TargetChanges *changes,
                           SourceWal *source_wal, const Options *options, bool archives,
                           Arena *arena, RecoveryStart *start, Error *error)
{
    Choice choice = {clusters,   divergence, changes,
                     source_wal, options,    archives,
                     arena,      start,      .added_to = LSN_INVALID};

    *start = (RecoveryStart){.source = *state, .whole_from = divergence->lsn};
    if (changes != NULL)
    {
        start->earliest = start_early(&divergence->common_checkpoint, &state->control);
        start->changes = changes->scanned;
    }
    else
    {
        start->earliest = start_of_source(&state->control);
        start->changes.blocks = start->own_blocks = blockmap_create();
        start->choice.compares = true;
    }
    start->chosen = start->earliest;
    start->wal_from = start->earliest.redo;
    start->wal_end = source_state_wal_end(state, divergence->lsn);
    if (!choose(&choice, error))
        return false;
    /* Replay that copies files reads blocks before their own records restore them. */
    if (start->copies_are_replayed)
    {
        blockmap_destroy(start->rebuilt);
        start->rebuilt = NULL;
    }
    tell_of_choice(&choice);
    return true;
}

void recovery_start_free(RecoveryStart *start)
{
    blockmap_destroy(start->rebuilt);
    blockmap_destroy(start->own_blocks);
    *start = (RecoveryStart){0};
}
