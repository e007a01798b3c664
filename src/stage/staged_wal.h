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
    uint32_t size;          /* that is wanted, from its first byte; the rest of the file reads as
                               zeros, and its space is reserved */
    const char *local_path; /* a file that has it */
    bool take;              /* move that file; from another mount it is copied, and then removed */
    Rate *rate;             /* of copying; NULL: unlimited */
} StagedSegment;

/* Stage a segment. Staging it again replaces it. */
MUST_CHECK bool stage_wal_segment(Stage *stage, const StagedSegment *segment, Error *error);

/* Path of a staged WAL segment for reading it again, NULL if it is not staged. */
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
 * Stage the segments [*next, end's) that are whole, or with last set also the one that end lies in.
 * *next is where to go on. An error names all that are nowhere.
 */
MUST_CHECK bool staged_wal_add(const StagedWal *wal, uint64_t *next, Lsn end, bool last,
                               Error *error);

/*
 * Replay reads a segment from its newest timeline's file. But while it is still on an older
 * timeline, the server reads prepared transactions from that one's file (XlogReadTwoPhaseData), as
 * a standby that followed the switch has it: stage these files as well. A server that summarizes
 * WAL needs them also of the WAL that the target keeps, where a promotion has renamed its own.
 */
MUST_CHECK bool staged_wal_add_left(const StagedWal *wal, Lsn end, Error *error);

/* Mark history files that are new to the target for its archive: in an archive that lacks its
 * history no timeline can be found. */
MUST_CHECK bool staged_wal_mark_histories(const StagedWal *wal, Error *error);

/* The source's WAL as the rewound target will have it. A WalOpen; the context is a StagedWal. */
MUST_CHECK bool staged_wal_open(void *wal, uint64_t segment, int *fd, bool *found, Error *error);

#endif
