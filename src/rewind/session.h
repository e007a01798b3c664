/*
 * The session of one command with one target: what it owns, from the lock to the connection, until
 * session_close; and its first three steps, which a run takes, and a look at a pair (look.h). The
 * values that the steps find out are the caller's: SourceState, Divergence.
 */
#ifndef REWIND_SESSION_H
#define REWIND_SESSION_H

#include "base/advice.h"
#include "divergence/divergence.h"
#include "io/scratch.h"
#include "target/interlock.h"

/* The end of a run, for the exit status and the last line. */
typedef enum RewindOutcome
{
    REWIND_UNTOUCHED,      /* failed or nothing to do: the target is as it was */
    REWIND_BUSY,           /* failed: another pg_rewind has the target, and may be changing it */
    REWIND_UNCERTAIN,      /* failed: an earlier run may have left the target half rewound */
    REWIND_COMMITTED,      /* failed after the commit: running the same command again finishes it */
    REWIND_SET_UP_IN_PART, /* no rewind was needed; failed amid what -R or --drop-slots asks for */
    REWIND_NOT_JOINED, /* --rejoin: the rewind is done, but the server does not follow the source */
    REWIND_DONE
} RewindOutcome;

typedef struct Session
{
    /* Set by the caller. */
    const Options *options;   /* session_compare_instead sets --compare */
    Arena *arena;             /* holds strings and lists; stays when the session is closed */
    Problems problems;        /* the caller may set the list that gets them */
    double *patience_seconds; /* with locks: what is left of --wait-timeout for others that use the
                                 target; all waits of a run share it */
    bool locks; /* a run: lock the target, finish or throw away what an interrupted rewind
                   left, and keep servers out. Otherwise the target's server may run, since it
                   is stopped before a rewind; nothing is written into the target */

    /* Set by session_open. */
    RewindOutcome outcome; /* session_set_outcome: what this run knows that it has done */
    Interlock *interlock;  /* NULL: not locked */
    Scratch *scratch;      /* directory for WAL that is fetched for reading; of a run that is no dry
                              run below the target. NULL: not opened so far */
    bool running;          /* without locks: the target's server runs */
    bool waited_for_lock;  /* another pg_rewind had the target before */
    bool resumed;          /* an interrupted rewind was finished first */
    bool pending;          /* one was found and left: there is nothing more to look at */

    /* Set by session_identify_target and session_identify_pair. */
    Clusters clusters; /* with the connection to the source */
    WalStore *target_wal;
    SourceWal *source_wal;       /* NULL: the source is not known yet */
    const char *restore_command; /* that fetches missing WAL of the target; NULL: none */
    bool may_be_looked_at; /* one cluster, neither is running, and files may be read: other problems
                              of the target can be looked for */
} Session;

/*
 * Find the target; with locks also lock it, finish what an earlier run has committed, throw away
 * what it only prepared. clusters.target gets its directory and mode only (target_open).
 * session_close in any case.
 */
MUST_CHECK bool session_open(Session *session, Error *error);

/* Set the end that the run would have now; also that of a run that finds no memory. */
void session_set_outcome(Session *session, RewindOutcome outcome);

/*
 * The end of a run that has failed. A run that has done nothing asks the disk: an earlier one may
 * have left the target half rewound. If it has not even tried to lock the target, another pg_rewind
 * may be at work there, and commit at any moment. suspected: a process of this command did not come
 * to its end.
 */
RewindOutcome session_failed_outcome(const Session *session, const char *target, bool suspected);

/* Lock the target against other pg_rewinds. Another one that works there is waited for; if it still
 * does after *patience_seconds, *interlock is NULL. What was waited is taken from
 * *patience_seconds. *waited is set also after a failure. */
MUST_CHECK bool session_wait_for_lock(const char *target, double *patience_seconds,
                                      Interlock **interlock, bool *waited, Error *error);

/* Identify the target: wait for a server that is just stopping, read its pg_control, find its
 * configuration and its restore command. */
MUST_CHECK bool session_identify_target(Session *session, Error *error);

/*
 * Then identify the source: read its pg_control, check all prerequisites, claim the target's pid
 * file, ask where the source stands (*state; for a directory with the end of its WAL), read both
 * histories. What is known after a failure is set. Problems that let the next steps work are only
 * added to session->problems. *done: an interrupted rewind was finished, and the source cannot be
 * asked whether it has diverged since, so there is nothing more to do.
 */
MUST_CHECK bool session_identify_pair(Session *session, SourceState *state, bool *done,
                                      Error *error);

/* What the search for the divergence, and for the target's changes, is given. */
DivergenceInput session_divergence_input(const Session *session, const SourceState *source);

/*
 * Find the divergence, unless --compare makes it needless, and check what matters to a target that
 * has diverged, or has not: hints that were not logged, wal_level.
 */
MUST_CHECK bool session_find_divergence(Session *session, const SourceState *source,
                                        Divergence *divergence, Error *error);

/*
 * --rejoin, after an error because the target's WAL does not tell what it has changed: go on as
 * with --compare (session->options is another one then), with a warning, if the histories show that
 * the target has diverged. False: the error stays, since no comparing can be right or no WAL is
 * missing, or an option asks for what only that WAL has.
 */
MUST_CHECK bool session_compare_instead(Session *session, Divergence *divergence,
                                        const Error *error);

/* For a target that has not diverged, and whose WAL ends there: set *has if the source has the WAL
 * with which it goes on, or the target can restore it, or nothing follows; else *segment is the one
 * that is gone. */
MUST_CHECK bool session_find_next_wal(const Session *session, const SourceState *source, Lsn end,
                                      uint64_t *segment, bool *has, Error *error);

/* True if this error of a look only means that there is no place, or no room, for what it would
 * have to fetch. A source that is lost is an error. */
bool session_lacks_scratch(const Session *session, const Error *error);

/* Close the source, remove the scratch directory, release the lock. What cannot be removed is a
 * warning. The arena stays. */
void session_close(Session *session);

#endif
