#include "io/dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Error error;

/* Entries of a walk: a line "PATH TYPE" for each, TYPE being f d l F (followed link) or p. */
typedef struct Seen
{
    char lines[64][512];
    size_t count;
    const char *not_into;
    const char *stop_at;
} Seen;

static Seen seen;

static int enter_directory(void **state)
{
    static char directory[64];

    memset(&seen, 0, sizeof(seen));
    strcpy(directory, "/tmp/test_dir_XXXXXX");
    *state = mkdtemp(directory);
    return *state == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *) *state);
    return chdir("/") != 0 || system(command) != 0;
}

static void make_file(const char *path)
{
    int fd;

    assert_true(file_create(path, CREATE_EMPTY, &fd, &error));
    file_close(fd);
}

static bool see(void *context, const DirEntry *entry, bool *descend, Error *failure)
{
    Seen *into = context;
    char type = 'f';

    if (entry->followed)
        type = 'F';
    else if (entry->link_target != NULL)
        type = 'l';
    else if (S_ISDIR(entry->status->st_mode))
        type = 'd';
    else if (!S_ISREG(entry->status->st_mode))
        type = 'p';
    snprintf(into->lines[into->count++], sizeof(into->lines[0]), "%s %c", entry->path, type);
    if (into->not_into != NULL && strcmp(entry->path, into->not_into) == 0)
        *descend = false;
    if (into->stop_at != NULL && strcmp(entry->path, into->stop_at) == 0)
        return error_set(failure, ERROR_FAILED, "stopped");
    return true;
}

static bool follow_pg_wal(void *context, const char *path)
{
    (void) context;
    return strcmp(path, "pg_wal") == 0 || strcmp(path, "file_link") == 0;
}

static bool was_seen(const char *line)
{
    for (size_t index = 0; index < seen.count; index++)
        if (strcmp(seen.lines[index], line) == 0)
            return true;
    return false;
}

static void make_tree(void)
{
    assert_true(file_make_directories("r/base/1", &error));
    assert_true(file_make_directories("outside/deep", &error));
    make_file("r/base/1/1259");
    make_file("r/PG_VERSION");
    make_file("outside/000000010000000000000001");
    assert_true(file_make_link("../outside", "r/pg_wal", &error));
    assert_true(file_make_link("../outside", "r/other", &error));
    assert_true(file_make_link("PG_VERSION", "r/file_link", &error));
    assert_true(file_make_link("nowhere", "r/dangling", &error));
    assert_int_equal(mkfifo("r/fifo", 0600), 0);
}

static void test_walk_sees_all_and_follows_only_what_it_is_told(void **state)
{
    (void) state;
    make_tree();
    assert_true(dir_walk("r", see, follow_pg_wal, &seen, &error));
    assert_true(was_seen("base d"));
    assert_true(was_seen("base/1 d"));
    assert_true(was_seen("base/1/1259 f"));
    assert_true(was_seen("PG_VERSION f"));
    assert_true(was_seen("pg_wal F"));
    assert_true(was_seen("pg_wal/deep d"));
    assert_true(was_seen("pg_wal/000000010000000000000001 f"));
    assert_true(was_seen("other l"));
    assert_true(was_seen("file_link l"));
    assert_true(was_seen("dangling l"));
    assert_true(was_seen("fifo p"));
    assert_int_equal(seen.count, 11);
}

/* If a walk skipped a tablespace's link, its files would stay as they are on the target. */
static void test_a_link_that_cannot_be_followed_now_is_an_error(void **state)
{
    char target[300];

    (void) state;
    memset(target, 'x', sizeof(target) - 1);
    target[sizeof(target) - 1] = '\0';
    assert_true(file_make_directories("r", &error));
    assert_true(file_make_link(target, "r/pg_wal", &error));
    assert_true(dir_walk("r", see, NULL, &seen, &error));
    assert_true(was_seen("pg_wal l"));
    assert_false(dir_walk("r", see, follow_pg_wal, &seen, &error));
    assert_string_equal(error.message, "could not stat file \"r/pg_wal\": File name too long");
}

static void test_a_directory_comes_before_its_content(void **state)
{
    (void) state;
    assert_true(file_make_directories("r/a", &error));
    make_file("r/a/b");
    assert_true(dir_walk("r", see, NULL, &seen, &error));
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.lines[0], "a d");
    assert_string_equal(seen.lines[1], "a/b f");
}

static void test_the_visitor_decides(void **state)
{
    (void) state;
    make_tree();
    seen.not_into = "base";
    assert_true(dir_walk("r", see, NULL, &seen, &error));
    assert_false(was_seen("base/1 d"));
    seen.stop_at = "fifo";
    assert_false(dir_walk("r", see, NULL, &seen, &error));
    assert_string_equal(error.message, "stopped");
    assert_false(dir_walk("no", see, NULL, &seen, &error));
    assert_string_equal(error.message,
                        "could not open directory \"no\": No such file or directory");
}

static bool remove_next(void *context, const DirEntry *entry, bool *descend, Error *failure)
{
    (void) context;
    (void) entry;
    (void) descend;
    (void) failure;
    return dir_remove_tree("r/a", failure) && dir_remove_tree("r/b", failure);
}

static void test_what_vanishes_is_passed_over(void **state)
{
    (void) state;
    assert_true(file_make_directories("r/a/c", &error));
    assert_true(file_make_directories("r/b/c", &error));
    assert_true(dir_walk("r", remove_next, NULL, NULL, &error));
}

static bool count_entries(void *context, const DirEntry *entry, bool *descend, Error *failure)
{
    (void) entry;
    (void) descend;
    (void) failure;
    *(int *) context += 1;
    return true;
}

static void test_a_tree_too_deep_is_an_error(void **state)
{
    char path[512] = "r";
    int count = 0;

    (void) state;
    for (int depth = 0; depth < 64; depth++)
        strcat(path, "/d");
    assert_true(file_make_directories(path, &error));
    assert_true(dir_walk("r", count_entries, NULL, &count, &error));
    assert_int_equal(count, 64);
    assert_false(dir_walk(".", count_entries, NULL, &count, &error));
    assert_non_null(strstr(error.message, "nested more than 64 deep"));
}

static void test_long_paths(void **state)
{
    char name[251];
    int count = 0;

    (void) state;
    memset(name, 'n', sizeof(name) - 1);
    name[250] = '\0';
    for (int depth = 0; depth < 20; depth++) /* 5000 bytes: more than one system call takes */
    {
        assert_int_equal(mkdir(name, 0700), 0);
        assert_int_equal(chdir(name), 0);
    }
    assert_true(dir_walk(*state, count_entries, NULL, &count, &error));
    assert_int_equal(count, 20);
}

static void test_names(void **state)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;
    bool found;

    (void) state;
    assert_true(file_make_directories("d/x", &error));
    assert_true(file_make_directories("d/a", &error));
    assert_true(dir_list("d", arena, &names, &found, &error));
    assert_true(found);
    assert_string_equal(names[0], "a");
    assert_string_equal(names[1], "x");
    assert_null(names[2]);
    assert_true(dir_list("no", arena, &names, &found, &error));
    assert_false(found);
    assert_null(names[0]);
    assert_false(dir_list("no", arena, &names, NULL, &error));
}

static void test_remove_tree_does_not_leave_it_through_a_link(void **state)
{
    struct stat status;
    bool found;

    (void) state;
    make_tree();
    assert_true(dir_remove_tree("r", &error));
    assert_true(dir_remove_tree("r", &error));
    assert_true(file_lstat("r", &status, &found, &error));
    assert_false(found);
    assert_true(file_lstat("outside/000000010000000000000001", &status, &found, &error));
    assert_true(found);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_walk_sees_all_and_follows_only_what_it_is_told),
        IN_DIRECTORY(test_a_link_that_cannot_be_followed_now_is_an_error),
        IN_DIRECTORY(test_a_directory_comes_before_its_content),
        IN_DIRECTORY(test_the_visitor_decides),
        IN_DIRECTORY(test_what_vanishes_is_passed_over),
        IN_DIRECTORY(test_a_tree_too_deep_is_an_error),
        IN_DIRECTORY(test_long_paths),
        IN_DIRECTORY(test_names),
        IN_DIRECTORY(test_remove_tree_does_not_leave_it_through_a_link),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
