/*
 * Advice: what somebody should know or do, worded once where the fact is known. Callers show a list
 * of it: a rewind as its next steps and in its report, --rejoin as the reasons why it stops no
 * server, --check as findings.
 */
#ifndef BASE_ADVICE_H
#define BASE_ADVICE_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/log.h"

typedef enum AdviceSeverity
{
    ADVICE_PROBLEM, /* a rewind, or the server after it, would fail; the order is that of a text */
    ADVICE_WARNING, /* a rewind or the server may fail, or the rewind costs more than it must */
    ADVICE_UNKNOWN, /* the look for the fact failed, or was not possible */
    ADVICE_OK
} AdviceSeverity;

/* The time at which the remedy is applied. */
typedef enum AdviceWhen
{
    ADVICE_AT_ONCE,
    ADVICE_BEFORE_START, /* before the target's server is started */
    ADVICE_AFTER_START
} AdviceWhen;

typedef struct Advice
{
    const char *id; /* stable, for programs */
    AdviceSeverity severity;
    AdviceWhen when;
    const char *text;   /* sentences; what follows the first line says why */
    const char *remedy; /* what to type where possible, lines; NULL: nothing is to be done, or text
                           says what */
    const Error *error; /* the error that the advice was made of; NULL: none */
} Advice;

/* All of it is in the arena. Begins with the arena alone. */
typedef struct AdviceList
{
    Arena *arena;
    Advice *items; /* in the order in which it was found out */
    size_t count;
} AdviceList;

/* Add a copy, whose text is the format's; an empty remedy is NULL. */
void advice_add(AdviceList *list, Advice advice, const char *format, ...) PRINTF_LIKE(3, 4);

/* The error's message and detail become the text, its hint the remedy; a copy of it is kept. */
void advice_add_error(AdviceList *list, Advice advice, const Error *error);

void advice_add_all(AdviceList *list, const AdviceList *more);

/* Problems of a run that looks for more before it ends. */
typedef struct Problems
{
    AdviceList *list; /* gets them; NULL: each is printed when it is found */
    size_t count;
    ErrorKind worst; /* ERROR_IMPOSSIBLE, then ERROR_FAILED, then ERROR_RETRY; ERROR_NONE: none */
} Problems;

/* Count the problem and list it. Without a list, print the problem unless that was done. */
void problems_add(Problems *problems, const Error *problem);

/* Likewise; id: the finding of --check that it belongs to, NULL: another one tells it. */
void problems_add_finding(Problems *problems, const char *id, const Error *problem);

/* False with an error of the worst kind if there are any; all were printed already, or are listed.
 */
MUST_CHECK bool problems_check(const Problems *problems, Error *error);

/* Add the advice of severity ADVICE_PROBLEM to `problems`. With `warns` the warnings are printed.
 */
void advice_tell(const AdviceList *list, bool warns, Problems *problems);

/* Append it as a step that people take, in one line: "Before the server starts: TEXT. REMEDY". */
void advice_append_step(const Advice *advice, Buffer *text);

#endif
