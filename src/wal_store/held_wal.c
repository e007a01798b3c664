#include "wal_store/held_wal.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/dir.h"

#include <sys/stat.h>

#define INCOMING "incoming" /* below the directory: a copy that is not whole yet */

/* The limit for copies in bytes: the server writes more WAL while files are copied. Further
 * segments are only linked. */
#define COPIED_BYTES_MAX (UINT64_C(1024) * 1024 * 1024)

typedef struct Holder
{
    const HeldWal *held;
    const char *directory; /* PGDATA/pg_wal/pg_rewind.work.held */
    uint64_t newest;       /* the last segment that the server has begun to write */
    uint64_t copy_left;    /* bytes that may be copied */
} Holder;

/* A file of pg_wal. */
typedef struct Segment
{
    uint64_t number;
    const char *own;  /* path in pg_wal */
    const char *held; /* path in the directory of held WAL */
} Segment;

static bool begins_as_segment(const Holder *holder, const char *path, uint64_t number)
{
    AUTO_FD int fd = -1;
    bool is = false;
    Error ignored;

    return file_open_read(path, &fd, NULL, NULL) &&
           wal_file_is_segment(&holder->held->shape, fd, path, number, &is, &ignored, NULL) && is;
}

/*
 * Give the segment a second name, including one that the server has made in advance, and may begin
 * to write before it stops. A file that an earlier run held under this name, and that is not the
 * segment, gives way. A symbolic link gets no second name, because that would lead elsewhere.
 */
static void give_second_name(Holder *holder, const Segment *segment)
{
    struct stat status;
    bool found, exists;
    Error why;

    if (segment->number > holder->newest &&
        begins_as_segment(holder, segment->own, segment->number))
        holder->newest = segment->number;
    if (begins_as_segment(holder, segment->held, segment->number))
        return;
    if (!file_remove(segment->held, &why) || !file_lstat(segment->own, &status, &found, &why) ||
        (found && S_ISREG(status.st_mode) &&
         !file_link(segment->own, segment->held, &exists, &why)))
        log_debug("%s", why.message);
}

/* Copy a segment of which all is written. *whole is false if the server has recycled and
 * overwritten the file in the meantime: it overwrites the first page first. */
static bool copy_whole_segment(const Holder *holder, const Segment *segment, const char *incoming,
                               bool *whole, Error *error)
{
    const uint32_t size = holder->held->shape.segment_size;
    const char *path = segment->held;
    AUTO_FD int from = -1;
    AUTO_FD int to = -1;
    uint64_t copied;
    bool found;

    if (!file_open_read(path, &from, &found, error))
        return false;
    if (!found)
        path = segment->own; /* the file system could not link it */
    if ((!found && !file_open_read(path, &from, NULL, error)) ||
        !file_create(incoming, CREATE_EMPTY, &to, error) ||
        !file_copy_range(&(FileRange){from, path, 0}, &(FileRange){to, incoming, 0}, size, &copied,
                         error) ||
        !file_sync(to, incoming, error))
        return false;
    *whole = copied == size && begins_as_segment(holder, path, segment->number);
    return true;
}

/* Put a copy in the place of a link, for a segment that is needed and complete. Where that fails
 * the link stays, and no other copy is made. */
static void replace_by_copy(Holder *holder, const Segment *segment)
{
    const uint32_t size = holder->held->shape.segment_size;
    AUTO_BUFFER Buffer incoming_buffer = {0};
    const char *incoming = path_in(&incoming_buffer, holder->directory, INCOMING);
    bool whole = false, found;
    struct stat status;
    Error why;

    if (segment->number < wal_segment_of(&holder->held->shape, holder->held->needed_from) ||
        segment->number >= holder->newest || size > holder->copy_left)
        return;
    /* If no other name leads to what is held, nothing can overwrite it. */
    if (file_lstat(segment->held, &status, &found, NULL) && found && status.st_nlink == 1)
        return;
    if (copy_whole_segment(holder, segment, incoming, &whole, &why) &&
        (whole ? file_rename(incoming, segment->held, &why) : file_remove(incoming, &why)))
        holder->copy_left -= size;
    else
    {
        log_debug("%s", why.message);
        (void) !file_remove(incoming, NULL);
        holder->copy_left = 0;
    }
}

typedef void (*SegmentAction)(Holder *holder, const Segment *segment);

/* Act on each segment that pg_wal has now. */
static bool for_each_segment(Holder *holder, SegmentAction act, Error *error)
{
    const HeldWal *held = holder->held;
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer own = {0}, second = {0};
    const char **names;
    Timeline timeline;
    Segment segment;

    if (!dir_list(held->wal_directory, arena, &names, NULL, error))
        return false;
    for (; *names != NULL && stop_check(NULL); names++)
    {
        if (!wal_segment_name_parse(&held->shape, *names, &timeline, &segment.number))
            continue;
        segment.own = path_in(&own, held->wal_directory, *names);
        segment.held = path_in(&second, holder->directory, *names);
        act(holder, &segment);
    }
    return stop_check(error);
}

bool held_wal_take(const HeldWal *held, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    Holder holder = {.held = held,
                     .directory =
                         arena_printf(arena, "%s/" HELD_WAL_DIRECTORY, held->wal_directory)};
    FileSpace space;

    if (!file_make_directory(holder.directory, error))
        return false;
    /* The server and the rewind need most of the space. */
    if (file_space(holder.directory, &space, NULL))
        holder.copy_left =
            space.free_bytes / 4 < COPIED_BYTES_MAX ? space.free_bytes / 4 : COPIED_BYTES_MAX;
    /* Link all segments first, because links take no time, then replace links by copies. The server
     * has written new segments while files were copied: link them last. */
    return for_each_segment(&holder, give_second_name, error) &&
           for_each_segment(&holder, replace_by_copy, error) &&
           for_each_segment(&holder, give_second_name, error) &&
           file_sync_path(holder.directory, error) && file_sync_path(held->wal_directory, error);
}

bool held_wal_release(const char *wal_directory, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();

    return dir_remove_tree(arena_printf(arena, "%s/" HELD_WAL_DIRECTORY, wal_directory), error);
}
