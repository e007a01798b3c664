/*
 * A stage: the plan's bytes come to the target's disks without changing anything that a server
 * reads.
 *
 * The work directory is PGDATA/pg_rewind.work, and one of the same name on each other root
 * (roots.h): on each other file system that holds parts of the target (a tablespace, a pg_wal that
 * is a link). So installing a staged file is a rename. New and wholly replaced files are staged
 * under names f1, f2, ...; blocks of files that stay in place go, one after the other in the order
 * of the plan, into the data file of their root; but where the file system copies on write they go
 * into a clone of the file, which replaces it. A ballast file holds the space by which files will
 * grow, so that the apply does not run out of space.
 */
#ifndef STAGE_STAGE_H
#define STAGE_STAGE_H

#include "apply/journal.h"
#include "io/open_file.h"
#include "options.h"
#include "stage/roots.h"

#include <pthread.h>
#include <stdatomic.h>

#define DATA_NAME "data"

#define SIZE_AS_PLANNED UINT64_MAX
#define DATA_PLACE_NONE UINT64_MAX

typedef struct StageStatistics
{
    uint64_t fetched_bytes_by_kind[KIND_COUNT];
    uint64_t fetched_bytes;
    uint64_t compared_bytes; /* files found equal */
} StageStatistics;

/* Staging notes here how it finds the file of an entry. Threads set `left_out`, `differs`, and the
 * size under the stage's lock, under which places are given out, too. */
typedef struct FoundFile
{
    uint64_t actual_size; /* of the source's file where it came out shorter, else SIZE_AS_PLANNED */
    uint64_t data_place;  /* of a file that stays in place, and of which something is fetched: of
                             its first bytes in the data of its root; they lie there one after the
                             other, in the order of their ranges */
    atomic_bool left_out; /* not there any more on the source, or left out: what was fetched is not
                          used, and the target's is removed */
    atomic_bool differs;  /* compared, not equal */
    bool equal;           /* compared equal: nothing to do */
    bool copied;          /* cannot be written in place: a copy is patched and replaces it */
} FoundFile;

/* A staged file that replaces path, beside those that the plan names. */
typedef struct ExtraFile
{
    const char *path;
    const char *staged; /* relative to PGDATA, or absolute */
    const char *local;  /* the same, for opening it */
} ExtraFile;

/* Only files of this folder use the fields; the statistics are for all. */
typedef struct Stage
{
    Arena *arena;
    const char *target_directory;
    const Plan *plan;
    Roots roots;
    int jobs;
    FoundFile *findings; /* of each entry */
    Written *written;    /* all staged files but these, until they are synced */
    ExtraFile *extras;   /* ascending by path */
    size_t extra_count;
    uint64_t content_count; /* numbers names of staged content */
    pthread_mutex_t lock;   /* findings, sizes of data files, statistics while workers run */
    StageStatistics statistics;
    JournalWriter *journal; /* while stage_finish writes it */
} Stage;

/* ---- check.c: steps that could fail later are tried before anything is written ---- */

/* The WAL that is staged, at most. */
typedef struct WalSpace
{
    uint32_t segment_size;
    uint64_t written_bytes; /* to where pg_wal is */
    uint64_t fetched_bytes; /* to PGDATA, then moved; copied if pg_wal is elsewhere */
    bool is_fetched;        /* to PGDATA, already (not so in a dry run) */
    const char *scratch;    /* of a dry run: what is there counts as free; else NULL */
} WalSpace;

/*
 * Check all that can be checked before anything is written (also for --dry-run, which stops here):
 * the plan has no conflicts, each file to be changed can be replaced or written, directories are
 * writable, tablespace locations are usable and not another cluster's (nor the source's own), and
 * the space is there on each file system. Every problem is printed, and the error is
 * ERROR_REPORTED. Changes nothing.
 */
MUST_CHECK bool stage_check(const char *target_directory, const Plan *plan, const WalSpace *wal,
                            Error *error);

/* True if nothing keeps this name from being replaced or removed: that needs only a directory that
 * can be written. */
MUST_CHECK bool stage_can_replace(const char *local, Error *error);

/*
 * Look at a file that stays in place. *must_copy: it may not be written, or has other names that
 * must not see the change: a copy is patched and replaces it. An error where neither is possible.
 * opens: the file is opened for writing, before the commit. On an overlayfs that copies the file:
 * where it cannot be copied there, that shows now. A dry run must not do so: it looks at the file
 * without opening it for writing.
 */
MUST_CHECK bool stage_must_copy(const char *local, bool opens, bool *must_copy, Error *error);

/* ---- stage.c: beginning and end ---- */

/* Make the work directories (stale ones are removed first), the missing locations of new
 * tablespaces, the ballast. The plan must live as long as the stage. */
MUST_CHECK bool stage_create(const char *target_directory, const Plan *plan, int jobs,
                             Stage **stage, Error *error);

/* Before the commit: remove the work directories. Errors become warnings. */
void stage_abandon(Stage *stage);
void stage_free(Stage *stage); /* memory only; NULL is allowed */

/* Remove the work directories of a run that was killed before its commit or while cleaning up.
 * Refuses while a journal is live. */
MUST_CHECK bool stage_remove_stale(const char *target_directory, Error *error);

/* ---- stage.c: entries of the plan ---- */

FoundFile *stage_found_file(const Stage *stage, const PlanEntry *entry);

/* The file of this entry is staged whole, as f1, f2, ...: it was there, and it differed. */
bool stage_is_whole(const Stage *stage, const PlanEntry *entry);

/* The file stays in place, to be patched or cut, if it is still there: its blocks go into the data
 * file. */
bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry);

/* A large file is written past the system's cache: to copy it into the cache takes longer than the
 * disk does, and the cache's content is worth more. It is not read again before the server needs
 * it. */
bool stage_is_written_direct(const Stage *stage, const PlanEntry *entry);

/*
 * The size that the file will have. One of several segments of a relation has its planned size,
 * also where the source has cut or removed it in the meantime; blocks that did not come are zeros,
 * or in a copy that is patched what the target had.
 * Replay of that goes from one segment to the next, and leaves all that follow one which is missing
 * or not full (mdunlinkfork, mdnblocks, storage/smgr/md.c).
 */
uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry);

/*
 * Names of staged files; each sets the buffer and returns it as a string. stage_name: WORK/NAME of
 * the root that path belongs to, as the journal names it. stage_local: such a name as a path for
 * opening the file. stage_entry_name, stage_entry_local: the same two of the file that is staged
 * for an entry.
 */
const char *stage_name(const Stage *stage, const char *path, const char *name, Buffer *out);
const char *stage_local(const Stage *stage, const char *staged, Buffer *out);
const char *stage_entry_name(const Stage *stage, const PlanEntry *entry, Buffer *out);
const char *stage_entry_local(const Stage *stage, const PlanEntry *entry, Buffer *out);

/*
 * Bytes for files that stay in place have a place in the data file of their root. Open it, for
 * bytes from that place on; it is made when it is first asked for. Any thread, without the stage's
 * lock.
 */
MUST_CHECK bool stage_data_open(Stage *stage, Root *root, uint64_t place, FileRange *range,
                                Error *error);

/* ---- stage.c: files that the plan does not name ---- */

/* Add or replace a staged file. */
void stage_add_extra(Stage *stage, const char *path, const char *staged);
const ExtraFile *stage_find_extra(const Stage *stage, const char *path);

/*
 * The mode of a staged file. One that replaces a file of the target keeps its mode; a new one has
 * that of the cluster's files. But one that is not the cluster's own may be a private key, which a
 * server refuses if its group may read it: it has nothing that the file at source_path does not
 * have; if that is NULL, or not there, a new one is for its owner alone. Where the owner or the
 * group changes, others lose what they might do.
 */
MUST_CHECK bool stage_mode(const Stage *stage, const char *path, bool clusters,
                           const char *source_path, mode_t *mode, Error *error);

/*
 * A small file made by us (history file, .done marker, settings): content staged for path. It wins
 * over what the plan says about path, as WAL does; a second one for the same path replaces the
 * first.
 */
MUST_CHECK bool stage_content(Stage *stage, const char *path, const void *bytes, size_t size,
                              Error *error);

/* ---- fetch.c ---- */

/*
 * Compare and fetch everything but WAL. Progress is shown.
 * ERROR_RETRY: the source is lost, and was tried again for as long as it should be.
 */
MUST_CHECK bool stage_fetch(Stage *stage, Source *source, Error *error);

/* ---- stage_journal.c ---- */

/* Sync everything that the result relies on: what was staged, and what the target has. Then write
 * the journal of all that was staged and of the plan's other actions, and sync that. */
MUST_CHECK bool stage_finish(Stage *stage, const JournalHead *head, SyncMethod method,
                             Error *error);

#endif
