/*
 * Finds out whether the target's server follows the source, and waits until it does. Asks both
 * servers.
 */
#ifndef REJOIN_REJOIN_FOLLOWING_H
#define REJOIN_REJOIN_FOLLOWING_H

#include "divergence/lost_count.h"
#include "rejoin/rejoin_steps.h"
#include "target/server_control.h"
#include "target/target_server.h"
#include "standby/streaming.h"
#include "wal_store/held_wal.h"

/* Result of --rejoin for the report: the steps taken, and the state of the target's server at the
 * end. */
typedef struct RejoinResult
{
    RejoinFacts facts;
    bool asked_to_stop; /* the run has asked the server to stop */
    bool stopping;      /* the server is stopping when the command ends: until its sessions end, a
                           smart shutdown lets them commit */
    bool running;       /* the server runs when the command ends */
    Lsn awaited;        /* source's end of WAL when the server was started, which it must
                           replay; or LSN_INVALID */
    bool was_primary;   /* the target was a primary before the rewind */
    bool resumed;       /* an interrupted rewind was finished first */
    bool promoted;      /* the server was started, and has ended recovery */
    bool in_circle; /* the server was started, and the source, a standby, gets its WAL from it */
    bool held_back; /* the server was not started, since it would not follow the source */
    const char *stop_command;  /* command that stops the server, for advice; NULL if not known */
    const char *start_command; /* command that starts the server, for advice; NULL if not known */
    const char *failure;       /* fatal message in the server's log if it stopped after this run
                                  started it; NULL: the server runs, was not started, or its log
                                  does not tell */
    /* Set once the server follows the source: */
    Lsn replayed;
    SourceStandby standby; /* the standby's row of the source's pg_stat_replication; empty if
                              the role may not see it */
} RejoinResult;

typedef struct Rejoin
{
    const Options *options;
    Arena *arena;
    Target target;
    long pid; /* process id of the target's server when the command began; 0: none ran, or it
                 was already stopping */
    bool was_started; /* another program has started the server after this command had stopped it,
                         or found it stopped */
    bool has_stopped; /* true once this command has stopped the server: the held WAL may then be the
                         only copy of WAL that the stop removed */
    ServerControl control;
    RejoinResult report;
    Source *source;    /* connection to the source; NULL: not connected */
    Clusters clusters; /* both clusters as examined before the stop; their source may be closed */
    bool diverged;     /* the target needs a rewind, as examined before the stop */
    SourceState state; /* state of the source when it was asked last */
    TargetServer *server; /* access to the target's server; NULL until rejoin_server */
    int64_t since; /* start of the target's server by the source's clock, in microseconds since
                      1970. A connection to the source from before is not that server's */
    const char *names[STREAMING_NAMES_MAX + 1]; /* application names under which the source may
                                                   list the standby; NULL after the last */
    StandbySettings settings; /* settings that the rewind will write; made before the stop */
    HeldWal held_wal;         /* WAL that the stop would remove and the rewind needs; found
                                 before the stop */
    LostCount lost_count;     /* lost transactions as counted before the stop */
} Rejoin;

/* Read the source's pg_control and position into rejoin->state. Connects if there is no
 * connection. */
MUST_CHECK bool rejoin_ask_source(Rejoin *rejoin, Error *error);

/* Close the connection to the target's server, if there is one: a smart stop of the server would
 * wait for this connection to close. */
void rejoin_forget_server(Rejoin *rejoin);

/* Close the connections to the source and to the target's server, if they exist. */
void rejoin_close_connections(Rejoin *rejoin);

/* Times that the source's clock and the clock here showed at one moment. */
typedef struct Clocks
{
    int64_t source; /* the source's, in microseconds since 1970 */
    int64_t here;   /* in seconds since 1970; read just after the source's */
} Clocks;

/* Look at the source's clock and the one here. */
MUST_CHECK bool rejoin_compare_clocks(const Rejoin *rejoin, Clocks *clocks, Error *error);

/*
 * Set rejoin->since to the start of the server that runs. A start that postmaster.pid dates before
 * the moment of these clocks is taken from there, too early by up to two seconds and by what the
 * source's answer took, so that the server's first connection counts. Otherwise the server was
 * started after that moment, which is then taken.
 */
void rejoin_find_start_of_server(Rejoin *rejoin, const Clocks *clocks);

/* Set *follows if the server that runs is a standby that streams from the source. A standby that
 * does not stream yet, for example one that an earlier run has just started, is watched as long as
 * replay makes progress, at most --rejoin-timeout. */
MUST_CHECK bool rejoin_find_whether_it_follows(Rejoin *rejoin, bool *follows, Error *error);

/* A source that is a standby, and the target: do they get their WAL from each other? */
typedef struct Circle
{
    bool closed;          /* the target's server sends its WAL to the source */
    bool source_receives; /* the source receives WAL, or is a primary, or its role may not see it */
} Circle;

/*
 * Find out whether a source that is a standby gets its WAL from the target's server, which runs:
 * both know a connection of one name and one age. What a role may not see does not count, and
 * before 10 a server does not tell the age. (Rule I51.)
 */
MUST_CHECK bool rejoin_find_circle(Rejoin *rejoin, Circle *circle, Error *error);

/* Make the error of a closed circle. Returns false. */
bool error_circle(Error *error);

/* Access to the target's server, opened by the first call. */
TargetServer *rejoin_server(Rejoin *rejoin);

/* Wait until the server has replayed everything that the source had when the server was started, at
 * most --rejoin-timeout. */
MUST_CHECK bool rejoin_wait_until_it_follows(Rejoin *rejoin, Error *error);

#endif
