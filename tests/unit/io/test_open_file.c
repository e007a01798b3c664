#include "io/open_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Error error;

static int make_directory(void **state)
{
    static char directory[] = "/tmp/test_open_file.XXXXXX";

    if (mkdtemp(directory) == NULL || chdir(directory) != 0)
        return -1;
    *state = directory;
    return 0;
}

static int remove_directory(void **state)
{
    unlink("one");
    unlink("two");
    return chdir("/") == 0 && rmdir(*state) == 0 ? 0 : -1;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_a_file_stays_open_until_another_is_asked_for(void **state)
{
    OpenFile file;
    bool switched;

    (void) state;
    open_file_init(&file, NULL);
    assert_true(open_file_switch(&file, "one", OPEN_TO_CREATE, &switched, &error));
    assert_true(switched);
    const int one = file.fd;
    assert_true(file_write_at(file.fd, file.path, "x", 1, 0, &error));
    assert_true(open_file_switch(&file, "one", OPEN_TO_CREATE, &switched, &error));
    assert_false(switched);
    assert_int_equal(file.fd, one);
    assert_true(open_file_switch(&file, "two", OPEN_TO_CREATE, &switched, &error));
    assert_true(switched);
    assert_string_equal(file.path, "two");
    open_file_close(&file);
    assert_int_equal(file.fd, -1);
    assert_false(is_open(one));
    open_file_close(&file);
}

static void test_a_file_that_is_not_there(void **state)
{
    OpenFile file;
    bool switched;

    (void) state;
    open_file_init(&file, NULL);
    assert_true(open_file_switch(&file, "missing", OPEN_TO_READ, &switched, &error));
    assert_true(switched);
    assert_int_equal(file.fd, -1);
    assert_true(open_file_switch(&file, "missing", OPEN_TO_READ, &switched, &error));
    assert_false(switched);
    open_file_close(&file);
    assert_false(open_file_switch(&file, "missing", OPEN_TO_UPDATE, NULL, &error));
    assert_string_equal(error.message,
                        "could not open file \"missing\": No such file or directory");
    assert_int_equal(file.fd, -1);
    assert_false(open_file_switch(&file, "missing", OPEN_TO_UPDATE, NULL, &error));
}

static void test_what_was_written_is_kept_for_the_sync(void **state)
{
    Written *written = written_create();
    OpenFile file;

    (void) state;
    open_file_init(&file, written);
    assert_true(open_file_switch(&file, "one", OPEN_TO_UPDATE, NULL, &error));
    const int one = file.fd;
    open_file_close(&file);
    assert_true(is_open(one));
    assert_true(written_sync(written, false, 1, &error));
    assert_false(is_open(one));
    written_free(written);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_stays_open_until_another_is_asked_for),
        cmocka_unit_test(test_a_file_that_is_not_there),
        cmocka_unit_test(test_what_was_written_is_kept_for_the_sync),
    };

    return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
