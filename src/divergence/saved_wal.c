#include "divergence/saved_wal.h"

#include "base/log.h"
#include "io/dir.h"
#include "pair/saved_directory.h"

#include <string.h>

/* The copying of WAL, or the check before it. */
typedef struct Saving
{
    const char *directory;
    const Clusters *clusters;
    const WalStream *stream; /* the target's WAL */
    const Divergence *diverged;
    bool is_known;          /* the divergence is known; otherwise all of pg_wal is copied */
    uint64_t first, last;   /* segments to copy, if is_known */
    bool only_check;        /* write nothing, but compare existing files */
    uint64_t missing_bytes; /* bytes of files that do not exist yet; a history file counts like a
                               segment */
} Saving;

static Saving saving_of(const char *directory, const Clusters *clusters, const WalStream *stream,
                        const Divergence *diverged)
{
    return (Saving){.directory = directory,
                    .clusters = clusters,
                    .stream = stream,
                    .diverged = diverged,
                    .is_known =
                        diverged->lsn != LSN_INVALID && diverged->target_end > diverged->lsn,
                    .first = wal_segment_of(&clusters->shape, diverged->lsn),
                    .last = wal_segment_before(&clusters->shape, diverged->target_end)};
}

/* ---- The copies ---- */

static bool save_file(Saving *saving, const char *name, int from_fd, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    SavedFile copy = {0};
    const FileRange from = {from_fd, name, 0};
    FileRange to = {.path = path_in(&path, saving->directory, name)};
    AUTO_FD int fd = -1;
    uint64_t copied;
    bool exists, saved;

    if (!file_open_read(to.path, &fd, &exists, error))
        return false;
    to.fd = fd;
    if (exists)
        return saved_directory_check_file("--save-diverged-wal", from, to, error) &&
               (saving->only_check || file_sync(fd, to.path, error));
    saving->missing_bytes += saving->clusters->shape.segment_size;
    if (saving->only_check)
        return true;
    saved =
        saved_file_create(&copy, to.path, error) &&
        file_copy_range(&from, &(FileRange){copy.fd, copy.path, 0}, UINT64_MAX, &copied, error) &&
        saved_file_finish(&copy, error);
    saved_file_close(&copy);
    return saved;
}

/* Save a file of the target's pg_wal if it is a history file, or if all segments are kept. */
static bool save_named(Saving *saving, const char *name, Error *error)
{
    const WalShape *shape = &saving->clusters->shape;
    AUTO_BUFFER Buffer path = {0};
    AUTO_FD int fd = -1;
    Timeline timeline;
    uint64_t number;
    bool found;

    if (!history_file_name_parse(name, &timeline) &&
        (saving->is_known || !wal_segment_name_parse(shape, name, &timeline, &number)))
        return true;
    buffer_printf(&path, "%s/%s/%s", saving->clusters->target.directory,
                  shape->version->wal_directory, name);
    return file_open_read(buffer_string(&path), &fd, &found, error) &&
           (!found || save_file(saving, name, fd, error));
}

/* Make the pg_waldump command that reads the copies from the divergence on. pg_waldump reads one
 * timeline, so the command ends where the timeline of the first segment's name ends. */
static const char *make_waldump_command(const Saving *saving, Arena *arena)
{
    const WalShape *shape = &saving->clusters->shape;
    const Timeline timeline = wal_stream_timeline(saving->stream, saving->first);
    AUTO_BUFFER Buffer directory = {0};
    Lsn end = saving->diverged->target_end;

    for (uint64_t segment = saving->last;
         segment > saving->first && wal_stream_timeline(saving->stream, segment) != timeline;
         segment--)
        end = wal_segment_start(shape, segment);
    buffer_append_shown_word(&directory, saving->directory);
    return arena_printf(arena, "%s -p %s -t %u -s %s -e %s", shape->version->wal_dump_program,
                        buffer_string(&directory), timeline,
                        LSN_TEXT(shape->version, saving->diverged->lsn),
                        LSN_TEXT(shape->version, end));
}

/* Save the segments, then the files that only pg_wal has. */
static bool save_wal(Saving *saving, Error *error)
{
    const WalStream *stream = saving->stream;
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;

    for (uint64_t segment = saving->first; saving->is_known && segment <= saving->last; segment++)
    {
        AUTO_FD int fd = -1;
        bool found;

        if (!stream->open(stream->context, segment, &fd, &found, error))
            return false;
        if (!found)
            return error_missing_wal(stream, segment, error);
        if (!save_file(saving, SEGMENT_NAME(stream, segment), fd, error))
            return false;
    }
    if (!dir_list(arena_printf(arena, "%s/%s", saving->clusters->target.directory,
                               saving->clusters->shape.version->wal_directory),
                  arena, &names, NULL, error))
        return false;
    for (; *names != NULL; names++)
        if (!save_named(saving, *names, error))
            return false;
    return true;
}

bool saved_wal_check(const char *directory, const Clusters *clusters, const WalStream *wal,
                     const Divergence *diverged, Error *error)
{
    Saving saving = saving_of(directory, clusters, wal, diverged);
    AUTO_BUFFER Buffer memory = {0};
    const char *existing = NULL;
    FileSpace space;

    if (directory == NULL)
        return true;
    saving.only_check = true;
    if (!saved_directory_check("--save-diverged-wal", directory, clusters, &memory, &existing,
                               error) ||
        !save_wal(&saving, error) || !file_space(existing, &space, error))
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

bool saved_wal_write(const char *directory, const Clusters *clusters, const WalStream *wal,
                     const Divergence *diverged, Arena *arena, const char **command, Error *error)
{
    Saving saving = saving_of(directory, clusters, wal, diverged);

    /* Invariant 3: the copies are on the disk before the commit removes the WAL from the target. */
    if (!saved_directory_make(directory, error) || !save_wal(&saving, error) ||
        !file_sync_path(directory, error))
        return false;
    *command = saving.is_known ? make_waldump_command(&saving, arena) : NULL;
    if (*command == NULL)
        log_info("the target's WAL is kept in \"%s\"", directory);
    else
        log_info("the diverged WAL is kept in \"%s\"; to read it: %s", directory, *command);
    return true;
}
