/*
 * -T/--tablespace-mapping=OLD=NEW, as in pg_basebackup: a place for tablespaces that are new to the
 * target.
 */
#ifndef TARGET_TABLESPACE_MAPPING_H
#define TARGET_TABLESPACE_MAPPING_H

#include "format/versions.h"

typedef struct TablespaceMapping
{
    const char *from; /* the location on the source */
    const char *to;   /* the one on the target; both absolute, without a slash at the end */
} TablespaceMapping;

typedef struct TablespaceMappings
{
    TablespaceMapping *mappings;
    size_t count;
    Arena *arena; /* holds the locations; made by tablespace_mapping_add */
} TablespaceMappings;

/*
 * Add what the command line says: OLD=NEW, in which "\=" is a "=" that belongs to a name.
 * Errors in pg_basebackup's words: another form, two "=", a path that is not absolute; and an OLD
 * that was given before.
 */
MUST_CHECK bool tablespace_mapping_add(TablespaceMappings *mappings, const char *text,
                                       Error *error);

/* The place on the target for the source's tablespace at `location`; NULL: no mapping names it. */
const char *tablespace_mapped(const TablespaceMappings *mappings, const char *location);

/* *own: this directory is the location of a tablespace that the target has. */
MUST_CHECK bool tablespace_is_targets(const char *target_directory, const char *location, bool *own,
                                      Error *error);

/*
 * Replay of CREATE TABLESPACE sets the mode of the tablespace's directory, which must be there, and
 * empties PG_... in it (create_tablespace_directories, commands/tablespace.c). Error if one stands
 * at that location which is not the target's own, or if there is no such directory, or another
 * user's. is_made: pg_rewind makes the directory, if there is none. (Rule C44.)
 */
MUST_CHECK bool tablespace_check_replayed(const char *target_directory,
                                          const VersionDirectory *own_files, const char *location,
                                          bool is_made, Error *error);

#endif
