/*
 * --save-diverged-wal: the target's WAL from the divergence on, and its history files, kept in a
 * directory of the user's before the commit. Each file has its name only when it is whole and on
 * the disk, so that the same command can go on after an interruption.
 */
#include "phases/run.h"

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
#define HISTORY_SIZE_MAX (16 * 1024 * 1024)

/* With --compare WAL is not read to its end: then all of pg_wal is kept. */
static bool is_known(const Run *run)
{
    return !run->options->compare && run->target_end > run->divergence;
}

static uint64_t first_segment(const Run *run)
{
    return wal_segment_of(&run->shape, run->divergence);
}

static uint64_t last_segment(const Run *run)
{
    return wal_segment_before(&run->shape, run->target_end);
}

/* ---- What can be checked before ---- */

/* The directory, or while there is none the one that it will be in. */
static bool find_place(const char *directory, char path[PATH_SIZE], bool *exists, Error *error)
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

static bool open_saved(const char *directory, const char *name, SavedFile *file, Error *error)
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

static bool copy_bytes(const SavedFile *file, int from, int to, Error *error)
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
                  copy_bytes(file, from, to, error);
    Error ignored;

    file_close(to);
    result = result && file_rename(file->temporary, file->path, error);
    if (!result)
        (void) !file_remove(file->temporary, &ignored);
    return result;
}

/* With only_check nothing is written: what is there already is compared. */
typedef struct Saving
{
    Run *run;
    bool only_check;
    uint64_t missing_bytes; /* of what is not there; a history file counts like a segment */
} Saving;

static bool save_file(Saving *saving, const char *name, int from, Error *error)
{
    SavedFile file = {.bytes = NULL};
    int to = -1;
    bool exists, result;

    if (!open_saved(saving->run->options->save_diverged_wal, name, &file, error) ||
        !file_open_read(file.path, &to, &exists, error))
        return false;
    if (!exists)
        saving->missing_bytes += saving->run->shape.segment_size;
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
    const Run *run = saving->run;
    const WalStream *stream = &run->target_stream;
    Timeline timeline;
    uint64_t number;

    for (uint64_t segment = first_segment(run); segment <= last_segment(run); segment++)
    {
        char name[WAL_NAME_SIZE];
        int fd;
        bool found, saved;

        wal_stream_segment_name(stream, segment, name);
        if (!wal_segment_name_parse(&run->shape, name, &timeline, &number))
            return error_set(error, ERROR_FAILED, "WAL segment \"%s\" has a wrong name", name);
        if (!stream->open(stream->context, timeline, segment, &fd, &found, error))
            return false;
        if (!found)
            return wal_missing_error(stream, timeline, segment, error);
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
    const Run *run = saving->run;
    const size_t length = strlen(name);
    const bool is_history = length == 16 && strcmp(name + 8, ".history") == 0;
    char path[PATH_SIZE];
    Timeline timeline;
    uint64_t number;
    int fd;
    bool found, saved;

    if (!is_history &&
        (is_known(run) || !wal_segment_name_parse(&run->shape, name, &timeline, &number)))
        return true;
    if (snprintf(path, sizeof(path), "%s/pg_wal/%s", run->target.directory, name) >=
        (int) sizeof(path))
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
static Lsn end_of_timeline(const Run *run, Timeline timeline)
{
    for (uint64_t segment = first_segment(run); segment <= last_segment(run); segment++)
    {
        char name[WAL_NAME_SIZE];
        Timeline other = 0;
        uint64_t number;

        wal_stream_segment_name(&run->target_stream, segment, name);
        if (!wal_segment_name_parse(&run->shape, name, &other, &number) || other != timeline)
            return wal_segment_start(&run->shape, segment);
    }
    return run->target_end;
}

/* How to read it: of the timeline that the divergence's segment is named by. */
static void tell_where(Run *run)
{
    const char *directory = run->options->save_diverged_wal;
    char name[WAL_NAME_SIZE], from[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];
    Timeline timeline = 0;
    uint64_t number;

    run->report->saved_wal = directory;
    if (!is_known(run))
    {
        log_info("the target's WAL is kept in \"%s\"", directory);
        return;
    }
    wal_stream_segment_name(&run->target_stream, first_segment(run), name);
    if (!wal_segment_name_parse(&run->shape, name, &timeline, &number))
        return;
    run->report->saved_wal_command =
        arena_printf(run->arena, "pg_waldump -p \"%s\" -t %u -s %s -e %s", directory, timeline,
                     run_lsn_text(run, run->divergence, from),
                     run_lsn_text(run, end_of_timeline(run, timeline), end));
    log_info("the diverged WAL is kept in \"%s\"; to read it: %s", directory,
             run->report->saved_wal_command);
}

/* All of it. */
static bool save_all(Saving *saving, Error *error)
{
    char wal[PATH_SIZE];

    return path_join(wal, sizeof(wal), saving->run->target.directory, "pg_wal", error) &&
           (!is_known(saving->run) || save_segments(saving, error)) &&
           dir_names(wal, save_named, saving, NULL, error);
}

bool run_check_saved_wal(Run *run, Error *error)
{
    const char *directory = run->options->save_diverged_wal;
    Saving saving = {.run = run, .only_check = true};
    char path[PATH_SIZE], wal[PATH_SIZE];
    FileSpace space;
    bool exists;

    if (directory == NULL)
        return true;
    if (!find_place(directory, path, &exists, error) ||
        !path_join(wal, sizeof(wal), run->target.directory, "pg_wal", error) ||
        !check_outside(path, run->target.directory, directory, error) ||
        !check_outside(path, wal, directory, error) ||
        (run->options->source_directory != NULL &&
         !check_outside(path, run->options->source_directory, directory, error)))
        return false;
    if (!place_can_change_names(path))
        return error_set_errno(error, ERROR_FAILED, "could not write to directory \"%s\"", path);
    if (!save_all(&saving, error) || !file_space(path, &space, error))
        return false;
    if (space.free_bytes < saving.missing_bytes)
    {
        error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"", path);
        return error_detail(error, "The diverged WAL needs %llu MB, %llu MB are free.",
                            (unsigned long long) (saving.missing_bytes >> 20),
                            (unsigned long long) (space.free_bytes >> 20));
    }
    return true;
}

bool run_save_diverged_wal(Run *run, Error *error)
{
    const char *directory = run->options->save_diverged_wal;
    Saving saving = {.run = run};
    char canonical[PLACE_PATH_SIZE];
    struct stat status;
    bool exists;

    if (directory == NULL)
        return true;
    /* Invariant 3: what is there is on the disk before the commit takes it from the target. */
    if (!file_stat(directory, &status, &exists, error) ||
        (!exists && !file_make_directory(directory, error)) ||
        !place_canonical(directory, canonical, &exists, error) ||
        !durable_sync_parent(canonical, error) || !save_all(&saving, error) ||
        !file_sync_path(directory, error))
        return false;
    tell_where(run);
    return true;
}
