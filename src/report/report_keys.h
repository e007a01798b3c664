/*
 * The keys of the JSON report, with their descriptions for its schema, and the values of the key
 * "reason".
 */
#ifndef REPORT_REPORT_KEYS_H
#define REPORT_REPORT_KEYS_H

#include "base/buffer.h"
#include "recovery_start/start_decision.h"

/* Append the JSON schema of report_json's object; docs/report.schema.json has the same text. */
void report_schema(Buffer *text);

/* A key for programs, and a line for people. Static strings. */
typedef struct ReportTerm
{
    const char *key, *text;
} ReportTerm;

/* The reasons for the choice of recovery's start, indexed by StartReason. The text report prints
 * the line below the start, unless it is empty. */
extern const ReportTerm report_reasons[];

#endif
