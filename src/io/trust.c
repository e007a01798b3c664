#include "io/trust.h"

#include "base/buffer.h"
#include "io/file.h"
#include "io/place.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define LINKS_MAX 40 /* as the kernel */

static bool others_may_write(const struct stat *status)
{
    return (status->st_mode & S_IWOTH) != 0 ||
           ((status->st_mode & S_IWGRP) != 0 && status->st_uid == geteuid() &&
            status->st_gid != 0 && status->st_gid != getegid());
}

static bool check_status(const char *path, const struct stat *status, Error *error)
{
    if (status->st_uid != 0 && status->st_uid != geteuid())
        return error_set(error, ERROR_FAILED, "\"%s\" belongs to another user", path);
    if (S_ISREG(status->st_mode) && others_may_write(status))
        return error_set(error, ERROR_FAILED, "other users may write to file \"%s\"", path);
    if (!S_ISDIR(status->st_mode) || !others_may_write(status) || (status->st_mode & S_ISVTX) != 0)
        return true;
    if ((status->st_mode & S_IWOTH) != 0)
        return error_set(error, ERROR_FAILED,
                         "every user may rename files in directory \"%s\": it lacks the sticky bit",
                         path);
    return error_set(error, ERROR_FAILED,
                     "a group of users may rename files in directory \"%s\": it lacks the sticky "
                     "bit",
                     path);
}

bool trust_check_entry(const char *path, Error *error)
{
    struct stat status;
    bool found;

    if (!file_lstat(path, &status, &found, error))
        return false;
    if (found && S_ISLNK(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is a symbolic link", path);
    return !found || check_status(path, &status, error);
}

/* ---- The way to a path ---- */

/* A path while it is followed: what was looked at, without links in it, and what is left. */
typedef struct Way
{
    Buffer done; /* "" is the root directory */
    Buffer left;
    int links;
} Way;

/* Take the next name of what is left. */
static bool take_part(Way *way, Buffer *name)
{
    const char *left = buffer_string(&way->left);
    const size_t slashes = strspn(left, "/");
    const size_t length = strcspn(left + slashes, "/");
    AUTO_BUFFER Buffer rest = {0};

    buffer_clear(name);
    buffer_append(name, left + slashes, length);
    buffer_append_string(&rest, left + slashes + length);
    buffer_clear(&way->left);
    buffer_append(&way->left, rest.bytes, rest.size);
    return length > 0;
}

static void go_up(Way *way)
{
    const char *done = buffer_string(&way->done);
    const char *slash = strrchr(done, '/');

    way->done.size = slash != NULL ? (size_t) (slash - done) : 0;
}

/* Put the link at `path` in the place of its name. */
static bool step_through_link(Way *way, const char *path, Error *error)
{
    AUTO_BUFFER Buffer left = {0};

    errno = ELOOP;
    if (++way->links > LINKS_MAX)
        return error_set_errno(error, "could not stat file \"%s\"", path);
    if (!file_read_link(path, &left, error))
        return false;
    if (left.size > 0 && left.bytes[0] == '/')
        buffer_clear(&way->done);
    buffer_append_u8(&left, '/');
    buffer_append_string(&left, buffer_string(&way->left));
    buffer_clear(&way->left);
    buffer_append(&way->left, left.bytes, left.size);
    return true;
}

/* *end: nothing is there. */
static bool take_step(Way *way, const char *name, bool *end, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    *end = false;
    if (strcmp(name, ".") == 0)
        return true;
    if (strcmp(name, "..") == 0)
    {
        go_up(way);
        return true;
    }
    buffer_printf(&path, "%s/%s", buffer_string(&way->done), name);
    if (!file_lstat(buffer_string(&path), &status, &found, error))
        return false;
    *end = !found;
    if (!found)
        return true;
    if (!check_status(buffer_string(&path), &status, error))
        return false;
    if (S_ISLNK(status.st_mode))
        return step_through_link(way, buffer_string(&path), error);
    buffer_clear(&way->done);
    buffer_append(&way->done, path.bytes, path.size);
    return true;
}

bool trust_check(const char *path, Error *error)
{
    AUTO_BUFFER Buffer name = {0};
    char working[PLACE_PATH_SIZE];
    bool ok = true, end = false, found;
    struct stat root;
    Way way = {0};

    if (path[0] != '/')
    {
        if (!place_canonical(".", working, &found, error))
            return false;
        buffer_printf(&way.left, "%s/", working);
    }
    buffer_append_string(&way.left, path);
    if (!file_stat("/", &root, NULL, error) || !check_status("/", &root, error))
        ok = false;
    while (ok && !end && take_part(&way, &name))
        ok = take_step(&way, buffer_string(&name), &end, error);
    buffer_free(&way.done);
    buffer_free(&way.left);
    return ok;
}
