#include "standby/target_slots.h"

#include "base/buffer.h"
#include "io/dir.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SLOTS_DIRECTORY "pg_replslot"
#define DROPPED_SUFFIX ".tmp" /* what a server has begun to drop, or to make */
#define STATE_SIZE_MAX (64 * 1024)
#define STATE_MAGIC 0x1051CA1    /* SLOT_MAGIC, replication/slot.c */
#define STATE_DATABASE_OFFSET 80 /* in ReplicationSlotOnDisk, replication/slot.c */

/* Only a logical slot belongs to a database. */
const char *slot_state_type(const void *state, size_t size)
{
    const uint8_t *bytes = state;

    if (size < STATE_DATABASE_OFFSET + sizeof(uint32_t) || load_u32(bytes) != STATE_MAGIC)
        return NULL;
    return load_u32(bytes + STATE_DATABASE_OFFSET) == 0 ? "physical" : "logical";
}

/* The path of a slot's directory, of a file in it, or of the directory that is being dropped. */
static const char *slot_path(Buffer *path, const Target *target, const char *name,
                             const char *suffix)
{
    buffer_clear(path);
    buffer_printf(path, "%s/" SLOTS_DIRECTORY "/%s%s", target->directory, name, suffix);
    return buffer_string(path);
}

const char *target_slot_type(const Target *target, const char *name)
{
    AUTO_BUFFER Buffer path = {0}, state = {0};
    bool found;

    return file_read_all(slot_path(&path, target, name, "/state"), STATE_SIZE_MAX, &state, &found,
                         NULL) &&
                   found
               ? slot_state_type(state.bytes, state.size)
               : NULL;
}

typedef struct SlotList
{
    const Target *target;
    Arena *arena;
    TargetSlot *slots;
    size_t count;
} SlotList;

static bool is_dropped(const char *name)
{
    const size_t length = strlen(name), suffix = strlen(DROPPED_SUFFIX);

    return length >= suffix && strcmp(name + length - suffix, DROPPED_SUFFIX) == 0;
}

/* A DirNameVisitor. */
static bool add_target_slot(void *context, const char *name, Error *error)
{
    SlotList *list = context;
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    if (list->count == TARGET_SLOTS_MAX || is_dropped(name))
        return true;
    if (!file_lstat(slot_path(&path, list->target, name, ""), &status, &found, error))
        return false;
    if (found && S_ISDIR(status.st_mode))
        list->slots[list->count++] = (TargetSlot){.name = arena_strdup(list->arena, name),
                                                  .type = target_slot_type(list->target, name)};
    return true;
}

static int compare_slots(const void *one, const void *other)
{
    return strcmp(((const TargetSlot *) one)->name, ((const TargetSlot *) other)->name);
}

bool target_slots_read(const Target *target, Arena *arena, TargetSlots *slots, Error *error)
{
    SlotList list = {.target = target,
                     .arena = arena,
                     .slots = arena_allocate(arena, TARGET_SLOTS_MAX * sizeof(*list.slots))};
    AUTO_BUFFER Buffer path = {0};
    bool found;

    *slots = (TargetSlots){0};
    if (!dir_names(path_in(&path, target->directory, SLOTS_DIRECTORY), add_target_slot, &list,
                   &found, error))
        return false;
    qsort(list.slots, list.count, sizeof(*list.slots), compare_slots);
    *slots = (TargetSlots){list.slots, list.count};
    return true;
}

static bool drop_slot(const Target *target, const char *name, Error *error)
{
    AUTO_BUFFER Buffer from = {0}, to = {0};
    const char *path = slot_path(&from, target, name, "");
    const char *dropped = slot_path(&to, target, name, DROPPED_SUFFIX);

    return dir_remove_tree(dropped, error) && /* left by a server or by us */
           durable_rename(path, dropped, error) && dir_remove_tree(dropped, error) &&
           durable_sync_parent(dropped, error);
}

bool target_slots_drop(const Target *target, const TargetSlots *slots, Error *error)
{
    for (size_t i = 0; i < slots->count; i++)
        if (!drop_slot(target, slots->slots[i].name, error))
            return false;
    return true;
}
