/*
 * The target's WAL, held while its server is stopped: the last thing that a server does when it is
 * stopped cleanly is a checkpoint, which removes or recycles what no recovery of this server needs
 * any more. A rewind may need it.
 *
 * PGDATA/pg_wal/pg_rewind.work.held gets a second name or a copy of each segment. The WAL store
 * looks there where pg_wal lacks a segment. Why links and copies:
 * design/interruption.md, "What the stop would remove".
 */
#ifndef WAL_STORE_HELD_WAL_H
#define WAL_STORE_HELD_WAL_H

#include "wal_store/wal_store.h"

typedef struct HeldWal
{
    WalShape shape;
    const char *wal_directory; /* PGDATA/pg_wal */
    Lsn needed_from;           /* a rewind needs at least the WAL from here on */
} HeldWal;

/*
 * Hold what pg_wal of a server that runs has. May be repeated, including after a kill. Segments
 * that can neither be linked nor copied are left out. An error only where nothing can be held, or a
 * signal asks pg_rewind to stop.
 */
MUST_CHECK bool held_wal_take(const HeldWal *held, Error *error);

/* Remove what is held; nothing to do where nothing is. */
MUST_CHECK bool held_wal_release(const char *wal_directory, Error *error);

#endif
