#include "io/written.h"

#include "base/array.h"
#include "base/workers.h"
#include "io/file.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FREE_DESCRIPTORS 256 /* for all else: connections, files that workers read and write */

typedef struct KeptFile
{
    int fd;
    char *path;
} KeptFile;

struct Written
{
    pthread_mutex_t lock;
    KeptFile kept[WRITTEN_KEPT_MAX];
    size_t kept_count, kept_max;
    bool too_many;
    KeptFile *watched; /* one of each file system */
    size_t watched_count;
};

static KeptFile kept_file(int fd, const char *path)
{
    const size_t size = strlen(path) + 1;

    return (KeptFile){fd, memcpy(memory_allocate(size), path, size)};
}

Written *written_create(void)
{
    Written *written = memory_allocate_zeroed(1, sizeof(*written));
    struct rlimit limit;

    pthread_mutex_init(&written->lock, NULL);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > FREE_DESCRIPTORS)
        written->kept_max = limit.rlim_cur - FREE_DESCRIPTORS < WRITTEN_KEPT_MAX
                                ? (size_t) limit.rlim_cur - FREE_DESCRIPTORS
                                : WRITTEN_KEPT_MAX;
    return written;
}

bool written_watch(Written *written, const char *path, Error *error)
{
    int fd;

    if (!file_sync_enabled())
        return true;
    if (!file_open_read(path, &fd, NULL, error))
        return false;
    ARRAY_GROW(written->watched, written->watched_count);
    written->watched[written->watched_count++] = kept_file(fd, path);
    return true;
}

void written_keep(Written *written, int fd, const char *path)
{
    if (fd < 0)
        return;
    pthread_mutex_lock(&written->lock);
    if (file_sync_enabled() && written->kept_count < written->kept_max)
    {
        written->kept[written->kept_count++] = kept_file(fd, path);
        fd = -1;
    }
    else
        written->too_many = true;
    pthread_mutex_unlock(&written->lock);
    file_close(fd);
}

bool written_all_kept(const Written *written)
{
    return !written->too_many;
}

static bool sync_kept(void *context, int worker, size_t item, Error *error)
{
    const Written *written = context;

    (void) worker;
    return file_sync(written->kept[item].fd, written->kept[item].path, error);
}

static void close_kept(Written *written)
{
    for (size_t i = 0; i < written->kept_count; i++)
    {
        file_close(written->kept[i].fd);
        free(written->kept[i].path);
    }
    written->kept_count = 0;
}

bool written_sync(Written *written, bool by_file_system, int jobs, Error *error)
{
    bool ok = true;

    if (!file_sync_enabled())
        return true;
    /* The file systems come first: then the files have nothing to wait for. */
    for (size_t i = 0; ok && (by_file_system || written->too_many) && i < written->watched_count;
         i++)
        ok = file_sync_file_system(written->watched[i].fd, written->watched[i].path, error);
    ok =
        ok && (by_file_system || workers_run(jobs, written->kept_count, sync_kept, written, error));
    close_kept(written);
    return ok;
}

void written_free(Written *written)
{
    if (written == NULL)
        return;
    close_kept(written);
    for (size_t i = 0; i < written->watched_count; i++)
    {
        file_close(written->watched[i].fd);
        free(written->watched[i].path);
    }
    free(written->watched);
    pthread_mutex_destroy(&written->lock);
    free(written);
}
