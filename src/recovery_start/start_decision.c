#include "recovery_start/start_decision.h"

/* Bytes of WAL that the startup process replays in a second. Measured were 250 to 450 MB with all
 * pages in memory; some pages must be read from the disk. */
#define REPLAY_RATE 125e6

/* Bytes per second from a source directory, or from WAL that the target already has. */
#define RATE_AT_HAND 500e6

/* Cost of a fetched block, per byte: it is requested by number and written twice, to the fetched
 * data file and to its relation. */
#define BLOCK_COST 1.5

/* Cost of comparing a byte, which both sides read and digest, as a fraction of the cost of
 * fetching, writing and reading a byte of WAL. On a slow link comparing is cheaper still. */
#define COMPARE_COST 0.5

/* Bytes per second that a checkpoint writes and syncs, on a disk that the source's sessions use. */
#define CHECKPOINT_RATE 200e6

/* Factor, and seconds, by which avoided replay must take longer than the checkpoint for a clear
 * gain. The margin is wide since a checkpoint loads the disk of a source that may be the last
 * server left. */
#define CHECKPOINT_GAIN 1.5
#define CHECKPOINT_GAIN_SECONDS 2.0

/* Factor by which a late start must be cheaper: the early start keeps more WAL for another rewind,
 * and loads the source less. */
#define PREFERENCE 1.25

#define LATER_STARTS_MAX 3 /* late starts tried past one hazard after the other */

/* Most bytes of WAL before a late start that are kept, for a second rewind to another source of a
 * target that was never started. Fetching that amount costs next to nothing. */
#define KEPT_BEFORE_LATE ESTIMATE_WAL_MIN

/* ---- The cost ---- */

bool estimate_prefers_late(const StartEstimate *estimate)
{
    const double rate = estimate->bytes_per_second > 0 ? estimate->bytes_per_second : RATE_AT_HAND;
    const double early =
        (double) estimate->wal_bytes / REPLAY_RATE + (double) estimate->fetched_bytes / rate;
    const double late = ((double) estimate->block_bytes * BLOCK_COST +
                         (double) estimate->compared_bytes * COMPARE_COST) /
                        rate;

    return late * PREFERENCE < early;
}

bool estimate_prefers_comparing(uint64_t wal_bytes, uint64_t relation_bytes)
{
    return (double) relation_bytes * COMPARE_COST * PREFERENCE < (double) wal_bytes;
}

CheckpointEstimate estimate_checkpoint(uint64_t wal_bytes, uint64_t buffers_bytes,
                                       uint64_t data_bytes, bool loses_wal)
{
    const uint64_t written = wal_bytes < buffers_bytes ? wal_bytes : buffers_bytes;
    const uint64_t fetched = wal_bytes < data_bytes ? wal_bytes : data_bytes;
    const uint64_t compared = loses_wal ? data_bytes : 0;
    CheckpointEstimate estimate = {
        .replay_seconds = (double) wal_bytes / REPLAY_RATE,
        .seconds =
            (double) written / CHECKPOINT_RATE +
            ((double) fetched * BLOCK_COST + (double) compared * COMPARE_COST) / RATE_AT_HAND};

    estimate.pays = estimate.replay_seconds >= estimate.seconds * CHECKPOINT_GAIN &&
                    estimate.replay_seconds - estimate.seconds >= CHECKPOINT_GAIN_SECONDS;
    return estimate;
}

/* Assume that half of the blocks differ: the number is unknown before comparing. */
static StartEstimate estimate_comparing(const StartFacts *facts)
{
    const Lsn late = facts->late > facts->early ? facts->late : facts->early;

    return (StartEstimate){.wal_bytes = late - facts->early,
                           .fetched_bytes = late - facts->early,
                           .block_bytes = facts->relations_bytes / 2,
                           .compared_bytes = facts->relations_bytes,
                           .bytes_per_second = facts->bytes_per_second};
}

static uint64_t wal_after_summaries(const StartFacts *facts)
{
    return facts->late > facts->summaries_end ? facts->late - facts->summaries_end : 0;
}

/* ---- Answers ---- */

static StartDecision start_asks(StartDecision decision, StartUnknown unknown)
{
    decision.unknown = unknown;
    return decision;
}

static StartDecision start_asks_for_later(StartDecision decision, Lsn from)
{
    decision.from = from;
    return start_asks(decision, START_UNKNOWN_LATER);
}

static StartDecision start_refuses(StartDecision decision, StartRefusal refusal)
{
    decision.refusal = refusal;
    return decision;
}

/* ANSWER_YES if a late start at or after `from` is known, ANSWER_NO if the source has none. */
static StartAnswer late_from(const StartFacts *facts, Lsn from)
{
    if (facts->late != LSN_INVALID && facts->late >= from)
        return ANSWER_YES;
    return facts->looked_from >= from ? ANSWER_NO : ANSWER_UNKNOWN;
}

static bool replay_is_wrong(const ReplayFacts *replay)
{
    return replay->is_hazardous && !replay->copies_are_identical;
}

static bool late_opens_later(const StartFacts *facts)
{
    return facts->late_replay.opens_later && facts->early_opens_at_once;
}

/* Turn to the early start, whose WAL is read next. */
static StartDecision turns_early(StartDecision decision)
{
    decision.late = false;
    return start_asks(decision, START_UNKNOWN_REPLAY);
}

/* ---- Changes of the source before a late start ---- */

/* True if summaries replace WAL that is gone, or save more than KEPT_BEFORE_LATE and cover all but
 * that much. After a hazard of the early start the WAL has already been fetched. */
static bool summaries_are_worth_it(const StartFacts *facts, StartReason reason)
{
    return facts->summaries_end != LSN_INVALID &&
           !(reason == START_HAZARD && facts->early_replay.redo != LSN_INVALID) &&
           (facts->summaries_replace_gone_wal ||
            (facts->summaries_end - facts->early > KEPT_BEFORE_LATE &&
             wal_after_summaries(facts) <= KEPT_BEFORE_LATE));
}

/* True if the WAL before the late start is missing, does not tell what the target changed, or
 * cannot be read for lack of room. */
static bool must_compare(const StartFacts *facts)
{
    return facts->changes_unknown || facts->missing_end != LSN_INVALID || facts->changes_missing ||
           facts->room_to_read == ANSWER_NO;
}

static bool comparing_is_better(const StartFacts *facts, StartReason reason)
{
    const StartEstimate comparing = estimate_comparing(facts);

    return facts->relations_listed &&
           estimate_prefers_comparing(comparing.wal_bytes, comparing.compared_bytes) &&
           (reason != START_ESTIMATE || estimate_prefers_late(&comparing));
}

static StartDecision compare_all(const StartFacts *facts, StartDecision decision)
{
    decision.way = START_BY_COMPARING;
    decision.estimate = estimate_comparing(facts);
    return facts->relations_listed ? decision : start_asks(decision, START_UNKNOWN_RELATIONS);
}

/* Find changes by reading WAL. WAL that is read to estimate the cost of the late start is kept
 * until the estimate: the early start, if it is taken, needs the same WAL. */
static StartDecision decide_by_reading(const StartFacts *facts, StartDecision decision)
{
    const bool weighs = decision.reason == START_ESTIMATE && decision.way == START_BY_WAL;

    decision.keeps_wal = decision.way == START_BY_WAL && facts->early_room != ANSWER_NO &&
                         facts->late - facts->early <= KEPT_BEFORE_LATE;
    decision.reads_once = !weighs && !decision.keeps_wal;
    if (facts->changes_end < facts->late)
        /* After a hazard of the early start, WAL is already on the disk: no question of room. */
        return start_asks(decision, decision.reads_once && decision.reason != START_HAZARD &&
                                            facts->late_room != ANSWER_NO &&
                                            facts->room_to_read == ANSWER_UNKNOWN
                                        ? START_UNKNOWN_ROOM_TO_READ
                                        : START_UNKNOWN_CHANGES);
    if (!weighs)
        return decision;
    decision.estimate = (StartEstimate){.wal_bytes = facts->late - facts->early,
                                        .block_bytes = facts->changes_bytes,
                                        .bytes_per_second = facts->bytes_per_second};
    return estimate_prefers_late(&decision.estimate) ? decision : turns_early(decision);
}

static StartDecision use_summaries(const StartFacts *facts, StartDecision decision)
{
    decision.way = START_BY_SUMMARIES;
    decision.estimate =
        (StartEstimate){.wal_bytes = facts->late - facts->early,
                        .fetched_bytes = facts->summaries_end - facts->early,
                        .block_bytes = wal_after_summaries(facts) + facts->summaries_bytes,
                        .bytes_per_second = facts->bytes_per_second};
    if (facts->changes_end != LSN_INVALID)
        return decide_by_reading(facts, decision);
    if (decision.reason == START_ESTIMATE && !estimate_prefers_late(&decision.estimate))
        return turns_early(decision);
    return start_asks(decision, START_UNKNOWN_CHANGES);
}

/* Choose the way to find changes. Once changes were found one way, a still later start keeps it. */
static StartDecision find_changes(const StartFacts *facts, StartDecision decision)
{
    if (must_compare(facts))
    {
        /* No cost is weighed any longer: the late start is the only one left. */
        if (decision.reason == START_ESTIMATE)
            decision.reason = START_NO_WAL;
        return compare_all(facts, decision);
    }
    if (facts->changes_end != LSN_INVALID ? facts->changes_by_summaries
                                          : summaries_are_worth_it(facts, decision.reason))
        return use_summaries(facts, decision);
    if (facts->changes_end != LSN_INVALID)
        return decide_by_reading(facts, decision);
    if (decision.reason != START_HAZARD && facts->late - facts->early >= ESTIMATE_WAL_MUCH &&
        !facts->relations_listed)
        return start_asks(decision, START_UNKNOWN_RELATIONS);
    return comparing_is_better(facts, decision.reason) ? compare_all(facts, decision)
                                                       : decide_by_reading(facts, decision);
}

/* ---- Late ---- */

/* Refuse for wrong replay; not in a dry run whose rewind would make a later checkpoint. */
static StartDecision replays_wrongly(const StartFacts *facts, StartDecision decision)
{
    return facts->expects_checkpoint ? decision : start_refuses(decision, START_REPLAY_WRONG);
}

static StartDecision decide_late(const StartFacts *facts, StartReason reason)
{
    const ReplayFacts *replay = &facts->late_replay;
    const bool weighs = reason == START_ESTIMATE;
    StartDecision decision = {.late = true,
                              .reason = facts->later_starts > 0 ? START_HAZARD : reason,
                              .late_redo = facts->late};
    Lsn past = replay->hazard_lsn > facts->late ? replay->hazard_lsn : facts->late;

    /* Room for the WAL from the early start on is enough: the late start needs a part of it. */
    if (facts->early_room != ANSWER_YES && facts->late_room == ANSWER_UNKNOWN)
        return start_asks(decision, START_UNKNOWN_ROOM);
    if (facts->late_room == ANSWER_NO && !facts->does_without_room)
        return start_refuses(decision, START_LACKS_ROOM);
    if (replay->redo != facts->late)
        return start_asks(decision, START_UNKNOWN_REPLAY);
    /* If WAL after the late start is missing or goes wrong, reading from the early start, which
     * includes this WAL, finds the same and reports it. */
    if (weighs &&
        (replay->missing_end != LSN_INVALID || replay_is_wrong(replay) || late_opens_later(facts)))
        return turns_early((StartDecision){
            .early_opens_sooner = replay->missing_end == LSN_INVALID && !replay_is_wrong(replay)});
    if (replay->missing_end != LSN_INVALID)
        return start_refuses(decision, START_WAL_MISSING);
    if (!facts->compares)
        decision = find_changes(facts, decision);
    if (decision.unknown != START_DECIDED || !replay_is_wrong(replay))
        return decision;
    if (facts->looked_from > past || facts->later_starts == LATER_STARTS_MAX)
        return replays_wrongly(facts, decision);
    decision.past_hazard = true;
    return start_asks_for_later(decision, past + 1);
}

/*
 * Decide if WAL from the early start on is missing, or does not tell what the target changed, up to
 * missing_end. A late start past missing_end needs none of this WAL if all blocks are compared. The
 * source's pg_control is read again: the checkpoint that removed the WAL may be new.
 */
static StartDecision decide_without_wal(const StartFacts *facts, Lsn missing_end)
{
    StartDecision decision = {.reason = START_NO_WAL, .past_missing = true};

    if (facts->asks_early)
        return start_refuses(decision, START_EARLY_ONLY);
    if (facts->looked_from < missing_end)
        return start_asks_for_later(decision, missing_end);
    if (late_from(facts, missing_end) == ANSWER_YES)
        return decide_late(facts, START_NO_WAL);
    if (!facts->expects_checkpoint)
        return start_refuses(decision, START_WAL_MISSING);
    decision.is_expected = true;
    return facts->compares ? decision : compare_all(facts, decision);
}

/* ---- Early or late ---- */

/* Bytes of WAL to replay from the latest start known. */
static uint64_t wal_after_last_start(const StartFacts *facts)
{
    const Lsn last = facts->late != LSN_INVALID ? facts->late : facts->early;

    return facts->wal_end > last ? facts->wal_end - last : 0;
}

/* False if a late start is not wanted, or the source is a standby: CHECKPOINT on a standby makes no
 * checkpoint later than its primary's last one. */
static bool checkpoint_is_of_use(const StartFacts *facts)
{
    return !facts->asks_early && !facts->archives && !facts->compares && !facts->in_recovery;
}

CheckpointEstimate start_weigh_checkpoint(const StartFacts *facts)
{
    if (!facts->checkpoint_weighed)
        return (CheckpointEstimate){0};
    return estimate_checkpoint(wal_after_last_start(facts), facts->buffers_bytes, facts->data_bytes,
                               !facts->keeps_wal);
}

/* True if --checkpoint is given and at least ESTIMATE_WAL_MUCH bytes of WAL would be replayed. */
static bool much_is_replayed(const StartFacts *facts)
{
    return facts->makes_checkpoint && wal_after_last_start(facts) >= ESTIMATE_WAL_MUCH;
}

bool start_spares_checkpoint(const StartFacts *facts)
{
    return much_is_replayed(facts) && facts->checkpoint_weighed && !facts->keeps_wal &&
           !start_weigh_checkpoint(facts).pays;
}

/* True if the source must be asked for the cost of a checkpoint: not if even a free one would not
 * pay. */
static bool must_weigh_checkpoint(const StartFacts *facts)
{
    return facts->weighs_checkpoint && !facts->checkpoint_weighed && !facts->asks_late &&
           checkpoint_is_of_use(facts) &&
           estimate_checkpoint(wal_after_last_start(facts), 0, 0, false).pays;
}

/* Returns the position from which on a late start is wanted; LSN_INVALID if none is. --late-start
 * wants any; --checkpoint wants a new one if there is much WAL since the last start known, and the
 * checkpoint does no harm; --checkpoint=auto if a checkpoint pays. */
static Lsn wanted_from(const StartFacts *facts)
{
    const bool pays =
        facts->makes_what_pays && facts->may_checkpoint && start_weigh_checkpoint(facts).pays;
    const bool much = much_is_replayed(facts) && !start_spares_checkpoint(facts);

    if (facts->asks_late)
        return 1; /* any position */
    return checkpoint_is_of_use(facts) && (much || pays) ? facts->wal_end : LSN_INVALID;
}

static StartDecision decide_without_room(const StartFacts *facts, bool may_be_cheaper)
{
    if (may_be_cheaper && !facts->asks_early)
        return decide_late(facts, START_SPACE);
    return facts->does_without_room ? turns_early((StartDecision){0})
                                    : start_refuses((StartDecision){0}, START_LACKS_ROOM);
}

/* Take the first line that holds. Facts that are fetched later do not change which one holds. */
static StartDecision choose_start(const StartFacts *facts)
{
    const StartDecision nothing = {0};
    const Lsn wanted = wanted_from(facts);
    const bool has_late = facts->late != LSN_INVALID;
    const bool may_be_cheaper = has_late && !facts->compares && facts->late_may_be_cheaper;

    if (must_weigh_checkpoint(facts))
        return start_asks(nothing, START_UNKNOWN_CHECKPOINT);
    if (wanted != LSN_INVALID && late_from(facts, wanted) == ANSWER_UNKNOWN)
        return start_asks_for_later(nothing, wanted);
    if (has_late && !facts->compares && !facts->asks_early && !facts->summaries_read)
        return start_asks(nothing, START_UNKNOWN_SUMMARIES);
    if (facts->early_room == ANSWER_UNKNOWN)
        return start_asks(nothing, START_UNKNOWN_ROOM);
    if (has_late && facts->asks_late)
        return decide_late(facts, START_ASKED);
    if (facts->summaries_replace_gone_wal)
        return decide_late(facts, START_NO_WAL);
    if (!facts->wal_was_looked_for)
        return start_asks(nothing, START_UNKNOWN_WAL);
    if (facts->early_room == ANSWER_NO)
        return decide_without_room(facts, may_be_cheaper);
    if (!may_be_cheaper)
        return turns_early(nothing);
    if (facts->asks_early || facts->archives)
        return turns_early((StartDecision){
            .reason = facts->asks_early ? START_ASKED : START_ARCHIVE, .late_redo = facts->late});
    return decide_late(facts, START_ESTIMATE);
}

/* Decide once the WAL that is replayed from the early start was read. */
static StartDecision decide_after_early(const StartFacts *facts)
{
    const ReplayFacts *replay = &facts->early_replay;
    const StartAnswer past_limits = late_from(facts, replay->limits_lsn + 1);
    const StartAnswer past_hazard = late_from(facts, replay->hazard_lsn + 1);
    StartDecision decision;

    if (replay->limits_lsn != LSN_INVALID && !facts->asks_early && past_limits != ANSWER_NO)
        return past_limits == ANSWER_YES
                   ? decide_late(facts, START_HAZARD)
                   : start_asks_for_later((StartDecision){0}, replay->limits_lsn + 1);
    if (replay->is_hazardous && past_hazard != ANSWER_NO)
        return past_hazard == ANSWER_YES
                   ? decide_late(facts, START_HAZARD)
                   : start_asks_for_later((StartDecision){.past_hazard = true},
                                          replay->hazard_lsn + 1);
    decision = choose_start(facts);
    decision.unknown = START_DECIDED;
    return replay_is_wrong(replay) ? replays_wrongly(facts, decision) : decision;
}

StartDecision start_decide(const StartFacts *facts)
{
    if (facts->changes_unknown)
        return decide_without_wal(facts, facts->divergence);
    if (facts->missing_end != LSN_INVALID)
        return decide_without_wal(facts, facts->missing_end);
    return facts->early_replay.redo != LSN_INVALID ? decide_after_early(facts)
                                                   : choose_start(facts);
}
