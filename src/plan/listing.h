/*
 * The files of a data directory, sorted by path. Foreign paths are checked here, once.
 *
 * A directory is listed once. The server follows some links: pg_wal, and those of tablespaces.
 * Where such a link leads to a directory inside the data directory, that one has two names: its
 * files are listed below the link, and its second name is listed alone. A directory is known by its
 * device and inode, which a server does not tell: of a source server second names are listed like
 * others.
 */
#ifndef PLAN_LISTING_H
#define PLAN_LISTING_H

#include "plan/classify.h"
#include "target/tablespace_mapping.h"
#include "target/target.h"

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
    bool mounted : 1; /* a regular file or directory of the target that no server needs, and that is
                         a mount, or part of another file system */
} ListedFile;

/* A cluster may have millions of files. */
_Static_assert(sizeof(ListedFile) <= 16, "memory for each file");

typedef struct ListedLink
{
    const char *path;
    const char *target; /* of the link */
} ListedLink;

/* A file system of this host, and a directory or file on it. */
typedef struct ListedFileSystem
{
    const char *path;
    dev_t device;
} ListedFileSystem;

/* A directory or link that a followed link leads to, or passes on its way. */
typedef struct SecondName
{
    const char *path;
    const char *link; /* pg_wal, or pg_tblspc/N */
} SecondName;

typedef struct Listing
{
    Arena *strings;
    ListedFile *files; /* ascending by strcmp of path, each path once */
    size_t count;
    ListedLink *links; /* likewise; without those whose target the source does not say */
    size_t link_count;
    uint64_t total_size;            /* of regular files */
    ListedFileSystem *file_systems; /* of the target: all that hold a part of it */
    size_t file_system_count;
    SecondName *seconds; /* second names of directories that are listed below a link, ascending by
                            path; one may be below another */
    size_t second_count;
    SecondName *passed; /* directories and links on the way of a followed link; on this machine */
    size_t passed_count;
} Listing;

/*
 * Both own what they list (listing_free, also after an error), and may run at the same time. Fails
 * on an unsafe path ("source" sends it), on a duplicate, on a file that is in no directory of the
 * listing (nor in a tablespace), on sizes that no disk holds, on two followed links to one
 * directory.
 */
MUST_CHECK bool listing_of_source(Source *source, const Version *version, Listing *listing,
                                  Error *error);
MUST_CHECK bool listing_of_target(const Target *target, Listing *listing, Error *error);
/*
 * A tablespace of the listing, which is a link, with nothing in it: it leads to no directory, or to
 * an empty one, as where its volume is not mounted. A server may have dropped the tablespace while
 * it was listed: then a second listing does not have it. NULL: there is none. (Rule C82.)
 */
const ListedLink *listing_missing_tablespace(const Listing *listing);

/* The source's listing must have what every data directory has, and the content of its tablespaces:
 * the target's would be removed. (Rule C84.) */
MUST_CHECK bool listing_check_complete(const Listing *listing, const Version *version,
                                       Error *error);
void listing_free(Listing *listing);
const ListedFile *listing_find(const Listing *listing, const char *path);
/* The target of the link at this path; NULL: it is not a link, or the source does not say. */
const char *listing_link_target(const Listing *listing, const char *path);

/* listing_find for a path that sorts after file, which is one of the listing's: the nearer it is,
 * the faster. */
const ListedFile *listing_find_behind(const Listing *listing, const ListedFile *file,
                                      const char *path);

/*
 * New tablespaces, which only the source has, may get a place in the target's directory: it is a
 * second name of theirs. To be called after tablespaces_map.
 */
void listing_add_new_places(const Listing *source, const char *target_directory, Listing *target);

/* The source has a tablespace at this location. To be asked before tablespaces_map. */
bool tablespace_is_listed(const Listing *source, const char *location);

/* Let the links of the source's listing point to the target's locations; links that the target has
 * already stay as they are. */
void tablespaces_map(const TablespaceMappings *mappings, Listing *source);

#endif
