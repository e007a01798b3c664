#include "format/varlena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#define HEADER 4
#define PGLZ 0u
#define LZ4 1u

/* "abcabcabcabcabcabcabcabc!" as pglz has it: three bytes, 21 from 3 back, one byte. */
static const uint8_t pglz[] = {0x08, 'a', 'b', 'c', 0x0F, 3, 3, '!'};
static const char text[] = "abcabcabcabcabcabcabcabc!";
#define TEXT_SIZE (sizeof(text) - 1)

static const char *reason;
static uint8_t chunks[100];
static size_t chunk_size, chunk_count;

static Slice find_chunk(void *context, const Varlena *pointer, uint32_t sequence)
{
    (void) context;
    assert_int_equal(pointer->value, 77);
    assert_int_equal(pointer->relation, 16400);
    if (sequence < chunk_count)
        return (Slice){chunks + sequence * chunk_size, chunk_size};
    return (Slice){0};
}

static const ToastReader toast = {find_chunk, NULL};

/* An inline compressed value; valid until the next call. */
static Slice compressed(uint32_t method, uint32_t raw_size, const void *bytes, size_t size)
{
    static Buffer buffer;

    buffer_clear(&buffer);
    buffer_append_u32(&buffer, (uint32_t) (size + 8) << 2 | 2);
    buffer_append_u32(&buffer, raw_size | method << 30);
    buffer_append(&buffer, bytes, size);
    return (Slice){buffer.bytes, buffer.size};
}

static Slice external(uint32_t raw_size, uint32_t stored_size)
{
    static Buffer buffer;

    buffer_clear(&buffer);
    buffer_append_u8(&buffer, 1);
    buffer_append_u8(&buffer, 18);
    buffer_append_u32(&buffer, raw_size + HEADER);
    buffer_append_u32(&buffer, stored_size);
    buffer_append_u32(&buffer, 77);
    buffer_append_u32(&buffer, 16400);
    return (Slice){buffer.bytes, buffer.size};
}

static void expands_to(Slice stored, const char *expected)
{
    AUTO_BUFFER Buffer room = {0};
    Slice value;

    if (!varlena_expand(stored, &toast, &room, &value, &reason))
        fail_msg("%s", reason);
    assert_int_equal(value.size, strlen(expected));
    assert_memory_equal(value.bytes, expected, value.size);
}

static void fails(Slice stored, const char *expected)
{
    AUTO_BUFFER Buffer room = {0};
    Slice value;

    assert_false(varlena_expand(stored, &toast, &room, &value, &reason));
    if (strstr(reason, expected) == NULL)
        fail_msg("%s", reason);
}

static void headers_of_both_sizes_are_taken_off(void **state)
{
    (void) state;
    expands_to((Slice){(const uint8_t *) "\x09"
                                         "abc",
                       4},
               "abc");
    expands_to((Slice){(const uint8_t *) "\x1c\0\0\0abc", 7}, "abc");
    expands_to((Slice){(const uint8_t *) "\x03", 1}, "");
    fails((Slice){(const uint8_t *) "\x1c\0\0\0ab", 6}, "length is impossible");
    fails((Slice){(const uint8_t *) "\x08\0\0", 3}, "length is impossible");
    fails((Slice){(const uint8_t *) "\x0c\0\0\0", 4}, "length is impossible"); /* 3 bytes */
    fails((Slice){(const uint8_t *) "\x01\x01", 2}, "length is impossible");   /* a pointer in memory */
    fails((Slice){NULL, 0}, "length is impossible");
}

static void compressed_values_are_expanded(void **state)
{
    char small[100];
    const int size = LZ4_compress_default(text, small, TEXT_SIZE, sizeof(small));

    (void) state;
    expands_to(compressed(PGLZ, TEXT_SIZE, pglz, sizeof(pglz)), text);
    expands_to(compressed(LZ4, TEXT_SIZE, small, (size_t) size), text);
    fails(compressed(LZ4, TEXT_SIZE + 1, small, (size_t) size), "cannot be expanded");
    fails(compressed(LZ4, TEXT_SIZE, small, (size_t) size - 1), "cannot be expanded");
    fails(compressed(2, TEXT_SIZE, pglz, sizeof(pglz)), "method is unknown");
    fails((Slice){(const uint8_t *) "\x1a\0\0\0\0\0", 6}, "have no size");
}

static void damaged_pglz_is_refused(void **state)
{
    uint8_t bytes[sizeof(pglz)];

    (void) state;
    fails(compressed(PGLZ, TEXT_SIZE + 1, pglz, sizeof(pglz)), "cannot be expanded");
    fails(compressed(PGLZ, TEXT_SIZE - 1, pglz, sizeof(pglz)), "cannot be expanded");
    fails(compressed(PGLZ, 0x3FFFFFFF, pglz, sizeof(pglz)), "bytes is impossible");
    for (size_t size = 0; size < sizeof(pglz); size++)
        fails(compressed(PGLZ, TEXT_SIZE, pglz, size), "cannot be expanded");
    memcpy(bytes, pglz, sizeof(pglz));
    bytes[5] = 4; /* a reference to before the start */
    fails(compressed(PGLZ, TEXT_SIZE, bytes, sizeof(bytes)), "cannot be expanded");
    bytes[5] = 0; /* a reference to its own place */
    fails(compressed(PGLZ, TEXT_SIZE, bytes, sizeof(bytes)), "cannot be expanded");
}

static void chunks_are_put_together(void **state)
{
    (void) state;
    memcpy(chunks, "0123456789", 10);
    chunk_size = 5;
    chunk_count = 2;
    expands_to(external(10, 10), "0123456789");
    fails(external(15, 15), "is missing");
    fails(external(9, 9), "have another size");
    fails(external(10, 11), "has impossible sizes");
    fails(external(10, 0), "has impossible sizes");
    fails((Slice){external(10, 10).bytes, 17}, "length is impossible");

    /* Compressed: the chunks begin with size and method. */
    store_u32(chunks, TEXT_SIZE | PGLZ << 30);
    memcpy(chunks + 4, pglz, sizeof(pglz));
    chunk_size = 4;
    chunk_count = 3;
    expands_to(external(TEXT_SIZE, 12), text);
    fails(external(TEXT_SIZE + 1, 12), "bytes is impossible");
    chunk_count = 2;
    fails(external(TEXT_SIZE, 12), "is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_both_sizes_are_taken_off),
        cmocka_unit_test(compressed_values_are_expanded),
        cmocka_unit_test(damaged_pglz_is_refused),
        cmocka_unit_test(chunks_are_put_together),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
