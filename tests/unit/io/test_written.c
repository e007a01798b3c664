#include "io/open_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static Error error;

static int enter_directory(void **state)
{
    static char directory[64];

    strcpy(directory, "/tmp/test_written_XXXXXX");
    *state = mkdtemp(directory);
    return *state == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *) *state);
    return chdir("/") != 0 || system(command) != 0;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int make(Written *written, const char *path)
{
    int fd;

    assert_true(file_create(path, CREATE_EMPTY, &fd, &error));
    assert_true(file_write_at(fd, path, "x", 1, 0, &error));
    written_keep(written, fd, path);
    return fd;
}

static void test_files_stay_open_until_they_are_synced(void **state)
{
    Written *written = written_create();
    int fd;

    (void) state;
    assert_true(written_watch(written, ".", &error));
    fd = make(written, "a");
    written_keep(written, -1, "none");
    assert_true(is_open(fd));
    assert_true(written_all_kept(written));
    assert_true(written_sync(written, false, 2, &error));
    assert_false(is_open(fd));
    fd = make(written, "b");
    written_free(written);
    assert_false(is_open(fd));
    written_free(NULL);
}

static void test_there_is_a_limit(void **state)
{
    struct rlimit limit, few;
    Written *written;
    size_t kept = 0;

    (void) state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    few = (struct rlimit){.rlim_cur = 266, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    written = written_create();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_true(written_watch(written, ".", &error));
    for (int i = 0; i < 12; i++)
        kept += is_open(make(written, "a"));
    assert_int_equal(kept, 10);
    assert_false(written_all_kept(written));
    assert_true(written_sync(written, false, 2, &error));
    assert_true(written_sync(written, true, 2, &error));
    written_free(written);
}

static void test_syncfs_is_not_enough_everywhere(void **state)
{
    Written *written = written_create();

    (void) state;
    assert_true(written_syncs_whole(written));
    assert_true(written_watch(written, ".", &error));
    assert_true(written_watch(written, ".", &error));
    assert_true(written_watch(written, "/proc", &error)); /* nothing is known of it */
    assert_false(written_syncs_whole(written));
    assert_true(written_sync(written, true, 1, &error));
    written_free(written);
}

static void test_an_error_names_the_file(void **state)
{
    Written *written = written_create();
    int ends[2];

    (void) state;
    assert_int_equal(pipe(ends), 0);
    written_keep(written, ends[0], "a pipe"); /* a pipe cannot be synced */
    assert_false(written_sync(written, false, 1, &error));
    assert_string_equal(error.message, "could not fsync file \"a pipe\": Invalid argument");
    written_free(written);
    close(ends[1]);
}

static void test_nothing_is_kept_where_nothing_is_synced(void **state)
{
    Written *written = written_create();

    (void) state;
    file_set_sync(false);
    assert_true(written_watch(written, "no such file", &error));
    assert_false(is_open(make(written, "a")));
    assert_true(written_sync(written, true, 1, &error));
    written_free(written);
    file_set_sync(true);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_files_stay_open_until_they_are_synced),
        IN_DIRECTORY(test_there_is_a_limit),
        IN_DIRECTORY(test_syncfs_is_not_enough_everywhere),
        IN_DIRECTORY(test_an_error_names_the_file),
        IN_DIRECTORY(test_nothing_is_kept_where_nothing_is_synced),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
