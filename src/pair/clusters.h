/*
 * Source and target as a pair.
 */
#ifndef PAIR_CLUSTERS_H
#define PAIR_CLUSTERS_H

#include "target/target.h"
#include "format/history.h"

/*
 * Both clusters as they were found. Nothing changes them afterwards. The histories' entries, and
 * all strings, are in the arena of the run.
 */
typedef struct Clusters
{
    Target target;
    Source *source;         /* NULL: it could not be reached */
    WalShape shape;         /* of both */
    History source_history; /* no entries: not read yet */
    History target_history; /* the same; with --compare it need not be known */
} Clusters;

/* The source at one moment. A server goes on: asking it again gives another value. */
typedef struct SourceState
{
    Control control;
    SourcePosition position; /* asked for after the control: never before its checkpoint */
} SourceState;

/*
 * The source once more: its pg_control, then its position. An error if it is no longer the same
 * cluster on the same timeline, does not run any more, or, for a directory, was changed at all; in
 * the contract's words. before and now may be the same.
 */
MUST_CHECK bool source_state_read_again(Source *source, const SourceState *before, SourceState *now,
                                        Error *error);

/* The same, and before that, in the same question, whether it removes a database: see
 * SourceOperations' state. False for a directory. */
MUST_CHECK bool source_state_read_settled(Source *source, const SourceState *before,
                                          SourceState *now, bool *removes, Error *error);

/*
 * The last position of the source's WAL that the rewound target must have. With a standby as
 * source: what it has replayed, but no less than the divergence, since the target's own pages may
 * be as new as that, whatever the standby has on its disk.
 */
Lsn source_state_wal_end(const SourceState *state, Lsn divergence);

#endif
