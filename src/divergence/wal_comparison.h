/*
 * Comparison of the WAL of both sides, byte by byte.
 *
 * Equal timeline numbers prove nothing: two servers may each have created a timeline 2. So the
 * history files give only the latest possible divergence, and the target's WAL before it must be
 * identical to the source's.
 */
#ifndef DIVERGENCE_WAL_COMPARISON_H
#define DIVERGENCE_WAL_COMPARISON_H

#include "source/source.h"
#include "wal/reader.h"

/* The input: the WAL of both sides. */
typedef struct WalSides
{
    const WalStream *target;         /* WAL that the target itself has written or received */
    const WalStream *target_archive; /* archive, used if `target` lacks a segment at whose end both
                                        sides were on different timelines */
    Source *source;
    const History *source_history;
    const WalStream *archive;    /* used for segments that the source no longer has; or NULL */
    bool archive_of_source_only; /* use `archive` only for segments that the target cannot have
                                    archived */
    int workers;                 /* number of the source's workers */
    /* Set *no_content if no server reads the target's byte at lsn and the rest of its segment, as
     * after a WAL switch. */
    bool (*is_no_content)(void *context, Lsn lsn, bool *no_content, Error *error);
    void *context;
} WalSides;

typedef struct WalComparison
{
    bool differs;
    bool differs_in_archive; /* the difference is in a segment of `archive` that the target could
                                have archived; since it differs, the target has not */
    bool target_lacks;       /* the target lacks some of the compared WAL */
    Lsn lsn; /* LSN of the first different byte; the end of the comparison if none differs */
    /* All bytes from equal_from to lsn are equal, without a gap; equal_from is lsn if none are. */
    Lsn equal_from;
    Lsn own_from; /* the bytes from own_from to lsn are equal to WAL that cannot come from the
                     target: from the source's pg_wal, or from a segment of `archive` on a timeline
                     that the target was not on */
} WalComparison;

/*
 * Compare the target's WAL in [from, to) with the source's: first by digests, then byte by byte in
 * the piece that differs. A segment that either side lacks proves nothing and is skipped. If the
 * bytes that differ are not content (is_no_content), the rest of their segment counts as equal.
 * (Rule C16.)
 */
MUST_CHECK bool wal_compare(const WalSides *sides, Lsn from, Lsn to, WalComparison *comparison,
                            Error *error);

#endif
