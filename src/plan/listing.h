/*
 * The files of a data directory, sorted by path. Foreign paths are checked here, once.
 */
#ifndef PLAN_LISTING_H
#define PLAN_LISTING_H

#include "base/arena.h"
#include "base/error.h"
#include "cluster/source.h"
#include "cluster/target.h"

#include <stddef.h>
#include <stdint.h>

typedef struct ListedFile
{
    const char *path;
    const char *link_target; /* of a link, else NULL */
    uint64_t size;
    FileType type;
    bool unreadable; /* a directory of the target, whose content is not known; on the source, what
                        cannot be asked for */
    bool
        hash_index; /* the target's first file of one, where WAL does not tell what changed in it */
    bool mounted;   /* a regular file of the target that no server needs, and that is a mount */
} ListedFile;

typedef struct Listing
{
    Arena *strings;
    ListedFile *files; /* ascending by strcmp of path, each path once */
    size_t count;
    uint64_t total_size; /* of regular files */
} Listing;

/* Relative, 1 to 4096 bytes, no empty parts, no "." or "..". Any other byte may stand in a file's
 * name, control characters and what is not UTF-8 as well. */
bool path_is_safe(const char *path);

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

/* The same for a path that sorts after file, which is one of the listing's: the nearer it is, the
 * faster. */
const ListedFile *listing_find_behind(const Listing *listing, const ListedFile *file,
                                      const char *path);

#endif
