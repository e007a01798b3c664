/*
 * What a path of a data directory is to a rewind, from its name alone.
 */
#ifndef PLAN_CLASSIFY_H
#define PLAN_CLASSIFY_H

#include "format/relpath.h"
#include "format/walpage.h"
#include "plan/plan.h"

#include <stdbool.h>

typedef enum PathClass
{
    PATH_ORDINARY,  /* copied from the source, removed where the source lacks it */
    PATH_RELATION,  /* main fork of a permanent relation: by blocks */
    PATH_EXCLUDED,  /* never copied, and removed on the target: the server creates it again */
    PATH_LEFT,      /* neither copied nor removed: not the server's, or ours to write at the end */
    PATH_WAL,       /* a WAL segment: kept or removed on the target, staged apart */
    PATH_WAL_REST,  /* partial, recycled or temporary WAL: never copied, removed on the target */
    PATH_WAL_STATUS /* in archive_status: follows the file it speaks of */
} PathClass;

/*
 * Classify a relative path. *file is set for PATH_RELATION and for relation files of other forks
 * (PATH_ORDINARY with *is_relation_file). The rules and where they come from:
 * design/overview.md, "What is fetched"; formats 9.2 for the originals' lists.
 */
PathClass path_classify(const Version *version, const WalShape *shape, const char *path,
                        RelationFile *file, bool *is_relation_file);

/* The transaction of a file of pg_twophase, which is named by 8 hexadecimal digits, or 16. */
uint64_t twophase_xid(const char *path);

/* Is this a file or directory that the server itself needs, so that another type in its place is an
 * error? */
bool path_is_servers(const Version *version, const char *path);

FileKind path_kind(const Version *version, const char *path, bool is_relation_file, uint8_t fork);

#endif
