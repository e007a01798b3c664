/*
 * Open, read, write, sync, rename, remove one file. What works on directories, processes or the
 * place of a file is beside it in src/io; no other folder changes files of a cluster.
 *
 * All paths are as given, relative ones to the working directory; messages name them as given
 * ("could not open file \"%s\": %m" and the like, the original's wording). EINTR is handled, short
 * reads and writes are continued.
 */
#ifndef IO_FILE_H
#define IO_FILE_H

#include "base/buffer.h"

#include <sys/stat.h>

#define PATH_SIZE 8192

/*
 * Open /dev/null in place of a closed stdin, stdout or stderr: else the next file that is opened
 * gets its number, and messages are written into it. Call it before anything is opened.
 */
MUST_CHECK bool file_open_standard(void);

/* Modes for new files and directories, from the permissions of the target (0600/0700 or 0640/0750).
 */
void file_set_modes(bool group_access);
mode_t file_mode(void);
mode_t directory_mode(void);

/* Open for reading; *fd is -1 on failure. A missing file is an error if found is NULL, else *found
 * is false. */
MUST_CHECK bool file_open_read(const char *path, int *fd, bool *found, Error *error);

/* Open an existing file for reading and writing. */
MUST_CHECK bool file_open_update(const char *path, int *fd, Error *error);

/* Fails as file_open_update would for want of permissions. Nothing is opened: on an overlayfs that
 * would copy the file. */
MUST_CHECK bool file_check_update(const char *path, Error *error);

typedef enum FileCreation
{
    CREATE_EMPTY,   /* a file that exists is truncated */
    CREATE_PRIVATE, /* likewise, with PRIVATE_MODE: a file that may be secret gets its mode when it
                       is whole */
    CREATE_NEW,     /* where others can make files, too: a file that exists is an error */
    CREATE_MISSING  /* a file that exists is opened as it is */
} FileCreation;

#define PRIVATE_MODE (S_IRUSR | S_IWUSR)

/* Create a file, and open it for writing and reading. A link there is an error: it may lead to a
 * file that is not ours. */
MUST_CHECK bool file_create(const char *path, FileCreation how, int *fd, Error *error);

/* Random bytes of the kernel. Before Linux 3.17 they come from /dev/urandom. */
MUST_CHECK bool file_random_bytes(void *bytes, size_t size, Error *error);

/* A file in memory, which is gone when fd is closed. Programs that we run can write it at path, of
 * FILE_MEMORY_PATH_SIZE bytes. Before Linux 3.17 it is a file without a name in /dev/shm or, where
 * that is missing, in /tmp. */
#define FILE_MEMORY_PATH_SIZE 64
MUST_CHECK bool file_in_memory(int *fd, char *path, Error *error);

/* Close; fd may be -1. Errors are ignored: a file that was written is synced before, where that
 * matters. */
void file_close(int fd);

/* In front of a local `int fd = -1`: the file is closed where its block ends, however it ends. */
#define AUTO_FD __attribute__((cleanup(file_close_local)))
void file_close_local(int *fd);

/*
 * Add to an error of writing this file which directory and file system it is about, where the error
 * is that there is no more space. Returns false.
 */
bool error_detail_space(const char *path, Error *error);

/* Read up to size bytes at offset; *length is less than size only at the end of the file. */
MUST_CHECK bool file_read_at(int fd, const char *path, void *bytes, size_t size, uint64_t offset,
                             size_t *length, Error *error);

/* Write all of it at offset. */
MUST_CHECK bool file_write_at(int fd, const char *path, const void *bytes, size_t size,
                              uint64_t offset, Error *error);

/*
 * Have what is written to the file bypass the system's cache, or no longer. Offset, size and
 * address must then be multiples of FILE_DIRECT_UNIT, or the write fails with EINVAL, as it does
 * where the device wants more. False: the file system cannot.
 */
#define FILE_DIRECT_UNIT 4096u
bool file_set_direct(int fd, bool direct);

/*
 * Copy [from_offset, + size) of one file to to_offset of another. Where both lie on one file system
 * that can, the blocks are shared or copied by the kernel; else they are read and written. *copied
 * is less than size only where the first file ends. A signal that asks pg_rewind to stop ends it.
 */
typedef struct FileRange
{
    int fd;
    const char *path;
    uint64_t offset;
} FileRange;
MUST_CHECK bool file_copy_range(const FileRange *from, const FileRange *to, uint64_t size,
                                uint64_t *copied, Error *error);

/*
 * Have an empty file share all blocks of another, until either is written to: *cloned. False where
 * the file system cannot, or they lie on two.
 */
void file_clone(int from, int to, bool *cloned);

/* Read a whole file of at most limit bytes (a larger one is an error) and append it to buffer. */
MUST_CHECK bool file_read_all(const char *path, size_t limit, Buffer *buffer, bool *found,
                              Error *error);

MUST_CHECK bool file_truncate(int fd, const char *path, uint64_t size, Error *error);

/* Reserve disk space for [0, size) and extend the file to size; file systems without fallocate:
 * ftruncate. */
MUST_CHECK bool file_reserve(int fd, const char *path, uint64_t size, Error *error);

/* True if the file has the owner and the group of files that this user makes, and no ACL: then its
 * mode means the same for one that replaces it. With an ACL the group's bits are its mask. */
bool file_is_like_new(const char *path, const struct stat *status);

MUST_CHECK bool file_set_mode(int fd, const char *path, mode_t mode, Error *error);
MUST_CHECK bool file_stat(const char *path, struct stat *status, bool *found,
                          Error *error); /* follows links */
MUST_CHECK bool file_lstat(const char *path, struct stat *status, bool *found, Error *error);

/* True if there is something of that name in the directory, be it a link; false also where that
 * cannot be found out. */
bool file_exists(const char *directory, const char *name);

/* Removing something that is not there succeeds. */
MUST_CHECK bool file_remove(const char *path, Error *error);
MUST_CHECK bool file_remove_directory(const char *path, Error *error);
/* The same for a name in an open directory; path is for messages. */
MUST_CHECK bool file_remove_at(int directory_fd, const char *name, const char *path,
                               bool is_directory, Error *error);

MUST_CHECK bool file_rename(const char *from, const char *to, Error *error);

/*
 * Rename a file. Where that is refused because the directories are apart (EXDEV), which no look can
 * rule out, copy it instead: to FILE_COPY_NAME beside `to`, which is synced and renamed, and whose
 * directory is synced; then `from` is removed. At every instant `to` is the old file or the new
 * one, and as long as `from` is there the move may be repeated. One at a time in a directory. A
 * kill, or a copy that fails, can leave FILE_COPY_NAME.
 */
#define FILE_COPY_NAME "pg_rewind.work.copy"
MUST_CHECK bool file_move(const char *from, const char *to, Error *error);
/* A hard link; *exists: there is a file at `to`. */
MUST_CHECK bool file_link(const char *from, const char *to, bool *exists, Error *error);

/* Make a directory with directory_mode(), unless it exists. */
MUST_CHECK bool file_make_directory(const char *path, Error *error);
/* Also its missing parents. */
MUST_CHECK bool file_make_directories(const char *path, Error *error);

/* A symbolic link at path pointing to link_target; replaced if it points elsewhere. */
MUST_CHECK bool file_make_link(const char *link_target, const char *path, Error *error);
/* Append the target of a link to the buffer. */
MUST_CHECK bool file_read_link(const char *path, Buffer *buffer, Error *error);

/* --no-sync: file_sync and its like do nothing. */
void file_set_sync(bool on);
bool file_sync_enabled(void);
MUST_CHECK bool file_sync(int fd, const char *path, Error *error);
MUST_CHECK bool file_sync_path(const char *path,
                               Error *error); /* a file or a directory; missing: fine */
/* syncfs of the file system that fd is on: an error if anything on it could not be written since fd
 * was opened (before Linux 5.8: only if that happens now). */
MUST_CHECK bool file_sync_file_system(int fd, const char *path, Error *error);

/*
 * Let the kernel begin to write [offset, + size) to the disk, without waiting, so that a later sync
 * has less to do. This proves nothing, and takes no error away from the sync.
 */
void file_begin_writeback(int fd, uint64_t offset, uint64_t size);

/* How large the limit of this process allows a file to be (ulimit -f). */
uint64_t file_size_max(void);

/* The space of a file system that an ordinary user may still use. */
typedef struct FileSpace
{
    uint64_t free_bytes;
    uint64_t free_files;  /* UINT64_MAX where there is no limit */
    uint64_t unit;        /* of allocation, in bytes */
    uint64_t kind;        /* of file system, as statfs(2) numbers them */
    bool copies_on_write; /* a block that is overwritten gets a new place */
    bool syncs_whole;     /* syncfs is known to bring all of it to the disk */
} FileSpace;

/* The space of the file system that holds path; a quota of the directory's project limits it. */
MUST_CHECK bool file_space(const char *path, FileSpace *space, Error *error);

/* flock(LOCK_EX | LOCK_NB): *locked is false when another holds it. Unsupported (NFS): *supported
 * false. */
MUST_CHECK bool file_lock(int fd, const char *path, bool *locked, bool *supported, Error *error);

/* ---- Durably: after a power cut there is either the old file or the new one, whole ---- */

/* Write bytes to a new file and sync it, not its name. What has that name is removed before. */
MUST_CHECK bool durable_write(const char *path, const void *bytes, size_t size, mode_t mode,
                              Error *error);

/*
 * Write bytes to temporary_path (same file system as path, as a rule), sync it, move it over path,
 * sync the directory of path. If it fails before that, path is unchanged.
 */
MUST_CHECK bool durable_replace(const char *path, const char *temporary_path, const void *bytes,
                                size_t size, Error *error);

/* Move and sync the directories of both. */
MUST_CHECK bool durable_rename(const char *from, const char *to, Error *error);

/* Remove and sync the directory. */
MUST_CHECK bool durable_remove(const char *path, Error *error);

/* Sync the directory that holds path. */
MUST_CHECK bool durable_sync_parent(const char *path, Error *error);

#endif
