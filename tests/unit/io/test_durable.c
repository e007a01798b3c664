
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static Error error;

static int enter_directory(void **state)
{
    static char directory[64];

    strcpy(directory, "/tmp/test_durable_XXXXXX");
    *state = mkdtemp(directory);
    return *state == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *) *state);
    return chdir("/") != 0 || system(command) != 0;
}

static void assert_content(const char *path, const char *content)
{
    Buffer buffer = {0};

    assert_true(file_read_all(path, 100, &buffer, NULL, &error));
    assert_string_equal(buffer_string(&buffer), content);
    buffer_free(&buffer);
}

static void assert_missing(const char *path)
{
    struct stat status;
    bool found;

    assert_true(file_lstat(path, &status, &found, &error));
    assert_false(found);
}

static void test_replace(void **state)
{
    (void) state;
    assert_true(durable_replace("a", "t", "one", 3, &error));
    assert_content("a", "one");
    assert_true(durable_replace("a", "t", "two", 3, &error));
    assert_content("a", "two");
    assert_missing("t");
}

static void test_write_in_place_of_a_link(void **state)
{
    struct stat status;

    (void) state;
    assert_true(durable_write("b", "safe", 4, 0600, &error));
    assert_true(file_make_link("b", "l", &error));
    assert_true(durable_write("l", NULL, 0, 0640, &error));
    assert_content("b", "safe");
    assert_content("l", "");
    assert_true(file_lstat("l", &status, NULL, &error));
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_true(S_ISREG(status.st_mode));
}

static void test_a_failed_replace_leaves_the_old_file_and_nothing_else(void **state)
{
    (void) state;
    assert_true(file_make_directory("d", &error));
    assert_false(durable_replace("d", "t", "x", 1, &error)); /* the rename fails */
    assert_missing("t");
    assert_true(durable_replace("a", "t", "one", 3, &error));
    assert_false(durable_replace("a", "no/t", "two", 3, &error));
    assert_content("a", "one");
}

static void test_a_link_in_the_place_of_the_temporary_file_is_not_followed(void **state)
{
    (void) state;
    assert_true(durable_replace("victim", "t", "safe", 4, &error));
    assert_true(file_make_link("victim", "t", &error));
    assert_true(durable_replace("a", "t", "new", 3, &error));
    assert_content("victim", "safe");
    assert_content("a", "new");
}

static void test_rename_and_remove(void **state)
{
    char path[256];

    (void) state;
    assert_true(durable_replace("a", "t", "one", 3, &error));
    assert_true(file_make_directory("d", &error));
    assert_true(durable_rename("a", "d/b", &error));
    assert_missing("a");
    assert_content("d/b", "one");
    assert_true(durable_remove("d/b", &error));
    assert_true(durable_remove("d/b", &error));
    assert_missing("d/b");
    snprintf(path, sizeof(path), "%s/x", (const char *) *state);
    assert_true(durable_sync_parent(path, &error));
    assert_true(durable_sync_parent("/x", &error));
}

/* /dev/shm is another file system, to which a rename is refused. */
static void test_move_to_another_file_system(void **state)
{
    char directory[] = "/dev/shm/test_durable_XXXXXX";
    char path[256];
    struct stat status;
    Place here, there;
    bool found;

    (void) state;
    assert_non_null(mkdtemp(directory));
    assert_true(place_find(".", &here, &found, &error));
    assert_true(place_find(directory, &there, &found, &error));
    if (here.device == there.device)
        skip();
    snprintf(path, sizeof(path), "%s/b", directory);
    assert_true(durable_write("a", "one", 3, 0640, &error));
    assert_false(file_rename("a", path, &error));
    assert_int_equal(error.error_number, EXDEV);
    assert_true(durable_write(path, "old bytes", 9, 0600, &error));
    assert_true(file_move("a", path, &error));
    assert_missing("a");
    assert_content(path, "one");
    assert_true(file_lstat(path, &status, NULL, &error));
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_true(durable_replace(path, "a", "two", 3, &error));
    assert_content(path, "two");

    /* A directory, or where one stands: as a rename says. */
    assert_true(file_make_directory("d", &error));
    snprintf(path, sizeof(path), "%s/d", directory);
    assert_false(file_move("d", path, &error));
    assert_int_equal(error.error_number, EXDEV);
    assert_true(file_make_directory(path, &error));
    assert_true(durable_write("a", "one", 3, 0640, &error));
    assert_false(file_move("a", path, &error));
    assert_content("a", "one");
    snprintf(path, sizeof(path), "%s/" FILE_COPY_NAME, directory);
    assert_missing(path);
    assert_true(dir_remove_tree(directory, &error));
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_replace),
        IN_DIRECTORY(test_write_in_place_of_a_link),
        IN_DIRECTORY(test_a_failed_replace_leaves_the_old_file_and_nothing_else),
        IN_DIRECTORY(test_a_link_in_the_place_of_the_temporary_file_is_not_followed),
        IN_DIRECTORY(test_rename_and_remove),
        IN_DIRECTORY(test_move_to_another_file_system),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
