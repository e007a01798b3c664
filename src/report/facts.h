/*
 * Facts that both documents derive from the values of the run.
 */
#ifndef REPORT_FACTS_H
#define REPORT_FACTS_H

#include "report/report.h"
#include "report/report_keys.h"

/* How the run ended. */
ReportTerm report_result(const Report *report);

typedef struct ReportTime
{
    const char *name;
    double seconds;
} ReportTime;

/* The phases of the run in their order, then "other" for all other time of it, such as that of runs
 * which were killed and run again. Together they are run_seconds. */
void report_times(const Report *report, ReportTime times[PHASE_COUNT]);

/* As the server prints it, in the run's arena; of an early failure the version is not known. */
const char *report_lsn(const Report *report, Lsn lsn);

/* ---- Histories ---- */

/* True if all blocks were compared in place of reading the target's WAL: asked for or not. */
bool report_compares(const Report *report);

/* The last common checkpoint; NULL: not known, or not used. */
const ScanCheckpoint *report_common_checkpoint(const Report *report);
/* Recovery could start there: the checkpoint's redo position, or that of the source's checkpoint if
 * that is older. */
Lsn report_common_redo(const Report *report);
/* LSN_INVALID: not known. */
Lsn report_target_end(const Report *report);

/* ---- Bytes ---- */

/* WAL to be fetched at most. A plan is known. */
uint64_t report_planned_wal_bytes(const Report *report);
/* Against a copy of the whole source: what was fetched, or in a dry run what would be at most. */
uint64_t report_bytes_saved(const Report *report);

/* ---- Consequences ---- */

/* Find the WAL that the target's server replays before it is consistent, and the number of its
 * segments. Returns false if the WAL is not known. */
bool report_replay(const Report *report, Lsn *from, Lsn *to, uint64_t *segments);

/* Returns false if they are not known. Lists are in the run's arena. */
bool report_prepared(const Report *report, PlanPrepared *prepared);

/* Names of files that the target has archived, and that hold lost history; *count of them, in the
 * run's arena. NULL: not known. */
const char *const *report_archived(const Report *report, size_t *count);

#endif
