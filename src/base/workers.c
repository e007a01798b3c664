#include "base/workers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PAUSE_STEP_MILLISECONDS 100

static const int stop_numbers[] = {SIGINT, SIGTERM, SIGHUP};
#define STOP_NUMBERS (sizeof(stop_numbers) / sizeof(stop_numbers[0]))

/* Read by the handler and by all threads: lock-free atomics. */
static atomic_int stop_signal;
static atomic_bool stops_held_off;
static atomic_bool signalled[2]; /* by others, and by the parent that hands signals on */
static pid_t parent_process;     /* 0: none that does */
static atomic_int late_signal;   /* came while stops were held off, and was not reported yet */

/*
 * Call body in several threads, of which this is one, and wait until all have returned. If the
 * system refuses a thread, fewer do the work.
 */
static void run_in_threads(size_t threads_max, void *(*body)(void *argument), void *argument)
{
    pthread_t *threads = memory_allocate_zeroed(threads_max, sizeof(pthread_t));
    size_t count = 1;

    while (count < threads_max && pthread_create(&threads[count], NULL, body, argument) == 0)
        count++;
    body(argument);
    while (--count > 0)
        pthread_join(threads[count], NULL);
    free(threads);
}

/* Shared by the threads of one workers_run. */
typedef struct WorkersRun
{
    WorkerFunction function;
    void *context;
    size_t count;
    atomic_int worker_count; /* threads that have begun */
    pthread_mutex_t lock;    /* guards what follows */
    size_t next;             /* first item not begun */
    bool failed;
    size_t failed_item; /* lowest one that failed */
    Error *error;       /* its error */
} WorkersRun;

static bool take_item(WorkersRun *run, size_t *item)
{
    bool taken;

    pthread_mutex_lock(&run->lock);
    taken = !run->failed && run->next < run->count;
    if (taken)
        *item = run->next++;
    pthread_mutex_unlock(&run->lock);
    return taken;
}

static void note_failure(WorkersRun *run, size_t item, const Error *error)
{
    pthread_mutex_lock(&run->lock);
    if (!run->failed || item < run->failed_item)
    {
        run->failed = true;
        run->failed_item = item;
        error_copy(run->error, error);
    }
    pthread_mutex_unlock(&run->lock);
}

static void *run_items(void *argument)
{
    WorkersRun *run = argument;
    const int worker = atomic_fetch_add(&run->worker_count, 1);
    Error *error = memory_allocate_zeroed(1, sizeof(Error));
    size_t item;

    while (take_item(run, &item))
    {
        if (!stop_check(error) || !run->function(run->context, worker, item, error))
            note_failure(run, item, error);
    }
    free(error);
    return NULL;
}

bool workers_run(int jobs, size_t count, WorkerFunction function, void *context, Error *error)
{
    WorkersRun run = {.function = function,
                      .context = context,
                      .count = count,
                      .lock = PTHREAD_MUTEX_INITIALIZER,
                      .error = error};

    if (jobs < 1 || count == 0)
        jobs = 1;
    else if ((size_t) jobs > count)
        jobs = (int) count;
    run_in_threads((size_t) jobs, run_items, &run);
    pthread_mutex_destroy(&run.lock);
    return !run.failed;
}

/* One item that has begun and was not taken yet. */
typedef struct Slot
{
    bool done;
    Error *failure; /* NULL: it succeeded */
} Slot;

/* Shared by the threads of one workers_run_ordered. */
typedef struct Ordered
{
    OrderedFunction run, take;
    void *context;
    size_t window;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t moved; /* taken has grown, or it is over */
    Slot *slots;          /* item i is at i % window */
    size_t next;          /* first item not begun */
    size_t taken;         /* first item not taken */
    size_t limit;         /* no later item is wanted */
    bool taking;          /* one of the threads is at it */
    bool over;
    bool failed;
    Error *error;
} Ordered;

/* Take all items whose turn it is, unless another thread does. The caller holds the lock, which is
 * released during each call of take. */
static void take_finished_items(Ordered *ordered, Error *error)
{
    if (ordered->taking)
        return;
    ordered->taking = true;
    while (!ordered->over && ordered->slots[ordered->taken % ordered->window].done)
    {
        size_t item = ordered->taken;
        Slot *slot = &ordered->slots[item % ordered->window];
        bool last = false;

        pthread_mutex_unlock(&ordered->lock);
        bool good = slot->failure == NULL && ordered->take(ordered->context, item, &last, error);
        pthread_mutex_lock(&ordered->lock);
        if (!good)
            error_copy(ordered->error, slot->failure != NULL ? slot->failure : error);
        ordered->failed = !good;
        ordered->over = !good || last || item == ordered->limit;
        slot->done = false;
        ordered->taken++;
        pthread_cond_broadcast(&ordered->moved);
    }
    ordered->taking = false;
}

/* Run one item. The caller holds the lock, which is released while it runs. */
static void run_ordered_item(Ordered *ordered, size_t item, Error *error)
{
    Slot *slot = &ordered->slots[item % ordered->window];
    bool last = false;

    pthread_mutex_unlock(&ordered->lock);
    bool good = stop_check(error) && ordered->run(ordered->context, item, &last, error);
    if (!good)
    {
        slot->failure = memory_allocate(sizeof(Error));
        *slot->failure = *error;
    }
    pthread_mutex_lock(&ordered->lock);
    slot->done = true;
    if ((!good || last) && item < ordered->limit)
        ordered->limit = item;
}

static void *run_ordered_items(void *argument)
{
    Ordered *ordered = argument;
    Error *error = memory_allocate_zeroed(1, sizeof(Error));

    pthread_mutex_lock(&ordered->lock);
    for (;;)
    {
        while (!ordered->over && (ordered->next > ordered->limit ||
                                  ordered->next - ordered->taken >= ordered->window))
            pthread_cond_wait(&ordered->moved, &ordered->lock);
        if (ordered->over)
            break;
        run_ordered_item(ordered, ordered->next++, error);
        take_finished_items(ordered, error);
    }
    pthread_mutex_unlock(&ordered->lock);
    free(error);
    return NULL;
}

bool workers_run_ordered(int jobs, size_t window, OrderedFunction run, OrderedFunction take,
                         void *context, Error *error)
{
    Ordered ordered = {.run = run,
                       .take = take,
                       .context = context,
                       .window = window,
                       .lock = PTHREAD_MUTEX_INITIALIZER,
                       .moved = PTHREAD_COND_INITIALIZER,
                       .limit = SIZE_MAX,
                       .error = error};

    ordered.slots = memory_allocate_zeroed(window, sizeof(Slot));
    run_in_threads(jobs > 1 ? (size_t) jobs : 1, run_ordered_items, &ordered);
    for (size_t i = 0; i < window; i++)
        free(ordered.slots[i].failure);
    free(ordered.slots);
    pthread_cond_destroy(&ordered.moved);
    pthread_mutex_destroy(&ordered.lock);
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

static void handle_stop(int number, siginfo_t *info, void *ignored)
{
    const bool handed_on = parent_process != 0 && info->si_pid == parent_process;

    (void) ignored;
    /* A second signal ends the process as if there were no handler: every instant is safe to die
     * at. */
    if (atomic_exchange(&signalled[handed_on], true) && !atomic_load(&stops_held_off))
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
    /* Without SA_RESTART: waiting calls return and look at the flag. */
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
    /* Our parent may have set SIGCHLD to be ignored: then waitpid could not return the exit status
     * of a child. */
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
    /* A signal that came before, but was not acted on, is too late as well. */
    if (!atomic_exchange(&stops_held_off, true) && stop_signal != 0)
        atomic_store(&late_signal, stop_signal);
}
