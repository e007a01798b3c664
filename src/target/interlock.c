#include "target/interlock.h"

#include "base/log.h"
#include "base/text_cursor.h"
#include "io/file.h"
#include "target/pid_file.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PID_FILE_KEPT "postmaster.pid.pg_rewind.server"
#define CLAIM_ATTEMPTS_MAX 10 /* another program may make the file again and again */

/*
 * The states of postmaster.pid as this program changes it:
 *
 *     NOT_OURS ──claim──▶ CLAIMED ──show_interrupted──▶ INTERRUPTED
 *         ▲                │   ▲                             │
 *         └────release─────┘   └──────restore_pid_file───────┘
 *
 * release leaves an INTERRUPTED file where it is.
 */
typedef enum PidFileState
{
    PID_FILE_NOT_OURS,
    PID_FILE_CLAIMED,    /* the file names this process, by its negative pid */
    PID_FILE_INTERRUPTED /* the file names PID_FILE_NOBODY, with a text for administrators */
} PidFileState;

/*
 * Servers can start at any time: these steps make the races with them harmless. The lock keeps
 * other pg_rewinds out before any of these steps.
 *
 * 1. The complete file is written beside postmaster.pid, and then linked there. A server never
 *    reads a part of it. A link does not replace a file: a server that made its own file first
 *    keeps it. Where the file system has no links the file is created in its place, as a server
 *    does.
 * 2. If a file is there, it is judged (pid_file_find_server). A live server is an error. A stale
 *    file is moved away, then step 1 is repeated. A server that starts in between replaces the
 *    stale file by its own. We may move that one away; then the server stops when it next
 *    looks for its file, and the commit finds that pg_control has changed (commit_check_control).
 * 3. A crashed server's file is renamed to PID_FILE_KEPT, never removed before the commit. After a
 *    kill the next run finds it (interlock_remove_leftover) and puts it back, unless a server came
 *    since: its file is in that place, or none is, because it has stopped. If none is because our
 *    file was not linked there yet, the temporary file is there still: it goes last.
 * 4. A server, or a person, may remove or replace our file later. So it is compared, by inode and
 *    content, before it is replaced or removed, and before and after the commit puts the blocker in
 *    place (interlock_still_ours). A server that starts takes the pid file before it reads
 *    backup_label: either the second look finds its file, or it finds the blocker.
 * 5. From the commit on the file is only replaced by rename, so it is never missing.
 */
struct Interlock
{
    Arena *arena;
    const char *directory;
    const char *path; /* path of postmaster.pid */
    const char *temporary_path;
    const char *kept_path; /* path under which a crashed server's file is kept */
    bool gives_back;       /* the kept file exists and has to go back to its place */
    bool displaced;        /* crashed server's file is at kept_path, our file not yet at `path` */
    int lock_fd;           /* -1: nothing could be locked */
    PidFileState state;
    dev_t device; /* device of the file that this process created; 0 before that */
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

/* Lock the directory, or PG_VERSION where a directory cannot be locked (NFS); where that fails too,
 * the pid file alone has to do. */
static bool take_lock(Interlock *self, bool *locked, Error *error)
{
    const char *path = self->directory;
    bool supported;

    if (!file_open_read(path, &self->lock_fd, NULL, error))
        return false;
    if (!file_lock(self->lock_fd, path, locked, &supported, error))
    {
        /* NFS requires a descriptor that can write, which a directory has not. */
        if (error->error_number != EBADF)
            return false;
        supported = false;
    }
    if (supported)
        return true;
    file_close(self->lock_fd);
    path = arena_printf(self->arena, "%s/PG_VERSION", self->directory);
    if (!file_open_update(path, &self->lock_fd, error) ||
        !file_lock(self->lock_fd, path, locked, &supported, error))
        return false;
    if (!supported)
    {
        log_debug("file \"%s\" cannot be locked", path);
        file_close(self->lock_fd);
        self->lock_fd = -1;
        *locked = true;
    }
    return true;
}

bool interlock_acquire(const char *directory, Interlock **interlock, Error *error)
{
    Interlock *self = memory_allocate_zeroed(1, sizeof(*self));
    bool locked = false;
    bool success;

    self->arena = arena_create();
    self->directory = arena_strdup(self->arena, directory);
    self->path = arena_printf(self->arena, "%s/" PID_FILE, directory);
    self->temporary_path = arena_printf(self->arena, "%s/" PID_FILE_TEMPORARY, directory);
    self->kept_path = arena_printf(self->arena, "%s/" PID_FILE_KEPT, directory);
    self->lock_fd = -1;
    success = take_lock(self, &locked, error);
    *interlock = success && locked ? self : NULL;
    if (*interlock == NULL)
        interlock_release(self);
    return success;
}

/* Remember which file is ours: the one at this path. */
static bool note_own_file(Interlock *interlock, const char *path, Error *error)
{
    struct stat status;

    if (!file_lstat(path, &status, NULL, error))
        return false;
    interlock->device = status.st_dev;
    interlock->inode = status.st_ino;
    return true;
}

/* *of_server: there is a postmaster.pid, and a server's; false for that of a pg_rewind or of a
 * single-user backend. */
static bool read_pid_file_owner(const Interlock *interlock, bool *found, bool *of_server,
                                Error *error)
{
    AUTO_BUFFER Buffer text = {0};
    TextCursor first_line;
    uint32_t pid;

    if (!file_read_all(interlock->path, PID_FILE_SIZE_MAX, &text, found, error))
        return false;
    first_line = text_cursor(buffer_string(&text));
    *of_server = text_take_u32(&first_line, &pid) && pid > 0;
    return true;
}

/* Remove an empty postmaster.pid of a run that was killed in create_pid_file. */
static bool remove_half_made(const Interlock *interlock, Error *error)
{
    return !pid_file_is_half_made(interlock->directory) || file_remove(interlock->path, error);
}

/* Create postmaster.pid, unless it exists, without a link. */
static bool create_pid_file(Interlock *interlock, bool *exists, Error *error)
{
    const Buffer *content = &interlock->content;
    AUTO_FD int fd = -1;
    const bool created = file_create(interlock->path, CREATE_NEW, &fd, error);

    *exists = !created && error->error_number == EEXIST;
    if (!created)
        return *exists;
    if (file_write_at(fd, interlock->path, content->bytes, content->size, 0, error) &&
        file_set_mode(fd, interlock->path, file_mode(), error) &&
        file_sync(fd, interlock->path, error) && note_own_file(interlock, interlock->path, error))
        return true;
    (void) !file_remove(interlock->path, NULL); /* keep the first error */
    return false;
}

/* Give postmaster.pid its content, unless the file exists. */
static bool make_pid_file(Interlock *interlock, bool *exists, Error *error)
{
    if (file_link(interlock->temporary_path, interlock->path, exists, error))
        return true;
    /* Rule I74: SMB, VirtualBox's shared folders and others have no links. */
    return (error->error_number == EPERM || error->error_number == EOPNOTSUPP ||
            error->error_number == ENOSYS || error->error_number == EMLINK) &&
           create_pid_file(interlock, exists, error);
}

/* Make our postmaster.pid, in place of a stale one. */
static bool place_pid_file(Interlock *interlock, Error *error)
{
    for (int attempt = 1; attempt <= CLAIM_ATTEMPTS_MAX; attempt++)
    {
        bool exists, found, of_server;
        long pid;

        if (!make_pid_file(interlock, &exists, error))
        {
            interlock->displaced =
                interlock->displaced && !file_move(interlock->kept_path, interlock->path, NULL);
            return false;
        }
        interlock->displaced = false;
        if (!exists)
            return true;
        /* It is no killed run's: those are removed before our own temporary file is made. */
        if (pid_file_is_empty(interlock->directory))
            return error_empty_pid_file(interlock->directory, error);
        if (!pid_file_find_server(interlock->directory, &found, &pid, error))
            return false;
        if (pid != 0)
        {
            error_set(error, ERROR_FAILED, "lock file \"%s\" already exists", interlock->path);
            return error_hint(error,
                              "Is another postgres (PID %ld) running in data directory \"%s\"?",
                              pid, interlock->directory);
        }
        if (!found)
            continue;
        /* Move the stale file away. Only the lock's holder gets here, so it is no other pg_rewind's
         * that is alive. A server's file is kept (design/interruption.md, "A server, until the
         * commit"). */
        if (!read_pid_file_owner(interlock, &found, &of_server, error))
            return false;
        interlock->displaced = of_server && file_move(interlock->path, interlock->kept_path, error);
        if (of_server ? !interlock->displaced : !file_remove(interlock->path, error))
            return false;
    }
    return error_set(error, ERROR_FAILED, "could not create lock file \"%s\"", interlock->path);
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
    /* A file that a killed run left under the temporary name may be linked at postmaster.pid too:
     * it must not be written into. */
    success = remove_half_made(interlock, error) &&
              durable_write(interlock->temporary_path, interlock->content.bytes,
                            interlock->content.size, file_mode(), error) &&
              note_own_file(interlock, interlock->temporary_path, error) &&
              place_pid_file(interlock, error);
    if (success)
        interlock->state = PID_FILE_CLAIMED;
    success = success && file_lstat(interlock->kept_path, &status, &interlock->gives_back, error);
    /* The next run puts back what could not be put back now. */
    if (interlock->displaced)
        return false;
    if (!file_remove(interlock->temporary_path, success ? error : NULL))
        return false;
    return success;
}

bool interlock_remove_leftover(const Interlock *interlock, Error *error)
{
    struct stat status;
    bool was_claiming, kept, found = false, of_server = false;

    if (!file_lstat(interlock->temporary_path, &status, &was_claiming, error) ||
        !remove_half_made(interlock, error) ||
        !file_lstat(interlock->kept_path, &status, &kept, error) ||
        (kept && !read_pid_file_owner(interlock, &found, &of_server, error)))
        return false;
    /* The file that a killed run has kept goes back, unless a server was started since then: such a
     * server has replaced the killed run's file, and removed its own when it stopped. */
    if (kept && !((found ? !of_server : was_claiming)
                      ? file_move(interlock->kept_path, interlock->path, error)
                      : file_remove(interlock->kept_path, error)))
        return false;
    return file_remove(interlock->temporary_path, error);
}

bool interlock_has_pid_file(const Interlock *interlock)
{
    return interlock->state != PID_FILE_NOT_OURS;
}

bool interlock_still_ours(Interlock *interlock, bool *ours, Error *error)
{
    AUTO_BUFFER Buffer content = {0};
    struct stat status;
    bool found;

    *ours = false;
    if (interlock->state == PID_FILE_NOT_OURS)
        return true;
    if (!file_lstat(interlock->path, &status, &found, error))
        return false;
    if (!found || status.st_dev != interlock->device || status.st_ino != interlock->inode)
        return true;
    if (!file_read_all(interlock->path, PID_FILE_SIZE_MAX, &content, &found, error))
        return false;
    *ours = found && content.size == interlock->content.size &&
            memcmp(content.bytes, interlock->content.bytes, content.size) == 0;
    return true;
}

/* Replace postmaster.pid, by rename, by a new file. */
static bool replace_pid_file(Interlock *interlock, PidFileState state, Error *error)
{
    if (!durable_replace(interlock->path, interlock->temporary_path, interlock->content.bytes,
                         interlock->content.size, error) ||
        !note_own_file(interlock, interlock->path, error))
        return false;
    interlock->state = state;
    return true;
}

bool interlock_show_interrupted(Interlock *interlock, Error *error)
{
    /* A server prints the whole file, up to about 2 kB. */
    buffer_clear(&interlock->content);
    buffer_append_string(
        &interlock->content, PID_FILE_NOBODY
        "\n"
        "pg_rewind was interrupted here: run the same pg_rewind command again to finish.\n"
        "Until then this data directory is half rewound and no server can use it.\n"
        "Do not remove this file, backup_label or global/pg_control.\n");
    interlock->gives_back = false;
    return file_remove(interlock->kept_path, error) &&
           replace_pid_file(interlock, PID_FILE_INTERRUPTED, error);
}

bool interlock_restore_pid_file(Interlock *interlock, Error *error)
{
    make_pid_file_text(interlock, &interlock->content);
    return replace_pid_file(interlock, PID_FILE_CLAIMED, error);
}

/* Remove our postmaster.pid, or replace it by the file that a crashed server had left. */
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
    arena_destroy(interlock->arena);
    free(interlock);
}

static bool tidy_up_for(const Interlock *interlock, pid_t pid, Error *error)
{
    AUTO_BUFFER Buffer text = {0}, first_line = {0};
    struct stat status;
    bool found, kept;

    buffer_printf(&first_line, "-%ld\n", (long) pid);
    if (!file_read_all(interlock->path, PID_FILE_SIZE_MAX, &text, &found, error))
        return false;
    if (pid_file_is_half_made(interlock->directory))
        return interlock_remove_leftover(interlock, error);
    if (!found || strncmp(buffer_string(&text), buffer_string(&first_line), first_line.size) != 0)
        return true;
    return file_lstat(interlock->kept_path, &status, &kept, error) &&
           (kept || durable_remove(interlock->path, error)) &&
           interlock_remove_leftover(interlock, error);
}

void interlock_release_for(const char *directory, pid_t pid)
{
    Interlock *interlock;
    Error error;

    if (!interlock_acquire(directory, &interlock, &error) ||
        (interlock != NULL && !tidy_up_for(interlock, pid, &error)))
        log_debug("%s", error.message);
    interlock_release(interlock);
}
