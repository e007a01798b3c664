/*
 * A look at a pair: the first three steps of a run without its lock, and what else shows before
 * anything is changed whether a rewind would succeed. For --check, and for --rejoin before it stops
 * the server.
 */
#ifndef REWIND_LOOK_H
#define REWIND_LOOK_H

#include "recovery_start/recovery_start.h"
#include "rewind/session.h"
#include "standby/standby_settings.h"

typedef struct Look
{
    Session session; /* without locks; opened by the caller, target identified */
    SourceState source;
    Divergence divergence;
    bool found;   /* the divergence was looked for to its end, or is not needed */
    bool rewinds; /* as far as is known, a rewind of this target has something to do */
    StartForetold start;
} Look;

/*
 * Look at the pair. A failure is what a rewind would fail by, or would after the target's server
 * was stopped, if that runs; or problems were found. If the target runs, divergence is looked for
 * only where the histories show it; !look->found also where there is no scratch directory, or no
 * room in it, for WAL that would have to be fetched: the rewind has it in the target.
 */
MUST_CHECK bool look_at_pair(Look *look, Error *error);

/*
 * After look_at_pair, if look->rewinds: list the files of both sides, and look whether the
 * source may read those that a rewind fetches and that are no relations. Such files are added to
 * the session's problems, with the topic "source_files". settings: what -R will write; NULL: not
 * made yet, so that it is made here. (prepare.c)
 */
MUST_CHECK bool look_at_files(Look *look, const StandbySettings *settings, Error *error);

/* Close the session, and free what the look has read. */
void look_close(Look *look);

#endif
