/*
 * The keys of the report, with the texts of its schema; and the values that one of them has.
 */
#ifndef REPORT_REPORT_KEYS_H
#define REPORT_REPORT_KEYS_H

#include "base/buffer.h"
#include "recovery_start/start_decision.h"

/* Append the schema of report_json's object, which docs/report.schema.json is. */
void report_schema(Buffer *text);

/* A key for programs, and a line for people. */
typedef struct ReportTerm
{
    const char *key, *text;
} ReportTerm;

/* Reasons for a start of recovery, by StartReason. People read the line below the start; an empty
 * one says nothing. */
extern const ReportTerm report_reasons[];

#endif
