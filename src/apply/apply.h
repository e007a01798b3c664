/*
 * Carry out the journal of a committed rewind. Every action can be repeated.
 */
#ifndef APPLY_APPLY_H
#define APPLY_APPLY_H

#include "options.h"
#include "apply/commit.h"

#define APPLY_PATIENCE_SECONDS 300 /* patience_seconds of a normal run */

/*
 * Finish a committed rewind, in the process that committed it or in a later one. The steps: poison;
 * a text in postmaster.pid that tells users to run pg_rewind again; all entries; sync; real
 * backup_label; postmaster.pid with our pid again; new pg_control; removal of the work directories.
 * Fails, and changes nothing, if the journal is not live.
 *
 * A step that fails for a reason that can pass (no space, an I/O error) is retried each second for
 * patience_seconds; the first of these failures is a warning, and after that time the last one is
 * the error. A work directory that cannot be removed is a warning. From the start on stops are held
 * off (signals_hold_off). The interlock gets postmaster.pid if it does not have that yet; the
 * caller releases the interlock, which removes postmaster.pid.
 */
MUST_CHECK bool apply_finish(const char *target_directory, Interlock *interlock,
                             const Options *options, int patience_seconds, Error *error);

#endif
