#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

static void test_message_kind_and_false(void **state)
{
    Error error = {.hint = "old", .detail = "old", .error_number = 5};

    (void) state;
    assert_false(error_set(&error, ERROR_IMPOSSIBLE, "no %s at %d", "record", 7));
    assert_int_equal(error.kind, ERROR_IMPOSSIBLE);
    assert_string_equal(error.message, "no record at 7");
    assert_string_equal(error.detail, "");
    assert_string_equal(error.hint, "");
    assert_int_equal(error.error_number, 0);
}

static void test_errno_is_read_at_once_and_named(void **state)
{
    Error error;

    (void) state;
    errno = ENOENT;
    assert_false(error_set_errno(&error, ERROR_FAILED, "could not open file \"%s\"", "a"));
    assert_string_equal(error.message, "could not open file \"a\": No such file or directory");
    assert_int_equal(error.error_number, ENOENT);
}

static void test_details_are_joined_by_newlines(void **state)
{
    Error error;

    (void) state;
    error_set(&error, ERROR_FAILED, "x");
    assert_false(error_detail(&error, "One is %d.", 1));
    assert_false(error_detail(&error, "Two is %d.", 2));
    assert_false(error_hint(&error, "Try it."));
    assert_string_equal(error.detail, "One is 1.\nTwo is 2.");
    assert_string_equal(error.hint, "Try it.");
}

static void test_what_does_not_fit_is_cut_off(void **state)
{
    static char path[8192];
    Error error;

    (void) state;
    memset(path, 'x', sizeof(path) - 1);
    error_set(&error, ERROR_FAILED, "%s", path);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    errno = EIO;
    error_set_errno(&error, ERROR_FAILED, "%s", path);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    for (int round = 0; round < 3; round++)
        error_detail(&error, "%s", path);
    assert_int_equal(strlen(error.detail), sizeof(error.detail) - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_kind_and_false),
        cmocka_unit_test(test_errno_is_read_at_once_and_named),
        cmocka_unit_test(test_details_are_joined_by_newlines),
        cmocka_unit_test(test_what_does_not_fit_is_cut_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
