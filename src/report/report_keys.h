/*
 * The keys of the report, with the texts of its schema; and the values that one of them has.
 */
#ifndef REPORT_REPORT_KEYS_H
#define REPORT_REPORT_KEYS_H

#include "base/buffer.h"
#include "recovery_start/start_decision.h"

/* Append the schema of report_json's object, which docs/report.schema.json is. */
void report_schema(Buffer *text);

/* The reason for a start of recovery: its key for programs, and the line that people read below the
 * start; "" says nothing. */
typedef struct ReportReason
{
    const char *key, *text;
} ReportReason;

extern const ReportReason report_reasons[]; /* by StartReason */

#endif
