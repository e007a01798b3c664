/*
 * Limits that must be at least as high on a hot standby as on its source: connections, processes,
 * prepared transactions, locks. They size the memory in which replay tracks the source's
 * transactions. A server does not start if its own limit is lower than the one in pg_control
 * (CheckRequiredParameterValues, access/transam/xlog.c, from 15 on xlogrecovery.c).
 */
#ifndef STANDBY_STANDBY_LIMITS_H
#define STANDBY_STANDBY_LIMITS_H

#include "format/control.h"
#include "format/settings.h"

/* A limit of a configuration that is too low. */
typedef struct LowLimit
{
    const char *name;
    uint32_t configured, needed;
} LowLimit;

typedef struct LowLimits
{
    LowLimit items[LIMITS_MAX];
    size_t count;
} LowLimits;

/* Raise each value of `needed` to that in `limits` if the latter is higher. Both arrays have an
 * item for each limit of the version. */
void standby_limits_raise(const Version *version, const uint32_t *limits, uint32_t *needed);

/*
 * Find the limits in these settings that are too low for a hot standby; none with hot_standby off.
 * A limit that is not set has its default. It counts as unknown, and is not listed, if a
 * configuration file could not be read.
 */
void standby_limits_find(const Version *version, const Settings *settings, const uint32_t *needed,
                         LowLimits *low);

/* Append "NAME (CONFIGURED, needed: NEEDED), ..." */
void standby_limits_append(const LowLimits *low, Buffer *text);

/* Print that -R writes these limits; nothing if the list is empty. */
void standby_limits_log(const LowLimits *low);

#endif
