#include "io/trust.h"

#include "base/buffer.h"
#include "io/file.h"
#include "io/place.h"

#include <unistd.h>

static bool others_may_write(const struct stat *status)
{
    return (status->st_mode & S_IWOTH) != 0 ||
           ((status->st_mode & S_IWGRP) != 0 && status->st_uid == geteuid() &&
            status->st_gid != 0 && status->st_gid != getegid());
}

/* A PlaceVisitor, which needs no context. */
static bool check_status(void *context, const char *path, const struct stat *status, Error *error)
{
    (void) context;
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

bool trust_check_entry(const char *path, bool follow, Error *error)
{
    struct stat status;
    bool found;

    if (!file_lstat(path, &status, &found, error))
        return false;
    if (found && S_ISLNK(status.st_mode))
    {
        if (!follow)
            return error_set(error, ERROR_FAILED, "\"%s\" is a symbolic link", path);
        if (!check_status(NULL, path, &status, error) || !file_stat(path, &status, &found, error))
            return false;
    }
    if (!found)
        return true;
    status.st_mode &= ~(mode_t) S_IWGRP;
    return check_status(NULL, path, &status, error);
}

bool trust_check(const char *path, Error *error)
{
    char working[PLACE_PATH_SIZE];
    AUTO_BUFFER Buffer whole = {0};
    struct stat root;
    bool found;

    if (path[0] != '/')
    {
        if (!place_canonical(".", working, &found, error))
            return false;
        buffer_printf(&whole, "%s/", working);
    }
    buffer_append_string(&whole, path);
    return file_stat("/", &root, NULL, error) && check_status(NULL, "/", &root, error) &&
           place_walk(buffer_string(&whole), check_status, NULL, &found, error);
}
