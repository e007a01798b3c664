#include "source/source.h"

#include "directory.h"

static Error error;

static const ControlFile file = {.name = "pg_control", .pg_version = "15\n"};

/* A pg_control that is torn for as long as `torn` reads. */
typedef struct TornControl
{
    int torn;
    int reads;
} TornControl;

static bool read_torn(void *context, Buffer *buffer, Error *fails)
{
    TornControl *control = context;

    if (!file_read_all("data/global/pg_control", CONTROL_READ_MAX, buffer, NULL, fails))
        return false;
    if (control->reads++ < control->torn)
        buffer->bytes[100] ^= 0xFF;
    return true;
}

static void test_a_torn_control_file_is_read_again(void **state)
{
    TornControl torn = {.torn = 3};
    Control control;

    (void) state;
    make_data_directory("data", version_of_major(15), CONTROL_IN_PRODUCTION);
    assert_true(source_control_read(read_torn, &torn, file, &control, &error));
    assert_int_equal(torn.reads, 4);
    assert_int_equal(control.version->number, 1500);
}

static void test_a_damaged_control_file_is_an_error_in_the_end(void **state)
{
    TornControl torn = {.torn = 1000};
    Control control;

    (void) state;
    make_data_directory("data", version_of_major(15), CONTROL_IN_PRODUCTION);
    assert_false(source_control_read(read_torn, &torn, file, &control, &error));
    assert_non_null(strstr(error.message, "unexpected control file CRC"));
    assert_true(torn.reads > 1 && torn.reads < 100);
}

static void test_other_errors_end_it_at_once(void **state)
{
    TornControl torn = {.torn = 0};
    Control control;

    (void) state;
    assert_false(source_control_read(read_torn, &torn, file, &control, &error));
    assert_int_equal(torn.reads, 0);
    make_text("data/global/pg_control", "short");
    assert_false(source_control_read(read_torn, &torn, file, &control, &error));
    assert_int_equal(torn.reads, 1);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_torn_control_file_is_read_again),
        TEST(test_a_damaged_control_file_is_an_error_in_the_end),
        TEST(test_other_errors_end_it_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
