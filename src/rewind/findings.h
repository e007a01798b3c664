/*
 * What a run has found out, as far as it came: one value for each step of rewind.c, which alone
 * sets them. A step gets those that it needs; the report is made from all of them.
 */
#ifndef REWIND_FINDINGS_H
#define REWIND_FINDINGS_H

#include "divergence/divergence.h"
#include "divergence/lost_transactions.h"
#include "divergence/target_changes.h"
#include "rewind/identify.h"
#include "rewind/opening.h"
#include "rewind/prepare.h"
#include "recovery_start/choose.h"
#include "report/report.h"
#include "rewind/staging.h"
#include "standby/next_start.h"
#include "standby/standby_settings.h"
#include "standby/target_slots.h"

typedef struct Findings
{
    Opened opened;
    Identified identified;
    Divergence divergence;
    TargetChanges changes;
    LostTransactions lost;
    RecoveryStart start;
    Planned planned;
    const StandbySettings *standby_settings; /* what -R sets; NULL: without -R, or not made */
    bool slot_made;                          /* by --create-slot, in this run */
    TargetSlots slots;                       /* of a former primary that needs no rewind */
    const NextStart *next_start;             /* NULL: not found out */
    Staged staged;
    bool saved; /* the diverged WAL */
    const char *saved_wal_command;
    StageStatistics fetched; /* also by attempts that were thrown away */
    uint64_t compared_bytes; /* likewise */
    double seconds[PHASE_COUNT];
} Findings;

/* Add the time since then to a phase's; returns the time now, for the next. */
double findings_count_seconds(Findings *findings, ReportPhase phase, double since);

/* Add what a stage has fetched. */
void findings_add_fetched(Findings *findings, const Stage *stage);

/* What the target's server will find when it starts: rewound as planned, or as it is. Fails only if
 * the source is lost. */
MUST_CHECK bool findings_find_next_start(const Options *options, Findings *findings, Arena *arena,
                                         Error *error);

/* The report: all that was found out. Strings and lists are in the arena. */
void report_make(const Options *options, const Findings *findings, Arena *arena, Report *report);

/* After a run that succeeded: add what is to be done next to the report, and print it. */
void report_what_comes_next(const Options *options, Arena *arena, Findings *findings,
                            Report *report);

#endif
