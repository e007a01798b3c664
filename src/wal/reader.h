/*
 * Records of one cluster's WAL in order, across pages and segments, one segment at a time.
 *
 * The unit of work is a segment: all records that *start* in it. A worker can read any segment
 * without having read the one before; the links between segments are checked by scan.h, which joins
 * the pieces.
 */
#ifndef WAL_READER_H
#define WAL_READER_H

#include "format/history.h"
#include "format/walpage.h"
#include "format/walrecord.h"

/* Open the file in which the stream's history keeps a segment, for reading; the caller closes fd.
 * *found is false if no place has the file. Called from several threads at once. */
typedef bool (*WalOpen)(void *context, uint64_t segment, int *fd, bool *found, Error *error);

/* Set the error for a segment that no place has. Returns false. */
typedef bool (*WalMissing)(void *context, uint64_t segment, Error *error);

/* Called after each segment of a forward scan has been read, in order, never from two threads at
 * once. read_to is the end of the segment (records that start in the segment may end later). */
typedef bool (*WalPassed)(void *context, Lsn read_to, Error *error);

/* The WAL of one cluster along its history. */
typedef struct WalStream
{
    WalShape shape;
    uint32_t data_block_size;
    const History *history;
    Lsn limit; /* end of the WAL to read: bytes at and after this LSN count as missing; LSN_INVALID:
                  no limit */
    uint64_t newest; /* newest segment that is known to exist: WAL that ends before it has lost
                        segments; 0: not known */
    WalOpen open;
    /*
     * Set *rebuilds if recovery is certain to find and replay this segment, so that blocks which
     * the segment's full-page images write whole need not be fetched. Called from several threads
     * at once. Returns false with error set if that cannot be found out. NULL: the caller does not
     * ask for such blocks. If set, a scan must begin at its floor (the LSN from which records
     * count, see scan.h).
     */
    bool (*rebuilds)(void *context, uint64_t segment, bool *rebuilds, Error *error);
    void *context;
    WalPassed passed;   /* called by a forward scan (WalPassed); NULL: no callback */
    WalMissing missing; /* error_missing_in_wal_store for the target's WAL; NULL: the error only has
                           the segment's name */
} WalStream;

/* Return false with error set to stop. The record and what it points to live during the call. */
typedef bool (*WalVisitor)(void *context, const WalRecord *record, Error *error);

typedef enum WalSegmentEnd
{
    WAL_SEGMENT_COMPLETE, /* every record that starts in the segment was read; next_lsn lies in a
                             later segment */
    WAL_SEGMENT_INVALID,  /* no valid record at next_lsn: reason says why (xlogreader.c's words) */
    WAL_SEGMENT_MISSING   /* no place has the segment, or a later one in which a record ends:
                             missing_segment */
} WalSegmentEnd;

typedef struct WalSegmentFacts
{
    uint64_t segment;
    WalSegmentEnd end;
    uint64_t record_count;
    Lsn begin_lsn;  /* LSN of the first record that starts here, complete or aborted (its writer
                       crashed before the record was complete); LSN_INVALID: none does */
    Lsn first_lsn;  /* LSN of the first complete record that starts here; LSN_INVALID: none does */
    Lsn first_prev; /* xl_prev of the record at first_lsn */
    Lsn last_lsn;   /* LSN of the last valid record that starts here */
    Lsn next_lsn;   /* where the next record would start: the end of the last one, aligned, before a
                       page header is skipped; the end of the segment if one record from an earlier
                       segment fills it */
    Lsn invalid_lsn; /* with WAL_SEGMENT_INVALID: LSN of what is wrong, a byte, a page or the end of
                        a record; the stream's limit if that ended the reading */
    uint64_t bytes;  /* number of the segment's bytes that were read */
    uint64_t missing_segment;
    char reason[256];
} WalSegmentFacts;

/*
 * Read the records that start in `segment` at or after `from`, which must be the start of a record
 * (a page boundary counts as the position after the page header), or LSN_INVALID for all. xl_prev
 * links within the segment are checked. visit NULL: only *facts is wanted.
 *
 * A missing segment and invalid bytes are facts, not errors. False only if a file cannot be read,
 * the visitor returns false, or a stop was requested. Follows XLogReadRecord of
 * access/transam/xlogreader.c, including aborted records (OVERWRITE_CONTRECORD).
 */
MUST_CHECK bool wal_read_segment(const WalStream *stream, uint64_t segment, Lsn from,
                                 WalVisitor visit, void *context, WalSegmentFacts *facts,
                                 Error *error);

/* The timeline in whose file the stream's history keeps a segment, and the name of that file, which
 * is written to `name` and returned. SEGMENT_NAME: the name in a text that lives to the end of the
 * block. */
Timeline wal_stream_timeline(const WalStream *stream, uint64_t segment);
const char *wal_stream_segment_name(const WalStream *stream, uint64_t segment,
                                    char name[WAL_NAME_SIZE]);
#define SEGMENT_NAME(stream, segment)                                                              \
    wal_stream_segment_name((stream), (segment), (char[WAL_NAME_SIZE]){0})

/* Set the error for a segment that no place has, by the stream's `missing` if that is set. Returns
 * false. */
bool error_missing_wal(const WalStream *stream, uint64_t segment, Error *error);

/* Add a hint to an error about invalid WAL: which segment must be replaced by an undamaged copy.
 * Only for the target's WAL (`missing` is set). Returns false. */
bool error_damaged_wal(const WalStream *stream, uint64_t segment, Error *error);

#endif
