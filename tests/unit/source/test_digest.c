/* Rule K7. */
#include "source/source.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void test_known_digests(void **state)
{
    /* RFC 1321, appendix A.5; FIPS 180-4's SHA-256 of nothing, its first half */
    static const uint8_t md5_of_nothing[] = {0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0x00, 0xb2, 0x04,
                                             0xe9, 0x80, 0x09, 0x98, 0xec, 0xf8, 0x42, 0x7e};
    static const uint8_t sha256_of_nothing[] = {0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14,
                                                0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24};
    uint8_t digest[DIGEST_SIZE];

    (void) state;
    assert_true(digest_bytes(DIGEST_MD5, "", 0, digest));
    assert_memory_equal(digest, md5_of_nothing, DIGEST_SIZE);
    assert_true(digest_bytes(DIGEST_SHA256, "", 0, digest));
    assert_memory_equal(digest, sha256_of_nothing, DIGEST_SIZE);
    assert_false(digest_bytes(DIGEST_NONE, "", 0, digest));
}

static void test_version_and_processor_decide(void **state)
{
    const struct
    {
        int major;
        bool has_instructions;
        DigestKind preferred;
    } rows[] = {
        {90600, true, DIGEST_MD5},   {100000, true, DIGEST_MD5},    {110000, false, DIGEST_MD5},
        {180000, false, DIGEST_MD5}, {110000, true, DIGEST_SHA256}, {180000, true, DIGEST_SHA256},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const Version *version = version_of_server_number(rows[i].major);

        assert_non_null(version);
        assert_int_equal(digest_preferred(version, rows[i].has_instructions), rows[i].preferred);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_digests),
        cmocka_unit_test(test_version_and_processor_decide),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
