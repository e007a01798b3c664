#include "recovery_start/replay_hazard.h"

#include "target/tablespace_mapping.h"
#include "recovery_start/start.h"

#include <string.h>

/*
 * True if the source's WAL tells of each directory that the source has removed. A primary removes a
 * template's files before its WAL says so: its copies are in doubt, except those that it replayed
 * before it was promoted, as long as it is as it was then. A standby removes them when it replays
 * that, and transfer_make waits until it has replayed what it had begun.
 */
static bool tells_of_removals(const Clusters *clusters, const SourceState *state,
                              const ScanDatabase *last_copy)
{
    Lsn promoted;

    if (state->position.in_recovery)
        return state->position.streams || !clusters->source->is_server;
    return clusters->source->is_server &&
           start_is_as_promoted(&state->control, &clusters->source_history, &promoted) &&
           last_copy->lsn < promoted;
}

static bool find_copies(const Clusters *clusters, const SourceState *state, int jobs,
                        const WalStream *stream, const ScanResult *chain, ReplayHazard *hazard,
                        Error *error)
{
    const ScanDatabase *copy = start_last_copy(chain);
    UnsafeCopy unsafe = {0};
    char text[LSN_TEXT_SIZE];
    bool looks_closer;

    if (copy == NULL)
        return true;
    looks_closer = tells_of_removals(clusters, state, copy);
    if ((looks_closer || state->position.in_recovery) &&
        !start_find_unsafe_copy(stream, jobs, chain, &unsafe, error))
        return false;
    hazard->found = true;
    hazard->copies_come_out_right = looks_closer && !unsafe.found;
    hazard->checkpoint_follows = !state->position.in_recovery && !hazard->copies_come_out_right;
    hazard->lsn = copy->lsn;
    if (unsafe.found)
        copy = &unsafe.copy;
    error_set(&hazard->error, ERROR_FAILED, "replay would copy database %u from database %u%s",
              copy->database, copy->source_database,
              !unsafe.found    ? " as it is in the rewound target"
              : unsafe.dropped ? ", which the source has dropped since"
                               : ", which the source has changed since");
    error_detail(&hazard->error,
                 "The source copied its files at %s (CREATE DATABASE, or ALTER DATABASE "
                 "SET TABLESPACE); the copy on the target could silently differ.",
                 lsn_text(clusters->shape.version, copy->lsn, text));
    return true;
}

/* True if replaying this does no harm. Otherwise *problem says why. */
static bool may_make_tablespace(const Clusters *clusters, const TablespaceMappings *mappings,
                                const ScanTablespace *tablespace, Error *problem)
{
    const char *mapped = tablespace_mapped(mappings, tablespace->path);

    if (mapped == NULL || strcmp(mapped, tablespace->path) == 0)
        return tablespace_check_replayed(clusters->target.directory, clusters->shape.version,
                                         tablespace->path, problem);
    error_set(problem, ERROR_FAILED,
              "replay of CREATE TABLESPACE would use \"%s\" instead of \"%s\"", tablespace->path,
              mapped);
    return error_detail(problem, "WAL holds the source's path: recovery must start after it.");
}

static void find_tablespaces(const Clusters *clusters, const TablespaceMappings *mappings,
                             const ScanResult *chain, ReplayHazard *hazard)
{
    for (size_t i = 0; i < chain->tablespace_count; i++)
    {
        const ScanTablespace *tablespace = &chain->tablespaces[i];

        if (!tablespace->created ||
            may_make_tablespace(clusters, mappings, tablespace, &hazard->error))
            continue;
        hazard->found = true;
        hazard->copies_come_out_right = hazard->checkpoint_follows = false;
        if (tablespace->lsn > hazard->lsn)
            hazard->lsn = tablespace->lsn;
    }
}

bool replay_hazard_find(const Clusters *clusters, const SourceState *state, const Options *options,
                        const WalStream *stream, const ScanResult *chain, ReplayHazard *hazard,
                        Error *error)
{
    *hazard = (ReplayHazard){0};
    if (!find_copies(clusters, state, options->jobs, stream, chain, hazard, error))
        return false;
    find_tablespaces(clusters, options->tablespaces, chain, hazard);
    /* A page of a directory at rest is whole: replay goes on from its LSN and needs no image. */
    if (!chain->full_page_writes_off || !clusters->source->is_server)
        return true;
    hazard->found = true;
    hazard->copies_come_out_right = hazard->checkpoint_follows = false;
    error_set(&hazard->error, ERROR_FAILED,
              "\"full_page_writes\" must be enabled in the source server"); /* contract */
    error_detail(&hazard->error, "It was off in the WAL that the rewound target would replay.");
    if (!state->control.checkpoint.full_page_writes)
        error_hint(&hazard->error, "Set full_page_writes = on in the source's configuration.");
    return true;
}
