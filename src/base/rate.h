/*
 * A limit of bytes per second for all threads together.
 */
#ifndef BASE_RATE_H
#define BASE_RATE_H

#include "base/error.h"

typedef struct Rate Rate;

/*
 * Create a limit; NULL for 0, no limit, which all functions accept. Unused bytes expire: only those
 * of the last tenth of a second can be used later, so that sleeping too long does not lower the
 * rate.
 */
Rate *rate_create(uint64_t bytes_per_second);
void rate_free(Rate *rate);

/* The limit in bytes per second; 0 without a limit. */
uint64_t rate_limit(const Rate *rate);

/*
 * The number of bytes to move at once: less than a hundredth of a second's bytes, a multiple of 8
 * kB, but at least 8 kB; never more than `most`, which is the result without a limit.
 */
uint32_t rate_piece(const Rate *rate, uint32_t most);

/*
 * Count bytes that have arrived; now is clock_seconds(). Returns the seconds that the caller should
 * wait before it requests more; does not wait.
 */
double rate_count(Rate *rate, uint64_t bytes, double now);

/* Count bytes that have arrived, and wait if necessary. Fails when a stop is requested. */
MUST_CHECK bool rate_take(Rate *rate, uint64_t bytes, Error *error);

#endif
