#include "standby/target_slots.h"

#include "io/dir.h"
#include "io/file.h"

#include <string.h>
#include <sys/stat.h>

#define NAMES_SHOWN_MAX 10

#define SLOTS_DIRECTORY "pg_replslot"
#define DROPPED_SUFFIX ".tmp" /* what a server has begun to drop, or to make */
#define STATE_MAGIC 0x1051CA1 /* SLOT_MAGIC, replication/slot.c */
#define STATE_VERSION_OFFSET 8
#define STATE_DATABASE_OFFSET 80 /* in ReplicationSlotOnDisk, replication/slot.c */
#define STATE_PERSISTENCY_OFFSET 84
#define STATE_VERSION 5 /* SLOT_VERSION, 17 to 19: synced and failover stand there */
#define STATE_SYNCED_OFFSET 193
#define STATE_FAILOVER_OFFSET 194

#define CONFLICT_SLOT "pg_conflict_detection" /* CONFLICT_DETECTION_SLOT, replication/slot.h */

bool slot_is_partial(const char *directory_name)
{
    return text_ends_with(directory_name, DROPPED_SUFFIX);
}

void loaded_slots_add(LoadedSlots *loaded, const char *name, const char *type, bool droppable)
{
    const bool is_logical = type != NULL && strcmp(type, "logical") == 0;
    const char **first = is_logical ? &loaded->logical : &loaded->physical;

    if (type == NULL)
        return;
    if (is_logical || loaded->logical == NULL)
        loaded->droppable = droppable && (*first == NULL || loaded->droppable);
    if (*first == NULL || strcmp(name, *first) < 0)
        *first = name;
}

bool slot_state_parse(const void *bytes, size_t size, SlotState *state)
{
    const uint8_t *at = bytes;

    *state = (SlotState){0};
    if (size < STATE_PERSISTENCY_OFFSET + sizeof(uint32_t) || load_u32(at) != STATE_MAGIC)
        return false;
    /* Only a logical slot belongs to a database. */
    state->type = load_u32(at + STATE_DATABASE_OFFSET) == 0 ? "physical" : "logical";
    state->persistent = load_u32(at + STATE_PERSISTENCY_OFFSET) == 0; /* RS_PERSISTENT */
    if (size > STATE_FAILOVER_OFFSET && load_u32(at + STATE_VERSION_OFFSET) == STATE_VERSION)
    {
        state->synced = at[STATE_SYNCED_OFFSET] != 0;
        state->failover = at[STATE_FAILOVER_OFFSET] != 0;
    }
    return true;
}

/* The path of a slot's directory, of a file in it, or of the directory that is being dropped. */
static const char *slot_path(Buffer *path, const Target *target, const char *name,
                             const char *suffix)
{
    buffer_clear(path);
    buffer_printf(path, "%s/" SLOTS_DIRECTORY "/%s%s", target->directory, name, suffix);
    return buffer_string(path);
}

/* Read the state of the slot `name`; a state that cannot be read leaves all as it is. */
static void read_state(const Target *target, const char *name, Buffer *path, SlotState *state)
{
    AUTO_BUFFER Buffer bytes = {0};
    bool found;

    if (file_read_all(slot_path(path, target, name, "/state"), SLOT_STATE_SIZE_MAX, &bytes, &found,
                      NULL) &&
        found)
        (void) slot_state_parse(bytes.bytes, bytes.size, state);
}

bool target_slots_read(const Target *target, Arena *arena, TargetSlots *slots, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    const char **names;
    struct stat status;
    bool found;

    *slots = (TargetSlots){0};
    if (!dir_list(path_in(&path, target->directory, SLOTS_DIRECTORY), arena, &names, &found, error))
        return false;
    slots->slots = arena_allocate(arena, (count_words(names) + 1) * sizeof(*slots->slots));
    for (; *names != NULL; names++)
    {
        const bool for_conflicts =
            target->control.version->has_conflict_slot && strcmp(*names, CONFLICT_SLOT) == 0;
        SlotState state = {0};

        if (slot_is_partial(*names))
            continue;
        if (!file_lstat(slot_path(&path, target, *names, ""), &status, &found, error))
            return false;
        if (!found || !S_ISDIR(status.st_mode))
            continue;
        read_state(target, *names, &path, &state);
        /* Rule S26: a server removes a slot that is not persistent when it starts. */
        if (state.type != NULL && !state.persistent)
            continue;
        slots->slots[slots->count++] =
            (TargetSlot){.name = *names,
                         .type = state.type,
                         .failover = state.failover,
                         .of_primary = target_was_primary(target) || for_conflicts ||
                                       (state.failover && !state.synced),
                         .for_conflicts = for_conflicts};
    }
    return true;
}

bool target_slots_drop(const Target *target, const TargetSlots *slots, Error *error)
{
    AUTO_BUFFER Buffer from = {0}, to = {0};

    for (size_t i = 0; i < slots->count; i++)
    {
        const char *path = slot_path(&from, target, slots->slots[i].name, "");
        const char *dropped = slot_path(&to, target, slots->slots[i].name, DROPPED_SUFFIX);

        if (slots->slots[i].of_primary &&
            (!dir_remove_tree(dropped, error) || /* left by a server or by us */
             !durable_rename(path, dropped, error) || !dir_remove_tree(dropped, error) ||
             !durable_sync_parent(dropped, error)))
            return false;
    }
    return true;
}

bool target_slot_is_logical(const TargetSlot *slot)
{
    return slot->type != NULL && strcmp(slot->type, "logical") == 0;
}

void target_slot_list(TextList *list, const TargetSlot *slot)
{
    text_list_add(list, slot->type != NULL ? "%s (%s)" : "%s", slot->name, slot->type);
}

void slot_append_drop(Buffer *text, const char *name)
{
    buffer_append_string(text, "SELECT ");
    buffer_append_call(text, "pg_drop_replication_slot", name, "name", "");
    buffer_append_u8(text, ';');
}

void slot_append_create(Buffer *text, const Version *version, const char *name)
{
    buffer_append_string(text, "SELECT ");
    buffer_append_call(text, "pg_create_physical_replication_slot", name, "name",
                       version->sql.slot_reserves ? ", true" : "");
    buffer_append_u8(text, ';');
}

void target_slots_append_drops(const TargetSlots *slots, const char *separator, Buffer *text)
{
    const char *between = "";

    for (size_t i = 0; i < slots->count; i++)
    {
        if (!slots->slots[i].of_primary || slots->slots[i].for_conflicts)
            continue;
        buffer_append_string(text, between);
        slot_append_drop(text, slots->slots[i].name);
        between = separator;
    }
}

/* Rule S26. Its xmin becomes part of hot_standby_feedback (ComputeXidHorizons,
 * storage/ipc/procarray.c), and only the launcher may acquire it (ReplicationSlotAcquire,
 * replication/slot.c), which does not run on a standby. */
static void advise_on_conflict_slot(AdviceList *list)
{
    advice_add(list,
               (Advice){.id = "slots",
                        .severity = ADVICE_WARNING,
                        .when = ADVICE_AFTER_START,
                        .remedy = "Stop the server, and add --drop-slots to -R or --rejoin: no "
                                  "statement drops this slot."},
               "Where no rewind is needed the target keeps the replication slot \"%s\" of its time "
               "as a primary with subscriptions. It keeps no WAL, but with hot_standby_feedback "
               "the source removes no dead rows until it is dropped.",
               CONFLICT_SLOT);
}

void target_slots_advise(const TargetSlots *slots, const Version *version, AdviceList *list)
{
    AUTO_BUFFER Buffer names = {0}, remedy = {0};
    TextList shown = {&names, ", ", NAMES_SHOWN_MAX, 0};
    bool logical = false;

    for (size_t i = 0; i < slots->count; i++)
    {
        const TargetSlot *slot = &slots->slots[i];

        if (slot->for_conflicts)
            advise_on_conflict_slot(list);
        else if (slot->of_primary)
        {
            logical = logical || target_slot_is_logical(slot);
            target_slot_list(&shown, slot);
        }
    }
    text_list_end(&shown);
    if (shown.count == 0)
        return;
    buffer_append_string(&remedy,
                         "Add --drop-slots to -R or --rejoin. Or when the server runs, drop "
                         "those that are not used there:\n");
    target_slots_append_drops(slots, "\n", &remedy);
    advice_add(list,
               (Advice){.id = "slots",
                        .severity = ADVICE_WARNING,
                        .when = ADVICE_AFTER_START,
                        .remedy = buffer_string(&remedy)},
               "Where no rewind is needed the target keeps the replication slots of its time as a "
               "primary: %s. On a standby each keeps WAL until it is dropped%s.",
               buffer_string(&names),
               logical && version->synchronizes_slots
                   ? ", and a logical one ends the synchronization of slots if the source has a "
                     "slot of the same name to be synchronized"
                   : "");
}
