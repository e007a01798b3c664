#include "target/tablespace_mapping.h"

#include "base/array.h"
#include "format/relpath.h"
#include "format/settings.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"

#include <string.h>
#include <unistd.h>

/* Take one side of the mapping, up to an "=" without a backslash or the end. */
static const char *take_side(const char **text, Arena *arena)
{
    AUTO_BUFFER Buffer side = {0};

    for (; **text != '\0' && **text != '='; (*text)++)
    {
        if ((*text)[0] == '\\' && (*text)[1] == '=')
            (*text)++;
        buffer_append_u8(&side, (uint8_t) * *text);
    }
    return arena_strdup(arena, buffer_string(&side));
}

/* "/a//b/" and "/a/b" are one place. */
static const char *make_canonical(const char *path, Arena *arena)
{
    const char *root = path + strspn(path, "/") - 1;
    const char *below = settings_path(arena, "", root + 1);

    return below != NULL ? arena_printf(arena, "/%s", below) : root;
}

bool tablespace_mapping_add(TablespaceMappings *mappings, const char *text, Error *error)
{
    const char *rest = text, *from, *to = "";

    if (mappings->arena == NULL)
        mappings->arena = arena_create();
    from = take_side(&rest, mappings->arena);
    if (*rest == '=')
    {
        rest++;
        to = take_side(&rest, mappings->arena);
    }
    if (*rest == '=')
        return error_set(error, ERROR_FAILED, "multiple \"=\" signs in tablespace mapping");
    if (from[0] == '\0' || to[0] == '\0')
        return error_set(error, ERROR_FAILED,
                         "invalid tablespace mapping format \"%s\", must be \"OLDDIR=NEWDIR\"",
                         text);
    if (from[0] != '/' || to[0] != '/')
        return error_set(error, ERROR_FAILED,
                         "%s directory is not an absolute path in tablespace mapping: %s",
                         from[0] != '/' ? "old" : "new", from[0] != '/' ? from : to);
    from = make_canonical(from, mappings->arena);
    if (tablespace_mapped(mappings, from) != NULL)
        return error_set(error, ERROR_FAILED, "directory \"%s\" has two tablespace mappings", from);
    ARRAY_GROW(mappings->mappings, mappings->count);
    mappings->mappings[mappings->count++] =
        (TablespaceMapping){from, make_canonical(to, mappings->arena)};
    return true;
}

const char *tablespace_mapped(const TablespaceMappings *mappings, const char *location)
{
    for (size_t i = 0; i < mappings->count; i++)
    {
        if (strcmp(mappings->mappings[i].from, location) == 0)
            return mappings->mappings[i].to;
    }
    return NULL;
}

bool tablespaces_at(const char *target_directory, const char *location, Arena *arena,
                    const char ***names, Error *error)
{
    const char *directory = arena_printf(arena, "%s/pg_tblspc", target_directory);
    const char **all;
    size_t count = 0;
    Place wanted, place;
    bool found;

    if (!dir_list(directory, arena, &all, &found, error))
        return false;
    *names = all;
    if (!place_find(location, &wanted, &found, error))
        return false;
    for (; found && *all != NULL; all++)
    {
        bool leads;

        if (!place_find(arena_printf(arena, "%s/%s", directory, *all), &place, &leads, error))
            return false;
        if (leads && place_same(&place, &wanted))
            (*names)[count++] = *all;
    }
    (*names)[count] = NULL;
    return true;
}

static bool error_no_place(const char *location, const char *reason, Error *error)
{
    error_set(error, ERROR_FAILED, "replay of CREATE TABLESPACE would fail: \"%s\" %s", location,
              reason);
    error_detail(error, "The target's server would not start: it needs the directory until it has "
                        "replayed that.");
    return error_hint(error, "Make this a directory, owned by the user who runs the target server, "
                             "or let recovery start after CREATE TABLESPACE.");
}

bool tablespace_check_replayed(const char *target_directory, const VersionDirectory *own_files,
                               const char *location, bool is_made, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer path = {0};
    const char **own;
    struct stat status;
    bool found;
    Place place;

    if (location[0] != '/') /* in the data directory */
        return true;
    if (!place_find(location, &place, &found, error))
        return false;
    if (!found)
        return is_made || error_no_place(location, "does not exist", error);
    if (!place.is_directory)
        return error_no_place(location, "is not a directory", error);
    if (place.owner != geteuid())
        return error_no_place(location, "belongs to another user", error);
    if (!file_lstat(path_in(&path, location, own_files->name), &status, &found, error))
        return false;
    if (!found)
        return true;
    if (!tablespaces_at(target_directory, location, arena, &own, error))
        return false;
    if (own[0] != NULL)
        return true;
    error_set(error, ERROR_FAILED, "replay of CREATE TABLESPACE would empty directory \"%s\"",
              buffer_string(&path));
    error_detail(error, "It belongs to another cluster: it may be the source's own.");
    return error_hint(error, "Two clusters on one host cannot share a tablespace's directory: give "
                             "the target its own with --tablespace-mapping, and let recovery start "
                             "after CREATE TABLESPACE, since WAL holds the source's path.");
}
