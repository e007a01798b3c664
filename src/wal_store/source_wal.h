/*
 * The WAL that the rewound target will replay: the source's, from where recovery starts.
 *
 * wal_store.h lists the places of a segment. It is read (source_wal_read.c) before the plan is
 * made, since the plan rests on it, and staged from there afterwards.
 */
#ifndef WAL_STORE_SOURCE_WAL_H
#define WAL_STORE_SOURCE_WAL_H

#include "wal/scan.h"
#include "wal_store/listed_wal.h"
#include "wal_store/wal_store.h"

#include <stdatomic.h>

/* The effect of fetching on the progress. */
typedef enum WalFetchProgress
{
    WAL_FETCH_IS_PHASE,   /* it begins and ends a phase */
    WAL_FETCH_IS_COUNTED, /* its bytes count in the phase at hand */
    WAL_FETCH_IS_SILENT   /* the phase at hand only goes on printing */
} WalFetchProgress;

/* Only this folder sets its fields; divergence.c sets the store's limits, and callers the
 * progress. */
typedef struct SourceWal
{
    Options options; /* its strings are the caller's */
    const Clusters *clusters;
    WalStore *store;
    Arena *arena;
    Scratch *scratch;
    bool only_reads;  /* a dry run or a look: nothing that is fetched is staged */
    Lsn had_end;      /* WAL before it was on the source's disk; LSN_INVALID: see listed_wal_read */
    ListedWal listed; /* of the source; when segments are first asked for */
    Lsn fetched_from; /* LSN_INVALID: nothing was fetched before */
    Lsn fetched_end;  /* segments that end up to here were fetched, as far as the source had
                         them */
    uint64_t part_segment;  /* the last one that was fetched in part */
    uint32_t part_size;     /* from its first byte; 0: there is none */
    bool lost_read_wal;     /* a dry run has removed what a rewind keeps: it did not fit */
    uint64_t removed_bytes; /* that were fetched to be read only (source_wal_remove_before) */
    bool has_command;       /* the store's restore command was given, or was looked for */
    Lsn archived_end;       /* the last segment that only an archive has, of those that were looked
                               for by the reading, ends here; LSN_INVALID: the source has all */
    WalFetchProgress progress;
    atomic_uint_least64_t fetched_bytes; /* and how long that took, for a thread that reads, too */
    atomic_uint_least64_t fetch_microseconds;
} SourceWal;

/*
 * clusters may still lack its histories; it, the arena and scratch must live as long. only_reads:
 * scratch is not of the target. state is the source's. restore_command: NULL if none is to be
 * asked. The caller destroys the store.
 */
SourceWal *source_wal_create(const Options *options, const Clusters *clusters,
                             const SourceState *state, const char *restore_command,
                             Scratch *scratch, bool only_reads, Arena *arena);

/* ---- Fetching ---- */

/* A WalStoreFetch: fetch the source's pg_wal/NAME to the file path; the context is the SourceWal.
 */
MUST_CHECK bool source_wal_fetch_segment(void *wal, const char *name, const char *path, bool *found,
                                         Error *error);

/*
 * Fetch the segments of [from, end) to the scratch directory, as far as the source has them;
 * segments that it or the target has are not fetched again. Nothing to do for a directory.
 */
MUST_CHECK bool source_wal_fetch(SourceWal *wal, Lsn from, Lsn end, Error *error);

/* Set *has if the source itself has this segment, in its pg_wal. Archives are not asked. */
MUST_CHECK bool source_wal_source_has(const SourceWal *wal, uint64_t segment, bool *has,
                                      Error *error);

/*
 * Set *first to the first segment of [from, end) that the target does not keep and that is gone
 * from the source, and *gone_end to the end of the last; else to the first that the target does not
 * keep, and LSN_INVALID. Archives are not asked.
 */
MUST_CHECK bool source_wal_find_gone(SourceWal *wal, Lsn from, Lsn end, uint64_t *first,
                                     Lsn *gone_end, Error *error);

/* The bytes of [from, end) that source_wal_fetch would ask for. 0 for a directory. */
uint64_t source_wal_bytes_to_fetch(const SourceWal *wal, Lsn from, Lsn end);

/*
 * An error if a rewind has no room for [from, end), as far as it is not here or in what the target
 * keeps, and for so many bytes beside it: a dry run and a look ask for the room that the rewind
 * would have on the target's disk. Nothing to do for a directory.
 */
MUST_CHECK bool source_wal_check_space(const SourceWal *wal, Lsn from, Lsn end, uint64_t beside,
                                       Error *error);

/* Set *bytes to the free space where WAL is fetched to. */
MUST_CHECK bool source_wal_scratch_room(const SourceWal *wal, uint64_t *bytes, Error *error);

/* Bytes in a second, as the source sent its WAL; 0: it has not sent enough to tell. What was asked
 * for and did not come does not count. */
double source_wal_fetch_rate(const SourceWal *wal);

/* Remove all that a dry run has fetched: it stages nothing, and what it needs again is fetched
 * again. */
MUST_CHECK bool source_wal_remove_fetched(SourceWal *wal, Error *error);

/* Remove the copy of a segment that was fetched, if there is one. */
MUST_CHECK bool source_wal_remove(SourceWal *wal, uint64_t segment, Error *error);

/* The same for the segments from the one that holds `from` up to the one that holds lsn, which
 * stays; also for what an archive had of them, if it was copied here. */
MUST_CHECK bool source_wal_remove_before(SourceWal *wal, Lsn from, Lsn lsn, Error *error);

/* ---- Segments ---- */

/* The first segment at or after that of `from` which the target does not have or keep: it must come
 * from the source or an archive. */
uint64_t source_wal_first_not_kept(const SourceWal *wal, Lsn from);

/* How much of the segment lies in the scratch directory, from its first byte; in a dry run, which
 * may have removed it, what a rewind would have there. */
uint32_t source_wal_fetched_bytes(const SourceWal *wal, uint64_t segment);

/* A file on this machine that holds the segment, restored from the archive if need be; the target's
 * own restore command is asked last. *may_take: it lies in the scratch directory, and can be moved
 * to where it is wanted. *found false: it is nowhere. */
MUST_CHECK bool source_wal_find(SourceWal *wal, uint64_t segment, Buffer *path, bool *may_take,
                                bool *found, Error *error);

/*
 * All segments of [from, end), which were fetched, must be somewhere, also for the target's own
 * restore command; else an error names those that are nowhere, of which the last ends at
 * *missing_end. LSN_INVALID: none. WAL is needed up to needed_end: if the last of these segments is
 * missing, so are those that follow, up to the first that is somewhere (servers remove the oldest
 * first), and, if any is missing, all later ones that are gone from the source, up to the first
 * that an archive has.
 */
MUST_CHECK bool source_wal_check_there(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end,
                                       Lsn *missing_end, Error *error);

/*
 * Have the store ask the target's own restore command from now on, as -c would: the server that
 * will start finds there what the source no longer has. False: the target has no such command, or
 * it is asked already, or an option names another one.
 */
bool source_wal_ask_target_command(SourceWal *wal);

/* Set *can if the target's own restore command has a segment that the source no longer has. It is
 * false where a directory is asked first. */
MUST_CHECK bool source_wal_target_can_restore(SourceWal *wal, uint64_t segment, bool *can,
                                              Error *error);

bool error_source_wal_missing(const Version *version, const char *names, Error *error);

/* ---- Reading ---- */

/* It lives as long as the scan. */
typedef struct SourceWalReading
{
    Lsn from; /* where recovery may start */
    Lsn end;
    bool once; /* the copy of a segment that was fetched is removed as soon as it was read, but not
                  of the one in which `end` lies */

    /* Set by source_wal_read. */
    Lsn last_end;    /* where the last whole record ends */
    Lsn missing_end; /* it failed: segments are nowhere, or are not the source's, of which one ends
                        here; else LSN_INVALID */
} SourceWalReading;

/*
 * Read WAL; each record is checked. What is not here is fetched, some segments at a time, when
 * reading comes to them. *result tells what the records say, also which blocks are rebuilt. A hole
 * or damage before the end is an error, and so are segments that are nowhere. *scan is the caller's
 * to destroy on success; the strings of *result live as long as the SourceWal's arena.
 */
MUST_CHECK bool source_wal_read(SourceWal *wal, SourceWalReading *reading, WalScan **scan,
                                ScanResult *result, Error *error);

/* The room, at least, that reading [from, end) takes with `once`, in bytes. */
uint64_t source_wal_room_to_read(const SourceWal *wal, Lsn from, Lsn end);

/* The same for the stream's segments, up to its limit, without what is rebuilt. The stream lives as
 * long as the scan. */
MUST_CHECK bool source_wal_check_chain(SourceWal *wal, const WalStream *stream, Lsn from,
                                       WalScan **scan, ScanResult *result, Lsn *last_end,
                                       Error *error);

/*
 * Complete state->position, which is in no file of a stopped data directory: its WAL is read
 * from its last checkpoint to the last record. Nothing shows how far a stopped standby has
 * replayed: it may have removed or copied directories past its minRecoveryPoint, which does not
 * wait for that; then recovery must pass all the WAL it has.
 */
MUST_CHECK bool source_wal_find_end(SourceWal *wal, SourceState *state, Error *error);

#endif
