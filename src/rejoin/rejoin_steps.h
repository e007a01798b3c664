/*
 * The next step of --rejoin, decided from facts alone. rejoin.c carries out the step, adds what it
 * finds out to the facts, and asks again, until the step is REJOIN_END. A step that fails ends the
 * command.
 *
 *   step             what is known when it is taken              what it adds
 *   REJOIN_FIND      nothing                                     runs, ends_container
 *   REJOIN_EXAMINE   the target's server runs                    examined
 *   REJOIN_WATCH     the server may be stopped                   follows, has_slot
 *   REJOIN_STOP      the server does not follow the source       runs: no
 *   REJOIN_YIELD     no server runs                              yielded
 *   REJOIN_REWIND    no server runs, no other pg_rewind works    rewound, is_standby; runs: not
 *                                                                known, if another program has
 *                                                                started one
 *   REJOIN_START     the target is a standby of the source       started
 *   REJOIN_WAIT      its server streams, or was started          followed
 *
 * In a dry run REJOIN_STOP and REJOIN_START print what they would do. Each then sets `printed`,
 * after which the step is REJOIN_END. The other steps are refusals.
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
    REJOIN_REFUSE_CONTAINER, /* stopping the server would stop the container, and this command */
    REJOIN_REFUSE_NO_STANDBY /* the server would open for writing on the source's timeline,
                                    since the target is not set up as a standby */
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
    bool names_slot;     /* --slot is given */
    RejoinFact runs;     /* the target's server runs, and is not stopping */
    bool ends_container; /* the container probably ends with the server (process_ends_container),
                            and no --stop-command is given */
    bool examined;       /* the server may be stopped: nothing is known that would keep the
                            rewound server from following */
    RejoinFact follows;  /* the server follows the source as a standby */
    bool has_slot;       /* the server streams with the slot of --slot */
    bool printed;        /* dry run: the first thing that a real run would change was printed, so
                            the command is done */
    bool stopped;        /* the run has stopped the server */
    bool yielded;        /* the run has waited for any other pg_rewind that worked on the target */
    bool rewound;        /* the target is rewound, or needed no rewind */
    bool is_standby;     /* after `rewound`: the target is set up as a standby */
    bool started;        /* the run has started the server */
    bool followed;       /* the server streams, and has replayed what the source had when the
                            server was started */
} RejoinFacts;

RejoinStep rejoin_decide(const RejoinFacts *facts);

/* Decision whether a server that runs may become a standby. */
typedef enum RejoinDemotion
{
    REJOIN_DEMOTE,
    REJOIN_ASK_USE,         /* undecided: find out who uses the server, then decide again */
    REJOIN_OTHER_TIMELINE,  /* refused: --demote names another timeline than the target's */
    REJOIN_WRONG_DIRECTION, /* refused: the primary was promoted after the source */
    REJOIN_IN_USE,          /* refused: clients or standbys use the primary */
    REJOIN_USE_UNKNOWN      /* refused: the primary could not be asked who uses it */
} RejoinDemotion;

/*
 * Decide whether the server may become a standby: a standby may, and so may a primary whose
 * timeline is `named`, whoever uses it. was_primary: the target is a primary; named: the timeline
 * of --demote, or 0; doubtful: the target was promoted after the source, so the direction may be
 * wrong; use: who uses the server, NULL if not asked yet. A primary whose users cannot be found out
 * counts as used.
 */
RejoinDemotion rejoin_decide_demotion(bool was_primary, Timeline timeline, Timeline named,
                                      bool doubtful, const TargetUse *use);

/*
 * True if the rewind could leave no server that takes writes, because the target would become a
 * standby of its own standby: the target is a primary, the source is a standby on the target's
 * timeline or on one that the target has left, and the source has no WAL of that timeline past the
 * point where the target left it. The source may then be about to follow the target. A primary that
 * is starting counts, too. starts_as_standby: standby_files_exist, which tells it from a standby
 * that is starting; history: the target's.
 */
bool rejoin_leaves_no_primary(const Target *target, bool starts_as_standby, const History *history,
                              const SourcePosition *source);

#endif
