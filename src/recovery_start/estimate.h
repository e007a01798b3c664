/*
 * Which start brings the standby back sooner: the WAL before a late start is replayed, or the
 * blocks that it names are fetched.
 */
#ifndef RECOVERY_START_ESTIMATE_H
#define RECOVERY_START_ESTIMATE_H

#include <stdbool.h>
#include <stdint.h>

/* Less WAL than that between the two starts, and the early one is taken: nothing is to be won. */
#define ESTIMATE_WAL_MIN ((uint64_t) 64 * 1024 * 1024)

/* Less WAL than that is read whatever it costs, and no checkpoint is made for it. */
#define ESTIMATE_WAL_MUCH ((uint64_t) 512 * 1024 * 1024)

/* What is known when they are compared. */
typedef struct StartEstimate
{
    uint64_t wal_bytes;      /* before the late start */
    uint64_t fetched_bytes;  /* of it, what only the early start has fetched: none where it was read
                                to find the blocks */
    uint64_t block_bytes;    /* of the blocks that this WAL names, as far as is known or expected */
    uint64_t compared_bytes; /* of relations, where they are compared instead of reading WAL */
    double bytes_per_second; /* as the source sends them; 0: it is at hand, or not known */
} StartEstimate;

/* Seconds until that WAL has come and is replayed, and until those blocks were found and have come.
 */
double estimate_replay_seconds(const StartEstimate *estimate);
double estimate_fetch_seconds(const StartEstimate *estimate);

/* Is the one clearly better, or the other? */
bool estimate_prefers_late(const StartEstimate *estimate);
bool estimate_prefers_early(const StartEstimate *estimate);

/* Is the late start better, however fast the source sends? */
bool estimate_prefers_late_at_any_rate(const StartEstimate *estimate);

/* Is it clearly better to compare so many bytes than to have so much WAL sent, and read it? */
bool estimate_prefers_comparing(uint64_t wal_bytes, uint64_t relation_bytes);

#endif
