/*
 * Names for the report of what is lost, from the target's own catalogs as the lost transactions
 * left them: of what the source does not know, and of what they did to the schema.
 */
#ifndef LOST_LOST_NAMES_H
#define LOST_LOST_NAMES_H

#include "rewind/run.h"

/*
 * A LostNamer. Sets names of relations and databases that the source did not give, and lost's
 * schema_changes. What cannot be read stays as it was, and all of it where the target is of a fork
 * of PostgreSQL. The names are in the look's arena.
 */
void lost_names_read(const Look *look, Lost *lost);

#endif
