#include "io/scratch.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"
#include "io/trust.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PREFIX "pg_rewind-dry-run."
#define RANDOM_PART "XXXXXX" /* mkdtemp's */
#define ATTEMPTS_MAX 100
#define STAT_BLOCK_SIZE 512 /* unit of st_blocks in bytes, see stat(2) */
#define REMOVALS_MAX 50
#define REMOVAL_PAUSE_MILLISECONDS 100

/* The directory that name is in the directory open as parent_fd, never what a link leads to. */
static int open_own_directory(int parent_fd, const char *name)
{
    const int fd =
        openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat status;

    if (fd >= 0 && fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
        (status.st_mode & 0777) == 0700)
        return fd;
    file_close(fd);
    return -1;
}

/* True if it is still there under its name; only its owner can have put something else there. */
static bool directory_has_name(int parent_fd, const char *name, int fd)
{
    struct stat named, opened;

    return fstatat(parent_fd, name, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(fd, &opened) == 0 &&
           named.st_dev == opened.st_dev && named.st_ino == opened.st_ino;
}

static bool lock_directory(int fd, const char *path, bool *supported)
{
    bool locked;

    return file_lock(fd, path, &locked, supported, NULL) && locked;
}

/* ---- Directories that killed processes have left ---- */

/* Remove a scratch directory that no process uses. A directory on which no lock can be tried stays.
 */
static void remove_stale(int parent_fd, const char *parent, const char *name)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *path = path_in(&buffer, parent, name);
    AUTO_FD int fd = -1;
    bool supported;
    Error error;

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 || strlen(name) != strlen(PREFIX RANDOM_PART))
        return;
    fd = open_own_directory(parent_fd, name);
    if (fd >= 0 && lock_directory(fd, path, &supported) &&
        directory_has_name(parent_fd, name, fd) &&
        !dir_remove_tree_at(parent_fd, parent, name, &error))
        log_debug("%s", error.message);
}

/* ---- A new one ---- */

/* fd -1: a process that removes stale directories was faster than our lock. */
static bool make_directory(int parent_fd, const char *parent, char *path, int *fd, Error *error)
{
    char *name = path + strlen(path) - strlen(PREFIX RANDOM_PART);
    bool supported = true;

    memcpy(name, PREFIX RANDOM_PART, sizeof(PREFIX RANDOM_PART));
    if (mkdtemp(path) == NULL)
        return error_set_errno(error, "could not create a directory in \"%s\"", parent);
    *fd = open_own_directory(parent_fd, name);
    if (*fd >= 0 && (lock_directory(*fd, path, &supported) || !supported) &&
        directory_has_name(parent_fd, name, *fd))
        return true;
    file_close(*fd);
    *fd = -1;
    return true;
}

bool scratch_make(const char *parent, Arena *arena, const char **path, int *lock_fd, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    AUTO_FD int fd = -1;
    struct stat status;
    bool ok = file_stat(parent, &status, NULL, error) && trust_check(parent, error) &&
              file_open_read(parent, &fd, NULL, error);
    char *made = arena_strdup(arena, path_in(&buffer, parent, PREFIX RANDOM_PART));
    const char **names;
    Error failure;

    *lock_fd = -1;
    if (ok && !dir_list(parent, arena, &names, NULL, &failure))
        log_debug("%s", failure.message);
    for (; ok && *names != NULL; names++)
        remove_stale(fd, parent, *names);
    for (int i = 0; ok && *lock_fd < 0 && i < ATTEMPTS_MAX; i++)
        ok = make_directory(fd, parent, made, lock_fd, error);
    if (ok && *lock_fd < 0)
        ok = error_set(error, ERROR_FAILED, "could not lock directory \"%s\"", made);
    *path = ok ? made : NULL;
    if (!ok)
        error_hint(error, "Set TMPDIR to a directory of your own.");
    return ok;
}

Scratch *scratch_create(const char *const *parents, const char *path, Arena *arena)
{
    Scratch *scratch = arena_allocate(arena, sizeof(*scratch));

    assert((parents == NULL) != (path == NULL));
    *scratch = (Scratch){.parents = parents, .lock_fd = -1};
    atomic_init(&scratch->path, path);
    pthread_mutex_init(&scratch->lock, NULL);
    return scratch;
}

static bool make_below_parents(Scratch *scratch, Error *error)
{
    Error first = {0}, failure;
    const char *path;

    if (scratch->arena == NULL)
        scratch->arena = arena_create();

    for (const char *const *parent = scratch->parents; *parent != NULL; parent++)
    {
        if (scratch_make(*parent, scratch->arena, &path, &scratch->lock_fd, &failure))
        {
            atomic_store(&scratch->path, path);
            return true;
        }
        log_debug("%s", failure.message);
        if (first.kind == ERROR_NONE)
            first = failure;
    }
    scratch->failed = true;
    return error_copy(error, &first);
}

bool scratch_need(Scratch *scratch, Error *error)
{
    bool result;

    pthread_mutex_lock(&scratch->lock);
    result = scratch->path != NULL || make_below_parents(scratch, error);
    pthread_mutex_unlock(&scratch->lock);
    return result;
}

bool scratch_close(Scratch *scratch, Error *error)
{
    const bool result = scratch->path == NULL || scratch_remove(scratch->path, error);

    file_close(scratch->lock_fd);
    arena_destroy(scratch->arena);
    pthread_mutex_destroy(&scratch->lock);
    return result;
}

/* A DirVisitor. */
static bool add_entry_blocks(void *context, const DirEntry *entry, bool *descend, Error *error)
{
    uint64_t *bytes = context;

    (void) descend;
    (void) error;
    *bytes += (uint64_t) entry->status->st_blocks * STAT_BLOCK_SIZE;
    return true;
}

bool scratch_add_space(const char *path, const char *pool, uint64_t *free_bytes, Error *error)
{
    AUTO_BUFFER Buffer own = {0};

    if (!place_pool(path, &own, error))
        return false;
    return strcmp(buffer_string(&own), pool) != 0 ||
           dir_walk(path, add_entry_blocks, NULL, free_bytes, error);
}

bool scratch_remove(const char *path, Error *error)
{
    Error stopped;

    for (int i = 1; !dir_remove_tree(path, error); i++)
        if (error->error_number != ENOTEMPTY || i == REMOVALS_MAX ||
            !stop_pause(REMOVAL_PAUSE_MILLISECONDS, &stopped))
            return false;
    return true;
}
