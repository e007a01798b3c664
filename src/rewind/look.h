/*
 * A look at a pair of clusters finds out whether a rewind would succeed, without a lock and without
 * changing anything. It takes the first three steps of a run (identify the target, identify the
 * source, find the divergence) and then checks how recovery would start. --check makes a look, and
 * --rejoin makes one before it stops the server.
 */
#ifndef REWIND_LOOK_H
#define REWIND_LOOK_H

#include "plan/plan.h"
#include "recovery_start/recovery_start.h"
#include "rewind/session.h"
#include "standby/standby_settings.h"

typedef struct Look
{
    Session session; /* session without locks, which the caller has opened and whose target it has
                        identified */
    SourceState source;
    Divergence divergence;
    bool found;   /* `divergence` is final: the search came to its end, or --compare makes a search
                     needless */
    bool rewinds; /* a rewind of this target has something to do: certain if `found`; otherwise
                     assumed while the target's server runs, or concluded from the histories */
    StartForetold start;
} Look;

/*
 * Look at the pair. Fails if a rewind would fail now, if it would fail once the target's server is
 * stopped, or if problems were found. While the target's server runs, the divergence is searched
 * for only if the histories show that there is one. look->found also stays false if WAL would have
 * to be fetched and no scratch directory has room for it: a rewind, unlike a look, keeps fetched
 * WAL in the target.
 */
MUST_CHECK bool look_at_pair(Look *look, Error *error);

/*
 * After look_at_pair, if look->rewinds: list the files of both sides, and check that the source may
 * read the files that a rewind would fetch and that do not belong to relations. Each unreadable
 * file is added to the session's problems as finding "source_files". settings: what -R will write.
 * (prepare.c)
 */
MUST_CHECK bool look_at_files(Look *look, const StandbySettings *settings, Error *error);

/* Set the fields of a plan's input that depend on the target and the options alone, and *keep,
 * which *input points to and which the caller frees with keep_free. The target must be identified.
 * settings: what -R will write; NULL without it. (prepare.c) */
void prepare_input(const Session *session, const StandbySettings *settings, Keep *keep,
                   PlanInput *input);

/* Close the session, and free what the look has read. */
void look_close(Look *look);

#endif
