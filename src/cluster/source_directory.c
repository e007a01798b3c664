#include "cluster/source.h"

#include "cluster/target.h"
#include "io/file.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

typedef struct DirectorySource
{
    Source source;
    char *directory; /* without slashes at the end */
} DirectorySource;

static void directory_close(Source *source)
{
    DirectorySource *self = (DirectorySource *)source;

    free(self->directory);
    free(self);
}

static bool directory_read_file(Source *source, const char *path, size_t limit, Buffer *buffer,
                                bool *found, Error *error)
{
    const DirectorySource *self = (const DirectorySource *)source;
    char full[PATH_SIZE];

    if (!path_join(full, sizeof(full), self->directory, path, error))
        return false;
    return file_read_all(full, limit, buffer, found, error);
}

static bool read_control_bytes(void *context, Buffer *buffer, Error *error)
{
    const DirectorySource *self = context;
    char path[PATH_SIZE];

    if (!path_join(path, sizeof(path), self->directory, CONTROL_PATH, error))
        return false;
    return file_read_all(path, CONTROL_READ_MAX, buffer, NULL, error);
}

static bool directory_read_control(Source *source, Control *control, Error *error)
{
    DirectorySource *self = (DirectorySource *)source;
    char path[PATH_SIZE];

    if (!path_join(path, sizeof(path), self->directory, CONTROL_PATH, error))
        return false;
    return source_control_read(read_control_bytes, self, path, control, error);
}

static bool directory_position(Source *source, const Control *control, SourcePosition *position,
                               Error *error)
{
    (void)source;
    (void)error;

    /* Where its WAL ends is found by reading it: pg_control knows only where the last checkpoint
     * begins. */
    *position = (SourcePosition){
        .in_recovery = control->state == STATE_SHUTDOWNED_IN_RECOVERY,
        .end = LSN_INVALID,
        .minimum = LSN_INVALID,
        .timeline = control_timeline(control),
    };
    if (position->in_recovery)
        position->minimum = control->min_recovery_point;
    return true;
}

static bool directory_list(Source *source, SourceFileVisitor visit, void *context, Error *error)
{
    const DirectorySource *self = (const DirectorySource *)source;

    return data_directory_list(self->directory, visit, context, error);
}

static bool directory_start_workers(Source *source, int jobs, int *granted, Error *error)
{
    (void)source;
    (void)error;
    *granted = jobs;
    return true;
}

/* Requests for one file follow each other as a rule, so it stays open until the next name comes. */
static bool read_pieces(const DirectorySource *self, const FetchRequest *requests, size_t count,
                        size_t size_max, bool digest, FetchDelivery deliver, void *context,
                        bool *supported, Error *error)
{
    uint8_t *bytes = memory_allocate(size_max);
    char full[PATH_SIZE];
    const char *open_path = NULL;
    int fd = -1;
    bool success = false;

    for (size_t i = 0; i < count; i++)
    {
        const FetchRequest *request = &requests[i];
        uint8_t md5[16];
        size_t length = 0;
        bool found = fd >= 0;

        assert(request->size <= size_max);
        if (open_path == NULL || strcmp(open_path, request->path) != 0)
        {
            file_close(fd);
            fd = -1;
            open_path = request->path;
            if (!path_join(full, sizeof(full), self->directory, request->path, error) ||
                !file_open_read(full, &fd, &found, error))
                goto done;
        }
        if (!found)
        {
            if (!deliver(context, i, NULL, 0, error))
                goto done;
            continue;
        }
        if (!file_read_at(fd, full, bytes, request->size, request->offset, &length, error))
            goto done;
        if (digest && !digest_bytes(bytes, length, md5))
        {
            *supported = false;
            break;
        }
        if (!deliver(context, i, digest ? md5 : bytes, digest ? sizeof(md5) : length, error))
            goto done;
    }
    success = true;

done:
    file_close(fd);
    free(bytes);
    return success;
}

static bool directory_fetch(Source *source, int worker, const FetchRequest *requests, size_t count,
                            FetchDelivery deliver, void *context, Error *error)
{
    (void)worker;
    return read_pieces((const DirectorySource *)source, requests, count, FETCH_SIZE_MAX, false,
                       deliver, context, NULL, error);
}

static bool directory_digest(Source *source, int worker, const FetchRequest *requests, size_t count,
                             FetchDelivery deliver, void *context, bool *supported, Error *error)
{
    (void)worker;
    *supported = true;
    return read_pieces((const DirectorySource *)source, requests, count, DIGEST_SIZE_MAX, true,
                       deliver, context, supported, error);
}

static const SourceOperations directory_operations = {
    .close = directory_close,
    .read_control = directory_read_control,
    .position = directory_position,
    .read_file = directory_read_file,
    .list = directory_list,
    .start_workers = directory_start_workers,
    .fetch = directory_fetch,
    .digest = directory_digest,
};

bool source_directory_open(const char *path, Source **source, Error *error)
{
    DirectorySource *self;
    struct stat status;
    size_t length = strlen(path);

    if (!file_stat(path, &status, NULL, error))
        return false;
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", path);

    while (length > 1 && path[length - 1] == '/')
        length--;
    self = memory_allocate_zeroed(1, sizeof(*self));
    self->directory = memory_allocate(length + 1);
    memcpy(self->directory, path, length);
    self->directory[length] = '\0';
    self->source.operations = &directory_operations;
    self->source.description = self->directory;
    *source = &self->source;
    return true;
}
