/* Do work in a child process, and do it again if the child was killed or could not finish: scripts
 * that call this program regard any failure as final (design/interruption.md). */
#ifndef IO_SUPERVISE_H
#define IO_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

/* Exit status by which work reports that it is unfinished and worth being done again. */
#define SUPERVISE_AGAIN 200

/* The place of a run among the runs of one piece of work. */
typedef struct SupervisedTurn
{
    bool again; /* a run before this one was killed, or left the work unfinished */
    bool last;  /* no further run follows, even if this one returns SUPERVISE_AGAIN */
} SupervisedTurn;

/* Do the work in the child process; returns an exit status, or SUPERVISE_AGAIN. */
typedef int (*SupervisedWork)(void *context, SupervisedTurn turn);

/* The hint of an error after which it is not known how far a run has come. */
#define SUPERVISE_HINT                                                                             \
    "Run the same command again: it finishes the rewind, or starts it again. If the target was "   \
    "being changed, no server can start there until then."

/*
 * Call work in a child process, at most 1 + retries times: again if the child was killed, or if it
 * returned SUPERVISE_AGAIN. Returns the exit status of the last child; `killed` if that child was
 * killed by a signal, which is logged as an error, or returned SUPERVISE_AGAIN. (Rule I32.)
 *
 * Signals that ask for a stop are handed on to the child; after one, including one in the pause
 * before the next run, work is not done again. If the child was killed by such a signal, this
 * process kills itself by the same one. A child whose parent has died is asked to stop, as by
 * SIGTERM. Without retries, or if no child can be created, work is called in this process.
 */
int supervise(int retries, SupervisedWork work, void *context, int killed);

/* The pid of the last child, which has exited; 0: no child was created. */
pid_t supervise_last_child(void);

/* The pid of the process that has started this program. */
pid_t supervise_caller(void);

#endif
