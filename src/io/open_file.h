/*
 * Files that stay open: from piece to piece, and from writing to syncing.
 */
#ifndef IO_OPEN_FILE_H
#define IO_OPEN_FILE_H

#include "io/file.h"

/* ---- Files that were written ---- */

/*
 * Files that were written and wait for being synced.
 *
 * The kernel keeps a write-back error with the cached file, and reports it once. If the file is
 * closed, the kernel may drop it together with its error, or may report the error to another
 * process that syncs it: a sync by a new descriptor then succeeds although data is lost. A
 * descriptor that was open when the error happened always gets it. So descriptors are kept open
 * until the sync; where they become too many, a descriptor of the file system gets every error on
 * it since it was opened (Linux 5.8 and later).
 *
 * Nothing is kept with --no-sync.
 */
#define WRITTEN_KEPT_MAX 500 /* fewer where the limit of open files is below 756 */

typedef struct Written Written;

Written *written_create(void);

/* Before the first write to the file system that holds path. Each file system is watched once. */
MUST_CHECK bool written_watch(Written *written, const char *path, Error *error);

/* Does syncfs bring all of each file system that is watched to the disk? Else written_sync with
 * file_systems syncs no more than the files that are kept. (Rule I26.) */
bool written_syncs_whole(const Written *written);

/* In place of file_close, for a file that was written: takes fd over, which may be -1. Any thread.
 */
void written_keep(Written *written, int fd, const char *path);

/* Was every one kept? Else files have to be synced by their paths as well, for older kernels. */
bool written_all_kept(const Written *written);

/* Sync by the descriptors that are kept, in several threads; before that, where not all are, or
 * with file_systems, the file systems that are watched. Once: kept descriptors are closed. */
MUST_CHECK bool written_sync(Written *written, bool file_systems, int jobs, Error *error);

/* NULL: fine. */
void written_free(Written *written);

/* ---- The file that is open ---- */

/*
 * The file that is open: for work that comes piece by piece, where most pieces are of the same file
 * as the one before. Belongs to one thread.
 */
typedef struct OpenFile
{
    int fd;              /* -1: none is open */
    char *path;          /* of the last file that was asked for; NULL: none */
    const void *purpose; /* the caller's; NULL after each switch */
    Written *written;    /* takes each file instead of its being closed; NULL: they are closed */
} OpenFile;

typedef enum OpenMode
{
    OPEN_TO_READ,   /* fd is -1 where there is no such file */
    OPEN_TO_UPDATE, /* for reading and writing; it must be there */
    OPEN_TO_CREATE  /* the same; it is made where it is not there, and not truncated */
} OpenMode;

/* Nothing is open. written may be NULL. */
void open_file_init(OpenFile *file, Written *written);

/*
 * Have the file at path open. If another one is, that is closed first. *switched (NULL allowed): it
 * was not open before. After a failure none is open.
 */
MUST_CHECK bool open_file_switch(OpenFile *file, const char *path, OpenMode mode, bool *switched,
                                 Error *error);

/* Close it, if one is open. The next switch opens in any case. */
void open_file_close(OpenFile *file);

#endif
