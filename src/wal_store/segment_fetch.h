/*
 * Segments of WAL that come from the source: one, or many at once.
 */
#ifndef WAL_STORE_SEGMENT_FETCH_H
#define WAL_STORE_SEGMENT_FETCH_H

#include "base/error.h"
#include "source/source.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct SegmentFetch
{
    const char *source_path; /* pg_wal/NAME */
    const char *path;        /* the file that is written: it is made if it is not there */
    const char *whole_path;  /* when all has come the file is extended to whole_size by zeros, and
                                gets this name; if the source does not have all it is removed. NULL:
                                the caller does that */
    uint32_t whole_size;
    uint32_t size; /* how much of the segment is fetched, from its first byte; 0: nothing */

    /* Set by segments_fetch. */
    atomic_bool missing;            /* the source no longer has it, or not that much of it */
    atomic_uint_least64_t received; /* bytes */
    atomic_uint_least64_t left;     /* bytes of the pieces that are not done */
} SegmentFetch;

/*
 * Fetch the first `size` bytes of each of `count` segments, in `workers` threads, which the source
 * has granted. What is fetched is divided between the workers, and a request to the source asks for
 * no more than 16 MB. That a segment is missing is no error. After a failure files may be left at
 * `path`.
 */
MUST_CHECK bool segments_fetch(Source *source, int workers, SegmentFetch *segments, size_t count,
                               Error *error);

#endif
