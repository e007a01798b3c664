#include "io/open_file.h"

#include "base/array.h"
#include "base/workers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define FREE_DESCRIPTORS 256 /* for all else: connections, files that workers read and write */

/* ---- Files that were written ---- */

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
    bool syncs_in_part; /* a file system for which syncfs is not known to be enough */
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
    AUTO_FD int fd = -1;
    struct stat status, other;
    FileSpace space;

    if (!file_sync_enabled())
        return true;
    if (!file_open_read(path, &fd, NULL, error) || !file_space(path, &space, error))
        return false;
    if (fstat(fd, &status) != 0)
        return error_set_errno(error, "could not stat file \"%s\"", path);
    for (size_t i = 0; i < written->watched_count; i++)
    {
        if (fstat(written->watched[i].fd, &other) == 0 && other.st_dev == status.st_dev)
            return true;
    }
    written->syncs_in_part = written->syncs_in_part || !space.syncs_whole;
    ARRAY_ADD(written->watched, written->watched_count, kept_file(fd, path));
    fd = -1;
    return true;
}

bool written_syncs_whole(const Written *written)
{
    return !written->syncs_in_part;
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

static bool sync_kept(void *context, size_t item, Error *error)
{
    const Written *written = context;

    return file_sync(written->kept[item].fd, written->kept[item].path, error);
}

static void close_files(KeptFile *files, size_t *count)
{
    for (; *count > 0; (*count)--)
    {
        file_close(files[*count - 1].fd);
        free(files[*count - 1].path);
    }
}

bool written_sync_file_systems(Written *written, Error *error)
{
    for (size_t i = 0; i < written->watched_count; i++)
        if (!file_sync_file_system(written->watched[i].fd, written->watched[i].path, error))
            return false;
    return true;
}

bool written_sync(Written *written, bool file_systems, int jobs, Error *error)
{
    bool ok;

    if (!file_sync_enabled())
        return true;
    /* The file systems come first: then the files have nothing to wait for. */
    ok = !(file_systems || written->too_many) || written_sync_file_systems(written, error);
    ok = ok && workers_run(jobs, written->kept_count, sync_kept, written, error);
    close_files(written->kept, &written->kept_count);
    return ok;
}

void written_free(Written *written)
{
    if (written == NULL)
        return;
    close_files(written->kept, &written->kept_count);
    close_files(written->watched, &written->watched_count);
    free(written->watched);
    pthread_mutex_destroy(&written->lock);
    free(written);
}

/* ---- The file that is open ---- */

void open_file_init(OpenFile *file, Written *written)
{
    *file = (OpenFile){.fd = -1, .written = written};
}

void open_file_close(OpenFile *file)
{
    if (file->written != NULL)
        written_keep(file->written, file->fd, file->path);
    else
        file_close(file->fd);
    free(file->path);
    open_file_init(file, file->written);
}

bool open_file_switch(OpenFile *file, const char *path, OpenMode mode, bool *switched, Error *error)
{
    const bool is_open = file->path != NULL && strcmp(file->path, path) == 0;
    bool found;

    if (switched != NULL)
        *switched = !is_open;
    file->purpose = NULL;
    if (is_open)
        return true;
    open_file_close(file);
    file->path = strdup(path);
    if (file->path == NULL)
        out_of_memory();
    if (mode == OPEN_TO_READ     ? file_open_read(path, &file->fd, &found, error)
        : mode == OPEN_TO_UPDATE ? file_open_update(path, &file->fd, error)
                                 : file_create(path, CREATE_MISSING, &file->fd, error))
        return true;
    open_file_close(file);
    return false;
}
