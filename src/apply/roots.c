#include "apply/roots.h"

#include "target/tablespace_mapping.h"
#include "base/log.h"
#include "format/backup_label.h"
#include "format/control.h"
#include "format/relpath.h"
#include "io/dir.h"
#include "io/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define TABLESPACES "pg_tblspc/"
#define GROWTH 8 /* roots and locations are allocated by the eight */

size_t path_parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? (size_t) (slash - path) : 0;
}

bool target_path(char *out, size_t size, const char *target_directory, const char *path,
                 Error *error)
{
    if (path[0] == '/')
        return path_join(out, size, "", path, error);
    return path_join(out, size, target_directory, path, error);
}

/* A work directory, a file that marks commit and end, or the pid file: only apply touches those. */
static bool is_reserved(const char *path)
{
    const size_t length = strlen(WORK_DIRECTORY);
    const char *found = strstr(path, WORK_DIRECTORY);

    if (strcmp(path, CONTROL_PATH) == 0 || strcmp(path, BACKUP_LABEL_PATH) == 0 ||
        strcmp(path, "postmaster.pid") == 0)
        return true;
    return found != NULL && (found == path || found[-1] == '/') &&
           (found[length] == '\0' || found[length] == '/');
}

bool entry_has_effect(const PlanEntry *entry)
{
    if (entry->action == ACTION_NONE && entry->blocks == NULL)
        return false;
    return entry->type != FILE_OTHER && !is_reserved(entry->path);
}

/* ---- Finding the roots ---- */

static bool is_new_tablespace(const PlanEntry *entry)
{
    const size_t length = strlen(TABLESPACES);

    return entry->action == ACTION_CREATE && entry->type == FILE_LINK && !entry->on_target &&
           entry->link_target != NULL && strncmp(entry->path, TABLESPACES, length) == 0 &&
           strchr(entry->path + length, '/') == NULL;
}

static const Root *root_with_prefix(const Roots *roots, const char *prefix)
{
    for (size_t index = 0; index < roots->count; index++)
    {
        if (strcmp(roots->roots[index].prefix, prefix) == 0)
            return &roots->roots[index];
    }
    return NULL;
}

static void add_root(Arena *arena, Roots *roots, const char *prefix, const char *directory,
                     const Place *place)
{
    Root *root;

    if (root_with_prefix(roots, prefix) != NULL)
        return;
    if (roots->count % GROWTH == 0)
    {
        Root *grown = arena_allocate(arena, (roots->count + GROWTH) * sizeof(Root));

        if (roots->count > 0)
            memcpy(grown, roots->roots, roots->count * sizeof(Root));
        roots->roots = grown;
    }
    root = &roots->roots[roots->count++];
    root->prefix = arena_strdup(arena, prefix);
    root->directory = arena_strdup(arena, directory);
    if (directory[0] == '\0')
        root->work = WORK_DIRECTORY;
    else
        root->work = arena_printf(arena, "%s/%s", directory, WORK_DIRECTORY);
    root->place = *place;
    root->unit = 1;
}

static NewLocation *add_location(Arena *arena, Roots *roots, const PlanEntry *entry)
{
    NewLocation *location;

    if (roots->location_count % GROWTH == 0)
    {
        NewLocation *grown =
            arena_allocate(arena, (roots->location_count + GROWTH) * sizeof(NewLocation));

        if (roots->location_count > 0)
            memcpy(grown, roots->locations, roots->location_count * sizeof(NewLocation));
        roots->locations = grown;
    }
    location = &roots->locations[roots->location_count++];
    location->link = entry->path;
    location->path = entry->link_target;
    return location;
}

/* A location that is absent lies on the mount of the directory it will be made in. */
static bool find_location(Arena *arena, Roots *roots, const PlanEntry *entry, Error *error)
{
    NewLocation *location = add_location(arena, roots, entry);
    char parent[PATH_SIZE];
    Place place;
    bool found;

    if (location->path[0] != '/' || strlen(location->path) >= sizeof(parent))
        return true; /* roots_check_locations says so */
    if (!place_find(location->path, &place, &found, error))
        return false;
    location->missing = !found;
    if (!found)
    {
        const size_t length = path_parent_length(location->path);

        memcpy(parent, location->path, length);
        parent[length] = '\0';
        if (!place_find(length > 0 ? parent : "/", &place, &found, error))
            return false;
    }
    if (found && !place_same_mount(&place, &roots->roots[0].place))
        add_root(arena, roots, location->link, location->path, &place);
    return true;
}

/* Go down to a directory of the target; where the mount changes a root begins. */
static bool find_on_the_way(Arena *arena, Roots *roots, const char *directory, size_t length,
                            Error *error)
{
    Place above = roots->roots[0].place;
    char prefix[PATH_SIZE];
    char path[PATH_SIZE];

    if (length >= sizeof(prefix))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", directory);
    for (size_t end = 1; end <= length; end++)
    {
        Place place;
        bool found;

        if (end < length && directory[end] != '/')
            continue;
        memcpy(prefix, directory, end);
        prefix[end] = '\0';
        if (!target_path(path, sizeof(path), roots->target_directory, prefix, error) ||
            !place_find(path, &place, &found, error))
            return false;
        if (!found)
            return true; /* to be made, on the mount of what is there */
        if (!place_same_mount(&place, &above))
            add_root(arena, roots, prefix, prefix, &place);
        above = place;
    }
    return true;
}

bool roots_find(Arena *arena, const char *target_directory, const Plan *plan, Roots *roots,
                Error *error)
{
    /* Where files are staged that are not in the plan. */
    const char *const always[] = {"global",
                                  arena_printf(arena, "%s/archive_status", plan->wal_directory)};
    const char *last = "";
    size_t last_length = 0;
    Place place;
    bool found;

    *roots = (Roots){.target_directory = target_directory};
    if (!place_find(target_directory, &place, &found, error))
        return false;
    if (!found)
        return error_set(error, ERROR_FAILED, "directory \"%s\" does not exist", target_directory);
    add_root(arena, roots, "", "", &place);
    for (size_t index = 0; index < sizeof(always) / sizeof(always[0]); index++)
    {
        if (!find_on_the_way(arena, roots, always[index], strlen(always[index]), error))
            return false;
    }
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        const size_t length = path_parent_length(entry->path);

        if (!entry_has_effect(entry))
            continue;
        if (is_new_tablespace(entry) && !find_location(arena, roots, entry, error))
            return false;
        if (length == last_length && strncmp(entry->path, last, length) == 0)
            continue;
        if (!find_on_the_way(arena, roots, entry->path, length, error))
            return false;
        last = entry->path;
        last_length = length;
    }
    return true;
}

size_t roots_of(const Roots *roots, const char *path)
{
    size_t best = 0;
    size_t best_length = 0;

    for (size_t index = 1; index < roots->count; index++)
    {
        const size_t length = strlen(roots->roots[index].prefix);

        if (length > best_length && strncmp(path, roots->roots[index].prefix, length) == 0 &&
            path[length] == '/')
        {
            best = index;
            best_length = length;
        }
    }
    return best;
}

/* ---- Locations of new tablespaces ---- */

/* Does the location hold one of the directories that the plan makes in it (PG_15_202209061)? */
static bool is_occupied(const NewLocation *location, const Plan *plan, bool *occupied, Error *error)
{
    const size_t length = strlen(location->link);

    *occupied = false;
    for (size_t index = 0; index < plan->count && !*occupied; index++)
    {
        const char *path = plan->entries[index].path;
        char inside[PATH_SIZE];
        struct stat status;

        if (strncmp(path, location->link, length) != 0 || path[length] != '/' ||
            strchr(path + length + 1, '/') != NULL)
            continue;
        if (!path_join(inside, sizeof(inside), location->path, path + length + 1, error) ||
            !file_lstat(inside, &status, occupied, error))
            return false;
    }
    return true;
}

/* What is in the way of new tablespaces: reported at the end of the check. */
typedef struct Occupied
{
    Error last;     /* the problem with one of them; the others were printed */
    Buffer options; /* that give each of them a place of its own; none for what has one by -T */
    size_t count;
} Occupied;

static bool is_mapped_to(const Plan *plan, const char *location)
{
    const TablespaceMappings *mappings = plan->tablespaces;

    for (size_t i = 0; mappings != NULL && i < mappings->count; i++)
        if (strcmp(mappings->mappings[i].to, location) == 0)
            return true;
    return false;
}

/* Can a directory be made there? */
static bool place_is_free(const char *path)
{
    char parent[PATH_SIZE];
    struct stat status;
    bool found;

    snprintf(parent, sizeof(parent), "%.*s", (int) path_parent_length(path), path);
    return file_lstat(path, &status, &found, NULL) && !found &&
           place_can_change_names(parent[0] != '\0' ? parent : "/");
}

/* -T OLD=NEW: NEW is a place beside the one that is in use, or else beside the data directory. */
static void append_mapping(const Roots *roots, const NewLocation *location, Buffer *options)
{
    const char *target = roots->target_directory;
    Buffer mapping = {0}, place = {0};

    buffer_printf(&place, "%s-target", location->path);
    if (!place_is_free(buffer_string(&place)))
    {
        buffer_clear(&place);
        buffer_printf(&place, "%.*s/tablespace-%s", (int) path_parent_length(target), target,
                      location->link + strlen(TABLESPACES));
    }
    for (const char *from = location->path; *from != '\0'; from++)
        buffer_printf(&mapping, "%s%c", *from == '=' ? "\\" : "", *from);
    buffer_append_u8(&mapping, '=');
    for (const char *to = buffer_string(&place); *to != '\0'; to++)
        buffer_printf(&mapping, "%s%c", *to == '=' ? "\\" : "", *to);
    buffer_append_string(options, " -T ");
    buffer_append_word(options, buffer_string(&mapping));
    buffer_free(&mapping);
    buffer_free(&place);
}

static void add_occupied(const Roots *roots, const Plan *plan, const NewLocation *location,
                         Occupied *occupied)
{
    Error *problem = &occupied->last;

    if (occupied->count++ > 0)
        log_error(problem);
    error_set(problem, ERROR_FAILED,
              "directory \"%s\" of the tablespace \"%s\" belongs to another cluster",
              location->path, location->link);
    error_detail(problem, "The target does not have this tablespace yet, but its directory exists: "
                          "it may be the source's own.");
    if (is_mapped_to(plan, location->path))
        error_hint(problem, "Choose another directory in its --tablespace-mapping.");
    else
        append_mapping(roots, location, &occupied->options);
}

/* The last of them says at once what is needed for all. */
static void report_occupied(Occupied *occupied)
{
    if (occupied->options.size > 0)
        error_hint(&occupied->last,
                   "Two clusters on one host cannot share a tablespace's directory: give the "
                   "target its own by these options, or in other directories:\n   %s",
                   buffer_string(&occupied->options));
    if (occupied->count > 0)
        log_error(&occupied->last);
    buffer_free(&occupied->options);
}

static bool check_present(const Roots *roots, const Plan *plan, const NewLocation *location,
                          Occupied *foreign, bool *usable, Error *error)
{
    Error problem;
    Place place;
    bool found;
    bool occupied;
    bool own;

    *usable = false;
    if (!place_find(location->path, &place, &found, error) ||
        !is_occupied(location, plan, &occupied, error) ||
        !tablespace_is_targets(roots->target_directory, location->path, &own, error))
        return false;
    if (occupied && !own)
    {
        add_occupied(roots, plan, location, foreign);
        return true;
    }
    if (!place.is_directory)
        errno = ENOTDIR;
    if (!place.is_directory || !place_can_change_names(location->path))
    {
        error_set_errno(&problem, ERROR_FAILED, "cannot write to tablespace directory \"%s\"",
                        location->path);
        log_error(&problem);
        return true;
    }
    *usable = true;
    return true;
}

static bool check_missing(const NewLocation *location, bool *usable, Error *error)
{
    char parent[PATH_SIZE];
    const size_t length = path_parent_length(location->path);
    Error problem;

    if (length >= sizeof(parent))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", location->path);
    memcpy(parent, location->path, length);
    parent[length] = '\0';
    *usable = place_can_change_names(length > 0 ? parent : "/");
    if (!*usable)
    {
        error_set_errno(&problem, ERROR_FAILED, "cannot create tablespace directory \"%s\"",
                        location->path);
        error_hint(&problem,
                   "Create this directory, owned by the user who runs the target server, or choose "
                   "another one with --tablespace-mapping.");
        log_error(&problem);
    }
    return true;
}

static bool check_location(const Roots *roots, const Plan *plan, const NewLocation *location,
                           Occupied *occupied, bool *usable, Error *error)
{
    Error problem;

    *usable = false;
    if (location->path[0] == '/')
        return location->missing ? check_missing(location, usable, error)
                                 : check_present(roots, plan, location, occupied, usable, error);
    error_set(&problem, ERROR_FAILED,
              "tablespace \"%s\" of the source is not at an absolute path: \"%s\"", location->link,
              location->path);
    log_error(&problem);
    return true;
}

bool roots_check_locations(const Roots *roots, const Plan *plan, size_t *problems, Error *error)
{
    Occupied occupied = {.count = 0};
    bool checked = true;

    for (size_t index = 0; index < roots->location_count && checked; index++)
    {
        bool usable;

        checked = check_location(roots, plan, &roots->locations[index], &occupied, &usable, error);
        if (!usable)
            (*problems)++;
    }
    report_occupied(&occupied);
    return checked;
}
