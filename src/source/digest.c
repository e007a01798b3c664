#include "source/digest.h"

#include "base/arena.h"
#include "base/clock.h"

#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

bool digest_bytes(DigestKind kind, const void *bytes, size_t size, uint8_t digest[DIGEST_SIZE])
{
    uint8_t whole[EVP_MAX_MD_SIZE];

    if (kind == DIGEST_NONE || EVP_Digest(bytes, size, whole, NULL,
                                          kind == DIGEST_MD5 ? EVP_md5() : EVP_sha256(), NULL) != 1)
        return false;
    memcpy(digest, whole, DIGEST_SIZE);
    return true;
}

const char *digest_name(DigestKind kind)
{
    static const char *const names[DIGEST_KINDS] = {"no digest", "MD5", "SHA-256"};

    return names[kind];
}

static int64_t measure_kind(DigestKind kind, const uint8_t *sample)
{
    int64_t least = INT64_MAX;

    for (int i = 0; i < DIGEST_SAMPLES; i++)
    {
        const int64_t begin = clock_nanoseconds();
        uint8_t digest[DIGEST_SIZE];
        int64_t microseconds;

        if (!digest_bytes(kind, sample, DIGEST_SAMPLE_SIZE, digest))
            return INT64_MAX;
        microseconds = (clock_nanoseconds() - begin) / 1000;
        least = microseconds < least ? microseconds : least;
    }
    return least;
}

void digest_measure(DigestTimes *times)
{
    uint8_t *sample = memory_allocate_zeroed(DIGEST_SAMPLE_SIZE, 1);

    for (DigestKind kind = DIGEST_MD5; kind < DIGEST_KINDS; kind++)
        times->microseconds[kind] = measure_kind(kind, sample);
    free(sample);
}

static int64_t of_the_slower_side(DigestKind kind, const DigestTimes *here,
                                  const DigestTimes *source)
{
    const int64_t a = here->microseconds[kind];
    const int64_t b = source->microseconds[kind];

    return a > b ? a : b;
}

DigestKind digest_choose(const DigestTimes *here, const DigestTimes *source)
{
    return of_the_slower_side(DIGEST_SHA256, here, source) <
                   of_the_slower_side(DIGEST_MD5, here, source)
               ? DIGEST_SHA256
               : DIGEST_MD5;
}
