/*
 * Values that the text report and the JSON report both derive from the run.
 */
#ifndef REPORT_FACTS_H
#define REPORT_FACTS_H

#include "recovery_start/start_decision.h"
#include "report/report.h"

/* A key for programs, and a line for people. Static strings. */
typedef struct ReportTerm
{
    const char *key, *text;
} ReportTerm;

/* The reasons for the choice of recovery's start, indexed by StartReason. The text report prints
 * the line below the start, unless it is empty. */
extern const ReportTerm report_reasons[];

/* The outcome of the run. */
ReportTerm report_result(const Report *report);

typedef struct ReportTime
{
    const char *name;
    double seconds;
} ReportTime;

/* Set one entry for each phase of the run in their order, then "other" for all other time, such as
 * that of runs which were killed and run again. (PHASE_NONE is no phase, so PHASE_COUNT entries are
 * enough.) Together they are run_seconds. */
void report_times(const Report *report, ReportTime times[PHASE_COUNT]);

/* The LSN as the target's server prints it, in the run's arena. If the run failed before the
 * server's version was known: as versions up to 18 print it. */
const char *report_lsn(const Report *report, Lsn lsn);

/* ---- Histories ---- */

/* True if all blocks were compared instead of reading the target's WAL, with --compare or
 * without. */
bool report_compares(const Report *report);

/* The last common checkpoint; NULL if it is not known or not used. */
const ScanCheckpoint *report_common_checkpoint(const Report *report);
/* The LSN at which recovery would start from the last common checkpoint: the redo position of that
 * checkpoint, or of the source's last checkpoint if that is older. Requires
 * report_common_checkpoint. */
Lsn report_common_redo(const Report *report);
/* The end of the target's WAL; LSN_INVALID if it is not known. */
Lsn report_target_end(const Report *report);

/* ---- Bytes ---- */

/* Bytes of WAL to be fetched at most. Requires a plan. */
uint64_t report_planned_wal_bytes(const Report *report);
/* Bytes saved compared with a copy of the whole source: its size without what was fetched, or in a
 * dry run what would be fetched at most; at least 0. Requires a plan. */
uint64_t report_bytes_saved(const Report *report);

/* ---- Consequences ---- */

/* Find the WAL that the target's server replays before it is consistent, and the number of its
 * segments. Returns false if the WAL is not known. */
bool report_replay(const Report *report, Lsn *from, Lsn *to, uint64_t *segments);

/* Set *prepared, with lists in the run's arena; returns false if they are not known. */
bool report_prepared(const Report *report, PlanPrepared *prepared);

/* Names of files with lost history that the target has archived: *count of them, in the run's
 * arena. NULL if they are not known. */
const char *const *report_archived(const Report *report, size_t *count);

#endif
