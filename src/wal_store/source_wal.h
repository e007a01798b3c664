/*
 * The WAL that the rewound target will replay: the source's, from where recovery starts.
 *
 * A segment is in one of these places: the target's own pg_wal, if it is common history and the
 * target keeps it; the source's pg_wal (of a server: fetched to the scratch directory, once); an
 * archive, for what the source no longer has. It is read before the plan is made, since the plan
 * rests on it, and staged from there afterwards.
 */
#ifndef WAL_STORE_SOURCE_WAL_H
#define WAL_STORE_SOURCE_WAL_H

#include "base/arena.h"
#include "base/buffer.h"
#include "base/error.h"
#include "pair/clusters.h"
#include "io/file.h"
#include "options.h"
#include "wal/scan.h"
#include "wal_store/archive.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct SourceWal SourceWal;

/*
 * clusters may still lack its histories; it, the arena and scratch, a directory's path, must live
 * as long. control is the source's. restore_command: NULL if none is to be asked.
 */
SourceWal *source_wal_create(const Options *options, const Clusters *clusters,
                             const Control *control, const char *restore_command,
                             const char *scratch, Arena *arena);
void source_wal_destroy(SourceWal *wal); /* NULL is allowed */

/* The target's segments that end at or before lsn are common history and stay; 0 at first: none. */
void source_wal_set_common_end(SourceWal *wal, Lsn lsn);

/* Where segments are looked for that the source no longer has. */
Archive *source_wal_archive(const SourceWal *wal);

/* ---- Fetching ---- */

/*
 * An ArchiveFetch: fetch the source's pg_wal/NAME to the file path; the context is the SourceWal.
 */
MUST_CHECK bool source_wal_fetch_segment(void *wal, const char *name, const char *path, bool *found,
                                         Error *error);

/*
 * Fetch the segments of [from, end) to the scratch directory, as far as the source has them; what
 * is there already, or with the target, is not fetched again. Nothing to do for a directory.
 */
MUST_CHECK bool source_wal_fetch(SourceWal *wal, Lsn from, Lsn end, Error *error);

/* Has the source itself this segment, in its pg_wal? Archives are not looked into. */
MUST_CHECK bool source_wal_source_has(const SourceWal *wal, uint64_t segment, bool *has,
                                      Error *error);

/* Segments that end up to here were fetched, as far as the source had them. */
Lsn source_wal_fetched_end(const SourceWal *wal);

/* No segment that begins here or behind is kept, or was fetched. */
Lsn source_wal_here_end(const SourceWal *wal);

/* Is there room for [from, end) in the scratch directory, as far as it is not here? Else an error.
 * Nothing to do for a directory. */
MUST_CHECK bool source_wal_check_space(SourceWal *wal, Lsn from, Lsn end, Error *error);

/* Bytes in a second, as the source sent its WAL; 0: it has not sent enough to tell. */
double source_wal_fetch_rate(const SourceWal *wal);

/* Remove the copy of a segment that was fetched, if there is one. */
MUST_CHECK bool source_wal_forget(SourceWal *wal, uint64_t segment, Error *error);

/* The same of the segments from the one that holds `from` up to the one that holds lsn, which
 * stays; also what an archive had of them, if it was copied here. */
MUST_CHECK bool source_wal_forget_before(SourceWal *wal, Lsn from, Lsn lsn, Error *error);

/* How much was fetched, and removed by source_wal_forget_before: it was needed to be read only.
 * NULL: nothing. */
uint64_t source_wal_forgotten_bytes(const SourceWal *wal);

/* ---- Segments ---- */

/* The name of the file in which recovery reads this segment. */
void source_wal_segment_name(const SourceWal *wal, uint64_t segment, char name[WAL_NAME_SIZE]);

/* Does the target have this segment already, and keep it? */
bool source_wal_is_kept(const SourceWal *wal, uint64_t segment);

/* The first segment at or after that of `from` which the target does not have or keep: it must come
 * from the source or an archive. */
uint64_t source_wal_first_not_kept(const SourceWal *wal, Lsn from);

/* A file on this machine that holds the segment, restored from the archive if need be. *found
 * false: it is nowhere. */
MUST_CHECK bool source_wal_find(SourceWal *wal, uint64_t segment, char path[PATH_SIZE], bool *found,
                                Error *error);

/* Is that a file in the scratch directory, which can be moved to where it is wanted? Others are an
 * archive's, or a cluster's. */
bool source_wal_may_take(const SourceWal *wal, const char *path);

/*
 * All segments of [from, end), which were fetched, must be somewhere, also for the target's own
 * restore command; else an error names those that are nowhere, of which the last ends at
 * *missing_end. LSN_INVALID: none. WAL is needed up to needed_end: if the last of these segments is
 * missing, so are those that follow, up to the first that is somewhere. (Servers remove the oldest
 * first.)
 */
MUST_CHECK bool source_wal_check_there(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end,
                                       Lsn *missing_end, Error *error);

/*
 * Have the archive ask the target's own restore command from now on, as -c would: the server that
 * will start finds there what the source no longer has. False: the target has no such command, or
 * it is asked already, or an option names another one.
 */
bool source_wal_ask_target_command(SourceWal *wal);

/* Set *can if the target's own restore command has a segment that the source no longer has. It is
 * false where --wal-archive is asked first. */
MUST_CHECK bool source_wal_target_can_restore(SourceWal *wal, uint64_t segment, bool *can,
                                              Error *error);

/* Add a segment to the names for error_source_wal_missing. False: they are many enough. */
bool source_wal_add_missing(Buffer *names, const char *name);
bool error_source_wal_missing(const Version *version, const char *names, Error *error);

/* ---- Reading ---- */

typedef struct SourceWalReading
{
    Lsn from; /* where recovery may start */
    Lsn end;
    WalWatch watch; /* may end it sooner; NULL: none */
    void *watch_context;
    bool once; /* the copy of a segment that was fetched is removed as soon as it was read, but not
                  of the one in which `end` lies */

    /* Set by source_wal_read. */
    Lsn last_end;    /* where the last whole record ends */
    bool stopped;    /* by the watch */
    Lsn missing_end; /* it failed: segments are nowhere, of which one ends here; else LSN_INVALID */
} SourceWalReading;

/*
 * Read WAL; each record is checked. What is not here is fetched, some segments at a time, when
 * reading comes to them. *result tells what the records say, also which blocks are rebuilt. A hole
 * or damage before the end is an error, and so are segments that are nowhere. *scan is the caller's
 * to destroy on success; the strings of *result live as long as the SourceWal's arena.
 */
MUST_CHECK bool source_wal_read(SourceWal *wal, SourceWalReading *reading, WalScan **scan,
                                ScanResult *result, Error *error);

/* The same of the segments that `open` opens, without what is rebuilt. */
MUST_CHECK bool source_wal_check_chain(SourceWal *wal, WalOpen open, void *context, Lsn from,
                                       Lsn end, WalScan **scan, ScanResult *result, Lsn *last_end,
                                       Error *error);

#endif
