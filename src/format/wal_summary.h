/*
 * Summaries of WAL (17 and later, summarize_wal): a file pg_wal/summaries/NAME names the blocks
 * that the WAL of a range changes. common/blkreftable.c, postmaster/walsummarizer.c, the same in 17
 * to 19.
 */
#ifndef FORMAT_WAL_SUMMARY_H
#define FORMAT_WAL_SUMMARY_H

#include "format/walrecord.h"

#define WAL_SUMMARY_DIRECTORY "pg_wal/summaries"

/* The WAL that a summary covers: each record of this timeline that begins in [start, end). */
typedef struct WalSummaryRange
{
    Timeline timeline;
    Lsn start;
    Lsn end;
} WalSummaryRange;

/* Name of a summary: "%08X%08X%08X%08X%08X.summary". wal_summary_name_parse returns false for
 * another name, and for an empty range. */
#define WAL_SUMMARY_NAME_SIZE 49
void wal_summary_name(const WalSummaryRange *range, char name[WAL_SUMMARY_NAME_SIZE]);
bool wal_summary_name_parse(const char *name, WalSummaryRange *range);

/*
 * A fork of a relation in a summary. limit is the smallest number of blocks that the fork had in
 * the range: 0 if it was created or dropped, WAL_SUMMARY_NO_LIMIT if it was not shortened. Blocks
 * at or above the limit were cut off; those that the summary names nevertheless were written after
 * that.
 *
 * With relation.relation 0, the database's directory in this tablespace was created or dropped.
 */
#define WAL_SUMMARY_NO_LIMIT 0xFFFFFFFFu
typedef struct WalSummaryFork
{
    RelationId relation;
    uint8_t fork;
    BlockNumber limit;
} WalSummaryFork;

/* Functions called for each fork, then for each of its blocks, in no order. */
typedef struct WalSummaryVisitor
{
    void (*fork)(void *context, const WalSummaryFork *fork);
    void (*block)(void *context, const WalSummaryFork *fork, BlockNumber block);
    void *context;
} WalSummaryVisitor;

/*
 * Read a whole summary. The checksum is checked before anything is visited. Returns false, with a
 * static *reason, if any byte is not what a server writes: then ignore what was visited.
 */
MUST_CHECK bool wal_summary_read(const void *bytes, size_t size, const WalSummaryVisitor *visitor,
                                 const char **reason);

#endif
