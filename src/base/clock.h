/*
 * How long something takes, by a clock that never goes back, whatever is done to the time of day;
 * and the time of day.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

#define EPOCH_2000_SECONDS 946684800 /* 2000-01-01 00:00:00 UTC since 1970 */

/* Both since the same instant, which means nothing. */
int64_t clock_nanoseconds(void);
double clock_seconds(void);

/* Seconds that are left of patience_seconds, which several waits share, after a wait that began at
 * `begin`. */
double clock_patience_left(double patience_seconds, double begin);

/* The time of day, in microseconds since 2000-01-01 UTC, as the server counts. */
int64_t clock_timestamp(void);

/*
 * Microseconds since 2000 as seconds since 1970; *microseconds: the rest, never negative. No 64
 * bits of microseconds make a year that struct tm could not hold.
 */
time_t clock_unix_time(int64_t timestamp, int *microseconds);

#endif
