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

/* Open /dev/null in place of a closed stdin, stdout or stderr: otherwise the next file that is
 * opened gets that descriptor, and messages are written into it. Call it before any file is opened.
 */
MUST_CHECK bool file_open_standard(void);

/* Modes for new files and directories, from the permissions of the target (0600/0700 or 0640/0750).
 * file_set_modes sets the umask, too. Before its first call files are private. */
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
    CREATE_PRIVATE, /* like CREATE_EMPTY, with PRIVATE_MODE: the caller sets the final mode of a
                       file that may be secret when it is complete */
    CREATE_NEW, /* a file that exists is an error: for directories in which other users can create
                   files */
    CREATE_MISSING /* a file that exists is opened as it is */
} FileCreation;

#define PRIVATE_MODE (S_IRUSR | S_IWUSR)

/* Create a file, and open it for writing and reading. A symbolic link at path is an error: it may
 * lead to a file that is not ours. */
MUST_CHECK bool file_create(const char *path, FileCreation how, int *fd, Error *error);

/* Random bytes of the kernel. Before Linux 3.17 they come from /dev/urandom. */
MUST_CHECK bool file_random_bytes(void *bytes, size_t size, Error *error);

/* Create a file in memory, which exists until fd is closed. Programs that this process runs can
 * write to it at path, of FILE_MEMORY_PATH_SIZE bytes. */
#define FILE_MEMORY_PATH_SIZE 64
MUST_CHECK bool file_in_memory(int *fd, char *path, Error *error);

/* Close fd, which may be -1. Errors are ignored: a file that must be safe was synced before. */
void file_close(int fd);

/* Put before a local `int fd = -1`: the file is closed when the block is left, in any way. */
#define AUTO_FD __attribute__((cleanup(file_close_local)))
void file_close_local(int *fd);

/* Read up to size bytes at offset; *length is less than size only at the end of the file. */
MUST_CHECK bool file_read_at(int fd, const char *path, void *bytes, size_t size, uint64_t offset,
                             size_t *length, Error *error);

/* Write all bytes at offset. */
MUST_CHECK bool file_write_at(int fd, const char *path, const void *bytes, size_t size,
                              uint64_t offset, Error *error);

/* Let writes to the file bypass the system's cache (O_DIRECT), or no longer. Offset, size and
 * address of a write must then be multiples of FILE_DIRECT_UNIT; otherwise, or if the device
 * demands more, the write fails with EINVAL. False if the file system cannot do that. */
#define FILE_DIRECT_UNIT 4096u
bool file_set_direct(int fd, bool direct);

/*
 * Copy size bytes from one file to another. If both lie on one file system that can share blocks or
 * copy them in the kernel, it does; otherwise they are read and written. *copied is less than size
 * only if the first file ends earlier. A signal that asks pg_rewind to stop ends the copying, as an
 * error.
 */
typedef struct FileRange
{
    int fd;
    const char *path;
    uint64_t offset;
} FileRange;
MUST_CHECK bool file_copy_range(const FileRange *from, const FileRange *to, uint64_t size,
                                uint64_t *copied, Error *error);

/* Let an empty file share all blocks of another one until either is written to. *cloned is false if
 * the file system cannot do that, or the files lie on two file systems. */
void file_clone(int from, int to, bool *cloned);

/* Read a whole file of at most limit bytes (a larger one is an error) and append it to buffer. A
 * missing file is an error if found is NULL, otherwise *found is false. */
MUST_CHECK bool file_read_all(const char *path, size_t limit, Buffer *buffer, bool *found,
                              Error *error);

MUST_CHECK bool file_truncate(int fd, const char *path, uint64_t size, Error *error);

/* Reserve disk space for [0, size) and extend the file to size; file systems without fallocate:
 * ftruncate. */
MUST_CHECK bool file_reserve(int fd, const char *path, uint64_t size, Error *error);

/* True if the file has the owner and the group that a new file of this user gets, and no ACL: then
 * its mode means the same for a file that replaces it. With an ACL the mode's group bits are the
 * ACL's mask. */
bool file_is_like_new(const char *path, const struct stat *status);

MUST_CHECK bool file_set_mode(int fd, const char *path, mode_t mode, Error *error);
/* Read a file's status; file_stat follows links. A missing file is an error if found is NULL,
 * otherwise *found is false. */
MUST_CHECK bool file_stat(const char *path, struct stat *status, bool *found, Error *error);
MUST_CHECK bool file_lstat(const char *path, struct stat *status, bool *found, Error *error);

/* True if the directory has an entry of this name, even a dangling link. False if not, and if the
 * look failed. */
bool file_exists(const char *directory, const char *name);

/* Remove a file or a directory; a missing one is no error. */
MUST_CHECK bool file_remove(const char *path, Error *error);
MUST_CHECK bool file_remove_directory(const char *path, Error *error);
/* Remove a name in an open directory; path is for messages only. */
MUST_CHECK bool file_remove_at(int directory_fd, const char *name, const char *path,
                               bool is_directory, Error *error);

MUST_CHECK bool file_rename(const char *from, const char *to, Error *error);

/*
 * Rename a file. If the kernel refuses that because the directories lie on different mounts
 * (EXDEV), which no check can foresee reliably, copy it instead: to FILE_COPY_NAME beside `to`; the
 * copy is synced and renamed to `to`, the directory is synced, then `from` is removed. At every
 * instant `to` is the old file or the new one, and the move may be repeated as long as `from`
 * exists. Only one move at a time may go into a directory. A kill, or a copy that fails, can leave
 * FILE_COPY_NAME.
 */
#define FILE_COPY_NAME "pg_rewind.work.copy"
MUST_CHECK bool file_move(const char *from, const char *to, Error *error);
/* Create a hard link `to`. If a file `to` exists, nothing is done, *exists is true, and so is the
 * result. */
MUST_CHECK bool file_link(const char *from, const char *to, bool *exists, Error *error);

/* Create a directory with directory_mode(), unless it exists. */
MUST_CHECK bool file_make_directory(const char *path, Error *error);
/* Create a directory and its missing parents. */
MUST_CHECK bool file_make_directories(const char *path, Error *error);

/* Create a symbolic link at path to link_target. A link that points elsewhere is replaced; any
 * other file at path is an error. */
MUST_CHECK bool file_make_link(const char *link_target, const char *path, Error *error);
/* Append the target of a link to the buffer. */
MUST_CHECK bool file_read_link(const char *path, Buffer *buffer, Error *error);

/* Switch syncing off for --no-sync: then file_sync, file_sync_path and file_sync_file_system do
 * nothing. */
void file_set_sync(bool on);
bool file_sync_enabled(void);
MUST_CHECK bool file_sync(int fd, const char *path, Error *error);
/* Sync a file or a directory by its path; a missing one is no error. file_sync_readable also passes
 * over what this user may not open. */
MUST_CHECK bool file_sync_path(const char *path, Error *error);
MUST_CHECK bool file_sync_readable(const char *path, Error *error);
/* Call syncfs for the file system that fd is on. An error if anything on it could not be written
 * since fd was opened (before Linux 5.8: only if that happens now). */
MUST_CHECK bool file_sync_file_system(int fd, const char *path, Error *error);

/* True if a sync by any thread has failed since the last call: of several errors a caller gets one,
 * which may be that a file could not be opened. */
bool file_take_sync_failure(void);
/* The same, without an effect on the next call. */
bool file_sync_has_failed(void);

/*
 * Let the kernel begin to write [offset, + size) to the disk, without waiting, so that a later sync
 * has less to do. This proves nothing, and takes no error away from the sync.
 */
void file_begin_writeback(int fd, uint64_t offset, uint64_t size);

/* The largest size of a file, in bytes, that this process may write (ulimit -f); INT64_MAX: no
 * limit. */
uint64_t file_size_max(void);

/* The space of a file system that an ordinary user may still use. */
typedef struct FileSpace
{
    uint64_t free_bytes;
    uint64_t free_files;  /* UINT64_MAX where there is no limit */
    uint64_t unit;        /* unit of allocation in bytes */
    uint64_t kind;        /* number of the kind of file system, from statfs(2) */
    bool copies_on_write; /* an overwritten block gets a new place on the disk */
    bool syncs_whole;     /* syncfs is known to write everything on the file system to the disk, and
                             to report each error of this */
} FileSpace;

/* Find the space of the file system that holds path; a quota of the directory's project limits it.
 */
MUST_CHECK bool file_space(const char *path, FileSpace *space, Error *error);

/*
 * Lock a file with flock(LOCK_EX | LOCK_NB). *locked is false if another process holds the lock;
 * *supported is false if the file system has no such locks (NFS).
 */
MUST_CHECK bool file_lock(int fd, const char *path, bool *locked, bool *supported, Error *error);

/* Drop what the kernel holds of the file in memory, unless it is still to be written: then the file
 * is read from the disk. What cannot be opened is passed over. */
void file_drop_cached(const char *path);

/*
 * True if any process of this machine has the file open for writing, also one in another container,
 * which /proc does not show: the kernel then refuses a lease (F_SETLEASE in fcntl(2)), which is
 * held for an instant only. False for a link, and where that cannot be found out, as for another
 * user's file. To be called on file systems of this machine (FileSpace.syncs_whole): NFS and SMB
 * refuse leases for other reasons, too.
 */
bool file_has_writer(const char *path);

/* ---- Durable changes: what has returned true survives a power cut, unless --no-sync ---- */

/* Write bytes to a new file and sync it; a file of that name is removed before. The name itself is
 * not synced: after a power cut it may be missing, until durable_sync_parent. */
MUST_CHECK bool durable_write(const char *path, const void *bytes, size_t size, mode_t mode,
                              Error *error);

/* Replace path by a file with these bytes: write them to temporary_path (as a rule on the same file
 * system), sync it, move it over path, sync the directory of path. After a power cut path is the
 * old file or the new one, complete. A failure before the move leaves path unchanged. */
MUST_CHECK bool durable_replace(const char *path, const char *temporary_path, const void *bytes,
                                size_t size, Error *error);

/* Move a file (file_move) and sync both directories. */
MUST_CHECK bool durable_rename(const char *from, const char *to, Error *error);

/* Remove a file and sync its directory. */
MUST_CHECK bool durable_remove(const char *path, Error *error);

/* Sync the directory that holds path. */
MUST_CHECK bool durable_sync_parent(const char *path, Error *error);

#endif
