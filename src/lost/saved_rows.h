/*
 * --save-lost-rows: what the lost transactions did to rows is written, before the commit takes it
 * from the target, as JSON for programs and as SQL for people (design/lost-rows.md).
 */
#ifndef LOST_SAVED_ROWS_H
#define LOST_SAVED_ROWS_H

#include "rewind/run.h"

/*
 * A RowSaver. When this returns true both files are on the disk, or there is nothing to be saved,
 * which it logs. A file of the same name with other content is an error. No file gets its name
 * before it is whole.
 */
MUST_CHECK bool saved_rows_write(const Options *options, const Clusters *clusters,
                                 const Divergence *divergence, Arena *arena, SavedRows *saved,
                                 Error *error);

/* ---- lost_names.c ---- */

/*
 * A LostNamer: names for the report of what is lost, from the target's own catalogs as the lost
 * transactions left them. Sets names of relations and databases that the source did not give, and
 * lost's schema_changes. What cannot be read stays as it was, and all of it where the target is of
 * a fork of PostgreSQL. The names are in the arena.
 */
void lost_names_read(const Clusters *clusters, const Divergence *divergence, Arena *arena,
                     Lost *lost);

#endif
