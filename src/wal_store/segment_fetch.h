/*
 * Segments of WAL that a source is asked for piece by piece: one, or many at once.
 */
#ifndef WAL_STORE_SEGMENT_FETCH_H
#define WAL_STORE_SEGMENT_FETCH_H

#include "base/error.h"
#include "source/source.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEGMENT_PIECES_MAX 64 /* that one request asks the source for, at most */

typedef struct SegmentFetch
{
    const char *source_path; /* pg_wal/NAME */
    const char *path;        /* the file that is written: it is made, if it is not there */
    const char *whole_path;  /* when all has come the file is extended to whole_size by zeros, and
                                gets this name; if the source does not have all it is removed. NULL:
                                the caller does what is to be done */
    uint32_t whole_size;
    uint32_t size; /* how much of the segment is fetched, from its first byte; 0: nothing */

    /* Set by segments_fetch. */
    atomic_bool missing;            /* the source no longer has it, or not that much of it */
    atomic_uint_least64_t received; /* bytes */
    atomic_size_t pieces_left;
} SegmentFetch;

/* A source is asked for that much at once. */
uint32_t segment_piece_size(const Source *source);

/*
 * Fetch the first `size` bytes of each of `count` segments, in `workers` threads, which the source
 * has granted; one request asks for at most pieces_at_once pieces (at most SEGMENT_PIECES_MAX).
 * size_max: no segment's size is larger. That a segment is missing is no error. After a failure
 * files may be left at `path`.
 */
MUST_CHECK bool segments_fetch(Source *source, int workers, size_t pieces_at_once,
                               uint32_t size_max, SegmentFetch *segments, size_t count,
                               Error *error);

#endif
