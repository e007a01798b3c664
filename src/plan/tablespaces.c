#include "plan/tablespaces.h"

#include "format/relpath.h"

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
    char *from = memory_allocate(strlen(text) + 1);
    char *to = memory_allocate(strlen(text) + 1);

    if (!read_mapping(mappings, text, from, to, error))
    {
        free(from);
        free(to);
        return false;
    }
    mappings->mappings =
        memory_resize(mappings->mappings, (mappings->count + 1) * sizeof(*mappings->mappings));
    mappings->mappings[mappings->count++] = (TablespaceMapping){.from = from, .to = to};
    return true;
}

void tablespace_mappings_free(TablespaceMappings *mappings)
{
    for (size_t i = 0; i < mappings->count; i++)
    {
        free(mappings->mappings[i].from);
        free(mappings->mappings[i].to);
    }
    free(mappings->mappings);
    *mappings = (TablespaceMappings){0};
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

bool tablespace_is_listed(const Listing *source, const char *location)
{
    for (size_t i = 0; i < source->count; i++)
    {
        if (source->files[i].link_target != NULL && relpath_is_tablespace(source->files[i].path) &&
            strcmp(source->files[i].link_target, location) == 0)
            return true;
    }
    return false;
}

void tablespaces_map(const TablespaceMappings *mappings, Listing *source)
{
    for (size_t i = 0; i < source->count; i++)
    {
        ListedFile *file = &source->files[i];
        const char *to;

        if (file->link_target == NULL || !relpath_is_tablespace(file->path))
            continue;
        to = tablespace_mapped(mappings, file->link_target);
        if (to != NULL)
            file->link_target = to;
    }
}
