/*
 * Every row of format/versions.c.
 */
#ifndef TESTS_EVERY_VERSION_H
#define TESTS_EVERY_VERSION_H

#include "format/versions.h"

#include <stddef.h>

static inline const Version *version_of_major(int major)
{
    return version_of_server_number(major * 10000);
}

/* In tablespaces of a server of that release. */
static inline VersionDirectory directory_of_release(const Version *version)
{
    return version_directory(version, version->catalog_version);
}

static inline int version_count(void)
{
    int count = 0;

    while (version_at((size_t) count) != NULL)
        count++;
    return count;
}

/* Any number chooses one: 0 is 10, as when the corpora of the fuzz targets began, and the older
 * ones come behind the newest. */
static inline const Version *version_by_number(unsigned number)
{
    const unsigned before_10 = 4;

    return version_at((number + before_10) % (unsigned) version_count());
}

#endif
