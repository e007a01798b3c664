/*
 * The parts of a SourceWal, for source_wal.c, source_wal_fetch.c and source_wal_read.c.
 */
#ifndef WAL_STORE_SOURCE_WAL_PARTS_H
#define WAL_STORE_SOURCE_WAL_PARTS_H

#include "io/file.h"
#include "wal_store/source_wal.h"

#include <stdatomic.h>

struct SourceWal
{
    Arena *arena;
    const Options *options;
    Source *source;
    const Target *target;
    WalShape shape;
    uint32_t data_block_size;
    const History *history; /* the source's */
    const char *target_directory;
    const char *scratch;
    int jobs;
    bool dry_run;
    Archive *archive;         /* of segments that the source no longer has */
    bool has_command;         /* its restore command was given, or was looked for */
    bool command_is_targets;  /* it is the target's own */
    Lsn unasked_end;          /* it was asked for segments up to here, which no option told it to */
    Lsn common_end;           /* the target keeps its segments up to here */
    Lsn fetched_end;          /* segments that end up to here need not be fetched again */
    uint64_t forgotten_bytes; /* that were fetched */
    bool reads;               /* what is fetched now, is read now: progress is of both */
    atomic_uint_least64_t
        fetched_bytes; /* and how long that took: looked at by the thread that reads, too */
    atomic_uint_least64_t fetch_microseconds;
};

/* DIRECTORY, then a prefix such as "/pg_wal/", then the segment's name. */
MUST_CHECK bool source_wal_path(const SourceWal *wal, const char *directory, const char *prefix,
                                uint64_t segment, char path[PATH_SIZE], Error *error);

/* Where the source or the target has a segment, or would: not an archive. */
MUST_CHECK bool source_wal_own_path(const SourceWal *wal, uint64_t segment, char path[PATH_SIZE],
                                    Error *error);

MUST_CHECK bool source_wal_file_exists(const char *path, bool *found, Error *error);

#endif
