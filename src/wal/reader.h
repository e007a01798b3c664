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

/*
 * Opens the file in which the stream's history keeps a segment, for reading; the caller closes fd.
 * *found false when it is nowhere. Called from several threads at once.
 */
typedef bool (*WalOpen)(void *context, uint64_t segment, int *fd, bool *found, Error *error);

/* Sets the error for a segment that is nowhere. Returns false. */
typedef bool (*WalMissing)(void *context, uint64_t segment, Error *error);

/* Called after each segment of a scan, in order, never twice at once. read_to is the end of the
 * segment (records that start in it may end later). */
typedef bool (*WalPassed)(void *context, Lsn read_to, Error *error);

/* The WAL of one cluster along its history. */
typedef struct WalStream
{
    WalShape shape;
    uint32_t data_block_size;
    const History *history;
    Lsn limit; /* bytes at and after it are taken as not there; LSN_INVALID: no limit */
    WalOpen open;
    /*
     * Sets *rebuilds if recovery rebuilds blocks that records of this segment restore, so that they
     * need not be fetched. Called from several threads at once. NULL: the caller does not ask for
     * such blocks; otherwise a scan must begin at its floor. Returns false with error set if it
     * cannot find out.
     */
    bool (*rebuilds)(void *context, uint64_t segment, bool *rebuilds, Error *error);
    void *context;
    WalPassed passed;   /* of reading forward; NULL: none */
    WalMissing missing; /* of the target's: error_missing_in_wal_store; NULL: a message with the
                           segment's name */
} WalStream;

/* Return false with error set to stop. The record and what it points to live during the call. */
typedef bool (*WalVisitor)(void *context, const WalRecord *record, Error *error);

typedef enum WalSegmentEnd
{
    WAL_SEGMENT_COMPLETE, /* every record that starts in it was read; next_lsn lies in a later
                             segment */
    WAL_SEGMENT_INVALID,  /* no valid record at next_lsn: reason says why (xlogreader.c's words) */
    WAL_SEGMENT_MISSING /* the segment, or a later one in which a record ends, is nowhere: missing_*
                         */
} WalSegmentEnd;

typedef struct WalSegmentFacts
{
    uint64_t segment;
    WalSegmentEnd end;
    uint64_t record_count;
    Lsn begin_lsn;   /* of the first record that starts here, also one that its writer gave up;
                      * LSN_INVALID: none does */
    Lsn first_lsn;   /* of the first record that starts here; LSN_INVALID: none does */
    Lsn first_prev;  /* its xl_prev */
    Lsn last_lsn;    /* of the last record that starts here and is valid */
    Lsn next_lsn;    /* where the next record would start (end of the last one, aligned, before
                      * skipping a page header); the end of the segment when one record from
                      * before it fills it all */
    Lsn invalid_lsn; /* WAL_SEGMENT_INVALID: the byte, page or end of a record that is not as it
                      * should be; the limit when that is the reason */
    uint64_t bytes;  /* of the segment that were looked at */
    uint64_t missing_segment;
    char reason[256];
} WalSegmentFacts;

/*
 * Read the records that start in `segment` at or after `from` (LSN_INVALID: from the first one;
 * else it must be where a record starts, a page boundary counts as the position after the header).
 * xl_prev links within the segment are checked. visit NULL: only the facts are wanted. A missing
 * segment and invalid bytes are facts, not errors; false only when a file cannot be read, the
 * visitor says so or a stop was requested. Follows XLogReadRecord of access/transam/xlogreader.c,
 * with abandoned records (OVERWRITE_CONTRECORD).
 */
MUST_CHECK bool wal_read_segment(const WalStream *stream, uint64_t segment, Lsn from,
                                 WalVisitor visit, void *context, WalSegmentFacts *facts,
                                 Error *error);

/* The timeline in whose file the stream's history keeps a segment, and that file's name, which is
 * returned; SEGMENT_NAME: in a text that lives to the end of the block. */
Timeline wal_stream_timeline(const WalStream *stream, uint64_t segment);
const char *wal_stream_segment_name(const WalStream *stream, uint64_t segment,
                                    char name[WAL_NAME_SIZE]);
#define SEGMENT_NAME(stream, segment)                                                              \
    wal_stream_segment_name((stream), (segment), (char[WAL_NAME_SIZE]){0})

/* Set the error for a segment that is nowhere. Returns false. */
bool error_missing_wal(const WalStream *stream, uint64_t segment, Error *error);

/* Add a hint to an error about WAL that cannot be read: which segment has to be replaced, if it is
 * the target's. False. */
bool error_damaged_wal(const WalStream *stream, uint64_t segment, Error *error);

#endif
