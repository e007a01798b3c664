#include "cluster/interlock.h"

#include "base/buffer.h"
#include "base/log.h"
#include "io/dir.h"
#include "io/durable.h"
#include "io/file.h"
#include "io/place.h"
#include "io/supervise.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PID_FILE "postmaster.pid"
#define PID_FILE_TEMPORARY "postmaster.pid.pg_rewind"
#define PID_FILE_KEPT "postmaster.pid.pg_rewind.server"
#define PID_FILE_SIZE_MAX (64 * 1024)
#define PROC_FILE_SIZE_MAX (1024 * 1024)
#define STAT_SIZE 1024 /* about 50 numbers of a process */
#define DIRECTORY_LINE 2
#define START_TIME_LINE 3
#define CLOCK_TOLERANCE_SECONDS 3
#define SHMEM_KEY_LINE 7      /* LOCK_FILE_LINE_SHMEM_KEY, utils/pidfile.h */
#define STATUS_LINE 8         /* LOCK_FILE_LINE_PM_STATUS */
#define CLAIM_ATTEMPTS_MAX 10 /* somebody else may make the file again and again */

/* What postmaster.pid says, as far as we made it. */
typedef enum PidFileState
{
    PID_FILE_NOT_OURS,
    PID_FILE_CLAIMED,    /* the negative pid */
    PID_FILE_INTERRUPTED /* `0` and the text */
} PidFileState;

struct Interlock
{
    char directory[PATH_SIZE];
    char path[PATH_SIZE]; /* of postmaster.pid */
    char temporary_path[PATH_SIZE];
    char kept_path[PATH_SIZE]; /* of the file that a crashed server had left */
    bool gives_back;           /* it is there, and goes back to its place */
    int lock_fd;               /* -1: nothing could be locked */
    PidFileState state;
    dev_t device; /* of the file that we made; 0 before */
    ino_t inode;
    Buffer content;
};

/* Line number `number`, counting from 1, as a string without its end; empty when there is none. */
static void line_of(const Buffer *text, int number, char *line, size_t size)
{
    size_t position = 0;
    size_t length = 0;

    for (; number > 1 && position < text->size; position++)
    {
        if (text->bytes[position] == '\n')
            number--;
    }
    while (position < text->size && text->bytes[position] != '\n' && length + 1 < size)
        line[length++] = (char) text->bytes[position++];
    line[length] = '\0';
}

/*
 * The fields of a process's stat from the third one, its state, on; see proc(5). Empty: not known.
 * process is its number, or "self".
 */
static void read_process_stat(const char *process, char *fields, size_t size)
{
    char path[64];
    Buffer text = {0};
    Error ignored;

    fields[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%s/stat", process);
    if (file_read_all(path, PROC_FILE_SIZE_MAX, &text, NULL, &ignored))
    {
        /* Field 2 is the program's name in parentheses and may hold anything. */
        const char *end = strrchr(buffer_string(&text), ')');

        if (end != NULL && end[1] == ' ')
            snprintf(fields, size, "%s", end + 2);
    }
    buffer_free(&text);
}

/* Has it ended, and only its parent has not asked how? So it is in containers whose process 1 does
 * not. */
static bool is_zombie(long pid)
{
    char process[32];
    char fields[STAT_SIZE];

    snprintf(process, sizeof(process), "%ld", pid);
    read_process_stat(process, fields, sizeof(fields));
    return fields[0] == 'Z';
}

/*
 * Seconds since 1970 at which a process began: boot time, and field 22 of its stat in ticks. 0: not
 * known.
 */
static time_t start_time_of(const char *process)
{
    char fields[STAT_SIZE];
    Buffer text = {0};
    Error ignored;
    long ticks_per_second = sysconf(_SC_CLK_TCK);
    const char *position;
    long long boot = 0;
    unsigned long long ticks = 0;
    bool known = false;

    if (file_read_all("/proc/stat", PROC_FILE_SIZE_MAX, &text, NULL, &ignored))
    {
        position = strstr(buffer_string(&text), "\nbtime ");
        if (position != NULL)
            boot = strtoll(position + strlen("\nbtime "), NULL, 10);
    }
    buffer_free(&text);
    read_process_stat(process, fields, sizeof(fields));
    position = fields;
    for (int field = 3; position != NULL && field < 22; field++)
    {
        position = strchr(position, ' ');
        position += position != NULL;
    }
    if (position != NULL)
    {
        ticks = strtoull(position, NULL, 10);
        known = boot > 0 && ticks_per_second > 0;
    }
    return known ? (time_t) (boot + (long long) (ticks / (unsigned long long) ticks_per_second))
                 : 0;
}

/* Did the process begin after the lock file that names it was written? */
static bool is_younger(long pid, const Buffer *text)
{
    char line[64];
    char process[32];
    time_t start;

    line_of(text, START_TIME_LINE, line, sizeof(line));
    snprintf(process, sizeof(process), "%ld", pid);
    start = start_time_of(process);
    return start != 0 && strtoll(line, NULL, 10) > 0 &&
           (long long) start - CLOCK_TOLERANCE_SECONDS > strtoll(line, NULL, 10);
}

/* What program a process runs; false if that cannot be told. */
static bool find_name(long pid, char *name, size_t size)
{
    char path[64];
    Buffer comm = {0};
    Error ignored;
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    if (file_read_all(path, PROC_FILE_SIZE_MAX, &comm, &found, &ignored) && found)
        line_of(&comm, 1, name, size);
    buffer_free(&comm);
    return found;
}

/*
 * A live negative pid is a single-user backend, or belongs to a process that got the number of a
 * pg_rewind that was killed: common in containers. A backend writes its shared memory key soon
 * after the file; we never do. What is left is a backend that is just starting, or a pid that was
 * given to another cluster's.
 */
static bool is_single_user_backend(long pid, const Buffer *text)
{
    char name[64];
    char key[64];

    line_of(text, SHMEM_KEY_LINE, key, sizeof(key));
    if (key[0] != '\0' || !find_name(pid, name, sizeof(name)))
        return true; /* what cannot be told: assume the worse */
    return strstr(name, "postgres") != NULL && !is_younger(pid, text);
}

/* A server works in its data directory. Of another user's process this cannot be asked. */
static bool works_in(long pid, const char *directory)
{
    char path[64];
    Place server, own;
    Error ignored;
    bool found;

    snprintf(path, sizeof(path), "/proc/%ld/cwd", pid);
    return place_find(path, &server, &found, &ignored) && found &&
           place_find(directory, &own, &found, &ignored) && found && place_same(&server, &own);
}

/* A server runs as the owner of its data directory, or refuses to start. */
static bool is_owner(const char *directory)
{
    struct stat status;
    Error ignored;
    bool found;

    return file_stat(directory, &status, &found, &ignored) && found && status.st_uid == geteuid();
}

/*
 * As the server decides it (CreateLockFile in utils/init/miscinit.c), and by the process's age: one
 * that began after the file was written has only got the number, after a reboot or in a container.
 * That it works in the directory counts for more, since clocks are set.
 */
static bool names_live_server(const char *directory, long number, const Buffer *text)
{
    long pid = labs(number);

    if (pid == 0 || pid == getpid() || pid == getppid() || pid == supervise_caller())
        return false;
    if (kill((pid_t) pid, 0) != 0 && (errno != EPERM || is_owner(directory)))
        return false;
    if (is_zombie(pid))
        return false;
    if (number < 0)
        return is_single_user_backend(pid, text);
    return works_in(pid, directory) || !is_younger(pid, text);
}

/* Looking for a process of a server. */
typedef struct ServerSearch
{
    const char *directory;
    long pid;
} ServerSearch;

static bool look_at_process(void *context, const char *name, Error *error)
{
    static const char *const programs[] = {"postgres", "postmaster", "edb-postgres"};
    ServerSearch *search = context;
    const long pid = strtol(name, NULL, 10);
    char program[64];

    (void) error;
    if (pid <= 0 || !find_name(pid, program, sizeof(program)))
        return true;
    for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
    {
        if (strcmp(program, programs[i]) == 0 && works_in(pid, search->directory))
            search->pid = pid;
    }
    return true;
}

bool server_process_find(const char *directory, long *pid, Error *error)
{
    ServerSearch search = {.directory = directory};
    bool found;

    if (!dir_names("/proc", look_at_process, &search, &found, error))
        return false;
    *pid = search.pid;
    return true;
}

bool pid_file_is_own(const char *directory)
{
    char path[PATH_SIZE];
    char line[PATH_SIZE];
    Buffer text = {0};
    Place named, own;
    Error ignored;
    bool found = false;

    if (!path_join(path, sizeof(path), directory, PID_FILE, &ignored) ||
        !file_read_all(path, PID_FILE_SIZE_MAX, &text, &found, &ignored) || !found)
        return false;
    line_of(&text, 1, line, sizeof(line));
    found = strtol(line, NULL, 10) > 0;
    line_of(&text, START_TIME_LINE, line, sizeof(line));
    found = found && strtoll(line, NULL, 10) > 0 &&
            llabs(place_birth(path) - strtoll(line, NULL, 10)) <= CLOCK_TOLERANCE_SECONDS;
    line_of(&text, DIRECTORY_LINE, line, sizeof(line));
    buffer_free(&text);
    return found && place_find(line, &named, &found, &ignored) && found &&
           place_find(directory, &own, &found, &ignored) && found && place_same(&named, &own);
}

bool pid_file_is_stopping(const char *directory)
{
    char path[PATH_SIZE];
    char line[64];
    Buffer text = {0};
    Error ignored;
    bool found;
    bool result = false;

    if (path_join(path, sizeof(path), directory, PID_FILE, &ignored) &&
        file_read_all(path, PID_FILE_SIZE_MAX, &text, &found, &ignored) && found)
    {
        line_of(&text, STATUS_LINE, line, sizeof(line));
        result = strncmp(line, "stopping", strlen("stopping")) == 0; /* PM_STATUS_STOPPING */
    }
    buffer_free(&text);
    return result;
}

bool pid_file_look(const char *directory, bool *found, bool *running, long *pid, Error *error)
{
    char path[PATH_SIZE];
    char line[64];
    char *end;
    long number;
    Buffer text = {0};
    bool success = false;

    *running = false;
    *pid = 0;
    if (!path_join(path, sizeof(path), directory, PID_FILE, error) ||
        !file_read_all(path, PID_FILE_SIZE_MAX, &text, found, error))
        goto done;
    if (!*found)
    {
        success = true;
        goto done;
    }
    if (text.size == 0)
    {
        error_set(error, ERROR_FAILED, "lock file \"%s\" is empty", path);
        error_hint(error, "Either a server is starting, or the file was left by one that crashed "
                          "while starting. If no server is starting, remove the file.");
        goto done;
    }

    line_of(&text, 1, line, sizeof(line));
    errno = 0;
    number = strtol(line, &end, 10);
    if (end == line || *end != '\0' || errno != 0 || number > INT_MAX || number < -INT_MAX)
    {
        error_set(error, ERROR_FAILED, "bogus data in lock file \"%s\": \"%s\"", path, line);
        error_hint(error, "No server can start while the file is there. Find out who made it, "
                          "then remove it.");
        goto done;
    }
    *running = names_live_server(directory, number, &text);
    *pid = labs(number);
    success = true;

done:
    buffer_free(&text);
    return success;
}

/*
 * Seven lines as a standalone backend writes them: pid, directory, start time, port, no socket
 * directory, no listen address, and no shared memory key, which could name somebody else's segment.
 */
static void make_claim(const Interlock *interlock, Buffer *content)
{
    char absolute[PATH_MAX];
    const char *directory = realpath(interlock->directory, absolute);
    const time_t start = start_time_of("self");

    buffer_clear(content);
    buffer_printf(content, "-%ld\n%s\n%lld\n5432\n\n\n\n", (long) getpid(),
                  directory != NULL ? directory : interlock->directory,
                  (long long) (start != 0 ? start : time(NULL)));
}

/* A server prints the whole file, up to about 2 kB. */
static void make_interrupted_text(Buffer *content)
{
    buffer_clear(content);
    buffer_append_string(
        content, "0\n"
                 "pg_rewind was interrupted here: run the same pg_rewind command again to finish.\n"
                 "Until then this data directory is half rewound and no server can use it.\n"
                 "Do not remove this file, backup_label or global/pg_control.\n");
}

/* PG_VERSION is locked where a directory cannot be (NFS); where that fails too, the pid file alone
 * has to do. */
static bool lock_version_file(Interlock *interlock, bool *locked, Error *error)
{
    char path[PATH_SIZE];
    bool supported;

    if (!path_join(path, sizeof(path), interlock->directory, "PG_VERSION", error) ||
        !file_open_update(path, &interlock->lock_fd, error) ||
        !file_lock(interlock->lock_fd, path, locked, &supported, error))
        return false;
    if (!supported)
    {
        log_debug("file \"%s\" cannot be locked", path);
        file_close(interlock->lock_fd);
        interlock->lock_fd = -1;
        *locked = true;
    }
    return true;
}

bool interlock_acquire(const char *directory, Interlock **interlock, Error *error)
{
    Interlock *self = memory_allocate_zeroed(1, sizeof(*self));
    bool locked;
    bool supported;

    self->lock_fd = -1;
    if (!path_join(self->path, sizeof(self->path), directory, PID_FILE, error) ||
        !path_join(self->temporary_path, sizeof(self->temporary_path), directory,
                   PID_FILE_TEMPORARY, error) ||
        !path_join(self->kept_path, sizeof(self->kept_path), directory, PID_FILE_KEPT, error) ||
        !file_open_read(directory, &self->lock_fd, NULL, error))
        goto failed;
    snprintf(self->directory, sizeof(self->directory), "%s", directory);

    if (!file_lock(self->lock_fd, directory, &locked, &supported, error))
    {
        /* NFS wants a descriptor that can write, which a directory has not. */
        if (error->error_number != EBADF)
            goto failed;
        supported = false;
    }

    if (!supported)
    {
        file_close(self->lock_fd);
        self->lock_fd = -1;
        if (!lock_version_file(self, &locked, error))
            goto failed;
    }
    *interlock = locked ? self : NULL;
    if (!locked)
        interlock_release(self);
    return true;

failed:
    interlock_release(self);
    return false;
}

/* The complete file under its temporary name; remembers which one it is. */
static bool write_temporary(Interlock *interlock, Error *error)
{
    struct stat status;
    int fd = -1;
    bool success = false;

    /* What a killed run left under this name may be linked at postmaster.pid too: not to be written
     * into. */
    if (!file_remove(interlock->temporary_path, error) ||
        !file_create(interlock->temporary_path, &fd, error))
        goto done;
    if (!file_write_at(fd, interlock->temporary_path, interlock->content.bytes,
                       interlock->content.size, 0, error) ||
        !file_sync(fd, interlock->temporary_path, error) ||
        !file_lstat(interlock->temporary_path, &status, NULL, error))
        goto done;
    interlock->device = status.st_dev;
    interlock->inode = status.st_ino;
    success = true;

done:
    file_close(fd);
    return success;
}

/* Is there a postmaster.pid, and is it a server's? Else a pg_rewind's or a single-user backend's.
 */
static bool look_whose(const Interlock *interlock, bool *found, bool *of_server, Error *error)
{
    Buffer text = {0};
    const bool success = file_read_all(interlock->path, PID_FILE_SIZE_MAX, &text, found, error);

    *of_server = success && *found && strtol(buffer_string(&text), NULL, 10) > 0;
    buffer_free(&text);
    return success;
}

/*
 * Take a stale postmaster.pid away. A server's is kept: it names the shared memory that the next
 * server makes sure nobody uses any more, and tells the directory from a copy.
 */
static bool take_away(const Interlock *interlock, Error *error)
{
    bool found, of_server;

    if (!look_whose(interlock, &found, &of_server, error))
        return false;
    return of_server ? file_rename(interlock->path, interlock->kept_path, error)
                     : file_remove(interlock->path, error);
}

/* Link the temporary file at postmaster.pid, in place of a stale one. */
static bool link_pid_file(const Interlock *interlock, Error *error)
{
    for (int attempt = 1; attempt <= CLAIM_ATTEMPTS_MAX; attempt++)
    {
        bool exists;
        bool found;
        bool running;
        long pid;

        if (!file_link(interlock->temporary_path, interlock->path, &exists, error))
            return false;
        if (!exists)
            return true;
        if (!pid_file_look(interlock->directory, &found, &running, &pid, error))
            return false;
        if (running)
        {
            error_set(error, ERROR_FAILED, "lock file \"%s\" already exists", interlock->path);
            return error_hint(error,
                              "Is another postgres (PID %ld) running in data directory \"%s\"?",
                              pid, interlock->directory);
        }
        /* Only the lock's holder gets here, so it is no other pg_rewind's that is alive. */
        if (found && !take_away(interlock, error))
            return false;
    }
    return error_set(error, ERROR_FAILED, "could not make lock file \"%s\"", interlock->path);
}

bool interlock_claim_pid_file(Interlock *interlock, Error *error)
{
    struct stat status;
    Error ignored;
    bool success;

    if (interlock->state == PID_FILE_CLAIMED)
    {
        if (!interlock_still_ours(interlock, &success, error))
            return false;
        if (success)
            return true;
    }
    make_claim(interlock, &interlock->content);
    success = write_temporary(interlock, error) && link_pid_file(interlock, error);
    if (success)
        interlock->state = PID_FILE_CLAIMED;
    success = success && file_lstat(interlock->kept_path, &status, &interlock->gives_back, error);
    if (!file_remove(interlock->temporary_path, success ? error : &ignored))
        return false;
    return success;
}

bool interlock_remove_leftover(const Interlock *interlock, Error *error)
{
    struct stat status;
    bool found, of_server;

    if (!file_remove(interlock->temporary_path, error) ||
        !file_lstat(interlock->kept_path, &status, &found, error))
        return false;
    if (!found)
        return true;
    if (!look_whose(interlock, &found, &of_server, error))
        return false;
    /* No server came since, or it would have replaced the killed run's file. */
    return found && !of_server ? file_rename(interlock->kept_path, interlock->path, error)
                               : file_remove(interlock->kept_path, error);
}

bool interlock_has_pid_file(const Interlock *interlock)
{
    return interlock->state != PID_FILE_NOT_OURS;
}

bool interlock_still_ours(Interlock *interlock, bool *ours, Error *error)
{
    struct stat status;
    Buffer content = {0};
    bool found = false;
    bool success = false;

    *ours = false;
    if (interlock->state == PID_FILE_NOT_OURS)
        return true;
    if (!file_lstat(interlock->path, &status, &found, error))
        return false;
    if (!found || status.st_dev != interlock->device || status.st_ino != interlock->inode)
        return true;
    if (file_read_all(interlock->path, PID_FILE_SIZE_MAX, &content, &found, error))
    {
        *ours = found && content.size == interlock->content.size &&
                memcmp(content.bytes, interlock->content.bytes, content.size) == 0;
        success = true;
    }
    buffer_free(&content);
    return success;
}

/* Rename a new postmaster.pid over the one that is there. */
static bool replace_pid_file(Interlock *interlock, PidFileState state, Error *error)
{
    struct stat status;

    if (!durable_replace(interlock->path, interlock->temporary_path, interlock->content.bytes,
                         interlock->content.size, 0, error) ||
        !file_lstat(interlock->path, &status, NULL, error))
        return false;
    interlock->device = status.st_dev;
    interlock->inode = status.st_ino;
    interlock->state = state;
    return true;
}

bool interlock_show_interrupted(Interlock *interlock, Error *error)
{
    make_interrupted_text(&interlock->content);
    interlock->gives_back = false;
    return file_remove(interlock->kept_path, error) &&
           replace_pid_file(interlock, PID_FILE_INTERRUPTED, error);
}

bool interlock_restore_pid_file(Interlock *interlock, Error *error)
{
    make_claim(interlock, &interlock->content);
    return replace_pid_file(interlock, PID_FILE_CLAIMED, error);
}

/* Our postmaster.pid goes, and what a crashed server had left there comes back. */
static bool take_back(Interlock *interlock, Error *error)
{
    bool ours;

    if (!interlock_still_ours(interlock, &ours, error))
        return false;
    if (!ours)
        return file_remove(interlock->kept_path, error);
    return interlock->gives_back ? durable_rename(interlock->kept_path, interlock->path, error)
                                 : durable_remove(interlock->path, error);
}

void interlock_release(Interlock *interlock)
{
    Error error;

    if (interlock == NULL)
        return;
    if (interlock->state == PID_FILE_CLAIMED && !take_back(interlock, &error))
        log_warning("%s", error.message);
    file_close(interlock->lock_fd); /* ends the lock */
    buffer_free(&interlock->content);
    free(interlock);
}
