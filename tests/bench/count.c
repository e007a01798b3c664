/*
 * A library to be preloaded: it counts what a program costs, the same for any program, and writes
 * it at its end as lines "NAME VALUE" to the file that PG_REWIND_COUNTS names. tests/bench.pl reads
 * them.
 *
 *     received           bytes that came through sockets
 *     sent               bytes that left through them
 *     waiting_syncs      calls that wait for the disk: fsync, fdatasync, syncfs, sync, msync
 *     starting_syncs     calls that only begin writing to it: sync_file_range
 *     user_us, system_us processor time, microseconds, of all threads and children waited for
 *     peak_kb            peak of resident memory; what is mapped from files included
 *     rchar, wchar, read_bytes, write_bytes, cancelled_write_bytes: as in /proc/PID/io
 *
 * A child that runs another program does so without it, and is not part of received, sent, syncs
 * and peak; one that is only forked is: the last process of them to end writes the sum, and the
 * highest peak.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* In memory that forked children share. */
typedef struct Counts
{
    _Atomic uint64_t received, sent, waiting_syncs, starting_syncs, peak_kb;
} Counts;

static Counts no_counts;
static Counts *counts = &no_counts;
static char counts_path[4096];

/* The function of the C library that ours stands for. */
#define REAL(result, name, ...)                                                                    \
    static result (*real)(__VA_ARGS__);                                                            \
    if (real == NULL)                                                                              \
    *(void **) &real = dlsym(RTLD_NEXT, #name)

static ssize_t add(_Atomic uint64_t *count, ssize_t size)
{
    if (size > 0)
        atomic_fetch_add_explicit(count, (uint64_t) size, memory_order_relaxed);
    return size;
}

/* ---- Sockets: libpq calls recv and send; bench.pl compares with what a link has carried ---- */

ssize_t recv(int fd, void *bytes, size_t size, int flags)
{
    REAL(ssize_t, recv, int, void *, size_t, int);
    ssize_t got = real(fd, bytes, size, flags);

    return (flags & MSG_PEEK) != 0 ? got : add(&counts->received, got);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
    REAL(ssize_t, recvmsg, int, struct msghdr *, int);
    ssize_t got = real(fd, message, flags);

    return (flags & MSG_PEEK) != 0 ? got : add(&counts->received, got);
}

ssize_t send(int fd, const void *bytes, size_t size, int flags)
{
    REAL(ssize_t, send, int, const void *, size_t, int);
    return add(&counts->sent, real(fd, bytes, size, flags));
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    REAL(ssize_t, sendmsg, int, const struct msghdr *, int);
    return add(&counts->sent, real(fd, message, flags));
}

/* ---- Syncs ---- */

int fsync(int fd)
{
    REAL(int, fsync, int);
    add(&counts->waiting_syncs, 1);
    return real(fd);
}

int fdatasync(int fd)
{
    REAL(int, fdatasync, int);
    add(&counts->waiting_syncs, 1);
    return real(fd);
}

int syncfs(int fd)
{
    REAL(int, syncfs, int);
    add(&counts->waiting_syncs, 1);
    return real(fd);
}

void sync(void)
{
    REAL(void, sync, void);
    add(&counts->waiting_syncs, 1);
    real();
}

int msync(void *address, size_t size, int flags)
{
    REAL(int, msync, void *, size_t, int);
    add(&counts->waiting_syncs, 1);
    return real(address, size, flags);
}

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned int flags)
{
    REAL(int, sync_file_range, int, off64_t, off64_t, unsigned int);
    add((flags & SYNC_FILE_RANGE_WAIT_AFTER) != 0 ? &counts->waiting_syncs
                                                  : &counts->starting_syncs,
        1);
    return real(fd, offset, size, flags);
}

/* ---- Begin and end ---- */

/* The number after a name at the begin of a line; 0 if there is none. */
static uint64_t number_in(const char *path, const char *name)
{
    char line[256];
    uint64_t number = 0;
    FILE *file = fopen(path, "re");

    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            number = strtoull(line + strlen(name), NULL, 10);
    if (file != NULL)
        fclose(file);
    return number;
}

static uint64_t microseconds(struct timeval one, struct timeval other)
{
    return (uint64_t) (one.tv_sec + other.tv_sec) * 1000000 +
           (uint64_t) (one.tv_usec + other.tv_usec);
}

/* Write the counts to counts_path. Read those of /proc first, so that this write is not in them;
 * the reads of /proc themselves count a little. */
static void write_counts(void)
{
    static const char *const names[] = {"rchar", "wchar", "read_bytes", "write_bytes",
                                        "cancelled_write_bytes"};
    struct rusage own = {0}, children = {0};
    uint64_t io[5];
    uint64_t peak_kb;
    FILE *file;

    if (counts_path[0] == '\0')
        return;
    for (int index = 0; index < 5; index++)
    {
        char field[32];

        snprintf(field, sizeof(field), "%s: ", names[index]);
        io[index] = number_in("/proc/self/io", field);
    }
    peak_kb = number_in("/proc/self/status", "VmHWM:"); /* ru_maxrss is inherited through exec */
    if (peak_kb < counts->peak_kb)
        peak_kb = counts->peak_kb;
    counts->peak_kb = peak_kb;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &children);
    file = fopen(counts_path, "we");
    if (file == NULL)
        return;
    for (int index = 0; index < 5; index++)
        fprintf(file, "%s %llu\n", names[index], (unsigned long long) io[index]);
    fprintf(file, "received %llu\nsent %llu\nwaiting_syncs %llu\nstarting_syncs %llu\n",
            (unsigned long long) counts->received, (unsigned long long) counts->sent,
            (unsigned long long) counts->waiting_syncs,
            (unsigned long long) counts->starting_syncs);
    fprintf(file, "peak_kb %llu\nuser_us %llu\nsystem_us %llu\n", (unsigned long long) peak_kb,
            (unsigned long long) microseconds(own.ru_utime, children.ru_utime),
            (unsigned long long) microseconds(own.ru_stime, children.ru_stime));
    fclose(file);
    counts_path[0] = '\0';
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("PG_REWIND_COUNTS");
    void *shared =
        mmap(NULL, sizeof(Counts), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    if (shared != MAP_FAILED)
        counts = shared;
    if (path != NULL)
        snprintf(counts_path, sizeof(counts_path), "%s", path);
    unsetenv("LD_PRELOAD");
    unsetenv("PG_REWIND_COUNTS");
}

__attribute__((destructor)) static void end(void)
{
    write_counts();
}

__attribute__((noreturn)) void _exit(int status)
{
    static void (*real)(int) __attribute__((noreturn));

    *(void **) &real = dlsym(RTLD_NEXT, "_exit");
    write_counts();
    real(status);
}
