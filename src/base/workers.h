/*
 * Run one function over N items in several threads, and handle stop signals.
 */
#ifndef BASE_WORKERS_H
#define BASE_WORKERS_H

#include "base/error.h"

#include <signal.h>
#include <sys/types.h>

/* A function that is called once for each item; items are begun in ascending order. Each thread has
 * its own Error. */
typedef bool (*WorkerFunction)(void *context, size_t item, Error *error);

/*
 * Run function over items 0 .. count - 1 in at most jobs threads (only the caller's if jobs or
 * count is 1). After an error no further item is begun; items under way end, and the error of the
 * lowest failed item is returned.
 */
MUST_CHECK bool workers_run(int jobs, size_t count, WorkerFunction function, void *context,
                            Error *error);

/*
 * Run items 0, 1, 2 and so on in at most jobs threads, without a known end, and take their results
 * in order: `take` is called for each item in ascending order, by any of the threads, never by two
 * at once.
 *
 * An item is begun only after the item `window` places before it was taken, which bounds the
 * results that wait; otherwise no thread waits for another. Both run and take find *last false, and
 * set it to true if no later item is needed: the work ends when this item was taken. Later items
 * may have been run by then, but are not taken.
 *
 * An error of run counts when its item would be taken, so an error after the last item has no
 * effect. An error of take counts at once.
 */
typedef bool (*OrderedFunction)(void *context, size_t item, bool *last, Error *error);
MUST_CHECK bool workers_run_ordered(int jobs, size_t window, OrderedFunction run,
                                    OrderedFunction take, void *context, Error *error);

/* True if a stop signal has come and stops are not held off. workers_run and I/O loops check
 * this. */
bool stop_requested(void);

/* Fails with "terminated by signal N" if stop_requested. */
MUST_CHECK bool stop_check(Error *error);

/* Sleep; fails like stop_check as soon as a stop is requested. */
MUST_CHECK bool stop_pause(int milliseconds, Error *error);

/* Fill the set with the stop signals: SIGINT, SIGTERM and SIGHUP. */
void stop_signals(sigset_t *set);

/* Install a handler for the stop signals, without SA_RESTART: a waiting system call returns EINTR.
 * Signals that are ignored stay ignored: nohup, and shells that start a command in the background,
 * ignore some on purpose. */
typedef void (*StopHandler)(int number, siginfo_t *info, void *unused);
void stop_signals_handle(StopHandler handler);

/*
 * Install the program's handlers. Stop signals that are ignored at the start stay ignored. SIGCHLD
 * gets its default even if it was ignored: otherwise no exit status of a child could be read.
 * SIGPIPE and SIGXFSZ are ignored: the system call fails instead. A second stop signal kills the
 * process at once, unless stops are held off.
 */
void signals_install(void);

/* Tell a child that its parent forwards stop signals. A terminal sends a signal to both, so the
 * child can get the same one twice; now only a second signal of the same sender counts as a
 * second. */
void signals_set_parent(pid_t parent);

/* True if a stop signal has come, even if stops are held off. */
bool stop_signalled(void);

/* The number of a stop signal that came while stops were held off, or that came before and was not
 * acted on; 0 if none has come since the last call. */
int stop_take_held_off(void);

/* Hold off stops from now on, because the rewind is committed: stop_requested stays false. */
void signals_hold_off(void);

/* End holding off stops: an interrupted rewind was finished, and a new one begins. A stop signal
 * that has come in the meantime stops the new one. */
void signals_heed_again(void);

#endif
