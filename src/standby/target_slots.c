#include "standby/target_slots.h"

#include "base/text_lines.h"
#include "io/dir.h"
#include "io/file.h"

#include <string.h>
#include <sys/stat.h>

#define NAMES_SHOWN_MAX 10

#define SLOTS_DIRECTORY "pg_replslot"
#define DROPPED_SUFFIX ".tmp" /* what a server has begun to drop, or to make */
#define STATE_SIZE_MAX (64 * 1024)
#define STATE_MAGIC 0x1051CA1 /* SLOT_MAGIC, replication/slot.c */
#define STATE_VERSION_OFFSET 8
#define STATE_DATABASE_OFFSET 80 /* in ReplicationSlotOnDisk, replication/slot.c */
#define STATE_VERSION 5          /* SLOT_VERSION, 17 to 19: synced and failover stand there */
#define STATE_SYNCED_OFFSET 193
#define STATE_FAILOVER_OFFSET 194

/* Only a logical slot belongs to a database. */
const char *slot_state_type(const void *state, size_t size)
{
    const uint8_t *bytes = state;

    if (size < STATE_DATABASE_OFFSET + sizeof(uint32_t) || load_u32(bytes) != STATE_MAGIC)
        return NULL;
    return load_u32(bytes + STATE_DATABASE_OFFSET) == 0 ? "physical" : "logical";
}

bool slot_state_is_of_primary(const void *state, size_t size)
{
    const uint8_t *bytes = state;

    return slot_state_type(state, size) != NULL && size > STATE_FAILOVER_OFFSET &&
           load_u32(bytes + STATE_VERSION_OFFSET) == STATE_VERSION &&
           bytes[STATE_FAILOVER_OFFSET] != 0 && bytes[STATE_SYNCED_OFFSET] == 0;
}

/* The path of a slot's directory, of a file in it, or of the directory that is being dropped. */
static const char *slot_path(Buffer *path, const Target *target, const char *name,
                             const char *suffix)
{
    buffer_clear(path);
    buffer_printf(path, "%s/" SLOTS_DIRECTORY "/%s%s", target->directory, name, suffix);
    return buffer_string(path);
}

bool target_slots_read(const Target *target, Arena *arena, TargetSlots *slots, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, state = {0};
    const char **names;
    struct stat status;
    TargetSlot *slot;
    size_t count = 0;
    bool found;

    *slots = (TargetSlots){0};
    if (!dir_list(path_in(&path, target->directory, SLOTS_DIRECTORY), arena, &names, &found, error))
        return false;
    while (names[count] != NULL)
        count++;
    slots->slots = arena_allocate(arena, (count + 1) * sizeof(*slots->slots));
    for (; *names != NULL; names++)
    {
        if (text_ends_with(*names, DROPPED_SUFFIX))
            continue;
        if (!file_lstat(slot_path(&path, target, *names, ""), &status, &found, error))
            return false;
        if (!found || !S_ISDIR(status.st_mode))
            continue;
        slot = &slots->slots[slots->count++];
        *slot = (TargetSlot){.name = *names, .of_primary = target_was_primary(target)};
        buffer_clear(&state);
        /* A slot whose state cannot be read has no type. */
        if (!file_read_all(slot_path(&path, target, *names, "/state"), STATE_SIZE_MAX, &state,
                           &found, NULL) ||
            !found)
            continue;
        slot->type = slot_state_type(state.bytes, state.size);
        slot->of_primary |= slot_state_is_of_primary(state.bytes, state.size);
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
        if (!slots->slots[i].of_primary)
            continue;
        buffer_append_string(text, between);
        slot_append_drop(text, slots->slots[i].name);
        between = separator;
    }
}

void target_slots_advise(const TargetSlots *slots, const Version *version, AdviceList *list)
{
    AUTO_BUFFER Buffer names = {0}, remedy = {0};
    TextList shown = {&names, ", ", NAMES_SHOWN_MAX, 0};
    bool logical = false;

    for (size_t i = 0; i < slots->count; i++)
    {
        const TargetSlot *slot = &slots->slots[i];

        if (!slot->of_primary)
            continue;
        logical = logical || (slot->type != NULL && strcmp(slot->type, "logical") == 0);
        text_list_add(&shown, slot->type != NULL ? "%s (%s)" : "%s", slot->name, slot->type);
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
