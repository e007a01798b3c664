#include "format/heap_tuple.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#define COLUMNS 6
#define HAS_NULLS 0x0001
#define HAS_OID 0x0008

static const uint8_t missing[] = {42, 0};

/* int2, text, int8, text, cstring, and an int2 that came later */
static const Attribute attributes[COLUMNS] = {
    {.name = "a", .storage = {2, 's'}},  {.name = "b", .storage = {-1, 'i'}},
    {.name = "c", .storage = {8, 'd'}},  {.name = "d", .storage = {-1, 'i'}},
    {.name = "e", .storage = {-2, 'c'}}, {.name = "f", .storage = {2, 's'}, .missing = {missing, 2}},
};

/* a = 7, b = 'xy' with a short header, c = 9, d = 'z' with a long one, e = 'end'. */
static const uint8_t data[] = "\7\0\7xy\0\0\0"
                              "\x9\0\0\0\0\0\0\0"
                              "\x14\0\0\0z"
                              "end";

static const char *reason;
static Slice values[COLUMNS];

/* A tuple with that many columns; nulls: NULL, or a bitmap of a byte. */
static Slice make(unsigned columns, const char *nulls, bool has_oid, const void *bytes, size_t size)
{
    static Buffer tuple;
    const uint8_t offset = has_oid ? 32 : 24;

    buffer_clear(&tuple);
    for (int i = 0; i < 18; i++)
        buffer_append_u8(&tuple, 0);
    buffer_append_u16(&tuple, (uint16_t) columns);
    buffer_append_u16(&tuple, (uint16_t) ((nulls != NULL ? HAS_NULLS : 0) | (has_oid ? HAS_OID : 0)));
    buffer_append_u8(&tuple, offset);
    buffer_append_u8(&tuple, nulls != NULL ? (uint8_t) nulls[0] : 0);
    while (has_oid && tuple.size < 28)
        buffer_append_u8(&tuple, 0);
    if (has_oid)
        buffer_append_u32(&tuple, 4711);
    buffer_append(&tuple, bytes, size);
    return (Slice){tuple.bytes, tuple.size};
}

static bool split(Slice tuple, size_t count)
{
    HeapTuple parsed;

    return heap_tuple_parse(tuple, 0, &parsed, &reason) &&
           heap_tuple_split(&parsed, attributes, count, values, &reason);
}

static void values_are_found(void **state)
{
    (void) state;
    assert_true(split(make(5, NULL, false, data, sizeof(data)), COLUMNS));
    assert_int_equal(load_u16(values[0].bytes), 7);
    assert_memory_equal(values[1].bytes, "\7xy", 3);
    assert_int_equal(values[1].size, 3);
    assert_int_equal(load_u64(values[2].bytes), 9);
    assert_int_equal(values[3].size, 5);
    assert_int_equal(values[3].bytes[4], 'z');
    assert_string_equal((const char *) values[4].bytes, "end");
    assert_ptr_equal(values[5].bytes, missing);
}

static void nulls_take_no_room(void **state)
{
    (void) state;
    assert_true(split(make(5, "\x15", false, "\7\0\0\0\0\0\0\0\x9\0\0\0\0\0\0\0q", 18), COLUMNS));
    assert_int_equal(load_u16(values[0].bytes), 7);
    assert_null(values[1].bytes);
    assert_int_equal(load_u64(values[2].bytes), 9);
    assert_null(values[3].bytes);
    assert_string_equal((const char *) values[4].bytes, "q");
    assert_true(split(make(0, NULL, false, "", 0), COLUMNS));
    assert_null(values[0].bytes);
}

static void a_row_may_have_an_oid(void **state)
{
    HeapTuple parsed;

    (void) state;
    assert_true(heap_tuple_parse(make(1, NULL, true, "\7\0", 2), 0, &parsed, &reason));
    assert_int_equal(parsed.oid, 4711);
    assert_true(heap_tuple_split(&parsed, attributes, COLUMNS, values, &reason));
    assert_int_equal(load_u16(values[0].bytes), 7);
}

static void composite_values_lack_four_bytes(void **state)
{
    const Slice whole = make(1, NULL, false, "\7\0", 2);
    HeapTuple parsed;

    (void) state;
    assert_true(heap_tuple_parse((Slice){whole.bytes + 4, whole.size - 4}, 4, &parsed, &reason));
    assert_int_equal(parsed.attribute_count, 1);
    assert_int_equal(parsed.data.size, 2);
}

static void what_ends_early_is_damaged(void **state)
{
    const Slice whole = make(5, "\x1f", false, data, sizeof(data));

    (void) state;
    for (size_t size = 0; size < whole.size; size++)
    {
        uint8_t *cut = malloc(size + 1);

        memcpy(cut, whole.bytes, size);
        assert_false(split((Slice){cut, size}, COLUMNS));
        free(cut);
    }
    assert_true(split(whole, COLUMNS));
}

/* True if a tuple of 50 bytes with these values in its header can be parsed. */
static bool parses_header(uint16_t infomask2, uint16_t infomask, uint8_t data_offset)
{
    uint8_t tuple[50] = {0};
    HeapTuple parsed;

    tuple[18] = (uint8_t) infomask2;
    tuple[19] = (uint8_t) (infomask2 >> 8);
    tuple[20] = (uint8_t) infomask;
    tuple[22] = data_offset;
    return heap_tuple_parse((Slice){tuple, sizeof(tuple)}, 0, &parsed, &reason);
}

static void impossible_headers_are_damaged(void **state)
{
    (void) state;
    assert_false(split(make(5, NULL, false, data, sizeof(data)), 4));
    assert_string_equal(reason, "the row has more columns than its table");
    assert_false(parses_header(5, 0, 22));
    assert_false(parses_header(5, 0, 200));
    assert_false(parses_header(9, HAS_NULLS, 24));
    assert_false(parses_header(5, HAS_OID, 24));
    assert_false(parses_header(1665, 0, 24));
    assert_true(parses_header(5, 0, 24));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_found),
        cmocka_unit_test(nulls_take_no_room),
        cmocka_unit_test(a_row_may_have_an_oid),
        cmocka_unit_test(composite_values_lack_four_bytes),
        cmocka_unit_test(what_ends_early_is_damaged),
        cmocka_unit_test(impossible_headers_are_damaged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
