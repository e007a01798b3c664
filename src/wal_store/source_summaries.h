/* The source's WAL summaries (PostgreSQL 17 and later) name the blocks that WAL changed, so that
 * this WAL need not be read. design/summaries.md */
#ifndef WAL_STORE_SOURCE_SUMMARIES_H
#define WAL_STORE_SOURCE_SUMMARIES_H

#include "pair/clusters.h"
#include "format/wal_summary.h"
#include "wal/scan.h"

typedef struct SourceSummaries
{
    Lsn end; /* the summaries cover all WAL from the start of the range up to this LSN; the start
                itself if there is no summary */
    BlockMap *blocks;
    ScanDatabase *databases; /* created or dropped; the summaries do not say how */
    size_t database_count;
} SourceSummaries;

/*
 * Read the summaries of the WAL in [from, to) of the source's history. The first one must begin at
 * `from`, a checkpoint's redo position. Reading ends, without error, where the next summary is
 * missing, damaged, of another timeline, or does not begin at the end of the one before.
 * only_names: find only that end, by the names of the files. Call source_summaries_free in any
 * case.
 */
MUST_CHECK bool source_summaries_read(const Clusters *clusters, Lsn from, Lsn to, bool only_names,
                                      SourceSummaries *summaries, Error *error);

void source_summaries_free(SourceSummaries *summaries);

#endif
