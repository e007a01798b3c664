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

/* Lock against other pg_rewinds. Another one has the lock: *interlock is NULL, and no error. Writes
 * nothing. */
MUST_CHECK bool interlock_acquire(const char *directory, Interlock **interlock, Error *error);

/*
 * Make postmaster.pid (seven lines, negative pid, true start time) by link of a complete file. A
 * stale file is replaced: its process is dead, or it is a pg_rewind's (negative pid, or our text),
 * which the holder of the lock may replace. A live server is an error. The file of a crashed server
 * is kept beside it until the commit. May be called again: makes the file again where it was
 * removed. (Rule I10.)
 */
MUST_CHECK bool interlock_claim_pid_file(Interlock *interlock, Error *error);

/* Tidy up what a killed run left beside postmaster.pid; what it has kept goes back, unless a server
 * came since. */
MUST_CHECK bool interlock_remove_leftover(const Interlock *interlock, Error *error);

/* True if this run has made postmaster.pid, whatever became of it since. */
bool interlock_has_pid_file(const Interlock *interlock);

/* *ours: postmaster.pid is still the one that we made (inode and content). */
MUST_CHECK bool interlock_still_ours(Interlock *interlock, bool *ours, Error *error);

/* After the commit: replace postmaster.pid by PID_FILE_NOBODY and a text that every server prints:
 * run the same command again. By rename. */
MUST_CHECK bool interlock_show_interrupted(Interlock *interlock, Error *error);

/* Back to the negative pid, by rename, before the new pg_control. */
MUST_CHECK bool interlock_restore_pid_file(Interlock *interlock, Error *error);

/*
 * Remove postmaster.pid if it is ours and names us (the text of an interrupted run stays); before
 * the commit put back what a crashed server had left there. Release the lock, free. NULL is
 * allowed. Errors are logged as warnings.
 */
void interlock_release(Interlock *interlock);

/*
 * Tidy up what this process, which has ended, left of a run that changed nothing: its
 * postmaster.pid, and what lies beside it. Nothing is done where another pg_rewind works now, or
 * the file is another one. Nothing is said of errors: the run has said why it failed, and the next
 * one tidies up as well.
 */
void interlock_release_for(const char *directory, pid_t pid);

#endif
