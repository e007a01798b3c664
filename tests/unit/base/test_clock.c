#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_the_clock_does_not_go_back(void **state)
{
    const double before = clock_seconds();
    const int64_t before_nanoseconds = clock_nanoseconds();

    (void) state;
    assert_true(clock_seconds() >= before);
    assert_true(clock_nanoseconds() >= before_nanoseconds);
    assert_true((double) before_nanoseconds / 1e9 >= before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_clock_does_not_go_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
