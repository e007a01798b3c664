/*
 * One function over N items in J threads.
 */
#ifndef BASE_WORKERS_H
#define BASE_WORKERS_H

#include "base/error.h"

#include <signal.h>
#include <sys/types.h>

/* Called once for each item, in ascending order of items over all threads. Each thread has its own
 * Error. */
typedef bool (*WorkerFunction)(void *context, size_t item, Error *error);

/*
 * Run function over items 0 .. count - 1 in at most jobs threads (the caller's own when jobs or
 * count is 1). The first error stops the rest: no further item is begun, those under way end, and
 * the error of the lowest item that failed is returned. Items not begun stay undone.
 */
MUST_CHECK bool workers_run(int jobs, size_t count, WorkerFunction function, void *context,
                            Error *error);

/*
 * The same without an end known in advance, and with results that are taken in order: item 0, 1, 2
 * and so on are run in at most jobs threads, then taken, by any of the threads, never two at once.
 * No item is begun before the one `window` items below it was taken, which bounds what waits to be
 * taken; otherwise no thread waits for another. *last, false when called: set it when no later item
 * is wanted; the work ends when this item was taken. Later items may have been run, but are not
 * taken.
 *
 * An error of run counts when it is that item's turn to be taken, so an error after the last item
 * has no effect; an error of take counts at once.
 */
typedef bool (*OrderedFunction)(void *context, size_t item, bool *last, Error *error);
MUST_CHECK bool workers_run_ordered(int jobs, size_t window, OrderedFunction run,
                                    OrderedFunction take, void *context, Error *error);

/* True once a stop signal has come (see signals_install); workers_run and I/O loops look at it. */
bool stop_requested(void);

/* Fails with "terminated by signal N" once a stop was requested and stops are not held off. */
MUST_CHECK bool stop_check(Error *error);

/* Wait that long; fails like stop_check as soon as a stop is requested. */
MUST_CHECK bool stop_pause(int milliseconds, Error *error);

/* The signals that ask for a stop. */
void stop_signals(sigset_t *set);

/* Have a handler called for them, also while a call waits. Those that are ignored stay ignored:
 * nohup, and shells that start a command in the background, ignore some on purpose. */
typedef void (*StopHandler)(int number, siginfo_t *info, void *unused);
void stop_signals_handle(StopHandler handler);

/*
 * Install the handlers. Signals that are ignored at the start stay ignored, except SIGCHLD: then
 * waiting for a child would be impossible. SIGPIPE and SIGXFSZ are ignored: the call that
 * caused one fails. A second signal kills at once, unless stops are held off.
 */
void signals_install(void);

/* The parent forwards its signals to this process, which may have got them as well: then a second
 * signal is the second of the same sender. */
void signals_set_parent(pid_t parent);

/* True once a signal has asked for a stop, even if stops are held off. */
bool stop_signalled(void);

/* The number of a signal that came while stops were held off, reported once; 0: none has come. */
int stop_held_off(void);

/* From now on stops are held off: stop_check succeeds (after the commit). */
void signals_hold_off(void);

/* Stops count again: an interrupted rewind was finished and a new one begins. */
void signals_heed_again(void);

#endif
