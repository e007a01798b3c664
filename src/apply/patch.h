/*
 * Write the blocks that the journal names into the files that stay in place, in several threads.
 */
#ifndef APPLY_PATCH_H
#define APPLY_PATCH_H

#include "apply/journal.h"
#include "io/open_file.h"

typedef bool (*PatchVisitor)(void *context, const JournalEntry *entry, Error *error);

/*
 * Read the journal from its beginning, and write all its ranges. Every other entry is handed to
 * `visit`, in the journal's order, by one thread at a time, while other threads write ranges. May
 * be repeated from the beginning after a failure. Nothing is synced, but the kernel has begun to
 * write, and files that were patched are kept in `written`.
 */
MUST_CHECK bool patch_files(const char *target_directory, JournalReader *reader, int jobs,
                            PatchVisitor visit, void *context, Written *written, Error *error);

/* The error for a file that was there when the rewind was committed. */
bool error_missing_file(const char *local, Error *error);

#endif
