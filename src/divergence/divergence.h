/*
 * The LSN where the histories of source and target diverge, and the last checkpoint that both have.
 */
#ifndef DIVERGENCE_DIVERGENCE_H
#define DIVERGENCE_DIVERGENCE_H

#include "wal_store/target_wal.h"

typedef struct Divergence
{
    bool needed;           /* a rewind is needed: the target has WAL after the divergence, or the
                              backup_label of an exclusive backup */
    Lsn lsn;               /* where the histories diverge; LSN_INVALID if not known (--compare) */
    Lsn target_end;        /* end of the target's valid WAL. If its server runs, or with --compare:
                              an LSN that the WAL has reached, not its end */
    bool rests_on_archive; /* with input->is_preview: equality with an archive was accepted without
                              reading whether the source's WAL continues where the archive's ends */
    bool rests_on_histories; /* only the history files prove the divergence: too little WAL before
                                it could be compared */
    bool changes_unknown; /* rests_on_histories, and the target lacks WAL before the divergence, so
                             what it changed there is not known */
    bool source_lags; /* after a failure: the source is a standby that may still receive what the
                         target has */
    ScanCheckpoint common_checkpoint; /* last common checkpoint; zeros with --compare */
    WalScan *scan;                    /* scan of the target's WAL to its end; NULL with --compare */
    Lsn printed; /* LSN in the printed message: lsn, or with --compare the latest point that the
                    histories allow; LSN_INVALID without a message */
    Timeline printed_timeline; /* the target's timeline right before `printed` */
} Divergence;

typedef struct DivergenceInput
{
    const Clusters *clusters;
    const SourceState *state;
    WalStore *target_wal;
    SourceWal *source_wal;
    int jobs;
    bool is_preview; /* the result is only shown: read as little WAL as possible */
} DivergenceInput;

/*
 * Read the target's WAL to its end, and find where it stops being identical to the source's. The
 * history files only give the latest possible point. Comparing WAL decides, and must prove the
 * divergence if the history files are not enough. After a failure *divergence has what was found
 * until then. In any case the caller destroys divergence->scan.
 */
MUST_CHECK bool divergence_find(const DivergenceInput *input, Arena *arena, Divergence *divergence,
                                Error *error);

/*
 * Read the target's WAL and set *end to its end. Fails if the WAL ends before what the target's
 * files depend on: minRecoveryPoint, or the end of a base backup. latest_divergence is the latest
 * point that the history files allow, or LSN_INVALID. In any case the caller destroys *scan.
 */
MUST_CHECK bool divergence_find_target_end(const Clusters *clusters, const WalStream *stream,
                                           int jobs, Lsn latest_divergence, WalScan **scan,
                                           Lsn *end, Error *error);

/* Fails if the segment in which the target's WAL ends came from an archive. A crashed primary has
 * written pages up to the end of the WAL in its pg_wal, and no archive has the last segment. (Rule
 * C109.) */
MUST_CHECK bool divergence_check_end_is_own(WalStore *target_wal, Lsn end, Error *error);

/* The end of the target's WAL by pg_control alone; there may be more. The files of a standby depend
 * on no WAL after it. */
Lsn divergence_known_end(const Clusters *clusters);

/*
 * True if the history files alone show that the target has diverged: it has gone past the latest
 * point that they allow. False if only its WAL can tell.
 */
bool divergence_is_certain(const Clusters *clusters);

/* Set the error that it could not be proved that both clusters have the same history before lsn.
 * Always false. */
bool error_no_proof_before(const Clusters *clusters, Lsn lsn, Error *error);

/* Set *divergence for --compare, which reads none of the target's WAL: needed is true, target_end
 * is the end that pg_control knows, `printed` is kept or set from the histories; the rest is zero.
 * Log that all blocks are compared. */
void divergence_leave_unknown(const Clusters *clusters, Divergence *divergence);

#endif
