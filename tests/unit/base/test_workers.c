#include "base/workers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ITEMS 1000

typedef struct Items
{
    atomic_int begun[ITEMS];
    atomic_size_t highest;
    size_t fail_from; /* items from here on fail */
    int jobs;
} Items;

static bool work_item(void *context, int worker, size_t item, Error *error)
{
    Items *items = context;

    atomic_fetch_add(&items->begun[item], 1);
    if (worker < 0 || worker >= items->jobs)
        return error_set(error, ERROR_FAILED, "worker %d", worker);
    if (item >= items->fail_from)
        return error_set(error, ERROR_RETRY, "item %zu", item);
    return true;
}

static void test_each_item_is_done_once(void **state)
{
    static const int jobs[] = {1, 2, 7};

    (void) state;
    for (size_t index = 0; index < 3; index++)
    {
        Items *items = calloc(1, sizeof(Items));
        Error error;

        items->jobs = jobs[index];
        items->fail_from = ITEMS;
        assert_true(workers_run(jobs[index], ITEMS, work_item, items, &error));
        for (size_t item = 0; item < ITEMS; item++)
            assert_int_equal(items->begun[item], 1);
        free(items);
    }
}

static void test_no_items_and_odd_numbers_of_jobs(void **state)
{
    Items *items = calloc(1, sizeof(Items));
    Error error;

    (void) state;
    items->jobs = 1;
    items->fail_from = ITEMS;
    assert_true(workers_run(4, 0, work_item, items, &error));
    assert_true(workers_run(0, 1, work_item, items, &error));
    assert_true(workers_run(64, 1, work_item, items, &error));
    assert_int_equal(items->begun[0], 2);
    free(items);
}

static void test_the_first_error_stops_the_rest(void **state)
{
    static const int jobs[] = {1, 4};

    (void) state;
    for (size_t index = 0; index < 2; index++)
    {
        Items *items = calloc(1, sizeof(Items));
        Error error;
        int begun = 0;

        items->jobs = jobs[index];
        items->fail_from = 10;
        assert_false(workers_run(jobs[index], ITEMS, work_item, items, &error));
        assert_int_equal(error.kind, ERROR_RETRY);
        assert_string_equal(error.message, "item 10"); /* the lowest that failed */
        for (size_t item = 0; item < ITEMS; item++)
            begun += items->begun[item];
        assert_true(begun >= 11 && begun <= 10 + jobs[index]);
        free(items);
    }
}

/* Run body in a child, as signals and their handlers belong to the whole process; its wait status.
 */
static int in_child(void (*body)(void))
{
    int status;
    const pid_t pid = fork();

    if (pid == 0)
    {
        body();
        _exit(0);
    }
    waitpid(pid, &status, 0);
    return status;
}

static bool stop_at_five(void *context, int worker, size_t item, Error *error)
{
    (void) context;
    (void) worker;
    (void) error;
    if (item == 5)
        raise(SIGTERM);
    return true;
}

static void stopped_once(void)
{
    Error error;

    signals_install();
    if (!stop_check(&error) || workers_run(1, ITEMS, stop_at_five, NULL, &error))
        _exit(1);
    if (strcmp(error.message, "terminated by signal 15") != 0 || !stop_requested())
        _exit(2);
    signals_hold_off();
    raise(SIGTERM);
    if (!stop_check(&error) || stop_requested())
        _exit(3);
}

static void stopped_twice(void)
{
    signals_install();
    raise(SIGTERM);
    raise(SIGTERM);
}

static void other_end_closed(void)
{
    int ends[2];

    signals_install();
    if (pipe(ends) != 0 || close(ends[0]) != 0)
        _exit(1);
    if (write(ends[1], "x", 1) != -1)
        _exit(2);
}

static void test_a_stop_is_an_error_until_it_is_held_off(void **state)
{
    (void) state;
    assert_int_equal(in_child(stopped_once), 0);
}

static void stopped_too_late(void)
{
    signal(SIGHUP, SIG_DFL); /* nohup has it ignored, and then it stays so */
    signals_install();
    if (stop_signalled() || stop_held_off() != 0)
        _exit(1);
    raise(SIGHUP); /* nobody has looked at it when stops are held off */
    signals_hold_off();
    signals_hold_off();
    if (!stop_signalled() || stop_held_off() != SIGHUP || stop_held_off() != 0)
        _exit(2);
    raise(SIGTERM);
    raise(SIGINT);
    if (stop_held_off() != SIGINT || stop_held_off() != 0)
        _exit(3);
    signals_heed_again();
    if (!stop_requested() || stop_held_off() != 0)
        _exit(4);
}

static void test_a_signal_that_comes_too_late_is_told_once(void **state)
{
    (void) state;
    assert_int_equal(in_child(stopped_too_late), 0);
}

static void test_a_second_signal_kills(void **state)
{
    const int status = in_child(stopped_twice);

    (void) state;
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

static void test_a_closed_pipe_is_no_signal(void **state)
{
    (void) state;
    assert_int_equal(in_child(other_end_closed), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_item_is_done_once),
        cmocka_unit_test(test_no_items_and_odd_numbers_of_jobs),
        cmocka_unit_test(test_the_first_error_stops_the_rest),
        cmocka_unit_test(test_a_stop_is_an_error_until_it_is_held_off),
        cmocka_unit_test(test_a_signal_that_comes_too_late_is_told_once),
        cmocka_unit_test(test_a_second_signal_kills),
        cmocka_unit_test(test_a_closed_pipe_is_no_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
