/*
 * Staging: everything that the rewind needs comes to the target's disks, and is proved, before
 * anything in the target is changed.
 */
#ifndef REWIND_STAGING_H
#define REWIND_STAGING_H

#include "stage/stage.h"
#include "base/arena.h"
#include "base/error.h"
#include "pair/clusters.h"
#include "target/interlock.h"
#include "divergence/divergence.h"
#include "options.h"
#include "rewind/prepare.h"
#include "recovery_start/choose.h"
#include "standby/next_start.h"
#include "standby/standby_settings.h"
#include "wal_store/source_wal.h"

#include <stdbool.h>

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
 * error of what is obsolete. The plan must live as long as the stage. *staged is set also after a
 * failure.
 */
MUST_CHECK bool staging_make(const Clusters *clusters, const RecoveryStart *start,
                             const Planned *planned, const NextStart *next, SourceWal *source_wal,
                             Interlock *interlock, const Options *options, bool final,
                             Staged *staged, Error *error);

/* Then: with standby_settings (-R) the files that make it a standby, and the journal. All is on the
 * disk when this returns. */
MUST_CHECK bool staging_finish(const Clusters *clusters, const Divergence *divergence,
                               const RecoveryStart *start, const Planned *planned,
                               const StandbySettings *standby_settings, const Options *options,
                               Arena *arena, const Staged *staged, Error *error);

#endif
