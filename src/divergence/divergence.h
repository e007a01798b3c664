/*
 * The position where the two histories diverge, and the last checkpoint that they have in common.
 */
#ifndef DIVERGENCE_DIVERGENCE_H
#define DIVERGENCE_DIVERGENCE_H

#include "wal_store/target_wal.h"

typedef struct Divergence
{
    bool needed;             /* the target has WAL past it: a rewind is needed */
    Lsn lsn;                 /* LSN_INVALID: not known (--compare) */
    Lsn target_end;          /* end of the target's WAL */
    bool rests_on_archive;   /* of a look: it did not read whether the source's WAL goes on
                                where the archive's ends */
    bool rests_on_histories; /* no bytes prove that both have one history before it */
    bool changes_unknown;    /* it does, and the target lacks WAL before it: no WAL tells what
                                the target has changed there */
    ScanCheckpoint common_checkpoint; /* the last common checkpoint; nothing with --compare */
    WalScan *scan;                    /* the target's WAL, read to its end; NULL with --compare */
    Lsn printed;               /* as the message says it: lsn, with --compare what the histories
                                  say; LSN_INVALID: there is no message */
    Timeline printed_timeline; /* of the target, right before it */
} Divergence;

typedef struct DivergenceInput
{
    const Clusters *clusters;
    const SourceState *state;
    WalStore *target_wal;
    SourceWal *source_wal;
    int jobs;
    bool looks; /* no more is read than the answer needs */
} DivergenceInput;

/*
 * Read the target's WAL to its end, and find where it stops being the source's: what the history
 * files say is only the latest point that is possible; bytes decide, and must prove it where the
 * history files are not enough. On failure *divergence holds what was found until then.
 * divergence->scan is the caller's to destroy in any case.
 */
MUST_CHECK bool divergence_find(const DivergenceInput *input, Arena *arena, Divergence *divergence,
                                Error *error);

/*
 * Read the target's WAL to its end, *end; an error where that does not reach what the target's
 * files rest on: minRecoveryPoint, the end of a base backup. latest_divergence: what the history
 * files say, LSN_INVALID: nothing. *scan is the caller's to destroy in any case.
 */
MUST_CHECK bool divergence_find_target_end(const Clusters *clusters, const WalStream *stream,
                                           int jobs, Lsn latest_divergence, WalScan **scan,
                                           Lsn *end, Error *error);

/*
 * Do the history files alone show that the target has diverged? It has gone past the latest point
 * that they leave in common. False where only its WAL can tell.
 */
bool divergence_is_certain(const Clusters *clusters);

/* The error where that has to be proved. */
bool error_no_proof_before(const Clusters *clusters, Lsn lsn, Error *error);

/* With --compare: nothing of the target's WAL is read, so none of it is kept. */
void divergence_leave_unknown(const Clusters *clusters, Divergence *divergence);

#endif
