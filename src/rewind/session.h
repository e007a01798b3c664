/*
 * The session of one command with one target: everything the command owns, from the lock to the
 * connection, until session_close. The functions are the first steps that a run and a look (look.h)
 * have in common: open, identify the target, identify the pair, find the divergence. What the steps
 * find out about source and divergence goes to the caller's SourceState and Divergence.
 */
#ifndef REWIND_SESSION_H
#define REWIND_SESSION_H

#include "base/advice.h"
#include "divergence/divergence.h"
#include "io/scratch.h"
#include "target/interlock.h"

/* Outcome of a run, for the exit status and the last line. */
typedef enum RewindOutcome
{
    REWIND_UNTOUCHED, /* failed, or no rewind was needed: the target is as it was */
    REWIND_BUSY,      /* failed: another pg_rewind holds the target's lock, and may be changing the
                         target */
    REWIND_UNCERTAIN, /* failed: an earlier run may have left the target half rewound */
    REWIND_COMMITTED, /* failed after the commit: running the same command again finishes it */
    REWIND_SET_UP_IN_PART, /* failed where a server may start on the target: no rewind was needed,
                              or an interrupted one was finished, and what -R or --drop-slots asks
                              for is not complete, or a file may be lost */
    REWIND_NOT_JOINED, /* --rejoin: the rewind is done, but the server does not follow the source */
    REWIND_DONE        /* the rewind is complete, and with --rejoin the server follows the source */
} RewindOutcome;

typedef struct Session
{
    /* Set by the caller. */
    const Options *options;   /* options of the run; session_identify_target and
                                 session_compare_instead may point this to a copy with --compare */
    Arena *arena;             /* holds strings and lists; session_close does not free it */
    Problems problems;        /* problems found; the caller may set the list that gets them,
                                 otherwise session_open sets one for problems_print */
    double *patience_seconds; /* with `locks`: seconds left of --wait-timeout for others that use
                                 the target, shared by all waits of a run */
    bool locks; /* true for a run: lock the target, finish or throw away what an interrupted rewind
                   left, and keep servers out. False for a look: nothing is written into the target,
                   and its server may run, since --rejoin or an operator stops it before a rewind */

    /* Set by session_open. */
    RewindOutcome outcome; /* outcome if the run failed now; see session_set_outcome */
    Interlock *interlock;  /* lock of the target; NULL: not locked */
    Scratch *scratch; /* directory for WAL that is fetched for reading: inside the target for a run
                         that is not a dry run. NULL before session_open */
    bool running;     /* the target's server runs; only without `locks` */
    bool server_started;  /* --rejoin, with `locks`: a step has failed since a server runs that
                             another program has started */
    bool waited_for_lock; /* another pg_rewind held the lock, which this run waited for */
    bool resumed;         /* an interrupted rewind was finished first */
    bool pending; /* a dry run or a look: an interrupted rewind was found and not finished; nothing
                     more can be looked at */

    /* Set by session_identify_target and session_identify_pair. */
    bool compares_unasked; /* blocks are compared because of the note in the target that a sync has
                              failed, and not by an option */
    Clusters clusters;     /* both clusters, with the connection to the source */
    WalStore *target_wal;
    SourceWal *source_wal;       /* source's WAL; NULL until the source is identified */
    const char *restore_command; /* command that fetches missing WAL of the target; NULL: none */
    bool may_be_looked_at; /* both sides are one cluster, neither is running, and files may be read:
                              further problems of the target can be looked for */
} Session;

/*
 * Find the target. With `locks`: lock it, finish what an earlier run has committed, throw away what
 * an earlier run only prepared. clusters.target gets its directory and mode only (target_open).
 * Call session_close in any case.
 */
MUST_CHECK bool session_open(Session *session, Error *error);

/* Set the outcome that a failure from now on has, including a failure for lack of memory, which
 * exits at once. */
void session_set_outcome(Session *session, RewindOutcome outcome);

/*
 * Outcome of a run that has failed. A run that has done nothing looks at the disk, since an earlier
 * run may have left the target half rewound. If this run has not even tried to lock the target,
 * another pg_rewind may be working there and commit at any moment. suspected: a process of this
 * command stopped before its end.
 */
RewindOutcome session_failed_outcome(const Session *session, const char *target, bool suspected);

/* Lock the target against other pg_rewinds. Waits for another pg_rewind that holds the lock, at
 * most *patience_seconds, from which the time waited is subtracted; *interlock is NULL if the lock
 * is still held then. *waited is set even after a failure. */
MUST_CHECK bool session_wait_for_lock(const char *target, double *patience_seconds,
                                      Interlock **interlock, bool *waited, Error *error);

/* Identify the target: wait for a server that is just stopping, read its pg_control, find its
 * configuration and its restore command. */
MUST_CHECK bool session_identify_target(Session *session, Error *error);

/*
 * Identify the source, after the target: read its pg_control, check all prerequisites, claim the
 * target's pid file, ask for the source's position (*state; for a directory, with the end of its
 * WAL), read both histories. What is known after a failure is set. Problems after which the next
 * steps still work are only added to session->problems. *done: an interrupted rewind was finished,
 * and the source cannot be asked whether the target has diverged from it again, so nothing more can
 * be done.
 */
MUST_CHECK bool session_identify_pair(Session *session, SourceState *state, bool *done,
                                      Error *error);

/* Make the error of a target that is to be made a standby, if the source is lost. Returns false. */
bool error_no_standby(Error *error);

/* True if this run has finished an interrupted rewind, and a file of the target may be lost, since a
 * sync has failed and the blocks were not compared after that. (Rule I27.) */
bool session_left_doubt(const Session *session);

/* True if a server may start on the target, and must not, after this run has finished an
 * interrupted rewind: session_left_doubt, or the target is to be a standby and is not one yet, so
 * that its server would open for writing on the source's timeline. (Rules I27, I40.) */
bool session_is_set_up_in_part(const Session *session);

/* Keep servers out of a target that is changed without a commit: claim its pid file, or find that
 * it is still ours. Fails if a server runs there, or has run since pg_control was read; with
 * --rejoin server_started is set for a server that runs. */
MUST_CHECK bool session_keep_servers_out(Session *session, Error *error);

/* Input of the searches for the divergence and for the target's changes. */
DivergenceInput session_divergence_input(const Session *session, const SourceState *source);

/*
 * Find the divergence; with --compare the search is skipped. Check what matters to a target that
 * has diverged (hint bits that were not logged) or that has not (wal_level). For --rejoin, may call
 * session_compare_instead.
 */
MUST_CHECK bool session_find_divergence(Session *session, const SourceState *source,
                                        Divergence *divergence, Error *error);

/*
 * For --rejoin, after an error because no WAL tells what the target has changed: switch to
 * --compare, with a warning, if the histories alone show that the target has diverged.
 * session->options then points to a copy. Returns false, so that the error stays, if comparing
 * cannot replace the WAL: no WAL is missing, or an option needs the target's WAL.
 */
MUST_CHECK bool session_compare_instead(Session *session, Divergence *divergence,
                                        const Error *error);

/* For a target that has not diverged, whose WAL ends at `end`: find out whether its server can get
 * the segment that follows. *has is true if nothing follows, if the source has the segment, or if
 * the target's restore command gives it. Otherwise a warning (source_wal) is added to `list`: the
 * segment is lost. */
MUST_CHECK bool session_advise_on_next_wal(const Session *session, const SourceState *source,
                                           Lsn end, AdviceList *list, bool *has, Error *error);

/* True if a look failed only because no scratch directory has room for what would have to be
 * fetched. False if the connection to the source was lost. */
bool session_lacks_scratch(const Session *session, const Error *error);

/* Close the source, remove the scratch directory, release the lock. Warns of what cannot be
 * removed. The arena stays. */
void session_close(Session *session);

#endif
