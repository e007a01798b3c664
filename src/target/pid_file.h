/*
 * postmaster.pid: what it contains, and whether the process that it names, or another one that
 * works in the data directory, is a server there.
 */
#ifndef TARGET_PID_FILE_H
#define TARGET_PID_FILE_H

#include "base/buffer.h"

#include <time.h>

#define PID_FILE "postmaster.pid"
/*
 * Begins the file of an interrupted rewind: the pid of no process, with which every server refuses
 * to start (design/interruption.md, "A server, from the commit to the end").
 */
#define PID_FILE_NOBODY "-2147483648"

#define PID_FILE_SIZE_MAX (64 * 1024)

/* The lines of postmaster.pid (utils/pidfile.h); lines that are missing are empty. */
typedef struct PidFileServer
{
    char pid[64];
    char directory[4096], start_time[32], port[16], socket_directory[1024], listen_address[256];
    char shmem_key[64];
    char status[16]; /* a word, then blanks; 10 and later */
} PidFileServer;

/* Read the file. False if that is not possible; then all lines are empty. */
bool pid_file_read(const char *directory, PidFileServer *server);
void pid_file_parse(const Buffer *text, PidFileServer *server);

/* True if both files name one server process. */
bool pid_file_same_server(const PidFileServer *one, const PidFileServer *other);

/* True if line 8 of postmaster.pid says so (10 and later): the server is being stopped, or is a
 * standby that takes no connections (hot_standby = off). */
bool pid_file_has_status(const char *directory, const char *status);
#define PID_FILE_STOPPING "stopping" /* PM_STATUS_STOPPING in utils/pidfile.h */
#define PID_FILE_STANDBY "standby"   /* PM_STATUS_STANDBY */
#define PID_FILE_STARTING "starting" /* PM_STATUS_STARTING */

/*
 * Look for the server that postmaster.pid in this directory names. *pid: a live process that may be
 * a server here; 0: none. A server is neither this process nor its parent, nor another user's than
 * the directory's owner, nor one that began after the file was written and works elsewhere, nor one
 * that has ended and was not waited for; with a negative pid only one that may be a single-user
 * backend. *found, which may be NULL: the file exists. Fails on an empty file and on a first line
 * that is not a number: a server may be starting.
 */
MUST_CHECK bool pid_file_find_server(const char *directory, bool *found, long *pid, Error *error);

/* Wait that long until there is such a server. One that has not written its number yet is starting.
 */
MUST_CHECK bool pid_file_wait_for_server(const char *directory, double seconds, long *pid,
                                         Error *error);

/* The live process of a pg_rewind that keeps servers out of this directory by its postmaster.pid;
 * 0: none is known. A dry run keeps none out, and a rewind that has not looked at the source yet.
 */
long pid_file_find_rewind(const char *directory);

/* True if the file exists and is empty: a server that starts has not written its number yet. */
bool pid_file_is_empty(const char *directory);

/*
 * True if a server that ran in this very directory has left postmaster.pid. False without the file,
 * and in a copy that took the file along, also one at the same path: a copied file was not made
 * when that server started. False also where the file system does not store when a file was made.
 */
bool pid_file_is_own(const char *directory);

/* When this process began, as a server writes it into the file. 0: not known. */
time_t pid_file_own_start(void);

/*
 * True if that is the process's working directory. A server's is its data directory. False also for
 * another user's process, which cannot be inspected.
 */
bool process_works_in(long pid, const char *directory);

/*
 * Add to an error about a live process that postmaster.pid names, and for which process_works_in is
 * false, what is known of it and what to do. To remove the file is only advised where the process
 * is certain to work elsewhere. False.
 */
bool error_hint_process(long pid, const char *directory, Error *error);

/*
 * Find a process of a server that works in this directory, whatever postmaster.pid says: a busy one
 * does not notice at once that its postmaster has died, and continues to write. *pid 0: none.
 */
MUST_CHECK bool server_process_find(const char *directory, long *pid, Error *error);

#endif
