/*
 * Waiting for a fact that another process brings about: look, pause, look again.
 */
#ifndef BASE_WAIT_H
#define BASE_WAIT_H

#include "base/error.h"

typedef struct Wait
{
    double begin;   /* in clock_seconds' */
    double seconds; /* how long it may take; 0: one look; INFINITY: the fact decides alone */
    int pause_milliseconds;
    bool reported; /* wait_reports was true */
    bool stopped;  /* ended by a request to stop; the error says which */
} Wait;

Wait wait_begin(double seconds);

/*
 * True if the wait is over: the fact is there, the time is over, or a stop was requested. Otherwise
 * false, after a pause, a short one at first. It stands at the end of each look:
 *
 *     do
 *     {
 *         if (!find_server(&pid, error))
 *             return false;
 *     } while (!wait_until(pid == 0, &wait, error));
 *     return !wait.stopped;
 */
MUST_CHECK bool wait_until(bool fact, Wait *wait, Error *error);

/* True once, when the wait has lasted that long and goes on: then the user is told what it is for.
 */
bool wait_reports(Wait *wait, double after_seconds);

#endif
