/*
 * A stage: the plan's bytes come to the target's disks without changing anything that a server
 * reads.
 *
 * The work directory is PGDATA/pg_rewind.work, and there is one on each other root (roots.h): on
 * each other file system that holds parts of the target (a tablespace, a pg_wal that is a link). So
 * installing a staged file is a rename. New and wholly replaced files are staged under names f1,
 * f2, ...; blocks of files that stay in place go, one after the other in the order of the plan,
 * into the data file of their root; but where the file system copies on write they go into a clone
 * of the file, which replaces it. A ballast file holds the space by which files will grow, so that
 * the apply does not run out of space.
 */
#ifndef STAGE_STAGE_H
#define STAGE_STAGE_H

#include "apply/journal.h"
#include "io/open_file.h"
#include "options.h"
#include "stage/roots.h"

#include <pthread.h>
#include <stdatomic.h>

/* Name of a root's data file, in the root's work directory. */
#define DATA_NAME "data"

/* Values of StagingState.actual_size and StagingState.data_offset. */
#define SIZE_AS_PLANNED UINT64_MAX
#define DATA_OFFSET_NONE UINT64_MAX

typedef struct StageStatistics
{
    uint64_t fetched_bytes_by_kind[KIND_COUNT];
    uint64_t fetched_bytes;
    /* size of the files that were compared and found equal, so not fetched */
    uint64_t compared_bytes;
} StageStatistics;

/* State of staging the file of an entry: how the source's file was found, and where its bytes are.
 * Threads set `actual_size` and `data_offset` under the stage's lock, the atomic `left_out` and
 * `differs` without it. */
typedef struct StagingState
{
    /* bytes of the source's file if it became shorter, else SIZE_AS_PLANNED */
    uint64_t actual_size;
    uint64_t data_offset; /* offset, in the root's data file, of the first fetched byte of a file
                             that stays in place; the bytes follow one another in the order of their
                             ranges. DATA_OFFSET_NONE if none is fetched */
    atomic_bool left_out; /* the source no longer has the file, or recovery must not find its copy
                             (removed, unlogged or prepared later), or it belongs to a slot that is
                             incomplete: fetched bytes are not used, and the target's file or
                             directory is removed */
    atomic_bool differs;  /* the comparison found the file different */
    bool equal;  /* the comparison found the file equal: nothing is done. Neither flag is set for a
                    file that is not compared */
    bool copied; /* the file is not written in place: a copy is patched and replaces it */
} StagingState;

/* A staged file that replaces path, beside those that the plan names. */
typedef struct ExtraFile
{
    const char *path;
    const char *staged; /* staged file as the journal names it: relative to PGDATA, or absolute */
    const char *local;  /* path of the staged file for opening it */
    const char *taken_from; /* path in the scratch directory that the file, a whole segment of WAL,
                               was moved from; NULL: none */
    uint32_t fetched_bytes; /* bytes of the segment that the statistics count as fetched */
} ExtraFile;

/* Only files of this folder use the fields; the statistics are for all. */
typedef struct Stage
{
    Arena *arena;
    const char *target_directory;
    const Plan *plan;
    Roots roots;
    int jobs;
    StagingState *staging_states; /* one for each entry of the plan */
    Written *written;  /* descriptors of staged files, kept open until the files are synced */
    ExtraFile *extras; /* ascending by path */
    size_t extra_count;
    const char **directories; /* to be made, beside those that the plan names; ascending */
    size_t directory_count;
    uint64_t content_count; /* files of stage_content so far: the next name is c<content_count> */
    pthread_mutex_t lock;   /* staging_states, sizes of data files, statistics while workers run */
    StageStatistics statistics;
    JournalWriter *journal; /* the journal that stage_finish writes; NULL before */
} Stage;

/* ---- check.c: steps that could fail later are tried before anything is written ---- */

/* The most WAL that is staged, in bytes. */
typedef struct WalSpace
{
    uint32_t segment_size;
    uint64_t written_bytes; /* WAL written directly to the root of pg_wal */
    uint64_t fetched_bytes; /* WAL fetched to PGDATA, then moved to the root of pg_wal; counted on
                               both roots if they differ, since the WAL is then copied */
    bool is_fetched; /* fetched_bytes are on the disk already, so they count as free space; false in
                        a dry run */
    /* a dry run's scratch directory, whose bytes count as free space; else NULL */
    const char *scratch;
} WalSpace;

/*
 * Check everything that can be checked before anything is written (a dry run stops after this): the
 * plan has no conflicts, each file to be changed can be replaced or written, directories are
 * writable, tablespace locations are usable and not another cluster's (nor the source's own), and
 * each file system has enough space. Every problem is printed, and the error is ERROR_REPORTED.
 * Changes nothing.
 */
MUST_CHECK bool stage_check(const char *target_directory, const Plan *plan, const WalSpace *wal,
                            Error *error);

/* True if the file at this path can be replaced or removed, or is missing; else an error. A mount,
 * an immutable file or a directory cannot. */
MUST_CHECK bool stage_can_replace(const char *local, Error *error);

/*
 * Look at a file that stays in place. *must_copy is set if a copy of the file must be patched and
 * replace the file: its mode forbids writing, or the file has other hard links, which must not see
 * the change. Fails if the file can be neither written nor copied. opens: open the file for
 * writing. On overlayfs this copies the file to the upper layer, so that a failure to do so shows
 * before the commit. A dry run, which must not change the disk, passes false: the permission alone
 * is checked.
 */
MUST_CHECK bool stage_must_copy(const char *local, bool opens, bool *must_copy, Error *error);

/* ---- stage.c: beginning and end ---- */

/* Create the work directories (stale ones are removed first), the missing locations of new
 * tablespaces, the ballast. The plan must live as long as the stage, which stage_free frees. */
MUST_CHECK bool stage_create(const char *target_directory, const Plan *plan, int jobs,
                             Stage **stage, Error *error);

/* Close the stage's files; nothing can be staged afterwards. Call it before the work directories
 * are removed: on NFS the directory of an open file cannot be. (Rule I70.) */
void stage_close_files(Stage *stage);

/* Give up a stage before the commit: remove the work directories. Errors become warnings. The stage
 * is still to be freed. */
void stage_abandon(Stage *stage);
void stage_free(Stage *stage); /* frees memory only; stage may be NULL */

/* Remove the work directories of a run that was killed before its commit or while cleaning up.
 * Refuses while a journal is live. */
MUST_CHECK bool stage_remove_stale(const char *target_directory, Error *error);

/* ---- stage.c: entries of the plan ---- */

/* The state of staging this entry, which must be one of the plan's; owned by the stage. */
StagingState *stage_state_of(const Stage *stage, const PlanEntry *entry);

/* True if the file of this entry is staged whole, as f1, f2, ...: the source has the file, and a
 * comparison, if any, found a difference. */
bool stage_is_whole(const Stage *stage, const PlanEntry *entry);

/* True if the file stays in place, to be patched or cut: its blocks are staged in the data file of
 * its root. */
bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry);

/* True for a large file, which is written with O_DIRECT: a copy through the page cache takes longer
 * than the disk needs, and evicts pages of more use, while the file itself is not read again before
 * the server starts. */
bool stage_is_written_direct(const Stage *stage, const PlanEntry *entry);

/*
 * The file's size in bytes after the rewind: 0 if it is left out. One of several segments of a
 * relation has its planned size, even if the source has cut or removed the segment in the meantime:
 * replay of the truncation goes from one segment to the next, and stops at one that is missing or
 * not full, which would leave the following segments (mdunlinkfork, mdnblocks, storage/smgr/md.c).
 * Blocks that the source no longer has are zeros, or the target's own in a patched copy.
 */
uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry);

/*
 * Names of staged files; each function sets the buffer and returns its string. stage_name:
 * WORK/NAME, as the journal names it, in the work directory of the root that path belongs to.
 * stage_local: the path for opening a file of the journal's name `staged`. stage_entry_name,
 * stage_entry_local: both names of the file that is staged for an entry.
 */
const char *stage_name(const Stage *stage, const char *path, const char *name, Buffer *out);
const char *stage_local(const Stage *stage, const char *staged, Buffer *out);
const char *stage_entry_name(const Stage *stage, const PlanEntry *entry, Buffer *out);
const char *stage_entry_local(const Stage *stage, const PlanEntry *entry, Buffer *out);

/*
 * Open the root's data file, which holds the bytes for files that stay in place, at offset `place`.
 * The first call creates the data file. The descriptor stays the root's: stage_close_files closes
 * it. Any thread may call this, without holding the stage's lock.
 */
MUST_CHECK bool stage_data_open(Stage *stage, Root *root, uint64_t place, FileRange *range,
                                Error *error);

/* ---- stage.c: files that the plan does not name ---- */

/* Add a staged file for path; a second one for the same path replaces the first. Returns it, valid
 * until the next is added. */
ExtraFile *stage_add_extra(Stage *stage, const char *path, const char *staged);
/* The staged file that stage_add_extra has added for path; NULL if none was added. */
const ExtraFile *stage_find_extra(const Stage *stage, const char *path);

/*
 * The mode of a file staged for path. A file that replaces the target's gets the mode of the
 * replaced file; a new file gets the mode of the cluster's files. A file with cluster_mode false
 * (path_has_cluster_mode) may be a private key, which a server refuses if its group may read it:
 * its mode has no bit that the file at source_path lacks, and a new file without a known source
 * file is for its owner alone. source_path: path of the source's file on this machine; NULL: not
 * known. If the staged file's owner or group will differ from the old file's, group and others get
 * no more than the cluster's files give.
 */
MUST_CHECK bool stage_mode(const Stage *stage, const char *path, bool clusters,
                           const char *source_path, mode_t *mode, Error *error);

/*
 * Stage a small file for path that pg_rewind writes itself (history file, .done marker, settings).
 * The staged content takes precedence over the plan's entry for path, as staged WAL does; a second
 * call for the same path replaces the first.
 */
MUST_CHECK bool stage_content(Stage *stage, const char *path, const void *bytes, size_t size,
                              Error *error);

/*
 * Add a directory, relative to PGDATA, that the target must have when the server starts, and each
 * directory above it. One that is there stays, but the plan may remove one of that name, with its
 * files, or a link: then an empty directory takes the place.
 */
void stage_add_directory(Stage *stage, const char *path);

/* ---- fetch.c ---- */

/*
 * Compare and fetch everything except WAL, and show progress. Fails with ERROR_RETRY if the
 * connection to the source is lost and the time for new attempts is over.
 */
MUST_CHECK bool stage_fetch(Stage *stage, Source *source, Error *error);

/* ---- stage_journal.c ---- */

/*
 * Sync the target's own files, before anything is fetched. Those that stay as they are may be in
 * the kernel's cache alone, because a killed server wrote them, or the target was just copied. From
 * then on nothing is written to them until the commit. A failure is noted, since no run writes them
 * again. (Rules I25 to I27.)
 */
MUST_CHECK bool stage_sync_target(Stage *stage, SyncMethod method, Error *error);

/* Sync the staged files. Then write and sync the journal, which names all staged files and the
 * plan's other actions. */
MUST_CHECK bool stage_finish(Stage *stage, const JournalHead *head, SyncMethod method,
                             Error *error);

#endif
