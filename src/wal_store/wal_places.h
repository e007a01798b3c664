/*
 * Where WAL is looked for: the archives that options name, and what a segment's position says about
 * the places that may be asked for it.
 */
#ifndef WAL_STORE_WAL_PLACES_H
#define WAL_STORE_WAL_PLACES_H

#include "format/control.h"
#include "format/walpage.h"
#include "options.h"

#define WAL_ARCHIVES_MAX 4

/* Positions by which the spans of a store's WAL are told apart: wal_span_of. */
typedef struct WalLimits
{
    /* The cluster is known to have had WAL up to here: the end of pg_control's checkpoint record,
     * or minRecoveryPoint. LSN_INVALID: the source is a server, which says where its WAL ends. */
    Lsn known_end;
    /* From here on WAL may end: the cluster was shut down cleanly, and needs no more than the
     * record that begins here (its checkpoint), or than what is before here (minRecoveryPoint).
     * Else LSN_INVALID. See wal_store_open. */
    Lsn last_needed;
    /* Where the histories part; LSN_INVALID until the caller finds it out. */
    Lsn divergence;
    bool is_proven; /* WAL proves the divergence, and not the history files alone */
} WalLimits;

/*
 * What holds for a segment.
 *
 * segments                                        is_common  asks_archives
 * that end at or before a proven divergence       yes        yes
 * that end at or before one that is not proven    no         no
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

/* The limits that a cluster's pg_control tells. */
WalLimits wal_limits_of(const Control *control);

WalSpan wal_span_of(const WalShape *shape, const WalLimits *limits, uint64_t segment);

#endif
