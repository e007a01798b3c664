#include "target/interlock.h"

#include "base/buffer.h"
#include "base/log.h"
#include "base/text_cursor.h"
#include "target/pid_file.h"
#include "io/durable.h"
#include "io/file.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PID_FILE_TEMPORARY "postmaster.pid.pg_rewind"
#define PID_FILE_KEPT "postmaster.pid.pg_rewind.server"
#define CLAIM_ATTEMPTS_MAX 10 /* somebody else may make the file again and again */

/* What postmaster.pid says, as far as we made it. */
typedef enum PidFileState
{
    PID_FILE_NOT_OURS,
    PID_FILE_CLAIMED,    /* the negative pid */
    PID_FILE_INTERRUPTED /* PID_FILE_NOBODY and the text */
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

/*
 * Seven lines as a standalone backend writes them: pid, directory, start time, port, no socket
 * directory, no listen address, and no shared memory key, which could name somebody else's segment.
 */
static void make_pid_file_text(const Interlock *interlock, Buffer *content)
{
    char absolute[PATH_MAX];
    const char *directory = realpath(interlock->directory, absolute);
    const time_t start = pid_file_own_start();

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
        content, PID_FILE_NOBODY
        "\n"
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
static bool read_pid_file_owner(const Interlock *interlock, bool *found, bool *of_server,
                                Error *error)
{
    Buffer text = {0};
    const bool success = file_read_all(interlock->path, PID_FILE_SIZE_MAX, &text, found, error);
    TextCursor first_line;
    uint32_t pid;

    first_line = text_cursor(success && *found ? buffer_string(&text) : "");
    *of_server = text_take_u32(&first_line, &pid) && pid > 0;
    buffer_free(&text);
    return success;
}

/*
 * Move a stale postmaster.pid away. A server's file is kept: it names the shared memory, which the
 * next server checks for processes that still use it, and tells the directory from a copy.
 */
static bool put_aside_pid_file(const Interlock *interlock, Error *error)
{
    bool found, of_server;

    if (!read_pid_file_owner(interlock, &found, &of_server, error))
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
        if (!pid_file_find_server(interlock->directory, &found, &running, &pid, error))
            return false;
        if (running)
        {
            error_set(error, ERROR_FAILED, "lock file \"%s\" already exists", interlock->path);
            return error_hint(error,
                              "Is another postgres (PID %ld) running in data directory \"%s\"?",
                              pid, interlock->directory);
        }
        /* Only the lock's holder gets here, so it is no other pg_rewind's that is alive. */
        if (found && !put_aside_pid_file(interlock, error))
            return false;
    }
    return error_set(error, ERROR_FAILED, "could not make lock file \"%s\"", interlock->path);
}

bool interlock_claim_pid_file(Interlock *interlock, Error *error)
{
    struct stat status;
    bool success;

    if (interlock->state == PID_FILE_CLAIMED)
    {
        if (!interlock_still_ours(interlock, &success, error))
            return false;
        if (success)
            return true;
    }
    make_pid_file_text(interlock, &interlock->content);
    success = write_temporary(interlock, error) && link_pid_file(interlock, error);
    if (success)
        interlock->state = PID_FILE_CLAIMED;
    success = success && file_lstat(interlock->kept_path, &status, &interlock->gives_back, error);
    if (!file_remove(interlock->temporary_path, success ? error : NULL))
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
    if (!read_pid_file_owner(interlock, &found, &of_server, error))
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
    make_pid_file_text(interlock, &interlock->content);
    return replace_pid_file(interlock, PID_FILE_CLAIMED, error);
}

/* Our postmaster.pid goes, and what a crashed server had left there comes back. */
static bool put_back_pid_file(Interlock *interlock, Error *error)
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
    if (interlock->state == PID_FILE_CLAIMED && !put_back_pid_file(interlock, &error))
        log_warning("%s", error.message);
    file_close(interlock->lock_fd); /* ends the lock */
    buffer_free(&interlock->content);
    free(interlock);
}
