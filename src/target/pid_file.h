/*
 * postmaster.pid: what it contains, and whether the process that it names, or another one that
 * works in the data directory, is a server there.
 */
#ifndef TARGET_PID_FILE_H
#define TARGET_PID_FILE_H

#include "base/buffer.h"

#include <time.h>

#define PID_FILE "postmaster.pid"
/* The text of a pg_rewind's postmaster.pid, while that file is being made. */
#define PID_FILE_TEMPORARY "postmaster.pid.pg_rewind"
/*
 * Begins the file of an interrupted rewind: the pid of no process, with which every server refuses
 * to start (design/interruption.md, "A server, from the commit to the end").
 */
#define PID_FILE_NOBODY "-2147483648"

/* Most bytes of postmaster.pid that are read; a larger file is an error. */
#define PID_FILE_SIZE_MAX (64 * 1024)

/* The lines of postmaster.pid (utils/pidfile.h) as text; a line that is missing is empty. */
typedef struct PidFileServer
{
    char pid[64];
    char directory[4096], start_time[32], port[16], socket_directory[1024], listen_address[256];
    char shmem_key[64];
    char status[16]; /* the server's state: a word (PID_FILE_STANDBY and so on), then blanks; 10 and
                        later */
} PidFileServer;

/* Read postmaster.pid of the directory. False if the file cannot be read; then all lines are empty.
 */
bool pid_file_read(const char *directory, PidFileServer *server);
/* Set *server from the text of a postmaster.pid. */
void pid_file_parse(const Buffer *text, PidFileServer *server);

/* True if both files name one server process: pid, directory, start time and shared memory key are
 * equal. */
bool pid_file_same_server(const PidFileServer *one, const PidFileServer *other);

/* True if line 8 of postmaster.pid (10 and later) has this status: the server is stopping; it is a
 * standby that takes no connections (hot_standby = off); it is starting and takes none yet. */
bool pid_file_has_status(const char *directory, const char *status);
#define PID_FILE_STOPPING "stopping" /* PM_STATUS_STOPPING in utils/pidfile.h */
#define PID_FILE_STANDBY "standby"   /* PM_STATUS_STANDBY */
#define PID_FILE_STARTING "starting" /* PM_STATUS_STARTING */

/*
 * Look for the server that postmaster.pid in this directory names. *pid: a live process that may be
 * a server of the directory; 0: none. *found, which may be NULL: the file exists.
 *
 * Not taken for a server: this process and its parent; a process of another user than the
 * directory's owner; a process that began after the file was written and works elsewhere; a process
 * that has ended and was not waited for. A negative pid counts only if the process may be a
 * single-user backend; and a file that a pg_rewind was making (pid_file_is_half_made). Fails on
 * another empty file and on a first line that is not a number: a server may be starting.
 */
MUST_CHECK bool pid_file_find_server(const char *directory, bool *found, long *pid, Error *error);

/* Wait at most that long until pid_file_find_server finds a server; otherwise *pid is 0, which is
 * no error. An empty file is no error here either, but waited for: a server that starts has created
 * the file, and has not written its pid yet. */
MUST_CHECK bool pid_file_wait_for_server(const char *directory, double seconds, long *pid,
                                         Error *error);

/* The pid of a live pg_rewind that keeps servers out of this directory by its postmaster.pid; 0:
 * none is known. Neither a dry run nor a rewind that has not asked the source yet has such a file.
 */
long pid_file_find_rewind(const char *directory);

/* True if postmaster.pid exists and is empty: a server that starts has not written its pid yet. */
bool pid_file_is_empty(const char *directory);

/* True if postmaster.pid exists and is empty, and PID_FILE_TEMPORARY is beside it: a pg_rewind that
 * could not link its file was killed before it wrote into it, or is just about to (Rule I74). */
bool pid_file_is_half_made(const char *directory);

/* Make the error of an empty postmaster.pid. Returns false. */
bool error_empty_pid_file(const char *directory, Error *error);

/*
 * True if a server that ran in this very directory has left postmaster.pid: the file was created
 * when that server started. False without the file; in a copy of a directory, including one at the
 * same path, since a copied file is younger; and where the file system does not store when a file
 * was created.
 */
bool pid_file_is_original(const char *directory);

/* The start time of this process in seconds since 1970, as a server writes its own into
 * postmaster.pid; 0: not known. */
time_t pid_file_own_start(void);

/* True if the process's working directory is `directory`: a server works in its data directory.
 * False for another user's process, which cannot be inspected. */
bool process_works_in(long pid, const char *directory);

/*
 * True if the container, whose process 1 this one sees, probably ends with the process: it is
 * process 1, or process 1 has started it and is no manager of services. tini, a shell and other
 * programs that start an only service exit with it. by_pg_ctl: pg_ctl has started the process.
 */
bool process_ends_container(long pid, bool by_pg_ctl);

/* Add to an error about a live process that postmaster.pid names, and that does not work in the
 * directory (process_works_in), what is known of the process, and as a hint what to do. The hint
 * advises to remove the file only where the process certainly works elsewhere. Returns false. */
bool error_hint_process(long pid, const char *directory, Error *error);

/* Find a process of a server (by its program's name) that works in this directory, whatever
 * postmaster.pid says: a busy process does not notice at once that its postmaster has died, and
 * continues to write. *pid is 0 if no process does. */
MUST_CHECK bool server_process_find(const char *directory, long *pid, Error *error);

/*
 * Find a file of this directory that a process has open for writing, although server_process_find
 * sees none: the server runs in another container. *path is its path. A primary has a
 * segment of WAL or a shared catalog open, a standby the segment that it receives. False where
 * nothing is found, and on file systems that other machines may use.
 */
bool server_file_find(const char *directory, Buffer *path);

#endif
