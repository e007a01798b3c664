/*
 * The target's WAL, held while its server is being stopped. A clean stop ends with a checkpoint,
 * which removes or recycles segments that no recovery of this server needs; a rewind may need them.
 *
 * Each segment gets a second name (a hard link) or a copy in PGDATA/pg_wal/pg_rewind.work.held. The
 * WAL store looks there where pg_wal lacks a segment. Why links and copies: design/interruption.md,
 * "What the stop would remove".
 */
#ifndef WAL_STORE_HELD_WAL_H
#define WAL_STORE_HELD_WAL_H

#include "wal_store/wal_store.h"

typedef struct HeldWal
{
    WalShape shape;
    const char *wal_directory; /* PGDATA/pg_wal */
    Lsn needed_from;           /* start of the WAL that a rewind needs: links to segments from
                                  here on are replaced by copies, while space suffices; older
                                  segments are only linked */
} HeldWal;

/* Hold the segments in pg_wal of a server that runs. May be repeated, including after a kill.
 * Segments that can neither be linked nor copied are left out. An error only if no segment can be
 * held, or a signal asks pg_rewind to stop. */
MUST_CHECK bool held_wal_take(const HeldWal *held, Error *error);

/* Remove the held segments, if there are any. */
MUST_CHECK bool held_wal_release(const char *wal_directory, Error *error);

#endif
