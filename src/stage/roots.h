/*
 * The mounts that hold parts of the target. Each has one work directory.
 *
 * A staged file must be on the mount of its destination, so that a rename installs it. All paths
 * are relative to PGDATA, or absolute for the location of a new tablespace, whose link does not
 * exist before the apply.
 */
#ifndef STAGE_ROOTS_H
#define STAGE_ROOTS_H

#include "base/arena.h"
#include "base/log.h"
#include "io/place.h"
#include "plan/plan.h"

typedef struct Root
{
    const char *prefix;    /* a directory of the target, for all below it; "" for PGDATA */
    const char *directory; /* that directory; for a new tablespace its location */
    const char *work;      /* directory/pg_rewind.work */
    Place place;
    uint64_t unit;        /* of allocation there, in bytes; 1: not asked yet */
    bool copies_on_write; /* a block that is overwritten there gets a new place */
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
MUST_CHECK bool roots_check_locations(const Roots *roots, const Plan *plan, Problems *problems,
                                      Error *error);

/* The plan does something with this entry. False for our own files and those that mark the commit.
 */
bool entry_has_effect(const PlanEntry *entry);

/* Set the buffer to the directory that an absolute path is in, and return it. */
const char *path_parent(Buffer *buffer, const char *path);

#endif
