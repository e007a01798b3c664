/*
 * The work is done in a child process, and is done again if the child was killed or could not
 * finish: scripts that call this program regard any failure as final (design/interruption.md).
 */
#ifndef IO_SUPERVISE_H
#define IO_SUPERVISE_H

#include <stdbool.h>
#include <sys/types.h>

/* How a piece of work ends, as its exit status, where it is worth being done again. */
#define SUPERVISE_AGAIN 200

/* The place of a run among the runs of one piece of work. */
typedef struct SupervisedTurn
{
    bool again; /* one before it was killed, or left the work unfinished */
    bool last;  /* what ends with SUPERVISE_AGAIN now is not done again */
} SupervisedTurn;

/* Returns an exit status. */
typedef int (*SupervisedWork)(void *context, SupervisedTurn turn);

/* The hint where it is not known how far a run has come. */
#define SUPERVISE_HINT                                                                             \
    "Run the same command again: it finishes the rewind, or starts it again. If the target was "   \
    "being changed, no server can start there until then."

/*
 * Call work in a child, at most 1 + retries times: again when the child was killed, or when it
 * returned SUPERVISE_AGAIN. Signals that ask for a stop are handed on; after one nothing is done
 * again, also after one that comes in the pause before that. A child whose parent has died is asked
 * to stop, as by SIGTERM. Returns the last child's status. Where it was killed by a signal that
 * asks for a stop, so is this process. Where it was killed by another, that is an error, which is
 * logged: `killed`; where it returned SUPERVISE_AGAIN, `killed` too. Without retries, and where no
 * child can be made, work is called right here. (Rule I32.)
 */
int supervise(int retries, SupervisedWork work, void *context, int killed);

/* The last child, which has ended; 0: there was none. */
pid_t supervise_last_child(void);

/* The process that has called this program. */
pid_t supervise_caller(void);

#endif
