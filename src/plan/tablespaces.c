#include "plan/tablespaces.h"

#include "format/relpath.h"

#include <string.h>

bool tablespace_is_listed(const Listing *source, const char *location)
{
    for (size_t i = 0; i < source->link_count; i++)
    {
        if (relpath_is_tablespace(source->links[i].path) &&
            strcmp(source->links[i].target, location) == 0)
            return true;
    }
    return false;
}

void tablespaces_map(const TablespaceMappings *mappings, Listing *source)
{
    for (size_t i = 0; i < source->link_count; i++)
    {
        ListedLink *link = &source->links[i];
        const char *to =
            relpath_is_tablespace(link->path) ? tablespace_mapped(mappings, link->target) : NULL;

        if (to != NULL)
            link->target = to;
    }
}
