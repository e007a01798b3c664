/*
 * Two clocks: a monotonic one for durations, which no change of the system time affects, and the
 * time of day.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define EPOCH_2000_SECONDS 946684800 /* 2000-01-01 00:00:00 UTC since 1970 */

/* Monotonic time since an arbitrary instant, the same for both functions. */
int64_t clock_nanoseconds(void);
double clock_seconds(void);

/* The seconds of patience_seconds that are left after a wait that began at `begin` (clock_seconds);
 * at least 0. Several waits share one patience. */
double clock_patience_left(double patience_seconds, double begin);

/* The time of day in microseconds since 2000-01-01 UTC, PostgreSQL's TimestampTz. */
int64_t clock_timestamp(void);

/*
 * Convert microseconds since 2000 to seconds since 1970; *microseconds becomes the remainder, 0 to
 * 999999. Every timestamp of 64 bits is within the years of struct tm.
 */
time_t clock_unix_time(int64_t timestamp, int *microseconds);

#endif
