#include "io/file.h"

#include "base/workers.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define COPY_SIZE (1024u * 1024)
#define COPY_MAX (64u * 1024 * 1024) /* bytes copied in one call, so that signals are seen soon */

/* Types of file systems, as statfs reports them, that linux/magic.h does not define. */
#define BCACHEFS 0xCA451A4E
#define ZFS 0x2FC12FC1

static bool group_access_on;
static bool sync_on = true;
static atomic_bool sync_failed; /* until file_take_sync_failure */

void file_set_modes(bool group_access)
{
    group_access_on = group_access;
    umask(group_access ? 0027 : 0077);
}

mode_t file_mode(void)
{
    return group_access_on ? 0640 : 0600;
}

mode_t directory_mode(void)
{
    return group_access_on ? 0750 : 0700;
}

bool file_open_standard(void)
{
    /* Every use of the opened standard input or output must fail, so input is opened write-only and
     * output read-only. Standard error must take messages and the output of children. */
    static const int modes[] = {O_WRONLY, O_RDONLY, O_RDWR};

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
    {
        /* open returns the lowest free number, which is fd. */
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", modes[fd] | O_NOCTTY) != fd)
            return false;
    }
    return true;
}

/* open(), repeated if a signal interrupts it. */
static int open_retrying(const char *path, int flags, mode_t mode)
{
    return (int) TEMP_FAILURE_RETRY(open(path, flags | O_CLOEXEC | O_NOCTTY, mode));
}

/* Set the error for a file that could not be opened, from errno; `use` ("read") is for the hint.
 * Returns false. */
static bool error_open(const char *path, const char *use, Error *error)
{
    const bool forbidden = errno == EACCES;

    error_set_errno(error, "could not open file \"%s\"", path); /* contract */
    if (forbidden)
        error_hint(error, "The user that runs pg_rewind must be able to %s it.", use);
    return false;
}

bool file_open_read(const char *path, int *fd, bool *found, Error *error)
{
    /* O_NONBLOCK: opening a fifo would wait for a writer. For regular files it changes nothing. */
    *fd = open_retrying(path, O_RDONLY | O_NONBLOCK, 0);
    if (found != NULL)
        *found = *fd >= 0;
    if (*fd >= 0 || (found != NULL && errno == ENOENT))
        return true;
    return error_open(path, "read", error);
}

bool file_open_update(const char *path, int *fd, Error *error)
{
    *fd = open_retrying(path, O_RDWR, 0);
    return *fd >= 0 || error_open(path, "read and write", error);
}

bool file_check_update(const char *path, Error *error)
{
    return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 ||
           error_open(path, "read and write", error);
}

bool file_create(const char *path, FileCreation how, int *fd, Error *error)
{
    const int flags = how == CREATE_NEW ? O_EXCL : how == CREATE_MISSING ? 0 : O_TRUNC;

    *fd = open_retrying(path, O_RDWR | O_CREAT | O_NOFOLLOW | flags,
                        how == CREATE_PRIVATE ? PRIVATE_MODE : file_mode());
    return *fd >= 0 || error_set_errno(error, "could not create file \"%s\"", path);
}

bool file_random_bytes(void *bytes, size_t size, Error *error)
{
    AUTO_FD int fd = -1;
    size_t length;

    if (getrandom(bytes, size, 0) == (ssize_t) size)
        return true;
    if (!file_open_read("/dev/urandom", &fd, NULL, error))
        return false;
    length = (size_t) TEMP_FAILURE_RETRY(read(fd, bytes, size));
    return length == size || error_set_errno(error, "could not generate random bytes");
}

/* Returns the descriptor of a new file without a name in the directory, or -1. */
static int create_without_name(const char *directory)
{
    char name[FILE_MEMORY_PATH_SIZE];
    int fd;

    snprintf(name, sizeof(name), "%s/pg_rewind.XXXXXX", directory);
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

bool file_in_memory(int *fd, char *path, Error *error)
{
    *fd = memfd_create("pg_rewind", MFD_CLOEXEC);
    if (*fd < 0)
        *fd = create_without_name("/dev/shm");
    if (*fd < 0)
        *fd = create_without_name("/tmp");
    if (*fd < 0)
        return error_set_errno(error, "could not create a file in memory");
    snprintf(path, FILE_MEMORY_PATH_SIZE, "/proc/%ld/fd/%d", (long) getpid(), *fd);
    return true;
}

void file_close(int fd)
{
    if (fd >= 0)
        (void) close(fd);
}

void file_close_local(int *fd)
{
    file_close(*fd);
}

bool file_read_at(int fd, const char *path, void *bytes, size_t size, uint64_t offset,
                  size_t *length, Error *error)
{
    *length = 0;
    while (*length < size)
    {
        const ssize_t got = TEMP_FAILURE_RETRY(
            pread(fd, (char *) bytes + *length, size - *length, (off_t) (offset + *length)));

        if (got < 0)
            return error_set_errno(error, "could not read file \"%s\"", path);
        if (got == 0)
            break;
        *length += (size_t) got;
    }
    return true;
}

/* If writing this file failed for lack of space, add to the error's detail in which directory and
 * file system. Returns false. */
static bool error_detail_space(const char *path, Error *error)
{
    AUTO_BUFFER Buffer parent = {0};
    char mount[PATH_MAX], *slash;
    struct stat status, above;
    FileSpace space;

    if (error == NULL || (error->error_number != ENOSPC && error->error_number != EDQUOT))
        return false;
    if (realpath(path_parent(&parent, path), mount) == NULL || stat(mount, &status) != 0 ||
        !file_space(mount, &space, NULL))
        return false;
    error_detail(error, "The directory is \"%s\".", mount);
    /* Find the directory where the file system is mounted: the highest one on the same device. */
    while ((slash = strrchr(mount, '/')) != NULL && slash != mount)
    {
        *slash = '\0';
        if (lstat(mount, &above) == 0 && above.st_dev == status.st_dev)
            continue;
        *slash = '/';
        break;
    }
    if (slash == mount && lstat("/", &above) == 0 && above.st_dev == status.st_dev)
        memcpy(mount, "/", 2);
    return error_detail(error, "Its file system, mounted on \"%s\", has %llu MB free%s.", mount,
                        (unsigned long long) (space.free_bytes / (1024 * 1024)),
                        error->error_number == EDQUOT ? "; a quota is exceeded" : "");
}

bool file_write_at(int fd, const char *path, const void *bytes, size_t size, uint64_t offset,
                   Error *error)
{
    size_t written = 0;

    while (written < size)
    {
        const ssize_t put = TEMP_FAILURE_RETRY(
            pwrite(fd, (const char *) bytes + written, size - written, (off_t) (offset + written)));

        if (put == 0)
            errno = ENOSPC; /* nothing was written, and errno is not set: only a full disk */
        if (put <= 0)
        {
            error_set_errno(error, "could not write file \"%s\"", path);
            return error_detail_space(path, error);
        }
        written += (size_t) put;
    }
    return true;
}

/* Copy by read and write, where copy_file_range cannot. */
static bool read_and_write(const FileRange *from, const FileRange *to, uint64_t size,
                           uint64_t *copied, Error *error)
{
    uint8_t *bytes = memory_allocate(COPY_SIZE);
    bool ok = true;

    while (ok && *copied < size)
    {
        const uint64_t left = size - *copied;
        size_t length;

        ok = stop_check(error) &&
             file_read_at(from->fd, from->path, bytes, left < COPY_SIZE ? (size_t) left : COPY_SIZE,
                          from->offset + *copied, &length, error);
        if (!ok || length == 0)
            break;
        ok = file_write_at(to->fd, to->path, bytes, length, to->offset + *copied, error);
        *copied += length;
    }
    free(bytes);
    return ok;
}

bool file_copy_range(const FileRange *from, const FileRange *to, uint64_t size, uint64_t *copied,
                     Error *error)
{
    *copied = 0;
    while (*copied < size)
    {
        const uint64_t left = size - *copied;
        off64_t from_offset = (off64_t) (from->offset + *copied);
        off64_t to_offset = (off64_t) (to->offset + *copied);
        ssize_t done;

        if (!stop_check(error))
            return false;
        done = TEMP_FAILURE_RETRY(copy_file_range(from->fd, &from_offset, to->fd, &to_offset,
                                                  left < COPY_MAX ? (size_t) left : COPY_MAX, 0));
        /* Some file systems that do not support copy_file_range return 0. Whatever the reason,
         * reading and writing either succeeds or sets the error. */
        if (done <= 0)
            return read_and_write(from, to, size, copied, error);
        *copied += (uint64_t) done;
    }
    return true;
}

void file_clone(int from, int to, bool *cloned)
{
    *cloned = TEMP_FAILURE_RETRY(ioctl(to, FICLONE, from)) == 0;
}

bool file_read_all(const char *path, size_t limit, Buffer *buffer, bool *found, Error *error)
{
    const size_t before = buffer->size;
    AUTO_FD int fd = -1;

    assert(limit < SIZE_MAX / 2);
    if (!file_open_read(path, &fd, found, error))
        return false;
    if (fd < 0)
        return true;
    for (;;)
    {
        const size_t have = buffer->size - before;
        const size_t piece = limit + 1 - have < 65536 ? limit + 1 - have : 65536;
        size_t length;

        buffer_reserve(buffer, buffer->size + piece);
        if (!file_read_at(fd, path, buffer->bytes + buffer->size, piece, have, &length, error))
            return false;
        buffer->size += length;
        if (buffer->size - before > limit)
            return error_set(error, ERROR_FAILED, "file \"%s\" is larger than %zu bytes", path,
                             limit);
        if (length < piece)
            return true;
    }
}

bool file_truncate(int fd, const char *path, uint64_t size, Error *error)
{
    if (TEMP_FAILURE_RETRY(ftruncate(fd, (off_t) size)) != 0)
        return error_set_errno(error, "could not truncate file \"%s\" to %llu", path,
                               (unsigned long long) size);
    return true;
}

bool file_reserve(int fd, const char *path, uint64_t size, Error *error)
{
    struct stat status;

    if (size == 0 || TEMP_FAILURE_RETRY(fallocate(fd, 0, 0, (off_t) size)) == 0)
        return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS)
    {
        error_set_errno(error, "could not reserve %llu bytes for file \"%s\"",
                        (unsigned long long) size, path);
        return error_detail_space(path, error);
    }
    if (fstat(fd, &status) != 0)
        return error_set_errno(error, "could not stat file \"%s\"", path);
    return (uint64_t) status.st_size >= size || file_truncate(fd, path, size, error);
}

bool file_set_direct(int fd, bool direct)
{
    const int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

bool file_is_like_new(const char *path, const struct stat *status)
{
    return status->st_uid == geteuid() && status->st_gid == getegid() &&
           lgetxattr(path, "system.posix_acl_access", NULL, 0) <= 0;
}

bool file_set_mode(int fd, const char *path, mode_t mode, Error *error)
{
    if (fchmod(fd, mode) != 0)
        return error_set_errno(error, "could not set permissions of file \"%s\"", path);
    return true;
}

/* Interpret the result of stat or lstat: set *found, or the error. */
static bool stat_result(int result, const char *path, bool *found, Error *error)
{
    if (found != NULL)
        *found = result == 0;
    if (result == 0 || (found != NULL && (errno == ENOENT || errno == ENOTDIR)))
        return true;
    return error_set_errno(error, "could not stat file \"%s\"", path);
}

bool file_stat(const char *path, struct stat *status, bool *found, Error *error)
{
    return stat_result(stat(path, status), path, found, error);
}

bool file_lstat(const char *path, struct stat *status, bool *found, Error *error)
{
    return stat_result(lstat(path, status), path, found, error);
}

bool file_exists(const char *directory, const char *name)
{
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    return file_lstat(path_in(&path, directory, name), &status, &found, NULL) && found;
}

bool file_remove(const char *path, Error *error)
{
    return file_remove_at(AT_FDCWD, path, path, false, error);
}

bool file_remove_directory(const char *path, Error *error)
{
    return file_remove_at(AT_FDCWD, path, path, true, error);
}

bool file_remove_at(int directory_fd, const char *name, const char *path, bool is_directory,
                    Error *error)
{
    if (unlinkat(directory_fd, name, is_directory ? AT_REMOVEDIR : 0) == 0 || errno == ENOENT)
        return true;
    return is_directory ? error_set_errno(error, "could not remove directory \"%s\"", path)
                        : error_set_errno(error, "could not remove file \"%s\"", path);
}

bool file_rename(const char *from, const char *to, Error *error)
{
    if (rename(from, to) != 0)
        return error_set_errno(error, "could not rename file \"%s\" to \"%s\"", from, to);
    return true;
}

/* Move a file to another file system: copy it, with its mode. To lose nothing in a crash, `from` is
 * removed only after the new file and its name are synced. */
static bool move_by_copy(const char *from, const char *to, Error *error)
{
    AUTO_BUFFER Buffer parent = {0}, buffer = {0};
    const char *copy = path_in(&buffer, path_parent(&parent, to), FILE_COPY_NAME);
    AUTO_FD int from_fd = -1, to_fd = -1;
    struct stat status;
    uint64_t copied;

    if (file_lstat(from, &status, NULL, error) && file_open_read(from, &from_fd, NULL, error) &&
        file_remove(copy, error) && file_create(copy, CREATE_PRIVATE, &to_fd, error) &&
        file_copy_range(&(FileRange){from_fd, from, 0}, &(FileRange){to_fd, copy, 0},
                        (uint64_t) status.st_size, &copied, error) &&
        file_set_mode(to_fd, copy, status.st_mode & 07777, error) &&
        file_sync(to_fd, copy, error) && file_rename(copy, to, error))
        return file_sync_path(buffer_string(&parent), error) && file_remove(from, error);
    (void) !file_remove(copy, NULL); /* keep the first error */
    return false;
}

bool file_move(const char *from, const char *to, Error *error)
{
    struct stat status;

    if (rename(from, to) == 0)
        return true;
    if (errno == EXDEV && lstat(from, &status) == 0 && S_ISREG(status.st_mode))
        return move_by_copy(from, to, error);
    return error_set_errno(error, "could not rename file \"%s\" to \"%s\"", from, to);
}

bool file_link(const char *from, const char *to, bool *exists, Error *error)
{
    const bool linked = link(from, to) == 0;

    *exists = !linked && errno == EEXIST;
    return linked || *exists ||
           error_set_errno(error, "could not link file \"%s\" to \"%s\"", from, to);
}

bool file_make_directory(const char *path, Error *error)
{
    struct stat status;

    if (mkdir(path, directory_mode()) == 0)
        return true;
    if (errno == EEXIST && stat(path, &status) == 0)
    {
        if (S_ISDIR(status.st_mode))
            return true;
        errno = EEXIST;
    }
    return error_set_errno(error, "could not create directory \"%s\"", path);
}

bool file_make_directories(const char *path, Error *error)
{
    AUTO_BUFFER Buffer parent = {0};
    struct stat status;
    char *text;

    path_in(&parent, path, "");
    text = (char *) parent.bytes;
    /* Do not call mkdir for parents that exist: where this user may not create directories, it
     * would fail although nothing has to be created. */
    for (size_t index = 1; index < parent.size; index++)
    {
        if (text[index] != '/')
            continue;
        text[index] = '\0';
        if (stat(text, &status) != 0 && !file_make_directory(text, error))
            return false;
        text[index] = '/';
    }
    return file_make_directory(path, error);
}

bool file_read_link(const char *path, Buffer *buffer, Error *error)
{
    char target[PATH_MAX];
    const ssize_t length = readlink(path, target, sizeof(target));

    if (length < 0)
        return error_set_errno(error, "could not read symbolic link \"%s\"", path);
    if ((size_t) length >= sizeof(target))
        return error_set(error, ERROR_FAILED, "symbolic link \"%s\" target is too long", path);
    buffer_append(buffer, target, (size_t) length);
    return true;
}

bool file_make_link(const char *link_target, const char *path, Error *error)
{
    AUTO_BUFFER Buffer present = {0};

    if (file_read_link(path, &present, NULL))
    {
        if (strcmp(buffer_string(&present), link_target) == 0)
            return true;
        if (!file_remove(path, error))
            return false;
    }
    if (symlink(link_target, path) != 0)
        return error_set_errno(error, "could not create symbolic link at \"%s\"", path);
    return true;
}

void file_set_sync(bool on)
{
    sync_on = on;
}

bool file_sync_enabled(void)
{
    return sync_on;
}

bool file_sync(int fd, const char *path, Error *error)
{
    if (!sync_on)
        return true;
    /* Do not retry after a failure: the kernel may have dropped the pages that it could not write,
     * and a second fsync would then succeed. */
    if (fsync(fd) == 0)
        return true;
    /* With these numbers nothing was synced: see file_sync_path. */
    if (errno != EBADF && errno != EINVAL)
        sync_failed = true;
    return error_set_errno(error, "could not fsync file \"%s\"", path);
}

bool file_take_sync_failure(void)
{
    return atomic_exchange(&sync_failed, false);
}

bool file_sync_has_failed(void)
{
    return sync_failed;
}

void file_begin_writeback(int fd, uint64_t offset, uint64_t size)
{
    /* Without the flags that wait: they would take a write error from the kernel, and the later
     * fsync would succeed. */
    if (sync_on && size > 0)
        (void) !sync_file_range(fd, (off64_t) offset, (off64_t) size, SYNC_FILE_RANGE_WRITE);
}

static bool sync_path(const char *path, int passed_over, Error *error)
{
    AUTO_FD int fd = -1;
    struct stat status;

    if (!sync_on)
        return true;
    fd = open_retrying(path, O_RDONLY | O_NONBLOCK, 0);
    if (fd < 0 && (errno == ENOENT || errno == passed_over))
        return true;
    if (fd < 0)
        return error_set_errno(error, "could not open file \"%s\"", path);
    if (file_sync(fd, path, error))
        return true;
    /* Some file systems refuse to sync a directory; they need no such sync. */
    return (error->error_number == EBADF || error->error_number == EINVAL) &&
           fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

bool file_sync_path(const char *path, Error *error)
{
    return sync_path(path, ENOENT, error);
}

bool file_sync_readable(const char *path, Error *error)
{
    return sync_path(path, EACCES, error);
}

bool file_sync_file_system(int fd, const char *path, Error *error)
{
    if (!sync_on || syncfs(fd) == 0)
        return true;
    sync_failed = true;
    return error_set_errno(error, "could not synchronize file system for file \"%s\"", path);
}

uint64_t file_size_max(void)
{
    struct rlimit limit;

    return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < INT64_MAX ? limit.rlim_cur
                                                                              : INT64_MAX;
}

/* True if syncfs puts all data of this type of file system on the disk. Types not listed, such as
 * FUSE and SMB, may only write the kernel's cache back. On an overlay syncfs reports no error, and
 * on older kernels it writes no data. tmpfs has no disk. */
static bool syncs_whole(__fsword_t type)
{
    static const __fsword_t types[] = {
        EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, F2FS_SUPER_MAGIC, ZFS,
        BCACHEFS,         TMPFS_MAGIC};

    for (size_t index = 0; index < sizeof(types) / sizeof(types[0]); index++)
    {
        if (types[index] == type)
            return true;
    }
    return false;
}

/* Rule I26: before Linux 5.8 syncfs reports no error of the data that it could not write. */
static bool syncfs_reports_errors(void)
{
    struct utsname system;
    unsigned major, minor;

    return uname(&system) == 0 && sscanf(system.release, "%u.%u", &major, &minor) == 2 &&
           (major > 5 || (major == 5 && minor >= 8));
}

bool file_space(const char *path, FileSpace *space, Error *error)
{
    struct statfs status;

    if (statfs(path, &status) != 0)
        return error_set_errno(error, "could not get the free space of the file system of \"%s\"",
                               path);
    space->unit = status.f_frsize > 0 ? (uint64_t) status.f_frsize : 1;
    space->free_bytes = (uint64_t) status.f_bavail * space->unit;
    space->free_files = status.f_files > 0 ? status.f_ffree : UINT64_MAX;
    space->kind = (uint64_t) status.f_type;
    space->copies_on_write =
        status.f_type == BTRFS_SUPER_MAGIC || status.f_type == BCACHEFS || status.f_type == ZFS;
    space->syncs_whole = syncs_whole(status.f_type) && syncfs_reports_errors();
    return true;
}

bool file_lock(int fd, const char *path, bool *locked, bool *supported, Error *error)
{
    *locked = TEMP_FAILURE_RETRY(flock(fd, LOCK_EX | LOCK_NB)) == 0;
    *supported = true;
    if (*locked || errno == EWOULDBLOCK)
        return true;
    *supported = false;
    if (errno == ENOLCK || errno == EOPNOTSUPP || errno == ENOSYS || errno == EINVAL)
        return true;
    return error_set_errno(error, "could not lock file \"%s\"", path);
}

void file_drop_cached(const char *path)
{
    AUTO_FD int fd = -1;
    bool found;

    if (file_open_read(path, &fd, &found, NULL) && found)
        (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

bool file_has_writer(const char *path)
{
    AUTO_FD int fd = open_retrying(path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);

    if (fd < 0)
        return false;
    /* A writer that opens the file now ends the lease by a signal to us. SIGURG is ignored. */
    (void) fcntl(fd, F_SETSIG, SIGURG);
    if (fcntl(fd, F_SETLEASE, F_RDLCK) != 0)
        return errno == EAGAIN;
    (void) fcntl(fd, F_SETLEASE, F_UNLCK);
    return false;
}

/* ---- Durable changes ---- */

bool durable_sync_parent(const char *path, Error *error)
{
    AUTO_BUFFER Buffer parent = {0};

    return file_sync_path(path_parent(&parent, path), error);
}

bool durable_write(const char *path, const void *bytes, size_t size, mode_t mode, Error *error)
{
    AUTO_FD int fd = -1;

    /* Remove the path first: if it is a link, another file would be written. */
    return file_remove(path, error) && file_create(path, CREATE_EMPTY, &fd, error) &&
           file_write_at(fd, path, bytes, size, 0, error) && file_set_mode(fd, path, mode, error) &&
           file_sync(fd, path, error);
}

bool durable_replace(const char *path, const char *temporary_path, const void *bytes, size_t size,
                     Error *error)
{
    if (!durable_write(temporary_path, bytes, size, file_mode(), error) ||
        !file_move(temporary_path, path, error))
    {
        (void) !file_remove(temporary_path, NULL); /* keep the first error */
        return false;
    }
    return durable_sync_parent(path, error);
}

bool durable_rename(const char *from, const char *to, Error *error)
{
    return file_move(from, to, error) && durable_sync_parent(to, error) &&
           durable_sync_parent(from, error);
}

bool durable_remove(const char *path, Error *error)
{
    return file_remove(path, error) && durable_sync_parent(path, error);
}
