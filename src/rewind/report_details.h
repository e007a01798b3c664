/*
 * What the report tells beside the steps' own results: who answered, what is replayed when the
 * target starts, prepared transactions, and what archives and backups have of the lost history.
 */
#ifndef REWIND_REPORT_DETAILS_H
#define REWIND_REPORT_DETAILS_H

#include "base/arena.h"
#include "rewind/findings.h"
#include "report/report.h"

/* Add them, as far as the run found them out; strings and lists are in the arena. */
void report_details(const Findings *findings, Arena *arena, Report *report);

#endif
