/*
 * Stage the plan's bytes on the target's disks without changing anything that a server reads.
 *
 * The work directory is PGDATA/pg_rewind.work, and one of the same name on each other file system
 * that holds parts of the target (a tablespace, a pg_wal that is a link): a file is staged on the
 * file system of its destination, so that installing it is a rename. New and wholly replaced files
 * are staged as files of their own (f1, f2, ...); blocks of files that stay in place go, one after
 * the other in the order of the plan, into one data file for each file system; but where the file
 * system copies on write they go into a clone of the file, which replaces it. A ballast file holds
 * the space by which files will grow, so that the apply does not run out of space.
 */
#ifndef STAGE_STAGE_H
#define STAGE_STAGE_H

#include "apply/journal.h"
#include "apply/roots.h"
#include "base/error.h"
#include "source/source.h"
#include "format/history.h"
#include "plan/plan.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct Stage Stage;

typedef struct StageStatistics
{
    uint64_t fetched_bytes_by_kind[KIND_COUNT];
    uint64_t fetched_bytes;
    uint64_t compared_bytes; /* files found equal */
    uint64_t files_staged, files_patched, files_removed;
} StageStatistics;

/* The WAL that is staged, at most. */
typedef struct WalSpace
{
    uint64_t written_bytes; /* to where pg_wal is */
    uint64_t
        fetched_bytes; /* to PGDATA first; moved from there, or copied if pg_wal is elsewhere */
    bool is_fetched;   /* that is done already (not so in a dry run) */
} WalSpace;

/*
 * Check all that can be checked before anything is written (also for --dry-run, which stops here):
 * the plan has no conflicts, each file to be changed can be replaced or written, directories are
 * writable, tablespace locations are usable and not another cluster's (nor the source's own), and
 * the space is there on each file system (said with numbers). Every problem is printed, and the
 * error is ERROR_REPORTED.
 */
MUST_CHECK bool stage_check(const char *target_directory, const Plan *plan, const WalSpace *wal,
                            Error *error);

/* Make the work directories (stale ones are removed first), the missing locations of new
 * tablespaces, the ballast. The plan must live as long as the stage. */
MUST_CHECK bool stage_create(const char *target_directory, const Plan *plan, int jobs,
                             Stage **stage, Error *error);

/*
 * Compare and fetch everything but WAL. Progress is shown.
 * ERROR_RETRY: the source is lost, and was tried again for as long as it should be.
 */
MUST_CHECK bool stage_fetch(Stage *stage, Source *source, const Plan *plan, Error *error);

/* Is the file of the plan's entry `index` not on the source any more? */
bool stage_is_gone(const Stage *stage, size_t index);

/* Treat it as if it were not: what was fetched is not used, what the target has is removed. */
void stage_leave_out(Stage *stage, size_t index);

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

/*
 * A small file made by us (history file, .done marker, settings): content staged for path. It wins
 * over what the plan says about path, as WAL does; a second one for the same path replaces the
 * first.
 */
MUST_CHECK bool stage_content(Stage *stage, const char *path, const void *bytes, size_t size,
                              Error *error);

/* Write the journal of all that was staged and of the plan's other actions; sync everything staged,
 * work directories and journal. */
MUST_CHECK bool stage_finish(Stage *stage, const Plan *plan, const JournalHead *head, Error *error);

const StageStatistics *stage_statistics(const Stage *stage);

/* Before the commit: remove the work directories. Errors become warnings. */
void stage_abandon(Stage *stage);
void stage_free(Stage *stage); /* memory only; NULL is allowed */

/* Remove the work directories of a run that was killed before its commit or while cleaning up.
 * Refuses while a journal is live. */
MUST_CHECK bool stage_remove_stale(const char *target_directory, Error *error);

#endif
