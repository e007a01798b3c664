/*
 * The places of tablespaces that are new to the target, in the source's listing.
 */
#ifndef PLAN_TABLESPACES_H
#define PLAN_TABLESPACES_H

#include "target/tablespace_mapping.h"
#include "plan/listing.h"

#include <stdbool.h>

/* Has the source a tablespace there? To be asked before tablespaces_map. */
bool tablespace_is_listed(const Listing *source, const char *location);

/* Let the links of the source's listing point to the target's locations; links that the target has
 * already stay as they are. */
void tablespaces_map(const TablespaceMappings *mappings, Listing *source);

#endif
