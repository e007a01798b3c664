#include "source/directory.h"

#include "format/relpath.h"
#include "io/open_file.h"
#include "io/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PG_VERSION_SIZE_MAX 1024

/* ---- Any data directory, the source's or the target's ---- */

typedef struct ListWalk
{
    const char *directory;
    const Version *version;
    bool tolerant;
    FileVisitor visit;
    void *context;
} ListWalk;

/* A DirFollow for the links that the server itself follows: those of tablespaces, and pg_wal. */
static bool follows_link(void *context, const char *path)
{
    const ListWalk *walk = context;

    return strcmp(path, walk->version->wal_directory) == 0 || relpath_is_tablespace(path);
}

bool data_directory_is_readable(const char *directory, const DirEntry *entry, bool *readable,
                                Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    errno = 0;
    *readable = place_can_be_read(path_in(&path, directory, entry->path));
    if (!*readable && errno != EACCES)
        return error_set_errno(error, "could not open directory \"%s\"", buffer_string(&path));
    return true;
}

static bool visit_entry(void *context, const DirEntry *entry, bool *descend, Error *error)
{
    const ListWalk *walk = context;
    VisitedFile file = {
        .path = entry->path, .device = entry->status->st_dev, .inode = entry->status->st_ino};

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
    *descend = relpath_is_listed(entry->path);
    if (*descend && walk->tolerant && S_ISDIR(entry->status->st_mode))
    {
        if (!data_directory_is_readable(walk->directory, entry, descend, error))
            return false;
        file.unreadable = !*descend;
    }
    return walk->visit(walk->context, &file, error);
}

bool data_directory_list(const char *directory, const Version *version, bool tolerant,
                         FileVisitor visit, void *context, Error *error)
{
    ListWalk walk = {.directory = directory,
                     .version = version,
                     .tolerant = tolerant,
                     .visit = visit,
                     .context = context};

    return dir_walk(directory, visit_entry, follows_link, &walk, error);
}

static bool read_control_of_directory(void *context, Buffer *buffer, Error *error)
{
    return file_read_all(context, CONTROL_READ_MAX, buffer, NULL, error);
}

bool directory_control_read(const char *directory, Control *control, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, version_path = {0}, version = {0};
    ControlFile file = {.name = path_in(&path, directory, CONTROL_PATH)};
    Error encrypted;
    bool found;

    if (!file_read_all(path_in(&version_path, directory, "PG_VERSION"), PG_VERSION_SIZE_MAX,
                       &version, &found, error))
        return false;
    file.pg_version = buffer_string(&version);
    if (source_control_read(read_control_of_directory, path.bytes, file, control, error))
    {
        TextCursor text;

        if (!found && !file_read_all(buffer_string(&version_path), PG_VERSION_SIZE_MAX, &version,
                                     NULL, error))
            return false;
        text = text_cursor(buffer_string(&version));
        if (version_take_name(&text, control->version))
            return true;
        /* PG_VERSION has the major version too. If both differ, files of two clusters are mixed. */
        error_set(error, ERROR_FAILED,
                  "PG_VERSION and pg_control in directory \"%s\" are of different versions",
                  directory);
        return error_detail(error, "PG_VERSION contains \"%.*s\", pg_control is of version %s.",
                            (int) strcspn(buffer_string(&version), "\n"), buffer_string(&version),
                            control->version->name);
    }
    if (error != NULL && error->error_number == ENOENT)
        return error_hint(error,
                          "Is \"%s\" a data directory? That is the one that holds PG_VERSION, base "
                          "and global.",
                          directory);
    /* pg_control of a server that encrypts may have other fields: then say that it encrypts. */
    if (error != NULL && error->error_number == 0 &&
        !encryption_check(NULL, directory, &encrypted) && encrypted.error_number == 0)
        error_copy(error, &encrypted);
    return false;
}

bool directory_standby_timeline(const char *directory, const Control *control, Timeline *timeline,
                                Error *error)
{
    Source *source;
    bool success;

    if (!source_directory_open(directory, 0, &source, error))
        return false;
    success = source_standby_timeline(source, control, LSN_INVALID, timeline, error);
    source_close(source);
    return success;
}

bool directory_may_be_of_promoted(const char *directory, const Control *control)
{
    const WalShape shape = control_wal_shape(control);
    AUTO_BUFFER Buffer path = {0};
    char name[WAL_NAME_SIZE];
    struct stat status;
    bool found;

    if (!control_may_be_of_promoted(control))
        return false;
    wal_segment_name(&shape, control->min_recovery_timeline,
                     wal_segment_before(&shape, control->min_recovery_point), name);
    buffer_printf(&path, "%s/%s/%s", directory, control->version->wal_directory, name);
    return file_stat(buffer_string(&path), &status, &found, NULL) && found;
}

/* ---- A data directory as source ---- */

static void directory_close(Source *source)
{
    rate_free(source->rate);
    free((char *) source->directory);
    free(source);
}

static bool directory_read_file(Source *source, const char *path, size_t limit, Buffer *buffer,
                                bool *found, Error *error)
{
    AUTO_BUFFER Buffer full = {0};

    return file_read_all(path_in(&full, source->directory, path), limit, buffer, found, error);
}

static bool directory_read_control(Source *source, Control *control, Error *error)
{
    return directory_control_read(source->directory, control, error);
}

/* The end of WAL is not set: pg_control has only the position of the last checkpoint, so the caller
 * finds the end by reading WAL. */
static bool directory_position(Source *source, const Control *control, SourcePosition *position,
                               Error *error)
{
    *position = (SourcePosition){
        .in_recovery = control->state == STATE_SHUTDOWNED_IN_RECOVERY,
        .end = LSN_INVALID,
        .minimum = LSN_INVALID,
        .timeline = control_timeline(control),
    };
    if (!position->in_recovery)
        return true;
    position->minimum = control->min_recovery_point;
    return directory_may_be_of_promoted(source->directory, control) ||
           source_standby_timeline(source, control, LSN_INVALID, &position->timeline, error);
}

static bool directory_list(Source *source, const Version *version, FileVisitor visit, void *context,
                           Error *error)
{
    return data_directory_list(source->directory, version, false, visit, context, error);
}

static bool directory_names(Source *source, const char *directory, Arena *arena,
                            const char ***names, Error *error)
{
    bool found;

    return dir_list(arena_printf(arena, "%s/%s", source->directory, directory), arena, names,
                    &found, error);
}

static bool directory_try_files(Source *source, const char *const *paths, size_t count,
                                RefusedFiles *refused, Error *error)
{
    AUTO_BUFFER Buffer full = {0};

    refused->count = 0;
    for (size_t i = 0; i < count && refused->count < REFUSED_FILES_MAX; i++)
    {
        const char *path = path_in(&full, source->directory, paths[i]);
        Error *problem = &refused->errors[refused->count];
        AUTO_FD int fd = -1;
        size_t length;
        uint8_t byte;
        bool found;

        if (file_open_read(path, &fd, &found, problem) &&
            (!found || file_read_at(fd, path, &byte, sizeof(byte), 0, &length, problem)))
            continue;
        if (problem->error_number != EACCES && problem->error_number != EPERM)
            return error_copy(error, problem);
        refused->paths[refused->count++] = paths[i];
    }
    return true;
}

static bool directory_start_workers(Source *source, int jobs, uint64_t bytes, int *granted,
                                    Error *error)
{
    (void) bytes;
    (void) source;
    (void) error;
    *granted = jobs;
    return true;
}

static bool directory_fetch(Source *source, int worker, const FetchBatch *batch,
                            FetchDelivery deliver, void *context, Error *error)
{
    AUTO_BUFFER Buffer bytes = {0}, path = {0};
    OpenFile file;
    bool success = true;

    (void) worker;
    open_file_init(&file, NULL);
    for (size_t i = 0; success && i < batch->count; i++)
    {
        const FetchRequest *request = &batch->requests[i];
        const char *full = path_in(&path, source->directory, request->path);
        size_t length = 0;

        buffer_reserve(&bytes,
                       (size_t) request->size + 1); /* never NULL, which means a missing file */
        success = open_file_switch(&file, full, OPEN_TO_READ, NULL, error) &&
                  (file.fd < 0 || (file_read_at(file.fd, full, bytes.bytes, request->size,
                                                request->offset, &length, error) &&
                                   rate_take(source->rate, length, error))) &&
                  deliver(context, i, file.fd >= 0 ? bytes.bytes : NULL, length, error);
    }
    open_file_close(&file);
    return success;
}

static const SourceOperations directory_operations = {
    .close = directory_close,
    .read_control = directory_read_control,
    .position = directory_position,
    .read_file = directory_read_file,
    .list = directory_list,
    .try_files = directory_try_files,
    .names = directory_names,
    .start_workers = directory_start_workers,
    .fetch = directory_fetch,
};

bool source_directory_open(const char *path, uint64_t bytes_per_second, Source **source,
                           Error *error)
{
    Source *self;
    struct stat status;
    size_t length = strlen(path);

    if (!file_stat(path, &status, NULL, error))
        return error_hint(error, "--source-pgdata must name the data directory of a source that is "
                                 "stopped; --source-server takes a running one.");
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", path);

    /* Remove slashes at the end: paths of files are the directory's, one slash, and a path below.
     */
    while (length > 1 && path[length - 1] == '/')
        length--;
    self = memory_allocate_zeroed(1, sizeof(*self));
    self->operations = &directory_operations;
    self->directory = self->description = strndup(path, length);
    if (self->directory == NULL)
        out_of_memory();
    self->rate = rate_create(bytes_per_second);
    *source = self;
    return true;
}
