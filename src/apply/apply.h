/*
 * Carry out the journal of a committed rewind. Every action can be repeated.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "options.h"
#include "apply/commit.h"

#define APPLY_PATIENCE_SECONDS 300 /* patience_seconds of a normal run */

/*
 * Finish a committed rewind, in the process that committed it or in a later one: poison, pid file's
 * text, all entries, sync, real backup_label, pid file, new pg_control, removal of the work
 * directories.
 *
 * A step that fails for a reason that can pass (no space, an I/O error) is retried each second for
 * patience_seconds; the first of these failures is a warning, and after that time the last one is
 * the error. A work directory that cannot be removed is a warning. The caller releases the
 * interlock.
 */
MUST_CHECK bool apply_finish(const char *target_directory, Interlock *interlock,
                             const Options *options, int patience_seconds, Error *error);

#endif
