/*
 * The inside of a Stage, for the files of this folder that stage bytes (fetch.c, compare_files.c,
 * staged_files.c, segments.c) and those that account for them (stage.c).
 */
#ifndef STAGE_STAGE_PARTS_H
#define STAGE_STAGE_PARTS_H

#include "apply/roots.h"
#include "stage/stage.h"

#include "io/file.h"
#include "io/written.h"

#include <pthread.h>

#define DATA_NAME "data"
#define BALLAST_NAME "ballast"

#define SIZE_AS_PLANNED UINT64_MAX

/* What staging finds out about an entry of the plan. Threads set `gone`, `differs` and the size,
 * under the stage's lock. */
typedef struct Finding
{
    uint64_t actual_size; /* of the file where it came out shorter, else SIZE_AS_PLANNED */
    bool gone;    /* not there any more on the source, or left out: removed on the target instead */
    bool differs; /* compared, not equal */
    bool equal;   /* compared equal: nothing to do */
    bool copied;  /* cannot be written in place: a copy is patched and replaces it */
} Finding;

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

struct Stage
{
    Arena *arena;
    const char *target_directory;
    const char *wal_directory; /* the plan's */
    Roots roots;
    int jobs;
    int workers; /* that the source has granted; 0: not asked yet */
    size_t entry_count;
    Finding *findings;   /* of each entry */
    Buffer placements;   /* Placement, in the order of the plan: 24 bytes for each run of blocks */
    int *data_fds;       /* of each root, -1: no data file yet */
    uint64_t *data_size; /* of each root: bytes laid out in its data file */
    Written *written;    /* all staged files but these, until they are synced */
    ExtraFile *extras;   /* ascending by path */
    size_t extra_count;
    uint64_t content_count; /* numbers names of staged content */
    pthread_mutex_t lock;   /* findings, placements, statistics while workers run */
    StageStatistics statistics;
};

/*
 * Is the file of this entry staged whole, as a file of its own (was it there, and did it differ)?
 */
bool stage_is_whole(const Stage *stage, const PlanEntry *entry, size_t index);

/* Does the file stay in place, to be patched or cut? */
bool stage_is_patched(const Stage *stage, const PlanEntry *entry, size_t index);

/* The same, before it is known whether it is still there: its blocks go into the data file. */
bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry, size_t index);

/* Is it written past the system's cache? A large file: to copy it into the cache takes longer than
 * the disk does, and what is there already is worth more. It is not read again before the server
 * needs it. */
bool stage_is_written_direct(const Stage *stage, const PlanEntry *entry, size_t index);

/* The path of the file that is staged for entry `index`, as the journal names it. */
MUST_CHECK bool stage_entry_name(const Stage *stage, const PlanEntry *entry, size_t index,
                                 char out[PATH_SIZE], Error *error);

/*
 * Take a place at the end of the root's data file for bytes of an entry that is laid out, and note
 * it: the journal is written from these notes. Returns its offset there. Entries come in the order
 * of the plan, each with ascending offsets. The stage's lock is held.
 */
uint64_t stage_place(Stage *stage, size_t root, size_t index, uint64_t offset, uint32_t size);

/* The size that the file will have. */
uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry, size_t index);

/* Make the work directories of all roots, the missing locations of new tablespaces, and the ballast
 * that holds the space which apply will allocate. */
MUST_CHECK bool stage_make_directories(Stage *stage, const Plan *plan, Error *error);

/* The file of an entry is not there any more. For any thread. */
void stage_note_gone(Stage *stage, size_t index);

/* stage_fetch's steps but the fetch itself. Before it: files that are patched, or private copies of
 * them, data files, and files of which not all bytes are fetched. */
MUST_CHECK bool stage_prepare_files(Stage *stage, const Plan *plan, Error *error);

/* Find the files that need not be fetched, since they are equal. */
MUST_CHECK bool stage_compare_files(Stage *stage, Source *source, const Plan *plan, Error *error);

/* After it: size and mode of a file that was staged whole. Not earlier: with mode 0400 we could not
 * open it again. */
MUST_CHECK bool stage_conclude_file(const Stage *stage, const PlanEntry *entry, size_t index,
                                    Error *error);

/* As many as the source grants, asked once: stage->workers. */
MUST_CHECK bool stage_start_workers(Stage *stage, Source *source, Error *error);

/* Add or replace a staged file, or forget it. */
MUST_CHECK bool stage_add_extra(Stage *stage, const char *path, const char *staged, Error *error);
void stage_forget_extra(Stage *stage, const char *path);
const ExtraFile *stage_find_extra(const Stage *stage, const char *path);

/* How a file that stays in place can be changed. */
typedef enum FileUse
{
    FILE_USE_PATCH,
    FILE_USE_COPY, /* it may not be written, or has other names that must not see the change: a copy
                      is patched and replaces it */
    FILE_USE_GONE
} FileUse;

/* Opens the file, which changes nothing. An error where neither is possible. */
MUST_CHECK bool stage_file_use(const char *local, FileUse *use, Error *error);

/* WORK/NAME of the root that path belongs to. */
MUST_CHECK bool stage_name(const Stage *stage, const char *path, const char *name,
                           char out[PATH_SIZE], Error *error);

/* The journal's name of a file, for opening it. */
MUST_CHECK bool stage_local(const Stage *stage, const char *staged, char out[PATH_SIZE],
                            Error *error);

#endif
