/*
 * The third step: where the two diverge. And the three steps by themselves, as a look at a pair
 * that changes nothing on either side: for --check, and for --rejoin before it stops the server.
 */
#ifndef REWIND_LOOK_H
#define REWIND_LOOK_H

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "divergence/divergence.h"
#include "rewind/identify.h"
#include "rewind/opening.h"

#include <stdbool.h>

/*
 * Find the divergence, unless --compare makes it needless, and check what matters to a target that
 * has diverged, or has not: hints that were not logged, wal_level.
 */
MUST_CHECK bool look_for_divergence(const Options *options, const Identified *identified, int jobs,
                                    Arena *arena, Problems *problems, Divergence *divergence,
                                    Error *error);

/* Set *has if the source has the WAL with which a target goes on that ends at `end`, or the target
 * can restore it, or nothing follows; else *segment is the one that is gone. */
MUST_CHECK bool look_for_next_wal(const Identified *identified, Lsn end, uint64_t *segment,
                                  bool *has, Error *error);

/* The place of the WAL with which replay in the rewound target begins. */
typedef enum ReplayedWal
{
    REPLAYED_WAL_UNKNOWN, /* not looked for */
    REPLAYED_WAL_OF_SOURCE,
    REPLAYED_WAL_OF_ARCHIVE,
    REPLAYED_WAL_NOT_NEEDED, /* nowhere: a rewind starts late and compares all blocks */
    REPLAYED_WAL_MISSING     /* nowhere, and there is no other way: a problem */
} ReplayedWal;

typedef struct Look
{
    Arena *arena;      /* the caller's */
    Problems problems; /* the caller may set `take` before */
    bool only_certain; /* likewise: a restore command that gives nothing to a file in memory is no
                          failure, since it may give the file to a directory */
    Opened opened;
    Identified identified;
    bool found; /* the divergence was looked for to its end, or is not needed */
    Divergence divergence;
    ReplayedWal replayed;
    uint64_t replayed_segment;
} Look;

/* Open and identify the target. The arena is set before. look_release in any case. */
MUST_CHECK bool look_open(const Options *options, Look *look, Error *error);

/*
 * Then look at the pair. A failure is what a rewind would fail by, or would after the target's
 * server was stopped, if that runs; or problems were found. Of a target that runs, divergence is
 * looked for only where the histories show it; !look->found also where too much WAL would have to
 * be read.
 */
MUST_CHECK bool look_at_pair(const Options *options, Look *look, Error *error);

void look_release(Look *look);

#endif
