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

/* Largest size in bytes of one file, and of all files of a listing together. Sums of such sizes do
 * not wrap. */
#define LISTED_SIZE_MAX (((uint64_t) 1 << 58) - 1)

typedef struct ListedFile
{
    const char *path;
    uint64_t size : 58; /* bytes of a regular file; 0 for other types */
    FileType type : 2;
    bool unreadable : 1; /* on the target a directory that cannot be listed; on the source a name
                            that is not valid in the server's encoding, so that no query can ask for
                            the file */
    bool hash_index : 1; /* the target's first segment of a hash index, before 10: its changes are
                            not WAL-logged */
    bool tried : 1;      /* see VisitedFile.tried */
    bool mounted : 1; /* a regular file or directory of the target that no server needs, and that is
                         a mount, or part of another file system */
} ListedFile;

/* A cluster may have millions of files. */
_Static_assert(sizeof(ListedFile) <= 16, "memory for each file");

/* A file system of this host, and a directory or file on it. */
typedef struct ListedFileSystem
{
    const char *path;
    dev_t device;
} ListedFileSystem;

/* A path inside the data directory and the followed link that gives it a second name, or passes
 * through it. */
typedef struct SecondName
{
    const char *path;
    const char *link; /* the followed link: pg_wal, or pg_tblspc/N */
} SecondName;

typedef struct Listing
{
    Arena *strings;    /* owns all strings; listing_free destroys it */
    ListedFile *files; /* ascending by strcmp of path, each path once */
    size_t count;
    /* ascending by path; without links whose target the source does not report */
    ListedLink *links;
    size_t link_count;
    uint64_t total_size;            /* bytes of all regular files */
    ListedFileSystem *file_systems; /* every file system of this host that holds a part of the
                                       data directory; none for a server's listing */
    size_t file_system_count;
    SecondName *seconds; /* second names of directories that are listed below a link, ascending by
                            path; one may be below another. None for a source server */
    size_t second_count;
    SecondName *passed; /* directories and links that a followed link passes through before its end;
                           only for a data directory on this machine */
    size_t passed_count;
} Listing;

/*
 * List the files of the source or the target. The caller frees the listing with listing_free, even
 * after an error. Both functions may run at the same time. Each fails on a path that is not
 * path_is_safe, on a duplicate, on a file whose directory is neither listed nor a tablespace's
 * link, on a total above LISTED_SIZE_MAX, and on two followed links that lead to one directory.
 */
MUST_CHECK bool listing_of_source(Source *source, const Version *version, Listing *listing,
                                  Error *error);
MUST_CHECK bool listing_of_target(const Target *target, Listing *listing, Error *error);
/*
 * The first tablespace link without the server's own directory below it, which every server makes
 * there: the location's volume may not be mounted. NULL if every tablespace has it. A server may
 * have dropped the tablespace during the listing: then a second listing lacks the link. (Rule C82.)
 */
const ListedLink *listing_missing_tablespace(const Listing *listing, const VersionDirectory *own);

/* Fails if the source's listing lacks a file that every data directory has, or a tablespace's
 * directory, whose name is own: a plan from such a listing would remove the target's files. (Rule
 * C84.) */
MUST_CHECK bool listing_check_complete(const Listing *listing, const Version *version,
                                       const VersionDirectory *own, Error *error);

/* Check that a source directory has a database in base, and transaction states: base or pg_xact may
 * be a separate volume that is not mounted. The server of a running source has both. */
MUST_CHECK bool listing_check_mounted(const Listing *listing, const Version *version, Error *error);

/*
 * Syncing. listing_to_sync lists only what the two functions after it need, the files and file
 * systems of a data directory on this machine, in no order; the caller frees it as above.
 * listing_watch lets `written` watch each file system. (Rules I25, I26.)
 */
MUST_CHECK bool listing_to_sync(const char *directory, const Version *version, Listing *listing,
                                Error *error);
MUST_CHECK bool listing_watch(const Listing *listing, const char *directory, Written *written,
                              Error *error);

/* Files of the target that are on the disk or in the kernel's cache, and that no run writes again.
 */
typedef struct FoundFiles
{
    const char *directory;     /* the data directory */
    const Listing *listing;    /* files and directories below it, without those of `staged` */
    const char *const *staged; /* paths of the work directories and what is in them */
    size_t staged_count;
} FoundFiles;

/* Sync them: the file systems that `written` watches, or each of them by its path where the method
 * or a file system asks for it. Then the staged ones come last: an earlier run may have renamed
 * files out of the work directories, and a power cut must not find the old name gone where the new
 * one is not there (Rule I25). Of what this user cannot open nothing is the server's, and it is
 * passed over. A failure is noted in the target (unsynced.h). */
MUST_CHECK bool listing_sync(const FoundFiles *found, Written *written, SyncMethod method, int jobs,
                             Error *error);

/* Drop what the kernel holds of the target's files in memory: then they are read from the disk.
 * (Rule I27.) */
MUST_CHECK bool listing_drop_cached(const Target *target, Error *error);

void listing_free(Listing *listing);
/* The listed file with this path; NULL if the listing lacks the path. */
const ListedFile *listing_find(const Listing *listing, const char *path);
/* The target of the link at this path; NULL if the path is not a link, or the source does not
 * report where the link points. */
const char *listing_link_target(const Listing *listing, const char *path);

/* listing_find for a path that sorts after `file`, a file of the same listing. The search is faster
 * the nearer the two are. */
const ListedFile *listing_find_after(const Listing *listing, const ListedFile *file,
                                     const char *path);

/*
 * Note in the target's listing the locations of new tablespaces that lie inside the target's data
 * directory: each location is a second name of the tablespace's link, and files there are listed
 * below the link alone; not those in one of the server's own directories, which keep their names.
 * owner: the target. To be called after tablespaces_map.
 */
void listing_add_new_places(const Listing *source, const Target *owner, Listing *target);

/* True if the source has a tablespace at this location. To be called before tablespaces_map, which
 * replaces the source's locations. */
bool tablespace_is_listed(const Listing *source, const char *location);

/* Let the links of the source's listing point to the target's locations; links that the target has
 * already stay as they are. */
void tablespaces_map(const TablespaceMappings *mappings, Listing *source);

#endif
