#include "base/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "base/workers.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define KB 1024

static void assert_near(double found, double expected)
{
    if (fabs(found - expected) > 1e-6)
        fail_msg("%g is not %g", found, expected);
}

static void test_no_limit_never_waits(void **state)
{
    Error error;

    (void) state;
    assert_null(rate_create(0));
    assert_int_equal(rate_limit(NULL), 0);
    assert_int_equal(rate_piece(NULL, 12345), 12345);
    assert_near(rate_count(NULL, UINT64_MAX, 1), 0);
    assert_true(rate_take(NULL, UINT64_MAX, &error));
    rate_free(NULL);
}

static void test_who_gets_more_waits_longer(void **state)
{
    Rate *rate = rate_create(100 * KB);
    const double now = clock_seconds() + 10;

    (void) state;
    assert_int_equal(rate_limit(rate), 100 * KB);
    /* The limit was unused for 10 seconds, but only 0.1 seconds' worth (10 KB) is saved up. */
    assert_near(rate_count(rate, 10 * KB, now), 0);
    assert_near(rate_count(rate, 50 * KB, now), 0.5);
    assert_near(rate_count(rate, 50 * KB, now), 1);
    /* Whoever asks in between, all wait for what all have got. */
    assert_near(rate_count(rate, 50 * KB, now + 0.75), 0.75);
    assert_near(rate_count(rate, 25 * KB, now + 1.5), 0.25);
    /* A wait that took too long is made up for. */
    assert_near(rate_count(rate, 25 * KB, now + 1.8), 0.2);
    /* Short ones are saved up. */
    assert_near(rate_count(rate, 512, now + 2), 0);
    assert_near(rate_count(rate, 1024, now + 2), 0.015);
    rate_free(rate);
}

static void test_pieces_are_small_where_the_rate_is_low(void **state)
{
    static const struct
    {
        uint64_t rate;
        uint32_t piece;
    } cases[] = {{32 * KB, 8 * KB},
                 {1000 * KB, 8 * KB},
                 {4 * KB * KB, 32 * KB},
                 {127 * KB * KB, 1016 * KB},
                 {1024 * (uint64_t) KB * KB, 1024 * KB}};

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        Rate *rate = rate_create(cases[i].rate);

        assert_int_equal(rate_piece(rate, 1024 * KB), cases[i].piece);
        rate_free(rate);
    }
}

static void *take(void *rate)
{
    Error error;

    for (int i = 0; i < 20; i++)
        if (!rate_take(rate, 10 * KB, &error))
            return rate;
    return NULL;
}

static void test_threads_share_it(void **state)
{
    Rate *rate = rate_create(1000 * KB);
    pthread_t threads[3];
    double begin;

    (void) state;
    rate_count(rate, 100 * KB, clock_seconds()); /* what may be left */
    begin = clock_seconds();
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take, rate), 0);
    for (int i = 0; i < 3; i++)
    {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    /* 600 kB at 1000 kB per second; the last waits may be too short to be made. */
    assert_true(clock_seconds() - begin > 0.55);
    rate_free(rate);
}

static void test_a_signal_ends_the_wait(void **state)
{
    const double begin = clock_seconds();
    int status;
    pid_t pid;

    (void) state;
    pid = fork();
    if (pid == 0)
    {
        Rate *rate = rate_create(KB);
        Error error;

        signal(SIGTERM, SIG_DFL);
        signals_install();
        raise(SIGTERM);
        _exit(rate_take(rate, 100 * KB * KB, &error) ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    assert_true(clock_seconds() - begin < 60);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_limit_never_waits),
        cmocka_unit_test(test_who_gets_more_waits_longer),
        cmocka_unit_test(test_pieces_are_small_where_the_rate_is_low),
        cmocka_unit_test(test_threads_share_it),
        cmocka_unit_test(test_a_signal_ends_the_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
