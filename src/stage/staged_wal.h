/*
 * The WAL that the rewound target needs, staged segment by segment from the source's WAL.
 */
#ifndef STAGE_STAGED_WAL_H
#define STAGE_STAGED_WAL_H

#include "stage/stage.h"
#include "wal_store/source_wal.h"

/* A segment of WAL that is to be staged. */
typedef struct StagedSegment
{
    const char *name;
    uint32_t segment_size;
    uint32_t size; /* bytes wanted from the start of the segment; the rest of the staged file reads
                      as zeros, and its space is reserved */
    const char *local_path; /* an existing file with these bytes */
    bool take;  /* move the file at local_path; from another mount it is copied, then removed */
    Rate *rate; /* limit of the copying speed; NULL: unlimited */
    uint32_t fetched_bytes; /* bytes of it that the statistics count as fetched */
} StagedSegment;

/* Stage a segment. Staging it again replaces it. */
MUST_CHECK bool stage_wal_segment(Stage *stage, const StagedSegment *segment, Error *error);

/*
 * Before a stage is abandoned because its plan is out of date: move the whole segments of WAL that
 * were taken from the scratch directory back there, for the next plan. The source may no longer
 * have them. A segment that cannot be moved is fetched again. The statistics no longer count those
 * that were moved. Nothing can be staged afterwards. (Rule C31.)
 */
void stage_return_wal(Stage *stage);

/* Path for opening a staged WAL segment; NULL if the segment is not staged. */
const char *stage_wal_path(const Stage *stage, const char *name);

typedef struct StagedWal
{
    Stage *stage;
    SourceWal *source_wal;
    const PlanInput *input;
    bool archives_always; /* archive_mode = always in the rewound target */
} StagedWal;

/* The space for the WAL up to `end` that will be staged, if the source writes nothing in the
 * meantime. */
WalSpace staged_wal_space(const SourceWal *source_wal, const PlanInput *input, Lsn end);

/*
 * Stage the segments from number *next up to the segment that contains `end`, each whole one with
 * its marker in archive_status. The WAL of the last segment is incomplete: it is staged only if
 * `last` is set, without a marker. *next becomes the number of the first segment that is not
 * staged. The error names all segments that neither the source nor an archive has.
 */
MUST_CHECK bool staged_wal_add(const StagedWal *wal, uint64_t *next, Lsn end, bool last,
                               Error *error);

/*
 * Stage the file of the older timeline for each segment in which the source's history left a
 * timeline. Replay reads such a segment from the newest timeline's file. But until replay reaches
 * the switch, the server reads prepared transactions from the older timeline's file
 * (XlogReadTwoPhaseData), which a standby that followed the switch has. A server that summarizes
 * WAL needs the older file even in WAL that the target keeps, where a promotion renamed the
 * target's own file to .partial.
 */
MUST_CHECK bool staged_wal_add_left(const StagedWal *wal, Lsn end, Error *error);

/* With archives_always, stage .ready markers for history files that are new to the target, so that
 * its server archives them: recovery cannot find a timeline in an archive without the timeline's
 * history file. */
MUST_CHECK bool staged_wal_mark_histories(const StagedWal *wal, Error *error);

/* A WalOpen, whose context is a StagedWal: opens a segment of the source's WAL as the rewound
 * target will have it, staged or kept. */
MUST_CHECK bool staged_wal_open(void *wal, uint64_t segment, int *fd, bool *found, Error *error);

#endif
