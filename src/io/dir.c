#include "io/dir.h"

#include "base/array.h"
#include "io/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 64

/* One walk. */
typedef struct Walk
{
    DirVisitor visit; /* visitor of the walk; NULL: everything is removed */
    DirFollow follow;
    void *context;
    Buffer path;      /* path of the current entry */
    size_t root_size; /* the bytes of it that the visitor does not get */
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

    return (int) TEMP_FAILURE_RETRY(openat(parent_fd, name, follow ? flags : flags | O_NOFOLLOW));
}

/* Collect the names in the directory open as fd, each with its NUL, without . and .. */
static bool read_names(int fd, const char *path, Buffer *names, Error *error)
{
    const int own_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0); /* closedir closes it */
    DIR *directory = own_fd >= 0 ? fdopendir(own_fd) : NULL;
    const struct dirent *entry;
    bool ok = true;

    if (directory == NULL)
    {
        error_set_errno(error, "could not open directory \"%s\"", path);
        file_close(own_fd);
        return false;
    }
    while (errno = 0, (entry = readdir(directory)) != NULL)
    {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            buffer_append(names, entry->d_name, strlen(entry->d_name) + 1);
    }
    if (errno != 0)
        ok = error_set_errno(error, "could not read directory \"%s\"", path);
    closedir(directory);
    return ok;
}

bool dir_list(const char *path, Arena *arena, const char ***names, bool *found, Error *error)
{
    AUTO_FD int fd = open_directory(AT_FDCWD, path, true);
    AUTO_BUFFER Buffer text = {0};
    size_t count = 0;

    *names = arena_allocate(arena, sizeof(**names));
    if (found != NULL)
        *found = fd >= 0;
    if (fd < 0)
        return (found != NULL && (errno == ENOENT || errno == ENOTDIR)) ||
               error_set_errno(error, "could not open directory \"%s\"", path);
    if (!read_names(fd, path, &text, error))
        return false;
    *names =
        arena_allocate(arena, (text.size / 2 + 1) * sizeof(**names)); /* a byte and a NUL each */
    for (size_t position = 0; position < text.size; position += strlen((*names)[count++]) + 1)
        (*names)[count] = arena_strdup(arena, (const char *) text.bytes + position);
    ARRAY_SORT(*names, count, compare_strings);
    return true;
}

/* ---- The walk ---- */

static bool walk_entry(Walk *walk, int directory_fd, size_t path_size, int depth, const char *name,
                       Error *error);

/* Visit all in the directory whose path is walk->path. All names are read before the first is
 * visited, so that entries may be removed. */
static bool walk_directory(Walk *walk, int fd, int depth, Error *error)
{
    const size_t path_size = walk->path.size;
    AUTO_BUFFER Buffer names = {0};

    if (!read_names(fd, buffer_string(&walk->path), &names, error))
        return false;
    for (size_t position = 0; position < names.size;)
    {
        const char *name = (const char *) names.bytes + position;

        if (!walk_entry(walk, fd, path_size, depth, name, error))
            return false;
        position += strlen(name) + 1;
    }
    return true;
}

/* Go into the directory at walk->path. Where all is removed, each step begins at an open directory,
 * so that none leads out of the tree, whatever others put there in the meantime. */
static bool walk_subdirectory(Walk *walk, int parent_fd, int depth, const char *name, bool followed,
                              Error *error)
{
    const size_t path_size = walk->path.size;
    AUTO_FD int fd = -1;

    if (depth >= DEPTH_MAX)
        return error_set(error, ERROR_FAILED, "directory \"%s\" is nested more than %d deep",
                         buffer_string(&walk->path), DEPTH_MAX);
    fd = open_directory(parent_fd, name, followed);
    if (fd < 0)
        return is_vanished(errno) || error_set_errno(error, "could not open directory \"%s\"",
                                                     buffer_string(&walk->path));
    if (!walk_directory(walk, fd, depth + 1, error))
        return false;
    walk->path.size = path_size;
    return walk->visit != NULL ||
           file_remove_at(parent_fd, name, buffer_string(&walk->path), true, error);
}

/* The file or directory found under a name. */
typedef struct FoundEntry
{
    DirEntry entry; /* points to the following */
    struct stat status;
    char link_target[PATH_MAX];
    bool vanished;
} FoundEntry;

/* Fill in the target of a link, and, if the link is followed, what it leads to. A followed link
 * stays a link only if its target does not exist or is no directory: a tablespace that exists, but
 * cannot be read now, is not an empty one. */
static bool read_found_link(Walk *walk, int fd, const char *name, FoundEntry *found, Error *error)
{
    const ssize_t length = readlinkat(fd, name, found->link_target, PATH_MAX);
    const char *path = buffer_string(&walk->path);
    struct stat followed;

    found->vanished = length < 0 && (errno == EINVAL || is_vanished(errno));
    if (found->vanished)
        return true;
    if (length < 0)
        return error_set_errno(error, "could not read symbolic link \"%s\"", path);
    if (length >= PATH_MAX)
        return error_set(error, ERROR_FAILED, "symbolic link \"%s\" target is too long", path);
    found->link_target[length] = '\0';
    found->entry.link_target = found->link_target;
    if (walk->follow == NULL || !walk->follow(walk->context, found->entry.path))
        return true;
    if (fstatat(fd, name, &followed, 0) != 0)
        return is_vanished(errno) || error_set_errno(error, "could not stat file \"%s\"", path);
    found->entry.followed = S_ISDIR(followed.st_mode);
    if (found->entry.followed)
        found->status = followed;
    return true;
}

/* Visit or remove the entry of an open directory, and all below it. The directory's path is the
 * first path_size bytes of walk->path. */
static bool walk_entry(Walk *walk, int directory_fd, size_t path_size, int depth, const char *name,
                       Error *error)
{
    FoundEntry found;
    bool into = true;

    walk->path.size = path_size;
    buffer_printf(&walk->path, path_size > 0 ? "/%s" : "%s", name);
    if (fstatat(directory_fd, name, &found.status, AT_SYMLINK_NOFOLLOW) != 0)
        return is_vanished(errno) ||
               error_set_errno(error, "could not stat file \"%s\"", buffer_string(&walk->path));
    found.entry =
        (DirEntry){.path = buffer_string(&walk->path) + walk->root_size, .status = &found.status};
    found.vanished = false;
    if (S_ISLNK(found.status.st_mode) && !read_found_link(walk, directory_fd, name, &found, error))
        return false;
    if (found.vanished)
        return true;
    if (walk->visit != NULL && !walk->visit(walk->context, &found.entry, &into, error))
        return false;
    if (into && S_ISDIR(found.status.st_mode))
        return walk_subdirectory(walk, directory_fd, depth, name, found.entry.followed, error);
    return walk->visit != NULL ||
           file_remove_at(directory_fd, name, buffer_string(&walk->path), false, error);
}

bool dir_walk(const char *root, DirVisitor visit, DirFollow follow, void *context, Error *error)
{
    Walk walk = {
        .visit = visit, .follow = follow, .context = context, .root_size = strlen(root) + 1};
    AUTO_FD int fd = open_directory(AT_FDCWD, root, true);
    bool ok;

    if (fd < 0)
        return error_set_errno(error, "could not open directory \"%s\"", root);
    buffer_append_string(&walk.path, root);
    ok = walk_directory(&walk, fd, 0, error);
    buffer_free(&walk.path);
    return ok;
}

bool dir_remove_tree_at(int parent_fd, const char *parent, const char *name, Error *error)
{
    Walk walk = {0};
    bool ok;

    buffer_append_string(&walk.path, parent);
    ok = walk_entry(&walk, parent_fd, walk.path.size, -1, name, error);
    buffer_free(&walk.path);
    return ok;
}

bool dir_remove_tree(const char *path, Error *error)
{
    return dir_remove_tree_at(AT_FDCWD, "", path, error);
}

bool dir_remove_tree_durably(const char *path, Error *error)
{
    AUTO_BUFFER Buffer parent = {0};

    return dir_remove_tree(path, error) && file_sync_readable(path_parent(&parent, path), error);
}
