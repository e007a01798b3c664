/*
 * The first three steps of a run: open the target, identify the pair, find where the two diverge.
 * And these steps by themselves, as a look at a pair that changes nothing on either side: for
 * --check, and for --rejoin before it stops the server.
 */
#ifndef REWIND_LOOK_H
#define REWIND_LOOK_H

#include "base/log.h"
#include "divergence/divergence.h"
#include "standby/standby_settings.h"
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

/* The place of the WAL with which replay in the rewound target begins. */
typedef enum ReplayedWal
{
    REPLAYED_WAL_UNKNOWN, /* not looked for */
    REPLAYED_WAL_OF_SOURCE,
    REPLAYED_WAL_OF_ARCHIVE,
    REPLAYED_WAL_NOT_NEEDED, /* nowhere, or no WAL tells what the target changed: a rewind starts
                                late and compares all blocks */
    REPLAYED_WAL_MISSING     /* nowhere, and there is no other way: a problem */
} ReplayedWal;

/* The values that the three steps found out, as far as they came. After its step a value does not
 * change. */
typedef struct Look
{
    /* Set by the caller. */
    const Options *options;   /* look_compare_instead sets --compare */
    Arena *arena;             /* holds strings and lists */
    Problems problems;        /* the caller may set `take` */
    double *patience_seconds; /* with locks: what is left of --wait-timeout for others that use the
                                 target; all waits of a run share it */
    bool locks;        /* a run: lock the target, finish or throw away what an interrupted rewind
                          left, and keep servers out. Otherwise the target's server may run, since it
                          is stopped before a rewind; WAL is fetched to memory, and only little is
                          read (WalStore) */
    bool only_certain; /* without locks: a restore command that gives nothing to a file in memory is
                          no failure, since it may give the file to a directory */

    /* Set by look_open. */
    RewindOutcome outcome; /* look_set_outcome: what this run knows that it has done */
    bool running;          /* without locks: the target's server runs */
    Interlock *interlock;  /* NULL: not locked */
    const char *scratch;   /* directory for WAL that is fetched for reading; NULL: none yet */
    int scratch_lock;      /* of a dry run's, else -1 */
    bool waited_for_lock;  /* another pg_rewind had the target before */
    bool resumed;          /* an interrupted rewind was finished first */
    bool pending;          /* one was found and left: there is nothing more to look at */

    /* Set by look_identify_target and look_identify_pair. */
    Clusters clusters;
    SourceState source; /* as it is now; for a directory with the end of its WAL */
    WalStore *target_wal;
    SourceWal *source_wal;       /* NULL: the source is not known yet */
    const char *restore_command; /* that fetches missing WAL of the target; NULL: none */
    bool done; /* an interrupted rewind was finished, and the source cannot be asked whether it has
                  diverged since: there is nothing more to do */
    bool may_be_looked_at; /* one cluster, neither is running, and files may be read: other problems
                              of the target can be looked for */

    /* Set by look_for_divergence. */
    Divergence divergence;

    /* Set by look_at_pair. */
    bool found;   /* the divergence was looked for to its end, or is not needed */
    bool rewinds; /* as far as is known, a rewind of this target has something to do */
    ReplayedWal replayed;
    uint64_t replayed_segment;
    bool lacks_space; /* it failed: there is no room for the source's WAL */
} Look;

/*
 * Find the target; with locks also lock it, finish what an earlier run has committed, throw away
 * what it only prepared. clusters.target gets its directory and mode only (target_open).
 * look_release in any case.
 */
MUST_CHECK bool look_open(Look *look, Error *error);

/* Set the end that the run would have now; also that of a run that finds no memory. */
void look_set_outcome(Look *look, RewindOutcome outcome);

/*
 * The end of a run that has failed, and that knows of itself only `known`. If that is
 * REWIND_UNTOUCHED the disk is asked: an earlier run may have left the target half rewound.
 * suspected: a process of this command did not come to its end.
 */
RewindOutcome look_outcome_on_disk(const char *target, RewindOutcome known, bool suspected);

/* True if another pg_rewind works on the target: it may commit at any moment. For a run that has
 * failed before it tried to lock the target. */
bool look_is_in_use(const char *target);

/* Lock the target against other pg_rewinds. Another one that works there is waited for; if it still
 * does after *patience_seconds, *interlock is NULL. What was waited is taken from
 * *patience_seconds. *waited is set also after a failure. */
MUST_CHECK bool look_wait_for_lock(const char *target, double *patience_seconds,
                                   Interlock **interlock, bool *waited, Error *error);

/* Identify the target: wait for a server that is just stopping, read its pg_control, find its
 * configuration and its restore command. */
MUST_CHECK bool look_identify_target(Look *look, Error *error);

/*
 * Then identify the source: read its pg_control, check all prerequisites, claim the target's pid
 * file, ask where the source stands, read both histories. What is known after a failure is set.
 * Problems that let the next steps work are only added to look->problems.
 */
MUST_CHECK bool look_identify_pair(Look *look, Error *error);

/* What the search for the divergence, and for the target's changes, is given. */
DivergenceInput look_divergence_input(const Look *look);

/*
 * Find the divergence, unless --compare makes it needless, and check what matters to a target that
 * has diverged, or has not: hints that were not logged, wal_level.
 */
MUST_CHECK bool look_for_divergence(Look *look, Error *error);

/*
 * --rejoin, after an error because the target's WAL does not tell what it has changed: go on as
 * with
 * --compare (look->options is another one then), with a warning, if the histories show that the
 * target has diverged. False: the error stays, since no comparing can be right or no WAL is
 * missing, or an option asks for what only that WAL has.
 */
MUST_CHECK bool look_compare_instead(Look *look, const Error *error);

/* For a target that has not diverged: set *has if the source has the WAL with which it goes on, or
 * the target can restore it, or nothing follows; else *segment is the one that is gone. */
MUST_CHECK bool look_for_next_wal(const Look *look, uint64_t *segment, bool *has, Error *error);

/*
 * After look_identify_target, without locks: look at the pair. A failure is what a rewind would
 * fail by, or would after the target's server was stopped, if that runs; or problems were found.
 * If the target runs, divergence is looked for only where the histories show it; !look->found also
 * where too much WAL would have to be read.
 */
MUST_CHECK bool look_at_pair(Look *look, Error *error);

/*
 * After look_at_pair, if look->rewinds: list the files of both sides, and look whether the
 * source may read those that a rewind fetches and that are no relations. Such files are added to
 * look->problems, with the topic "source_files". settings: what -R will write; NULL: not made yet,
 * so that it is made here. (prepare.c)
 */
MUST_CHECK bool look_at_files(Look *look, const StandbySettings *settings, Error *error);

/* Close the source, remove the scratch directory, release the lock. What cannot be removed is a
 * warning. The arena and divergence.scan stay. */
void look_release(Look *look);

#endif
