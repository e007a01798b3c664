#include "io/supervise.h"

#include "base/log.h"
#include "base/workers.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FIRST_PAUSE_SECONDS 1 /* pause before the second child; it doubles for each further one */

static volatile sig_atomic_t child;
static volatile sig_atomic_t stop_number; /* last signal that was passed on to the child */
static pid_t caller, last_child;

pid_t supervise_caller(void)
{
    return caller != 0 ? caller : getppid();
}

pid_t supervise_last_child(void)
{
    return last_child;
}

static void forward_signal(int number, siginfo_t *info, void *unused)
{
    const int before = errno;

    (void) info;
    (void) unused;
    stop_number = number;
    if (child > 0)
        kill((pid_t) child, number);
    errno = before;
}

static void block_stops(sigset_t *before)
{
    sigset_t set;

    stop_signals(&set);
    sigprocmask(SIG_BLOCK, &set, before);
}

/* From here on signals are for the work in this process. One that came before there was a process
 * that does it is for it, too. */
static void take_signals(void)
{
    signals_install();
    if (stop_number != 0)
        raise(stop_number);
}

/* Returns false if no child can be made: then this process does the work. */
static bool run_child(SupervisedWork work, void *context, SupervisedTurn turn, int *wait_status)
{
    const pid_t parent = getpid();
    sigset_t before;
    siginfo_t info;
    pid_t pid;

    block_stops(&before);
    pid = fork();
    if (pid == 0)
    {
        take_signals();
        signals_set_parent(parent);
        /* A child that outlived its parent would change a directory that the caller may already use
         * for something else: let SIGTERM stop the child when the parent dies, except after the
         * commit. */
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent)
            raise(SIGTERM);
        sigprocmask(SIG_SETMASK, &before, NULL);
        exit(work(context, turn));
    }
    if (pid < 0)
        take_signals();
    child = pid;
    sigprocmask(SIG_SETMASK, &before, NULL);
    if (pid < 0)
        return false;
    last_child = pid;
    while (waitid(P_PID, (id_t) pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
        ;
    /* The child's pid may be reused as soon as its status is collected: no signal may be sent to
     * `child` from then on. */
    block_stops(&before);
    while (waitpid(pid, wait_status, 0) < 0 && errno == EINTR)
        ;
    child = 0;
    sigprocmask(SIG_SETMASK, &before, NULL);
    return true;
}

/* Pause before the next run. False if a signal asked for a stop, before the pause or during it:
 * that ends the pause. */
static bool pause_before_retry(int seconds)
{
    const struct timespec pause = {.tv_sec = seconds};
    sigset_t before;

    block_stops(&before);
    if (stop_number == 0)
        ppoll(NULL, 0, &pause, &before);
    sigprocmask(SIG_SETMASK, &before, NULL);
    return stop_number == 0;
}

int supervise(int retries, SupervisedWork work, void *context, int killed)
{
    int wait_status = 0;
    int pause = FIRST_PAUSE_SECONDS;
    bool stopped = false;
    sigset_t stops;
    Error error;

    caller = getppid();
    if (retries == 0)
        return work(context, (SupervisedTurn){.last = true});
    stop_signals(&stops);
    stop_signals_handle(forward_signal);
    for (int left = retries;; left--)
    {
        const bool again = left < retries;

        if (!run_child(work, context, (SupervisedTurn){again, left == 0}, &wait_status))
            return work(context, (SupervisedTurn){again, true});
        if (WIFSIGNALED(wait_status) && sigismember(&stops, WTERMSIG(wait_status)) == 1)
        {
            /* End as if the signal had hit this process. */
            signal(WTERMSIG(wait_status), SIG_DFL);
            sigprocmask(SIG_UNBLOCK, &stops, NULL);
            raise(WTERMSIG(wait_status));
        }
        if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) != SUPERVISE_AGAIN)
            return WEXITSTATUS(wait_status);
        if (left == 0 || stop_number != 0)
            break;
        if (WIFSIGNALED(wait_status))
            log_warning("the process that did the work was terminated by signal %d: %s; it is run "
                        "again",
                        WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
        else
            log_info("the rewind is run again");
        stopped = !pause_before_retry(pause);
        if (stopped)
            break;
        pause *= 2;
    }
    if (!WIFSIGNALED(wait_status) && !stopped)
        return killed;
    /* The child's messages do not say that the rewind is unfinished. */
    if (stopped)
        error_set(&error, ERROR_FAILED, "terminated by signal %d", stop_number);
    else
        error_set(&error, ERROR_FAILED,
                  "the process that did the work was terminated by signal %d: %s",
                  WTERMSIG(wait_status), strsignal(WTERMSIG(wait_status)));
    error_hint(&error, SUPERVISE_HINT);
    log_error(&error);
    return killed;
}
