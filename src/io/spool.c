#include "io/spool.h"

#include "base/array.h"
#include "io/file.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define EXTENT_SIZE_MAX (64 * SPOOL_ITEM_MAX)

typedef struct Extent
{
    uint8_t *bytes;
    size_t size;
} Extent;

struct Spool
{
    Buffer directory; /* empty: it is memory */
    int fd;           /* descriptor of the current file; -1: none */
    Buffer path;      /* for messages; empty without a file */
    Extent *extents;  /* extents, which are never moved: callers hold pointers into them */
    size_t extent_count;
    size_t used;   /* bytes used in the last extent */
    uint64_t size; /* size of all extents */
    uint64_t file_size;
};

/* Create a file to replace the current one, whose extents stay mapped. */
static bool make_file(Spool *spool, Error *error)
{
    const char *path = buffer_string(&spool->path);

    file_close(spool->fd);
    spool->file_size = 0;
    /* A kill leaves nothing of a file that never had a name. Not every file system has such files.
     */
    spool->fd = open(buffer_string(&spool->directory), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (spool->fd >= 0)
        return true;
    if (file_create(path, CREATE_EMPTY, &spool->fd, error) &&
        file_set_mode(spool->fd, path, 0600, error) && file_remove(path, error))
        return true;
    (void) !file_remove(path, NULL);
    return false;
}

Spool *spool_create(const char *directory, Error *error)
{
    Spool *spool = memory_allocate_zeroed(1, sizeof(*spool));
    AUTO_BUFFER Buffer name = {0};

    spool->fd = -1;
    if (directory == NULL)
        return spool;
    buffer_printf(&name, "pg_rewind_rows.%ld", (long) getpid());
    path_in(&spool->directory, directory, "");
    path_in(&spool->path, directory, buffer_string(&name));
    if (make_file(spool, error))
        return spool;
    spool_free(spool);
    return NULL;
}

void spool_free(Spool *spool)
{
    if (spool == NULL)
        return;
    for (size_t i = 0; i < spool->extent_count; i++)
        munmap(spool->extents[i].bytes, spool->extents[i].size);
    free(spool->extents);
    file_close(spool->fd);
    buffer_free(&spool->directory);
    buffer_free(&spool->path);
    free(spool);
}

/* The disk's space is reserved before it is mapped: a write to a mapping cannot fail, but kills.
 * Where the limit for files (ulimit -f) is reached, the next file is begun. */
static bool add_extent(Spool *spool, Error *error)
{
    Extent extent = {.size = SPOOL_ITEM_MAX};
    const bool in_memory = spool->directory.size == 0;
    const char *path = buffer_string(&spool->path);
    const uint64_t limit = file_size_max();
    void *bytes = MAP_FAILED;

    while (extent.size < EXTENT_SIZE_MAX && extent.size < spool->size && 2 * extent.size <= limit)
        extent.size *= 2;
    if (!in_memory && ((spool->file_size > 0 && spool->file_size + extent.size > limit &&
                        !make_file(spool, error)) ||
                       !file_reserve(spool->fd, path, spool->file_size + extent.size, error)))
        return false;
    if (!in_memory || spool->size + extent.size <= SPOOL_MEMORY_MAX)
        bytes = mmap(NULL, extent.size, PROT_READ | PROT_WRITE,
                     in_memory ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, spool->fd,
                     in_memory ? 0 : (off_t) spool->file_size);
    if (bytes == MAP_FAILED && in_memory) /* no run ends with this: names can be left out */
        return error_set(error, ERROR_FAILED, "%s", "the limit of memory is reached");
    if (bytes == MAP_FAILED)
        return error_set_errno(error, "could not map file \"%s\"", path);
    extent.bytes = bytes;
    ARRAY_ADD(spool->extents, spool->extent_count, extent);
    spool->size += extent.size;
    spool->file_size += extent.size;
    spool->used = 0;
    return true;
}

void *spool_allocate(Spool *spool, size_t size, Error *error)
{
    const size_t rounded = (size + 7) & ~(size_t) 7;
    uint8_t *bytes;

    if ((spool->extent_count == 0 ||
         rounded > spool->extents[spool->extent_count - 1].size - spool->used) &&
        !add_extent(spool, error))
        return NULL;
    bytes = spool->extents[spool->extent_count - 1].bytes + spool->used;
    spool->used += rounded;
    return bytes;
}

bool spool_copy(Spool *spool, Slice bytes, Slice *copy, Error *error)
{
    uint8_t *room = spool_allocate(spool, bytes.size, error);

    if (room == NULL)
        return false;
    if (bytes.size > 0)
        memcpy(room, bytes.bytes, bytes.size);
    *copy = (Slice){room, bytes.size};
    return true;
}
