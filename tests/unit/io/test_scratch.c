#include "io/scratch.h"
#include "io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Error error;

static int enter_directory(void **state)
{
    static char directory[64];

    strcpy(directory, "/tmp/test_scratch_XXXXXX");
    *state = mkdtemp(directory);
    return *state == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *) *state);
    return chdir("/") != 0 || system(command) != 0;
}

static bool is_there(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0;
}

/* A lock that was closed is that of a process which has ended. */
static void test_living_ones_stay(void **state)
{
    Arena *arena = arena_create();
    const char *first, *second, *third, *inside;
    int first_lock, second_lock, third_lock, fd;
    struct stat status;

    assert_true(scratch_make(*state, arena, &first, &first_lock, &error));
    assert_int_equal(stat(first, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    inside = arena_printf(arena, "%s/file", first);
    assert_true(file_create(inside, CREATE_EMPTY, &fd, &error));
    file_close(fd);
    assert_true(scratch_make(*state, arena, &second, &second_lock, &error));
    assert_string_not_equal(first, second);
    assert_true(is_there(inside));
    file_close(first_lock);
    assert_true(scratch_make(*state, arena, &third, &third_lock, &error));
    assert_false(is_there(first));
    assert_true(is_there(second));
    assert_true(is_there(third));
    file_close(second_lock);
    file_close(third_lock);
    arena_destroy(arena);
}

static void test_what_only_looks_like_one_stays(void **state)
{
    static const char *const directories[] = {"pg_rewind-dry-run.public",
                                              "pg_rewind-dry-run.toolong", "pg_rewind.abcdef"};
    Arena *arena = arena_create();
    const char *path;
    int lock;

    assert_int_equal(mkdir("pg_rewind-dry-run.public", 0755), 0);
    assert_int_equal(mkdir("pg_rewind-dry-run.toolong", 0700), 0);
    assert_int_equal(mkdir("pg_rewind.abcdef", 0700), 0);
    assert_int_equal(mkdir("elsewhere", 0700), 0);
    assert_int_equal(symlink("elsewhere", "pg_rewind-dry-run.linked"), 0);
    assert_true(scratch_make(*state, arena, &path, &lock, &error));
    file_close(lock);
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        assert_true(is_there(directories[i]));
    assert_true(is_there("pg_rewind-dry-run.linked"));
    assert_true(is_there("elsewhere"));
    arena_destroy(arena);
}

static void test_a_parent_where_others_can_rename_is_refused(void **state)
{
    Arena *arena = arena_create();
    const char *path;
    int lock;

    assert_int_equal(chmod(*state, 0777), 0);
    assert_false(scratch_make(*state, arena, &path, &lock, &error));
    assert_non_null(strstr(error.message, "it lacks the sticky bit"));
    assert_int_equal(chmod(*state, 03777), 0);
    assert_true(scratch_make(*state, arena, &path, &lock, &error));
    file_close(lock);
    assert_false(scratch_make("no", arena, &path, &lock, &error));
    assert_string_equal(error.message, "could not stat file \"no\": No such file or directory");
    arena_destroy(arena);
}

static void test_it_is_made_when_it_is_needed(void **state)
{
    const char *const none[] = {"no", "neither", NULL};
    const char *const parents[] = {"no", *state, NULL};
    Arena *arena = arena_create();
    Scratch *scratch = scratch_create(none, NULL, arena);
    char *path;

    assert_null(scratch->path);
    assert_false(scratch_need(scratch, &error));
    assert_string_equal(error.message, "could not stat file \"no\": No such file or directory");
    assert_true(scratch->failed);
    assert_true(scratch_close(scratch, &error));

    scratch = scratch_create(parents, NULL, arena);
    assert_null(scratch->path);
    assert_true(scratch_need(scratch, &error));
    path = arena_strdup(arena, scratch->path);
    assert_true(is_there(path));
    assert_true(scratch_need(scratch, &error));
    assert_string_equal(scratch->path, path);
    assert_false(scratch->failed);
    assert_true(scratch_close(scratch, &error));
    assert_false(is_there(path));
    arena_destroy(arena);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_living_ones_stay),
        IN_DIRECTORY(test_it_is_made_when_it_is_needed),
        IN_DIRECTORY(test_what_only_looks_like_one_stays),
        IN_DIRECTORY(test_a_parent_where_others_can_rename_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
