#include "memory_files.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define ROOT "/fuzz/"
#define FILES_MAX 16
#define OPEN_MAX_COUNT 64
#define FIRST_FD 1000000

typedef struct File
{
    const char *path;
    const uint8_t *bytes;
    size_t size;
    bool is_directory;
} File;

static File files[FILES_MAX];
static int file_count;
static File open_files[OPEN_MAX_COUNT];
static bool is_open[OPEN_MAX_COUNT];
static void (*on_remove)(const char *path, bool is_directory);
static double slept;

/* Functions of the linker's --wrap: __wrap_NAME replaces NAME in the program, __real_NAME is the C
 * library's. */
int __real_open(const char *path, int flags, ...);
ssize_t __real_pread(int fd, void *bytes, size_t size, off_t offset);
int __real_close(int fd);
int __real_lstat(const char *path, struct stat *status);
int __real_stat(const char *path, struct stat *status);
int __real_fstat(int fd, struct stat *status);
int __real_unlink(const char *path);
int __real_rmdir(const char *path);
int __real_kill(pid_t pid, int number);
int __real_nanosleep(const struct timespec *wanted, struct timespec *left);
int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __real_poll(struct pollfd *waited, nfds_t count, int milliseconds);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __wrap_open(const char *path, int flags, ...);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset);
int __wrap_close(int fd);
int __wrap_lstat(const char *path, struct stat *status);
int __wrap_stat(const char *path, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);
int __wrap_unlink(const char *path);
int __wrap_rmdir(const char *path);
int __wrap_kill(pid_t pid, int number);
int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_poll(struct pollfd *waited, nfds_t count, int milliseconds);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

void memory_files_clear(void)
{
    file_count = 0;
    on_remove = NULL;
    slept = 0;
    for (int i = 0; i < OPEN_MAX_COUNT; i++)
        if (is_open[i])
            __builtin_trap(); /* the last run has left a descriptor open */
}

static void put(const File *file)
{
    if (file_count == FILES_MAX)
        __builtin_trap();
    files[file_count++] = *file;
}

void memory_files_put(const char *path, const void *bytes, size_t size)
{
    put(&(File){.path = path, .bytes = bytes, .size = size});
}

void memory_files_put_directory(const char *path)
{
    put(&(File){.path = path, .is_directory = true});
}

void memory_files_on_remove(void (*removed)(const char *path, bool is_directory))
{
    on_remove = removed;
}

double memory_files_slept(void)
{
    return slept;
}

static int open_slot(const File *file)
{
    for (int i = 0; i < OPEN_MAX_COUNT; i++)
    {
        if (is_open[i])
            continue;
        is_open[i] = true;
        open_files[i] = *file;
        return FIRST_FD + i;
    }
    __builtin_trap();
}

int memory_files_open(const void *bytes, size_t size)
{
    return open_slot(&(File){.bytes = bytes, .size = size});
}

/* While somebody looks at what is removed no other path of the system's may be seen either. */
static bool is_ours(const char *path)
{
    return strncmp(path, ROOT, sizeof(ROOT) - 1) == 0 || on_remove != NULL;
}

static const File *find(const char *path)
{
    for (int i = 0; i < file_count; i++)
        if (strcmp(files[i].path, path) == 0)
            return &files[i];
    errno = ENOENT;
    return NULL;
}

static const File *of_descriptor(int fd)
{
    if (fd >= FIRST_FD + OPEN_MAX_COUNT || !is_open[fd - FIRST_FD])
        __builtin_trap();
    return &open_files[fd - FIRST_FD];
}

int __wrap_open(const char *path, int flags, ...)
{
    const File *file;
    mode_t mode = 0;

    if (flags & O_CREAT)
    {
        va_list arguments;

        va_start(arguments, flags);
        mode = va_arg(arguments, mode_t);
        va_end(arguments);
    }
    if (!is_ours(path))
        return __real_open(path, flags, mode);
    file = find(path);
    if (file != NULL && (flags & O_DIRECTORY) != 0)
    {
        errno = ENOENT; /* nothing is inside */
        return -1;
    }
    return file != NULL ? open_slot(file) : -1;
}

ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
    const File *file;
    size_t length;

    if (fd < FIRST_FD)
        return __real_pread(fd, bytes, size, offset);
    file = of_descriptor(fd);
    if (offset < 0)
    {
        errno = EINVAL;
        return -1;
    }
    if ((size_t) offset >= file->size)
        return 0;
    length = file->size - (size_t) offset < size ? file->size - (size_t) offset : size;
    memcpy(bytes, file->bytes + offset, length);
    return (ssize_t) length;
}

int __wrap_close(int fd)
{
    if (fd < FIRST_FD)
        return __real_close(fd);
    (void) of_descriptor(fd);
    is_open[fd - FIRST_FD] = false;
    return 0;
}

static int describe(const File *file, struct stat *status)
{
    memset(status, 0, sizeof(*status));
    if (file == NULL)
        return -1;
    status->st_mode = file->is_directory ? S_IFDIR | 0700 : S_IFREG | 0600;
    status->st_size = (off_t) file->size;
    return 0;
}

int __wrap_lstat(const char *path, struct stat *status)
{
    return is_ours(path) ? describe(find(path), status) : __real_lstat(path, status);
}

int __wrap_stat(const char *path, struct stat *status)
{
    return is_ours(path) ? describe(find(path), status) : __real_stat(path, status);
}

int __wrap_fstat(int fd, struct stat *status)
{
    return fd >= FIRST_FD ? describe(of_descriptor(fd), status) : __real_fstat(fd, status);
}

int __wrap_unlink(const char *path)
{
    if (!is_ours(path))
        return __real_unlink(path);
    if (on_remove != NULL)
        on_remove(path, false);
    return 0;
}

int __wrap_rmdir(const char *path)
{
    if (!is_ours(path))
        return __real_rmdir(path);
    if (on_remove != NULL)
        on_remove(path, true);
    return 0;
}

/* Odd processes are alive. */
int __wrap_kill(pid_t pid, int number)
{
    if (number != 0)
        return __real_kill(pid, number);
    errno = ESRCH;
    return pid % 2 == 0 ? -1 : 0;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void) left;
    slept += (double) wanted->tv_sec + (double) wanted->tv_nsec / 1e9;
    return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    (void) clock;
    now->tv_sec = 1000 + (time_t) slept;
    now->tv_nsec = (long) ((slept - (double) (time_t) slept) * 1e9);
    return 0;
}

int __wrap_poll(struct pollfd *waited, nfds_t count, int milliseconds)
{
    if (count != 1 || waited->fd < FIRST_FD)
        return __real_poll(waited, count, milliseconds);
    waited->revents = waited->events;
    return 1;
}

/* Log lines are of no interest. */
ssize_t __wrap_write(int fd, const void *bytes, size_t size)
{
    return fd == STDERR_FILENO ? (ssize_t) size : __real_write(fd, bytes, size);
}

int __wrap_fsync(int fd)
{
    return fd >= FIRST_FD ? 0 : __real_fsync(fd);
}
