#include "io/place.h"

#include "base/text_cursor.h"
#include "io/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOUNTS_PATH "/proc/self/mountinfo"
#define MOUNTS_SIZE_MAX (64u * 1024 * 1024)
#define LINKS_MAX 40 /* number of links that Linux follows in one path */

/* The number of the mount that a path is on; 0: the kernel does not say. A link is followed with
 * AT_SYMLINK_FOLLOW in flags. statx tells it since Linux 5.8, and before that a file handle does
 * where the file system has some. qemu-user passes the mask of statx on, and leaves the number 0.
 * (Rule N4.) */
static uint64_t find_mount_number(const char *path, int flags)
{
    struct file_handle handle = {.handle_bytes = 0};
    struct statx status;
    int mount;

    if (statx(AT_FDCWD, path, (flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : AT_SYMLINK_NOFOLLOW,
              STATX_MNT_ID, &status) == 0 &&
        (status.stx_mask & STATX_MNT_ID) != 0 && status.stx_mnt_id != 0)
        return status.stx_mnt_id;
    /* The call fails because there is no room for the handle, but it sets the number. */
    return name_to_handle_at(AT_FDCWD, path, &handle, &mount, flags) == 0 || errno == EOVERFLOW
               ? (uint64_t) mount
               : 0;
}

bool place_find(const char *path, Place *place, bool *found, Error *error)
{
    struct stat status;
    struct fsxattr attributes;
    AUTO_FD int fd = -1;

    *place = (Place){0};
    *found = stat(path, &status) == 0;
    if (!*found)
        return errno == ENOENT || errno == ENOTDIR ||
               error_set_errno(error, "could not stat file \"%s\"", path);
    *place = (Place){.device = status.st_dev,
                     .inode = status.st_ino,
                     .owner = status.st_uid,
                     .is_directory = S_ISDIR(status.st_mode)};
    place->mount = find_mount_number(path, AT_SYMLINK_FOLLOW);
    /* XFS, ext4 and others refuse (EXDEV) to rename or link a file into a directory that passes its
     * project on, unless the file has that project already. */
    if (place->is_directory && file_open_read(path, &fd, NULL, NULL) &&
        ioctl(fd, FS_IOC_FSGETXATTR, &attributes) == 0 &&
        (attributes.fsx_xflags & FS_XFLAG_PROJINHERIT) != 0)
        place->project = attributes.fsx_projid;
    return true;
}

bool place_same(const Place *a, const Place *b)
{
    return a->device == b->device && a->inode == b->inode;
}

void place_hold(const char *path)
{
    /* The descriptor is never closed; programs that this process runs do not get it. */
    (void) !open(path, O_PATH | O_CLOEXEC);
}

bool place_is(const char *path, const char *other)
{
    Place one, two;
    bool found;

    return place_find(path, &one, &found, NULL) && found && place_find(other, &two, &found, NULL) &&
           found && place_same(&one, &two);
}

bool place_same_mount(const Place *a, const Place *b)
{
    return a->device == b->device && a->mount == b->mount && a->project == b->project;
}

/* Take what comes before the next blank, or before a character of `end` if that comes first. */
static TextCursor take_field(TextCursor *line, const char *end)
{
    TextCursor field = {line->position, line->position};

    while (field.end < line->end && *field.end != ' ' && strchr(end, *field.end) == NULL)
        field.end++;
    line->position = field.end < line->end ? field.end + 1 : field.end;
    return field;
}

/*
 * Lines are those of mountinfo (proc_pid_mountinfo(5)). The datasets of a ZFS pool are separate
 * file systems, mounted from POOL/DATASET. All mounts of another file system have the device of its
 * super block, which for btrfs is not the device that stat reports.
 */
bool place_pool_of_mount(const char *mounts, uint64_t mount, Buffer *pool)
{
    TextCursor text = text_cursor(mounts), line, field, name;
    uint64_t number;

    while (text_take_line(&text, &line))
    {
        if (!text_take_u64(&line, &number) || number != mount || !text_take(&line, " "))
            continue;
        (void) take_field(&line, ""); /* the mount above */
        name = take_field(&line, "");
        do
            field = take_field(&line, "");
        while (!text_at_end(&line) && !text_take(&field, "-"));
        field = take_field(&line, "");
        if (text_take(&field, "zfs"))
            name = take_field(&line, "/");
        buffer_append(pool, name.position, (size_t) (name.end - name.position));
        return true;
    }
    return false;
}

bool place_pool(const char *path, Buffer *pool, Error *error)
{
    AUTO_BUFFER Buffer mounts = {0};
    FileSpace space;
    Place place;
    bool found;

    if (!file_space(path, &space, error) || !place_find(path, &place, &found, error))
        return false;
    if (place.mount != 0 && file_read_all(MOUNTS_PATH, MOUNTS_SIZE_MAX, &mounts, &found, NULL) &&
        place_pool_of_mount(buffer_string(&mounts), place.mount, pool))
        return true;
    if (space.copies_on_write)
        buffer_printf(pool, "kind %llx", (unsigned long long) space.kind);
    else
        buffer_printf(pool, "device %llx", (unsigned long long) place.device);
    return true;
}

static_assert(PLACE_PATH_SIZE >= PATH_MAX, "realpath needs that much");

bool place_canonical(const char *path, char *canonical, bool *found, Error *error)
{
    *found = realpath(path, canonical) != NULL;
    if (*found || errno == ENOENT || errno == ENOTDIR)
        return true;
    return error_set_errno(error, "could not stat file \"%s\"", path);
}

bool place_inside(const char *path, const char *directory)
{
    char inner[PLACE_PATH_SIZE], outer[PLACE_PATH_SIZE];
    size_t length;

    if (realpath(path, inner) == NULL || realpath(directory, outer) == NULL)
        return false;
    length = strcmp(outer, "/") == 0 ? 0 : strlen(outer);
    return strncmp(inner, outer, length) == 0 && (inner[length] == '/' || inner[length] == '\0');
}

const char *place_below(const char *path, const char *directory)
{
    char part[PLACE_PATH_SIZE];
    Place wanted, place;
    bool found;

    if (path[0] != '/' || !place_find(directory, &wanted, &found, NULL) || !found)
        return NULL;
    for (size_t length = strlen(path); length > 0; length--)
    {
        if (path[length] != '/' || length >= sizeof(part))
            continue;
        snprintf(part, sizeof(part), "%.*s", (int) length, path);
        if (place_find(part, &place, &found, NULL) && found && place_same(&place, &wanted))
            return path + length + 1;
    }
    return NULL;
}

/* Put what the link at `path` leads to in its place, and `rest` after it. */
static bool replace_link(Buffer *path, const char *rest, Error *error)
{
    AUTO_BUFFER Buffer target = {0}, whole = {0};
    const char *link = buffer_string(path);
    const char *slash = strrchr(link, '/');

    if (!file_read_link(link, &target, error))
        return false;
    if (buffer_string(&target)[0] != '/' && slash != NULL)
        buffer_append(&whole, link, (size_t) (slash - link) + 1);
    buffer_append_string(&whole, buffer_string(&target));
    buffer_append_string(&whole, rest);
    buffer_clear(path);
    buffer_append_string(path, buffer_string(&whole));
    return true;
}

bool place_walk(const char *path, PlaceVisitor visit, void *context, bool *found, Error *error)
{
    AUTO_BUFFER Buffer whole = {0}, part = {0};
    int links = 0;

    *found = true;
    buffer_append_string(&whole, path);
    for (size_t end = 0; end < whole.size;)
    {
        struct stat status;

        end++;
        end += strcspn(buffer_string(&whole) + end, "/");
        buffer_clear(&part);
        buffer_append(&part, whole.bytes, end);
        if (!file_lstat(buffer_string(&part), &status, found, error))
            return false;
        if (!*found)
            return true;
        if (!visit(context, buffer_string(&part), &status, error))
            return false;
        if (!S_ISLNK(status.st_mode))
            continue;
        errno = ELOOP;
        if (++links > LINKS_MAX)
            return error_set_errno(error, "could not stat file \"%s\"", path);
        if (!replace_link(&part, buffer_string(&whole) + end, error))
            return false;
        buffer_clear(&whole);
        buffer_append_string(&whole, buffer_string(&part));
        end = 0;
    }
    return true;
}

bool place_data_directory(char *directory, bool *found, Error *error)
{
    AUTO_BUFFER Buffer version = {0};
    struct stat status;

    *found = false;
    while (directory[0] != '\0')
    {
        if (!file_lstat(path_in(&version, directory, "PG_VERSION"), &status, found, error))
            return false;
        if (*found)
            return true;
        *strrchr(directory, '/') = '\0';
    }
    return true;
}

int64_t place_birth(const char *path)
{
    struct statx status;

    return statx(AT_FDCWD, path, 0, STATX_BTIME, &status) == 0 &&
                   (status.stx_mask & STATX_BTIME) != 0
               ? status.stx_btime.tv_sec
               : 0;
}

/* STATX_ATTR_IMMUTABLE and STATX_ATTR_APPEND, for a kernel or a file system whose statx does not
 * tell them (all before Linux 4.11). */
static uint64_t find_flags(const char *path, mode_t mode)
{
    AUTO_FD int fd = -1;
    int flags = 0;

    if (!S_ISREG(mode) && !S_ISDIR(mode))
        return 0;
    fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) != 0)
        return 0;
    return ((flags & FS_IMMUTABLE_FL) != 0 ? STATX_ATTR_IMMUTABLE : 0u) |
           ((flags & FS_APPEND_FL) != 0 ? STATX_ATTR_APPEND : 0u);
}

/* STATX_ATTR_MOUNT_ROOT, for a kernel whose statx does not tell it (before Linux 5.8). */
static uint64_t find_mount_root(const char *path)
{
    AUTO_BUFFER Buffer directory = {0};
    const uint64_t mount = find_mount_number(path, 0);
    const uint64_t outer = find_mount_number(path_parent(&directory, path), AT_SYMLINK_FOLLOW);

    return mount != 0 && outer != 0 && mount != outer ? STATX_ATTR_MOUNT_ROOT : 0;
}

Obstacle place_obstacle(const char *path)
{
    AUTO_BUFFER Buffer directory = {0};
    const uint64_t wanted = STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND;
    struct statx status;
    struct stat parent;

    if (statx(AT_FDCWD, path, AT_SYMLINK_NOFOLLOW, STATX_TYPE | STATX_UID, &status) != 0)
        return OBSTACLE_NONE;
    if ((status.stx_attributes_mask & wanted) != wanted)
        status.stx_attributes |= find_flags(path, status.stx_mode);
    if ((status.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) == 0)
        status.stx_attributes |= find_mount_root(path);
    if ((status.stx_attributes & STATX_ATTR_IMMUTABLE) != 0)
        return OBSTACLE_IMMUTABLE;
    if ((status.stx_attributes & STATX_ATTR_APPEND) != 0)
        return OBSTACLE_APPEND_ONLY;
    if ((status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0)
        return OBSTACLE_MOUNTED;
    /* The sticky bit of the directory that the path is in keeps users from names of files that are
     * not theirs (unlink(2), rename(2)). */
    if (status.stx_uid != geteuid() && stat(path_parent(&directory, path), &parent) == 0 &&
        (parent.st_mode & S_ISVTX) != 0 && parent.st_uid != geteuid())
        return OBSTACLE_STICKY;
    return OBSTACLE_NONE;
}

bool place_is_mounted(const char *path, uint64_t device)
{
    Place place;
    bool found;

    return place_obstacle(path) == OBSTACLE_MOUNTED ||
           (place_find(path, &place, &found, NULL) && found && place.is_directory &&
            place.device != device);
}

const char *obstacle_text(Obstacle obstacle)
{
    static const char *const texts[] = {
        [OBSTACLE_NONE] = "",
        [OBSTACLE_IMMUTABLE] = "it is immutable",
        [OBSTACLE_APPEND_ONLY] = "it may only be appended to",
        [OBSTACLE_MOUNTED] = "it is a mount point",
        [OBSTACLE_STICKY] = "it is another user's, and its directory has the sticky bit",
    };

    return texts[obstacle];
}

bool place_can_change_names(const char *directory)
{
    return faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) == 0;
}

bool place_can_be_read(const char *path)
{
    struct stat status;

    if (stat(path, &status) != 0)
        return errno == ENOENT; /* vanished: nothing to read */
    return faccessat(AT_FDCWD, path, S_ISDIR(status.st_mode) ? R_OK | X_OK : R_OK, AT_EACCESS) == 0;
}
