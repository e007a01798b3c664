#include "base/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PAUSE_STEP_MILLISECONDS 100

static const int stop_numbers[] = {SIGINT, SIGTERM, SIGHUP};
#define STOP_NUMBERS (sizeof(stop_numbers) / sizeof(stop_numbers[0]))

/* State of stops, used by the signal handler and by all threads: lock-free atomics. */
static atomic_int stop_signal;
static atomic_bool stops_held_off;
static atomic_bool signalled[2]; /* a signal came [0] from others, [1] from the parent */
static pid_t parent_process;     /* parent that forwards signals; 0 if none does */
static atomic_int late_signal;   /* signal that was held off, and is not reported yet */

/* State that the threads of one run share. */
typedef struct WorkersRun
{
    WorkerFunction function; /* function of workers_run; NULL in workers_run_ordered */
    OrderedFunction run, take;
    void *context;
    size_t window;
    Error *error; /* error of the lowest failed item; this and all members below are guarded by the
                     lock */
    pthread_mutex_t lock;
    pthread_cond_t moved; /* signalled when `taken` or `over` changes */
    bool *done;           /* done[i % window]: item i was run and is not taken yet */
    size_t next;          /* first item that is not begun */
    size_t taken;         /* first item that is not taken */
    size_t limit;         /* last item that is needed */
    size_t failed_item;   /* lowest item whose run has failed; SIZE_MAX if none */
    bool taking;          /* a thread is calling take */
    bool over;
    bool failed;
} WorkersRun;

/* Make this item the last needed one, unless an earlier one is. The caller holds the lock, as in
 * the functions below. */
static void lower_limit(WorkersRun *run, size_t item)
{
    if (item < run->limit)
        run->limit = item;
}

/* Take the results of all finished items in order, unless another thread does. The lock is released
 * during each call of take. */
static void take_finished_items(WorkersRun *run, Error *error)
{
    if (run->taking)
        return;
    run->taking = true;
    while (!run->over && run->done[run->taken % run->window])
    {
        const size_t item = run->taken;
        bool last = false;

        run->failed = item == run->failed_item;
        if (!run->failed)
        {
            pthread_mutex_unlock(&run->lock);
            bool good = run->take(run->context, item, &last, error);
            pthread_mutex_lock(&run->lock);
            run->failed = !good;
            if (!good)
                error_copy(run->error, error);
        }
        if (run->failed || last)
            lower_limit(run, item);
        run->over = item == run->limit;
        run->done[item % run->window] = false;
        run->taken++;
        pthread_cond_broadcast(&run->moved);
    }
    run->taking = false;
}

/* Run one item. The lock is released while the item runs. */
static void run_item(WorkersRun *run, size_t item, Error *error)
{
    bool last = false;

    pthread_mutex_unlock(&run->lock);
    bool good =
        stop_check(error) && (run->function != NULL ? run->function(run->context, item, error)
                                                    : run->run(run->context, item, &last, error));
    pthread_mutex_lock(&run->lock);
    if (!good && item <= run->limit)
    {
        run->failed_item = item;
        error_copy(run->error, error);
    }
    if (!good || last)
        lower_limit(run, item);
    if (run->take != NULL)
        run->done[item % run->window] = true;
}

static void *run_items(void *argument)
{
    WorkersRun *run = argument;
    Error *error = memory_allocate_zeroed(1, sizeof(Error));

    pthread_mutex_lock(&run->lock);
    for (;;)
    {
        /* Wait: results that are not taken yet may lower the limit or move the window. */
        while (!run->over && run->take != NULL &&
               (run->next > run->limit || run->next - run->taken >= run->window))
            pthread_cond_wait(&run->moved, &run->lock);
        if (run->over || run->next > run->limit)
            break;
        run_item(run, run->next++, error);
        if (run->take != NULL)
            take_finished_items(run, error);
    }
    pthread_mutex_unlock(&run->lock);
    free(error);
    return NULL;
}

/* Run run_items in `jobs` threads, of which the caller's is one, until all have returned. If the
 * system refuses a thread, fewer do the work. */
static void run_in_threads(WorkersRun *run, int jobs)
{
    const size_t threads_max = jobs > 1 ? (size_t) jobs : 1;
    pthread_t *threads = memory_allocate_zeroed(threads_max, sizeof(pthread_t));
    size_t count = 1;

    pthread_mutex_init(&run->lock, NULL);
    pthread_cond_init(&run->moved, NULL);
    run->failed_item = SIZE_MAX;
    while (count < threads_max && pthread_create(&threads[count], NULL, run_items, run) == 0)
        count++;
    run_items(run);
    while (--count > 0)
        pthread_join(threads[count], NULL);
    free(threads);
    pthread_cond_destroy(&run->moved);
    pthread_mutex_destroy(&run->lock);
}

bool workers_run(int jobs, size_t count, WorkerFunction function, void *context, Error *error)
{
    WorkersRun run = {.function = function, .context = context, .limit = count - 1, .error = error};

    if (count == 0)
        return true;
    run_in_threads(&run, jobs > 0 && (size_t) jobs > count ? (int) count : jobs);
    return run.failed_item == SIZE_MAX;
}

bool workers_run_ordered(int jobs, size_t window, OrderedFunction run, OrderedFunction take,
                         void *context, Error *error)
{
    WorkersRun ordered = {.run = run,
                          .take = take,
                          .context = context,
                          .window = window,
                          .limit = SIZE_MAX,
                          .error = error};

    ordered.done = memory_allocate_zeroed(window, sizeof(bool));
    run_in_threads(&ordered, jobs);
    free(ordered.done);
    return !ordered.failed;
}

bool stop_requested(void)
{
    return stop_signal != 0 && !atomic_load(&stops_held_off);
}

bool stop_signalled(void)
{
    return stop_signal != 0;
}

int stop_take_held_off(void)
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

static void handle_stop(int number, siginfo_t *info, void *ignored)
{
    const bool handed_on = parent_process != 0 && info->si_pid == parent_process;

    (void) ignored;
    /* A second signal of the same sender ends the process as if there were no handler: dying is
     * safe at every instant. The signal that the kernel sends when the parent has died is no second
     * one: nobody asked twice. (Rule I36.) */
    if (atomic_exchange(&signalled[handed_on], true) && !atomic_load(&stops_held_off) &&
        !(handed_on && getppid() != parent_process))
    {
        signal(number, SIG_DFL);
        raise(number);
    }
    stop_signal = number;
    if (atomic_load(&stops_held_off))
        atomic_store(&late_signal, number);
}

void stop_signals(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < STOP_NUMBERS; i++)
        sigaddset(set, stop_numbers[i]);
}

void stop_signals_handle(StopHandler handler)
{
    /* Without SA_RESTART, waiting calls return EINTR, and their callers check for a stop. */
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < STOP_NUMBERS; i++)
    {
        struct sigaction before;

        if (sigaction(stop_numbers[i], NULL, &before) != 0 || before.sa_handler != SIG_IGN)
            sigaction(stop_numbers[i], &action, NULL);
    }
}

void signals_install(void)
{
    struct sigaction action;

    memset(&action, 0, sizeof(action));
    sigemptyset(&action.sa_mask);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    /* A write past the limit for file sizes (ulimit -f) then fails with EFBIG. */
    sigaction(SIGXFSZ, &action, NULL);
    /* Our parent may have set SIGCHLD to be ignored: then waitpid could not return a child's exit
     * status. */
    action.sa_handler = SIG_DFL;
    sigaction(SIGCHLD, &action, NULL);
    stop_signals_handle(handle_stop);
}

void signals_set_parent(pid_t parent)
{
    parent_process = parent;
}

void signals_heed_again(void)
{
    atomic_store(&stops_held_off, false);
}

void signals_hold_off(void)
{
    /* A signal that came earlier, but was not acted on, also comes too late. */
    if (!atomic_exchange(&stops_held_off, true) && stop_signal != 0)
        atomic_store(&late_signal, stop_signal);
}
