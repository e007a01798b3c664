/*
 * The note in the target that a sync has failed. (Rule I27.)
 *
 * The kernel tells once that it could not write a page to the disk, and drops the page or takes it
 * for written: every later sync succeeds. So that a file may be lost is written down in the target,
 * and each run compares all blocks until a rewind has done so to its end, which removes the note
 * like any other file that the server makes again.
 */
#ifndef TARGET_UNSYNCED_H
#define TARGET_UNSYNCED_H

#include "base/error.h"

#define UNSYNCED_PATH "pg_rewind.unsynced" /* path of the note in the target */

/*
 * Note the error of a sync that has failed, for files that no run writes again, and add to it what
 * the next run will do. If it cannot be noted, add what to do instead, and set the errno of the
 * error to 0: no step is to be repeated after that. An error of opening a file is left as it is.
 * Always returns false: `return unsynced_note(...)`.
 */
bool unsynced_note(const char *target_directory, Error *error);

bool unsynced_is_noted(const char *target_directory);

#endif
