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
} Items;

static bool work_item(void *context, size_t item, Error *error)
{
    Items *items = context;

    atomic_fetch_add(&items->begun[item], 1);
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

typedef struct Ordered
{
    size_t window;
    size_t last_run;  /* run says that this item is the last one */
    size_t last_take; /* take says so */
    size_t fail_run;
    size_t fail_take;
    atomic_size_t taken;
    atomic_int taking;
    atomic_bool wrong;
} Ordered;

static bool run_ordered(void *context, size_t item, bool *last, Error *error)
{
    Ordered *ordered = context;
    struct timespec pause = {.tv_nsec = (long) (item % 5) * 20000};

    if (item >= atomic_load(&ordered->taken) + ordered->window)
        ordered->wrong = true;
    nanosleep(&pause, NULL); /* items end in another order than they begin */
    *last = item == ordered->last_run;
    if (item >= ordered->fail_run)
        return error_set(error, ERROR_RETRY, "item %zu", item);
    return true;
}

static bool take_ordered(void *context, size_t item, bool *last, Error *error)
{
    Ordered *ordered = context;

    if (atomic_fetch_add(&ordered->taking, 1) != 0 || item != ordered->taken)
        ordered->wrong = true;
    *last = item == ordered->last_take;
    if (item == ordered->fail_take)
        return error_set(error, ERROR_FAILED, "take %zu", item);
    atomic_fetch_add(&ordered->taken, 1);
    atomic_fetch_sub(&ordered->taking, 1);
    return true;
}

/* The number of items taken; message "" for success. */
static size_t ordered_items(int jobs, size_t window, Ordered ordered, const char *message)
{
    Error error = {0};

    ordered.window = window;
    bool good = workers_run_ordered(jobs, window, run_ordered, take_ordered, &ordered, &error);
    assert_int_equal(good, message[0] == '\0');
    if (!good)
        assert_string_equal(error.message, message);
    assert_false(ordered.wrong);
    return ordered.taken;
}

static void test_items_are_taken_in_order(void **state)
{
    static const int jobs[] = {0, 1, 2, 7};
    static const size_t windows[] = {1, 2, 4, 64};

    (void) state;
    for (size_t i = 0; i < 16; i++)
    {
        int j = jobs[i / 4];
        size_t w = windows[i % 4];
        Ordered none = {
            .last_run = ITEMS, .last_take = ITEMS, .fail_run = ITEMS, .fail_take = ITEMS};
        Ordered some = none;

        some.last_run = 100;
        assert_int_equal(ordered_items(j, w, some, ""), 101);
        some.fail_run = 101; /* behind the last one: nobody learns of it */
        assert_int_equal(ordered_items(j, w, some, ""), 101);
        some.last_take = 50;
        assert_int_equal(ordered_items(j, w, some, ""), 51);
        some = none;
        some.fail_run = 30;
        assert_int_equal(ordered_items(j, w, some, "item 30"), 30);
        some.fail_take = 20;
        assert_int_equal(ordered_items(j, w, some, "take 20"), 20);
        some = none;
        some.last_run = 0;
        assert_int_equal(ordered_items(j, w, some, ""), 1);
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

static bool stop_at_five(void *context, size_t item, Error *error)
{
    (void) context;
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
    signal(SIGHUP, SIG_DFL); /* under nohup SIGHUP would stay ignored */
    signals_install();
    if (stop_signalled() || stop_take_held_off() != 0)
        _exit(1);
    raise(SIGHUP); /* nobody has looked at it when stops are held off */
    signals_hold_off();
    signals_hold_off();
    if (!stop_signalled() || stop_take_held_off() != SIGHUP || stop_take_held_off() != 0)
        _exit(2);
    raise(SIGTERM);
    raise(SIGINT);
    if (stop_take_held_off() != SIGINT || stop_take_held_off() != 0)
        _exit(3);
    signals_heed_again();
    if (!stop_requested() || stop_take_held_off() != 0)
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
        cmocka_unit_test(test_items_are_taken_in_order),
        cmocka_unit_test(test_a_stop_is_an_error_until_it_is_held_off),
        cmocka_unit_test(test_a_signal_that_comes_too_late_is_told_once),
        cmocka_unit_test(test_a_second_signal_kills),
        cmocka_unit_test(test_a_closed_pipe_is_no_signal),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
