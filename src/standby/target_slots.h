/*
 * The replication slots in the target's directory. A rewind removes them, but where none is
 * required they stay: on a standby a slot from its time as a primary keeps WAL that no
 * receiver asks for.
 */
#ifndef STANDBY_TARGET_SLOTS_H
#define STANDBY_TARGET_SLOTS_H

#include "target/target.h"

typedef struct TargetSlot
{
    const char *name;
    const char *type; /* physical or logical; NULL: not known */
} TargetSlot;

typedef struct TargetSlots
{
    TargetSlot *slots; /* ascending by name */
    size_t count;
} TargetSlots;

/* "physical" or "logical", by pg_replslot/NAME/state; NULL where this is no slot's state. */
const char *slot_state_type(const void *state, size_t size);

/* The slots as they are on the disk, which a running server may change. In the arena. */
MUST_CHECK bool target_slots_read(const Target *target, Arena *arena, TargetSlots *slots,
                                  Error *error);

/*
 * Drop them, as a server does (ReplicationSlotDropPtr, replication/slot.c): each is renamed to
 * NAME.tmp, which a server that starts takes for no slot and removes. So each is whole or dropped,
 * whenever this ends. Only for a directory that no server can be started in (interlock.h).
 */
MUST_CHECK bool target_slots_drop(const Target *target, const TargetSlots *slots, Error *error);

#endif
