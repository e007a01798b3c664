/*
 * The replication slots in the target's directory. A rewind removes them; without a rewind they
 * stay. On a standby, a slot from its time as a primary keeps WAL that no receiver asks for. If
 * pg_control says that the target was a primary, all its slots are from that time. If it says that
 * the target was a standby, only failover slots show that they were created on a primary.
 */
#ifndef STANDBY_TARGET_SLOTS_H
#define STANDBY_TARGET_SLOTS_H

#include "base/advice.h"
#include "target/target.h"

typedef struct TargetSlot
{
    const char *name;
    const char *type; /* "physical" or "logical"; NULL if not known */
    bool of_primary;  /* slot from the target's time as a primary: any slot, if the target was a
                         primary until now; of a standby, a failover slot that was not
                         synchronized */
} TargetSlot;

typedef struct TargetSlots
{
    TargetSlot *slots; /* ascending by name */
    size_t count;
} TargetSlots;

/* True for a failover slot that was not synchronized from another server: only a primary can create
 * one (ReplicationSlotCreate, replication/slot.c). state: the size bytes of pg_replslot/NAME/state
 * (17+). */
bool slot_state_is_of_primary(const void *state, size_t size);

/* Append the statement that drops or creates a slot, with its semicolon. The name is quoted, since
 * the name of a directory can be anything. */
void slot_append_drop(Buffer *text, const char *name);
void slot_append_create(Buffer *text, const Version *version, const char *name);

/* Advise on slots from the target's time as a primary, which stay if no rewind is needed. */
void target_slots_advise(const TargetSlots *slots, const Version *version, AdviceList *list);

/* Append the statements that drop all slots from the target's time as a primary, with separator
 * between them. */
void target_slots_append_drops(const TargetSlots *slots, const char *separator, Buffer *text);

/* Type of a slot, "physical" or "logical". state: the size bytes of pg_replslot/NAME/state. NULL if
 * they are not a slot's state. */
const char *slot_state_type(const void *state, size_t size);

/* Read the slots from disk; a running server may change them. Strings are in the arena. */
MUST_CHECK bool target_slots_read(const Target *target, Arena *arena, TargetSlots *slots,
                                  Error *error);

/*
 * Drop the slots from the target's time as a primary, as a server does (ReplicationSlotDropPtr,
 * replication/slot.c): rename each to NAME.tmp, which a starting server ignores and removes. So
 * each slot is whole or dropped, even after a crash. Only for a directory in which no server can be
 * started (interlock.h).
 */
MUST_CHECK bool target_slots_drop(const Target *target, const TargetSlots *slots, Error *error);

#endif
