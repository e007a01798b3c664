/*
 * How long something takes: a clock that never goes back, whatever is done to the time of day.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

/* Both since the same instant, which means nothing. */
int64_t clock_nanoseconds(void);
double clock_seconds(void);

#endif
