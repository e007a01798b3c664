/*
 * A stage: the plan's bytes come to the target's disks without changing anything that a server
 * reads.
 *
 * The work directory is PGDATA/pg_rewind.work, and one of the same name on each other file system
 * that holds parts of the target (a tablespace, a pg_wal that is a link): a file is staged on the
 * file system of its destination, so that installing it is a rename. New and wholly replaced files
 * are staged under names f1, f2, ...; blocks of files that stay in place go, one after the other in
 * the order of the plan, into one data file for each file system; but where the file system copies
 * on write they go into a clone of the file, which replaces it. A ballast file holds the space by
 * which files will grow, so that the apply does not run out of space.
 */
#ifndef STAGE_STAGE_H
#define STAGE_STAGE_H

#include "io/file.h"
#include "io/open_file.h"
#include "plan/plan.h"
#include "source/source.h"
#include "stage/roots.h"

#include <pthread.h>

#define DATA_NAME "data"

#define SIZE_AS_PLANNED UINT64_MAX

typedef struct StageStatistics
{
    uint64_t fetched_bytes_by_kind[KIND_COUNT];
    uint64_t fetched_bytes;
    uint64_t compared_bytes; /* files found equal */
    uint64_t files_staged, files_patched, files_removed;
} StageStatistics;

/* Staging notes here how it finds the file of an entry. Threads set `gone`, `differs` and the size,
 * under the stage's lock. */
typedef struct FoundFile
{
    uint64_t actual_size; /* of the file where it came out shorter, else SIZE_AS_PLANNED */
    bool gone;    /* not there any more on the source, or left out: removed on the target instead */
    bool differs; /* compared, not equal */
    bool equal;   /* compared equal: nothing to do */
    bool copied;  /* cannot be written in place: a copy is patched and replaces it */
} FoundFile;

/* Bytes of a file that stays in place, as they lie in the data file of its root. */
typedef struct Placement
{
    uint64_t offset; /* in the file */
    uint64_t data_offset;
    uint32_t index; /* of the plan's entry */
    uint32_t size;
} Placement;

/* A staged file that replaces path, beside those that the plan names. */
typedef struct ExtraFile
{
    const char *path;
    const char *staged; /* relative to PGDATA, or absolute */
    const char *local;  /* the same, for opening it */
} ExtraFile;

/* Only files of this folder use the fields. */
typedef struct Stage
{
    Arena *arena;
    const char *target_directory;
    const char *wal_directory; /* the plan's */
    Roots roots;
    int jobs;
    int workers; /* that the source has granted; 0: not asked yet */
    size_t entry_count;
    FoundFile *findings; /* of each entry */
    Buffer placements;   /* Placement, in the order of the plan: 24 bytes for each run of blocks */
    int *data_fds;       /* of each root, -1: no data file yet */
    uint64_t *data_size; /* of each root: bytes laid out in its data file */
    Written *written;    /* all staged files but these, until they are synced */
    ExtraFile *extras;   /* ascending by path */
    size_t extra_count;
    uint64_t content_count; /* numbers names of staged content */
    pthread_mutex_t lock;   /* findings, placements, statistics while workers run */
    StageStatistics statistics;
} Stage;

/* The file of this entry is staged whole, as f1, f2, ...: it was there, and it differed. */
bool stage_is_whole(const Stage *stage, const PlanEntry *entry, size_t index);

/* The file stays in place, to be patched or cut. */
bool stage_is_patched(const Stage *stage, const PlanEntry *entry, size_t index);

/* The same, before it is known whether it is still there: its blocks go into the data file. */
bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry, size_t index);

/* A large file is written past the system's cache: to copy it into the cache takes longer than the
 * disk does, and the cache's content is worth more. It is not read again before the server needs
 * it. */
bool stage_is_written_direct(const Stage *stage, const PlanEntry *entry, size_t index);

/* The size that the file will have. */
uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry, size_t index);

/* The file of the plan's entry `index` is not on the source any more. */
bool stage_is_gone(const Stage *stage, size_t index);

/* Treat it as if it were not: what was fetched is not used, what the target has is removed. */
void stage_leave_out(Stage *stage, size_t index);

/*
 * Take a place at the end of the root's data file for bytes of an entry that is laid out, and note
 * it: the journal is written from these notes. Returns its offset there. Entries come in the order
 * of the plan, each with ascending offsets. The stage's lock is held.
 */
uint64_t stage_place(Stage *stage, size_t root, size_t index, uint64_t offset, uint32_t size);

/*
 * Names of staged files; each sets the buffer and returns it as a string. stage_name: WORK/NAME of
 * the root that path belongs to, as the journal names it. stage_local: such a name as a path for
 * opening the file. stage_entry_name, stage_entry_local: the same two of the file that is staged
 * for entry `index`.
 */
const char *stage_name(const Stage *stage, const char *path, const char *name, Buffer *out);
const char *stage_local(const Stage *stage, const char *staged, Buffer *out);
const char *stage_entry_name(const Stage *stage, const PlanEntry *entry, size_t index, Buffer *out);
const char *stage_entry_local(const Stage *stage, const PlanEntry *entry, size_t index,
                              Buffer *out);

/* Add or replace a staged file, or drop it. */
void stage_add_extra(Stage *stage, const char *path, const char *staged);
void stage_drop_extra(Stage *stage, const char *path);
const ExtraFile *stage_find_extra(const Stage *stage, const char *path);

/* The mode of a staged file: one that replaces a file of the target keeps its mode. */
MUST_CHECK bool stage_mode(const Stage *stage, const char *path, mode_t *mode, Error *error);

/*
 * A small file made by us (history file, .done marker, settings): content staged for path. It wins
 * over what the plan says about path, as WAL does; a second one for the same path replaces the
 * first.
 */
MUST_CHECK bool stage_content(Stage *stage, const char *path, const void *bytes, size_t size,
                              Error *error);

const StageStatistics *stage_statistics(const Stage *stage);

/* ---- fetch.c ---- */

/* As many as the source grants, asked once: stage->workers. */
MUST_CHECK bool stage_start_workers(Stage *stage, Source *source, Error *error);

/* Note how the file of an entry was found; for any thread. */
void stage_note_gone(Stage *stage, size_t index);

/*
 * Compare and fetch everything but WAL. Progress is shown.
 * ERROR_RETRY: the source is lost, and was tried again for as long as it should be.
 */
MUST_CHECK bool stage_fetch(Stage *stage, Source *source, const Plan *plan, Error *error);

/* ---- compare_files.c ---- */

/* Find the files that need not be fetched, since they are equal. */
MUST_CHECK bool stage_compare_files(Stage *stage, Source *source, const Plan *plan, Error *error);

/* ---- segments.c ---- */

/* A segment of WAL that is to be staged. */
typedef struct StagedSegment
{
    const char *name;
    uint32_t segment_size;
    uint32_t size;          /* that is wanted, from its first byte; the rest of the file reads as
                               zeros, and its space is reserved */
    const char *local_path; /* a file that has it; NULL: the source's pg_wal/NAME */
} StagedSegment;

/*
 * Stage a segment. *found false when the source does not have it (any more), or not that much of
 * it. Staging it again replaces it.
 */
MUST_CHECK bool stage_wal_segment(Stage *stage, Source *source, const StagedSegment *segment,
                                  bool *found, Error *error);

/* Stage a whole segment by moving its local file. *taken false: it lies on another mount, copy it.
 */
MUST_CHECK bool stage_wal_take(Stage *stage, const StagedSegment *segment, bool *taken,
                               Error *error);

/* Path of a staged WAL segment for reading it again, NULL if it is not staged. */
const char *stage_wal_path(const Stage *stage, const char *name);

#endif
