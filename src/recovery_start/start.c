#include "recovery_start/recovery_start.h"

#include "base/log.h"
#include "base/text_cursor.h"
#include "format/origins.h"
#include "format/relpath.h"
#include "io/place.h"
#include "target/tablespace_mapping.h"

#include <stdlib.h>
#include <string.h>

/* ---- Positions ---- */

Start start_early(const ScanCheckpoint *common, const Control *source)
{
    /* The source's files may be as old as its own last checkpoint: if that is older, start there.
     * A standby with an old restartpoint is such a source, even just after promotion. */
    if (source->checkpoint.redo < common->checkpoint.redo)
        return start_of_source(source);
    return (Start){.redo = common->checkpoint.redo,
                   .checkpoint = common->lsn,
                   .timeline = common->checkpoint.timeline,
                   .next_xid = common->checkpoint.next_xid,
                   .next_oid = common->checkpoint.next_oid,
                   .commit_timestamps = common->checkpoint.commit_timestamps};
}

Start start_of_source(const Control *source)
{
    return (Start){.redo = source->checkpoint.redo,
                   .checkpoint = source->checkpoint_lsn,
                   .timeline = source->checkpoint.timeline,
                   .next_xid = source->checkpoint.next_xid,
                   .next_oid = source->checkpoint.next_oid,
                   .commit_timestamps = source->checkpoint.commit_timestamps};
}

bool start_late(const Control *source, Lsn divergence, Lsn after, Start *start)
{
    const CheckPoint *checkpoint = &source->checkpoint;

    if (checkpoint->redo < divergence || checkpoint->redo <= after || !checkpoint->full_page_writes)
        return false;
    *start = start_of_source(source);
    return true;
}

bool start_may_be_cheaper(const Version *version, const Start *early, const Start *late)
{
    return late->redo - early->redo >= ESTIMATE_WAL_MIN &&
           (late->checkpoint != late->redo || version->recovers_prepared_subxacts);
}

/* ---- Connections ---- */

/* True if recovery starts at a shutdown checkpoint, or replays one. At a shutdown checkpoint only
 * prepared transactions run, and a standby knows all of them. */
static bool meets_shutdown(const Start *start, const ScanResult *scanned, Lsn end)
{
    if (start->checkpoint == start->redo)
        return true;
    for (size_t i = 0; i < scanned->checkpoint_count; i++)
    {
        const ScanCheckpoint *checkpoint = &scanned->checkpoints[i];

        if (checkpoint->lsn >= start->redo && checkpoint->lsn < end && !checkpoint->online)
            return true;
    }
    return false;
}

StartOpening start_opening(const Start *start, const ScanResult *scanned, Lsn end)
{
    const ScanRunning *first = NULL;

    if (meets_shutdown(start, scanned, end))
        return OPENING_AT_ONCE;
    for (size_t i = 0; i < scanned->running_count; i++)
    {
        const ScanRunning *running = &scanned->running[i];

        if (running->lsn < start->redo || running->lsn >= end)
            continue;
        if (first == NULL)
            first = running;
        if (running->complete || !xid_precedes(running->oldest_xid, first->next_xid))
            return OPENING_AT_ONCE;
    }
    return first == NULL ? OPENING_UNKNOWN : OPENING_LATER;
}

/* ---- Copies of databases ---- */

const ScanDatabase *start_last_copy(const ScanResult *chain)
{
    for (size_t i = chain->database_count; i-- > 0;)
    {
        if (chain->databases[i].kind == WAL_EVENT_DATABASE_FILE_COPY)
            return &chain->databases[i];
    }
    return NULL;
}

static bool is_dropped_after(const ScanResult *chain, Oid tablespace, Oid database, Lsn lsn)
{
    for (size_t i = 0; i < chain->database_count; i++)
    {
        const ScanDatabase *event = &chain->databases[i];

        if (event->kind == WAL_EVENT_DATABASE_DROP && event->lsn > lsn &&
            event->database == database && event->tablespace == tablespace)
            return true;
    }
    return false;
}

/* Set *changed if the WAL from lsn on changes a block of the database. */
static bool is_changed_after(const WalStream *stream, int jobs, Oid database, Lsn lsn,
                             bool *changed, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const BlockMapRelation *relation;
    WalSegmentFacts end;
    ScanResult result;
    WalScan *scan = scan_read(stream, jobs, lsn, arena, &end, &result, error);

    *changed = false;
    for (size_t at = 0; scan != NULL && (relation = blockmap_next(result.blocks, &at)) != NULL;)
        *changed = *changed || relation->id.database == database;
    scan_destroy(scan);
    return scan != NULL;
}

bool start_find_unsafe_copy(const WalStream *stream, int jobs, const ScanResult *chain,
                            UnsafeCopy *unsafe, Error *error)
{
    *unsafe = (UnsafeCopy){0};
    for (size_t i = 0; i < chain->database_count; i++)
    {
        const ScanDatabase *copy = &chain->databases[i];
        bool dropped, changed = false;

        if (copy->kind != WAL_EVENT_DATABASE_FILE_COPY)
            continue;
        /* Minor versions before August 2022 stop replay at the copy of a template that no longer
           exists, even if the copy itself is dropped soon after. */
        dropped =
            is_dropped_after(chain, copy->source_tablespace, copy->source_database, copy->lsn);
        if (!dropped && !is_dropped_after(chain, copy->tablespace, copy->database, copy->lsn) &&
            !is_changed_after(stream, jobs, copy->source_database, copy->lsn, &changed, error))
            return false;
        if (dropped || changed)
            *unsafe = (UnsafeCopy){.found = true, .copy = *copy, .dropped = dropped};
    }
    return true;
}

bool start_is_as_promoted(const Control *source, const History *history, Lsn *promoted)
{
    *promoted = history->entries[history->count - 1].begin;
    return source->state == STATE_IN_PRODUCTION && source->checkpoint_lsn < *promoted;
}

/* ---- Hazards ---- */

/* True if the source's WAL has a record for each directory that the source has removed. A standby's
 * WAL does; a primary's does for copies before its promotion, if no checkpoint has completed since
 * (design/correctness.md). */
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
    bool looks_closer;

    if (copy == NULL)
        return true;
    looks_closer = tells_of_removals(clusters, state, copy);
    if ((looks_closer || state->position.in_recovery) &&
        !start_find_unsafe_copy(stream, jobs, chain, &unsafe, error))
        return false;
    hazard->found = true;
    hazard->copies_are_identical = looks_closer && !unsafe.found;
    hazard->checkpoint_follows = !state->position.in_recovery && !hazard->copies_are_identical;
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
                 LSN_TEXT(clusters->shape.version, copy->lsn));
    return true;
}

/* Set own to the path that a link of the source has on the target, and *exists if the target has
 * one there: that one stays. */
static bool find_own_link(const Clusters *clusters, const ListedLink *link, Buffer *own,
                          bool *exists, Error *error)
{
    struct stat status;

    return file_lstat(path_in(own, clusters->target.directory, link->path), &status, exists, error);
}

/* True if the plan creates the directory `place`, with the link of any tablespace located there. */
static bool gets_directory(const Clusters *clusters, const ReplayHazard *hazard, const char *place)
{
    AUTO_BUFFER Buffer own = {0};
    bool exists;

    for (size_t i = 0; i < hazard->link_count; i++)
        if (relpath_is_tablespace(hazard->links[i].path) &&
            strcmp(hazard->links[i].target, place) == 0 &&
            find_own_link(clusters, &hazard->links[i], &own, &exists, NULL) && !exists)
            return true;
    return false;
}

/*
 * Find another tablespace whose files are at the location of this CREATE TABLESPACE when it is
 * replayed: one that the source still has, and that is not dropped before in this WAL. The files
 * are where the target's link leads, or, if the target has no such link, where the plan makes it
 * lead. *other is 0 if no other tablespace is there.
 *
 * The places are compared, since two paths may lead to one directory.
 *
 * Replay would lead a second link to this directory. Replay of a DROP TABLESPACE that follows would
 * keep this link, since the directory has files. Servers of before August 2021 empty the directory.
 * (Rule C103.)
 */
static bool find_sharer(const Clusters *clusters, const ScanResult *chain,
                        const ScanTablespace *created, const ReplayHazard *hazard, Oid *other,
                        Error *error)
{
    AUTO_BUFFER Buffer own = {0};

    *other = 0;
    for (size_t i = 0; i < hazard->link_count; i++)
    {
        const ListedLink *link = &hazard->links[i];
        const char *place;
        Oid tablespace;
        bool exists;

        if (!relpath_is_tablespace(link->path))
            continue;
        tablespace = (Oid) strtoul(strrchr(link->path, '/') + 1, NULL, 10);
        if (tablespace == created->tablespace ||
            scan_has_tablespace_event(chain, false, tablespace, LSN_INVALID, created->lsn))
            continue;
        if (!find_own_link(clusters, link, &own, &exists, error))
            return false;
        place = exists ? buffer_string(&own) : link->target;
        if (strcmp(place, created->path) == 0 || place_is(place, created->path))
            *other = tablespace;
    }
    return true;
}

/* True if replay of this CREATE TABLESPACE does no harm; else *problem is the error. */
static bool may_make_tablespace(const Clusters *clusters, const TablespaceMappings *mappings,
                                const ScanTablespace *tablespace, const ReplayHazard *hazard,
                                Error *problem)
{
    const char *mapped = tablespace_mapped(mappings, tablespace->path);

    if (mapped == NULL || strcmp(mapped, tablespace->path) == 0)
        return tablespace_check_replayed(
            clusters->target.directory, &clusters->target.control.version_directory,
            tablespace->path,
            !hazard->tablespaces_exist && gets_directory(clusters, hazard, tablespace->path),
            problem);
    error_set(problem, ERROR_FAILED,
              "replay of CREATE TABLESPACE would use \"%s\" instead of \"%s\"", tablespace->path,
              mapped);
    return error_detail(problem, "The WAL record has the source's path: recovery must start after "
                                 "this record.");
}

void replay_hazard_add(ReplayHazard *hazard, Lsn lsn)
{
    hazard->found = true;
    hazard->copies_are_identical = hazard->checkpoint_follows = false;
    if (lsn > hazard->lsn)
        hazard->lsn = lsn;
}

void replay_hazard_add_unlogged_drop(ReplayHazard *hazard, const UnloggedDrop *drop)
{
    replay_hazard_add(hazard, drop->start);
    error_set(&hazard->error, ERROR_FAILED,
              "database \"%s\" is gone from the source, whose WAL does not say that it was dropped",
              drop->directory);
    error_detail(&hazard->error,
                 "DROP DATABASE was interrupted after it had removed the files, or they were "
                 "removed by hand. The rewound target would replay changes of the database "
                 "without its files, and could fail to start.");
}

static bool find_tablespaces(const Clusters *clusters, const TablespaceMappings *mappings,
                             const ScanResult *chain, ReplayHazard *hazard, Error *error)
{
    for (size_t i = 0; i < chain->tablespace_count; i++)
    {
        const ScanTablespace *tablespace = &chain->tablespaces[i];
        Oid other;

        if (!tablespace->created || tablespace->path[0] != '/') /* in the data directory */
            continue;
        if (!may_make_tablespace(clusters, mappings, tablespace, hazard, &hazard->error))
        {
            replay_hazard_add(hazard, tablespace->lsn);
            continue;
        }
        if (!find_sharer(clusters, chain, tablespace, hazard, &other, error))
            return false;
        if (other == 0)
            continue;
        replay_hazard_add(hazard, tablespace->lsn);
        error_set(&hazard->error, ERROR_FAILED,
                  "replay of CREATE TABLESPACE would give tablespace %u the directory of "
                  "tablespace %u: \"%s\"",
                  tablespace->tablespace, other, tablespace->path);
        error_detail(&hazard->error, "Two links would lead to one directory: recovery must start "
                                     "after this record.");
    }
    return true;
}

/*
 * Find changes of visibility maps without a page image. A server logs a page's image at the first
 * change since its last checkpoint. But until its first checkpoint begins, a promoted server counts
 * from its last restartpoint, even if it has replayed later checkpoints, where recovery may start:
 * the first change after those has no image. Replay then reads a block that is missing if the
 * source has truncated the visibility map since. (Rule C8.)
 */
static void find_map_reads(const Clusters *clusters, const SourceState *state,
                           const ScanResult *chain, ReplayHazard *hazard)
{
    if (chain->vm_read_lsn == LSN_INVALID)
        return;
    replay_hazard_add(hazard, chain->vm_read_lsn);
    hazard->checkpoint_follows = !state->position.in_recovery;
    error_set(&hazard->error, ERROR_FAILED,
              "replay would need blocks of visibility maps that may be gone");
    error_detail(&hazard->error,
                 "Up to %s the source logged changes of visibility maps without an image: it was "
                 "promoted during a restartpoint, or full_page_writes was off.",
                 LSN_TEXT(clusters->shape.version, chain->vm_read_lsn));
}

/*
 * Find records that need higher limits than the source's present ones, which the rewound target's
 * server will have. If the source's limits were lowered, replay of older WAL may stop the server:
 * "insufficient parameter settings" (CheckRequiredParameterValues, xlog.c), "maximum number of
 * prepared transactions reached" (twophase.c). The target's pg_control has the limits of the
 * divergence. (Rule C39.)
 */
static void find_former_limits(const Control *source, const Control *target,
                               const ScanResult *chain, ReplayHazard *hazard)
{
    const uint32_t count = version_limit_count(source->version), of_prepared = count - 2;
    Lsn last_prepared = LSN_INVALID;
    size_t prepared = 0;

    memcpy(hazard->needed.limits, source->limits, sizeof(hazard->needed.limits));
    hazard->needed.prepared = chain->prepared_count > 0;
    for (size_t i = 0; i < chain->parameter_count; i++)
        for (uint32_t k = 0; k < count; k++)
        {
            const uint32_t limit = chain->parameters[i].limits[k];

            if (limit > source->limits[k])
                hazard->former_limits_lsn = chain->parameters[i].lsn;
            if (limit > hazard->needed.limits[k])
                hazard->needed.limits[k] = limit;
        }
    if (chain->parameter_count == 0 || target->limits[of_prepared] <= source->limits[of_prepared])
        return;
    for (; prepared < chain->prepared_count &&
           chain->prepared[prepared].lsn < chain->parameters[chain->parameter_count - 1].lsn;
         prepared++)
        last_prepared = chain->prepared[prepared].lsn;
    if (prepared <= source->limits[of_prepared])
        return;
    if (last_prepared > hazard->former_limits_lsn)
        hazard->former_limits_lsn = last_prepared;
    if (target->limits[of_prepared] > hazard->needed.limits[of_prepared])
        hazard->needed.limits[of_prepared] = target->limits[of_prepared];
}

/*
 * Count the replication origins of the file that the server loads and of the WAL that it replays:
 * it has a place for each number until the drop of this origin is replayed, and stops if there are
 * fewer places (replorigin_advance, replication/logical/origin.c). (Rule S22.)
 *
 * Find the last drop of a replication origin that the source's file lacks. The rewound target
 * begins with the origins of this file, written at the source's last checkpoint or restartpoint.
 * Replay needs one more slot for each other origin that an older commit names, until it replays the
 * drop of this origin; on the source the drop had freed the slot for an origin of the file. (Rule
 * C40.)
 */
static bool find_origins(const Clusters *clusters, const ScanResult *chain, ReplayHazard *hazard,
                         Error *error)
{
    AUTO_BUFFER Buffer file = {0};
    bool found;

    if (chain->origin_count == 0 && chain->origin_drop_count == 0)
        return true;
    if (!clusters->source->operations->read_file(clusters->source, ORIGINS_PATH,
                                                 ORIGINS_FILE_SIZE_MAX, &file, &found, error))
        return false;
    hazard->needed.origins = origins_count(file.size);
    for (size_t i = 0; i < chain->origin_count; i++)
        if (!origins_has(&file, chain->origins[i]))
            hazard->needed.origins++;
    for (size_t i = 0; i < chain->origin_drop_count; i++)
        if (!origins_has(&file, chain->origin_drops[i].origin))
            hazard->origin_drop_lsn = chain->origin_drops[i].lsn;
    return true;
}

void replay_hazard_advise_on_settings(const Version *version, Lsn origin_drop, Lsn former_limits,
                                      AdviceList *list)
{
    static const char remedy[] =
        "If the server stops, raise the setting that its log names until it has replayed that "
        "WAL.";

    if (origin_drop != LSN_INVALID)
        advice_add(
            list,
            (Advice){.id = REPLAY_LACKS_ORIGINS, .severity = ADVICE_WARNING, .remedy = remedy},
            "the target's server may stop during recovery: it has room for fewer "
            "replication origins than replay needs"
            "\n"
            "Up to %s the source had replication origins that it has dropped since; replay "
            "needs room for these and for the present ones.",
            LSN_TEXT(version, origin_drop));
    if (former_limits != LSN_INVALID)
        advice_add(list,
                   (Advice){.id = "former_limits", .severity = ADVICE_WARNING, .remedy = remedy},
                   "the target's server may stop during recovery: the source's present settings "
                   "are lower than replay needs"
                   "\n"
                   "Up to %s the source had a higher max_connections, max_prepared_transactions or "
                   "other limit, which replay of that WAL needs.",
                   LSN_TEXT(version, former_limits));
}

bool replay_hazard_find(const Clusters *clusters, const SourceState *state, const Options *options,
                        const WalStream *stream, const ScanResult *chain, ReplayHazard *hazard,
                        Error *error)
{
    *hazard = (ReplayHazard){.tablespaces_exist = hazard->tablespaces_exist,
                             .links = hazard->links,
                             .link_count = hazard->link_count,
                             .former_limits_lsn = LSN_INVALID};
    find_former_limits(&state->control, &clusters->target.control, chain, hazard);
    if (!find_origins(clusters, chain, hazard, error) ||
        !find_copies(clusters, state, options->jobs, stream, chain, hazard, error) ||
        !find_tablespaces(clusters, options->tablespaces, chain, hazard, error))
        return false;
    find_map_reads(clusters, state, chain, hazard);
    /* Pages of a stopped source are whole: replay continues from each LSN without images. */
    if (!chain->full_page_writes_off || !clusters->source->is_server)
        return true;
    replay_hazard_add(hazard, LSN_INVALID);
    error_set(&hazard->error, ERROR_FAILED,
              "\"full_page_writes\" must be enabled in the source server"); /* contract */
    error_detail(&hazard->error, "It was off in the WAL that the rewound target would replay.");
    if (!state->control.checkpoint.full_page_writes)
        error_hint(&hazard->error, "Set full_page_writes = on in the source's configuration.");
    return true;
}
