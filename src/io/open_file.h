/* Files that stay open: the file of the current piece of work, and files from writing to syncing.
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

/* Watch the file system that holds path for write errors. Call it before the first write there;
 * each file system is watched once. */
MUST_CHECK bool written_watch(Written *written, const char *path, Error *error);

/* True if syncfs writes everything on each watched file system to the disk, or reports an error. If
 * false, written_sync, even with file_systems, guarantees only the files that are kept. (Rule I26.)
 */
bool written_syncs_whole(const Written *written);

/* Hand over the descriptor of a file that was written, instead of closing it. fd may be -1. Any
 * thread may call this. */
void written_keep(Written *written, int fd, const char *path);

/* True if every descriptor was kept. If not, on older kernels the files must also be synced by
 * their paths. */
bool written_all_kept(const Written *written);

/* Sync the watched file systems. May be called at any time. */
MUST_CHECK bool written_sync_file_systems(Written *written, Error *error);

/* Sync the kept descriptors, in several threads, and close them. Before that, sync the watched file
 * systems if file_systems is set or if not all descriptors were kept. May be called once. */
MUST_CHECK bool written_sync(Written *written, bool file_systems, int jobs, Error *error);

/* Close what is still open, and free. NULL is allowed. */
void written_free(Written *written);

/* ---- The file that is open ---- */

/* A cache of one open file, for work in pieces, most of which are of the same file as the piece
 * before. Belongs to one thread. */
typedef struct OpenFile
{
    int fd;              /* -1: none is open */
    char *path;          /* path of the file that was asked for last; NULL: none */
    const void *purpose; /* a mark of the caller's; NULL after each open_file_switch */
    Written *written;    /* gets each descriptor instead of its being closed; NULL: descriptors are
                            closed */
} OpenFile;

typedef enum OpenMode
{
    OPEN_TO_READ,   /* for reading; fd is -1 if the file does not exist */
    OPEN_TO_UPDATE, /* for reading and writing; a missing file is an error */
    OPEN_TO_CREATE  /* for reading and writing; a missing file is created, an existing one is not
                       truncated */
} OpenMode;

/* Initialize with no file open. written may be NULL. */
void open_file_init(OpenFile *file, Written *written);

/* Make the file at path the open one; another open file is closed first. A file that is open under
 * this path stays open in its mode. *switched, which may be NULL: it was not open before. After a
 * failure no file is open. */
MUST_CHECK bool open_file_switch(OpenFile *file, const char *path, OpenMode mode, bool *switched,
                                 Error *error);

/* Close the open file, if any, so that the next open_file_switch opens its file in any case. */
void open_file_close(OpenFile *file);

#endif
