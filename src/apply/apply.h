/*
 * Carry the journal out; every action can be repeated.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "apply/commit.h"
#include "options.h"

typedef struct ApplyOptions
{
    bool syncfs; /* sync by file system, not by file */
    int jobs;
    int patience_seconds; /* how long a failing step is tried again */
} ApplyOptions;

ApplyOptions apply_options(const Options *options);

/*
 * From the commit (or anywhere after it, in a later process) to the end: poison, pid text, all
 * entries, sync, real backup_label, pid file, new pg_control, cleaning up. A step that fails for a
 * passing reason (no space, an I/O error) is tried again for a while before it is an error. A file
 * that cannot be removed while cleaning up is a warning. The caller releases the interlock.
 */
MUST_CHECK bool apply_finish(const char *target_directory, Interlock *interlock,
                             const ApplyOptions *options, Error *error);

#endif
