/*
 * The mounts that hold parts of the target, and the parts of a mount with a project of their own,
 * each with one work directory, and the space that a plan needs there: for what is staged, and for
 * what the apply will allocate later, which the ballast reserves until then.
 *
 * A staged file must be where a rename into the directory of its destination works. All paths
 * are relative to PGDATA, or absolute: the location of a new tablespace, whose link does not exist
 * before the apply, and a work directory behind the link of a tablespace, which the apply may
 * remove.
 *
 * Where a block that is overwritten gets a new place, a clone of the file is patched while staging
 * (copy_target_file in fetch.c). Where that cannot be (snapshots, files that share blocks with a
 * copy) the apply may need more: then it waits until an administrator makes room.
 */
#ifndef STAGE_ROOTS_H
#define STAGE_ROOTS_H

#include "base/advice.h"
#include "io/file.h"
#include "io/place.h"
#include "plan/plan.h"

/* What a plan needs on a root, or on all roots of a pool. */
typedef struct NeededSpace
{
    uint64_t bytes;     /* that are staged; counted by stage_check */
    uint64_t wal_bytes; /* of them */
    uint64_t files;     /* that are staged */
    uint64_t reserved;  /* bytes: see roots_reserve */
} NeededSpace;

typedef struct Root
{
    const char *prefix;    /* a directory of the target, for all below it; "" for PGDATA */
    const char *directory; /* that directory; for a new tablespace its location */
    const char *work;      /* pg_rewind.work in it; behind a link of a tablespace absolute */
    Place place;
    FileSpace space;  /* of its file system, when the roots were found */
    const char *pool; /* place_pool: roots of one pool share its space */
    NeededSpace needed;
    int data_fd;           /* of the stage's data file there; -1: not made yet */
    uint64_t data_size;    /* bytes laid out in it */
    uint64_t journal_size; /* of these, what the journal that is written names */
} Root;

/* A tablespace that the target does not have yet. */
typedef struct NewLocation
{
    const char *link; /* pg_tblspc/16400 */
    const char *path;
    bool missing; /* the directory is to be made */
} NewLocation;

/* Everything lives in the arena given. */
typedef struct Roots
{
    const char *target_directory;
    Root *roots; /* roots[0] is PGDATA's */
    size_t count;
    NewLocation *locations;
    size_t location_count;
} Roots;

/*
 * Find them by looking at the directories of everything the plan changes. Locations of new
 * tablespaces are checked by roots_check_locations only.
 */
MUST_CHECK bool roots_find(Arena *arena, const char *target_directory, const Plan *plan,
                           Roots *roots, Error *error);

/* Index of the root where path is staged. */
size_t roots_of(const Roots *roots, const char *path);

/*
 * The location of each new tablespace must be absent below a directory where it can be made, or a
 * directory that no other cluster uses.
 */
void roots_check_locations(const Roots *roots, const Plan *plan, Problems *problems);

/* The plan changes this file. False for our own files and those that mark the commit. */
bool entry_has_effect(const PlanEntry *entry);

/* Add what is staged for an entry that is no WAL. copied: the file cannot be patched in place, and
 * a copy of it will be. unit: of allocation, in bytes. */
void space_add_staged(const PlanEntry *entry, bool copied, uint64_t unit, NeededSpace *needed);

/*
 * Count the bytes that the apply allocates on each root: files grow, holes in them are filled,
 * directories are made and get new names.
 */
MUST_CHECK bool roots_reserve(Roots *roots, const Plan *plan, Error *error);

#endif
