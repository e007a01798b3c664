/* tests/data/lost_values has values of a server of 18: the type, the bytes as they are stored, and the text as COPY prints it. */
#include "lost/value_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../lost_types.h"

#define CHAR 18
#define JSONB 3802
#define NUMERIC 1700
#define INTERVAL 1186
#define PG_LSN 3220

static Types types;
static Error error;
static const char *reason;
static Buffer text;
static ValueEncoding encoding;

static Slice no_chunk(void *context, const Varlena *pointer, uint32_t sequence)
{
    (void) context;
    (void) pointer;
    (void) sequence;
    return (Slice){0};
}

static ValueReader reader_of(int number)
{
    return (ValueReader){.version = version_of_server_number(number),
                         .type = types_find,
                         .context = &types,
                         .toast = {no_chunk, NULL}};
}

static bool print(const ValueReader *reader, Oid oid, Slice stored)
{
    const Type *type = types_find(&types, oid);
    const Attribute attribute = {.type = oid,
                                 .storage = type != NULL ? type->storage : (Storage){-1, 'i'}};

    buffer_clear(&text);
    return value_text(reader, &attribute, stored, &text, &encoding, &reason);
}

/* Undo the escapes of COPY. */
static char *unescaped(char *string)
{
    static const char letters[] = "bfnrtv\\", characters[] = "\b\f\n\r\t\v\\";
    char *to = string;

    for (const char *from = string; *from != '\0'; from++)
        *to++ = *from == '\\' ? characters[strchr(letters, *++from) - letters] : *from;
    *to = '\0';
    return string;
}

typedef void (*SampleFunction)(Oid oid, Slice stored, const char *expected);

static void each_sample(SampleFunction function)
{
    AUTO_BUFFER Buffer file = {0}, path = {0};
    AUTO_ARENA Arena *arena = arena_create();

    assert_true(file_read_all(path_in(&path, getenv("TEST_DATA"), "lost_values"), TYPES_SIZE_MAX,
                              &file, NULL, &error));
    char *rest = arena_strdup(arena, buffer_string(&file));
    for (char *line = strsep(&rest, "\n"); line != NULL && *line != '\0';
         line = strsep(&rest, "\n"))
    {
        const char *oid = strsep(&line, "\t"), *hex = strsep(&line, "\t");

        function((Oid) strtoul(oid, NULL, 10), bytes_of_hex(arena, hex), unescaped(line));
    }
}

static void check_sample(Oid oid, Slice stored, const char *expected)
{
    const ValueReader reader = reader_of(180000);

    if (!print(&reader, oid, stored))
        fail_msg("type %u, \"%s\": %s", oid, expected, reason);
    assert_string_equal(buffer_string(&text), expected);
    assert_int_equal(encoding, VALUE_TEXT);
}

static void values_of_a_server_become_its_text(void **state)
{
    (void) state;
    each_sample(check_sample);
}

/* A copy of just that size, so that valgrind and sanitizers see what is read after it. */
static void print_copy(Oid oid, const uint8_t *bytes, size_t size)
{
    const ValueReader reader = reader_of(180000);
    uint8_t *copy = malloc(size > 0 ? size : 1);

    memcpy(copy, bytes, size);
    if (!print(&reader, oid, (Slice){copy, size}))
        assert_true(reason != NULL && text.size == 0);
    free(copy);
}

static void break_sample(Oid oid, Slice stored, const char *expected)
{
    static const uint8_t changes[] = {0x01, 0x02, 0x04, 0x10, 0x80, 0xFF};
    AUTO_BUFFER Buffer bytes = {0};

    (void) expected;
    buffer_append(&bytes, stored.bytes, stored.size);
    for (size_t size = 0; size < stored.size; size++)
    {
        print_copy(oid, stored.bytes, size);
        /* The same with a header that says so. */
        if (types_find(&types, oid)->storage.length == -1 && size > 0 && bytes.bytes[0] & 1)
        {
            const uint8_t header = bytes.bytes[0];

            bytes.bytes[0] = (uint8_t) (size << 1 | 1);
            print_copy(oid, bytes.bytes, size);
            bytes.bytes[0] = header;
        }
        for (size_t i = 0; i < sizeof(changes); i++)
        {
            bytes.bytes[size] ^= changes[i];
            print_copy(oid, bytes.bytes, stored.size);
            bytes.bytes[size] ^= changes[i];
        }
    }
}

static void damaged_bytes_do_no_harm(void **state)
{
    (void) state;
    each_sample(break_sample);
}

static void fails(Oid oid, const char *bytes, size_t size, const char *expected)
{
    const ValueReader reader = reader_of(180000);

    assert_false(print(&reader, oid, (Slice){(const uint8_t *) bytes, size}));
    if (strstr(reason, expected) == NULL)
        fail_msg("%s", reason);
}

static void what_cannot_be_told_says_why(void **state)
{
    (void) state;
    fails(NUMERIC, "\x0b\x00\x81\x01", 4, "length is impossible");
    fails(NUMERIC, "\x0b\x00\x80\x10\x27", 5, "not a value of its type"); /* a digit of 10000 */
    fails(1082, "\xfe\xff\xff\x7f", 4, "not a value of its type"); /* a day after the last */
    fails(1082, "\xff\xff\xff\x7e\0", 5, "not a value of its type");
    fails(25, "\x01\x12\x0c\0\0\0\x08\0\0\0\x01\0\0\0\x02\0\0\0", 18, "is missing");
}

/* An array of 1,000 numbers of 131,069 digits is too long as text, and is kept as stored. */
static void huge_texts_end(void **state)
{
    ValueReader reader = reader_of(180000);
    AUTO_BUFFER Buffer array = {0};
    const uint32_t count = 1000, header[] = {(24 + count * 8) << 2, 1, 0, NUMERIC, count, 1};

    (void) state;
    for (size_t i = 0; i < sizeof(header) / sizeof(header[0]); i++)
        buffer_append_u32(&array, header[i]);
    for (uint32_t i = 0; i < count; i++)
        buffer_append(&array, "\x0f\0\0\xff\x7f\x01\0\0", 8); /* 1 * 10000^32767 */
    reader.text_size_max = 10000000;
    assert_true(print(&reader, 1231, (Slice){array.bytes, array.size}));
    assert_int_equal(encoding, VALUE_STORED);
    assert_int_equal(text.size, 0);
    assert_true(text.capacity < 40000000);
}

static void enums_need_a_label(void **state)
{
    static const EnumLabel labels[] = {{7, "seven"}};
    const Type type = {.oid = 99999,
                       .schema = "public",
                       .name = "mood",
                       .kind = 'e',
                       .storage = {4, 'i'},
                       .labels = labels,
                       .label_count = 1};
    const ValueReader reader = reader_of(180000);

    (void) state;
    ARRAY_GROW(types.items, types.count);
    types.items[types.count++] = type;
    assert_true(print(&reader, 99999, (Slice){(const uint8_t *) "\7\0\0\0", 4}));
    assert_string_equal(buffer_string(&text), "seven");
    fails(99999, "\x8\0\0\0", 4, "no such label");
    types.count--;
}

static void bytes_of_unknown_types_are_hexadecimal(void **state)
{
    const ValueReader reader = reader_of(180000);

    (void) state;
    assert_true(print(&reader, 123456, (Slice){(const uint8_t *) "\x09"
                                                                 "abc",
                                               4}));
    assert_string_equal(buffer_string(&text), "616263");
    assert_int_equal(encoding, VALUE_BINARY);
}

/* A domain over itself, which only damaged catalogs have. */
static void types_within_types_end(void **state)
{
    const ValueReader reader = reader_of(180000);

    (void) state;
    ARRAY_GROW(types.items, types.count);
    types.items[types.count++] =
        (Type){.oid = 99999, .kind = 'd', .inner = 99999, .storage = {4, 'i'}};
    assert_false(print(&reader, 99999, (Slice){(const uint8_t *) "\7\0\0\0", 4}));
    assert_string_equal(reason, "its bytes are not a value of its type");
    types.count--;
}

/* So many arrays in each other, with a header of four bytes. */
static void append_deep_jsonb(Buffer *bytes, uint32_t depth)
{
    buffer_clear(bytes);
    buffer_append_u32(bytes, (8 * depth + 4) << 2);
    for (uint32_t left = depth - 1; left > 0; left--)
    {
        buffer_append_u32(bytes, 0x40000001);
        buffer_append_u32(bytes, 0x50000000 | 8 * (left - 1) | 4);
    }
    buffer_append_u32(bytes, 0x40000000);
    store_u32(bytes->bytes, (uint32_t) bytes->size << 2);
}

static void deep_documents_are_printed(void **state)
{
    const ValueReader reader = reader_of(180000);
    AUTO_BUFFER Buffer bytes = {0};

    (void) state;
    append_deep_jsonb(&bytes, 9000);
    assert_true(print(&reader, JSONB, (Slice){bytes.bytes, bytes.size}));
    assert_int_equal(text.size, 2 * 9000);
    append_deep_jsonb(&bytes, 1000001);
    fails(JSONB, (const char *) bytes.bytes, bytes.size, "not a value of its type");
    append_deep_jsonb(&bytes, 1000000);
    assert_true(print(&reader, JSONB, (Slice){bytes.bytes, bytes.size}));
    assert_int_equal(text.size, 2 * 1000000);
}

/* int2vector is stored as an array, but printed without braces. */
static void vectors_are_no_arrays(void **state)
{
    static const Type vector = {.oid = 22, .kind = 'b', .delimiter = ',', .storage = {-1, 'i'}, .inner = 21};
    static const char bytes[] = "\x70\0\0\0\1\0\0\0\0\0\0\0\x15\0\0\0\2\0\0\0\0\0\0\0\7\0\xff\xff";
    const ValueReader reader = reader_of(180000);

    (void) state;
    ARRAY_GROW(types.items, types.count);
    types.items[types.count++] = vector;
    assert_true(print(&reader, vector.oid, (Slice){(const uint8_t *) bytes, 28}));
    assert_string_equal(buffer_string(&text), "7 -1");
    types.count--;
}

/* As a server of 15 with libxml prints them. */
static void xml_declarations_lose_their_encoding(void **state)
{
    static const char *const samples[][2] = {
        {"<?xml version=\"1.0\"?><a/>", "<a/>"},
        {"<?xml version='1.0' encoding='UTF-8'?>\n<a/>", "<a/>"},
        {"<?xml version=\"1.0\" standalone=\"yes\"?><a/>",
         "<?xml version=\"1.0\" standalone=\"yes\"?><a/>"},
        {"<?xml version=\"1.1\" encoding=\"x\"?>\n<a/>", "<?xml version=\"1.1\"?>\n<a/>"},
        {"<?xml-stylesheet a?><a/>", "<?xml-stylesheet a?><a/>"},
        {"<?xml version=\"1.0?><a/>", "<?xml version=\"1.0?><a/>"},
        {"<?xml version=1?>", "<?xml version=1?>"},
        {"<?xml", "<?xml"},
        {"\n\n<a/>", "\n<a/>"},
        {"", ""},
    };
    static const Type xml = {.oid = 142, .kind = 'b', .storage = {-1, 'i'}};
    const ValueReader reader = reader_of(150000);

    (void) state;
    ARRAY_GROW(types.items, types.count);
    types.items[types.count++] = xml;
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
    {
        AUTO_BUFFER Buffer stored = {0};

        buffer_append_u32(&stored, (uint32_t) (strlen(samples[i][0]) + 4) << 2);
        buffer_append_string(&stored, samples[i][0]);
        assert_true(print(&reader, xml.oid, (Slice){stored.bytes, stored.size}));
        assert_string_equal(buffer_string(&text), samples[i][1]);
    }
    types.count--;
}

/* Words and positions that share their bytes would make a text a million times as long. */
static void shared_bytes_make_no_huge_text(void **state)
{
    const uint32_t count = 50000;
    AUTO_BUFFER Buffer bytes = {0};

    (void) state;
    buffer_append_u32(&bytes, 0);
    buffer_append_u32(&bytes, count);
    for (uint32_t i = 0; i < count; i++)
        buffer_append_u32(&bytes, 1000 << 1 | 1);
    for (uint32_t i = 0; i < 1000; i++)
        buffer_append_u8(&bytes, 'x');
    buffer_append_u16(&bytes, 60000);
    for (uint32_t i = 0; i < 60000; i++)
        buffer_append_u16(&bytes, 1);
    store_u32(bytes.bytes, (uint32_t) bytes.size << 2);
    fails(3614, (const char *) bytes.bytes, bytes.size, "not a value of its type");
}

/* The column is an int4range, the value a numrange: the catalogs do not belong to this row. */
static void values_name_their_type(void **state)
{
    (void) state;
    fails(3904, "\x0d\x42\x0f\0\0\x01", 6, "not a value of its type");
}

static void versions_differ(void **state)
{
    const ValueReader before = reader_of(140000), reader = reader_of(150000),
                      later = reader_of(190000);
    const Slice byte = {(const uint8_t *) "\xe9", 1};
    const Slice greatest = {
        (const uint8_t *) "\xff\xff\xff\xff\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f", 16};
    const Slice lsn = {(const uint8_t *) "\x0a\0\0\0\x16\0\0\0", 8};

    (void) state;
    assert_true(print(&reader, INTERVAL, greatest));
    assert_string_equal(buffer_string(&text),
                        "178956970 years 7 mons 2147483647 days 2562047788:00:54.775807");
    assert_true(print(&later, INTERVAL, greatest));
    assert_string_equal(buffer_string(&text), "infinity");
    assert_true(print(&reader, PG_LSN, lsn));
    assert_string_equal(buffer_string(&text), "16/A");
    assert_true(print(&later, PG_LSN, lsn));
    assert_string_equal(buffer_string(&text), "16/0000000A");
    assert_true(print(&before, CHAR, byte));
    assert_string_equal(buffer_string(&text), "\xe9");
    assert_true(print(&reader, CHAR, byte));
    assert_string_equal(buffer_string(&text), "\\351");
}

static int read_data(void **state)
{
    AUTO_BUFFER Buffer path = {0};

    (void) state;
    return types_read(&types, path_in(&path, getenv("TEST_DATA"), "lost_types"), &error) ? 0 : -1;
}

static int free_data(void **state)
{
    (void) state;
    types_free(&types);
    buffer_free(&text);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_a_server_become_its_text),
        cmocka_unit_test(damaged_bytes_do_no_harm),
        cmocka_unit_test(what_cannot_be_told_says_why),
        cmocka_unit_test(huge_texts_end),
        cmocka_unit_test(enums_need_a_label),
        cmocka_unit_test(bytes_of_unknown_types_are_hexadecimal),
        cmocka_unit_test(types_within_types_end),
        cmocka_unit_test(deep_documents_are_printed),
        cmocka_unit_test(vectors_are_no_arrays),
        cmocka_unit_test(xml_declarations_lose_their_encoding),
        cmocka_unit_test(shared_bytes_make_no_huge_text),
        cmocka_unit_test(values_name_their_type),
        cmocka_unit_test(versions_differ),
    };

    return cmocka_run_group_tests(tests, read_data, free_data);
}
