/*
 * The WAL that the rewound target will replay: the source's, from where recovery starts.
 *
 * wal_store.h lists the places of a segment. The WAL is read (source_wal_read.c) before the plan is
 * made, because the plan depends on it; later its segments are staged from the same places.
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
    WAL_FETCH_IS_PHASE,   /* fetching begins and ends a phase of the progress */
    WAL_FETCH_IS_COUNTED, /* fetched bytes count in the current phase */
    WAL_FETCH_IS_SILENT   /* fetched bytes do not count; the current phase continues to print */
} WalFetchProgress;

/* The source's WAL and the state of fetching it. Fields are set in this folder only, with two
 * exceptions: divergence.c sets the store's limits, and callers set `progress`. */
typedef struct SourceWal
{
    Options options; /* a copy; strings are the caller's */
    const Clusters *clusters;
    WalStore *store;
    Arena *arena;
    Scratch *scratch;
    bool only_reads;  /* a dry run or a look: nothing that is fetched is staged */
    Lsn flushed_end;  /* end of what was on the source's disk; LSN_INVALID: see listed_wal_read */
    ListedWal listed; /* the source's segments; listed when one is first asked for */
    Lsn fetched_from; /* start of the range fetched so far; LSN_INVALID: none yet */
    Lsn fetched_end;  /* end of that range, fetched if the source had it */
    WalStore *target_wal;   /* store from which source_wal_take_own lets bytes be read */
    Lsn own_end;            /* `end` of source_wal_take_own; LSN_INVALID: no bytes are taken */
    uint64_t part_segment;  /* number of the last segment that was fetched in part */
    uint32_t part_size;     /* bytes of that segment, from its first; 0: none was fetched in part */
    bool dropped_read_wal;  /* a dry run lacked space and removed WAL that a rewind keeps */
    uint64_t removed_bytes; /* bytes removed after they were read (source_wal_remove_before) */
    bool has_command;       /* the store's restore command was given, or was already looked for */
    Lsn archived_end; /* end of the last segment, of those that source_wal_read needed, that only an
                         archive has; LSN_INVALID: the source has all */
    WalFetchProgress progress;
    atomic_uint_least64_t fetched_bytes; /* read by other threads, with fetch_microseconds */
    atomic_uint_least64_t fetch_microseconds;
} SourceWal;

/* Create the SourceWal in the arena, with a store that the caller destroys. clusters may still lack
 * its histories; clusters, the arena and scratch must live as long. only_reads: scratch lies
 * outside of the target. state is the source's. restore_command: NULL if none is to be asked. */
SourceWal *source_wal_create(const Options *options, const Clusters *clusters,
                             const SourceState *state, const char *restore_command,
                             Scratch *scratch, bool only_reads, Arena *arena);

/* ---- Fetching ---- */

/* Ask a source server for WAL from `from` on, which will be fetched next, together with the next
 * question: at most to `end`, up to which it was flushed, and to the segment's end. */
void source_wal_expect(const SourceWal *wal, Lsn from, Lsn end);

/* Ask for what the source writes after the WAL that was fetched together with the state at the end
 * of reading. */
void source_wal_expect_last(const SourceWal *wal);

/* A WalStoreFetch, whose context is the SourceWal: fetch the source's pg_wal/NAME to the file path;
 * path NULL: only look whether the source has the file. */
MUST_CHECK bool source_wal_fetch_segment(void *wal, const char *name, const char *path, bool *found,
                                         Error *error);

/* Fetch those segments of [from, end) that the source has to the scratch directory. Segments that
 * the scratch directory already has, or that the target keeps, are not fetched again. Does nothing
 * if the source is a directory. */
MUST_CHECK bool source_wal_fetch(SourceWal *wal, Lsn from, Lsn end, Error *error);

/*
 * Take the bytes before `end`, from the start of its segment on, from the target's own WAL instead
 * of fetching them: they were compared and are identical to the source's. LSN_INVALID: take none.
 * Does nothing if the source is a directory.
 * target_wal must live as long as wal.
 */
void source_wal_take_own(SourceWal *wal, WalStore *target_wal, Lsn end);

/* Returns the number of bytes of a segment, from its first, that are taken so. */
uint32_t source_wal_own_bytes(const SourceWal *wal, uint64_t segment);

/* Set *has if the source itself has this segment, in its pg_wal. Archives are not asked. */
MUST_CHECK bool source_wal_source_has(const SourceWal *wal, uint64_t segment, bool *has,
                                      Error *error);

/* Find the segments of [from, end) that neither the source (by its list) nor the target has. *first
 * is the first of them, *gone_end the end of the last. Otherwise *gone_end is LSN_INVALID, and
 * *first is the first segment that the target does not keep. Archives are not asked. */
MUST_CHECK bool source_wal_find_gone(SourceWal *wal, Lsn from, Lsn end, uint64_t *first,
                                     Lsn *gone_end, Error *error);

/* The bytes of [from, end) that source_wal_fetch would ask for. 0 for a directory. */
uint64_t source_wal_bytes_to_fetch(const SourceWal *wal, Lsn from, Lsn end);

/* Check that a rewind has room for fetching [from, end), without the part that is already fetched
 * or that the target keeps, and for `beside` more bytes. A dry run and a look check the space that
 * a rewind would have on the target's disk. Does nothing if the source is a directory. */
MUST_CHECK bool source_wal_check_space(const SourceWal *wal, Lsn from, Lsn end, uint64_t beside,
                                       Error *error);

/* Set *bytes to the free space of the scratch directory's file system. */
MUST_CHECK bool source_wal_scratch_room(const SourceWal *wal, uint64_t *bytes, Error *error);

/* The rate at which the source sent its WAL, in bytes per second; 0: too little was sent to tell.
 * Bytes that were asked for and did not arrive do not count. */
double source_wal_fetch_rate(const SourceWal *wal);

/* Remove all WAL that a dry run has fetched: a dry run stages nothing. Segments that are needed
 * later are fetched again. */
MUST_CHECK bool source_wal_remove_fetched(SourceWal *wal, Error *error);

/* Remove the copy of a segment that was fetched, if there is one. */
MUST_CHECK bool source_wal_remove(SourceWal *wal, uint64_t segment, Error *error);

/* Remove copies of segments, fetched from the source or from an archive: those from the segment of
 * the position `from` on, up to but not including the segment of the position lsn. */
MUST_CHECK bool source_wal_remove_before(SourceWal *wal, Lsn from, Lsn lsn, Error *error);

/* ---- Segments ---- */

/* The bytes of the segment, from its first one, that lie in the scratch directory; in a dry run,
 * which may have removed them, the bytes that a rewind would have there. */
uint32_t source_wal_fetched_bytes(const SourceWal *wal, uint64_t segment);

/* Find a file on this machine that holds the segment; a segment in the archive is restored. The
 * target's own restore command is asked last. *may_take: the file lies in the scratch directory,
 * and can be moved from there. *found is false if no place has the segment. */
MUST_CHECK bool source_wal_find(SourceWal *wal, uint64_t segment, Buffer *path, bool *may_take,
                                bool *found, Error *error);

/*
 * Check that a place, including the target's own restore command, has each segment of [from, end),
 * which was fetched. Otherwise the error names the missing segments, and *missing_end is the end of
 * the last of them; it is LSN_INVALID if none is missing.
 *
 * So that the list of an error is complete, it includes segments after `end` that are needed up to
 * needed_end: if the last segment before `end` is missing, those that follow, up to the first that
 * a place has (servers remove the oldest first); and if any is missing, later ones that are gone
 * from the source, up to the first that an archive has.
 */
MUST_CHECK bool source_wal_check_there(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end,
                                       Lsn *missing_end, Error *error);

/* Let the store ask the target's own restore command from now on, like -c: the rewound target's
 * server will ask it too, for segments that the source no longer has. Returns false if the target
 * has no such command, if it is asked already, or if an option names another one. */
bool source_wal_ask_target_command(SourceWal *wal);

/* Set *can if the target's own restore command has a segment that the source no longer has. Always
 * false with --wal-archive, whose directories are asked first, and with another restore command by
 * an option. */
MUST_CHECK bool source_wal_target_can_restore(SourceWal *wal, uint64_t segment, bool *can,
                                              Error *error);

/* Set the error that the source no longer has WAL; names: a list of the missing files. Returns
 * false. */
bool error_source_wal_missing(const Version *version, const char *names, Error *error);

/* ---- Reading ---- */

/* The range that source_wal_read reads, and its results. Must live as long as the scan. */
typedef struct SourceWalReading
{
    Lsn from; /* where recovery may start */
    Lsn end;
    bool once; /* remove the fetched copy of each segment as soon as it was read, except the copy of
                  the segment with the position `end` */

    /* Set by source_wal_read. */
    Lsn last_end;    /* end of the last whole record */
    Lsn missing_end; /* after a failure: end of the last segment that is missing, or not the
                        source's; otherwise LSN_INVALID */
} SourceWalReading;

/*
 * Read WAL of the range, and check each record. Segments that are not on this machine are fetched,
 * some at a time, when reading reaches them. *result has the findings, including the blocks that
 * recovery rebuilds. Errors are a gap or damage before the end, a segment that no place has, and
 * WAL that the source wrote with wal_level = minimal. *scan is the caller's to destroy on success;
 * the strings of *result live as long as the SourceWal's arena.
 */
MUST_CHECK bool source_wal_read(SourceWal *wal, SourceWalReading *reading, WalScan **scan,
                                ScanResult *result, Error *error);

/* The disk space, in bytes, that reading [from, end) with `once` takes at least. */
uint64_t source_wal_room_to_read(const SourceWal *wal, Lsn from, Lsn end);

/*
 * Read and check the records of the stream's segments from `from` to the stream's limit, as
 * source_wal_read does, without fetching and without the blocks that recovery rebuilds. *last_end
 * is the end of the last whole record. The stream must live as long as the scan, which the caller
 * destroys.
 */
MUST_CHECK bool source_wal_check_chain(SourceWal *wal, const WalStream *stream, Lsn from,
                                       WalScan **scan, ScanResult *result, Lsn *last_end,
                                       Error *error);

/*
 * Complete state->position for a stopped source, where no file has it: read the WAL from the last
 * checkpoint to the last record. No file shows how far a stopped standby has replayed: it may have
 * removed or copied directories past its minRecoveryPoint, which is not updated for that. Then
 * recovery must replay all the WAL that the standby has.
 */
MUST_CHECK bool source_wal_find_end(SourceWal *wal, SourceState *state, Error *error);

#endif
