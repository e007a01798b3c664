/*
 * The cost of the ways from the divergence to a target that is ready, in seconds until it is. Bytes
 * would not do: replay takes time, but no byte crosses the link.
 *
 *     way                 the WAL before the late start    then
 *     early               comes                            is replayed
 *     late by WAL         comes                            its blocks are fetched
 *     late by summaries   its rest comes                   its blocks are fetched
 *     late by comparing   -                                all blocks are compared, some fetched
 */
#ifndef RECOVERY_START_ESTIMATE_H
#define RECOVERY_START_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* With less WAL between the two starts the early one is taken: nothing can be gained. */
#define ESTIMATE_WAL_MIN ((uint64_t) 64 * 1024 * 1024)

/* Less WAL is read whatever it costs, and no checkpoint is made for it. */
#define ESTIMATE_WAL_MUCH ((uint64_t) 512 * 1024 * 1024)

/* The quantities of one late way, beside those of the early start. */
typedef struct StartEstimate
{
    uint64_t wal_bytes;      /* before the late start */
    uint64_t fetched_bytes;  /* of these, the ones that only the early start needs to receive: none
                                where the WAL is read to find the blocks */
    uint64_t block_bytes;    /* that a late start fetches, of blocks and of the rest of the WAL */
    uint64_t compared_bytes; /* of relations, where they are compared instead of reading WAL */
    double bytes_per_second; /* as the source sends them; 0: it is at hand, or not known */
} StartEstimate;

/* True if the late start costs clearly less than the early one. */
bool estimate_prefers_late(const StartEstimate *estimate);

/* True if comparing these relations costs clearly less than receiving and reading this WAL. Both
 * find the same blocks. */
bool estimate_prefers_comparing(uint64_t wal_bytes, uint64_t relation_bytes);

#endif
