#include "divergence/saved_wal.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/dir.h"
#include "io/durable.h"
#include "io/file.h"
#include "io/place.h"
#include "wal/chain.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COPY_SIZE (1024 * 1024)
#define TEMPORARY ".pg_rewind.new"

/* What is saved, and where. */
typedef struct Saving
{
    const char *directory;
    const Clusters *clusters;
    const TargetWal *wal;
    const Divergence *diverged;
    bool only_check;        /* nothing is written: files that are there already are compared */
    uint64_t missing_bytes; /* of files that are not there; a history file counts like a segment */
} Saving;

/* Else there is no first segment, and all of pg_wal is copied. */
static bool diverged_wal_is_known(const Divergence *diverged)
{
    return diverged->lsn != LSN_INVALID && diverged->target_end > diverged->lsn;
}

static uint64_t first_segment(const Saving *saving)
{
    return wal_segment_of(&saving->clusters->shape, saving->diverged->lsn);
}

static uint64_t last_segment(const Saving *saving)
{
    return wal_segment_before(&saving->clusters->shape, saving->diverged->target_end);
}

/* ---- What can be checked before ---- */

/* The directory, or while there is none the one that it will be in. */
static bool find_existing_directory(const char *directory, char path[PATH_SIZE], bool *exists,
                                    Error *error)
{
    struct stat status;
    char *slash;

    if (!file_stat(directory, &status, exists, error))
        return false;
    if (*exists && !S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", directory);
    if (snprintf(path, PATH_SIZE, "%s", directory) >= PATH_SIZE)
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", directory);
    if (*exists)
        return true;
    for (size_t length = strlen(path); length > 1 && path[length - 1] == '/'; length--)
        path[length - 1] = '\0';
    slash = strrchr(path, '/');
    if (slash == NULL)
        snprintf(path, PATH_SIZE, ".");
    else
        slash[slash == path ? 1 : 0] = '\0';
    return true;
}

static bool check_outside(const char *path, const char *below, const char *option, Error *error)
{
    return !place_inside(path, below) ||
           error_set(error, ERROR_FAILED,
                     "directory \"%s\" for --save-diverged-wal must not be inside \"%s\"", option,
                     below);
}

/* ---- The copies ---- */

typedef struct SavedFile
{
    const char *name;
    char path[PATH_SIZE];
    char temporary[PATH_SIZE];
    uint8_t *bytes; /* two times COPY_SIZE */
} SavedFile;

static bool set_saved_paths(const char *directory, const char *name, SavedFile *file, Error *error)
{
    file->name = name;
    if (!path_join(file->path, sizeof(file->path), directory, name, error))
        return false;
    if (snprintf(file->temporary, PATH_SIZE, "%s" TEMPORARY, file->path) >= PATH_SIZE)
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", file->path);
    return true;
}

/* What is there already must be the same. */
static bool check_equal(const SavedFile *file, int from, int to, Error *error)
{
    size_t length = 1, other = 1;

    for (uint64_t offset = 0; length > 0 || other > 0; offset += COPY_SIZE)
    {
        if (!file_read_at(from, file->name, file->bytes, COPY_SIZE, offset, &length, error) ||
            !file_read_at(to, file->path, file->bytes + COPY_SIZE, COPY_SIZE, offset, &other,
                          error))
            return false;
        if (length == other && memcmp(file->bytes, file->bytes + COPY_SIZE, length) == 0)
            continue;
        error_set(error, ERROR_FAILED, "file \"%s\" exists with other content", file->path);
        return error_hint(error,
                          "Use a separate directory for --save-diverged-wal for each rewind.");
    }
    return true;
}

static bool copy_and_sync(const SavedFile *file, int from, int to, Error *error)
{
    size_t length = COPY_SIZE;

    for (uint64_t offset = 0; length == COPY_SIZE; offset += length)
    {
        if (!stop_check(error) ||
            !file_read_at(from, file->name, file->bytes, COPY_SIZE, offset, &length, error) ||
            !file_write_at(to, file->temporary, file->bytes, length, offset, error))
            return false;
    }
    return file_sync(to, file->temporary, error);
}

static bool copy_new(const SavedFile *file, int from, Error *error)
{
    int to = -1;
    bool result = file_remove(file->temporary, error) && file_create(file->temporary, &to, error) &&
                  copy_and_sync(file, from, to, error);

    file_close(to);
    result = result && file_rename(file->temporary, file->path, error);
    if (!result)
        (void) !file_remove(file->temporary, NULL);
    return result;
}

static bool save_file(Saving *saving, const char *name, int from, Error *error)
{
    SavedFile file = {.bytes = NULL};
    int to = -1;
    bool exists, result;

    if (!set_saved_paths(saving->directory, name, &file, error) ||
        !file_open_read(file.path, &to, &exists, error))
        return false;
    if (!exists)
        saving->missing_bytes += saving->clusters->shape.segment_size;
    if (!exists && saving->only_check)
        return true;
    file.bytes = memory_allocate(2 * (size_t) COPY_SIZE);
    if (exists)
        result = check_equal(&file, from, to, error) &&
                 (saving->only_check || file_sync(to, file.path, error));
    else
        result = copy_new(&file, from, error);
    if (exists)
        file_close(to);
    free(file.bytes);
    return result;
}

static bool save_segments(Saving *saving, Error *error)
{
    const WalStream *stream = &saving->wal->stream;
    Timeline timeline;
    uint64_t number;

    for (uint64_t segment = first_segment(saving); segment <= last_segment(saving); segment++)
    {
        char name[WAL_NAME_SIZE];
        int fd;
        bool found, saved;

        wal_stream_segment_name(stream, segment, name);
        if (!wal_segment_name_parse(&saving->clusters->shape, name, &timeline, &number))
            return error_set(error, ERROR_FAILED, "WAL segment \"%s\" has a wrong name", name);
        if (!stream->open(stream->context, timeline, segment, &fd, &found, error))
            return false;
        if (!found)
            return error_missing_wal(stream, timeline, segment, error);
        saved = save_file(saving, name, fd, error);
        file_close(fd);
        if (!saved)
            return false;
    }
    return true;
}

/* A DirNameVisitor for the target's pg_wal: history files, and segments where all are kept. */
static bool save_named(void *context, const char *name, Error *error)
{
    Saving *saving = context;
    const size_t length = strlen(name);
    const bool is_history = length == 16 && strcmp(name + 8, ".history") == 0;
    char path[PATH_SIZE];
    Timeline timeline;
    uint64_t number;
    int fd;
    bool found, saved;

    if (!is_history &&
        (diverged_wal_is_known(saving->diverged) ||
         !wal_segment_name_parse(&saving->clusters->shape, name, &timeline, &number)))
        return true;
    if (snprintf(path, sizeof(path), "%s/%s/%s", saving->clusters->target.directory,
                 saving->clusters->shape.version->wal_directory, name) >= (int) sizeof(path))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", name);
    if (!file_open_read(path, &fd, &found, error))
        return false;
    if (!found)
        return true;
    saved = save_file(saving, name, fd, error);
    file_close(fd);
    return saved;
}

/* Where the segments end that one pg_waldump can read: it takes one timeline. */
static Lsn find_end_of_timeline(const Saving *saving, Timeline timeline)
{
    const WalShape *shape = &saving->clusters->shape;

    for (uint64_t segment = first_segment(saving); segment <= last_segment(saving); segment++)
    {
        char name[WAL_NAME_SIZE];
        Timeline other = 0;
        uint64_t number;

        wal_stream_segment_name(&saving->wal->stream, segment, name);
        if (!wal_segment_name_parse(shape, name, &other, &number) || other != timeline)
            return wal_segment_start(shape, segment);
    }
    return saving->diverged->target_end;
}

/* The pg_waldump that reads the copies, of the timeline that the divergence's segment is named by.
 */
static const char *make_waldump_command(const Saving *saving, Arena *arena)
{
    const WalShape *shape = &saving->clusters->shape;
    char name[WAL_NAME_SIZE], from[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];
    Timeline timeline = 0;
    Buffer directory = {0};
    const char *command;
    uint64_t number;

    wal_stream_segment_name(&saving->wal->stream, first_segment(saving), name);
    if (!wal_segment_name_parse(shape, name, &timeline, &number))
        return NULL;
    buffer_append_word(&directory, saving->directory);
    command = arena_printf(arena, "%s -p %s -t %u -s %s -e %s", shape->version->wal_dump_program,
                           buffer_string(&directory), timeline,
                           lsn_text(shape->version, saving->diverged->lsn, from),
                           lsn_text(shape->version, find_end_of_timeline(saving, timeline), end));
    buffer_free(&directory);
    return command;
}

/* Segments first, then what only pg_wal tells the names of. */
static bool save_wal(Saving *saving, Error *error)
{
    char pg_wal[PATH_SIZE];

    return path_join(pg_wal, sizeof(pg_wal), saving->clusters->target.directory,
                     saving->clusters->shape.version->wal_directory, error) &&
           (!diverged_wal_is_known(saving->diverged) || save_segments(saving, error)) &&
           dir_names(pg_wal, save_named, saving, NULL, error);
}

bool saved_wal_check(const char *directory, const Clusters *clusters, const TargetWal *wal,
                     const Divergence *diverged, Error *error)
{
    Saving saving = {directory, clusters, wal, diverged, .only_check = true};
    const char *target = clusters->target.directory, *source = clusters->source->directory;
    char existing[PATH_SIZE], pg_wal[PATH_SIZE];
    FileSpace space;
    bool exists;

    if (directory == NULL)
        return true;
    if (!find_existing_directory(directory, existing, &exists, error) ||
        !path_join(pg_wal, sizeof(pg_wal), target, clusters->shape.version->wal_directory, error) ||
        !check_outside(existing, target, directory, error) ||
        !check_outside(existing, pg_wal, directory, error) ||
        (source != NULL && !check_outside(existing, source, directory, error)))
        return false;
    if (!place_can_change_names(existing))
        return error_set_errno(error, ERROR_FAILED, "could not write to directory \"%s\"",
                               existing);
    if (!save_wal(&saving, error) || !file_space(existing, &space, error))
        return false;
    if (space.free_bytes < saving.missing_bytes)
    {
        error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"", existing);
        return error_detail(error, "The diverged WAL needs %llu MB, %llu MB are free.",
                            (unsigned long long) (saving.missing_bytes >> 20),
                            (unsigned long long) (space.free_bytes >> 20));
    }
    return true;
}

bool saved_wal_write(const char *directory, const Clusters *clusters, const TargetWal *wal,
                     const Divergence *diverged, Arena *arena, const char **command, Error *error)
{
    Saving saving = {directory, clusters, wal, diverged, .only_check = false};
    char canonical[PLACE_PATH_SIZE];
    struct stat status;
    bool exists;

    /* Invariant 3: what is there is on the disk before the commit takes it from the target. */
    if (!file_stat(directory, &status, &exists, error) ||
        (!exists && !file_make_directory(directory, error)) ||
        !place_canonical(directory, canonical, &exists, error) ||
        !durable_sync_parent(canonical, error) || !save_wal(&saving, error) ||
        !file_sync_path(directory, error))
        return false;
    *command = NULL;
    if (!diverged_wal_is_known(diverged))
        log_info("the target's WAL is kept in \"%s\"", directory);
    else
        *command = make_waldump_command(&saving, arena);
    if (*command != NULL)
        log_info("the diverged WAL is kept in \"%s\"; to read it: %s", directory, *command);
    return true;
}
