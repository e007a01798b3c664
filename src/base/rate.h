/*
 * A limit of bytes per second, over all threads.
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include "base/error.h"

typedef struct Rate Rate;

/*
 * No limit: NULL, which all functions take. Bytes that were not used cannot be used later, except
 * those of the last tenth of a second, so that waits that last too long do not lower the rate.
 */
Rate *rate_create(uint64_t bytes_per_second);
void rate_free(Rate *rate);

/* Bytes per second; 0: no limit. */
uint64_t rate_limit(const Rate *rate);

/*
 * How many bytes to move at once: less than a hundredth of what a second allows, in blocks of
 * 8 kB, but at least one of these and at most `most`, which is what there is without a limit.
 */
uint32_t rate_piece(const Rate *rate, uint32_t most);

/*
 * Count bytes that have come, at a time in seconds of base/clock. Returns how many seconds the
 * caller should wait before it asks for more.
 */
double rate_count(Rate *rate, uint64_t bytes, double now);

/* Count bytes that have come, and wait as long as need be. Fails when a stop is requested. */
MUST_CHECK bool rate_take(Rate *rate, uint64_t bytes, Error *error);

#endif
