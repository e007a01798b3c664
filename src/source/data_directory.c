#include "source/data_directory.h"

#include "format/relpath.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

typedef struct ListWalk
{
    const char *directory;
    const Version *version;
    bool tolerant;
    SourceFileVisitor visit;
    void *context;
} ListWalk;

/* The links that the server itself makes and follows; a tablespace may be elsewhere, and so may
 * pg_wal. */
static bool follows_link(void *context, const char *path)
{
    const ListWalk *walk = context;

    return strcmp(path, walk->version->wal_directory) == 0 || relpath_is_tablespace(path);
}

static bool is_lost_and_found(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash != NULL ? slash + 1 : path, "lost+found") == 0;
}

bool data_directory_is_readable(const char *directory, const DirEntry *entry, bool *readable,
                                Error *error)
{
    char path[PATH_SIZE];

    if (!path_join(path, sizeof(path), directory, entry->path, error))
        return false;
    errno = 0;
    *readable = place_can_be_read(path);
    if (!*readable && errno != EACCES)
        return error_set_errno(error, ERROR_FAILED, "could not open directory \"%s\"", path);
    return true;
}

static bool visit_entry(void *context, const DirEntry *entry, bool *descend, Error *error)
{
    const ListWalk *walk = context;
    SourceFile file = {.path = entry->path};

    if (entry->link_target != NULL && !(entry->followed && !relpath_is_tablespace(entry->path)))
    {
        file.type = FILE_LINK;
        file.link_target = entry->link_target;
    }
    else if (S_ISDIR(entry->status->st_mode))
        file.type = FILE_DIRECTORY;
    else if (S_ISREG(entry->status->st_mode))
    {
        file.type = FILE_REGULAR;
        file.size = (uint64_t) entry->status->st_size;
    }
    else
        file.type = FILE_OTHER;
    if (is_lost_and_found(entry->path))
        *descend = false; /* the file system's own, and only root's to read */
    else if (walk->tolerant && S_ISDIR(entry->status->st_mode))
    {
        if (!data_directory_is_readable(walk->directory, entry, descend, error))
            return false;
        file.unreadable = !*descend;
    }
    return walk->visit(walk->context, &file, error);
}

bool data_directory_list(const char *directory, const Version *version, bool tolerant,
                         SourceFileVisitor visit, void *context, Error *error)
{
    ListWalk walk = {.directory = directory,
                     .version = version,
                     .tolerant = tolerant,
                     .visit = visit,
                     .context = context};

    return dir_walk(directory, visit_entry, follows_link, &walk, error);
}
