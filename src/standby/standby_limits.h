/*
 * Limits that must be at least as high on a standby as what it replays needs.
 *
 * A hot standby: connections, processes, prepared transactions, locks. They size the memory in
 * which replay tracks the source's transactions. A server does not start if its own limit is lower
 * than the one in pg_control (CheckRequiredParameterValues, access/transam/xlog.c, from 15 on
 * xlogrecovery.c).
 *
 * Any standby: what the server loads from its files before recovery, for each of which it needs
 * room or stops. Replication origins (StartupReplicationOrigin, replication/logical/origin.c; rule
 * S22); prepared transactions from 10 on (restoreTwoPhaseData, access/transam/twophase.c), and
 * slots, which are the source's up to 10 (StartupReplicationSlots, replication/slot.c; rule S23).
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
    LowLimit items[LIMITS_MAX + 1];
    size_t count;
    LowLimit unknown[LIMITS_MAX + 1]; /* limits that a standby needs higher than their defaults, and
                                         whose values are not known: `configured` is the default */
    size_t unknown_count;
} LowLimits;

/* The limits in this pg_control, which a hot standby needs. */
NeededLimits standby_limits_of(const Control *control);

/* Raise each number of *needed to that in *more if the latter is higher. Returns true if it raised
 * any. */
bool standby_limits_raise(const NeededLimits *more, NeededLimits *needed);

/* True if these settings have hot_standby on. */
bool standby_is_hot(const Version *version, const Settings *settings);

/*
 * Find the limits in these settings that are too low for a standby. With hot_standby off only those
 * count that any standby needs. A limit that is not set has its default. It counts as unknown if a
 * configuration file could not be read, or was not found.
 */
void standby_limits_find(const Version *version, const Settings *settings,
                         const NeededLimits *needed, LowLimits *low);

/* Append "NAME (CONFIGURED, needed: NEEDED), ..." */
void standby_limits_append(const LowLimits *low, Buffer *text);

/* Print that -R writes these limits; nothing if the list is empty. */
void standby_limits_log(const LowLimits *low);

#endif
