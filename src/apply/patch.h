/*
 * Write staged blocks into the files that stay in place, in several threads.
 */
#ifndef APPLY_PATCH_H
#define APPLY_PATCH_H

#include "apply/journal.h"
#include "io/open_file.h"

typedef bool (*PatchVisitor)(void *context, const JournalEntry *entry, Error *error);

/*
 * Read the journal from its beginning, and write all its ranges with `jobs` threads. Every other
 * entry is passed to `visit`, in the journal's order, by one thread at a time, while other threads
 * write ranges. The call may be repeated after a failure. Nothing is synced: writeback has begun,
 * and `written` keeps the patched files for the sync.
 */
MUST_CHECK bool patch_files(const char *target_directory, JournalReader *reader, int jobs,
                            PatchVisitor visit, void *context, Written *written, Error *error);

/* Fail because the file `local`, which existed at the commit, is missing. Always false. */
bool error_missing_file(const char *local, Error *error);

#endif
