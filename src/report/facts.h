/*
 * What both documents, for people and for programs, say in the same way.
 */
#ifndef REPORT_FACTS_H
#define REPORT_FACTS_H

#include "base/json.h"
#include "report/report.h"

#include <time.h>

/* How it ended: a key for programs, a line for people. */
typedef struct Verdict
{
    const char *key;
    const char *text;
} Verdict;

extern const char *const report_phase_names[PHASE_COUNT];

Verdict report_verdict(const Report *report, int exit_status);

/* At most, WAL included. */
uint64_t report_bytes_to_fetch(const Report *report);

/* Against a copy of the whole source: what was fetched, or in a dry run what would be at most. */
uint64_t report_bytes_saved(const Report *report);

double report_seconds_total(const Report *report);

/*
 * Microseconds since 2000 as seconds since 1970; *microseconds: the rest, never negative. No 64
 * bits of microseconds make a year that struct tm could not hold.
 */
time_t report_unix_time(int64_t timestamp, int *microseconds);

/* Why a full backup is to be taken, sentences; NULL: there is no need. Returns text. */
#define REPORT_FULL_BACKUP_SIZE 512
const char *report_full_backup(const Report *report, char text[REPORT_FULL_BACKUP_SIZE]);

/* As the server prints it; a report of an early failure knows no version yet. Returns text. */
const char *report_lsn_text(const Report *report, Lsn lsn, char text[LSN_TEXT_SIZE]);

/* The report's parts of report->next_start and the steps. */
void report_next_text(const Report *report, Buffer *text);
void report_next_json(const Report *report, Json *json);

/*
 * Does the environment's locale have UTF-8 as its encoding? By its name: the locale itself need not
 * be installed where the program runs, while the terminal is elsewhere.
 */
bool report_locale_is_utf8(void);

void report_append_spaces(Buffer *text, int count);

#endif
