/*
 * Advice: facts that a user should know or act on, each worded once, where it is found. Callers
 * show a list of advice: a rewind as its next steps and in its report, --rejoin as the reasons why
 * it stops no server, --check as findings.
 */
#ifndef BASE_ADVICE_H
#define BASE_ADVICE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/log.h"

typedef enum AdviceSeverity
{
    ADVICE_PROBLEM, /* a rewind, or the server after it, would fail */
    ADVICE_WARNING, /* a rewind or the server may fail, or the rewind costs more than it must */
    ADVICE_UNKNOWN, /* the fact could not be found out */
    ADVICE_OK       /* the fact is as it should be: only for --check */
} AdviceSeverity;

/* The time at which the user applies the remedy. */
typedef enum AdviceWhen
{
    ADVICE_AT_ONCE,
    ADVICE_BEFORE_START, /* before the target's server is started */
    ADVICE_AFTER_START
} AdviceWhen;

typedef struct Advice
{
    const char *id; /* static string for programs, the same in all releases */
    AdviceSeverity severity;
    AdviceWhen when;
    const char *text;   /* sentences: the first line is the fact, the next ones the reason */
    const char *remedy; /* lines with what to do, as a command where possible; NULL if there is
                           nothing to do or text says it */
    const Error *error; /* the error from which the advice was made; NULL if none */
} Advice;

/* A list of advice. Everything in the list is in its arena, the only member to be set at first. */
typedef struct AdviceList
{
    Arena *arena;
    Advice *items; /* in the order of adding, not sorted */
    size_t count;
} AdviceList;

/* Add a copy of advice, with the formatted text as its text; control characters are replaced
 * (SHOWN_OWN_LINES). The remedy is copied too; an empty one becomes NULL. */
void advice_add(AdviceList *list, Advice advice, const char *format, ...) PRINTF_LIKE(3, 4);

/* Add a copy of advice with a copy of the error: its message and detail become the text, its hint
 * the remedy. */
void advice_add_error(AdviceList *list, Advice advice, const Error *error);

/* Add all items of `more`. Their texts stay in the arena of `more`, which must live as long. */
void advice_add_all(AdviceList *list, const AdviceList *more);

/* True if the list has advice of this id. */
bool advice_has(const AdviceList *list, const char *id);

/* Problems of a run that looks for further problems before it fails. */
typedef struct Problems
{
    AdviceList *list; /* receives the problems, for the caller or problems_print; NULL if each is
                         printed at once */
    size_t count;
    ErrorKind worst; /* ERROR_IMPOSSIBLE is worse than ERROR_FAILED, and this than ERROR_RETRY;
                        ERROR_NONE without problems */
} Problems;

/* Count the problem and add it to the list. Without a list it is printed, unless its kind is
 * ERROR_REPORTED. */
void problems_add(Problems *problems, const Error *problem);

/* The same; id is the problem's finding of --check, or NULL if another check reports this
 * problem. */
void problems_add_finding(Problems *problems, const char *id, const Error *problem);

/* Print the problems of the list, and from now on each at once. Does nothing without a list. */
void problems_print(Problems *problems);

/* Returns true without problems; otherwise fails with ERROR_REPORTED and the worst kind. */
MUST_CHECK bool problems_check(const Problems *problems, Error *error);

/* Add advice of severity ADVICE_PROBLEM to `problems`; with `warns` print advice of severity
 * ADVICE_WARNING as warnings. Other advice is ignored. */
void advice_add_to_problems(const AdviceList *list, bool warns, Problems *problems);

/* Append advice as one line without a newline, for a list of next steps: "Before the server starts:
 * TEXT. REMEDY". Without a remedy the text alone is appended, unchanged. */
void advice_append_step(const Advice *advice, Buffer *text);

#endif
