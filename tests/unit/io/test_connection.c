#include "io/connection.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

static Error error;

static void test_array_literal(void **state)
{
    Buffer literal = {0};

    (void) state;
    array_begin(&literal);
    array_end(&literal);
    assert_string_equal(buffer_string(&literal), "{}");
    buffer_clear(&literal);
    array_begin(&literal);
    array_append(&literal, "base/1/1259");
    array_append(&literal, "a\"b\\c, {NULL}");
    array_append(&literal, "");
    array_append(&literal, "{");
    array_append(&literal, "NULL");
    array_end(&literal);
    assert_string_equal(buffer_string(&literal),
                        "{\"base/1/1259\",\"a\\\"b\\\\c, {NULL}\",\"\",\"{\",\"NULL\"}");
    buffer_clear(&literal);
    array_begin(&literal);
    array_append_int(&literal, 0);
    array_append_int(&literal, INT64_MIN);
    array_append_int(&literal, INT64_MAX);
    array_end(&literal);
    assert_string_equal(buffer_string(&literal), "{0,-9223372036854775808,9223372036854775807}");
    buffer_free(&literal);
}

static void test_numbers_in_network_order(void **state)
{
    const ConnectionValue eight = {.bytes = "\x01\x02\x03\x04\x05\x06\x07\x08", .size = 8};
    const ConnectionValue four = {.bytes = "\xff\xff\xff\xfe", .size = 4};
    const ConnectionValue five = {.bytes = "12345", .size = 5};
    const ConnectionValue null = {.bytes = NULL, .size = 0};
    int64_t number;

    (void) state;
    assert_true(connection_int8(&eight, &number, &error));
    assert_true(number == 0x0102030405060708);
    assert_true(connection_int8(&four, &number, &error));
    assert_int_equal(number, -2);
    assert_false(connection_int8(&five, &number, &error));
    assert_false(connection_int8(&null, &number, &error));
}

static void test_a_string_that_libpq_refuses(void **state)
{
    ConnectionRefusal refusal;

    (void) state;
    assert_null(connection_open("nonsense", 1, 0, &refusal, &error));
    assert_int_equal(error.kind, ERROR_FAILED);
    assert_string_equal(error.message,
                        "missing \"=\" after \"nonsense\" in connection info string");
    assert_null(connection_open("nosuchoption=1", 1, 0, &refusal, &error));
    assert_string_equal(error.message, "invalid connection option \"nosuchoption\"");
    connection_close(NULL);
}

static void test_no_answer_may_be_one_later(void **state)
{
    ConnectionRefusal refusal;

    (void) state;
    assert_null(connection_open("host=/no/such/directory port=1 user=x", 1, 0, &refusal, &error));
    assert_int_equal(error.kind, ERROR_RETRY);
    assert_null(strchr(error.message + strlen(error.message) - 1, '\n'));
}

static void test_explicit_dbname(void **state)
{
    Arena *arena = arena_create();

    (void) state;
    unsetenv("PGDATABASE");
    unsetenv("PGSERVICE");
    assert_string_equal(connection_explicit_dbname("host=a dbname=b", arena), "b");
    assert_string_equal(connection_explicit_dbname("postgresql://u@h:5432/c", arena), "c");
    assert_null(connection_explicit_dbname("host=a user=u", arena));
    setenv("PGDATABASE", "d", 1);
    assert_string_equal(connection_explicit_dbname("host=a user=u", arena), "d");
    assert_string_equal(connection_explicit_dbname("dbname=b", arena), "b");
    unsetenv("PGDATABASE");
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_array_literal),
        cmocka_unit_test(test_numbers_in_network_order),
        cmocka_unit_test(test_a_string_that_libpq_refuses),
        cmocka_unit_test(test_no_answer_may_be_one_later),
        cmocka_unit_test(test_explicit_dbname),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
