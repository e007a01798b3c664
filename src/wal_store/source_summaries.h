/*
 * The source's summaries of WAL (17 and later) tell which blocks it changed, so that this WAL need
 * not be read. design/summaries.md
 */
#ifndef WAL_STORE_SOURCE_SUMMARIES_H
#define WAL_STORE_SOURCE_SUMMARIES_H

#include "pair/clusters.h"
#include "format/wal_summary.h"
#include "wal/scan.h"

typedef struct SourceSummaries
{
    Lsn end; /* they tell all of the WAL from the beginning of the range up to here */
    BlockMap *blocks;
    ScanDatabase *databases; /* made or dropped; how is not known */
    size_t database_count;
} SourceSummaries;

/*
 * Read those of the WAL in [from, to) of the source's history. The first must begin where that
 * does: at the redo position of a checkpoint. They end where the next one is missing, damaged, of
 * another timeline, or does not begin where the one before ends. That is no error. only_names: only
 * find their end, by their names.
 * source_summaries_free in any case.
 */
MUST_CHECK bool source_summaries_read(const Clusters *clusters, Lsn from, Lsn to, bool only_names,
                                      SourceSummaries *summaries, Error *error);

void source_summaries_free(SourceSummaries *summaries);

#endif
