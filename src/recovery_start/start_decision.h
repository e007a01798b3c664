/*
 * The decision where recovery of the rewound target starts: a pure function of facts, which reads
 * nothing. start_decide names the next fact that it needs (StartUnknown); the caller fetches this
 * fact, adds it to StartFacts and calls start_decide again, until the answer is START_DECIDED or a
 * refusal. More facts never lead back to a state of the table that the decision has left.
 *
 * The table has the states of the decision. The lines below a state are read from top to bottom:
 * a word in capitals is the StartUnknown that is asked for there (START_UNKNOWN_ROOM: ROOM), "->"
 * leads to the next state, "decided" and "refused" are ends. WAL is missing if neither the source
 * nor an archive has it.
 *
 *   BEGIN: options, positions and the source's last checkpoint are known
 *     CHECKPOINT    cost of a checkpoint on the source, if much WAL would be replayed
 *     LATER         a late start, if --late-start or --checkpoint needs a new one
 *     SUMMARIES     changes of the source before the late start, if there is one
 *     ROOM          room for the WAL from the early start on
 *     -> LATE       with --late-start; or WAL is gone from the source, but summaries replace it
 *     WAL           whether WAL from the early start on is missing; if so: -> MISSING
 *     no room       -> LATE if a late start may be cheaper; refused otherwise, and with
 *                   --early-start
 *     -> EARLY      no late start, or next to no WAL before it; --early-start; or an archive of
 *                   the rewound standby needs all WAL
 *     -> LATE       otherwise, weighed: the early start is taken if it is better
 *   LATE: recovery starts late, unless the lines below say otherwise
 *     ROOM          room for the WAL from the late start on, unless known by that from the early
 *                   one on; none: refused
 *     REPLAY        replay of this WAL; weighed, and WAL is missing, replay is wrong or connections
 *                   open later than from the early start: -> EARLY; not weighed, and WAL is
 *                   missing: refused
 *     RELATIONS, ROOM_TO_READ, CHANGES
 *                   what the source changed before the late start, by summaries, by WAL or by
 *                   comparing all blocks; weighed, and the late start costs more: -> EARLY
 *     LATER         a start past the hazard, if replay is wrong; found: -> LATE; none: refused
 *     decided       late
 *   EARLY: recovery starts early, unless the lines below say otherwise
 *     REPLAY        replay of the WAL from the early start on; WAL is missing: -> MISSING
 *     LATER         a start past the hazard, or past WAL that needs former limits; found: -> LATE;
 *                   none, and replay is wrong: refused
 *     decided       early
 *   MISSING: WAL from the early start on is missing, or no WAL tells what the target changed
 *     refused       with --early-start
 *     LATER         a start past the missing WAL; found: -> LATE, where all blocks are compared;
 *                   none: refused
 *
 * A dry run continues without room, and where only the rewind itself would run a checkpoint. The
 * unit test has the lines of the table with their facts and answers.
 */
#ifndef RECOVERY_START_START_DECISION_H
#define RECOVERY_START_START_DECISION_H

#include "format/versions.h"

#include <stdbool.h>

/* ---- The cost of each way, in seconds until the target is ready: design/performance.md ---- */

/* Bytes of WAL between the early and the late start; below, the early start is taken, since a late
 * one gains nothing. */
#define ESTIMATE_WAL_MIN ((uint64_t) 64 * 1024 * 1024)

/* Bytes of WAL. WAL below this amount is read without asking whether comparing all blocks is
 * cheaper, and --checkpoint makes no checkpoint to avoid its replay. */
#define ESTIMATE_WAL_MUCH ((uint64_t) 512 * 1024 * 1024)

/* Amounts by which the costs of a late start and of the early start are compared. */
typedef struct StartEstimate
{
    uint64_t wal_bytes;     /* WAL between the early and the late start */
    uint64_t fetched_bytes; /* part of wal_bytes that only the early start fetches: 0 where the late
                               start reads that WAL to find changed blocks */
    uint64_t block_bytes;   /* blocks that the late start fetches, and WAL after the summaries */
    uint64_t compared_bytes; /* relations that are compared instead of reading WAL */
    double bytes_per_second; /* rate of the source; 0 if the source is a directory, or the rate
                                unknown */
} StartEstimate;

/* True if the late start costs clearly less than the early one. */
bool estimate_prefers_late(const StartEstimate *estimate);

/* True if comparing relation_bytes of relations with the source costs clearly less than fetching
 * and reading wal_bytes of WAL. Both ways find the same changed blocks. */
bool estimate_prefers_comparing(uint64_t wal_bytes, uint64_t relation_bytes);

/* Effect of a new checkpoint of the source, in seconds until the target is ready. */
typedef struct CheckpointEstimate
{
    double replay_seconds; /* replay that the checkpoint avoids */
    double seconds; /* the checkpoint itself, and the blocks fetched instead of replayed; with
                       loses_wal also the comparing of all blocks */
    bool pays;      /* the gain is clear */
} CheckpointEstimate;

/*
 * Estimate the effect of a new checkpoint on the source. wal_bytes: WAL that is replayed without
 * the checkpoint; buffers_bytes: most that the checkpoint writes; data_bytes: most bytes of blocks
 * that are fetched after the checkpoint. loses_wal: when the checkpoint ends, the source does not
 * keep its WAL since the last common checkpoint, which tells what the source has changed. All
 * blocks are then compared.
 */
CheckpointEstimate estimate_checkpoint(uint64_t wal_bytes, uint64_t buffers_bytes,
                                       uint64_t data_bytes, bool loses_wal);

/* ---- Facts ---- */

typedef enum StartAnswer
{
    ANSWER_UNKNOWN,
    ANSWER_NO,
    ANSWER_YES
} StartAnswer;

/* Result of reading the WAL that is replayed from one start. */
typedef struct ReplayFacts
{
    Lsn redo;          /* redo position of the start; LSN_INVALID until its WAL was read */
    Lsn missing_end;   /* end of the missing WAL after the start; LSN_INVALID if none is missing */
    bool is_hazardous; /* replay may go wrong: see ReplayHazard */
    bool copies_are_identical; /* the only hazards are copies of databases, and each copy is
                                  identical to the source's: replay is right */
    Lsn hazard_lsn;            /* LSN that a safe start must lie past; LSN_INVALID if unknown */
    Lsn limits_lsn;            /* last record that needs higher settings than the source has now,
                                  or a dropped replication origin; LSN_INVALID if not found */
    bool opens_later;          /* hot standby takes connections only some time after consistency */
} ReplayFacts;

/*
 * Everything that start_decide knows. A zero field is unknown until the flag of its group
 * (checkpoint_weighed, summaries_read, ...) is set; from then on, zero is the answer. LSNs are redo
 * positions or ends of WAL.
 */
typedef struct StartFacts
{
    /* Options and properties of the target. */
    bool asks_early, asks_late; /* --early-start, --late-start */
    bool makes_checkpoint;      /* --checkpoint */
    bool makes_what_pays;       /* --checkpoint=auto: only where a checkpoint pays */
    bool weighs_checkpoint;     /* a checkpoint may be made to avoid replay, or advised */
    bool expects_checkpoint;    /* the rewind will run a checkpoint, but this run is a dry run or
                                   recovery_start_foretell, which runs none */
    bool does_without_room;     /* a dry run continues without room, and reports the lack as one
                                   problem of several */
    bool compares;              /* --compare: the source's changes are not read */
    bool changes_unknown;       /* no WAL tells what the target has changed */
    bool archives;              /* the rewound standby archives the WAL that it receives */

    /* Positions. */
    Lsn divergence;
    Lsn early;                /* the early start */
    bool early_opens_at_once; /* the standby takes connections at once from there */
    Lsn wal_end;              /* end of the source's WAL when the decision began */
    bool in_recovery;         /* the source is a standby */
    Lsn late;                 /* the late start that was found last; LSN_INVALID: none */
    bool late_may_be_cheaper;
    Lsn looked_from;  /* a late start at or after this LSN was looked for; `late` is the last one
                         that was found */
    int later_starts; /* count of late starts that were found past a hazard */

    /* Answers, in groups: one for each StartUnknown. */
    bool checkpoint_weighed; /* the next four are known */
    bool may_checkpoint;     /* the role may run CHECKPOINT */
    uint64_t buffers_bytes;  /* size of the source's shared buffers */
    uint64_t data_bytes;     /* size of the source's relations */
    bool keeps_wal;          /* the source keeps its WAL from the early start on when a checkpoint
                                ends */
    bool summaries_read;
    Lsn summaries_end;               /* the source's summaries have its changes up to this LSN;
                                        LSN_INVALID if they are of no use */
    bool summaries_replace_gone_wal; /* WAL before summaries_end is gone from the source; the
                                        summaries replace it */
    uint64_t summaries_bytes;        /* size of the blocks that the summaries name */
    StartAnswer early_room, late_room;
    bool wal_was_looked_for; /* archives were asked for WAL that the source lacks since the early
                                start; missing_end is known */
    Lsn missing_end;         /* end of the WAL that neither the source nor an archive has;
                                LSN_INVALID if none is missing */
    ReplayFacts early_replay, late_replay;
    bool relations_listed;
    uint64_t relations_bytes;
    StartAnswer room_to_read; /* room to read WAL before the late start, in addition to the WAL that
                                 is replayed */
    Lsn changes_end;          /* the source's changes from the early start up to this LSN are known;
                                 LSN_INVALID: none is known */
    bool changes_by_summaries; /* summaries gave the changes up to summaries_end, WAL the rest */
    uint64_t changes_bytes;    /* size of the blocks that the WAL before the late start changes */
    bool changes_missing;      /* WAL before the late start is missing */
    double bytes_per_second;   /* rate of WAL from the source, measured when summaries, relations or
                                  changes were last fetched; 0 if unknown */
} StartFacts;

/* ---- The decision ---- */

typedef enum StartUnknown
{
    START_DECIDED,
    START_UNKNOWN_LATER,     /* a late start at or after `from` */
    START_UNKNOWN_SUMMARIES, /* the source's summaries of WAL before the late start */
    START_UNKNOWN_ROOM,      /* room for the WAL from the start that StartDecision.late names on */
    START_UNKNOWN_WAL,       /* gaps in the WAL from the early start on */
    /* recovery_start_foretell stops here: each fact below needs WAL to be read or the source's
     * files to be listed. */
    START_UNKNOWN_REPLAY,       /* hazards in the WAL that is replayed from the start that
                                   StartDecision.late names */
    START_UNKNOWN_CHECKPOINT,   /* what a checkpoint would cost, and whether the role may run it */
    START_UNKNOWN_RELATIONS,    /* size of the relations to compare */
    START_UNKNOWN_ROOM_TO_READ, /* room for the WAL before the late start */
    START_UNKNOWN_CHANGES       /* the source's changes before the late start, found by `way` */
} StartUnknown;

/*
 * Reasons for a start: the key for programs; the line that people read below the start, or ""; and
 * what the schema of the report says of it. START_NO_OTHER (no late start, hardly any WAL before
 * it, or a late start from which replay is wrong or a standby takes connections later) and
 * START_ARCHIVE are early starts, START_ASKED and START_ESTIMATE either, all others late ones.
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
    START_ESTIMATE /* the start that costs less; must be the last reason */
} StartReason;
/* clang-format on */

/* Way to find what the source changed before a late start. */
typedef enum StartWay
{
    START_BY_WAL,
    START_BY_SUMMARIES, /* by summaries, and from their end on by WAL */
    START_BY_COMPARING  /* by comparing all blocks of both sides */
} StartWay;

typedef enum StartRefusal
{
    START_NOT_REFUSED,
    START_LACKS_ROOM,  /* no room for the WAL from the start on */
    START_EARLY_ONLY,  /* WAL is missing, and --early-start allows no other start */
    START_WAL_MISSING, /* WAL is missing, and the source has no checkpoint past it */
    START_REPLAY_WRONG /* replay is wrong, and the source has no checkpoint past the hazard */
} StartRefusal;

/* Answer of start_decide. While a fact is unknown, late, reason and way are provisional: they hold
 * unless this fact changes them. */
typedef struct StartDecision
{
    StartUnknown unknown;
    StartRefusal refusal;
    Lsn from;          /* with START_UNKNOWN_LATER: the earliest redo position that will do */
    bool past_hazard;  /* with START_UNKNOWN_LATER: wait if the source makes a checkpoint soon */
    bool past_missing; /* with START_UNKNOWN_LATER: read pg_control and position again */

    bool late; /* a late start; false is an early one, or with is_expected a future checkpoint */
    StartReason reason;
    StartWay way;            /* way to find changes before a late start */
    Lsn late_redo;           /* redo position of the late start that could be chosen, even if the
                                early one was; else LSN_INVALID */
    StartEstimate estimate;  /* with START_ESTIMATE, or where all blocks are compared */
    bool is_expected;        /* the start is the checkpoint that the rewind would make */
    bool early_opens_sooner; /* early is chosen since the standby takes connections sooner from
                                there */
    bool reads_once;         /* WAL before the late start is removed as soon as it was read */
    bool keeps_wal; /* WAL before the late start stays on the target, since there is little */
} StartDecision;

/* Decide from the facts, or name the next fact that is needed. No I/O, no error. */
StartDecision start_decide(const StartFacts *facts);

/* Estimate of a checkpoint that the source would make now; all fields are 0 unless
 * checkpoint_weighed. */
CheckpointEstimate start_weigh_checkpoint(const StartFacts *facts);

/* True if --checkpoint makes no checkpoint although much WAL would be replayed: the source would
 * remove WAL, and comparing all blocks would take longer than that replay. (Rule C41.) */
bool start_spares_checkpoint(const StartFacts *facts);

#endif
