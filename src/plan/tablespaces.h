/*
 * Where tablespaces that are new to the target get their place: -T/--tablespace-mapping=OLD=NEW, as
 * in pg_basebackup.
 */
#ifndef PLAN_TABLESPACES_H
#define PLAN_TABLESPACES_H

#include "base/error.h"
#include "plan/listing.h"

#include <stddef.h>

typedef struct TablespaceMapping
{
    char *from; /* the location on the source */
    char *to;   /* the one on the target; both absolute, without a slash at the end */
} TablespaceMapping;

typedef struct TablespaceMappings
{
    TablespaceMapping *mappings;
    size_t count;
} TablespaceMappings;

/*
 * Add what the command line says: OLD=NEW, in which "\=" is a "=" that belongs to a name.
 * Errors in pg_basebackup's words: another form, two "=", a path that is not absolute; and an OLD
 * that was given before.
 */
MUST_CHECK bool tablespace_mapping_add(TablespaceMappings *mappings, const char *text,
                                       Error *error);

void tablespace_mappings_free(TablespaceMappings *mappings);

/* Where the tablespace at `location` on the source goes; NULL: nothing is said of it. */
const char *tablespace_mapped(const TablespaceMappings *mappings, const char *location);

/* Has the source a tablespace there? To be asked before tablespaces_map. */
bool tablespace_is_listed(const Listing *source, const char *location);

/* Let the links of the source's listing point where the target shall have them; those that the
 * target has already stay as they are. */
void tablespaces_map(const TablespaceMappings *mappings, Listing *source);

#endif
