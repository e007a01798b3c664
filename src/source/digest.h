/*
 * Digests, to compare blocks and pieces of files that the source's server does not send: the server
 * computes them there, this program here.
 *
 * SHA-256 is cut to the length of MD5: 128 bits of it are as good against accidents, and half the
 * bytes cross the link.
 */
#ifndef SOURCE_DIGEST_H
#define SOURCE_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum DigestKind
{
    DIGEST_NONE, /* the source computes none, or its bytes are at hand */
    DIGEST_MD5,
    DIGEST_SHA256,
    DIGEST_KINDS
} DigestKind;

#define DIGEST_SIZE 16

/* Of local bytes. False: DIGEST_NONE, or the library refuses it (FIPS). */
bool digest_bytes(DigestKind kind, const void *bytes, size_t size, uint8_t digest[DIGEST_SIZE]);

/* For messages: "MD5". */
const char *digest_name(DigestKind kind);

/*
 * How long each takes for a sample of DIGEST_SAMPLE_SIZE bytes, in microseconds; the least of
 * DIGEST_SAMPLES times, since whatever else runs only makes it longer. That of DIGEST_NONE is not
 * set.
 */
#define DIGEST_SAMPLE_SIZE (256 * 1024)
#define DIGEST_SAMPLES 8
typedef struct DigestTimes
{
    int64_t microseconds[DIGEST_KINDS];
} DigestTimes;

/* Here. A digest that the library refuses takes INT64_MAX. */
void digest_measure(DigestTimes *times);

/* MD5 or SHA-256: the one with which the slower side is the faster. */
DigestKind digest_choose(const DigestTimes *here, const DigestTimes *source);

#endif
