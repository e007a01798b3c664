/*
 * The second step: what source and target are, and whether one can be rewound to the other at all.
 */
#ifndef REWIND_IDENTIFY_H
#define REWIND_IDENTIFY_H

#include "base/arena.h"
#include "base/error.h"
#include "base/log.h"
#include "pair/clusters.h"
#include "rewind/opening.h"
#include "options.h"
#include "wal_store/source_wal.h"
#include "wal_store/target_wal.h"

#include <stdbool.h>

typedef struct Identified
{
    Clusters clusters;
    SourceState source; /* as it is now; for a directory with the end of its WAL */
    TargetWal target_wal;
    SourceWal *source_wal;       /* NULL: the source is not known yet */
    const char *restore_command; /* that fetches missing WAL of the target; NULL: none */
    bool done; /* an interrupted rewind was finished, and the source cannot be asked whether it has
                  diverged since: there is nothing more to do */
    bool may_be_looked_at; /* one cluster, neither is running, and files may be read: other problems
                              of the target can be looked for */
} Identified;

/*
 * Identify the target, which was opened before: wait for a server that is just stopping, read its
 * pg_control, find its configuration and its restore command. identified_release in any case.
 */
MUST_CHECK bool identify_target(const Options *options, const Opened *opened, Arena *arena,
                                Problems *problems, Identified *identified, Error *error);

/*
 * Then identify the source: read its pg_control, check all prerequisites, claim the target's pid
 * file, ask where the source stands, read both histories. What is known after a failure is set.
 * Problems that let the next steps work are only added to `problems`.
 */
MUST_CHECK bool identify_pair(const Options *options, const Opened *opened, Arena *arena,
                              Problems *problems, Identified *identified, Error *error);

void identified_release(Identified *identified);

#endif
