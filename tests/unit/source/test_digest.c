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

static void test_each_is_measured(void **state)
{
    (void) state;
    for (DigestKind kind = DIGEST_MD5; kind < DIGEST_KINDS; kind++)
        assert_in_range(digest_microseconds(kind), 1, 10 * 1000 * 1000);
}

static DigestKind chosen(int64_t md5_here, int64_t sha256_here, int64_t md5_there,
                         int64_t sha256_there)
{
    const int64_t here[] = {0, md5_here, sha256_here};
    const int64_t there[] = {0, md5_there, sha256_there};

    return digest_choose(here, there);
}

/* Microseconds as measured: SHA-256 by the processor's instructions, or without them. */
static void test_the_slower_side_decides(void **state)
{
    (void) state;
    assert_int_equal(chosen(350, 150, 350, 150), DIGEST_SHA256);
    assert_int_equal(chosen(350, 700, 350, 700), DIGEST_MD5);
    assert_int_equal(chosen(350, 150, 350, 700), DIGEST_MD5); /* the source has none */
    assert_int_equal(chosen(350, 700, 350, 150), DIGEST_MD5); /* we have none */
    assert_int_equal(chosen(350, 150, 900, 700), DIGEST_SHA256);
    assert_int_equal(chosen(INT64_MAX, 700, 350, 700), DIGEST_SHA256); /* the library refuses it */
    assert_int_equal(chosen(350, 350, 350, 350), DIGEST_MD5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_digests),
        cmocka_unit_test(test_each_is_measured),
        cmocka_unit_test(test_the_slower_side_decides),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
