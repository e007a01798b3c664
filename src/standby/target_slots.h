/*
 * The replication slots in the target's directory. A rewind removes them, but where none is
 * required they stay: on a standby a slot from its time as a primary keeps WAL that no
 * receiver asks for. pg_control tells of a target that was a primary until now; a standby that was
 * one before is known by failover slots alone.
 */
#ifndef STANDBY_TARGET_SLOTS_H
#define STANDBY_TARGET_SLOTS_H

#include "base/advice.h"
#include "target/target.h"

typedef struct TargetSlot
{
    const char *name;
    const char *type; /* physical or logical; NULL: not known */
    bool of_primary;  /* the target has it from its time as a primary: each one of a target that was
                         a primary; of a standby a failover slot that was not synchronized */
} TargetSlot;

typedef struct TargetSlots
{
    TargetSlot *slots; /* ascending by name */
    size_t count;
} TargetSlots;

/* True for a failover slot that no standby has synchronized, by pg_replslot/NAME/state (17+). Only
 * a primary can make it (ReplicationSlotCreate, replication/slot.c). */
bool slot_state_is_of_primary(const void *state, size_t size);

/* Append the statement that drops a slot, or makes one, with its semicolon. The name of a slot is
 * that of a directory, which can be anything. */
void slot_append_drop(Buffer *text, const char *name);
void slot_append_create(Buffer *text, const Version *version, const char *name);

/* Advise on those of the target's time as a primary, which stay where no rewind is needed. */
void target_slots_advise(const TargetSlots *slots, const Version *version, AdviceList *list);

/* Append the statements for all of the target's time as a primary, with separator between them. */
void target_slots_append_drops(const TargetSlots *slots, const char *separator, Buffer *text);

/* "physical" or "logical", by pg_replslot/NAME/state; NULL where this is no slot's state. */
const char *slot_state_type(const void *state, size_t size);

/* The slots as they are on the disk, which a running server may change. In the arena. */
MUST_CHECK bool target_slots_read(const Target *target, Arena *arena, TargetSlots *slots,
                                  Error *error);

/*
 * Drop those of the target's time as a primary, as a server does (ReplicationSlotDropPtr,
 * replication/slot.c): each is renamed to NAME.tmp, which a server that starts takes for no slot
 * and removes. So each is whole or dropped, whenever this ends. Only for a directory that no server
 * can be started in (interlock.h).
 */
MUST_CHECK bool target_slots_drop(const Target *target, const TargetSlots *slots, Error *error);

#endif
