/*
 * Where recovery of the rewound target starts: one decision, made of facts, without a look at
 * anything. start_decide says which fact it needs next; the caller fetches that one and asks again,
 * until nothing is unknown. A fact stays a fact: more of them never bring an older state back.
 *
 *   what is known                            what leaves this state: unknown -> by its answer
 *   ---------------------------------------  --------------------------------------------------
 *   nothing but options and positions        CHECKPOINT: where much would be replayed, what would
 *                                              a checkpoint of the source cost
 *                                            LATER: is there a late start; with --checkpoint a new
 *                                              one, where much would be replayed, or where it pays
 *   the late start, or that there is none    SUMMARIES: do they tell what the source changed before
 *                                            ROOM: for the WAL from the early start on
 *                                            --late-start, or WAL that is gone and in summaries
 *                                              -> late
 *   the early start has room, or not         WAL: is all from the early start on somewhere
 *                                              no -> WAL is missing
 *                                            no room -> late, if it may be cheaper; else refused
 *                                            next to no WAL between the two, --early-start, an
 *                                              archive that needs all WAL -> early
 *                                            else both are weighed -> late, for now
 *   late (also for now)                      ROOM, REPLAY: of the late start
 *                                              missing, wrong, opens later: weighed -> early
 *                                              missing -> refused
 *                                            CHANGES, RELATIONS, ROOM_TO_READ: what the source
 *                                              changed before it: by summaries, by WAL, or by
 *                                              comparing; weighed: costs more -> early
 *                                            replay is wrong -> LATER: past it; none -> refused
 *   early                                    REPLAY: missing -> WAL is missing
 *                                            wrong, or needs former limits -> LATER: past it
 *                                              -> late; none, and it is wrong -> refused
 *   WAL is missing                           LATER: past it -> late, and all blocks are compared;
 *                                              none, or --early-start -> refused
 *
 * The unit test has these rows with their facts and answers.
 */
#ifndef RECOVERY_START_START_DECISION_H
#define RECOVERY_START_START_DECISION_H

#include "format/versions.h"

#include <stdbool.h>

/* ---- The cost of each way, in seconds until the target is ready: design/performance.md ---- */

/* With less WAL between the two starts the early one is taken: nothing can be gained. */
#define ESTIMATE_WAL_MIN ((uint64_t) 64 * 1024 * 1024)

/* Less WAL is read whatever it costs, and no checkpoint is made for it. */
#define ESTIMATE_WAL_MUCH ((uint64_t) 512 * 1024 * 1024)

/* The quantities of one late way, beside those of the early start. */
typedef struct StartEstimate
{
    uint64_t wal_bytes;      /* before the late start */
    uint64_t fetched_bytes;  /* of these, the ones that only the early start needs to receive: none
                                where the WAL is read to find the blocks */
    uint64_t block_bytes;    /* that a late start fetches, of blocks and of the rest of the WAL */
    uint64_t compared_bytes; /* of relations, where they are compared instead of reading WAL */
    double bytes_per_second; /* as the source sends them; 0: it is at hand, or not known */
} StartEstimate;

/* True if the late start costs clearly less than the early one. */
bool estimate_prefers_late(const StartEstimate *estimate);

/* True if comparing these relations costs clearly less than receiving and reading this WAL. Both
 * find the same blocks. */
bool estimate_prefers_comparing(uint64_t wal_bytes, uint64_t relation_bytes);

/* Effect of a new checkpoint of the source, in seconds until the target is ready. */
typedef struct CheckpointEstimate
{
    double replay_seconds; /* replay that is spared */
    double seconds;        /* the checkpoint itself, and what is fetched instead */
    bool pays;             /* the gain is clear */
} CheckpointEstimate;

/*
 * wal_bytes would be replayed without a checkpoint. A checkpoint writes at most buffers_bytes, and
 * at most data_bytes of blocks are fetched then.
 */
CheckpointEstimate estimate_checkpoint(uint64_t wal_bytes, uint64_t buffers_bytes,
                                       uint64_t data_bytes);

/* ---- Facts ---- */

typedef enum StartAnswer
{
    ANSWER_UNKNOWN,
    ANSWER_NO,
    ANSWER_YES
} StartAnswer;

/* What replay from one start would do, by its WAL. */
typedef struct ReplayFacts
{
    Lsn redo;                   /* of the start; LSN_INVALID: its WAL was not read */
    Lsn missing_end;            /* its WAL up to here is nowhere; else LSN_INVALID */
    bool is_hazardous;          /* replay would do something wrong: see ReplayHazard */
    bool copies_come_out_right; /* but only by copies of databases, and these come out right */
    Lsn hazard_lsn;             /* a start must lie past it; LSN_INVALID: not known */
    Lsn limits_lsn;             /* a start past it needs no former settings of the source;
                                   LSN_INVALID: none does */
    bool opens_later;           /* the standby takes no connections when it is consistent */
} ReplayFacts;

/* All fields that are zero are not known, or do not hold. LSNs are redo positions or ends of WAL.
 */
typedef struct StartFacts
{
    /* Options, and what is known of the target. */
    bool asks_early, asks_late; /* --early-start, --late-start */
    bool makes_checkpoint;      /* --checkpoint */
    bool makes_what_pays;       /* --checkpoint=auto: only where a checkpoint pays */
    bool weighs_checkpoint;     /* a checkpoint that pays is made, or advised */
    bool expects_checkpoint;    /* but not by this run, a dry run or a look: the rewind makes it */
    bool does_without_room;     /* a dry run tells of all that a rewind would lack */
    bool compares;              /* --compare: what the source changed need not be known */
    bool changes_unknown;       /* no WAL tells what the target has changed */
    bool archives;              /* the rewound standby archives the WAL that it receives */

    /* Positions. */
    Lsn divergence;
    Lsn early;                /* the early start */
    bool early_opens_at_once; /* the standby takes connections at once from there */
    Lsn wal_end;              /* of the source when the decision began */
    bool in_recovery;         /* the source is a standby */
    Lsn late;                 /* the late start that was found last; LSN_INVALID: none */
    bool late_may_be_cheaper;
    Lsn looked_from;  /* a late start at or after here was looked for; the one that was found is
                         `late` */
    int later_starts; /* that were found past a hazard */

    /* Answers, by what is unknown. */
    bool checkpoint_weighed; /* the next three are known */
    bool may_checkpoint;     /* the role may run CHECKPOINT */
    uint64_t buffers_bytes;  /* size of the source's shared buffers */
    uint64_t data_bytes;     /* size of the source's relations */
    bool summaries_read;
    Lsn summaries_end;         /* the source's summaries tell its changes up to here; LSN_INVALID:
                                  they do not */
    bool summaries_spare_gone; /* WAL before it is gone */
    uint64_t summaries_bytes;  /* of blocks that they name */
    StartAnswer early_room, late_room;
    bool wal_was_looked_for; /* the WAL from the early start on, as far as the source lacks it */
    Lsn missing_end;         /* such WAL up to here is nowhere; else LSN_INVALID */
    ReplayFacts early_replay, late_replay;
    bool relations_listed;
    uint64_t relations_bytes;
    StartAnswer room_to_read;  /* WAL before the late start, beside the WAL that is replayed */
    Lsn changes_end;           /* what the source changed from the early start up to here is known;
                                  LSN_INVALID: nothing of it */
    bool changes_by_summaries; /* their first part */
    uint64_t changes_bytes;    /* of blocks that the WAL before the late start changes */
    bool changes_missing;      /* such WAL is nowhere */
    double bytes_per_second;   /* as WAL came, when one of these was asked for last */
} StartFacts;

/* ---- The decision ---- */

typedef enum StartUnknown
{
    START_DECIDED,
    START_UNKNOWN_LATER,     /* a late start at or after `from` */
    START_UNKNOWN_SUMMARIES, /* the source's summaries of WAL before the late start */
    START_UNKNOWN_ROOM,      /* for the WAL from the start on */
    START_UNKNOWN_WAL,       /* whether WAL from the early start on is missing */
    /* WAL is read, or files are listed: a look at a pair stops here. */
    START_UNKNOWN_REPLAY,       /* the WAL that is replayed from the start */
    START_UNKNOWN_CHECKPOINT,   /* what a checkpoint would cost, and whether the role may run it */
    START_UNKNOWN_RELATIONS,    /* how much there is to compare */
    START_UNKNOWN_ROOM_TO_READ, /* the WAL before the late start */
    START_UNKNOWN_CHANGES       /* by `way`, before the late start */
} StartUnknown;

/*
 * Reasons for a start: the key for programs; the line that people read below the start, or ""; and
 * what the schema of the report says of it. Two are early: START_NO_OTHER, also where no standby
 * takes connections as soon from a late one, and START_ARCHIVE. START_ASKED may be either, the
 * others are late.
 */
/* clang-format off */
#define START_REASONS(EACH)                                                                        \
    EACH(START_NO_OTHER, "no choice", "",                                                          \
         "there is no late start, or hardly any WAL before it")                                    \
    EACH(START_HAZARD, "hazard", "replay from the last common checkpoint would go wrong",          \
         "replay from the last common checkpoint would give a wrong result")                       \
    EACH(START_ASKED, "asked", "as asked for",                                                     \
         "--late-start or --early-start")                                                          \
    EACH(START_ARCHIVE, "archive", "so that the rewound standby's archive lacks no WAL",           \
         "the rewound standby archives what it receives (archive_mode = always), and all "         \
         "WAL since the divergence must be there")                                                 \
    EACH(START_NO_WAL, "no wal", "the source no longer has its WAL since the last common one",     \
         "the source no longer has its WAL since the last common checkpoint, but "                 \
         "summaries of it, or all blocks are compared")                                            \
    EACH(START_SPACE, "space", "there is no room for the source's WAL since the last common one",  \
         "no room for the source's WAL since the last common checkpoint")

#define START_REASON_ID(id, key, text, about) id,
typedef enum StartReason
{
    START_REASONS(START_REASON_ID)
    START_ESTIMATE /* by what each would cost; the last */
} StartReason;
/* clang-format on */

/* How it is found what the source changed before a late start. */
typedef enum StartWay
{
    START_BY_WAL,
    START_BY_SUMMARIES, /* and by the WAL after them */
    START_BY_COMPARING  /* all blocks */
} StartWay;

typedef enum StartRefusal
{
    START_NOT_REFUSED,
    START_LACKS_ROOM,  /* for the WAL from the start on */
    START_EARLY_ONLY,  /* WAL is missing, and --early-start allows no other start */
    START_WAL_MISSING, /* and there is no checkpoint past it */
    START_REPLAY_WRONG /* and there is no checkpoint past the hazard */
} StartRefusal;

/* With something unknown, start, reason and way are those that hold if the answer does not speak
 * against them. */
typedef struct StartDecision
{
    StartUnknown unknown;
    StartRefusal refusal;
    Lsn from;          /* with START_UNKNOWN_LATER */
    bool past_hazard;  /* likewise: a checkpoint that comes unasked is waited for */
    bool past_missing; /* likewise: the source is asked again where it stands */

    bool late; /* else early */
    StartReason reason;
    StartWay way;            /* of a late start */
    Lsn late_redo;           /* of the late start, where there was a choice; else LSN_INVALID */
    StartEstimate estimate;  /* with START_ESTIMATE, or where all blocks are compared */
    bool is_expected;        /* the start is the checkpoint that the rewind would make */
    bool opens_sooner_early; /* the reason for early */
    bool reads_once;         /* WAL before the late start is removed as soon as it was read */
    bool keeps_wal;          /* it stays, with the WAL that is replayed: there is little of it */
} StartDecision;

StartDecision start_decide(const StartFacts *facts);

/* A checkpoint that the source would make now; zero where none was weighed. */
CheckpointEstimate start_weigh_checkpoint(const StartFacts *facts);

#endif
