/*
 * The inside of --rejoin: what the source and the target's server say of each other
 * (rejoin_following.c), for the story (rejoin.c).
 */
#ifndef REJOIN_REJOIN_PARTS_H
#define REJOIN_REJOIN_PARTS_H

#include "target/server_control.h"
#include "target/target_server.h"
#include "rejoin/rejoin.h"
#include "standby/standby_settings.h"

#define REJOIN_NAMES_MAX 3

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
    const char *names[REJOIN_NAMES_MAX + 1]; /* under which the source may know the standby */
    StandbySettings settings;                /* that the rewind will write; made before the stop */
} Rejoin;

/* Ask the source for its position; connect to it if there is no connection. */
MUST_CHECK bool rejoin_ask_source(Rejoin *rejoin, Error *error);

/* Close the connection to the target's server, where there is one: a smart stop waits for it. */
void rejoin_forget_server(Rejoin *rejoin);

/* Close the connections to the source and to the target's server, where there are any. */
void rejoin_forget_source(Rejoin *rejoin);

/* Set *follows if the server that runs is a standby that streams from the source, or soon will,
 * such as one that an earlier run has started? It is watched as long as it comes further. */
MUST_CHECK bool rejoin_find_whether_it_follows(Rejoin *rejoin, bool *follows, Error *error);

/* Note in rejoin->settings whether the target's own server, a standby, uses --slot of the source,
 * as far as can be known. Asks the target. */
void rejoin_find_slot_user(Rejoin *rejoin);

/* Until the server that was started has replayed what the source had, or --rejoin-timeout. */
MUST_CHECK bool rejoin_wait_until_it_follows(Rejoin *rejoin, Error *error);

#endif
