/*
 * The values that a run has found out, as far as it came: one for each step of rewind.c, which
 * alone sets them. A step gets those that it needs; the report reads them when the run is over.
 */
#ifndef REWIND_RUN_H
#define REWIND_RUN_H

#include "base/arena.h"
#include "divergence/divergence.h"
#include "divergence/lost_transactions.h"
#include "divergence/target_changes.h"
#include "recovery_start/recovery_start.h"
#include "rewind/identify.h"
#include "rewind/opening.h"
#include "rewind/prepare.h"
#include "rewind/transfer.h"
#include "standby/next_start.h"
#include "standby/standby_settings.h"
#include "standby/target_slots.h"

typedef enum RunPhase
{
    PHASE_IDENTIFY,
    PHASE_SCAN,
    PHASE_PLAN,
    PHASE_STAGE,
    PHASE_APPLY,
    PHASE_COUNT
} RunPhase;

/* The source, known also after its connection was closed. */
typedef struct SourceAddress
{
    const char *description;    /* NULL: the source was not reached */
    bool is_server;             /* the next three are set */
    const char *host, *address; /* that answered; NULL: there is no such thing */
    uint32_t port;
} SourceAddress;

#define NEXT_STEPS_MAX 16

typedef struct Run
{
    Arena *arena; /* holds strings and lists; NULL: no run has begun */
    Opened opened;
    Identified identified;
    SourceAddress source; /* set at the end */
    Divergence divergence;
    TargetChanges changes;
    Lost *lost;
    RecoveryStart start;
    Planned planned;
    const StandbySettings *standby_settings; /* what -R sets; NULL: without -R, or not made */
    bool slot_made;                          /* by --create-slot, in this run */
    TargetSlots slots;                       /* of a former primary that needs no rewind */
    const NextStart *next_start;             /* NULL: not found out */
    Staged staged;
    bool saved; /* the diverged WAL */
    const char *saved_wal_command;
    StageStatistics fetched;           /* also by attempts that were thrown away */
    uint64_t reread_wal_bytes;         /* WAL that was fetched only to be read; set at the end */
    uint64_t compared_bytes;           /* also by attempts that were thrown away */
    double seconds[PHASE_COUNT];       /* time a phase took */
    const char *steps[NEXT_STEPS_MAX]; /* what people do before and when the server starts, in
                                          order: sentences */
    size_t step_count;
} Run;

/* Add the time since then to a phase's; returns the time now, for the next. */
double run_count_seconds(Run *run, RunPhase phase, double since);

/* Add what a stage has fetched. */
void run_add_fetched(Run *run, const Stage *stage);

/* Find out what the target's server will find when it starts: rewound as planned, or as it is.
 * Fails only if the source is lost. */
MUST_CHECK bool run_find_next_start(const Options *options, Run *run, Arena *arena, Error *error);

/* End of the source's WAL, as far as it is known. */
Lsn run_source_end(const Run *run);

/* An interrupted rewind was found: it was finished, or a dry run leaves it. */
bool run_resumed(const Run *run);

/* The last that is asked of source and stage before they are closed. */
void run_note_source(Run *run);

void run_free(Run *run);

#endif
