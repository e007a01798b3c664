#include "stage/roots.h"

#include "apply/journal.h"
#include "base/array.h"
#include "format/backup_label.h"
#include "io/trust.h"
#include "plan/classify.h"

#include <errno.h>
#include <string.h>

#define TABLESPACES "pg_tblspc/"
#define STAT_BLOCK_SIZE 512 /* unit of st_blocks in bytes, see stat(2) */
#define NAME_SPACE 64       /* bytes that a name takes in a directory, besides its length */

bool entry_has_effect(const PlanEntry *entry)
{
    const char *work = strstr(entry->path, WORK_DIRECTORY);

    if ((entry->action == ACTION_NONE && entry->blocks == NULL) || entry->type == FILE_OTHER)
        return false;
    /* Only commit and apply touch a work directory, what marks commit and end, and the pid file. */
    if (strcmp(entry->path, CONTROL_PATH) == 0 || strcmp(entry->path, BACKUP_LABEL_PATH) == 0 ||
        strcmp(entry->path, "postmaster.pid") == 0)
        return false;
    return work == NULL || (work != entry->path && work[-1] != '/') ||
           strchr("/.", work[strlen(WORK_DIRECTORY)]) == NULL; /* finds the end as well */
}

bool entry_changes_file(const PlanEntry *entry)
{
    return entry->action != ACTION_NONE || entry->fetch_bytes > 0;
}

/* ---- Finding the roots ---- */

/*
 * Name the work directory in a directory of the target, which `local` leads to. Below the link of a
 * tablespace it is named by the place that the link leads to: the apply may remove the link, and
 * needs the work directory after that, as does the run that finishes an interrupted one.
 *
 * Rule I71: the place is not one cluster's, only the directory there that has its version's name
 * is. Clusters of two versions that are rewound at once must not have one work directory.
 */
static bool name_work(Arena *arena, const Roots *roots, const char *directory, const char *local,
                      const char **work, Error *error)
{
    const bool in_pg_tblspc = strncmp(directory, TABLESPACES, strlen(TABLESPACES)) == 0;
    AUTO_BUFFER Buffer tablespace = {0}, path = {0};
    char canonical[PLACE_PATH_SIZE];
    struct stat status;
    bool found = false;

    if (in_pg_tblspc)
    {
        buffer_append(&tablespace, directory,
                      strlen(TABLESPACES) + strcspn(directory + strlen(TABLESPACES), "/"));
        if (!file_lstat(target_path(&path, roots->target_directory, buffer_string(&tablespace)),
                        &status, &found, error))
            return false;
    }
    if (found && S_ISLNK(status.st_mode))
    {
        if (!place_canonical(local, canonical, &found, error))
            return false;
        if (!found)
            return error_set(error, ERROR_FAILED, "directory \"%s\" does not exist", local);
        directory = canonical;
    }
    if (in_pg_tblspc || directory[0] == '/') /* a new tablespace has no link yet */
        *work =
            arena_printf(arena, "%s/" WORK_DIRECTORY_OF "%s", directory, roots->version_directory);
    else
        *work =
            arena_printf(arena, "%s%s" WORK_DIRECTORY, directory, directory[0] == '\0' ? "" : "/");
    return true;
}

/* Add a root, unless it is known. `local` is a path of an existing directory on the root's mount,
 * in its project. */
static bool add_root(Arena *arena, Roots *roots, const char *prefix, const char *directory,
                     const char *local, const Place *place, Error *error)
{
    AUTO_BUFFER Buffer pool = {0};
    const char *work;
    FileSpace space;

    for (size_t index = 0; index < roots->count; index++)
    {
        if (strcmp(roots->roots[index].prefix, prefix) == 0)
            return true;
    }
    if (!file_space(local, &space, error) || !place_pool(local, &pool, error) ||
        !name_work(arena, roots, directory, local, &work, error))
        return false;
    ARRAY_ADD_IN(arena, roots->roots, roots->count,
                 (Root){.prefix = arena_strdup(arena, prefix),
                        .directory = arena_strdup(arena, directory),
                        .work = work,
                        .place = *place,
                        .space = space,
                        .pool = arena_strdup(arena, buffer_string(&pool)),
                        .data_fd = -1});
    return true;
}

/* Add the location of a new tablespace, and a root for a location on another mount. An absent
 * location belongs to the mount of the directory in which it will be created. */
static bool add_location(Arena *arena, Roots *roots, const PlanEntry *entry, Error *error)
{
    AUTO_BUFFER Buffer parent = {0};
    NewLocation location = {.link = entry->path, .path = entry->link_target};
    const char *local = location.path;
    bool found = false;
    Place place;

    if (entry->action != ACTION_CREATE || entry->type != FILE_LINK || entry->on_target ||
        entry->link_target == NULL || !relpath_is_tablespace(entry->path))
        return true;
    if (location.path[0] == '/') /* roots_check_locations reports a relative path */
    {
        if (!place_find(location.path, &place, &found, error))
            return false;
        location.missing = !found;
        if (!found)
            local = path_parent(&parent, location.path);
        if (!found && !place_find(local, &place, &found, error))
            return false;
    }
    ARRAY_ADD_IN(arena, roots->locations, roots->location_count, location);
    return !found || place_same_mount(&place, &roots->roots[0].place) ||
           add_root(arena, roots, location.link, location.path, local, &place, error);
}

/*
 * Rule I79: true for an entry without which the rewound target is right, too. Its volume may be
 * empty after a restart, and the work directory would be gone. Such an entry is the removal of a
 * file that the server creates again, removes when it starts, or never reads; or the directory of a
 * database in a tablespace, which the server creates when a relation needs it
 * (TablespaceCreateDbspace). No server removes replication slots.
 */
static bool needs_no_root(const PlanEntry *entry)
{
    const char *name = relpath_below(entry->path, "pg_tblspc");
    const char *inside = name != NULL ? strchr(name, '/') : NULL;

    if (entry->reason == REASON_EXCLUDED)
        return !path_is_within("pg_replslot", entry->path);
    return entry->type == FILE_DIRECTORY && inside != NULL && strchr(inside + 1, '/') != NULL;
}

/* Add the roots on the path to a directory of the target: one begins where the mount or the project
 * changes. */
static bool find_on_the_way(Arena *arena, Roots *roots, const char *directory, size_t length,
                            Error *error)
{
    AUTO_BUFFER Buffer path = {0}, prefix = {0};
    Place above = roots->roots[0].place, place;
    bool found;

    for (size_t end = 1; end <= length; end++)
    {
        if (end < length && directory[end] != '/')
            continue;
        buffer_clear(&prefix);
        buffer_append(&prefix, directory, end);
        if (!place_find(target_path(&path, roots->target_directory, buffer_string(&prefix)), &place,
                        &found, error))
            return false;
        if (!found)
            return true; /* a new directory will be on the mount of its existing parent */
        if (!place_same_mount(&place, &above) &&
            !add_root(arena, roots, buffer_string(&prefix), buffer_string(&prefix),
                      buffer_string(&path), &place, error))
            return false;
        above = place;
    }
    return true;
}

bool roots_find(Arena *arena, const char *target_directory, const Plan *plan, Roots *roots,
                Error *error)
{
    /* Files that are not in the plan are staged for these directories. */
    const char *const always[] = {"global",
                                  arena_printf(arena, "%s/archive_status", plan->wal_directory)};
    PathParent last = {0};
    Place place;
    bool found;

    *roots = (Roots){.target_directory = target_directory,
                     .version_directory = plan->version_directory.name};
    if (!place_find(target_directory, &place, &found, error))
        return false;
    if (!found)
        return error_set(error, ERROR_FAILED, "directory \"%s\" does not exist", target_directory);
    if (!add_root(arena, roots, "", "", target_directory, &place, error))
        return false;
    for (size_t index = 0; index < sizeof(always) / sizeof(always[0]); index++)
    {
        if (!find_on_the_way(arena, roots, always[index], strlen(always[index]), error))
            return false;
    }
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];

        if (!entry_has_effect(entry) || needs_no_root(entry))
            continue;
        if (!add_location(arena, roots, entry, error))
            return false;
        if (path_parent_next(&last, entry->path) &&
            !find_on_the_way(arena, roots, entry->path, last.length, error))
            return false;
    }
    return true;
}

size_t roots_index(const Roots *roots, const char *path)
{
    size_t best = 0;

    for (size_t index = 1; index < roots->count; index++)
    {
        const char *prefix = roots->roots[index].prefix;

        if (relpath_below(path, prefix) != NULL &&
            strlen(prefix) > strlen(roots->roots[best].prefix))
            best = index;
    }
    return best;
}

/* ---- Space ---- */

static uint64_t round_up(uint64_t bytes, uint64_t unit)
{
    return unit > 0 ? (bytes + unit - 1) / unit * unit : bytes;
}

void space_add_staged(const PlanEntry *entry, bool copied, uint64_t unit, NeededSpace *needed)
{
    if (entry->action == ACTION_CREATE)
        needed->files++;
    if (entry->type != FILE_REGULAR || entry->wal || entry->action == ACTION_REMOVE)
        return;
    if (entry->action == ACTION_COPY || copied)
    {
        needed->bytes += round_up(entry->source_size, unit);
        needed->files++;
        return;
    }
    needed->bytes += entry->fetch_bytes;
}

/* By how much a file that stays in place will grow on the disk. */
static bool growth_of_file(const Roots *roots, const Plan *plan, const PlanEntry *entry,
                           uint64_t unit, uint64_t *bytes, Error *error)
{
    const uint64_t whole = round_up(entry->target_size, unit);
    /* Both ends of a range may lie in a unit of allocation that is larger than a block. */
    const uint64_t overwritten =
        entry->overwrite_bytes + (unit > plan->block_size ? 2 * unit * entry->range_count : 0);
    AUTO_BUFFER Buffer local = {0};
    struct stat status;
    uint64_t allocated;
    bool found;

    *bytes = 0;
    if (entry->source_size > entry->target_size)
        *bytes = round_up(entry->source_size, unit) - whole;
    if (entry->overwrite_bytes == 0)
        return true;
    if (!file_lstat(target_path(&local, roots->target_directory, entry->path), &status, &found,
                    error))
        return false;
    allocated = found ? (uint64_t) status.st_blocks * STAT_BLOCK_SIZE : whole;
    if (allocated < whole)
        *bytes += overwritten < whole - allocated ? overwritten : whole - allocated;
    return true;
}

bool roots_reserve(Roots *roots, const Plan *plan, Error *error)
{
    PathParent last = {0};

    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        Root *root = &roots->roots[roots_index(roots, entry->path)];
        const uint64_t unit = root->space.unit;
        uint64_t growth = 0;

        if (!entry_has_effect(entry) || entry->action == ACTION_REMOVE || entry->wal)
            continue;
        if (entry->type == FILE_REGULAR && entry->on_target && plan_stays_in_place(entry) &&
            !growth_of_file(roots, plan, entry, unit, &growth, error))
            return false;
        if (entry->action == ACTION_CREATE)
            growth += unit;
        if (!entry->on_target)
            growth += strlen(entry->path + path_parent_length(entry->path)) + NAME_SPACE;
        /* The new names of a directory may take one allocation unit more than their own bytes. */
        if (!entry->on_target && path_parent_next(&last, entry->path))
            growth += unit;
        root->needed.reserved += growth;
    }
    return true;
}

/* ---- Locations of new tablespaces ---- */

/* *occupied: the location holds one of the directories that the plan makes in it
 * (PG_15_202209061). */
static bool is_occupied(const NewLocation *location, const Plan *plan, bool *occupied, Error *error)
{
    AUTO_BUFFER Buffer inside = {0};
    struct stat status;

    *occupied = false;
    for (size_t index = 0; index < plan->count && !*occupied; index++)
    {
        const char *name = relpath_below(plan->entries[index].path, location->link);

        if (name != NULL && strchr(name, '/') == NULL &&
            !file_lstat(path_in(&inside, location->path, name), &status, occupied, error))
            return false;
    }
    return true;
}

static bool is_mapped_to(const Plan *plan, const char *location)
{
    const TablespaceMappings *mappings = plan->tablespaces;

    for (size_t i = 0; mappings != NULL && i < mappings->count; i++)
        if (strcmp(mappings->mappings[i].to, location) == 0)
            return true;
    return false;
}

/* Append -T OLD=NEW. NEW is OLD-target, next to the occupied location, or if that cannot be used a
 * path next to the data directory. */
static void append_mapping(const Roots *roots, const NewLocation *location, Buffer *options)
{
    const char *target = roots->target_directory;
    AUTO_BUFFER Buffer mapping = {0}, place = {0}, parent = {0};
    struct stat status;
    bool found;

    buffer_printf(&place, "%s-target", location->path);
    if (!file_lstat(buffer_string(&place), &status, &found, NULL) || found ||
        !place_can_change_names(path_parent(&parent, buffer_string(&place))))
    {
        buffer_clear(&place);
        buffer_printf(&place, "%.*s/tablespace-%s", (int) path_parent_length(target), target,
                      location->link + strlen(TABLESPACES));
    }
    buffer_append_escaped(&mapping, location->path, strlen(location->path), "=", '\\');
    buffer_append_u8(&mapping, '=');
    buffer_append_escaped(&mapping, buffer_string(&place), place.size, "=", '\\');
    buffer_append_string(options, " -T ");
    buffer_append_shown_word(options, buffer_string(&mapping));
}

/* Locations that other clusters use. The last of these problems is added at the end: its hint says
 * what is needed for all. */
typedef struct Occupied
{
    Error last;
    size_t count;
    Buffer options; /* -T options that give each occupied location a free one, unless -T named it */
} Occupied;

/* The path that the location has or will have, without links; false where it will have none. */
static bool find_canonical(const NewLocation *location, Buffer *canonical)
{
    AUTO_BUFFER Buffer parent = {0};
    char path[PLACE_PATH_SIZE];
    bool found;

    if (!place_canonical(location->missing ? path_parent(&parent, location->path) : location->path,
                         path, &found, NULL) ||
        !found)
        return false;
    if (location->missing)
        path_in(canonical, path, strrchr(location->path, '/') + 1);
    else
        buffer_append_string(canonical, path);
    return true;
}

/* The name of a link's target is made by the source, which may be any server: it is only taken
 * where CREATE TABLESPACE would make it. */
static bool check_name(const NewLocation *location, Error *error)
{
    bool plain = true;

    if (location->path[0] != '/')
        return error_set(error, ERROR_FAILED,
                         "tablespace \"%s\" of the source is not at an absolute path: \"%s\"",
                         location->link, location->path);
    for (const char *byte = location->path; *byte != '\0'; byte++)
        plain = plain && (unsigned char) *byte >= 0x20 && *byte != 0x7F;
    if (plain && path_is_safe(location->path + 1))
        return true;
    error_set(error, ERROR_FAILED,
              "tablespace \"%s\" of the source is not at a canonical path: \"%s\"", location->link,
              location->path);
    return error_hint(error, "Give it a place on the target with --tablespace-mapping.");
}

/* Check that the location is neither in the data directory, nor in the directory that its pg_wal
 * links to, nor in another cluster. */
static bool check_outside(const Roots *roots, const NewLocation *location, Error *error)
{
    AUTO_BUFFER Buffer canonical = {0}, wal = {0};
    char directory[PLACE_PATH_SIZE];
    const char *path;
    bool found;

    if (!find_canonical(location, &canonical))
        return true; /* check_missing reports the problem */
    path = buffer_string(&canonical);
    if (canonical.size >= sizeof(directory))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", path);
    memcpy(directory, path, canonical.size + 1);
    if (!place_data_directory(directory, &found, error))
        return false;
    for (int i = 0; !found && i < 2; i++)
    {
        bool there;

        if (!place_canonical(
                target_path(&wal, roots->target_directory, i == 0 ? "pg_wal" : "pg_xlog"),
                directory, &there, error))
            return false;
        found = there && path_is_within(directory, path);
    }
    if (!found)
        return true;
    error_set(error, ERROR_FAILED, "tablespace \"%s\" of the source would be inside \"%s\": \"%s\"",
              location->link, directory, location->path);
    return error_hint(error, "Give it a place on the target with --tablespace-mapping.");
}

/* Check that no tablespace that stays on the target is located where the new one will be: what the
 * server removes by one of two links to a directory would be gone from the other tablespace. Set
 * *own if the directory is the target's: of a tablespace that goes. (Rule C42.) */
static bool check_apart_from_kept(const Roots *roots, const Plan *plan, const NewLocation *location,
                                  bool *own, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;

    if (!tablespaces_at(roots->target_directory, location->path, arena, &names, error))
        return false;
    *own = *names != NULL;
    for (; *names != NULL; names++)
    {
        const char *link = arena_printf(arena, TABLESPACES "%s", *names);
        const PlanEntry *entry = plan_find(plan, link);

        if (entry != NULL && entry->action == ACTION_REMOVE)
            continue;
        error_set(error, ERROR_FAILED,
                  "tablespaces \"%s\" and \"%s\" of the source would have one place: \"%s\"", link,
                  location->link, location->path);
        return error_hint(error, "Give \"%s\" another place with --tablespace-mapping.",
                          location->link);
    }
    return true;
}

/* Check that no two new tablespaces share a location, or have one inside the other's. */
static bool check_separate(const Roots *roots, size_t index, Error *error)
{
    AUTO_BUFFER Buffer canonical = {0}, other = {0};
    const NewLocation *location = &roots->locations[index];

    for (size_t i = 0; i < index; i++)
    {
        buffer_clear(&canonical);
        buffer_clear(&other);
        if (!find_canonical(location, &canonical) ||
            !find_canonical(&roots->locations[i], &other) ||
            (!path_is_within(buffer_string(&canonical), buffer_string(&other)) &&
             !path_is_within(buffer_string(&other), buffer_string(&canonical))))
            continue;
        error_set(error, ERROR_FAILED,
                  "tablespaces \"%s\" and \"%s\" of the source would have one place: \"%s\"",
                  roots->locations[i].link, location->link, location->path);
        return error_hint(error, "Give each a place on the target with --tablespace-mapping.");
    }
    return true;
}

bool location_check_trust(const NewLocation *location, Error *error)
{
    return trust_check_entry(location->path, true, error) ||
           error_hint(error, "The directory of a tablespace belongs to the user who runs the "
                             "target server, and not every user can write to it.");
}

/* own: as check_apart_from_kept has it. */
static bool check_present(const Roots *roots, const Plan *plan, const NewLocation *location,
                          bool own, Occupied *foreign, Problems *problems, Error *error)
{
    bool found, occupied;
    Error *problem = &foreign->last;
    Place place;

    if (!place_find(location->path, &place, &found, error) ||
        !is_occupied(location, plan, &occupied, error))
        return false;
    if (occupied && !own)
    {
        if (foreign->count++ > 0)
            problems_add(problems, problem);
        error_set(problem, ERROR_FAILED,
                  "directory \"%s\" of the tablespace \"%s\" belongs to another cluster",
                  location->path, location->link);
        error_detail(problem, "The target does not have this tablespace yet, but its directory "
                              "exists: it may be the source's own.");
        if (is_mapped_to(plan, location->path))
            error_hint(problem, "Choose another directory in its --tablespace-mapping.");
        else
            append_mapping(roots, location, &foreign->options);
        return true;
    }
    if (!location_check_trust(location, error))
        return false;
    if (!place.is_directory)
        errno = ENOTDIR;
    return (place.is_directory && place_can_change_names(location->path)) ||
           error_set_errno(error, "cannot write to tablespace directory \"%s\"", location->path);
}

/* Check that a missing location can be created. Its parent directory must be readable, since it is
 * opened to be synced. */
static bool check_missing(const NewLocation *location, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *parent = path_parent(&buffer, location->path);

    if (place_can_change_names(parent) && (!file_sync_enabled() || place_can_be_read(parent)))
        return true;
    error_set_errno(error, "cannot create tablespace directory \"%s\"", location->path);
    return error_hint(error, "Create this directory, owned by the user who runs the target server, "
                             "or choose another one with --tablespace-mapping.");
}

void roots_check_locations(const Roots *roots, const Plan *plan, Problems *problems)
{
    Occupied occupied = {.count = 0};

    for (size_t index = 0; index < roots->location_count; index++)
    {
        const NewLocation *location = &roots->locations[index];
        Error problem;
        bool own = false, ok;

        /* The user has chosen a location that -T gives, so check_outside is not called for it. */
        ok = check_name(location, &problem) &&
             (is_mapped_to(plan, location->path) || check_outside(roots, location, &problem)) &&
             check_separate(roots, index, &problem) &&
             check_apart_from_kept(roots, plan, location, &own, &problem);
        if (ok && location->missing)
            ok = check_missing(location, &problem);
        else if (ok)
            ok = check_present(roots, plan, location, own, &occupied, problems, &problem);
        if (!ok)
            problems_add(problems, &problem);
    }
    if (occupied.options.size > 0)
        error_hint(&occupied.last,
                   "Two clusters on one host cannot share a tablespace's directory: give the "
                   "target its own by these options, or in other directories:\n   %s",
                   buffer_string(&occupied.options));
    if (occupied.count > 0)
        problems_add(problems, &occupied.last);
    buffer_free(&occupied.options);
}
