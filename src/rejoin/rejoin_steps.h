/*
 * What --rejoin does next, decided from facts alone. rejoin.c carries out the step, adds what it
 * finds out to the facts, and asks again, until the step is REJOIN_END. A step that fails ends the
 * command.
 *
 *   step             what is known when it is taken              what it adds
 *   REJOIN_FIND      nothing                                     runs, first_process
 *   REJOIN_EXAMINE   the target's server runs                    examined
 *   REJOIN_WATCH     it may be stopped                           follows, has_slot
 *   REJOIN_STOP      it does not follow the source               runs: no
 *   REJOIN_YIELD     no server runs                              yielded; runs: not known, if
 *                                                                another --rejoin has started one
 *   REJOIN_REWIND    no server runs, and nobody else starts one  rewound, is_standby
 *   REJOIN_START     the target is a standby of the source       started
 *   REJOIN_WAIT      its server streams, or was started          followed
 *
 * A dry run prints REJOIN_STOP and REJOIN_START, and ends there. The other steps are refusals.
 */
#ifndef REJOIN_REJOIN_STEPS_H
#define REJOIN_REJOIN_STEPS_H

#include "pair/clusters.h"
#include "target/target_server.h"

typedef enum RejoinStep
{
    REJOIN_FIND,
    REJOIN_EXAMINE,
    REJOIN_WATCH,
    REJOIN_STOP,
    REJOIN_YIELD,
    REJOIN_REWIND,
    REJOIN_START,
    REJOIN_WAIT,
    REJOIN_END,
    REJOIN_REFUSE_FIRST_PROCESS, /* its end would be that of the container, and of this command */
    REJOIN_REFUSE_NO_STANDBY     /* its server would open for writing, on the source's timeline */
} RejoinStep;

typedef enum RejoinFact
{
    REJOIN_UNKNOWN,
    REJOIN_NO,
    REJOIN_YES
} RejoinFact;

typedef struct RejoinFacts
{
    bool dry_run;
    bool names_slot;    /* --slot */
    RejoinFact runs;    /* the target's server, and it is not stopping */
    bool first_process; /* process 1 of this container, and no --stop-command */
    bool examined;      /* nothing is known that keeps the rewound server from following; it may be
                           stopped */
    RejoinFact follows; /* the source, as a standby */
    bool has_slot;      /* it streams with the slot that is named */
    bool printed;       /* a dry run has printed what comes next */
    bool stopped;       /* by this run */
    bool yielded;       /* any other pg_rewind that worked here has ended */
    bool rewound;       /* or no rewind was needed */
    bool is_standby;    /* then: the target is set up as one */
    bool started;       /* by this run */
    bool followed;      /* it streams, and has replayed what the source had when it was started */
} RejoinFacts;

RejoinStep rejoin_decide(const RejoinFacts *facts);

/* The answer to the question whether a server that runs may become a standby. */
typedef enum RejoinDemotion
{
    REJOIN_DEMOTE,
    REJOIN_ASK_USE, /* not known yet: ask who uses it */
    REJOIN_OTHER_TIMELINE,
    REJOIN_WRONG_DIRECTION,
    REJOIN_IN_USE,
    REJOIN_USE_UNKNOWN
} RejoinDemotion;

/*
 * was_primary: it is one; named: the timeline of --demote, or 0; doubtful: it was promoted after
 * the source; use: NULL, not asked yet. A primary whose users cannot be found out counts as used.
 */
RejoinDemotion rejoin_decide_demotion(bool was_primary, Timeline timeline, Timeline named,
                                      bool doubtful, const TargetUse *use);

/*
 * True if the target would become the standby of its own standby, so that no server would take
 * writes: it is a primary, and the source, a standby, is on the target's own timeline, or on one
 * that the target has left, and has no WAL of that one past the point where the target left it.
 * Then the source may be about to follow. history: the target's.
 */
bool rejoin_leaves_no_primary(const Control *target, const History *history,
                              const SourcePosition *source);

#endif
