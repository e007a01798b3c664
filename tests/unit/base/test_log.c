#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
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

/* End the capture. Returns the text written to stderr since capture_begin. */
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
    log_set_progress(PROGRESS_TEXT);
    log_debug("debug");
    log_progress_message("progress");
    log_set_debug(false);
    log_set_progress(PROGRESS_OFF);
    assert_string_equal(capture_end(), "pg_rewind: debug\npg_rewind: progress\n");
}

static void test_progress_has_the_original_form_on_a_pipe(void **state)
{
    (void) state;
    log_set_progress(PROGRESS_TEXT);
    capture_begin();
    progress_begin(PROGRESS_FETCH, 100 * 1024);
    progress_add(1024);      /* the first progress is printed at once */
    progress_add(40 * 1024); /* later progress is printed after a second at the earliest */
    progress_add(59 * 1024);
    progress_end(true);
    assert_string_equal(capture_end(),
                        "  1/100 kB (1%) copied (fetch)\n100/100 kB (100%) copied (fetch)\n");
    log_set_progress(PROGRESS_OFF);
}

static void test_progress_is_printed_once_a_second(void **state)
{
    const struct timespec pause = {.tv_sec = 1, .tv_nsec = 50000000};

    (void) state;
    log_set_progress(PROGRESS_TEXT);
    capture_begin();
    progress_begin(PROGRESS_SCAN_TARGET, 2048);
    progress_add(1024);
    nanosleep(&pause, NULL);
    progress_add(512);
    progress_add(512);
    progress_end(true);
    assert_string_equal(capture_end(), "1/2 kB (50%) scanned (scan target WAL)\n"
                                       "1/2 kB (75%) scanned (scan target WAL)\n"
                                       "2/2 kB (100%) scanned (scan target WAL)\n");
    log_set_progress(PROGRESS_OFF);
}

/* However much more or less it is than was known: 100% is the end of what succeeded. */
static void test_progress_says_100_percent_at_the_end_only(void **state)
{
    (void) state;
    log_set_progress(PROGRESS_TEXT);
    capture_begin();
    progress_begin(PROGRESS_FETCH, 1024);
    progress_add(4096);
    progress_end(true);
    progress_begin(PROGRESS_FETCH, 4096);
    progress_end(true);
    progress_begin(PROGRESS_FETCH, 1024);
    progress_add(1024);
    progress_end(false);
    progress_begin(PROGRESS_FETCH, 0);
    progress_end(true);
    assert_string_equal(capture_end(), "1/1 kB (100%) copied (fetch)\n"
                                       "1/1 kB (100%) copied (fetch)\n"
                                       "4/4 kB (100%) copied (fetch)\n"
                                       "1/1 kB (100%) copied (fetch)\n"
                                       "0/0 kB (100%) copied (fetch)\n");
    log_set_progress(PROGRESS_OFF);
}

static void test_progress_is_silent_without_the_option_or_a_total(void **state)
{
    (void) state;
    capture_begin();
    progress_begin(PROGRESS_FETCH, 10);
    progress_add(10);
    progress_end(true);
    log_set_progress(PROGRESS_TEXT);
    progress_add(10); /* in no phase */
    progress_begin(PROGRESS_SYNC, 0);
    progress_add(10);
    progress_end(true);
    assert_string_equal(capture_end(), "");
    log_set_progress(PROGRESS_OFF);
}

/* The outer phase continues from its own count when the inner phase ends. */
static void test_a_phase_may_lie_inside_of_another(void **state)
{
    (void) state;
    log_set_progress(PROGRESS_TEXT);
    capture_begin();
    progress_begin(PROGRESS_COMPARE_BLOCKS, 4096);
    progress_add(1024);
    progress_begin(PROGRESS_FETCH_WAL, 2048);
    progress_end(true);
    progress_add(1024);
    progress_end(false);
    assert_string_equal(capture_end(), "1/4 kB (25%) compared (compare blocks)\n"
                                       "2/2 kB (100%) copied (fetch WAL)\n"
                                       "2/4 kB (50%) compared (compare blocks)\n");
    log_set_progress(PROGRESS_OFF);
}

static void test_progress_as_json_has_an_object_a_line(void **state)
{
    static const char begin[] =
        "{\"phase\": \"fetch\", \"done_bytes\": 0, \"total_bytes\": 2048, \"bytes_per_second\": ";

    (void) state;
    log_set_progress(PROGRESS_JSON);
    capture_begin();
    log_progress_message("no");
    progress_begin(PROGRESS_FETCH, 2048);
    progress_end(true);
    progress_begin(PROGRESS_SYNC, 0);
    progress_end(false);
    capture_end();
    assert_memory_equal(text, begin, sizeof(begin) - 1);
    assert_non_null(strstr(text, "\"done_bytes\": 2048, \"total_bytes\": 2048, "));
    assert_non_null(strstr(text, ", \"finished\": true}\n{\"phase\": \"sync\", \"done_bytes\": 0, "
                                 "\"total_bytes\": null, "));
    assert_null(strstr(text, "pg_rewind"));
    log_set_progress(PROGRESS_OFF);
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

static void test_times_are_for_files_and_pipes(void **state)
{
    static const char begin[] = "2026-11-26 02:22:22.123";
    struct stat status;
    char stream[64];
    const char *captured_text;
    Error error;

    (void) state;
    error_set(&error, ERROR_FAILED, "x");
    error_hint(&error, "Y.");
    capture_begin();
    log_set_timestamps(true);
    log_error(&error);
    captured_text = capture_end();
    for (size_t i = 0; i + 1 < sizeof(begin); i++)
        assert_true(begin[i] >= '0' && begin[i] <= '9'
                        ? captured_text[i] >= '0' && captured_text[i] <= '9'
                        : captured_text[i] == begin[i]);
    captured_text += sizeof(begin) - 1;
    assert_memory_equal(captured_text, " UTC pg_rewind: error: x\n20", 27);
    assert_non_null(strstr(captured_text, " UTC pg_rewind: hint: Y.\n"));

    capture_begin();
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long) status.st_dev,
             (unsigned long long) status.st_ino);
    setenv("JOURNAL_STREAM", stream, 1);
    log_set_timestamps(true);
    log_info("in the journal");
    unsetenv("JOURNAL_STREAM");
    log_set_timestamps(false);
    log_info("not asked for");
    assert_string_equal(capture_end(), "pg_rewind: in the journal\npg_rewind: not asked for\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_have_the_prefixes_of_15),
        cmocka_unit_test(test_an_error_has_its_detail_and_hint),
        cmocka_unit_test(test_debug_and_progress_messages_are_off_by_default),
        cmocka_unit_test(test_progress_has_the_original_form_on_a_pipe),
        cmocka_unit_test(test_progress_is_printed_once_a_second),
        cmocka_unit_test(test_progress_says_100_percent_at_the_end_only),
        cmocka_unit_test(test_progress_is_silent_without_the_option_or_a_total),
        cmocka_unit_test(test_a_phase_may_lie_inside_of_another),
        cmocka_unit_test(test_progress_as_json_has_an_object_a_line),
        cmocka_unit_test(test_colours_are_those_of_the_environment),
        cmocka_unit_test(test_times_are_for_files_and_pipes),
    };

    unsetenv("PG_COLOR");
    log_init("/usr/bin/pg_rewind");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
