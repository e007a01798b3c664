/*
 * The replication slots in the target's directory. A rewind removes them; without a rewind they
 * stay. On a standby, a slot from its time as a primary keeps WAL that no receiver asks for. If
 * pg_control says that the target was a primary, all its slots are from that time. If it says that
 * the target was a standby, only failover slots show that they were created on a primary.
 */
#ifndef STANDBY_TARGET_SLOTS_H
#define STANDBY_TARGET_SLOTS_H

#include "base/advice.h"
#include "base/text_lines.h"
#include "target/target.h"

typedef struct TargetSlot
{
    const char *name;
    const char *type;   /* "physical" or "logical"; NULL if not known */
    bool failover;      /* failover slot (17+): a standby with sync_replication_slots has it, too */
    bool of_primary;    /* slot from the target's time as a primary: any slot, if the target was a
                           primary until now; of a standby, a failover slot that was not
                           synchronized, or the slot for conflict detection */
    bool for_conflicts; /* slot for conflict detection (19+), "pg_conflict_detection": only a
                           server that is no standby creates and drops it */
} TargetSlot;

typedef struct TargetSlots
{
    TargetSlot *slots; /* ascending by name */
    size_t count;
} TargetSlots;

/* Replication slots that the server loads at its start. With some settings it does not start then
 * (RestoreSlotFromDisk, replication/slot.c; rule S33). */
typedef struct LoadedSlots
{
    const char *logical, *physical; /* the first name of each kind by alphabet; NULL: none */
    bool droppable;                 /* --drop-slots would drop all logical ones; without any, all
                                       physical ones */
} LoadedSlots;

/* Facts in the state file of a slot. */
typedef struct SlotState
{
    const char *type; /* "physical" or "logical" */
    bool persistent;  /* false for a temporary slot, and for one that is being created */
    bool failover;    /* failover slot (17+) */
    bool synced;      /* synchronized from another server (17+). A failover slot that is not was
                         created by a primary (ReplicationSlotCreate, replication/slot.c). */
} SlotState;

#define SLOT_STATE_SIZE_MAX (64 * 1024)

/* True if a server had begun to drop or to create the slot with this directory: the next one
 * removes it when it starts. */
bool slot_is_partial(const char *directory_name);

/* Add a slot, if its type is known. droppable: --drop-slots would drop it. */
void loaded_slots_add(LoadedSlots *loaded, const char *name, const char *type, bool droppable);

/* Parse the size bytes of pg_replslot/NAME/state. Returns false if they are not a slot's state. */
bool slot_state_parse(const void *bytes, size_t size, SlotState *state);

/* Append the statement that drops or creates a slot, with its semicolon. The name is quoted, since
 * the name of a directory can be anything. */
void slot_append_drop(Buffer *text, const char *name);
void slot_append_create(Buffer *text, const Version *version, const char *name);

bool target_slot_is_logical(const TargetSlot *slot); /* false if the type is not known */

/* Add the slot's name, with its type if that is known: "s1 (logical)". */
void target_slot_list(TextList *list, const TargetSlot *slot);

/* Advise on slots from the target's time as a primary, which stay if no rewind is needed. */
void target_slots_advise(const TargetSlots *slots, const Version *version, AdviceList *list);

/* Append the statements that drop the slots from the target's time as a primary, with separator
 * between them; none for the slot for conflict detection, which no statement drops. */
void target_slots_append_drops(const TargetSlots *slots, const char *separator, Buffer *text);

/* Read the slots from disk, without those that are not persistent; a running server may change
 * them. Strings are in the arena. */
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
