/*
 * Places where WAL is looked for: the archives that options name, and rules by which a segment's
 * position allows or forbids to ask a place.
 */
#ifndef WAL_STORE_WAL_PLACES_H
#define WAL_STORE_WAL_PLACES_H

#include "format/control.h"
#include "format/walpage.h"
#include "options.h"

#define WAL_ARCHIVES_MAX 4

/* LSNs that divide a store's WAL into spans with different rules: wal_span_of. */
typedef struct WalLimits
{
    /* End of the WAL that the cluster is known to have had: the end of pg_control's checkpoint
     * record, minRecoveryPoint, or what target_wal_find_newest has found. LSN_INVALID: the source
     * is a server, which itself reports the end of its WAL. */
    Lsn known_end;
    /*
     * LSN of a byte in the last record that a cleanly stopped cluster needs: the start of its
     * checkpoint record, or the byte before minRecoveryPoint. WAL may end in the segment of this
     * byte or any later one (WalSpan.may_end). LSN_INVALID: the cluster was not shut down cleanly.
     * See wal_store_open.
     */
    Lsn last_needed;
    /* LSN of the divergence; LSN_INVALID until the caller has found it. */
    Lsn divergence;
    bool is_proven; /* WAL proves the divergence; false: only the history files say so */
} WalLimits;

/*
 * The rules for a segment, which wal_span_of works out from the limits each time: the divergence
 * becomes known late and may be taken back, and some limits are needed to the byte elsewhere.
 *
 * segments                                        is_common  asks_archives
 * that end at or before a proven divergence       yes        yes
 * that end at or before one that is not proven    no         no: an archive may hold another
 *                                                            server's WAL there
 * between this and known_end                      no         yes
 * that begin at or after known_end                as above   no: an archive may hold WAL that this
 *                                                            cluster, if it was lagging, never had
 */
typedef struct WalSpan
{
    bool is_common;     /* the source has the segment, and the target keeps its own */
    bool asks_archives; /* places other than a cluster's own pg_wal may be asked */
    bool may_end;       /* WAL may end in it: a .partial file need not be complete */
} WalSpan;

/* The options that name a directory of archived WAL, with commas between them; in arena. */
const char *wal_archive_options(Arena *arena);

/* An error, with the option's name, if a directory of --wal-archive cannot be read. */
MUST_CHECK bool wal_archives_check(const Options *options, Error *error);

/* The directories that options name, as they are asked; NULL after the last. */
void wal_archives_of(const Options *options, const char *archives[WAL_ARCHIVES_MAX + 1]);

/* The limits that follow from a cluster's pg_control; the divergence is not set. */
WalLimits wal_limits_of(const Control *control);

WalSpan wal_span_of(const WalShape *shape, const WalLimits *limits, uint64_t segment);

#endif
