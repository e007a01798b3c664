/*
 * The transfer: everything that the rewind needs comes to the target's disks, and is proved, before
 * anything in the target is changed.
 */
#ifndef REWIND_TRANSFER_H
#define REWIND_TRANSFER_H

#include "divergence/divergence.h"
#include "rewind/prepare.h"
#include "stage/stage.h"
#include "standby/next_start.h"
#include "target/interlock.h"

/* A transfer is made from this. The plan must live as long as the stage. */
typedef struct TransferInput
{
    const Clusters *clusters;
    const Divergence *divergence;
    const RecoveryStart *start;
    const Planned *planned;
    const NextStart *next;
    const StandbySettings *standby_settings; /* with -R: the files that make a standby; else NULL */
    SourceWal *source_wal;
    Interlock *interlock;
    const Options *options;
} TransferInput;

typedef struct Staged
{
    Stage *stage;  /* NULL: nothing was staged; stage_abandon or apply, then stage_free */
    bool obsolete; /* the source has since done something that recovery from this start would replay
                      wrongly: throw away and plan again */
    SourceState source; /* when everything was fetched */
    Lsn source_end;     /* the source's WAL is staged up to here */
    Lsn min_recovery_point;
    Timeline min_recovery_timeline;
} Staged;

/*
 * Claim the pid file; stage the files and the source's WAL, up to a position past everything that
 * was fetched; prove that WAL with the files that the rewound target will have. `final` makes an
 * error of what is obsolete. *staged is set also after a failure.
 */
MUST_CHECK bool transfer_make(const TransferInput *input, bool final, Staged *staged, Error *error);

/* Then the files of standby_settings, and the journal. All is on the disk when this returns. */
MUST_CHECK bool transfer_finish(const TransferInput *input, Arena *arena, const Staged *staged,
                                Error *error);

#endif
