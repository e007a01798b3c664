/*
 * Summaries of WAL (17 and later, summarize_wal): pg_wal/summaries/NAME says which blocks the WAL
 * of a range changes. common/blkreftable.c, postmaster/walsummarizer.c, 17 to 19.
 */
#ifndef FORMAT_WAL_SUMMARY_H
#define FORMAT_WAL_SUMMARY_H

#include "format/walrecord.h"

#define WAL_SUMMARY_DIRECTORY "pg_wal/summaries"

/* The content of a file: each record of this timeline that begins in [start, end). */
typedef struct WalSummaryRange
{
    Timeline timeline;
    Lsn start;
    Lsn end;
} WalSummaryRange;

/* "%08X%08X%08X%08X%08X.summary"; false for any other name, and for an empty range. */
#define WAL_SUMMARY_NAME_SIZE 49
void wal_summary_name(const WalSummaryRange *range, char name[WAL_SUMMARY_NAME_SIZE]);
bool wal_summary_name_parse(const char *name, WalSummaryRange *range);

/*
 * A fork of a relation. limit: the fewest blocks that it had, 0 where it was made or dropped. Its
 * blocks are those named below the limit, and those at or above it that were named since.
 * relation.relation 0: the database's directory in this tablespace was made or dropped.
 */
#define WAL_SUMMARY_NO_LIMIT 0xFFFFFFFFu
typedef struct WalSummaryFork
{
    RelationId relation;
    uint8_t fork;
    BlockNumber limit;
} WalSummaryFork;

/* A fork, then its blocks in no order. */
typedef struct WalSummaryVisitor
{
    void (*fork)(void *context, const WalSummaryFork *fork);
    void (*block)(void *context, const WalSummaryFork *fork, BlockNumber block);
    void *context;
} WalSummaryVisitor;

/*
 * Read a whole file. Its checksum is right before anything is visited, and every byte must be what
 * a server writes. False: *reason says why it is of no use, and what was visited means nothing.
 */
MUST_CHECK bool wal_summary_read(const void *bytes, size_t size, const WalSummaryVisitor *visitor,
                                 const char **reason);

#endif
