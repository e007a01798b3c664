/*
 * The WAL of both sides, byte by byte.
 *
 * Equal timeline numbers prove nothing: two servers may each have made a timeline 2. So what the
 * history files say is only the latest point that is possible, and the target's WAL before it must
 * be the source's, byte by byte.
 */
#ifndef DIVERGENCE_WAL_COMPARISON_H
#define DIVERGENCE_WAL_COMPARISON_H

#include "source/source.h"
#include "wal/reader.h"

/* The WAL of both sides. */
typedef struct WalSides
{
    const WalStream *target;         /* what the target itself has written or received */
    const WalStream *target_archive; /* asked for the segment in which the target left the source's
                                        timeline, or the source the target's: the scan has found the
                                        target's WAL to go on there */
    Source *source;
    const History *source_history;
    const WalStream *archive;    /* asked for segments that the source no longer has; or NULL */
    bool archive_of_source_only; /* but only for those that the target has not archived */
    int workers;                 /* of the source */
    /* Set *no_content if nothing reads this byte of the target's, nor those that follow it in its
       segment. */
    bool (*is_no_content)(void *context, Lsn lsn, bool *no_content, Error *error);
    void *context;
} WalSides;

typedef struct WalComparison
{
    bool differs;
    bool differs_in_archive; /* in a segment of the archive: so it is not one that the target has
                                archived */
    bool target_lacks;       /* some of these bytes */
    Lsn lsn; /* of the first byte of the target's WAL that is not the source's; else the end */
    /* From here to lsn all bytes were found equal, without a gap. lsn: none. */
    Lsn equal_from;
    Lsn own_from; /* from here to lsn they were compared with the source's own pg_wal, or with
                     segments of an archive on a timeline that the target was not on there; before
                     that with other ones of an archive, which the target may have archived */
} WalComparison;

/*
 * Compare the target's WAL in [from, to) with the source's: by digests, then by the bytes of the
 * piece that differs. A segment that either does not have proves nothing and is passed over. Where
 * bytes differ that are no content, the rest of their segment counts as equal. (Rule C16.)
 */
MUST_CHECK bool wal_compare(const WalSides *sides, Lsn from, Lsn to, WalComparison *comparison,
                            Error *error);

#endif
