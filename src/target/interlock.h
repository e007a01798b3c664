/*
 * Keep a second pg_rewind and a server out of the target while we work.
 *
 * Between two pg_rewinds: flock on the data directory (on PG_VERSION where directories cannot be
 * locked). Against servers: postmaster.pid names our process as a standalone backend would. What
 * each stops, and what gets past it: design/interruption.md, "Keeping others out".
 */
#ifndef TARGET_INTERLOCK_H
#define TARGET_INTERLOCK_H

#include "base/error.h"

#include <sys/types.h>

typedef struct Interlock Interlock;

/* Lock the data directory against other pg_rewinds; nothing is written. If another pg_rewind has
 * the lock, *interlock is NULL and the result is true. */
MUST_CHECK bool interlock_acquire(const char *directory, Interlock **interlock, Error *error);

/*
 * Create our postmaster.pid (seven lines, negative pid, true start time) as a link to a complete
 * file. A live server is an error, and so is an empty file, since a server may be starting. A stale
 * file is replaced: its process is dead, or it is a pg_rewind's (negative pid, or our text), which
 * the holder of the lock may replace. A crashed server's file is kept under another name beside
 * postmaster.pid until the rewind commits (the new pg_control). May be called again: it creates the
 * file again if somebody removed it. (Rule I10.)
 */
MUST_CHECK bool interlock_claim_pid_file(Interlock *interlock, Error *error);

/* Tidy up what a killed run left beside postmaster.pid. A crashed server's file that the killed run
 * kept goes back to postmaster.pid, unless a server was started since then. */
MUST_CHECK bool interlock_remove_leftover(const Interlock *interlock, Error *error);

/* True if this run has created postmaster.pid, even if the file was removed or replaced since. */
bool interlock_has_pid_file(const Interlock *interlock);

/* Set *ours if postmaster.pid is still the file that this run created (same inode and content). */
MUST_CHECK bool interlock_still_ours(Interlock *interlock, bool *ours, Error *error);

/* Mark the data directory as half rewound: replace postmaster.pid, by rename, by PID_FILE_NOBODY
 * and a text that every server prints when it refuses to start: run the same command again. Called
 * after the commit, so that the text stays if the run is killed or fails before its end. */
MUST_CHECK bool interlock_show_interrupted(Interlock *interlock, Error *error);

/* Undo interlock_show_interrupted before the new pg_control is installed: postmaster.pid names this
 * process again, by the negative of its pid. By rename, so the file is never missing. */
MUST_CHECK bool interlock_restore_pid_file(Interlock *interlock, Error *error);

/* End the interlock: remove postmaster.pid if it is ours and names this process (the text of an
 * interrupted run stays), or, before the commit, replace it by the file that a crashed server had
 * left there. Release the lock, free the memory. NULL is allowed. Errors are logged as warnings. */
void interlock_release(Interlock *interlock);

/*
 * Clean up after `pid`, a child process that exited without having changed anything: remove its
 * postmaster.pid and the files of the claim beside it. Does nothing if another pg_rewind works in
 * the directory now, or if postmaster.pid is not the child's. Errors are not reported: the child
 * has reported why it failed, and the next run cleans up as well.
 */
void interlock_release_for(const char *directory, pid_t pid);

#endif
