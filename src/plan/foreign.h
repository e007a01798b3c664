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
    FOREIGN_BACKUP,     /* likewise, with backup_label or backup_manifest; or base.tar */
    FOREIGN_TABLESPACE, /* a server's directory of a tablespace is in it: PG_15_202209061 */
    FOREIGN_WAL,        /* files with names of WAL segments are in it */
    FOREIGN_MOUNT       /* another file system, or another part of one, is mounted there */
} ForeignKind;

/* Nothing in this directory is removed or replaced. */
typedef struct ForeignTree
{
    const char *path;  /* the topmost directory that is not the server's; a mount is its own */
    const char *found; /* the directory of this kind, which is in it or is that itself */
    ForeignKind kind;
} ForeignTree;

typedef struct Foreign
{
    const Version *version;
    const Listing *files; /* that it was found in */
    ForeignTree *trees;   /* ascending by path, each once */
    size_t tree_count;
    ForeignTree *closed; /* likewise; these are left alone with all that is in them, so nothing is
                            written either: clusters, base backups, tablespaces, and WAL that has an
                            archive_status beside it */
    size_t closed_count;
} Foreign;

/* Strings are the listing's, or its arena's. */
void foreign_find(const Version *version, const Listing *files, Foreign *foreign);
void foreign_free(Foreign *foreign);

/* The tree that the path is, or is in; NULL: none. */
const ForeignTree *foreign_tree_of(const Foreign *foreign, const char *path);

/* It is a directory of `closed`. */
bool foreign_is_closed(const Foreign *foreign, const char *path);

/* It is one of them that a server may be using: no base backup, and not in one. */
bool foreign_is_of_server(const Foreign *foreign, const char *path);

#endif
