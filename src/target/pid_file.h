/*
 * Is there a server in a data directory? What postmaster.pid says, and what the processes that it
 * names, or that work there, are.
 */
#ifndef TARGET_PID_FILE_H
#define TARGET_PID_FILE_H

#include "base/buffer.h"
#include "base/error.h"

#include <stdbool.h>
#include <time.h>

#define PID_FILE "postmaster.pid"
/*
 * Begins the file of an interrupted rewind: the pid of no process. Its opposite does not exist in
 * 32 bits, so every server refuses to start ("bogus data in lock file"), and pg_ctl, pg_autoctl,
 * Patroni and others find no process of that number and log nothing about it.
 */
#define PID_FILE_NOBODY "-2147483648"

#define PID_FILE_SIZE_MAX (64 * 1024)

/*
 * Does postmaster.pid in this directory name a live server? *found: is there such a file. *running:
 * a live process that may be a server here: neither this one nor its parent, nor another user's
 * than the directory's owner, nor one that began after the file was written and works elsewhere,
 * nor one that has ended and was not waited for;
 * with a negative pid only when it may be a single-user backend. *pid without the sign, 0 when
 * there is none. Fails on an empty file and on a first line that is no number: a server may be
 * starting.
 */
MUST_CHECK bool pid_file_find_server(const char *directory, bool *found, bool *running, long *pid,
                                     Error *error);

/* What postmaster.pid says of its server; lines that are missing are empty. */
typedef struct PidFileServer
{
    char pid[32], start_time[32], port[16], shmem_key[64];
    char status[16]; /* a word, then blanks; 10 and later */
    char directory[1024], socket_directory[1024], listen_address[256];
} PidFileServer;

/* False: there is no such file, or it cannot be read; then all is empty. */
bool pid_file_read(const char *directory, PidFileServer *server);
void pid_file_parse(const Buffer *text, PidFileServer *server);

/* Do both speak of one server process? */
bool pid_file_same_server(const PidFileServer *one, const PidFileServer *other);

/* Does postmaster.pid say that the server is being stopped? (Line 8, 10 and later.) */
bool pid_file_is_stopping(const char *directory);

/* Does it say that the server is a standby that takes no connections (hot_standby = off)? */
bool pid_file_is_closed_standby(const char *directory);

/*
 * Is that the process's working directory? A server's is its data directory. False also of another
 * user's process, which cannot be asked.
 */
bool process_works_in(long pid, const char *directory);

/*
 * Add to an error about a live process that postmaster.pid names, and for which process_works_in is
 * false, what is known of it and what to do. To remove the file is only advised where the process
 * is certain to work elsewhere. False.
 */
bool error_hint_process(long pid, const char *directory, Error *error);

/*
 * A process of a server that works in this directory, whatever postmaster.pid says: one that is
 * busy does not notice at once that its postmaster has died, and goes on writing. *pid 0: none.
 */
MUST_CHECK bool server_process_find(const char *directory, long *pid, Error *error);

/*
 * Has a server left postmaster.pid that ran in this very directory? Not where there is none, nor in
 * a copy that took the file along, also one at the same path: a copied file was not made when that
 * server started. A file system that does not say when leaves it open: no.
 */
bool pid_file_is_own(const char *directory);

/* When this process began, as a server writes it there. 0: not known. */
time_t pid_file_own_start(void);

#endif
