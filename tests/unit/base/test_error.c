#include "base/error.h"

#include "base/text_cursor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_message_kind_and_false(void **state)
{
    Error error;

    (void) state;
    error_set(&error, ERROR_FAILED, "old");
    error_detail(&error, "old");
    error_hint(&error, "old");
    error.error_number = 5;
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
    assert_false(error_set_errno(&error, "could not open file \"%s\"", "a"));
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
    error_detail(&error, "Three is %d.", 3);
    error_hint(&error, "Try again.");
    assert_string_equal(error.message, "x");
    assert_string_equal(error.detail, "One is 1.\nTwo is 2.\nThree is 3.");
    assert_string_equal(error.hint, "Try it.\nTry again.");
}

static void test_what_was_reported_keeps_its_worst_kind(void **state)
{
    Error error, copy;

    (void) state;
    error_set(&error, ERROR_RETRY, "x");
    assert_int_equal(error_worst_kind(&error), ERROR_RETRY);
    assert_false(error_set_reported(&error, ERROR_IMPOSSIBLE));
    assert_int_equal(error.kind, ERROR_REPORTED);
    assert_int_equal(error_worst_kind(&error), ERROR_IMPOSSIBLE);
    assert_false(error_copy(&copy, &error));
    assert_int_equal(error_worst_kind(&copy), ERROR_IMPOSSIBLE);
    assert_string_equal(copy.detail, "");
}

static void test_a_remedy_is_named_until_the_next_error(void **state)
{
    Error error;

    (void) state;
    error_set(&error, ERROR_FAILED, "x");
    assert_null(error_remedy_name(&error));
    assert_false(error_remedy(&error, REMEDY_COMPARE));
    assert_string_equal(error_remedy_name(&error), "compare");
    error_remedy(&error, REMEDY_WAL);
    assert_string_equal(error_remedy_name(&error), "wal");
    error_set(&error, ERROR_FAILED, "y");
    assert_null(error_remedy_name(&error));
    error_set(&error, ERROR_RETRY, "z");
    assert_string_equal(error_remedy_name(&error), "retry");
    error_set(&error, ERROR_IMPOSSIBLE, "z");
    assert_string_equal(error_remedy_name(&error), "base_backup");
}

static void test_who_does_not_care_gives_null(void **state)
{
    const Error error = {.kind = ERROR_FAILED};

    (void) state;
    assert_false(error_set(NULL, ERROR_FAILED, "x"));
    assert_false(error_set_errno(NULL, "x"));
    assert_false(error_detail(NULL, "x"));
    assert_false(error_hint(NULL, "x"));
    assert_false(error_remedy(NULL, REMEDY_WAL));
    assert_false(error_set_reported(NULL, ERROR_FAILED));
    assert_false(error_copy(NULL, &error));
}

static void test_what_does_not_fit_is_cut_off(void **state)
{
    static char path[8192];
    Error error;

    (void) state;
    memset(path, 'x', sizeof(path) - 1);
    error_set(&error, ERROR_FAILED, "%s", path);
    assert_int_equal(strlen(error.message), ERROR_TEXT_SIZE - 1);
    assert_string_equal(error.message + ERROR_TEXT_SIZE - 5, "x...");
    assert_string_equal(error.detail, "");
    errno = EIO;
    error_set_errno(&error, "%s", path);
    assert_string_equal(error.message + ERROR_TEXT_SIZE - 5, "x...");
    for (int round = 0; round < 3; round++)
        error_detail(&error, "%s", path);
    error_hint(&error, "Try it.");
    assert_int_equal(strlen(error.message), ERROR_TEXT_SIZE - 1);
    assert_int_equal(strlen(error.detail), ERROR_TEXT_SIZE - 1);
    assert_string_equal(error.detail + ERROR_TEXT_SIZE - 5, "x...");
    assert_string_equal(error.hint, "Try it.");
}

/* Characters of 1 to 4 bytes, wherever the end of the text falls into one. */
static void test_characters_are_cut_off_whole(void **state)
{
    static const char *const characters[] = {"e", "\xC3\xA9", "\xE2\x82\xAC", "\xF0\x9F\x98\x80"};

    (void) state;
    for (size_t i = 0; i < 4; i++)
    {
        char text[2 * ERROR_TEXT_SIZE] = "";

        while (strlen(text) < ERROR_TEXT_SIZE)
            strcat(text, characters[i]);
        for (int shift = 0; shift < 4; shift++)
        {
            Error error;

            error_set(&error, ERROR_FAILED, "%.*s%s", shift, "xxxx", text);
            assert_true(utf8_is_valid(error.message));
            assert_in_range(strlen(error.message), ERROR_TEXT_SIZE - 4, ERROR_TEXT_SIZE - 1);
            assert_string_equal(error.message + strlen(error.message) - 3, "...");
        }
    }
}

/* The longest there is: a path of 4,000 bytes, the names of missing WAL, and what to do. */
static void test_what_is_said_of_long_paths_fits(void **state)
{
    char path[4001], names[1101];
    Error error;

    (void) state;
    memset(path, 'x', sizeof(path));
    path[sizeof(path) - 1] = '\0';
    memset(names, 'y', sizeof(names));
    names[sizeof(names) - 1] = '\0';
    errno = ENOENT;
    error_set_errno(&error, "could not open file \"%s/pg_wal/%024d\"", path, 1);
    error_detail(&error, "Missing: %s. Older ones may be needed as well.", names);
    error_hint(&error, "%0500d", 1);
    assert_non_null(strstr(error.message, "No such file or directory"));
    assert_non_null(strstr(error.detail, "yy. Older ones may be needed as well."));
    assert_int_equal(strlen(error.hint), 500);
}

static void *run_out_of_memory(void *barrier)
{
    pthread_barrier_wait(barrier);
    out_of_memory();
}

/* A process in which memory runs out in several threads at once; its stderr goes to fd. */
static void run_out_in_threads(int fd)
{
    pthread_barrier_t barrier;
    pthread_t thread;

    dup2(fd, STDERR_FILENO);
    memory_set_unfinished_end(7, "again");
    memory_set_unfinished(true);
    pthread_barrier_init(&barrier, NULL, 4);
    for (int i = 0; i < 4; i++)
        pthread_create(&thread, NULL, run_out_of_memory, &barrier);
    for (;;)
        pause();
}

static void test_memory_runs_out_once(void **state)
{
    (void) state;
    for (int i = 0; i < 200; i++)
    {
        char text[4096] = "";
        int ends[2], status;
        size_t length = 0;
        ssize_t got;
        pid_t pid;

        assert_int_equal(pipe(ends), 0);
        pid = fork();
        if (pid == 0)
            run_out_in_threads(ends[1]);
        close(ends[1]);
        while ((got = read(ends[0], text + length, sizeof(text) - 1 - length)) > 0)
            length += (size_t) got;
        close(ends[0]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 7);
        assert_string_equal(text, "test_error: error: out of memory\ntest_error: hint: again\n");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_message_kind_and_false),
        cmocka_unit_test(test_errno_is_read_at_once_and_named),
        cmocka_unit_test(test_details_are_joined_by_newlines),
        cmocka_unit_test(test_what_was_reported_keeps_its_worst_kind),
        cmocka_unit_test(test_a_remedy_is_named_until_the_next_error),
        cmocka_unit_test(test_who_does_not_care_gives_null),
        cmocka_unit_test(test_what_does_not_fit_is_cut_off),
        cmocka_unit_test(test_characters_are_cut_off_whole),
        cmocka_unit_test(test_what_is_said_of_long_paths_fits),
        cmocka_unit_test(test_memory_runs_out_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
