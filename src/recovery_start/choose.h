/*
 * The choice of where recovery of the rewound target starts, and what that start asks for.
 */
#ifndef RECOVERY_START_CHOOSE_H
#define RECOVERY_START_CHOOSE_H

#include "base/arena.h"
#include "base/error.h"
#include "pair/clusters.h"
#include "divergence/divergence.h"
#include "divergence/target_changes.h"
#include "options.h"
#include "recovery_start/start.h"
#include "wal/blockmap.h"
#include "wal/scan.h"
#include "wal_store/source_wal.h"

#include <stdbool.h>

typedef enum StartReason
{
    START_NO_OTHER, /* early: there is no late one from which the standby takes connections as soon,
                       or next to no WAL between them */
    START_HAZARD,   /* late: replay from the early one would do something wrong */
    START_ASKED,    /* --early-start, --late-start */
    START_ARCHIVE,  /* early: the rewound standby's archive would lack WAL */
    START_SPACE,    /* late: the disk has no room for the WAL from the early one on */
    START_NO_WAL,   /* late: the source no longer has the WAL from the early one on */
    START_ESTIMATE  /* by what each would cost */
} StartReason;

/* The decision, for the report. */
typedef struct StartChoice
{
    bool late;
    bool compares; /* all blocks are compared: --compare; or a late start, where reading the WAL
                      before it would cost more, or that WAL is nowhere */
    StartReason reason;
    Lsn late_redo;          /* of the late start, where there was a choice; else LSN_INVALID */
    StartEstimate estimate; /* with START_ESTIMATE; or where all blocks are compared by choice */
} StartChoice;

typedef struct RecoveryStart
{
    SourceState source; /* the source as it was when this was decided */
    Start earliest;     /* where recovery can start at the earliest */
    Start chosen;       /* where it does */
    StartChoice choice;
    bool by_summaries;        /* summaries tell of WAL before the late start: it was not read */
    Lsn wal_from;             /* WAL is staged from here on */
    Lsn wal_end;              /* the source's WAL was read up to here */
    ScanResult changes;       /* what must be fetched: what the target changed; from a late start
                                 also what the source changed before it; nothing where all blocks
                                 are compared */
    Lsn whole_from;           /* storage made or dropped from here on is fetched whole */
    bool opens_later;         /* not when it is consistent: see start_opening */
    bool copies_are_replayed; /* files of databases, from a start before the copies */
    BlockMap *rebuilt;        /* blocks that replay writes whole; NULL: not relied on */
    Lsn rebuilt_end;          /* by WAL up to here */
    const ScanPrepared *prepared; /* in the source's WAL, from the start on */
    size_t prepared_count;
    BlockMap *own_blocks; /* changes.blocks where they are not the target's alone; or NULL */
} RecoveryStart;

/* The values that decide. They must live as long as the RecoveryStart. */
typedef struct StartInput
{
    const Clusters *clusters;
    const SourceState *source; /* as it was read last */
    const Divergence *divergence;
    const TargetChanges *changes; /* NULL with --compare */
    SourceWal *source_wal;
    const Options *options;
    bool archives; /* the rewound standby archives the WAL that it receives */
} StartInput;

/*
 * Decide once where recovery starts, and read the source's WAL from there on. The start is late
 * where --late-start asks for it, where there is no room for the WAL from the early start on, where
 * that WAL is nowhere, where its replay would do something wrong, and where the late start costs
 * less; but not by its cost if `archives`, since the standby's archive would lack the WAL before a
 * late start. Otherwise it is early. With --compare it is at the source's last checkpoint. Waits
 * for a checkpoint of the source where one must come, and runs one with --checkpoint. An error if
 * no start is right. Strings are in the arena. recovery_start_free in any case.
 */
MUST_CHECK bool recovery_start_choose(const StartInput *input, Arena *arena, RecoveryStart *start,
                                      Error *error);

void recovery_start_free(RecoveryStart *start);

#endif
