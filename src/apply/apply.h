/*
 * Carry the journal out; every action can be repeated.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "options.h"
#include "apply/commit.h"

#define APPLY_PATIENCE_SECONDS 300 /* how long a step that fails is tried again */

/*
 * From the commit (or anywhere after it, in a later process) to the end: poison, pid text, all
 * entries, sync, real backup_label, pid file, new pg_control, cleaning up. A step that fails for a
 * passing reason (no space, an I/O error) is tried again so long before it is an error. A file that
 * cannot be removed while cleaning up is a warning. The caller releases the interlock.
 */
MUST_CHECK bool apply_finish(const char *target_directory, Interlock *interlock,
                             const Options *options, int patience_seconds, Error *error);

#endif
