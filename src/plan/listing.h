/*
 * The files of a data directory, sorted by path. Foreign paths are checked here, once.
 */
#ifndef PLAN_LISTING_H
#define PLAN_LISTING_H

#include "base/arena.h"
#include "base/error.h"
#include "source/source.h"
#include "target/target.h"

#include <stddef.h>
#include <stdint.h>

/* Bytes of one file, and of all together: no sum of them wraps. */
#define LISTED_SIZE_MAX (((uint64_t) 1 << 58) - 1)

typedef struct ListedFile
{
    const char *path;
    uint64_t size : 58; /* of a regular file, else 0 */
    FileType type : 3;
    bool unreadable : 1; /* a directory of the target, whose content is not known; on the source,
                            what cannot be asked for */
    bool hash_index : 1; /* the target's first file of one, where WAL does not tell what changed */
    bool mounted : 1; /* a regular file of the target that no server needs, and that is a mount */
} ListedFile;

/* There is one for each file of a cluster, and a cluster may have millions. */
_Static_assert(sizeof(ListedFile) <= 16, "memory for each file");

/* Where a link points to. */
typedef struct ListedLink
{
    const char *path;
    const char *target;
} ListedLink;

typedef struct Listing
{
    Arena *strings;
    ListedFile *files; /* ascending by strcmp of path, each path once */
    size_t count;
    ListedLink
        *links; /* of the files: likewise ascending; without those whose target is not told */
    size_t link_count;
    uint64_t total_size; /* of regular files */
} Listing;

/* Relative, 1 to 4096 bytes, no empty parts, no "." or "..". Any other byte may stand in a file's
 * name, control characters and what is not UTF-8 as well. */
bool path_is_safe(const char *path);

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
 * Both own what they list (listing_free, also after an error), and may run at the same time. Fails
 * on an unsafe path ("source" sends it), on a duplicate, on a file that is in no directory of the
 * listing (nor in a tablespace), on sizes that no disk holds.
 */
MUST_CHECK bool listing_of_source(Source *source, const Version *version, Listing *listing,
                                  Error *error);
MUST_CHECK bool listing_of_target(const Target *target, Listing *listing, Error *error);
/* Does the source's listing have what every data directory has? What it lacks would be removed. */
MUST_CHECK bool listing_check_complete(const Listing *listing, const Version *version,
                                       Error *error);
void listing_free(Listing *listing);
const ListedFile *listing_find(const Listing *listing, const char *path);
/* Where the link at this path points to; NULL: it is none, or that is not told. */
const char *listing_link_target(const Listing *listing, const char *path);

/* The same for a path that sorts after file, which is one of the listing's: the nearer it is, the
 * faster. */
const ListedFile *listing_find_behind(const Listing *listing, const ListedFile *file,
                                      const char *path);

#endif
