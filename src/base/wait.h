/*
 * Waiting for a fact that depends on another process: check, pause, check again.
 */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H

#include "base/error.h"

typedef struct Wait
{
    double begin;   /* start of the wait, by clock_seconds */
    double seconds; /* time limit; 0 checks once, INFINITY waits without limit */
    int pause_milliseconds;
    bool reported; /* wait_reports has returned true */
    bool stopped;  /* a stop signal ended the wait; the error names it */
} Wait;

Wait wait_begin(double seconds);

/*
 * Returns true if the wait is over: the fact is true, the time limit is reached, or a stop was
 * requested (then wait->stopped is true and error is set). Otherwise pauses, briefly at first, and
 * returns false. Use it as the condition of the loop that checks the fact:
 *
 *     do
 *     {
 *         if (!find_server(&pid, error))
 *             return false;
 *     } while (!wait_until(pid == 0, &wait, error));
 *     return !wait.stopped;
 */
MUST_CHECK bool wait_until(bool fact, Wait *wait, Error *error);

/* Returns true once, when the wait has lasted after_seconds and is not over: the caller then prints
 * what it waits for. */
bool wait_reports(Wait *wait, double after_seconds);

#endif
