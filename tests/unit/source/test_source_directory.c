#include "source/source.h"

#include "../../every_version.h"
#include "directory.h"

static Error error;

static Source *open_source(void)
{
    Source *source = NULL;

    assert_true(source_directory_open("data/", 0, &source, &error));
    assert_string_equal(source->description, "data");
    assert_false(source->is_server);
    assert_null(source_connection(source));
    assert_string_equal(source->directory, "data");
    return source;
}

static void test_what_is_no_directory_is_refused(void **state)
{
    Source *source;

    (void) state;
    assert_false(source_directory_open("missing", 0, &source, &error));
    make_text("file", "");
    assert_false(source_directory_open("file", 0, &source, &error));
    assert_string_equal(error.message, "\"file\" is not a directory");
    source_close(NULL);
}

static void test_position_of_a_primary(void **state)
{
    Source *source;
    Control control;
    SourcePosition position;

    (void) state;
    make_data_directory("data", version_of_major(15), CONTROL_SHUT_DOWN);
    source = open_source();
    assert_true(source->operations->read_control(source, &control, &error));
    assert_int_equal(control.state, STATE_SHUTDOWNED);
    assert_true(source->operations->position(source, &control, &position, &error));
    assert_false(position.in_recovery);
    assert_int_equal(position.end, LSN_INVALID);
    assert_int_equal(position.minimum, LSN_INVALID);
    assert_int_equal(position.timeline, 3);
    source_close(source);
}

static void test_position_of_a_standby(void **state)
{
    Source *source;
    Control control;
    SourcePosition position;

    (void) state;
    make_data_directory("data", version_of_major(15), CONTROL_OF_STANDBY);
    source = open_source();
    assert_true(source->operations->read_control(source, &control, &error));
    control.state = STATE_SHUTDOWNED_IN_RECOVERY;
    assert_true(source->operations->position(source, &control, &position, &error));
    assert_true(position.in_recovery);
    assert_true(position.minimum != LSN_INVALID);
    assert_int_equal(position.minimum, control.min_recovery_point);
    assert_int_equal(position.timeline, 1);
    source_close(source);
}

static void test_files_are_read_whole(void **state)
{
    Source *source;
    Buffer buffer = {0};
    bool found = false;

    (void) state;
    make_text("data/pg_wal/00000002.history", "1\t0/3000000\treason\n");
    source = open_source();
    assert_true(source->operations->read_file(source, "pg_wal/00000002.history", 100, &buffer,
                                              &found, &error));
    assert_true(found);
    assert_string_equal(buffer_string(&buffer), "1\t0/3000000\treason\n");
    assert_true(source->operations->read_file(source, "pg_wal/00000003.history", 100, &buffer,
                                              &found, &error));
    assert_false(found);
    assert_false(source->operations->read_file(source, "pg_wal/00000002.history", 5, &buffer,
                                               &found, &error));
    buffer_free(&buffer);
    source_close(source);
}

static bool collect(void *context, const VisitedFile *file, Error *unused)
{
    (void) unused;
    buffer_printf(context, "%s %d\n", file->path, (int) file->type);
    return true;
}

static void test_the_list(void **state)
{
    Source *source;
    Buffer list = {0};

    (void) state;
    make_text("data/global/1262", "abc");
    source = open_source();
    assert_true(source->operations->list(source, version_of_major(15), collect, &list, &error));
    assert_string_equal(buffer_string(&list), "global 1\nglobal/1262 0\n");
    buffer_free(&list);
    source_close(source);
}

/* Append the index, size and first byte of a delivered piece to a text; fail for piece 7. */
static bool deliver(void *context, size_t index, const uint8_t *bytes, size_t size, Error *fails)
{
    Buffer *text = context;

    if (bytes == NULL)
        buffer_printf(text, "%zu gone\n", index);
    else if (size == 0)
        buffer_printf(text, "%zu empty\n", index);
    else
        buffer_printf(text, "%zu %zu %c\n", index, size, bytes[0]);
    if (index == 7)
        return error_set(fails, ERROR_FAILED, "seven");
    return true;
}

static void test_pieces_are_fetched_in_order(void **state)
{
    static const FetchRequest requests[] = {
        {"a", 0, 3},   {"a", 3, 3}, {"a", 100, 3}, {"gone", 0, 5}, {"gone", 5, 5},
        {"b", 1, 100}, {"a", 1, 1}, {"a", 0, 1},   {"a", 0, 1},
    };
    Source *source;
    Buffer text = {0};
    int granted = 0;

    (void) state;
    make_text("data/a", "abcde");
    make_text("data/b", "uvw");
    source = open_source();
    assert_true(source->operations->start_workers(source, 4, 0, &granted, &error));
    assert_int_equal(granted, 4);
    assert_true(source->operations->fetch(
        source, 3, &(FetchBatch){.requests = requests, .count = 7}, deliver, &text, &error));
    assert_string_equal(buffer_string(&text),
                        "0 3 a\n1 2 d\n2 empty\n3 gone\n4 gone\n5 2 v\n6 1 b\n");
    assert_false(source->operations->fetch(
        source, 0, &(FetchBatch){.requests = requests, .count = 9}, deliver, &text, &error));
    assert_string_equal(error.message, "seven");
    buffer_free(&text);
    source_close(source);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_no_directory_is_refused),
        TEST(test_position_of_a_primary),
        TEST(test_position_of_a_standby),
        TEST(test_files_are_read_whole),
        TEST(test_the_list),
        TEST(test_pieces_are_fetched_in_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
