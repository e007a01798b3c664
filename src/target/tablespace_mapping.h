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
    Arena *arena; /* holds the locations; created by the first tablespace_mapping_add, and kept
                     until the program exits */
} TablespaceMappings;

/* Add one mapping of the command line, OLD=NEW; "\=" is a "=" that belongs to a name. Errors in
 * pg_basebackup's words: another form, two "=", a path that is not absolute; and an OLD that was
 * given before. */
MUST_CHECK bool tablespace_mapping_add(TablespaceMappings *mappings, const char *text,
                                       Error *error);

/* The place on the target for the source's tablespace at `location`; NULL: no mapping names it. */
const char *tablespace_mapped(const TablespaceMappings *mappings, const char *location);

/* Find the target's tablespaces that are located at this directory: *names is set to their names in
 * pg_tblspc, NULL after the last, in the arena. A missing directory is the location of none. */
MUST_CHECK bool tablespaces_at(const char *target_directory, const char *location, Arena *arena,
                               const char ***names, Error *error);

/*
 * Check that replay of CREATE TABLESPACE would neither fail nor destroy another cluster's files at
 * this location. Replay (create_tablespace_directories, commands/tablespace.c) sets the mode of the
 * location's directory, which must exist, and empties the version's directory (PG_...) below it.
 *
 * An error if the location is no directory or belongs to another user; if it does not exist, unless
 * is_made: pg_rewind then creates it; or if it has such a PG_... directory and is not the location
 * of a tablespace of the target. (Rule C44.)
 */
MUST_CHECK bool tablespace_check_replayed(const char *target_directory,
                                          const VersionDirectory *own_files, const char *location,
                                          bool is_made, Error *error);

#endif
