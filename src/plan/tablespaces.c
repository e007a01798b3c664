#include "plan/tablespaces.h"

#include "format/relpath.h"

#include <string.h>

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
