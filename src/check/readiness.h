/*
 * --check: could this node be rewound, now or after a failover? What is looked at, and what was
 * found.
 *
 * Nothing is written, locked or run on either side, and the target's server may run. What is looked
 * at is cheap: no file of a relation is opened, and of the WAL a bounded part is read.
 */
#ifndef CHECK_READINESS_H
#define CHECK_READINESS_H

#include "format/versions.h"
#include "options.h"

#include <stdio.h>

typedef enum FindingState
{
    FINDING_PROBLEM, /* a rewind would fail; the order is that of the text */
    FINDING_WARNING, /* it may fail, or costs more than it must */
    FINDING_UNKNOWN, /* it could not be found out */
    FINDING_OK
} FindingState;

typedef struct Finding
{
    const char *name; /* stable, for programs */
    FindingState state;
    const char *text;   /* sentences */
    const char *remedy; /* what to type where possible, lines; NULL: nothing is to be done */
} Finding;

typedef enum VerdictState
{
    VERDICT_NONE, /* not asked for: the target's server runs, or no source is named */
    VERDICT_NEEDED,
    VERDICT_NOT_NEEDED,
    VERDICT_NOT_POSSIBLE,
    VERDICT_UNKNOWN
} VerdictState;

typedef struct Verdict
{
    VerdictState state;
    const char *text;
    const char *dry_run_adds; /* what --dry-run would find out in addition; NULL: nothing */
    Error *reasons;           /* with which a rewind would end */
    size_t reason_count;
} Verdict;

/* All findings, in the order of the looks. Strings are in the arena or static. */
typedef struct Readiness
{
    Arena *arena;
    const char *target;
    const char *source;     /* NULL: none is named */
    const Version *version; /* of the target; NULL: not known */
    bool running;
    bool standby;
    Verdict verdict;
    Finding *findings;
    size_t finding_count;
    Finding *not_looked_at; /* text says why */
    size_t not_looked_at_count;
} Readiness;

/*
 * Look at everything that can be looked at. Problems are findings: this cannot fail. A source that
 * does not answer costs some ten seconds. readiness_free in any case.
 */
void readiness_find(const Options *options, Readiness *readiness);
void readiness_free(Readiness *readiness);

/* No problem was found, and a rewind that is needed is not impossible. */
bool readiness_is_ready(const Readiness *readiness);

/* The findings for people, problems first, and for programs (docs/check.schema.json). */
void readiness_print_text(const Readiness *readiness, FILE *stream);
void readiness_print_json(const Readiness *readiness, FILE *stream);

/* For the files that look: text is copied, remedy as well. */
void readiness_add(Readiness *readiness, const char *name, FindingState state, const char *remedy,
                   const char *format, ...) PRINTF_LIKE(5, 6);
void readiness_add_error(Readiness *readiness, const char *name, FindingState state,
                         const Error *error);
void readiness_leave_out(Readiness *readiness, const char *name, const char *why);
const char *readiness_lsn(const Readiness *readiness, Lsn lsn);
void readiness_add_reason(Readiness *readiness, const Error *error);

#endif
