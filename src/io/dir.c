#include "io/dir.h"

#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 64

/* One walk; path is the entry at hand, relative to root. */
typedef struct Walk
{
    const char *root;
    DirVisitor visit;
    DirFollow follow;
    void *context;
    char path[PATH_SIZE];
} Walk;

/* Vanished, or replaced by something else, between two calls. */
static bool is_vanished(int number)
{
    return number == ENOENT || number == ENOTDIR || number == ELOOP;
}

/* Open a directory, as often as signals interrupt it. */
static int open_directory(int parent_fd, const char *name, bool follow)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK;
    int fd;

    do
        fd = openat(parent_fd, name, follow ? flags : flags | O_NOFOLLOW);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/*
 * Collect the names in the directory open as fd, each with its NUL, without . and .. Reads all
 * before anything is done with them, so that entries may be removed during the walk. fd stays open.
 */
static bool read_names(int fd, const char *path, Buffer *names, Error *error)
{
    const int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* closedir closes it */
    DIR *directory = own_fd >= 0 ? fdopendir(own_fd) : NULL;
    const struct dirent *entry;
    bool ok = true;

    if (directory == NULL)
    {
        error_set_errno(error, ERROR_FAILED, "could not open directory \"%s\"", path);
        file_close(own_fd);
        return false;
    }
    while (errno = 0, (entry = readdir(directory)) != NULL)
    {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            buffer_append(names, entry->d_name, strlen(entry->d_name) + 1);
    }
    if (errno != 0)
        ok = error_set_errno(error, ERROR_FAILED, "could not read directory \"%s\"", path);
    closedir(directory);
    return ok;
}

static bool walk_directory(Walk *walk, int fd, size_t path_length, int depth, Error *error);

/* Go into the directory at walk->path. */
static bool walk_subdirectory(Walk *walk, int parent_fd, const char *name, bool followed, int depth,
                              Error *error)
{
    int fd;
    bool ok;

    if (depth >= DEPTH_MAX)
        return error_set(error, ERROR_FAILED, "directory \"%s/%s\" is nested more than %d deep",
                         walk->root, walk->path, DEPTH_MAX);
    fd = open_directory(parent_fd, name, followed);
    if (fd < 0 && is_vanished(errno))
        return true;
    if (fd < 0)
        return error_set_errno(error, ERROR_FAILED, "could not open directory \"%s/%s\"",
                               walk->root, walk->path);
    ok = walk_directory(walk, fd, strlen(walk->path), depth + 1, error);
    file_close(fd);
    return ok;
}

/* Say what the entry is. *found is false if it has vanished. */
static bool stat_entry(const Walk *walk, int fd, const char *name, DirEntry *entry,
                       struct stat *status, char link_target[PATH_MAX], bool *found, Error *error)
{
    struct stat followed;
    ssize_t length;

    *entry = (DirEntry){.path = walk->path, .status = status};
    *found = fstatat(fd, name, status, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*found && is_vanished(errno))
        return true;
    if (!*found)
        return error_set_errno(error, ERROR_FAILED, "could not stat file \"%s/%s\"", walk->root,
                               walk->path);
    if (!S_ISLNK(status->st_mode))
        return true;

    length = readlinkat(fd, name, link_target, PATH_MAX);
    if (length < 0)
    {
        *found = false;
        if (errno == EINVAL || is_vanished(errno))
            return true;
        return error_set_errno(error, ERROR_FAILED, "could not read symbolic link \"%s/%s\"",
                               walk->root, walk->path);
    }
    if (length >= PATH_MAX)
        return error_set(error, ERROR_FAILED, "symbolic link \"%s/%s\" target is too long",
                         walk->root, walk->path);
    link_target[length] = '\0';
    entry->link_target = link_target;
    if (walk->follow != NULL && walk->follow(walk->context, walk->path) &&
        fstatat(fd, name, &followed, 0) == 0 && S_ISDIR(followed.st_mode))
    {
        *status = followed;
        entry->followed = true;
    }
    return true;
}

/* Visit the entry at walk->path, which is name in the directory fd, and all below it. */
static bool walk_entry(Walk *walk, int fd, const char *name, int depth, Error *error)
{
    char link_target[PATH_MAX];
    struct stat status;
    DirEntry entry;
    bool found;
    bool into = true;

    if (!stat_entry(walk, fd, name, &entry, &status, link_target, &found, error))
        return false;
    if (!found)
        return true;
    if (!walk->visit(walk->context, &entry, &into, error))
        return false;
    if (!into || !S_ISDIR(status.st_mode))
        return true;
    return walk_subdirectory(walk, fd, name, entry.followed, depth, error);
}

/* Visit all in the directory open as fd, whose path is the first path_length bytes of walk->path.
 */
static bool walk_directory(Walk *walk, int fd, size_t path_length, int depth, Error *error)
{
    Buffer names = {0};
    bool ok = false;

    if (!read_names(fd, walk->path[0] != '\0' ? walk->path : walk->root, &names, error))
        goto done;
    for (size_t position = 0; position < names.size;)
    {
        const char *name = (const char *) names.bytes + position;
        const int length = snprintf(walk->path + path_length, PATH_SIZE - path_length, "%s%s",
                                    path_length > 0 ? "/" : "", name);

        if (length < 0 || (size_t) length >= PATH_SIZE - path_length)
        {
            error_set(error, ERROR_FAILED, "path \"%s\" is too long", walk->path);
            goto done;
        }
        if (!walk_entry(walk, fd, name, depth, error))
            goto done;
        walk->path[path_length] = '\0';
        position += strlen(name) + 1;
    }
    ok = true;

done:
    buffer_free(&names);
    return ok;
}

bool dir_walk(const char *root, DirVisitor visit, DirFollow follow, void *context, Error *error)
{
    Walk walk = {.root = root, .visit = visit, .follow = follow, .context = context};
    const int fd = open_directory(AT_FDCWD, root, true);
    bool ok;

    if (fd < 0)
        return error_set_errno(error, ERROR_FAILED, "could not open directory \"%s\"", root);
    ok = walk_directory(&walk, fd, 0, 0, error);
    file_close(fd);
    return ok;
}

bool dir_names(const char *path, DirNameVisitor visit, void *context, bool *found, Error *error)
{
    Buffer names = {0};
    const int fd = open_directory(AT_FDCWD, path, true);
    bool ok;

    if (found != NULL)
        *found = fd >= 0;
    if (fd < 0 && errno == ENOENT && found != NULL)
        return true;
    if (fd < 0)
        return error_set_errno(error, ERROR_FAILED, "could not open directory \"%s\"", path);
    ok = read_names(fd, path, &names, error);
    file_close(fd);
    for (size_t position = 0; ok && position < names.size;)
    {
        const char *name = (const char *) names.bytes + position;

        ok = visit(context, name, error);
        position += strlen(name) + 1;
    }
    buffer_free(&names);
    return ok;
}

/* The directory that is being removed, open as fd. */
typedef struct Removal
{
    int fd;
    const char *path;
    int depth;
} Removal;

static bool remove_entry(int parent_fd, const char *name, const char *path, int depth,
                         Error *error);

static bool remove_name(const Removal *removal, const char *name, Error *error)
{
    char path[PATH_SIZE];

    return path_join(path, sizeof(path), removal->path, name, error) &&
           remove_entry(removal->fd, name, path, removal->depth + 1, error);
}

static bool remove_content(const Removal *removal, Error *error)
{
    Buffer names = {0};
    bool ok = read_names(removal->fd, removal->path, &names, error);

    for (size_t position = 0; ok && position < names.size;)
    {
        const char *name = (const char *) names.bytes + position;

        ok = remove_name(removal, name, error);
        position += strlen(name) + 1;
    }
    buffer_free(&names);
    return ok;
}

/* Each step begins at an open directory, so that none leads out of the tree, whatever others put
 * there in the meantime. */
static bool remove_entry(int parent_fd, const char *name, const char *path, int depth, Error *error)
{
    Removal removal = {.path = path, .depth = depth};
    struct stat status;
    bool ok;

    if (depth > DEPTH_MAX)
        return error_set(error, ERROR_FAILED, "directory \"%s\" is nested more than %d deep", path,
                         DEPTH_MAX);
    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
    {
        if (!is_vanished(errno))
            return error_set_errno(error, ERROR_FAILED, "could not stat file \"%s\"", path);
        return true;
    }
    if (!S_ISDIR(status.st_mode))
        return file_remove_at(parent_fd, name, path, error);
    removal.fd = open_directory(parent_fd, name, false);
    if (removal.fd < 0)
    {
        if (!is_vanished(errno))
            return error_set_errno(error, ERROR_FAILED, "could not open directory \"%s\"", path);
        return true;
    }
    ok = remove_content(&removal, error);
    file_close(removal.fd);
    return ok && file_remove_directory_at(parent_fd, name, path, error);
}

bool dir_remove_tree(const char *path, Error *error)
{
    return remove_entry(AT_FDCWD, path, path, 0, error);
}

bool dir_remove_tree_at(int parent_fd, const char *name, const char *path, Error *error)
{
    return remove_entry(parent_fd, name, path, 0, error);
}
