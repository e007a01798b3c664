/*
 * The note in the target that a sync has failed. (Rule I27.)
 *
 * The kernel tells once that it could not write a page to the disk, and drops the page or takes it
 * for written: every later sync succeeds. So that a file may be lost is written down in the target,
 * and each run compares all blocks until a rewind has done so to its end, which removes the note.
 * No journal has it, and no rewind copies it, so only that removes it. A base backup of the target
 * has it: the file may be lost there as well.
 */
#ifndef TARGET_UNSYNCED_H
#define TARGET_UNSYNCED_H

#include "base/error.h"

#define UNSYNCED_PATH "pg_rewind.unsynced" /* path of the note in the target */

/* To be called before a sync of files that no run writes again. */
void unsynced_begin(void);

/* To be called where one of many calls has failed, before the others are waited for, which can take
 * long: if it was one that syncs, the failure is noted at once. Several threads may call this. */
void unsynced_note_at_once(const char *target_directory, const Error *error);

/*
 * To be called after such a sync. synced: it has succeeded; otherwise the error is set. Returns
 * synced, unless a call of the kernel that syncs has failed: then false, the failure is noted, and
 * the error says in addition what the next run will do. If it cannot be noted, the error says what
 * to do instead, and has no errno and REMEDY_RESTART: neither the step nor the run is to be
 * repeated after that.
 */
MUST_CHECK bool unsynced_end(const char *target_directory, bool synced, Error *error);

bool unsynced_is_noted(const char *target_directory);

MUST_CHECK bool unsynced_remove_note(const char *target_directory, Error *error);

#endif
