/*
 * Time that no rewind can beat: the same bytes in as few calls as possible, for tests/bench.pl.
 *
 *   limit DIRECTORY DATA WAL DROPPED PATCHED    receives these numbers of bytes through a Unix
 *                                               socket: DATA and WAL go into a file each, DROPPED
 *                                               is discarded; syncs both files; copies PATCHED
 *                                               bytes of DATA into an existing file, and syncs that
 *   limit --read DIRECTORY [JOBS [TIMES]]       reads all files of a directory by large reads
 *
 * Prints the seconds that it took, one line for each of TIMES.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PIECE ((size_t) 1024 * 1024)
#define FILES_MAX 65536

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + (double) time.tv_nsec / 1e9;
}

static void check(int good, const char *what)
{
    if (good)
        return;
    perror(what);
    exit(1);
}

static char *new_piece(void)
{
    char *piece = malloc(PIECE);

    check(piece != NULL, "malloc");
    memset(piece, 'x', PIECE); /* touch the memory before the clock runs */
    return piece;
}

static size_t next_size(uint64_t left)
{
    return left < PIECE ? (size_t) left : PIECE;
}

/* ---- Received, written, patched ---- */

static int open_in(const char *directory, const char *name, int flags)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, flags | O_CLOEXEC, 0600);
    check(fd >= 0, path);
    return fd;
}

static void write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0)
    {
        ssize_t written = write(fd, bytes, size);

        check(written > 0, "write");
        bytes += written;
        size -= (size_t) written;
    }
}

static int start_sender(uint64_t bytes, pid_t *sender)
{
    int ends[2];
    char *piece;

    check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "socketpair");
    *sender = fork();
    check(*sender >= 0, "fork");
    if (*sender > 0)
    {
        close(ends[1]);
        return ends[0];
    }
    close(ends[0]);
    piece = new_piece();
    for (uint64_t left = bytes; left > 0; left -= next_size(left))
        write_all(ends[1], piece, next_size(left));
    _exit(0);
}

/* Receive bytes from the socket and write them to fd; discard them if fd is -1. */
static void receive(int socket, char *piece, uint64_t bytes, int fd)
{
    while (bytes > 0)
    {
        ssize_t got = recv(socket, piece, next_size(bytes), MSG_WAITALL);

        check(got > 0, "recv");
        if (fd >= 0)
            write_all(fd, piece, (size_t) got);
        bytes -= (uint64_t) got;
    }
}

static void patch(int from, int to, char *piece, uint64_t bytes)
{
    for (uint64_t offset = 0; offset < bytes;)
    {
        ssize_t got = pread(from, piece, next_size(bytes - offset), (off_t) offset);

        check(got > 0, "pread");
        check(pwrite(to, piece, (size_t) got, (off_t) offset) == got, "pwrite");
        offset += (uint64_t) got;
    }
}

static void rewind_at_best(const char *directory, uint64_t data, uint64_t wal, uint64_t dropped,
                           uint64_t patched)
{
    int patched_fd = open_in(directory, "patched", O_RDWR | O_CREAT | O_TRUNC);
    char *piece = new_piece();
    pid_t sender;
    int socket;

    for (uint64_t left = patched; left > 0; left -= next_size(left))
        write_all(patched_fd, piece, next_size(left));
    check(fsync(patched_fd) == 0, "fsync");
    sync();

    double begin = now();
    int data_fd = open_in(directory, "data", O_RDWR | O_CREAT | O_TRUNC);
    int wal_fd = open_in(directory, "wal", O_RDWR | O_CREAT | O_TRUNC);
    socket = start_sender(data + wal + dropped, &sender);
    receive(socket, piece, wal, wal_fd);
    receive(socket, piece, dropped, -1);
    sync_file_range(wal_fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* under way while the rest comes */
    receive(socket, piece, data, data_fd);
    check(fsync(wal_fd) == 0 && fsync(data_fd) == 0, "fsync");
    patch(data_fd, patched_fd, piece, patched < data ? patched : data);
    check(fsync(patched_fd) == 0, "fsync");
    printf("%.3f\n", now() - begin);
    waitpid(sender, NULL, 0);
    free(piece);
}

/* ---- Read ---- */

static char *paths[FILES_MAX];
static size_t path_count;
static _Atomic size_t next_path;
static _Atomic uint64_t bytes_read;

static void list_files(const char *directory)
{
    DIR *stream = opendir(directory);
    char path[4096];

    check(stream != NULL, directory);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL && path_count < FILES_MAX;)
        if (entry->d_type == DT_REG)
        {
            snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
            paths[path_count++] = strdup(path);
        }
    closedir(stream);
}

static void *read_files(void *unused)
{
    char *piece = new_piece();

    (void) unused;
    for (size_t index; (index = atomic_fetch_add(&next_path, 1)) < path_count;)
    {
        int fd = open(paths[index], O_RDONLY | O_CLOEXEC);
        ssize_t got;

        check(fd >= 0, paths[index]);
        while ((got = read(fd, piece, PIECE)) > 0)
            bytes_read += (uint64_t) got;
        check(got == 0, "read");
        close(fd);
    }
    free(piece);
    return NULL;
}

static void read_at_best(const char *directory, int jobs, int times)
{
    pthread_t threads[64];

    jobs = jobs < 1 ? 1 : jobs > 64 ? 64 : jobs;
    list_files(directory);
    for (int time = 0; time < times; time++)
    {
        double begin = now();

        next_path = bytes_read = 0;
        for (int job = 0; job < jobs; job++)
            check(pthread_create(&threads[job], NULL, read_files, NULL) == 0, "pthread_create");
        for (int job = 0; job < jobs; job++)
            pthread_join(threads[job], NULL);
        printf("%.3f s, %llu bytes\n", now() - begin, (unsigned long long) bytes_read);
    }
}

int main(int count, char **arguments)
{
    uint64_t sizes[4];

    if (count >= 3 && strcmp(arguments[1], "--read") == 0)
    {
        read_at_best(arguments[2], count > 3 ? atoi(arguments[3]) : 2,
                     count > 4 ? atoi(arguments[4]) : 3);
        return 0;
    }
    if (count != 6)
    {
        fputs("usage: limit DIRECTORY DATA WAL DROPPED PATCHED\n"
              "       limit --read DIRECTORY [JOBS [TIMES]]\n",
              stderr);
        return 2;
    }
    for (int index = 0; index < 4; index++)
        sizes[index] = strtoull(arguments[index + 2], NULL, 10);
    rewind_at_best(arguments[1], sizes[0], sizes[1], sizes[2], sizes[3]);
    return 0;
}
