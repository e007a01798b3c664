/*
 * What a source that is a server says of its standbys.
 */
#ifndef SOURCE_SOURCE_SERVER_STANDBYS_H
#define SOURCE_SOURCE_SERVER_STANDBYS_H

#include "base/arena.h"
#include "source/source_server.h"

#include <stdbool.h>

/* A row of pg_stat_replication. What the role may not see is empty, or LSN_INVALID. */
typedef struct SourceStandby
{
    bool all_visible; /* the role sees all columns of all rows */
    bool found;       /* the following are of a standby */
    char name[128];   /* its application_name */
    char state[32], sync_state[32];
    Lsn sent, flushed, replayed;
} SourceStandby;

/*
 * The standby with one of these names (NULL-terminated), the furthest where there are several, that
 * has connected at or after `since`, a time of source_server_clock; "0": whenever.
 */
MUST_CHECK bool source_server_find_standby(Source *source, const char *const *names,
                                           const char *since, SourceStandby *standby, Error *error);

/* The source's clock, in microseconds since 1970, as text. */
MUST_CHECK bool source_server_clock(Source *source, Arena *arena, const char **now, Error *error);

#endif
