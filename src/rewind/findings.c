#include "rewind/findings.h"

#include "base/clock.h"

#include <stdlib.h>

double findings_count_seconds(Findings *findings, RunPhase phase, double since)
{
    const double now = clock_seconds();

    findings->seconds[phase] += now - since;
    return now;
}

void findings_add_fetched(Findings *findings, const Stage *stage)
{
    StageStatistics *sum = &findings->fetched;
    const StageStatistics *more = stage_statistics(stage);

    for (int kind = 0; kind < KIND_COUNT; kind++)
        sum->fetched_bytes_by_kind[kind] += more->fetched_bytes_by_kind[kind];
    sum->fetched_bytes += more->fetched_bytes;
    sum->compared_bytes += more->compared_bytes;
}

bool findings_find_next_start(const Options *options, Findings *findings, Arena *arena,
                              Error *error)
{
    const Planned *planned = &findings->planned;
    const NextStartInput input = {.target = &findings->identified.clusters.target,
                                  .source = findings->identified.clusters.source,
                                  .control = planned->known
                                                 ? &findings->identified.source.control
                                                 : &findings->identified.clusters.target.control,
                                  .plan = planned->known ? &planned->plan : NULL,
                                  .source_files = &planned->source_files,
                                  .target_files = &planned->target_files,
                                  .config_file = findings->identified.clusters.target.config_file,
                                  .standby_settings = findings->standby_settings,
                                  .write_recovery_conf = options->write_recovery_conf,
                                  .slots = findings->slots,
                                  .slots_dropped = options->drop_slots};
    NextStart *next = arena_allocate(arena, sizeof(*next));

    if (!next_start_find(&input, arena, next, error))
        return false;
    findings->next_start = next;
    return true;
}

Lsn findings_source_end(const Findings *findings)
{
    if (findings->staged.min_recovery_timeline != 0)
        return findings->staged.source_end;
    return findings->identified.clusters.source_history.count > 0
               ? findings->identified.source.position.end
               : LSN_INVALID;
}

bool findings_resumed(const Findings *findings)
{
    return findings->opened.resumed || findings->opened.pending;
}

static const char *copy_or_null(Arena *arena, const char *text)
{
    return text != NULL && text[0] != '\0' ? arena_strdup(arena, text) : NULL;
}

void findings_note_source(Findings *findings)
{
    Arena *arena = findings->arena;
    const Source *source = findings->identified.clusters.source;

    findings->reread_wal_bytes = source_wal_removed_bytes(findings->identified.source_wal);
    if (findings->staged.stage != NULL)
    {
        findings_add_fetched(findings, findings->staged.stage);
        findings->fetched.fetched_bytes_by_kind[KIND_WAL] += findings->reread_wal_bytes;
        findings->fetched.fetched_bytes += findings->reread_wal_bytes;
    }
    if (source != NULL)
        findings->source = (SourceAddress){
            .description = arena_strdup(arena, source->description),
            .is_server = source->is_server,
            .host = copy_or_null(arena, source->host),
            .address = copy_or_null(arena, source->address),
            .port = source->port != NULL ? (uint32_t) strtoul(source->port, NULL, 10) : 0};
}

void findings_free(Findings *findings)
{
    lost_destroy(findings->lost.lost);
    scan_destroy(findings->divergence.scan);
    planned_free(&findings->planned);
    recovery_start_free(&findings->start);
    arena_destroy(findings->arena);
}
