#include "io/durable.h"

#include "io/file.h"

#include <string.h>

bool durable_sync_parent(const char *path, Error *error)
{
    AUTO_BUFFER Buffer parent = {0};
    size_t length = strlen(path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    if (length == 0)
        return file_sync_path(".", error);
    length -= length > 1; /* without the slash, unless it is the root directory */
    buffer_append(&parent, path, length);
    return file_sync_path(buffer_string(&parent), error);
}

/* A new file with these bytes, on the disk. */
static bool write_new_file(const char *path, const void *bytes, size_t size, mode_t mode,
                           Error *error)
{
    AUTO_FD int fd = -1;

    /* Removed first: there may be a link that leads elsewhere. */
    return file_remove(path, error) && file_create(path, &fd, error) &&
           file_write_at(fd, path, bytes, size, 0, error) &&
           file_set_mode(fd, path, mode != 0 ? mode : file_mode(), error) &&
           file_sync(fd, path, error);
}

bool durable_replace(const char *path, const char *temporary_path, const void *bytes, size_t size,
                     mode_t mode, Error *error)
{
    if (!write_new_file(temporary_path, bytes, size, mode, error) ||
        !file_rename(temporary_path, path, error))
    {
        (void) !file_remove(temporary_path, NULL); /* the first error is the one to tell */
        return false;
    }
    return durable_sync_parent(path, error);
}

bool durable_rename(const char *from, const char *to, Error *error)
{
    return file_rename(from, to, error) && durable_sync_parent(to, error) &&
           durable_sync_parent(from, error);
}

bool durable_remove(const char *path, Error *error)
{
    return file_remove(path, error) && durable_sync_parent(path, error);
}
