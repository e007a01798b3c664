/*
 * Steps that could fail later are tried before anything is written.
 */
#ifndef STAGE_CHECK_H
#define STAGE_CHECK_H

#include "plan/plan.h"

/* The WAL that is staged, at most. */
typedef struct WalSpace
{
    uint64_t written_bytes; /* to where pg_wal is */
    uint64_t
        fetched_bytes; /* to PGDATA first; moved from there, or copied if pg_wal is elsewhere */
    bool is_fetched;   /* that is done already (not so in a dry run) */
} WalSpace;

/*
 * Check all that can be checked before anything is written (also for --dry-run, which stops here):
 * the plan has no conflicts, each file to be changed can be replaced or written, directories are
 * writable, tablespace locations are usable and not another cluster's (nor the source's own), and
 * the space is there on each file system. Every problem is printed, and the error is
 * ERROR_REPORTED. Changes nothing.
 */
MUST_CHECK bool stage_check(const char *target_directory, const Plan *plan, const WalSpace *wal,
                            Error *error);

/* How a file that stays in place can be changed. */
typedef enum FileUse
{
    FILE_USE_PATCH,
    FILE_USE_COPY, /* it may not be written, or has other names that must not see the change: a copy
                      is patched and replaces it */
    FILE_USE_GONE
} FileUse;

/* Opens the file, which changes nothing. An error where neither is possible. */
MUST_CHECK bool stage_file_use(const char *local, FileUse *use, Error *error);

#endif
