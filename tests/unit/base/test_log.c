#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int stderr_before;
static FILE *captured;
static char text[65536];

static void capture_begin(void)
{
    captured = tmpfile();
    assert_non_null(captured);
    stderr_before = dup(STDERR_FILENO);
    dup2(fileno(captured), STDERR_FILENO);
}

/* What was written to stderr since capture_begin. */
static const char *capture_end(void)
{
    size_t length;

    dup2(stderr_before, STDERR_FILENO);
    close(stderr_before);
    rewind(captured);
    length = fread(text, 1, sizeof(text) - 1, captured);
    text[length] = '\0';
    fclose(captured);
    return text;
}

static void test_lines_have_the_prefixes_of_15(void **state)
{
    (void) state;
    capture_begin();
    log_info("servers diverged at WAL location %s", "0/1");
    log_warning("two");
    log_detail("Three.");
    log_hint("Four.\n");
    assert_string_equal(capture_end(), "pg_rewind: servers diverged at WAL location 0/1\n"
                                       "pg_rewind: warning: two\n"
                                       "pg_rewind: detail: Three.\n"
                                       "pg_rewind: hint: Four.\n");
}

static void test_an_error_has_its_detail_and_hint(void **state)
{
    Error error;

    (void) state;
    error_set(&error, ERROR_FAILED, "first\n\tsecond\n");
    error_detail(&error, "One.");
    error_detail(&error, "Two.");
    error_hint(&error, "Try:\n    SELECT 1;");
    error_hint(&error, "Then.");
    capture_begin();
    log_error(&error);
    assert_string_equal(capture_end(), "pg_rewind: error: first\n"
                                       "\tsecond\n"
                                       "pg_rewind: detail: One.\n"
                                       "pg_rewind: detail: Two.\n"
                                       "pg_rewind: hint: Try:\n"
                                       "    SELECT 1;\n"
                                       "pg_rewind: hint: Then.\n");
}

static void test_debug_and_progress_messages_are_off_by_default(void **state)
{
    (void) state;
    capture_begin();
    log_debug("no");
    log_progress_message("no");
    log_set_debug(true);
    log_set_progress(true);
    log_debug("debug");
    log_progress_message("progress");
    log_set_debug(false);
    log_set_progress(false);
    assert_string_equal(capture_end(), "pg_rewind: debug\npg_rewind: progress\n");
}

static void test_progress_has_the_original_form_on_a_pipe(void **state)
{
    (void) state;
    log_set_progress(true);
    capture_begin();
    progress_begin("copied", 100 * 1024);
    progress_add(1024);      /* the first is printed, */
    progress_add(40 * 1024); /* the next only a second later */
    progress_add(59 * 1024);
    progress_end();
    assert_string_equal(capture_end(), "  1/100 kB (1%) copied\n100/100 kB (100%) copied\n");
    log_set_progress(false);
}

static void test_progress_is_printed_once_a_second(void **state)
{
    const struct timespec pause = {.tv_sec = 1, .tv_nsec = 50000000};

    (void) state;
    log_set_progress(true);
    capture_begin();
    progress_begin("scanned", 1024);
    progress_add(512);
    nanosleep(&pause, NULL);
    progress_grow(1024);
    progress_add(512);
    progress_end();
    assert_string_equal(capture_end(),
                        "0/1 kB (50%) scanned\n1/2 kB (50%) scanned\n1/2 kB (50%) scanned\n");
    log_set_progress(false);
}

static void test_progress_is_silent_without_the_option_and_never_above_the_whole(void **state)
{
    (void) state;
    capture_begin();
    progress_begin("copied", 10);
    progress_add(10);
    progress_end();
    log_set_progress(true);
    progress_begin("copied", 0);
    progress_end();
    progress_begin("copied", 1024);
    progress_add(4096);
    progress_end();
    assert_string_equal(capture_end(),
                        "0/0 kB (100%) copied\n4/4 kB (100%) copied\n4/4 kB (100%) copied\n");
    log_set_progress(false);
}

static void test_colours_are_those_of_the_environment(void **state)
{
    Error error;

    (void) state;
    error_set(&error, ERROR_FAILED, "x");
    setenv("PG_COLOR", "always", 1);
    setenv("PG_COLORS", "error=31:warning=", 1);
    log_init("/usr/bin/pg_rewind");
    capture_begin();
    log_error(&error);
    log_warning("y");
    assert_string_equal(capture_end(), "pg_rewind: \033[31merror: \033[0mx\n"
                                       "pg_rewind: warning: y\n");
    unsetenv("PG_COLOR");
    log_init("/usr/bin/pg_rewind");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_have_the_prefixes_of_15),
        cmocka_unit_test(test_an_error_has_its_detail_and_hint),
        cmocka_unit_test(test_debug_and_progress_messages_are_off_by_default),
        cmocka_unit_test(test_progress_has_the_original_form_on_a_pipe),
        cmocka_unit_test(test_progress_is_printed_once_a_second),
        cmocka_unit_test(test_progress_is_silent_without_the_option_and_never_above_the_whole),
        cmocka_unit_test(test_colours_are_those_of_the_environment),
    };

    unsetenv("PG_COLOR");
    log_init("/usr/bin/pg_rewind");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
