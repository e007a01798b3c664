/*
 * Roots: the parts of the target within which rename(2) works. A root is a mount that holds a part
 * of the target, or a directory with another quota project (XFS, ext4) on such a mount. Each root
 * has one work directory, and the space that a plan needs there: for staged bytes, and for bytes
 * that the apply allocates later, which the ballast reserves until then. A mount on which nothing
 * has to be done for the rewound target to be right is not a root (Rule I79).
 *
 * A staged file must be on the root of its destination. Paths are relative to PGDATA, except two
 * absolute ones: the location of a new tablespace, whose link does not exist before the apply, and
 * a work directory below the link of a tablespace, which the apply may remove.
 *
 * On a file system that copies on write, a clone of the file is patched while staging
 * (copy_target_file in fetch.c). Where a clone is not possible but blocks are shared (snapshots,
 * reflinks), the apply may need more space than was reserved: then the apply waits until an
 * administrator frees space.
 */
#ifndef STAGE_ROOTS_H
#define STAGE_ROOTS_H

#include "base/advice.h"
#include "io/file.h"
#include "io/place.h"
#include "plan/plan.h"

/* Space that a plan needs on a root, or on all roots of a pool. */
typedef struct NeededSpace
{
    uint64_t bytes;     /* staged bytes, with WAL; 0 until stage_check counts them */
    uint64_t wal_bytes; /* the part of `bytes` that is WAL */
    uint64_t files;     /* number of files, directories and links that are made */
    uint64_t reserved;  /* bytes that the apply allocates: see roots_reserve */
} NeededSpace;

typedef struct Root
{
    const char *prefix; /* path relative to PGDATA, whose files the root holds: "" for PGDATA,
                           pg_tblspc/N for a new tablespace */
    /* path for opening the root: prefix, or the location of a new tablespace */
    const char *directory;
    const char *work; /* WORK_DIRECTORY of the root; in a tablespace WORK_DIRECTORY_OF its version,
                         absolute below the link */
    Place place;
    FileSpace space;  /* space of the root's file system, as roots_find saw it */
    const char *pool; /* place_pool: roots of one pool share its space */
    NeededSpace needed;
    int data_fd;           /* descriptor of the root's data file; -1 until the file is created */
    uint64_t data_size;    /* bytes of the data file that are assigned to ranges */
    uint64_t journal_size; /* bytes of the data file that the journal names so far: a check that the
                              journal names all of data_size, in order */
} Root;

/* A tablespace that the target does not have yet. */
typedef struct NewLocation
{
    const char *link; /* pg_tblspc/16400 */
    const char *path;
    bool missing; /* the directory does not exist, and stage_create creates it */
} NewLocation;

/* Everything lives in the arena given. */
typedef struct Roots
{
    const char *target_directory;
    const char *version_directory; /* the plan's */
    Root *roots;                   /* roots[0] is PGDATA's */
    size_t count;
    NewLocation *locations;
    size_t location_count;
} Roots;

/*
 * Find the roots: look at the directories of all files that the plan changes. The plan must live as
 * long as the roots. Locations of new tablespaces are checked by roots_check_locations only.
 */
MUST_CHECK bool roots_find(Arena *arena, const char *target_directory, const Plan *plan,
                           Roots *roots, Error *error);

/* Index, in roots->roots, of the root where a file for this path is staged. */
size_t roots_index(const Roots *roots, const char *path);

/*
 * The location of each new tablespace must be absent below a directory where it can be made, or a
 * directory that no other cluster uses, and apart from the other new locations. Unless -T names the
 * location, it must lie outside of data directories and of the target's pg_wal.
 */
void roots_check_locations(const Roots *roots, const Plan *plan, Problems *problems);

/* Check that no other account has made the directory of the location, or a link at its path. */
MUST_CHECK bool location_check_trust(const NewLocation *location, Error *error);

/* True if the plan or recovery changes this file. False for pg_rewind's work directories, and for
 * files that only commit and apply write: pg_control, backup_label, postmaster.pid. */
bool entry_has_effect(const PlanEntry *entry);

/* Of an entry that has an effect: true if the rewind itself changes the file. False if the entry
 * only stands for blocks that recovery rebuilds, or for blocks of another segment of its relation.
 */
bool entry_changes_file(const PlanEntry *entry);

/* Add the bytes that are staged for an entry, other than WAL, and the files, directories and links
 * that are made for it while staging or after the commit. copied: the file is not
 * patched in place; a whole copy of the file is staged and patched. unit: bytes of one allocation
 * unit of the file system. */
void space_add_staged(const PlanEntry *entry, bool copied, uint64_t unit, NeededSpace *needed);

/*
 * Count, in each root's needed.reserved, the bytes that the apply allocates: files grow, holes in
 * files are filled, directories are created and get new names.
 */
MUST_CHECK bool roots_reserve(Roots *roots, const Plan *plan, Error *error);

#endif
