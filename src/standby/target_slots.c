#include "standby/target_slots.h"

#include "base/buffer.h"
#include "format/slot.h"
#include "io/dir.h"
#include "io/durable.h"
#include "io/file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define SLOTS_DIRECTORY "pg_replslot"
#define DROPPED_SUFFIX ".tmp" /* what a server has begun to drop, or to make */
#define STATE_SIZE_MAX (64 * 1024)

static bool slot_path(const Target *target, const char *name, const char *suffix,
                      char path[PATH_SIZE], Error *error)
{
    char relative[NAME_MAX + 64];

    snprintf(relative, sizeof(relative), SLOTS_DIRECTORY "/%s%s", name, suffix);
    return path_join(path, PATH_SIZE, target->directory, relative, error);
}

const char *target_slot_type(const Target *target, const char *name)
{
    const char *type = NULL;
    char path[PATH_SIZE];
    Buffer state = {0};
    bool found;

    if (slot_path(target, name, "/state", path, NULL) &&
        file_read_all(path, STATE_SIZE_MAX, &state, &found, NULL) && found)
        type = slot_state_type(state.bytes, state.size);
    buffer_free(&state);
    return type;
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
    char path[PATH_SIZE];
    struct stat status;
    bool found;

    if (list->count == TARGET_SLOTS_MAX || is_dropped(name))
        return true;
    if (!slot_path(list->target, name, "", path, error) ||
        !file_lstat(path, &status, &found, error))
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
    char path[PATH_SIZE];
    bool found;

    *slots = (TargetSlots){0};
    if (!path_join(path, sizeof(path), target->directory, SLOTS_DIRECTORY, error) ||
        !dir_names(path, add_target_slot, &list, &found, error))
        return false;
    if (list.count > 1)
        qsort(list.slots, list.count, sizeof(*list.slots), compare_slots);
    *slots = (TargetSlots){list.slots, list.count};
    return true;
}

static bool drop_slot(const Target *target, const char *name, Error *error)
{
    char path[PATH_SIZE], dropped[PATH_SIZE];

    return slot_path(target, name, "", path, error) &&
           slot_path(target, name, DROPPED_SUFFIX, dropped, error) &&
           dir_remove_tree(dropped, error) && /* left by a server or by us */
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
