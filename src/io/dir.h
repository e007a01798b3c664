/*
 * Directories: walk the files below one, list the names in one, remove one with everything below.
 *
 * Symbolic links are visited as links, with two exceptions: links in the path given to dir_walk or
 * dir_list are followed, and so are links that the caller's DirFollow accepts.
 */
#ifndef IO_DIR_H
#define IO_DIR_H

#include "base/arena.h"
#include "base/buffer.h"

#include <sys/stat.h>

typedef struct DirEntry
{
    const char *path; /* relative to the root of the walk, "base/1/1259"; valid during the call */
    const struct stat *status; /* lstat's; where a link was followed, stat's of what it points to */
    const char *link_target;   /* target of a link; otherwise NULL */
    bool followed;             /* link to a directory that is walked into */
} DirEntry;

/* Return false to stop the walk with error set. *descend (preset: true) says whether to go into a
 * directory. */
typedef bool (*DirVisitor)(void *context, const DirEntry *entry, bool *descend, Error *error);

/* Return true if the link at this relative path is to be followed, if it leads to a directory
 * (pg_wal, pg_tblspc/16400). */
typedef bool (*DirFollow)(void *context, const char *path);

/*
 * Visit everything below root, a directory before its content, otherwise in no particular order.
 * Entries that vanish during the walk are skipped. follow NULL: no link is followed. A followed
 * link that leads to nothing is visited as a link. Errors: it cannot be found out where a followed
 * link leads; directories are nested more than 64 deep.
 */
MUST_CHECK bool dir_walk(const char *root, DirVisitor visit, DirFollow follow, void *context,
                         Error *error);

/* List the names in one directory, without . and .., ascending by bytes, up to a NULL, in the
 * arena. The list is empty after an error, and if the directory does not exist (an error if found
 * is NULL; otherwise *found is false). */
MUST_CHECK bool dir_list(const char *path, Arena *arena, const char ***names, bool *found,
                         Error *error);

/*
 * Remove path and everything below it; a missing path is no error. Links at path or below are
 * removed and never followed, even if another process creates one during the removal.
 * dir_remove_tree_at removes `name` in the open directory parent_fd; parent is its path, for
 * messages only.
 */
MUST_CHECK bool dir_remove_tree(const char *path, Error *error);
MUST_CHECK bool dir_remove_tree_at(int parent_fd, const char *parent, const char *name,
                                   Error *error);

/* Like dir_remove_tree, and sync the directory that held it: otherwise what was removed could come
 * back after a power cut. A directory that this user may not read is not synced. */
MUST_CHECK bool dir_remove_tree_durably(const char *path, Error *error);

#endif
