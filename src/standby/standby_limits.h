/*
 * The limits that a hot standby must have at least as high as its source: connections, processes,
 * prepared transactions, locks. Replay keeps track of the source's transactions in memory that they
 * size. A server that finds its own lower than pg_control says does not start
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

/* Raise each of `needed`, as many as the version has, to those of `limits`. */
void standby_limits_raise(const Version *version, const uint32_t *limits, uint32_t *needed);

/*
 * Find the limits that a server with these settings would lack as a hot standby. None with
 * hot_standby off. A limit that is not set has its default, unless a file could not be read: then
 * it is not known, and not listed.
 */
void standby_limits_find(const Version *version, const Settings *settings, const uint32_t *needed,
                         LowLimits *low);

/* Append "NAME (CONFIGURED, needed: NEEDED), ..." */
void standby_limits_append(const LowLimits *low, Buffer *text);

/* Print that -R writes them, if there are any. */
void standby_limits_tell(const LowLimits *low);

#endif
