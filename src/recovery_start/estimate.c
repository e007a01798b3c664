#include "recovery_start/estimate.h"

/* Bytes that one process replays in a second. With its pages in memory 250 to 450 MB were measured;
 * but some have to be read from the disk. */
#define REPLAY_RATE 125e6

/* For bytes of which none was sent that would tell the rate: another directory, WAL that is here.
 */
#define RATE_AT_HAND 500e6

/* A block is asked for by its number, and written twice: to the data file, then to its place. */
#define BLOCK_COST 1.5

/* Both sides read and digest a byte that is compared, in about half the time in which one of WAL is
 * sent, written and read. Where the link is slow it is less. */
#define COMPARE_COST 0.5

/* The early start leaves more WAL for another rewind, and asks less of the source. */
#define PREFERENCE 1.25

bool estimate_prefers_late(const StartEstimate *estimate)
{
    const double rate = estimate->bytes_per_second > 0 ? estimate->bytes_per_second : RATE_AT_HAND;
    const double early =
        (double) estimate->wal_bytes / REPLAY_RATE + (double) estimate->fetched_bytes / rate;
    const double late = ((double) estimate->block_bytes * BLOCK_COST +
                         (double) estimate->compared_bytes * COMPARE_COST) /
                        rate;

    return late * PREFERENCE < early;
}

bool estimate_prefers_comparing(uint64_t wal_bytes, uint64_t relation_bytes)
{
    return (double) relation_bytes * COMPARE_COST * PREFERENCE < (double) wal_bytes;
}
