/*
 * Finds programs that wrote to the target's relations after its server was shut down, by the times
 * of files.
 */
#include "target/target.h"

#include "format/page.h"
#include "source/directory.h"

#include <string.h>

#define STOP_NANOSECONDS_MAX (10 * 1000 * 1000) /* between the last record and pg_control */

/*
 * Find when the server was shut down: when the WAL segment of its last checkpoint was written, or
 * where that is gone the checkpoint's time. *untouched: no file need be looked at, since nothing
 * was written since then, or no other program can have written since the server's last WAL. For a
 * primary that crashed, this time is too early, and its recovery writes files: of these some are
 * always newer, but not all. (Rules C3, U14.)
 */
static bool find_stop(const Target *target, const WalShape *shape, struct timespec *stop,
                      bool *untouched, Error *error)
{
    const Control *control = &target->control;
    AUTO_BUFFER Buffer path = {0};
    char name[WAL_NAME_SIZE];
    struct stat status;
    int64_t nanoseconds;
    bool found;

    *untouched = control->state != STATE_SHUTDOWNED && !target_is_in_crash_recovery(target);
    if (*untouched)
        return true;
    *stop = (struct timespec){.tv_sec = control->checkpoint.time};
    wal_segment_name(shape, control->checkpoint.timeline,
                     wal_segment_of(shape, control->checkpoint_lsn), name);
    buffer_printf(&path, "%s/%s/%s", target->directory, control->version->wal_directory, name);
    if (!file_stat(buffer_string(&path), &status, &found, error))
        return false;
    if (!found)
        return true;
    *stop = status.st_mtim;
    /* A server writes pg_control right after its last record. pg_checksums writes pg_control too,
     * but only after reading all files, which takes longer. So if pg_control was written this soon,
     * no file need be looked at. */
    if (!file_stat(path_in(&path, target->directory, CONTROL_PATH), &status, &found, error))
        return false;
    nanoseconds = (status.st_mtim.tv_sec - stop->tv_sec) * INT64_C(1000000000) +
                  (status.st_mtim.tv_nsec - stop->tv_nsec);
    *untouched = found && nanoseconds >= 0 && nanoseconds < STOP_NANOSECONDS_MAX &&
                 (status.st_mtim.tv_nsec != 0 || stop->tv_nsec != 0);
    return true;
}

/* Looking at the times of relations' files, until one of them decides. */
typedef struct WrittenSearch
{
    const Target *target;
    struct timespec stop;
    bool all;     /* decides: a file that was not written; otherwise one that was */
    bool decided; /* a file that decides was found */
    bool any;     /* a file was looked at */
} WrittenSearch;

/* A DirVisitor. False without an error: the walk ends, since a file has decided. */
static bool check_time(void *context, const DirEntry *entry, bool *descend, Error *error)
{
    WrittenSearch *search = context;
    const char *directory = search->target->directory;
    const char *name = entry->path;
    const struct timespec time = entry->status->st_mtim, stop = search->stop;
    AUTO_BUFFER Buffer buffer = {0};
    const char *path = path_in(&buffer, directory, name);
    uint8_t header[PAGE_HEADER_SIZE];
    AUTO_FD int fd = -1;
    RelationFile file;
    bool written;
    size_t size;

    if (S_ISDIR(entry->status->st_mode))
    {
        /* Each file of a relation lies below one of these. */
        *descend = strncmp(name, "base", 4) == 0 ||
                   (!search->all &&
                    (strncmp(name, "global", 6) == 0 || strncmp(name, "pg_tblspc", 9) == 0));
        return !*descend || search->all ||
               data_directory_is_readable(directory, entry, descend, error);
    }
    if (!S_ISREG(entry->status->st_mode) || entry->status->st_size == 0 ||
        !relpath_parse(&search->target->control.version_directory, name, &file))
        return true;
    search->any = true;
    /* Times without a fraction were cut off when the directory was copied. */
    written = time.tv_sec > stop.tv_sec ||
              (time.tv_sec == stop.tv_sec &&
               (time.tv_nsec > stop.tv_nsec || (time.tv_nsec == 0 && stop.tv_nsec == 0)));
    if (search->all && !written)
    {
        /* pg_checksums leaves pages alone that were never used: in 19 a map of free space may have
         * no other. */
        if (!file_open_read(path, &fd, NULL, error) ||
            !file_read_at(fd, path, header, sizeof(header), 0, &size, error))
            return false;
        written = size == sizeof(header) && page_is_new(header);
    }
    search->decided = written != search->all;
    return !search->decided;
}

static bool follows_tablespace(void *context, const char *path)
{
    (void) context;
    return relpath_is_tablespace(path);
}

bool target_written_since_stop(const Target *target, const WalShape *shape, WriteExtent which,
                               bool *written, Error *error)
{
    WrittenSearch search = {.target = target, .all = which == WRITES_OF_ALL};
    bool untouched;

    *written = false;
    if (!find_stop(target, shape, &search.stop, &untouched, error))
        return false;
    if (untouched)
        return true;
    if (!dir_walk(target->directory, check_time, follows_tablespace, &search, error) &&
        !search.decided)
        return false;
    *written = search.all ? search.any && !search.decided : search.decided;
    return true;
}
