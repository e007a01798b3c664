/*
 * Walk the files below a directory, list the names in it, remove it with all below it.
 *
 * A link is followed where it is the path given to dir_walk or dir_list (or part of that path),
 * and in a walk where the caller's DirFollow says so. All others are visited as links.
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
    const char *link_target;   /* for a link, else NULL */
    bool followed;             /* a link to a directory that is walked into */
} DirEntry;

/* Return false to stop the walk with error set. *descend (preset: true) says whether to go into a
 * directory. */
typedef bool (*DirVisitor)(void *context, const DirEntry *entry, bool *descend, Error *error);

/* Should the link at this relative path be walked into, if it leads to a directory (pg_wal,
 * pg_tblspc/16400)? */
typedef bool (*DirFollow)(void *context, const char *path);

/*
 * Visit everything below root, a directory before its content, otherwise in no particular order.
 * Entries that vanish in the meantime are passed over. follow NULL: no link is followed. It is an
 * error if it cannot be told where a link leads that is to be followed (one that leads nowhere
 * stays a link), and if directories are nested more than 64 deep.
 */
MUST_CHECK bool dir_walk(const char *root, DirVisitor visit, DirFollow follow, void *context,
                         Error *error);

/* The names in one directory, without . and .., as a list of the arena's, ascending by bytes, up to
 * a NULL; it is empty where there is no directory (an error if found is NULL, else *found is
 * false), and after an error. */
MUST_CHECK bool dir_list(const char *path, Arena *arena, const char ***names, bool *found,
                         Error *error);

/*
 * Remove path and all below it. A link at path or below it is removed itself and not followed, even
 * if it is put there in the meantime. Missing: fine. _at: what name is in an open directory, whose
 * path is for messages.
 */
MUST_CHECK bool dir_remove_tree(const char *path, Error *error);
MUST_CHECK bool dir_remove_tree_at(int parent_fd, const char *parent, const char *name,
                                   Error *error);

#endif
