#include "base/clock.h"

#include <time.h>

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
    return ((int64_t) now.tv_sec - EPOCH_2000_SECONDS) * 1000000 + now.tv_nsec / 1000;
}
