/*
 * A library to be preloaded: it counts the system calls of a program, and kills the program, fails
 * a call, cuts reads and writes short, or writes down what was done to the disks. A unit test links
 * it instead, and says what is to happen by faults.h.
 *
 * PG_REWIND_FAULT=
 *     kill:WHERE           SIGKILL before the call
 *     stop:WHERE           SIGSTOP before the call
 *     hang:WHERE           the call never returns; other threads go on
 *     FAULT,FAULT          the second is set when the first has happened
 *     fail:WHERE:ERRNO     the call fails with ERRNO (ENOSPC, EIO ...); a write writes half of its
 *                          bytes before it does
 *     lose:WHERE           a write seems to succeed, but cannot be brought to the disk: there are
 * zeros in its place, and of the syncs only those by descriptors that were open at that time say so
 * (of the file, or of the file system), once the kernel has forgotten the file short:SEED reads and
 * writes, of files and sockets, are cut short or interrupted at random WHERE is N, the N-th call
 * that changes something (a file, or what a peer is told); rN, the N-th other call; N+, all calls
 * that need space from the N-th on; or CALL@PATTERN, the first such call whose path matches
 * (rename: the new path), as in rename@*\/backup_label. ONE;OTHER is the first call that matches
 * OTHER after the first that matches ONE. But for N+ it happens once.
 *
 * PG_REWIND_FAULT_APART=PATTERN: each rename from one directory into another fails with EXDEV where
 * the new path matches, and each link: as if the directory had a project of its own.
 *
 * PG_REWIND_FAULT_NO_LINKS=1: each link fails with EPERM, as on a file system without hard links.
 *
 * PG_REWIND_FAULT_NFS=FILE: a file that the program removes, or renames another file over, while it
 * has the file open, keeps a name ".nfs...", which cannot be removed until the program closes the
 * file: as in a directory that is mounted by NFS. A line in FILE for each, with its path.
 *
 * PG_REWIND_FAULT_PEER=UID: who listens at a Unix socket seems to be this account.
 * PG_REWIND_FAULT_NAMELESS=1: getpwuid knows no account.
 * PG_REWIND_FAULT_CGROUPS=DIRECTORY: the program reads DIRECTORY/self in the place of
 * /proc/self/cgroup, and DIRECTORY/PID in that of a process's, where these files exist.
 *
 * PG_REWIND_FAULT_ONCE=FILE: nothing happens but to the process that can remove FILE: one of those
 * that the program makes to run its work again.
 *
 * PG_REWIND_FAULT_LOG=FILE: a line for each call counted, "N CALL PATH"; r before the number of
 * calls that change nothing.
 *
 * PG_REWIND_FAULT_RECORD=FILE, and FILE.data: all that was done to files, after it was done, for
 * the test that thinks of power cuts: lines with tabs between fields, paths absolute and without
 * links. A handle is an open file. Fields that are sizes and offsets are decimal, modes octal.
 *
 *     open HANDLE PATH created|truncated|opened MODE     mkdir PATH MODE      rename FROM TO
 *     write HANDLE OFFSET SIZE OFFSET-IN-DATA            rmdir PATH           link FROM TO
 *     truncate HANDLE SIZE      reserve HANDLE SIZE      unlink PATH          symlink TARGET PATH
 *     chmod HANDLE MODE         sync HANDLE              syncfs HANDLE        begin: a new process
 *
 * Children of the program run without this library.
 */
#include "faults.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <linux/fs.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define FD_MAX 4096
#define LOG_FD_MIN 200 /* below any limit that a system sets */

/* The function of the C library that ours stands for. */
#define REAL(result, name, ...) REAL_AS(real, result, name, __VA_ARGS__)
#define REAL_AS(real, result, name, ...)                                                           \
    static result (*real)(__VA_ARGS__);                                                            \
    if (real == NULL)                                                                              \
    *(void **) &real = dlsym(RTLD_NEXT, #name)

typedef enum Action
{
    ACTION_NONE,
    ACTION_KILL,
    ACTION_STOP,
    ACTION_FAIL,
    ACTION_LOSE,
    ACTION_HANG
} Action;

typedef enum Class
{
    CHANGES,
    TAKES_SPACE, /* a change that a full disk can refuse */
    READS
} Class;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Action action;
static uint64_t where_number; /* 0: by name */
static bool where_reads, where_onwards;
static char where_call[32];
static char where_pattern[PATH_MAX];
static char where_then[PATH_MAX];
static char next_faults[PATH_MAX];
static int fail_errno;
static bool short_on;
static uint64_t short_state;
static bool begun;
static uint64_t change_count, read_count;
static int log_fd = -1, record_fd = -1, data_fd = -1;
static uint64_t data_size, handle_count;
static char *fd_path[FD_MAX];
static uint64_t fd_handle[FD_MAX];
static char *fd_nfs_name[FD_MAX]; /* what the file of this descriptor is called since its removal */
static int nfs_fd = -1;
static __thread bool lose_this_write;
static char lost_path[PATH_MAX]; /* path of the file whose write was lost; "" if none was */
static uint64_t lost_handles;    /* highest handle at the loss: syncs by later handles succeed */

static void put_line(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- Settings from the environment ---- */

static void refuse(const char *what)
{
    fprintf(stderr, "invalid %s\n", what);
    _exit(1);
}

static int errno_of(const char *name)
{
    static const struct
    {
        const char *name;
        int number;
    } numbers[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},     {"EDQUOT", EDQUOT}, {"EMFILE", EMFILE},
                   {"EINTR", EINTR},   {"EPERM", EPERM}, {"EACCES", EACCES}, {"EROFS", EROFS},
                   {"ENOMEM", ENOMEM}, {"EXDEV", EXDEV}, {"EFBIG", EFBIG}};

    for (size_t index = 0; index < sizeof(numbers) / sizeof(numbers[0]); index++)
        if (strcmp(name, numbers[index].name) == 0)
            return numbers[index].number;
    refuse("error in PG_REWIND_FAULT");
    return 0;
}

static void parse_where(char *where)
{
    char *at = strchr(where, '@');
    char *then = strchr(where, ';');
    char *end;

    if (then != NULL)
        *then++ = '\0';
    snprintf(where_then, sizeof(where_then), "%s", then != NULL ? then : "");
    if (at != NULL)
    {
        *at = '\0';
        snprintf(where_call, sizeof(where_call), "%s", where);
        snprintf(where_pattern, sizeof(where_pattern), "%s", at + 1);
        return;
    }
    where_reads = where[0] == 'r';
    where_number = strtoull(where + (where_reads ? 1 : 0), &end, 10);
    where_onwards = *end == '+';
    if (where_number == 0 || *(end + (where_onwards ? 1 : 0)) != '\0')
        refuse("number in PG_REWIND_FAULT");
}

static void parse_fault(const char *text)
{
    char copy[PATH_MAX];
    char *where, *number, *next;

    snprintf(copy, sizeof(copy), "%s", text);
    next = strchr(copy, ',');
    if (next != NULL)
        *next++ = '\0';
    snprintf(next_faults, sizeof(next_faults), "%s", next != NULL ? next : "");
    where = strchr(copy, ':');
    if (where == NULL)
        refuse("PG_REWIND_FAULT");
    *where++ = '\0';
    if (strcmp(copy, "short") == 0)
    {
        short_on = true;
        short_state = strtoull(where, NULL, 10) * 2654435769u + 1;
        return;
    }
    if (strcmp(copy, "kill") == 0)
        action = ACTION_KILL;
    else if (strcmp(copy, "stop") == 0)
        action = ACTION_STOP;
    else if (strcmp(copy, "fail") == 0)
        action = ACTION_FAIL;
    else if (strcmp(copy, "lose") == 0)
        action = ACTION_LOSE;
    else if (strcmp(copy, "hang") == 0)
        action = ACTION_HANG;
    else
        refuse("action in PG_REWIND_FAULT");
    if (action == ACTION_FAIL)
    {
        number = strrchr(where, ':');
        if (number == NULL)
            refuse("PG_REWIND_FAULT without an error");
        *number = '\0';
        fail_errno = errno_of(number + 1);
    }
    parse_where(where);
}

void faults_set(const char *fault)
{
    action = ACTION_NONE;
    where_number = 0;
    short_on = false;
    change_count = 0;
    read_count = 0;
    if (fault != NULL && fault[0] != '\0')
        parse_fault(fault);
}

uint64_t faults_count(void)
{
    return change_count;
}

static int open_log(const char *path)
{
    REAL(int, open, const char *, int, ...);
    int fd = real(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

    /* Out of the way: the program's own descriptors are as without us. */
    if (fd < 0 || (fd = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD_MIN)) < 0)
        refuse("path of a log");
    return fd;
}

__attribute__((constructor)) static void begin(void)
{
    const char *log = getenv("PG_REWIND_FAULT_LOG");
    const char *record = getenv("PG_REWIND_FAULT_RECORD");
    char path[PATH_MAX];

    faults_set(getenv("PG_REWIND_FAULT"));
    if (log != NULL)
        log_fd = open_log(log);
    if (getenv("PG_REWIND_FAULT_NFS") != NULL)
        nfs_fd = open_log(getenv("PG_REWIND_FAULT_NFS"));
    if (record != NULL)
    {
        record_fd = open_log(record);
        snprintf(path, sizeof(path), "%s.data", record);
        data_fd = open_log(path);
        data_size = (uint64_t) lseek(data_fd, 0, SEEK_END);
        put_line(record_fd, "begin\n");
    }
    unsetenv("LD_PRELOAD");
    begun = true;
}

/* ---- Counting ---- */

static void put(int fd, const void *bytes, size_t size)
{
    REAL(ssize_t, write, int, const void *, size_t);

    for (size_t written = 0; written < size;)
    {
        const ssize_t now = real(fd, (const char *) bytes + written, size - written);

        if (now <= 0)
            _exit(1);
        written += (size_t) now;
    }
}

static void put_line(int fd, const char *format, ...)
{
    char line[3 * PATH_MAX];
    va_list arguments;
    int length;

    va_start(arguments, format);
    length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    if (length > 0)
        put(fd, line, (size_t) length);
}

static bool is_meant(const char *call, const char *path, bool reads, bool takes_space,
                     uint64_t number)
{
    if (action == ACTION_NONE)
        return false;
    if (where_number == 0)
    {
        char then[PATH_MAX];

        if (strcmp(call, where_call) != 0 || fnmatch(where_pattern, path, 0) != 0)
            return false;
        if (where_then[0] == '\0')
            return true;
        strcpy(then, where_then);
        parse_where(then);
        return false;
    }
    if (where_reads != reads)
        return false;
    return where_onwards ? number >= where_number && takes_space : number == where_number;
}

/* With PG_REWIND_FAULT_ONCE: is this the process that it happens to? */
static bool is_the_one(void)
{
    REAL(int, unlink, const char *);
    const char *once = getenv("PG_REWIND_FAULT_ONCE");

    return once == NULL || real(once) == 0;
}

/* Count a call and let it be struck. True: it is to fail, errno is set. */
static bool strike(const char *call, const char *path, Class class)
{
    const bool reads = class == READS;
    bool fails = false, hangs = false;
    char next[PATH_MAX];
    uint64_t number;

    if (!begun)
        return false; /* a sanitizer's library, which is loaded first, looks around */
    if (path == NULL)
        path = "";
    pthread_mutex_lock(&lock);
    number = reads ? ++read_count : ++change_count;
    if (log_fd >= 0)
        put_line(log_fd, "%s%llu %s %s\n", reads ? "r" : "", (unsigned long long) number, call,
                 path);
    if (is_meant(call, path, reads, class == TAKES_SPACE, number) && is_the_one())
    {
        if (action == ACTION_KILL)
            raise(SIGKILL);
        if (action == ACTION_STOP)
            raise(SIGSTOP);
        fails = action == ACTION_FAIL;
        lose_this_write = action == ACTION_LOSE;
        hangs = action == ACTION_HANG;
        if (!where_onwards)
            action = ACTION_NONE; /* once */
        if (next_faults[0] != '\0')
            parse_fault(strcpy(next, next_faults));
    }
    pthread_mutex_unlock(&lock);
    while (hangs)
        (void) pause();
    if (fails)
        errno = fail_errno;
    return fails;
}

static uint64_t dice(uint64_t sides)
{
    uint64_t value;

    pthread_mutex_lock(&lock);
    short_state ^= short_state << 13;
    short_state ^= short_state >> 7;
    short_state ^= short_state << 17;
    value = short_state % sides;
    pthread_mutex_unlock(&lock);
    return value;
}

/* Shorten a read or write at random; false, with errno EINTR, if the call is interrupted. */
static bool cut_short(size_t *size)
{
    if (!short_on)
        return true;
    if (dice(8) == 0)
    {
        errno = EINTR;
        return false;
    }
    if (*size > 1 && dice(2) == 0)
        *size = 1 + dice(*size);
    return true;
}

/* ---- Descriptors ---- */

static const char *path_of(int fd)
{
    return fd >= 0 && fd < FD_MAX && fd_path[fd] != NULL ? fd_path[fd] : "";
}

/* True for a file or directory that the program opened; false for standard streams and sockets. */
static bool is_file(int fd)
{
    return fd >= 0 && fd < FD_MAX && fd_handle[fd] != 0;
}

/* path, where it is given below an open directory. out has PATH_MAX bytes. */
static const char *below(int directory_fd, const char *path, char *out)
{
    const char *directory = directory_fd == AT_FDCWD ? "" : path_of(directory_fd);

    if (directory[0] == '\0' || path[0] == '/' || strlen(directory) + 1 + strlen(path) >= PATH_MAX)
        return path;
    return strcat(strcat(strcpy(out, directory), "/"), path);
}

/* path with its directory as it really is. out has PATH_MAX bytes. */
static const char *canonical(int directory_fd, const char *path, char *out)
{
    char joined[2 * PATH_MAX], directory[PATH_MAX];
    char *slash;

    if (record_fd < 0)
        return below(directory_fd, path, out);
    if (directory_fd != AT_FDCWD)
        snprintf(joined, sizeof(joined), "%s/%s", path_of(directory_fd), path);
    else
        snprintf(joined, sizeof(joined), "%s%s", strchr(path, '/') != NULL ? "" : "./", path);
    slash = strrchr(joined, '/');
    if (slash[1] == '\0' || strcmp(slash, "/.") == 0)
        return realpath(joined, out) != NULL ? out : path;
    *slash = '\0';
    if (realpath(joined[0] != '\0' ? joined : "/", directory) == NULL)
        return path;
    if (strlen(directory) + 1 + strlen(slash + 1) >= PATH_MAX)
        return path;
    strcat(strcat(strcpy(out, directory), "/"), slash + 1);
    return out;
}

static void note_open(int fd, int directory_fd, const char *path, const char *how)
{
    char absolute[PATH_MAX], opened[PATH_MAX];
    struct stat status;
    REAL(int, fstat, int, struct stat *);

    if (fd < 0 || fd >= FD_MAX || real(fd, &status) != 0 || S_ISCHR(status.st_mode))
        return; /* /dev/null is no file of a cluster */
    path = canonical(directory_fd, path, absolute);
    /* A directory that a link leads to is synced through that link as well. */
    if (record_fd >= 0 && S_ISDIR(status.st_mode) && realpath(path, opened) != NULL)
        path = opened;
    pthread_mutex_lock(&lock);
    free(fd_path[fd]);
    fd_path[fd] = strdup(path);
    fd_handle[fd] = ++handle_count;
    if (record_fd >= 0)
        put_line(record_fd, "open\t%llu\t%s\t%s\t%o\n", (unsigned long long) fd_handle[fd], path,
                 how, status.st_mode & 07777);
    pthread_mutex_unlock(&lock);
}

#define RECORD(...)                                                                                \
    do                                                                                             \
    {                                                                                              \
        if (record_fd >= 0)                                                                        \
        {                                                                                          \
            pthread_mutex_lock(&lock);                                                             \
            put_line(record_fd, __VA_ARGS__);                                                      \
            pthread_mutex_unlock(&lock);                                                           \
        }                                                                                          \
    } while (false)

static unsigned long long handle_of(int fd)
{
    return is_file(fd) ? fd_handle[fd] : 0;
}

/* ---- Calls that change something ---- */

static bool find_cgroup(const char *path, char *cgroup, size_t size)
{
    const char *directory = getenv("PG_REWIND_FAULT_CGROUPS");
    const size_t prefix = strlen("/proc/");

    if (directory == NULL || fnmatch("/proc/*/cgroup", path, FNM_PATHNAME) != 0)
        return false;
    snprintf(cgroup, size, "%s/%.*s", directory, (int) strcspn(path + prefix, "/"), path + prefix);
    return access(cgroup, F_OK) == 0;
}

static int open_file(int directory_fd, const char *path, int flags, mode_t mode)
{
    char cgroup[PATH_MAX];
    const bool changes = (flags & (O_CREAT | O_TRUNC)) != 0;
    const char *how = "opened";
    struct stat status;
    int fd;
    REAL(int, openat, int, const char *, int, ...);

    if (find_cgroup(path, cgroup, sizeof(cgroup)))
        path = cgroup;
    if (strike(changes ? "create" : "open", path, changes ? TAKES_SPACE : READS))
        return -1;
    if (short_on && dice(16) == 0)
    {
        errno = EINTR;
        return -1;
    }
    if ((flags & O_TRUNC) != 0)
        how = "truncated";
    if ((flags & O_CREAT) != 0 && fstatat(directory_fd, path, &status, 0) != 0)
        how = "created";
    fd = real(directory_fd, path, flags, mode);
    note_open(fd, directory_fd, path, how);
    return fd;
}

#define OPEN_FUNCTION(name)                                                                        \
    int name(const char *path, int flags, ...)                                                     \
    {                                                                                              \
        va_list arguments;                                                                         \
        mode_t mode;                                                                               \
        va_start(arguments, flags);                                                                \
        mode = va_arg(arguments, mode_t);                                                          \
        va_end(arguments);                                                                         \
        return open_file(AT_FDCWD, path, flags, mode);                                             \
    }
OPEN_FUNCTION(open)
OPEN_FUNCTION(open64)

#define OPENAT_FUNCTION(name)                                                                      \
    int name(int directory_fd, const char *path, int flags, ...)                                   \
    {                                                                                              \
        va_list arguments;                                                                         \
        mode_t mode;                                                                               \
        va_start(arguments, flags);                                                                \
        mode = va_arg(arguments, mode_t);                                                          \
        va_end(arguments);                                                                         \
        return open_file(directory_fd, path, flags, mode);                                         \
    }
OPENAT_FUNCTION(openat)
OPENAT_FUNCTION(openat64)

/* With _FORTIFY_SOURCE, a call without a mode becomes one of these. */
#define CHECKED_OPEN_FUNCTIONS(open_name, openat_name)                                             \
    int open_name(const char *path, int flags);                                                    \
    int open_name(const char *path, int flags)                                                     \
    {                                                                                              \
        return open_file(AT_FDCWD, path, flags, 0);                                                \
    }                                                                                              \
    int openat_name(int directory_fd, const char *path, int flags);                                \
    int openat_name(int directory_fd, const char *path, int flags)                                 \
    {                                                                                              \
        return open_file(directory_fd, path, flags, 0);                                            \
    }
CHECKED_OPEN_FUNCTIONS(__open_2, __openat_2)
CHECKED_OPEN_FUNCTIONS(__open64_2, __openat64_2)

/* ---- Files that are open while they are removed, on NFS ---- */

/* Give the file at path another name in its directory if the program has it open. */
static bool keep_open_file(const char *path)
{
    static unsigned count;
    char name[PATH_MAX];
    const char *base = strrchr(path, '/');
    struct stat removed, opened;
    bool is_open = false;
    REAL(int, rename, const char *, const char *);

    if (nfs_fd < 0 || lstat(path, &removed) != 0 || !S_ISREG(removed.st_mode))
        return false;
    pthread_mutex_lock(&lock);
    snprintf(name, sizeof(name), "%.*s.nfs%u", base != NULL ? (int) (base + 1 - path) : 0, path,
             ++count);
    for (int fd = 0; fd < FD_MAX; fd++)
    {
        if (fd_handle[fd] == 0 || fstat(fd, &opened) != 0 || opened.st_dev != removed.st_dev ||
            opened.st_ino != removed.st_ino)
            continue;
        is_open = true;
        free(fd_nfs_name[fd]);
        fd_nfs_name[fd] = strdup(name);
    }
    if (is_open)
    {
        put_line(nfs_fd, "%s\n", path);
        if (real(path, name) != 0)
            refuse("directory for PG_REWIND_FAULT_NFS");
    }
    pthread_mutex_unlock(&lock);
    return is_open;
}

static bool is_kept_by_nfs(const char *path)
{
    const char *base = strrchr(path, '/');
    bool kept = false;

    if (nfs_fd < 0 || strncmp(base != NULL ? base + 1 : path, ".nfs", 4) != 0)
        return false;
    pthread_mutex_lock(&lock);
    for (int fd = 0; fd < FD_MAX; fd++)
        kept = kept || (fd_nfs_name[fd] != NULL && strcmp(fd_nfs_name[fd], path) == 0);
    pthread_mutex_unlock(&lock);
    return kept;
}

/* The last descriptor of a file that was removed is closed: the file goes. */
static void forget_nfs_name(int fd)
{
    char *name;
    REAL(int, unlink, const char *);

    pthread_mutex_lock(&lock);
    name = fd_nfs_name[fd];
    fd_nfs_name[fd] = NULL;
    pthread_mutex_unlock(&lock);
    if (name != NULL && !is_kept_by_nfs(name))
        real(name);
    free(name);
}

int close(int fd)
{
    REAL(int, close, int);

    if (fd >= 0 && fd < FD_MAX)
    {
        forget_nfs_name(fd);
        fd_handle[fd] = 0;
        /* The number may become that of a file in memory, which has no path. */
        pthread_mutex_lock(&lock);
        free(fd_path[fd]);
        fd_path[fd] = NULL;
        pthread_mutex_unlock(&lock);
    }
    return real(fd);
}

static void record_write(int fd, const void *bytes, size_t size, off_t offset)
{
    if (record_fd < 0)
        return;
    pthread_mutex_lock(&lock);
    put_line(record_fd, "write\t%llu\t%lld\t%zu\t%llu\n", handle_of(fd), (long long) offset, size,
             (unsigned long long) data_size);
    put(data_fd, bytes, size);
    data_size += size;
    pthread_mutex_unlock(&lock);
}

/* Record bytes that the kernel has copied to fd: read them back. */
static void record_copy(int fd, off64_t offset, ssize_t size)
{
    static char bytes[65536];
    static pthread_mutex_t bytes_lock = PTHREAD_MUTEX_INITIALIZER;
    REAL(ssize_t, pread, int, void *, size_t, off_t);

    if (record_fd < 0)
        return;
    pthread_mutex_lock(&bytes_lock);
    while (size > 0)
    {
        const size_t piece = (size_t) size < sizeof(bytes) ? (size_t) size : sizeof(bytes);
        const ssize_t got = real(fd, bytes, piece, offset);

        if (got <= 0)
            refuse("copy that is to be recorded");
        record_write(fd, bytes, (size_t) got, offset);
        offset += got;
        size -= got;
    }
    pthread_mutex_unlock(&bytes_lock);
}

static ssize_t lose(int fd, size_t size, off_t offset)
{
    void *zeros = calloc(1, size);
    ssize_t written;
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);

    lose_this_write = false;
    written = real(fd, zeros, size, offset);
    free(zeros);
    pthread_mutex_lock(&lock);
    snprintf(lost_path, sizeof(lost_path), "%s", path_of(fd));
    lost_handles = handle_count;
    pthread_mutex_unlock(&lock);
    return written;
}

/* Is the sync by this descriptor to say that a write was lost? All files are taken for those of one
 * file system. */
static bool tells_of_loss(int fd, bool of_file_system)
{
    bool tells;

    pthread_mutex_lock(&lock);
    tells = lost_path[0] != '\0' && is_file(fd) && fd_handle[fd] <= lost_handles &&
            (of_file_system || strcmp(path_of(fd), lost_path) == 0);
    pthread_mutex_unlock(&lock);
    if (tells)
        errno = EIO;
    return tells;
}

static ssize_t write_at(int fd, const void *bytes, size_t size, off_t offset)
{
    ssize_t written;
    REAL(ssize_t, pwrite, int, const void *, size_t, off_t);

    if (strike("write", path_of(fd), TAKES_SPACE))
    {
        const int number = errno;

        written = real(fd, bytes, size / 2, offset);
        if (written > 0)
            record_write(fd, bytes, (size_t) written, offset);
        errno = number;
        return -1;
    }
    if (!cut_short(&size))
        return -1;
    if (lose_this_write)
        return lose(fd, size, offset);
    written = real(fd, bytes, size, offset);
    if (written > 0)
        record_write(fd, bytes, (size_t) written, offset);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return write_at(fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset)
{
    return write_at(fd, bytes, size, offset);
}

/* Recorded as the write that it comes to. */
ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t size,
                        unsigned flags)
{
    const off64_t begin = *to_offset;
    ssize_t copied;
    REAL(ssize_t, copy_file_range, int, off64_t *, int, off64_t *, size_t, unsigned);

    if (strike("copy", path_of(to), TAKES_SPACE) || !cut_short(&size))
        return -1;
    copied = real(from, from_offset, to, to_offset, size, flags);
    record_copy(to, begin, copied);
    return copied;
}

/* The one that shares blocks: by its only argument the file has the bytes of the other. And one
 * that only looks. */
int ioctl(int fd, unsigned long request, ...)
{
    struct stat status;
    va_list arguments;
    void *looked_at;
    int from, result;
    REAL(int, ioctl, int, unsigned long, ...);
    REAL_AS(real_fstat, int, fstat, int, struct stat *);

    if (request == FS_IOC_FSGETXATTR)
    {
        va_start(arguments, request);
        looked_at = va_arg(arguments, void *);
        va_end(arguments);
        return strike("attributes", path_of(fd), READS) ? -1 : real(fd, request, looked_at);
    }
    va_start(arguments, request);
    from = va_arg(arguments, int);
    va_end(arguments);
    if (request != FICLONE)
    {
        put_line(STDERR_FILENO, "ioctl %lx on \"%s\"\n", request, path_of(fd));
        _exit(1);
    }
    if (strike("clone", path_of(fd), TAKES_SPACE))
        return -1;
    result = real(fd, request, from);
    if (result == 0 && real_fstat(fd, &status) == 0)
        record_copy(fd, 0, status.st_size);
    return result;
}

ssize_t write(int fd, const void *bytes, size_t size)
{
    REAL(ssize_t, write, int, const void *, size_t);

    /* Nothing of a cluster is written without an offset. */
    if (is_file(fd))
    {
        put_line(STDERR_FILENO, "write to \"%s\" without an offset\n", path_of(fd));
        _exit(1);
    }
    if (!cut_short(&size))
        return -1;
    return real(fd, bytes, size);
}

/* A call that takes one descriptor and is recorded with one number, or none. */
#define FD_FUNCTION(name, call, class, parameters, arguments, record)                              \
    int name parameters                                                                            \
    {                                                                                              \
        int result;                                                                                \
        REAL(int, name, FD_TYPES_##name);                                                          \
        if (strike(call, path_of(fd), class))                                                      \
            return -1;                                                                             \
        result = real arguments;                                                                   \
        if (result == 0)                                                                           \
            record;                                                                                \
        return result;                                                                             \
    }
#define FD_TYPES_ftruncate int, off_t
#define FD_TYPES_ftruncate64 int, off64_t
#define FD_TYPES_fallocate int, int, off_t, off_t
#define FD_TYPES_fallocate64 int, int, off64_t, off64_t
#define FD_TYPES_fchmod int, mode_t

FD_FUNCTION(ftruncate, "truncate", TAKES_SPACE, (int fd, off_t size), (fd, size),
            RECORD("truncate\t%llu\t%lld\n", handle_of(fd), (long long) size))
FD_FUNCTION(ftruncate64, "truncate", TAKES_SPACE, (int fd, off64_t size), (fd, size),
            RECORD("truncate\t%llu\t%lld\n", handle_of(fd), (long long) size))
FD_FUNCTION(fallocate, "reserve", TAKES_SPACE, (int fd, int mode, off_t offset, off_t size),
            (fd, mode, offset, size),
            RECORD("reserve\t%llu\t%lld\n", handle_of(fd), (long long) (offset + size)))
FD_FUNCTION(fallocate64, "reserve", TAKES_SPACE, (int fd, int mode, off64_t offset, off64_t size),
            (fd, mode, offset, size),
            RECORD("reserve\t%llu\t%lld\n", handle_of(fd), (long long) (offset + size)))
FD_FUNCTION(fchmod, "set mode", CHANGES, (int fd, mode_t mode), (fd, mode),
            RECORD("chmod\t%llu\t%o\n", handle_of(fd), mode))

#define SYNC_FUNCTION(name, record, of_file_system)                                                \
    int name(int fd)                                                                               \
    {                                                                                              \
        REAL(int, name, int);                                                                      \
        if (strike("sync", path_of(fd), CHANGES) || real(fd) != 0 ||                               \
            tells_of_loss(fd, of_file_system))                                                     \
            return -1;                                                                             \
        RECORD(record "\t%llu\n", handle_of(fd));                                                  \
        return 0;                                                                                  \
    }
SYNC_FUNCTION(fsync, "sync", false)
SYNC_FUNCTION(fdatasync, "sync", false)
SYNC_FUNCTION(syncfs, "syncfs", true)

/* True if the directories of both paths, as the program gives them, cannot be renamed between. */
static bool are_apart(const char *from, const char *to)
{
    const char *pattern = getenv("PG_REWIND_FAULT_APART");
    const char *from_end = strrchr(from, '/'), *to_end = strrchr(to, '/');

    return pattern != NULL && from_end != NULL && to_end != NULL && fnmatch(pattern, to, 0) == 0 &&
           (from_end - from != to_end - to || strncmp(from, to, (size_t) (to_end - to)) != 0);
}

/* A call that takes two paths, the second of which it makes. */
static int change_paths(const char *call, int (*real)(const char *, const char *), const char *from,
                        const char *to, Class class)
{
    char first[PATH_MAX], second[PATH_MAX];
    const bool is_symlink = strcmp(call, "symlink") == 0;
    int result;

    if (strike(call, to, class))
        return -1;
    if (!is_symlink && are_apart(from, to))
    {
        errno = EXDEV;
        return -1;
    }
    if (strcmp(call, "link") == 0 && getenv("PG_REWIND_FAULT_NO_LINKS") != NULL)
    {
        errno = EPERM;
        return -1;
    }
    if (strcmp(call, "rename") == 0)
        (void) keep_open_file(to);
    if (!is_symlink)
        from = canonical(AT_FDCWD, from, first);
    to = canonical(AT_FDCWD, to, second);
    result = real(from, to);
    if (result == 0)
        RECORD("%s\t%s\t%s\n", call, from, to);
    return result;
}

int rename(const char *from, const char *to)
{
    REAL(int, rename, const char *, const char *);
    return change_paths("rename", real, from, to, TAKES_SPACE);
}

int link(const char *from, const char *to)
{
    REAL(int, link, const char *, const char *);
    return change_paths("link", real, from, to, TAKES_SPACE);
}

int symlink(const char *from, const char *to)
{
    REAL(int, symlink, const char *, const char *);
    return change_paths("symlink", real, from, to, TAKES_SPACE);
}

static int remove_path(const char *call, int directory_fd, const char *path, int flags)
{
    char given[PATH_MAX], absolute[PATH_MAX];
    const char *really;
    int result;
    REAL(int, unlinkat, int, const char *, int);

    if (strike(call, below(directory_fd, path, given), CHANGES))
        return -1;
    if (is_kept_by_nfs(below(directory_fd, path, given)))
    {
        errno = EBUSY;
        return -1;
    }
    really = canonical(directory_fd, path, absolute);
    result = flags == 0 && keep_open_file(below(directory_fd, path, given))
                 ? 0
                 : real(directory_fd, path, flags);
    if (result == 0)
        RECORD("%s\t%s\n", call, really);
    return result;
}

int unlink(const char *path)
{
    return remove_path("unlink", AT_FDCWD, path, 0);
}

int rmdir(const char *path)
{
    return remove_path("rmdir", AT_FDCWD, path, AT_REMOVEDIR);
}

int unlinkat(int directory_fd, const char *path, int flags)
{
    return remove_path((flags & AT_REMOVEDIR) != 0 ? "rmdir" : "unlink", directory_fd, path, flags);
}

/* Its name is made up inside: a pattern sees the X of the template. */
char *mkdtemp(char *template)
{
    char absolute[PATH_MAX];
    char *result;
    REAL(char *, mkdtemp, char *);

    if (strike("mkdir", template, TAKES_SPACE))
        return NULL;
    result = real(template);
    if (result != NULL)
        RECORD("mkdir\t%s\t%o\n", canonical(AT_FDCWD, result, absolute), 0700);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    char absolute[PATH_MAX];
    struct stat status;
    int result;
    REAL(int, mkdir, const char *, mode_t);

    if (strike("mkdir", path, TAKES_SPACE))
        return -1;
    path = canonical(AT_FDCWD, path, absolute);
    result = real(path, mode);
    if (result == 0)
        RECORD("mkdir\t%s\t%o\n", path,
               fstatat(AT_FDCWD, path, &status, 0) == 0 ? status.st_mode & 07777 : mode);
    return result;
}

int posix_spawn(pid_t *restrict pid, const char *restrict path,
                const posix_spawn_file_actions_t *restrict actions,
                const posix_spawnattr_t *restrict attributes, char *const arguments[restrict],
                char *const environment[restrict])
{
    REAL(int, posix_spawn, pid_t *, const char *, const posix_spawn_file_actions_t *,
         const posix_spawnattr_t *, char *const[], char *const[]);

    if (strike("run", path, CHANGES))
        return errno;
    return real(pid, path, actions, attributes, arguments, environment);
}

/* A fork is not counted. The child is a copy of this program, and continues with the parent's
 * counters. */
pid_t fork(void)
{
    REAL(pid_t, fork, void);

    return real();
}

/* It only hurries what happens anyway, and proves nothing. */
int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags)
{
    REAL(int, sync_file_range, int, off64_t, off64_t, unsigned);

    if (strike("write back", path_of(fd), READS))
        return -1;
    return real(fd, offset, size, flags);
}

/* A send counts as a change: the source acts on the bytes. */
ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    REAL(ssize_t, send, int, const void *, size_t, int);

    if (strike("send", "", CHANGES))
    {
        /* A failed send stands for a lost connection: shut the socket down, or the peer would wait
         * for more bytes. */
        const int number = errno;

        shutdown(fd, SHUT_RDWR);
        errno = number;
        return -1;
    }
    if (!cut_short(&size))
        return -1;
    return real(fd, bytes, size, flags);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    REAL(int, connect, int, __CONST_SOCKADDR_ARG, socklen_t);

    if (strike("connect", "", CHANGES))
        return -1;
    return real(fd, address, size);
}

/* ---- Calls that change nothing ---- */

/* A socket that is bound for an instant. */
int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t size)
{
    REAL(int, bind, int, __CONST_SOCKADDR_ARG, socklen_t);

    if (strike("bind", "", READS))
        return -1;
    return real(fd, address, size);
}

/* Not counted: a socket has no effect before bind or connect. */
int socket(int domain, int type, int protocol)
{
    REAL(int, socket, int, int, int);

    return real(domain, type, protocol);
}

static ssize_t read_at(int fd, void *bytes, size_t size, off_t offset)
{
    REAL(ssize_t, pread, int, void *, size_t, off_t);

    if (strike("read", path_of(fd), READS) || !cut_short(&size))
        return -1;
    return real(fd, bytes, size, offset);
}

ssize_t pread(int fd, void *bytes, size_t size, off_t offset)
{
    return read_at(fd, bytes, size, offset);
}

ssize_t pread64(int fd, void *bytes, size_t size, off64_t offset)
{
    return read_at(fd, bytes, size, offset);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size)
{
    const char *peer = getenv("PG_REWIND_FAULT_PEER");
    int result;
    REAL(int, getsockopt, int, int, int, void *, socklen_t *);

    result = real(fd, level, name, value, size);
    if (result == 0 && peer != NULL && level == SOL_SOCKET && name == SO_PEERCRED)
        ((struct ucred *) value)->uid = (uid_t) atoi(peer);
    return result;
}

struct passwd *getpwuid(uid_t uid)
{
    REAL(struct passwd *, getpwuid, uid_t);

    return getenv("PG_REWIND_FAULT_NAMELESS") != NULL ? NULL : real(uid);
}

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    REAL(ssize_t, recv, int, void *, size_t, int);

    if (strike("recv", "", READS) || !cut_short(&size))
        return -1;
    return real(fd, bytes, size, flags);
}

#define READ_FUNCTION(type, failure, name, call, path, parameters, arguments, ...)                 \
    type name parameters                                                                           \
    {                                                                                              \
        REAL(type, name, __VA_ARGS__);                                                             \
        if (strike(call, path, READS))                                                             \
            return failure;                                                                        \
        return real arguments;                                                                     \
    }

READ_FUNCTION(int, -1, stat, "stat", path, (const char *path, struct stat *status), (path, status),
              const char *, struct stat *)
READ_FUNCTION(int, -1, stat64, "stat", path, (const char *path, struct stat64 *status),
              (path, status), const char *, struct stat64 *)
READ_FUNCTION(int, -1, lstat, "stat", path, (const char *path, struct stat *status), (path, status),
              const char *, struct stat *)
READ_FUNCTION(int, -1, lstat64, "stat", path, (const char *path, struct stat64 *status),
              (path, status), const char *, struct stat64 *)
READ_FUNCTION(int, -1, fstat64, "stat", path_of(fd), (int fd, struct stat64 *status), (fd, status),
              int, struct stat64 *)
READ_FUNCTION(int, -1, fstatat64, "stat", path,
              (int fd, const char *path, struct stat64 *status, int flags),
              (fd, path, status, flags), int, const char *, struct stat64 *, int)
READ_FUNCTION(int, -1, statfs64, "statfs", path, (const char *path, struct statfs64 *status),
              (path, status), const char *, struct statfs64 *)
READ_FUNCTION(DIR *, NULL, fdopendir, "fdopendir", path_of(fd), (int fd), (fd), int)
READ_FUNCTION(struct dirent64 *, NULL, readdir64, "readdir", "", (DIR * directory), (directory),
              DIR *)
READ_FUNCTION(ssize_t, -1, readlink, "readlink", path,
              (const char *restrict path, char *restrict target, size_t size), (path, target, size),
              const char *, char *, size_t)
READ_FUNCTION(ssize_t, -1, readlinkat, "readlink", path,
              (int fd, const char *restrict path, char *restrict target, size_t size),
              (fd, path, target, size), int, const char *, char *, size_t)

/* Signals may come before a process blocks or unblocks them, and in a pause that one ends. */
READ_FUNCTION(int, -1, sigprocmask, "sigprocmask", "",
              (int how, const sigset_t *restrict set, sigset_t *restrict before),
              (how, set, before), int, const sigset_t *, sigset_t *)
READ_FUNCTION(int, -1, ppoll, "pause", "",
              (struct pollfd * files, nfds_t count, const struct timespec *timeout,
               const sigset_t *mask),
              (files, count, timeout, mask), struct pollfd *, nfds_t, const struct timespec *,
              const sigset_t *)
