/*
 * The place of a path on the disks: its file system, mount and project, and whether names there may
 * be changed.
 */
#ifndef IO_PLACE_H
#define IO_PLACE_H

#include "base/buffer.h"

#include <sys/stat.h>
#include <sys/types.h>

typedef struct Place
{
    uint64_t device, inode;
    uint64_t mount;   /* mount's number in /proc/self/mountinfo; 0: the kernel does not report it */
    uint32_t project; /* project of new files in a directory (for quotas); 0: none, or not known */
    uid_t owner;
    bool is_directory;
} Place;

/*
 * Find the place of a path; links are followed. *found is false if nothing exists there.
 *
 * Mount and project are part of a place because two directories of one device can still refuse a
 * rename between them: when they are mounted separately (bind mounts, volumes of containers), or
 * when new files get another project in one than in the other.
 */
MUST_CHECK bool place_find(const char *path, Place *place, bool *found, Error *error);

/* True if both places are the same file or directory (device and inode). */
bool place_same(const Place *a, const Place *b);

/* Keep the file or directory that path leads to open until the process ends. Its inode number is
 * then not reused even if the file is removed, so place_same with its present place means the very
 * same file. The file can still be renamed and removed. Does nothing if nothing exists there. */
void place_hold(const char *path);

/* True if both paths, links followed, lead to one file or one directory. */
bool place_is(const char *path, const char *other);

/* True if a file that is created in one of these directories can probably be renamed into the
 * other. If the rename fails nevertheless, file_move copies the file. */
bool place_same_mount(const Place *a, const Place *b);

/*
 * Append a name for the pool from which the file system of path takes its space. The name is equal
 * for the subvolumes of one btrfs, for the datasets of one ZFS pool, each of which reports all free
 * space of the pool, and for separate mounts of one file system. If the pool cannot be found out,
 * all file systems of a kind that has pools share one name; any other file system is named by its
 * device.
 */
MUST_CHECK bool place_pool(const char *path, Buffer *pool, Error *error);

/* The part of place_pool that reads the text of /proc/self/mountinfo. Returns false if the mount is
 * not in it. */
bool place_pool_of_mount(const char *mounts, uint64_t mount, Buffer *pool);

/*
 * One directory has many spellings: relative, through a link, with "//" or "/." in it.
 * place_canonical makes an absolute path without any of that (canonical has PLACE_PATH_SIZE bytes);
 * *found is false if nothing exists there.
 *
 * place_inside: true if the file or directory at path is the directory, or lies below it; false if
 * either does not exist. place_below: the part of an absolute path, which need not exist, that lies
 * below an existing directory; NULL: it does not lie there.
 */
#define PLACE_PATH_SIZE 4096 /* PATH_MAX */
MUST_CHECK bool place_canonical(const char *path, char *canonical, bool *found, Error *error);
bool place_inside(const char *path, const char *directory);
const char *place_below(const char *path, const char *directory);

/*
 * Visit the names that the kernel looks up on its way to what a path leads to: the directories and
 * symbolic links in it, each link before what it leads to, with lstat's status. *found is false if
 * a name on the way does not exist; the walk ends there. A visitor that returns false ends the walk
 * with its error. The root directory is visited only if a part of the path leads to it.
 */
typedef bool (*PlaceVisitor)(void *context, const char *path, const struct stat *status,
                             Error *error);
MUST_CHECK bool place_walk(const char *path, PlaceVisitor visit, void *context, bool *found,
                           Error *error);

/* Find the data directory, of any cluster, that is this directory or one above it: the first that
 * has a PG_VERSION. directory is a canonical path, which is replaced by that of the data directory.
 * *found is false if no directory on the way has one. */
MUST_CHECK bool place_data_directory(char *directory, bool *found, Error *error);

/* The time at which the file or directory was created on this file system, in seconds since 1970; a
 * copy has a later one. 0: the file system does not store it. */
int64_t place_birth(const char *path);

/* The reason why even a privileged user cannot replace or remove something. */
typedef enum Obstacle
{
    OBSTACLE_NONE,
    OBSTACLE_IMMUTABLE,
    OBSTACLE_APPEND_ONLY,
    OBSTACLE_MOUNTED, /* mount point of a file system */
    OBSTACLE_STICKY   /* file in a directory with the sticky bit: only its owner or the directory's
                         may rename or remove it */
} Obstacle;

/* Find what keeps even a privileged user from replacing or removing the file at path; links are not
 * followed. OBSTACLE_NONE if nothing exists there, or if the kernel does not tell. (Rule C87.) */
Obstacle place_obstacle(const char *path);

/* True if a file system, or a part of one, is mounted at path, which lies in a data directory on
 * this device (Place.device). False if nothing exists there. */
bool place_is_mounted(const char *path, uint64_t device);

/* A clause for messages, such as "it is immutable". Static. */
const char *obstacle_text(Obstacle obstacle);

/* True if the effective user may create and remove names in this directory; otherwise errno has the
 * reason. */
bool place_can_change_names(const char *directory);

/* True if the effective user can read a file, or list a directory and go into it, and if nothing
 * exists at the path; otherwise errno has the reason. */
bool place_can_be_read(const char *path);

#endif
