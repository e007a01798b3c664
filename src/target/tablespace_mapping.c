#include "target/tablespace_mapping.h"

#include "base/array.h"
#include "format/relpath.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"

#include <stdlib.h>
#include <string.h>

/* Copy one side of the mapping, up to an "=" without a backslash or the end; returns what follows
 * it. */
static const char *take_side(const char *text, char *side)
{
    for (; *text != '\0' && *text != '='; text++)
    {
        if (text[0] == '\\' && text[1] == '=')
            text++;
        *side++ = *text;
    }
    *side = '\0';
    return text;
}

/* "/a//b/" and "/a/b" are one place. */
static void make_canonical(char *path)
{
    char *out = path;

    for (const char *in = path; *in != '\0'; in++)
    {
        if (*in != '/' || out == path || out[-1] != '/')
            *out++ = *in;
    }
    while (out > path + 1 && out[-1] == '/')
        out--;
    *out = '\0';
}

static bool read_mapping(const TablespaceMappings *mappings, const char *text, char *from, char *to,
                         Error *error)
{
    const char *rest = take_side(text, from);

    to[0] = '\0';
    if (*rest == '=')
        rest = take_side(rest + 1, to);
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
    make_canonical(from);
    make_canonical(to);
    return tablespace_mapped(mappings, from) == NULL ||
           error_set(error, ERROR_FAILED, "directory \"%s\" has two tablespace mappings", from);
}

bool tablespace_mapping_add(TablespaceMappings *mappings, const char *text, Error *error)
{
    TablespaceMapping mapping = {.from = memory_allocate(strlen(text) + 1),
                                 .to = memory_allocate(strlen(text) + 1)};
    const bool success = read_mapping(mappings, text, mapping.from, mapping.to, error);

    if (success)
    {
        ARRAY_GROW(mappings->mappings, mappings->count);
        mappings->mappings[mappings->count++] = mapping;
    }
    else
    {
        free(mapping.from);
        free(mapping.to);
    }
    return success;
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

bool tablespace_is_targets(const char *target_directory, const char *location, bool *own,
                           Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char *directory = arena_printf(arena, "%s/pg_tblspc", target_directory);
    const char **names;
    Place wanted, place;
    bool found;

    *own = false;
    if (!place_find(location, &wanted, &found, error))
        return false;
    if (!found)
        return true;
    if (!dir_list(directory, arena, &names, error))
        return false;
    for (; *names != NULL; names++)
    {
        if (!place_find(arena_printf(arena, "%s/%s", directory, *names), &place, &found, error))
            return false;
        *own = *own || (found && place_same(&place, &wanted));
    }
    return true;
}

bool tablespace_check_replayed(const char *target_directory, const Version *version,
                               const char *location, Error *error)
{
    char name[TABLESPACE_VERSION_SIZE];
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found, own;

    if (location[0] != '/') /* in the data directory */
        return true;
    tablespace_version_directory(version, name);
    if (!file_lstat(path_in(&path, location, name), &status, &found, error))
        return false;
    if (!found)
        return true;
    if (!tablespace_is_targets(target_directory, location, &own, error))
        return false;
    if (own)
        return true;
    error_set(error, ERROR_FAILED, "replay of CREATE TABLESPACE would empty directory \"%s\"",
              buffer_string(&path));
    error_detail(error, "It belongs to another cluster: it may be the source's own.");
    return error_hint(error, "Two clusters on one host cannot share a tablespace's directory: give "
                             "the target its own with --tablespace-mapping, and let recovery start "
                             "after CREATE TABLESPACE, since WAL holds the source's path.");
}
