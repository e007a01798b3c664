/*
 * Finds out whether the target's server follows the source, and waits for it: both are asked.
 */
#ifndef REJOIN_REJOIN_FOLLOWING_H
#define REJOIN_REJOIN_FOLLOWING_H

#include "divergence/lost_count.h"
#include "rejoin/rejoin_steps.h"
#include "target/server_control.h"
#include "target/target_server.h"
#include "standby/streaming.h"
#include "wal_store/held_wal.h"

/* The target's server: what --rejoin did with it, and how it ended. */
typedef struct RejoinResult
{
    RejoinFacts facts;
    bool stopping;             /* asked to stop by this run, and not stopped yet */
    bool running;              /* at the end */
    Lsn awaited;               /* the source's end when the server was started, or LSN_INVALID */
    bool was_primary;          /* before the rewind */
    bool resumed;              /* an interrupted rewind was finished first */
    const char *start_command; /* NULL: not known */
    const char *failure;       /* that the server ended with after it was started, by its log; NULL:
                                  it runs, was not started, or its log does not say */
    /* When it followed: */
    Lsn replayed;
    SourceStandby standby; /* by pg_stat_replication; empty where the role may not see it */
} RejoinResult;

typedef struct Rejoin
{
    const Options *options;
    Arena *arena;
    Target target;
    long pid; /* of the target's server, when this began; 0: none ran, or it was being stopped */
    ServerControl control;
    RejoinResult report;
    Source *source;       /* NULL: not connected */
    SourceState state;    /* of the source, when it was asked last */
    TargetServer *server; /* NULL: not asked yet */
    const char *since;    /* the server was started at this time of the source; "0": not known */
    const char *names[STREAMING_NAMES_MAX + 1]; /* under which the source may know the standby */
    StandbySettings settings; /* that the rewind will write; made before the stop */
    HeldWal held_wal;         /* that the stop would remove; found before it */
    LostCount lost_count;     /* before the server was stopped */
} Rejoin;

/* Ask the source for its position; connect to it if there is no connection. */
MUST_CHECK bool rejoin_ask_source(Rejoin *rejoin, Error *error);

/* Close the connection to the target's server, where there is one: a smart stop waits for it. */
void rejoin_forget_server(Rejoin *rejoin);

/* Close the connections to the source and to the target's server, where there are any. */
void rejoin_forget_source(Rejoin *rejoin);

/* Set *follows if the server that runs is a standby that streams from the source, or soon will,
 * such as one that an earlier run has started. It is watched as long as it makes progress. */
MUST_CHECK bool rejoin_find_whether_it_follows(Rejoin *rejoin, bool *follows, Error *error);

/* The target's server, to be asked. */
TargetServer *rejoin_server(Rejoin *rejoin);

/* Wait until the server that was started has replayed what the source had, or for
 * --rejoin-timeout. */
MUST_CHECK bool rejoin_wait_until_it_follows(Rejoin *rejoin, Error *error);

#endif
