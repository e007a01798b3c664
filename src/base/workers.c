#include "base/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_STEP_MILLISECONDS 100

/* Read by the handler and by all threads: lock-free atomics. */
static atomic_int stop_signal;
static atomic_bool stops_held_off;
static atomic_int late_signal; /* came while stops were held off, and nobody was told yet */

/* What the threads of one workers_run share. */
typedef struct Run
{
    WorkerFunction function;
    void *context;
    size_t count;
    pthread_mutex_t lock; /* guards what follows */
    size_t next;          /* first item not begun */
    bool failed;
    size_t failed_item; /* lowest one that failed */
    Error *error;       /* its error */
} Run;

typedef struct Worker
{
    Run *run;
    int number;
    pthread_t thread;
} Worker;

static bool take_item(Run *run, size_t *item)
{
    bool taken;

    pthread_mutex_lock(&run->lock);
    taken = !run->failed && run->next < run->count;
    if (taken)
        *item = run->next++;
    pthread_mutex_unlock(&run->lock);
    return taken;
}

static void note_failure(Run *run, size_t item, const Error *error)
{
    pthread_mutex_lock(&run->lock);
    if (!run->failed || item < run->failed_item)
    {
        run->failed = true;
        run->failed_item = item;
        *run->error = *error;
    }
    pthread_mutex_unlock(&run->lock);
}

static void *work(void *argument)
{
    const Worker *worker = argument;
    Run *run = worker->run;
    Error *error = memory_allocate_zeroed(1, sizeof(Error));
    size_t item;

    while (take_item(run, &item))
    {
        if (!stop_check(error) || !run->function(run->context, worker->number, item, error))
            note_failure(run, item, error);
    }
    free(error);
    return NULL;
}

bool workers_run(int jobs, size_t count, WorkerFunction function, void *context, Error *error)
{
    Run run = {.function = function, .context = context, .count = count, .error = error};
    Worker *workers;
    int started = 1;

    if (jobs < 1)
        jobs = 1;
    if ((size_t) jobs > count)
        jobs = count > 0 ? (int) count : 1;
    pthread_mutex_init(&run.lock, NULL);
    workers = memory_allocate_zeroed((size_t) jobs, sizeof(Worker));
    workers[0] = (Worker){.run = &run, .number = 0};

    /* The caller's thread is the first worker. Where the system gives no more threads, fewer do. */
    for (; started < jobs; started++)
    {
        workers[started] = (Worker){.run = &run, .number = started};
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) != 0)
            break;
    }
    work(&workers[0]);
    for (int number = 1; number < started; number++)
        pthread_join(workers[number].thread, NULL);

    free(workers);
    pthread_mutex_destroy(&run.lock);
    return !run.failed;
}

bool stop_requested(void)
{
    return stop_signal != 0 && !atomic_load(&stops_held_off);
}

bool stop_signalled(void)
{
    return stop_signal != 0;
}

int stop_held_off(void)
{
    return atomic_exchange(&late_signal, 0);
}

bool stop_check(Error *error)
{
    if (!stop_requested())
        return true;
    return error_set(error, ERROR_FAILED, "terminated by signal %d", atomic_load(&stop_signal));
}

bool stop_pause(int milliseconds, Error *error)
{
    for (; milliseconds > 0; milliseconds -= PAUSE_STEP_MILLISECONDS)
    {
        const int step =
            milliseconds < PAUSE_STEP_MILLISECONDS ? milliseconds : PAUSE_STEP_MILLISECONDS;
        struct timespec pause = {.tv_nsec = step * 1000000L};

        if (!stop_check(error))
            return false;
        nanosleep(&pause, NULL);
    }
    return stop_check(error);
}

static void handle_stop(int number)
{
    /* A second signal ends the process as if there were no handler: every instant is safe to die
     * at. */
    if (!atomic_load(&stops_held_off) && stop_signal != 0)
    {
        signal(number, SIG_DFL);
        raise(number);
    }
    stop_signal = number;
    if (atomic_load(&stops_held_off))
        atomic_store(&late_signal, number);
}

void signals_install(void)
{
    static const int stops[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);

    /* Without SA_RESTART: waiting calls return and look at the flag. */
    action.sa_handler = handle_stop;
    for (size_t index = 0; index < sizeof(stops) / sizeof(stops[0]); index++)
    {
        struct sigaction before;

        /* nohup, and shells that start a command in the background, ignore some on purpose. */
        if (sigaction(stops[index], NULL, &before) == 0 && before.sa_handler == SIG_IGN)
            continue;
        sigaction(stops[index], &action, NULL);
    }
}

void signals_heed_again(void)
{
    atomic_store(&stops_held_off, false);
}

void signals_hold_off(void)
{
    /* A signal that nobody has looked at until now comes too late as well. */
    if (!atomic_exchange(&stops_held_off, true) && stop_signal != 0)
        atomic_store(&late_signal, stop_signal);
}
