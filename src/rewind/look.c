#include "rewind/look.h"

#include "pair/prerequisites.h"
#include "recovery_start/recovery_start.h"

#define SEGMENTS_ASKED_FOR_MAX 32

/* Hints that were not logged matter to a target that has diverged, or that was a primary and
 * crashed. Where that is certain they are looked at first, since the divergence itself may not be
 * found without WAL that is missing. */
bool look_for_divergence(const Options *options, const Identified *identified, int jobs,
                         Arena *arena, Problems *problems, Divergence *divergence, Error *error)
{
    const Clusters *clusters = &identified->clusters;
    const DivergenceInput input = {.clusters = clusters,
                                   .state = &identified->source,
                                   .target_wal = &identified->target_wal,
                                   .source_wal = identified->source_wal,
                                   .jobs = jobs};
    const bool hints_matter =
        divergence_is_certain(clusters) || target_crashed_as_primary(&clusters->target);

    if (options->compare)
    {
        divergence_leave_unknown(clusters, divergence);
        return true;
    }
    if (hints_matter)
        prerequisites_check_hints(clusters, problems);
    if (!divergence_find(&input, arena, divergence, error))
        return false;
    if (divergence->needed && !hints_matter)
        prerequisites_check_hints(clusters, problems);
    if (!divergence->needed)
        prerequisites_check_level(clusters, problems);
    return true;
}

bool look_for_next_wal(const Identified *identified, Lsn end, uint64_t *segment, bool *has,
                       Error *error)
{
    *segment = wal_segment_of(&identified->clusters.shape, end);
    *has = end >= source_state_wal_end(&identified->source, end);
    return *has ||
           (source_wal_source_has(identified->source_wal, *segment, has, error) &&
            (*has || source_wal_target_can_restore(identified->source_wal, *segment, has, error)));
}

bool look_open(const Options *options, Look *look, Error *error)
{
    static const LookPolicy policy = {.may_run = true};
    RewindOutcome outcome = REWIND_UNTOUCHED;

    return opened_make(options, &policy, look->arena, &look->identified.clusters.target,
                       &look->opened, &outcome, error) &&
           (look->opened.pending || identify_target(options, &look->opened, look->arena,
                                                    &look->problems, &look->identified, error));
}

/*
 * True if a target whose server runs has diverged. A primary was on its timeline after the point
 * where the source left that, and goes on. Whether others have is only known when they are stopped.
 */
static bool running_has_diverged(const Clusters *clusters, Lsn *latest)
{
    size_t common;

    return history_common(&clusters->source_history, &clusters->target_history, &common, latest) &&
           *latest != LSN_INVALID &&
           (clusters->target.control.state == STATE_IN_PRODUCTION ||
            divergence_is_certain(clusters));
}

/* True if what was not found may be there nevertheless: it was not looked for to the end, or a
 * restore command was tried in memory, and the caller asks for certainty. */
static bool is_unknown(const Look *look)
{
    const WalStore *target = look->identified.target_wal.store;
    const WalStore *source = look->identified.source_wal->store;

    return wal_store_is_exhausted(target) || wal_store_is_exhausted(source) ||
           (look->only_certain && (target->command_failed || source->command_failed));
}

/* True if this error of a look means no more than that. A source that is lost is an error. */
static bool fails_unknown(const Look *look, const Error *error)
{
    return is_unknown(look) && error_worst_kind(error) != ERROR_RETRY;
}

/* True if an archive has the segment; the target's own restore command is asked last. */
static bool find_in_archives(SourceWal *wal, uint64_t segment, bool *found, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    bool may_take;

    return source_wal_find(wal, segment, &path, &may_take, found, error) &&
           (*found || !source_wal_ask_target_command(wal) ||
            source_wal_find(wal, segment, &path, &may_take, found, error));
}

/* Set *segment to the first one of the WAL to be replayed that neither the target keeps nor the
 * source has, and *gone_end to the end of the last; else to the first that comes from the source,
 * and LSN_INVALID. */
static bool find_gone_segments(const Look *look, Lsn from, uint64_t *segment, Lsn *gone_end,
                               Error *error)
{
    const Identified *identified = &look->identified;
    const WalShape *shape = &identified->clusters.shape;
    const uint64_t first = source_wal_first_not_kept(identified->source_wal, from);
    const Lsn end = source_state_wal_end(&identified->source, look->divergence.lsn);
    const uint64_t last = wal_segment_before(shape, end);
    uint64_t asked = first;

    *segment = first;
    *gone_end = LSN_INVALID;
    do
    {
        bool has;

        if (!source_wal_source_has(identified->source_wal, asked, &has, error))
            return false;
        if (!has && *gone_end == LSN_INVALID)
            *segment = asked;
        if (!has)
            *gone_end = wal_segment_start(shape, asked + 1);
    } while (++asked <= last && asked < first + SEGMENTS_ASKED_FOR_MAX);
    return true;
}

/* Where the WAL is that is replayed and that the target itself does not keep. A source removes the
 * oldest first; only few are asked for. */
static bool look_for_replayed_wal(const Options *options, Look *look, Error *error)
{
    const Identified *identified = &look->identified;
    SourceWal *wal = identified->source_wal;
    const Control *source = &identified->source.control;
    const Lsn earliest = start_early(&look->divergence.common_checkpoint, source).redo;
    char name[WAL_NAME_SIZE];
    Lsn gone_end;
    Start late;
    bool found;

    if (!find_gone_segments(look, earliest, &look->replayed_segment, &gone_end, error))
        return false;
    if (gone_end == LSN_INVALID)
        look->replayed = REPLAYED_WAL_OF_SOURCE;
    else if (!find_in_archives(wal, look->replayed_segment, &found, error))
        return fails_unknown(look, error);
    else if (found)
        look->replayed = REPLAYED_WAL_OF_ARCHIVE;
    else if (!options->early_start && start_late(source, look->divergence.lsn, gone_end - 1, &late))
        look->replayed = REPLAYED_WAL_NOT_NEEDED;
    else if (!is_unknown(look))
    {
        look->replayed = REPLAYED_WAL_MISSING;
        source_wal_segment_name(wal, look->replayed_segment, name);
        return error_source_wal_missing(identified->clusters.shape.version, name, error);
    }
    return true;
}

/* As of a target that is stopped, or that will be. */
static bool find_divergence_of_look(const Options *options, Look *look, Error *error)
{
    Identified *identified = &look->identified;
    const Clusters *clusters = &identified->clusters;
    Lsn latest = LSN_INVALID;

    if (look->opened.running && !options->compare)
    {
        if (!running_has_diverged(clusters, &latest))
            return true;
        target_wal_limit(&identified->target_wal, &clusters->target.control, latest);
    }
    look->found = look_for_divergence(options, identified, 1, look->arena, &look->problems,
                                      &look->divergence, error);
    if (!look->found)
        return fails_unknown(look, error);
    return options->compare || !look->divergence.needed ||
           look_for_replayed_wal(options, look, error);
}

bool look_at_pair(const Options *options, Look *look, Error *error)
{
    const Identified *identified = &look->identified;
    bool result = identify_pair(options, &look->opened, look->arena, &look->problems,
                                &look->identified, error);

    if (result)
        result = find_divergence_of_look(options, look, error);
    else if (identified->target_wal.store != NULL)
        result = identified->clusters.target_history.count == 0 && fails_unknown(look, error);
    return result && problems_check(&look->problems, error);
}

void look_release(Look *look)
{
    scan_destroy(look->divergence.scan);
    identified_release(&look->identified);
    opened_release(&look->opened);
}
