#include "base/clock.h"

#include <time.h>

#define MICROSECONDS 1000000

int64_t clock_nanoseconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000000 + now.tv_nsec;
}

double clock_seconds(void)
{
    return (double) clock_nanoseconds() / 1e9;
}

double clock_patience_left(double patience_seconds, double begin)
{
    const double left = patience_seconds - (clock_seconds() - begin);

    return left > 0 ? left : 0;
}

int64_t clock_timestamp(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return ((int64_t) now.tv_sec - EPOCH_2000_SECONDS) * MICROSECONDS + now.tv_nsec / 1000;
}

time_t clock_unix_time(int64_t timestamp, int *microseconds)
{
    int64_t seconds = timestamp / MICROSECONDS;
    int64_t rest = timestamp % MICROSECONDS;

    if (rest < 0)
    {
        rest += MICROSECONDS;
        seconds--;
    }
    *microseconds = (int) rest;
    return (time_t) (seconds + EPOCH_2000_SECONDS);
}
