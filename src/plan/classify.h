/*
 * Paths of a data directory: what each is to a rewind, from its name alone.
 */
#ifndef PLAN_CLASSIFY_H
#define PLAN_CLASSIFY_H

#include "format/relpath.h"
#include "format/walpage.h"

typedef enum PathClass
{
    PATH_ORDINARY,  /* copied from the source, removed where the source lacks it */
    PATH_RELATION,  /* main fork of a permanent relation: by blocks */
    PATH_FORK,      /* another fork of it: like an ordinary file */
    PATH_EXCLUDED,  /* never copied, and removed on the target: the server creates it again */
    PATH_LEFT,      /* neither copied nor removed: not the server's, or ours to write at the end */
    PATH_WAL,       /* a WAL segment: kept or removed on the target, staged apart */
    PATH_WAL_REST,  /* partial, recycled or temporary WAL: never copied, removed on the target */
    PATH_WAL_STATUS /* in archive_status: follows the file it is about */
} PathClass;

typedef enum FileKind /* for counting bytes by kind in the report */
{
    KIND_RELATION, /* main fork */
    KIND_FORK,     /* _fsm, _vm, _init */
    KIND_WAL,
    KIND_STATUS, /* pg_xact, pg_multixact, pg_commit_ts, pg_subtrans */
    KIND_CONFIGURATION,
    KIND_OTHER,
    KIND_COUNT
} FileKind;

/*
 * Classify a relative path. own: the cluster's directory in each tablespace. *file is set for
 * PATH_RELATION and PATH_FORK. The rules and where they
 * come from: design/overview.md, "What is fetched"; formats 9.2 for the originals' lists.
 */
PathClass path_classify(const VersionDirectory *own, const WalShape *shape, const char *path,
                        RelationFile *file);

FileKind path_kind(const Version *version, const char *path, PathClass class);

/* The transaction of a file of pg_twophase, which is named by 8 hexadecimal digits, or 16. */
uint64_t twophase_xid(const char *path);

/* A directory whose content the server makes again when it starts. */
bool path_is_recreated(const char *path);

/* The server itself needs this file or directory, so that another type in its place is an error. */
bool path_is_servers(const Version *version, const char *path);

/* The server, initdb or a tool of the server makes this file: the modes of the cluster's files are
 * its own. Any other file is the user's, such as a private key. */
bool path_is_clusters(const Version *version, const char *path);

/* Relative, 1 to 4096 bytes, no empty parts, no "." or "..". Any other byte may stand in a file's
 * name, control characters and what is not UTF-8 as well. */
#define PATH_LENGTH_MAX 4096
bool path_is_safe(const char *path);

/* `path` is the same as `directory`, or below it. */
bool path_is_within(const char *directory, const char *path);

/* The length of the directory part of a path; 0 without a slash. */
size_t path_parent_length(const char *path);

/* The directory of the path that was looked at last; {0} at first. */
typedef struct PathParent
{
    const char *path;
    size_t length;
} PathParent;

/* The path is in another directory than the last one was. It becomes the last one, and must live
 * until the next. For sorted paths: files of one directory follow each other. */
bool path_parent_changes(PathParent *last, const char *path);

/*
 * Search a sorted array, each item of which begins with its path (const char *). path_find: the
 * item of the first `length` bytes of path; path_find_above: the item of path or of a directory
 * that it is in. NULL: there is no such item.
 */
void *path_find(const void *items, size_t count, size_t item_size, const char *path, size_t length);
void *path_find_above(const void *items, size_t count, size_t item_size, const char *path);

#endif
