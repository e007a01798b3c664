#include "base/wait.h"

#include "base/clock.h"
#include "base/workers.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_a_fact_ends_the_wait_at_once(void **state)
{
    Wait wait = wait_begin(INFINITY);

    (void) state;
    assert_true(wait_until(true, &wait, NULL));
    assert_false(wait.stopped);
    assert_true(clock_seconds() - wait.begin < 0.5);
}

static void test_the_time_ends_it(void **state)
{
    Wait wait = wait_begin(0.05);
    int looks = 1;

    (void) state;
    while (!wait_until(false, &wait, NULL))
        looks++;
    assert_false(wait.stopped);
    assert_true(clock_seconds() - wait.begin >= 0.05);
    assert_true(looks > 1);
}

static void test_no_time_is_one_look(void **state)
{
    Wait wait = wait_begin(0);

    (void) state;
    assert_false(wait_reports(&wait, 0)); /* a wait of 0 s is over before it could be reported */
    assert_true(wait_until(false, &wait, NULL));
    assert_false(wait.stopped);
}

static void test_a_wait_is_reported_once(void **state)
{
    Wait wait = wait_begin(INFINITY);

    (void) state;
    assert_false(wait_reports(&wait, 3600));
    assert_true(wait_reports(&wait, 0));
    assert_false(wait_reports(&wait, 0));
    assert_true(wait.reported);
}

static void test_a_request_to_stop_ends_it(void **state)
{
    Wait wait = wait_begin(INFINITY);
    Error error;

    (void) state;
    signals_install();
    raise(SIGTERM);
    assert_true(wait_until(false, &wait, &error));
    assert_true(wait.stopped);
    assert_string_equal(error.message, "terminated by signal 15");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fact_ends_the_wait_at_once),
        cmocka_unit_test(test_the_time_ends_it),
        cmocka_unit_test(test_no_time_is_one_look),
        cmocka_unit_test(test_a_wait_is_reported_once),
        cmocka_unit_test(test_a_request_to_stop_ends_it), /* the last one: a stop stays */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
