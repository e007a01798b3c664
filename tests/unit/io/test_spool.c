/* Rule C95. */
/*
 * Items in a spool keep their bytes, even if ulimit -f limits the size of the spool's files.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/spool.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>

#define ITEM_SIZE (SPOOL_ITEM_MAX / 2 + 8)
#define ITEMS 24

static Error error;

static void fill_and_check(const char *directory)
{
    Spool *spool = spool_create(directory, &error);
    uint8_t *items[ITEMS];

    assert_non_null(spool);
    for (size_t i = 0; i < ITEMS; i++)
    {
        items[i] = spool_allocate(spool, ITEM_SIZE, &error);
        if (items[i] == NULL)
            fail_msg("%s", error.message);
        assert_int_equal(items[i][ITEM_SIZE - 1], 0);
        memset(items[i], (int) i + 1, ITEM_SIZE);
    }
    for (size_t i = 0; i < ITEMS; i++)
    {
        assert_int_equal(items[i][0], i + 1);
        assert_int_equal(items[i][ITEM_SIZE - 1], i + 1);
    }
    spool_free(spool);
}

static void test_items_stay(void **state)
{
    (void) state;
    fill_and_check(NULL);
    fill_and_check("/tmp");
}

static void test_files_are_limited(void **state)
{
    const struct rlimit limit = {3 * SPOOL_ITEM_MAX, RLIM_INFINITY};
    const struct rlimit little = {SPOOL_ITEM_MAX / 2, RLIM_INFINITY};
    Spool *spool;

    (void) state;
    assert_ptr_not_equal(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    fill_and_check("/tmp");

    assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
    spool = spool_create("/tmp", &error);
    assert_non_null(spool);
    assert_null(spool_allocate(spool, 8, &error));
    assert_non_null(strstr(error.message, "File too large"));
    spool_free(spool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_items_stay),
        cmocka_unit_test(test_files_are_limited), /* the limit stays */
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
