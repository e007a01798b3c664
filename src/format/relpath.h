/*
 * Path of a relation file <-> tablespace, database, relfilenode, fork, segment (common/relpath.c).
 */
#ifndef FORMAT_RELPATH_H
#define FORMAT_RELPATH_H

#include "format/walrecord.h"

#define TABLESPACE_DEFAULT 1663
#define TABLESPACE_GLOBAL 1664
#define RELPATH_SIZE 160

typedef struct RelationFile
{
    RelationId relation;
    uint8_t fork;
    uint32_t segment; /* number of the relation segment: 0, or N of the suffix .N */
} RelationFile;

/* Parse the path, relative to the data directory, of a data file of any fork of a permanent
 * relation. Returns false for other paths, including those of temporary relations. own is the
 * cluster's directory in each tablespace. */
bool relpath_parse(const VersionDirectory *own, const char *path, RelationFile *file);

/* Make the path of a data file, relative to the data directory. */
void relpath_make(const VersionDirectory *own, const RelationFile *file, char path[RELPATH_SIZE]);

/* Make the path of a database's directory in a tablespace, relative to the data directory; "global"
 * for TABLESPACE_GLOBAL, whatever the database. */
void relpath_make_database(const VersionDirectory *own, Oid tablespace, Oid database,
                           char path[RELPATH_SIZE]);

/* True for a file of a temporary relation: t3_16400, with fork or segment. */
bool relpath_is_temporary(const VersionDirectory *own, const char *path);

/* True for the link of a tablespace: "pg_tblspc/16400". */
bool relpath_is_tablespace(const char *path);

/* True unless no rewind reads what is in the directory at this path, which its server may not be
 * allowed to read: lost+found of a file system, and what lies beside the directories of servers
 * (PG_15_202209061) in the location of a tablespace. */
bool relpath_is_listed(const char *path);

/* The rest of the path after "DIRECTORY/"; NULL if the path is not below the directory. */
const char *relpath_below(const char *path, const char *directory);

/* The name of what lies in the directory itself, not deeper; NULL if the path is not of that. */
const char *relpath_name_in(const char *path, const char *directory);

#endif
