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
    uint64_t mount;   /* its number in /proc/self/mountinfo; 0 where the kernel does not say */
    uint32_t project; /* of new files in a directory (for quotas); 0: none, or not known */
    uid_t owner;
    bool is_directory;
} Place;

/*
 * Links are followed. Two directories of one device can still refuse a rename between them: when
 * they are mounted separately (bind mounts, volumes of containers), and when new files get another
 * project in one than in the other. Hence the mount and the project.
 */
MUST_CHECK bool place_find(const char *path, Place *place, bool *found, Error *error);

/* True if they are one file, or one directory. */
bool place_same(const Place *a, const Place *b);

/*
 * Hold what path leads to until the process ends: its number is given to nothing else in the
 * meantime, also if it is removed, so place_same with what was found there means that it is the
 * same. It may still be renamed and removed. Where there is nothing, nothing is held.
 */
void place_hold(const char *path);

/* True if both paths, links followed, lead to one file or one directory. */
bool place_is(const char *path, const char *other);

/* True if a file that is made in one of these directories can be renamed into the other, as far as
 * can be seen. file_move copies it where that is wrong. */
bool place_same_mount(const Place *a, const Place *b);

/*
 * Append the name of what the file system takes its space from: equal for the subvolumes of one
 * btrfs and the datasets of one ZFS pool, each of which reports all free space of the pool, and for
 * separate mounts of one file system. Where that cannot be found out, it is equal for all file
 * systems of one kind that has pools, and for each other one its device.
 */
MUST_CHECK bool place_pool(const char *path, Buffer *pool, Error *error);

/* The part of place_pool that reads the text of /proc/self/mountinfo. False: the mount is not
 * there. */
bool place_pool_of_mount(const char *mounts, uint64_t mount, Buffer *pool);

/*
 * One directory can be written in many ways: relative, through a link, with "//" or "/." in it.
 * place_canonical makes an absolute path without any of that (canonical has PLACE_PATH_SIZE bytes);
 * *found false: there is nothing.
 * place_inside: does the file or directory at path lie in a directory, or is it that? False if
 * either is not there. place_below: the part of an absolute path, which need not exist, that lies
 * below a directory that does; NULL: it does not lie there.
 */
#define PLACE_PATH_SIZE 4096 /* PATH_MAX */
MUST_CHECK bool place_canonical(const char *path, char *canonical, bool *found, Error *error);
bool place_inside(const char *path, const char *directory);
const char *place_below(const char *path, const char *directory);

/*
 * Visit the names that the kernel looks at on its way to what a path leads to: the directories and
 * symbolic links in it, each link before what it leads to, with lstat's status. *found is false
 * where a name on the way does not exist: the walk ends there. A visitor that returns false ends it
 * with its error. The root directory is visited only where a part of the path leads to it.
 */
typedef bool (*PlaceVisitor)(void *context, const char *path, const struct stat *status,
                             Error *error);
MUST_CHECK bool place_walk(const char *path, PlaceVisitor visit, void *context, bool *found,
                           Error *error);

/* Find the data directory of a server, of any cluster, that a directory is or lies in, by its
 * PG_VERSION. The path is canonical; it becomes that of the data directory. *found false: it lies
 * in none. */
MUST_CHECK bool place_data_directory(char *directory, bool *found, Error *error);

/* When a file or directory was made here, in seconds since 1970: no copy keeps that. 0: the file
 * system does not say. */
int64_t place_birth(const char *path);

/* The reason why even a privileged user cannot replace or remove something. */
typedef enum Obstacle
{
    OBSTACLE_NONE,
    OBSTACLE_IMMUTABLE,
    OBSTACLE_APPEND_ONLY,
    OBSTACLE_MOUNTED, /* something is mounted there */
    OBSTACLE_STICKY   /* only its owner, or the directory's, may rename or remove it */
} Obstacle;

/* Links are not followed. None where there is nothing, or where the kernel does not say.
 * (Rule C87.) */
Obstacle place_obstacle(const char *path);

/* "it is immutable" */
const char *obstacle_text(Obstacle obstacle);

/* True if the effective user may make and remove names in this directory; else errno has the
 * reason.
 */
bool place_can_change_names(const char *directory);

/* True if the effective user can read a file, or list a directory and go into it; else errno has
 * the reason. */
bool place_can_be_read(const char *path);

#endif
