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
    PATH_RELATION,  /* main fork of a relation, even an unlogged one, but not a temporary one: by
                       blocks */
    PATH_FORK,      /* another fork of such a relation: like an ordinary file */
    PATH_EXCLUDED,  /* never copied, and removed on the target: a temporary file, or one that the
                        server creates again */
    PATH_LEFT,      /* neither copied nor removed by the plan: no file of the server, or one that
                       pg_rewind writes at the commit or the end, such as pg_control */
    PATH_WAL,       /* a WAL segment: kept or removed on the target, staged apart */
    PATH_WAL_REST,  /* partial, recycled or temporary WAL, and history files of base backups: never
                       copied, removed on the target */
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
 * Classify a relative path by its name alone. own: the cluster's directory in each tablespace.
 * *file is set for PATH_RELATION and PATH_FORK. Rules: design/overview.md, "What is fetched".
 */
PathClass path_classify(const VersionDirectory *own, const WalShape *shape, const char *path,
                        RelationFile *file);

FileKind path_kind(const Version *version, const char *path, PathClass class);

/* The transaction of a file of pg_twophase. Its name, 8 or 16 hexadecimal digits, must have been
 * checked. */
uint64_t twophase_xid(const char *path);

/* True for a file of PATH_LEFT that pg_rewind itself writes or removes, such as pg_control at the
 * commit. No rewind changes other files of PATH_LEFT. */
bool path_is_own(const char *path);

/* A directory whose content the server creates again when it starts. */
bool path_is_recreated(const char *path);

/* The server reads this path, which is in a directory of the server (base, global, pg_wal, ...)
 * or is PG_VERSION. A file of another type there is an error. */
bool path_server_reads(const Version *version, const char *path);

/* True if the rewound target needs the source's file, which --keep must not prevent: replay of the
 * source's WAL would not fit the target's own version of the file. */
bool path_must_come_from_source(const Version *version, const char *path);

/* The server, initdb or a tool of the server creates this file: path_server_reads, or a
 * configuration or signal file of theirs. Its mode is that of the cluster's files. Any other file
 * is the user's, such as a private key, whose mode is not the cluster's. */
bool path_has_cluster_mode(const Version *version, const char *path);

/* The path is relative, has 1 to 4096 bytes, no empty parts, no "." or "..". Any other byte may be
 * in a file's name, even a control character or invalid UTF-8. */
#define PATH_LENGTH_MAX 4096
bool path_is_safe(const char *path);

/* `path` is the same as `directory`, or below it. */
bool path_is_within(const char *directory, const char *path);

/* Make *part the next directory above the path, at last the path itself; *part is empty at first.
 * False after the last. */
bool path_take_part(const char *path, Buffer *part);

/* The length of the directory part of a path; 0 without a slash. */
size_t path_parent_length(const char *path);

/* The directory of the last path that path_parent_next was called with; {0} before the first. */
typedef struct PathParent
{
    const char *path;
    size_t length;
} PathParent;

/* Returns true if the path is in another directory than the previous call's path, which it replaces
 * in *last: the path must live until the next call. For sorted paths: files of one directory follow
 * each other. */
bool path_parent_next(PathParent *last, const char *path);

/*
 * Search a sorted array in which every struct begins with its path (const char *). path_find
 * returns the struct of the first `length` bytes of path; path_find_above the one of path, or of a
 * directory that path is in, the topmost first. Both return NULL if none matches.
 */
void *path_find(const void *items, size_t count, size_t item_size, const char *path, size_t length);
void *path_find_above(const void *items, size_t count, size_t item_size, const char *path);

#endif
