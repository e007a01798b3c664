#include "rewind/run.h"

#include "base/clock.h"

#include <stdlib.h>

double run_count_seconds(Run *run, RunPhase phase, double since)
{
    const double now = clock_seconds();

    run->seconds[phase] += now - since;
    return now;
}

void run_add_fetched(Run *run, const Stage *stage)
{
    StageStatistics *sum = &run->fetched;
    const StageStatistics *more = stage_statistics(stage);

    for (int kind = 0; kind < KIND_COUNT; kind++)
        sum->fetched_bytes_by_kind[kind] += more->fetched_bytes_by_kind[kind];
    sum->fetched_bytes += more->fetched_bytes;
    sum->compared_bytes += more->compared_bytes;
}

bool run_find_next_start(const Options *options, Run *run, Arena *arena, Error *error)
{
    const Planned *planned = &run->planned;
    const NextStartInput input = {.target = &run->identified.clusters.target,
                                  .source = run->identified.clusters.source,
                                  .control = planned->known
                                                 ? &run->identified.source.control
                                                 : &run->identified.clusters.target.control,
                                  .plan = planned->known ? &planned->plan : NULL,
                                  .source_files = &planned->source_files,
                                  .target_files = &planned->target_files,
                                  .config_file = run->identified.clusters.target.config_file,
                                  .standby_settings = run->standby_settings,
                                  .write_recovery_conf = options->write_recovery_conf,
                                  .slots = run->slots,
                                  .slots_dropped = options->drop_slots};
    NextStart *next = arena_allocate(arena, sizeof(*next));

    if (!next_start_find(&input, arena, next, error))
        return false;
    run->next_start = next;
    return true;
}

Lsn run_source_end(const Run *run)
{
    if (run->staged.min_recovery_timeline != 0)
        return run->staged.source_end;
    return run->identified.clusters.source_history.count > 0 ? run->identified.source.position.end
                                                             : LSN_INVALID;
}

bool run_resumed(const Run *run)
{
    return run->opened.resumed || run->opened.pending;
}

static const char *copy_or_null(Arena *arena, const char *text)
{
    return text != NULL && text[0] != '\0' ? arena_strdup(arena, text) : NULL;
}

void run_note_source(Run *run)
{
    Arena *arena = run->arena;
    const Source *source = run->identified.clusters.source;

    run->reread_wal_bytes = source_wal_removed_bytes(run->identified.source_wal);
    if (run->staged.stage != NULL)
    {
        run_add_fetched(run, run->staged.stage);
        run->fetched.fetched_bytes_by_kind[KIND_WAL] += run->reread_wal_bytes;
        run->fetched.fetched_bytes += run->reread_wal_bytes;
    }
    if (source != NULL)
        run->source = (SourceAddress){
            .description = arena_strdup(arena, source->description),
            .is_server = source->is_server,
            .host = copy_or_null(arena, source->host),
            .address = copy_or_null(arena, source->address),
            .port = source->port != NULL ? (uint32_t) strtoul(source->port, NULL, 10) : 0};
}

void run_free(Run *run)
{
    lost_destroy(run->lost);
    scan_destroy(run->divergence.scan);
    planned_free(&run->planned);
    recovery_start_free(&run->start);
    arena_destroy(run->arena);
}
