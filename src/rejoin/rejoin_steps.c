#include "rejoin/rejoin_steps.h"

RejoinStep rejoin_decide(const RejoinFacts *facts)
{
    const bool is_as_wanted =
        facts->follows == REJOIN_YES && (!facts->names_slot || facts->has_slot);

    if (facts->followed || facts->printed)
        return REJOIN_END;
    if (facts->started)
        return REJOIN_WAIT;
    if (facts->runs == REJOIN_UNKNOWN)
        return REJOIN_FIND;
    if (facts->runs == REJOIN_YES)
    {
        /* A service must not be stopped for nothing: what could fail after the stop is examined. */
        if (!facts->examined)
            return REJOIN_EXAMINE;
        if (facts->follows == REJOIN_UNKNOWN)
            return REJOIN_WATCH;
        /* A healthy standby keeps running, even one that an earlier run has started. */
        if (is_as_wanted)
            return facts->dry_run ? REJOIN_END : REJOIN_WAIT;
        return facts->ends_container ? REJOIN_REFUSE_CONTAINER : REJOIN_STOP;
    }
    /* Another --rejoin that works here starts the server after its rewind: then this run examines
     * that server, as if the command were repeated. Waiting once is enough. */
    if (!facts->yielded)
        return REJOIN_YIELD;
    if (!facts->rewound)
        return REJOIN_REWIND;
    /* An interrupted rewind is finished even without its source, and may have been begun without
     * -R. */
    if (!facts->is_standby && !facts->dry_run)
        return REJOIN_REFUSE_NO_STANDBY;
    return REJOIN_START;
}

RejoinDemotion rejoin_decide_demotion(bool was_primary, Timeline timeline, Timeline named,
                                      bool doubtful, const TargetUse *use)
{
    if (!was_primary || named == timeline)
        return REJOIN_DEMOTE;
    if (named != 0)
        return REJOIN_OTHER_TIMELINE;
    if (use == NULL)
        return REJOIN_ASK_USE;
    if (doubtful)
        return REJOIN_WRONG_DIRECTION;
    if (!use->known)
        return REJOIN_USE_UNKNOWN;
    return target_is_used(use) ? REJOIN_IN_USE : REJOIN_DEMOTE;
}

bool rejoin_leaves_no_primary(const Target *target, bool starts_as_standby, const History *history,
                              const SourcePosition *source)
{
    const bool is_primary = target->control.state == STATE_IN_PRODUCTION ||
                            (target_was_primary(target) && !starts_as_standby);

    if (!is_primary || !source->in_recovery)
        return false;
    for (size_t i = 0; i + 1 < history->count; i++)
        if (history->entries[i].timeline == source->timeline)
            return source->end <= history->entries[i].end;
    return source->timeline == control_timeline(&target->control);
}
