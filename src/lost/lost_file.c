#include "lost/lost_file.h"

#include "base/workers.h"
#include "io/place.h"

#include <string.h>

#define FILE_MODE 0600
#define WRITE_SIZE (256 * 1024)
#define FIRST_LINE_MAX (64 * 1024)
#define MEGABYTE (1024 * 1024)
#define SPACE_MARGIN ((uint64_t) 64 * MEGABYTE) /* stays free */

bool lost_room_find(LostRoom *room, const char *target, uint64_t rewind_bytes, Error *error)
{
    uint64_t kept = SPACE_MARGIN;
    Place own, of_target;
    FileSpace space;
    bool found;

    if (!place_find(room->directory, &own, &found, error) ||
        !place_find(target, &of_target, &found, error) ||
        !file_space(room->directory, &space, error))
        return false;
    kept += own.device == of_target.device ? rewind_bytes : 0;
    room->free = room->left = space.free_bytes > kept ? space.free_bytes - kept : 0;
    return true;
}

static bool error_no_room(const LostRoom *room, uint64_t needed, Error *error)
{
    error_set(error, ERROR_FAILED, "not enough space on the file system of \"%s\"",
              room->directory);
    return error_detail(error,
                        "The lost rows need %llu MB, %llu MB are free besides what the rewind "
                        "needs.",
                        (unsigned long long) (needed / MEGABYTE + 1),
                        (unsigned long long) (room->free / MEGABYTE));
}

bool lost_room_has(const LostRoom *room, uint64_t needed, Error *error)
{
    return needed <= room->free || error_no_room(room, needed, error);
}

bool lost_file_open(LostFile *file, const char *path, Error *error)
{
    return saved_file_create(&file->made, path, error) &&
           file_set_mode(file->made.fd, path, FILE_MODE, error);
}

static bool write_text(LostFile *file, Error *error)
{
    LostRoom *room = file->room;
    const size_t size = file->text.size;

    if (!room->counting)
    {
        if (size > room->left)
            return error_no_room(room, room->needed != 0 ? room->needed : room->free + size, error);
        if (!file_write_at(file->made.fd, file->made.path, file->text.bytes, size, file->size,
                           error))
            return false;
        room->left -= size;
    }
    file->size += size;
    buffer_clear(&file->text);
    return stop_check(error);
}

bool lost_file_flush(LostFile *file, Error *error)
{
    return file->text.size <= WRITE_SIZE || write_text(file, error);
}

bool lost_file_finish(LostFile *file, bool any_content, Error *error)
{
    const char *path = file->made.path;
    FileRange to = {.path = path}, from = {file->made.fd, path, file->first_line_size};
    AUTO_BUFFER Buffer line = {0};
    AUTO_FD int fd = -1;
    const uint8_t *end;
    size_t length;
    bool exists;

    if (!write_text(file, error) || !file_open_read(path, &fd, &exists, error))
        return false;
    if (!exists)
        return saved_file_finish(&file->made, error);
    if (any_content)
        return file_sync(fd, path, error);
    /* The first line names the program and the clusters, which may have other names now: the same
     * target, rewound to another source of that history. */
    buffer_reserve(&line, FIRST_LINE_MAX);
    if (!file_read_at(fd, path, line.bytes, FIRST_LINE_MAX, 0, &length, error))
        return false;
    end = memchr(line.bytes, '\n', length);
    to.offset = end != NULL ? (uint64_t) (end - line.bytes) : 0;
    to.fd = fd;
    file->is_other = !saved_directory_check_file("--save-lost-rows", from, to, error);
    return !file->is_other && file_sync(fd, path, error);
}

void lost_file_close(LostFile *file)
{
    saved_file_close(&file->made);
    buffer_free(&file->text);
}
