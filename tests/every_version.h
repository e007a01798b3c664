/*
 * Every row of format/versions.c: they have ascending major numbers, from 10 on without a gap.
 */
#ifndef TESTS_EVERY_VERSION_H
#define TESTS_EVERY_VERSION_H

#include "format/versions.h"

#include <stddef.h>

static inline int version_count(void)
{
    int count = 0;

    while (version_of_major(10 + count) != NULL)
        count++;
    return count;
}

/* Any number chooses one. */
static inline const Version *version_by_number(unsigned number)
{
    return version_of_major(10 + (int) (number % (unsigned) version_count()));
}

#endif
