/*
 * Directories inside the target's data directory that hold what a DBA cannot get back from the
 * source: another cluster, a base backup, archived WAL, another volume. design/overview.md, "What
 * is never removed".
 */
#ifndef PLAN_FOREIGN_H
#define PLAN_FOREIGN_H

#include "plan/listing.h"

typedef enum ForeignKind
{
    FOREIGN_CLUSTER,    /* PG_VERSION and global/pg_control are in it */
    FOREIGN_BACKUP,     /* a cluster with backup_label or backup_manifest is in it; or base.tar */
    FOREIGN_TABLESPACE, /* a server's directory of a tablespace is in it: PG_15_202209061 */
    FOREIGN_WAL,        /* files with names of WAL segments are in it */
    FOREIGN_MOUNT       /* another file system, or another part of one, is mounted there */
} ForeignKind;

/* A foreign directory. Files that it holds are neither removed nor replaced; new files of the
 * source may be added. */
typedef struct ForeignTree
{
    const char *path;  /* the topmost directory that is not the server's; a mount is its own */
    const char *found; /* the directory of this kind: `path` or a directory below `path` */
    ForeignKind kind;
} ForeignTree;

typedef struct Foreign
{
    const Version *version;
    const Listing *files; /* the listing that was searched; borrowed */
    ForeignTree *trees;   /* ascending by path, each once */
    size_t tree_count;
    ForeignTree *closed; /* directories in which nothing is written either, not even new files:
                            clusters, base backups, tablespaces, and WAL that has an archive_status
                            beside it; ascending by path */
    size_t closed_count;
} Foreign;

/* Find the foreign directories of a listing. Strings are the listing's, or its arena's; the arrays
 * are freed by foreign_free. */
void foreign_find(const Version *version, const Listing *files, Foreign *foreign);
void foreign_free(Foreign *foreign);

/* The foreign tree that the path is the top of, or lies in; NULL if it lies in none. */
const ForeignTree *foreign_tree_of(const Foreign *foreign, const char *path);

/* The path is itself one of the directories of `closed`. */
bool foreign_is_closed(const Foreign *foreign, const char *path);

/* The path is itself a directory of `closed` that a server may be using: neither a base backup, nor
 * inside another closed directory. */
bool foreign_is_of_server(const Foreign *foreign, const char *path);

#endif
