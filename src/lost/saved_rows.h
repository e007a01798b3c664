/*
 * --save-lost-rows: writes what the lost transactions did to rows, before the commit removes it
 * from the target, as JSON for programs and as SQL for people (design/lost-rows.md).
 */
#ifndef LOST_SAVED_ROWS_H
#define LOST_SAVED_ROWS_H

#include "rewind/run.h"

/*
 * Write both files; a RowSaver. A file gets its name only when it is complete and synced. Also true
 * without both files, which is logged or a warning: no transaction is lost; the divergence is not
 * known; or writing has failed, and what could be written is kept (saved->incomplete).
 *
 * With --require-lost-rows the last two are errors; in a dry run a failure to write is. Always
 * errors: a file of that name with other content, a target of a fork of PostgreSQL, a directory
 * that saved_directory_check refuses, a request to stop.
 */
MUST_CHECK bool saved_rows_write(const Options *options, const Clusters *clusters,
                                 const Divergence *divergence, Arena *arena, SavedRows *saved,
                                 Error *error);

/* ---- lost_names.c ---- */

/*
 * Add names to the report of what is lost, from the target's own catalogs as the lost transactions
 * left them; a LostNamer. Sets names of relations and databases that the source did not give, and
 * lost's schema_changes. What cannot be read stays as it was; so does everything if the target is
 * of a fork of PostgreSQL. The names are in the arena.
 */
void lost_names_read(const Clusters *clusters, const Divergence *divergence, Arena *arena,
                     Lost *lost);

#endif
