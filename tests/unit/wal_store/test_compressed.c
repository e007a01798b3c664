#include "wal_store/compressed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <lz4frame.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define CONTENT_SIZE 300000
#define PACKED_MAX (2 * CONTENT_SIZE)

static Error error;
static uint8_t content[CONTENT_SIZE];
static uint8_t packed[2 * PACKED_MAX];

/* Compress as a program of that name would, with its checksum where the format has one. */
static size_t pack(Compression compression, const uint8_t *bytes, size_t size, uint8_t *to)
{
    const LZ4F_preferences_t preferences = {
        .frameInfo = {.contentChecksumFlag = LZ4F_contentChecksumEnabled}};
    z_stream stream = {.next_in = (Bytef *) bytes,
                       .avail_in = (uInt) size,
                       .next_out = to,
                       .avail_out = PACKED_MAX};
    ZSTD_CCtx *context;
    size_t result;

    switch (compression)
    {
    case COMPRESSION_GZIP:
        assert_int_equal(
            deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
        deflateEnd(&stream);
        return stream.total_out;
    case COMPRESSION_ZSTD:
        context = ZSTD_createCCtx();
        ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
        result = ZSTD_compress2(context, to, PACKED_MAX, bytes, size);
        ZSTD_freeCCtx(context);
        return result;
    case COMPRESSION_LZ4:
        return LZ4F_compressFrame(to, PACKED_MAX, bytes, size, &preferences);
    default:
        memcpy(to, bytes, size);
        return size;
    }
}

static int file_of(const uint8_t *bytes, size_t size)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    assert_int_equal(pwrite(fd, bytes, size, 0), size);
    return fd;
}

/* Expand and compare: is it `size` bytes of the content? */
static bool expands(Compression compression, size_t packed_size, uint64_t limit, uint64_t *size)
{
    static uint8_t expanded[CONTENT_SIZE];
    int from = file_of(packed, packed_size);
    int to = file_of(NULL, 0);
    bool result =
        compressed_expand(compression, &(FileRange){from, "archive/file", 0},
                          &(FileRange){to, "file", 0}, limit, size, &error);
    struct stat status;

    assert_int_equal(fstat(to, &status), 0);
    assert_true((uint64_t) status.st_size <= limit);
    if (result)
    {
        assert_int_equal(status.st_size, *size);
        assert_int_equal(pread(to, expanded, sizeof(expanded), 0), *size);
        assert_memory_equal(expanded, content, *size);
    }
    close(from);
    close(to);
    return result;
}

static int set_up(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t) (i < CONTENT_SIZE / 2 ? (i * i) >> 7 : 0);
    return 0;
}

static void test_each_form_is_expanded(void **state)
{
    static const size_t sizes[] = {0, 1, 65536, 131072, 131073, CONTENT_SIZE};

    (void) state;
    for (Compression compression = 0; compression < COMPRESSION_COUNT; compression++)
    {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        {
            size_t packed_size = pack(compression, content, sizes[i], packed);
            uint64_t size;

            if (!expands(compression, packed_size, CONTENT_SIZE, &size))
                fail_msg("%s", error.message);
            assert_int_equal(size, sizes[i]);
        }
    }
    assert_string_equal(compression_suffix(COMPRESSION_NONE), "");
    assert_string_equal(compression_suffix(COMPRESSION_GZIP), ".gz");
    assert_string_equal(compression_suffix(COMPRESSION_ZSTD), ".zst");
    assert_string_equal(compression_suffix(COMPRESSION_LZ4), ".lz4");
}

static void test_several_members_are_one_file(void **state)
{
    (void) state;
    for (Compression compression = 0; compression < COMPRESSION_COUNT; compression++)
    {
        size_t packed_size = pack(compression, content, 100000, packed);
        uint64_t size;

        packed_size += pack(compression, content + 100000, 150000, packed + packed_size);
        assert_true(expands(compression, packed_size, CONTENT_SIZE, &size));
        assert_int_equal(size, 250000);
    }
}

static void test_what_ends_early_is_an_error(void **state)
{
    (void) state;
    for (Compression compression = COMPRESSION_GZIP; compression < COMPRESSION_COUNT; compression++)
    {
        size_t packed_size = pack(compression, content, 3000, packed);
        uint64_t size;

        for (size_t prefix = 0; prefix < packed_size; prefix++)
        {
            assert_false(expands(compression, prefix, CONTENT_SIZE, &size));
            assert_string_equal(error.message, "compressed file \"archive/file\" ends early");
        }
    }
}

/* The checksums find what the methods do not. */
static void test_a_changed_byte_is_found(void **state)
{
    (void) state;
    for (Compression compression = COMPRESSION_GZIP; compression < COMPRESSION_COUNT; compression++)
    {
        size_t packed_size = pack(compression, content, 3000, packed);
        size_t found = 0;
        uint64_t size;

        for (size_t i = 0; i < packed_size; i++)
        {
            packed[i] ^= 0x55;
            /* Some bytes of gzip's header mean nothing; all others change content or checksum. */
            if (!expands(compression, packed_size, CONTENT_SIZE, &size))
                found++;
            packed[i] ^= 0x55;
        }
        assert_true(found >= packed_size - 6);
    }
    pack(COMPRESSION_GZIP, content, 3000, packed);
    packed[0] = 'x';
    uint64_t size;
    assert_false(expands(COMPRESSION_GZIP, 100, CONTENT_SIZE, &size));
    assert_string_equal(error.message,
                        "compressed file \"archive/file\" is damaged: incorrect header check");
}

static void test_what_stands_behind_is_an_error(void **state)
{
    (void) state;
    for (Compression compression = COMPRESSION_GZIP; compression < COMPRESSION_COUNT; compression++)
    {
        size_t packed_size = pack(compression, content, 3000, packed);
        uint64_t size;

        memset(packed + packed_size, 'x', 100);
        assert_false(expands(compression, packed_size + 100, CONTENT_SIZE, &size));
        assert_non_null(strstr(error.message, "compressed file \"archive/file\" is damaged: "));
    }
}

/* A little file may hold gigabytes. */
static void test_there_is_a_limit(void **state)
{
    (void) state;
    for (Compression compression = 0; compression < COMPRESSION_COUNT; compression++)
    {
        size_t packed_size = pack(compression, content, CONTENT_SIZE, packed);
        uint64_t size;

        assert_true(expands(compression, packed_size, CONTENT_SIZE, &size));
        assert_false(expands(compression, packed_size, CONTENT_SIZE - 1, &size));
        assert_string_equal(error.message, "file \"archive/file\" holds more than 299999 bytes");
        assert_false(expands(compression, packed_size, 1000, &size));
        assert_true(size <= 1000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_form_is_expanded),
        cmocka_unit_test(test_several_members_are_one_file),
        cmocka_unit_test(test_what_ends_early_is_an_error),
        cmocka_unit_test(test_a_changed_byte_is_found),
        cmocka_unit_test(test_what_stands_behind_is_an_error),
        cmocka_unit_test(test_there_is_a_limit),
    };

    return cmocka_run_group_tests(tests, set_up, NULL);
}
