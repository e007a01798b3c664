/*
 * Source and target of a run, as a pair.
 */
#ifndef PAIR_CLUSTERS_H
#define PAIR_CLUSTERS_H

#include "target/target.h"
#include "format/history.h"

/*
 * Both clusters. The steps that find out a value set it once; afterwards nothing changes it. The
 * histories' entries, and all strings, are in the arena of the run.
 */
typedef struct Clusters
{
    Target target;
    Source *source;         /* NULL if it could not be reached; the session closes it */
    WalShape shape;         /* WAL shape of both clusters */
    History source_history; /* no entries before they are read */
    History target_history; /* likewise; with --compare it can stay unknown */
} Clusters;

/* The source at one moment. A server that is asked again gives later values. */
typedef struct SourceState
{
    Control control;
    SourcePosition position; /* asked for after the control, so never before its checkpoint */
} SourceState;

/*
 * Read the source again: its pg_control, then its position. Fails, in the contract's words, if the
 * source is no longer the same cluster on the same timeline, if its server no longer runs, or if
 * any byte of a source directory's pg_control has changed. before and now may be the same.
 */
MUST_CHECK bool source_state_read_again(Source *source, const SourceState *before, SourceState *now,
                                        Error *error);

/* Like source_state_read_again; with removes not NULL also find out, before the state, whether the
 * source is removing a database: see SourceOperations' state. *removes is false for a directory. */
MUST_CHECK bool source_state_read_settled(Source *source, const SourceState *before,
                                          SourceState *now, bool *removes, Error *error);

/*
 * The last LSN of the source's WAL that the rewound target must have. For a standby as source: what
 * it has replayed, but at least the divergence, because the target's own pages may be as new as the
 * divergence, whatever the standby has on its disk.
 */
Lsn source_state_wal_end(const SourceState *state, Lsn divergence);

#endif
