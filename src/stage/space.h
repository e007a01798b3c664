/*
 * How much space a plan needs on each file system: for what is staged, and for what the apply will
 * allocate later, which the ballast reserves until then.
 *
 * Where a block that is overwritten gets a new place, a clone of the file is patched while staging
 * (copy_target_file in staged_files.c). Where that cannot be (snapshots, files that share blocks
 * with a copy) the apply may need more: then it waits until an administrator makes room.
 */
#ifndef STAGE_SPACE_H
#define STAGE_SPACE_H

#include "io/file.h"
#include "stage/roots.h"

/* Staging puts this on a root. */
typedef struct StagedSpace
{
    uint64_t bytes;
    uint64_t files;
} StagedSpace;

/* The space of each root's file system, also of one whose directory will be made; what
 * the root has to know is noted there. */
MUST_CHECK bool space_measure(Roots *roots, FileSpace *space, Error *error);

/* Add what is staged for an entry that is no WAL. copied: the file cannot be patched in place, and
 * a copy of it will be. unit: of allocation, in bytes. */
void space_add_staged(const Plan *plan, const PlanEntry *entry, bool copied, uint64_t unit,
                      StagedSpace *staged);

/* An entry of the plan takes at most this in the journal. */
uint64_t space_of_journal(const Plan *plan, const PlanEntry *entry, const Root *root);

/*
 * Count the bytes that the apply allocates on each root (bytes: one for each of them, set here):
 * files grow, holes in them are filled, directories are made and get new names.
 */
MUST_CHECK bool space_to_reserve(const Roots *roots, const Plan *plan, uint64_t *bytes,
                                 Error *error);

#endif
