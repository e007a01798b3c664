#include "phases/run.h"

#include "apply/roots.h"
#include "base/log.h"

#include <stdio.h>
#include <string.h>

#define MISSING_NAMES_SIZE_MAX 1000

/* A lost connection is the least: it may be there again when all else is still wrong. */
static int severity(ErrorKind kind)
{
    switch (kind)
    {
    case ERROR_NONE:
        return 0;
    case ERROR_RETRY:
        return 1;
    case ERROR_FAILED:
    case ERROR_USAGE:
        return 2;
    case ERROR_IMPOSSIBLE:
        return 3;
    }
    return 2;
}

void run_add_problem(Run *run, const Error *problem)
{
    if (problem->message[0] != '\0')
        log_error(problem);
    run->problems++;
    if (severity(problem->kind) > severity(run->worst))
        run->worst = problem->kind;
}

bool run_hint_compare(Error *error)
{
    return error_hint(error,
                      "Compare all blocks instead with --compare, which needs none of the target's "
                      "WAL.");
}

bool run_check_problems(const Run *run, Error *error)
{
    return run->problems == 0 || error_set(error, run->worst, "%s", "");
}

PlanInput run_plan_input(Run *run, Lsn divergence)
{
    return (PlanInput){.version = run->shape.version,
                       .shape = run->shape,
                       .block_size = run->target.control.block_size,
                       .relation_segment_blocks = run->target.control.relation_segment_blocks,
                       .source = &run->source_files,
                       .target = &run->target_files,
                       .keep = run->options->keep,
                       .log_directory = run_log_directory(run),
                       .source_hides_odd = run->source->is_server,
                       .scan = &run->scanned,
                       .source_history = &run->source_history,
                       .divergence = divergence,
                       .whole_from = divergence};
}

const char *run_lsn_text(const Run *run, Lsn lsn, char *text)
{
    return lsn_text(run->shape.version, lsn, text);
}

/* The last position of the source's WAL that the target must have. */
Lsn run_wal_end(const Run *run)
{
    if (!run->position.in_recovery)
        return run->position.end;
    /* The target's own pages may be as new as the divergence, whatever the standby has on its disk.
     */
    return run->position.minimum > run->divergence ? run->position.minimum : run->divergence;
}

void run_segment_name(const Run *run, uint64_t segment, char name[WAL_NAME_SIZE])
{
    Lsn begin = wal_segment_start(&run->shape, segment);

    wal_segment_name(
        &run->shape,
        history_timeline_of_segment(&run->source_history, begin, begin + run->shape.segment_size),
        segment, name);
}

/* Does the target have this segment of the source's history already, and keep it? */
bool run_keeps_segment(const Run *run, uint64_t segment)
{
    char name[WAL_NAME_SIZE], path[PATH_SIZE];
    Timeline timeline;
    uint64_t number;
    struct stat status;
    bool found;
    Error ignored;

    run_segment_name(run, segment, name);
    if (!wal_segment_name_parse(&run->shape, name, &timeline, &number) ||
        !plan_keeps_segment(&run->input, timeline, segment))
        return false;
    snprintf(path, sizeof(path), "%s/pg_wal/%s", run->target.directory, name);
    return file_stat(path, &status, &found, &ignored) && found && S_ISREG(status.st_mode) &&
           (uint64_t) status.st_size == run->shape.segment_size;
}

bool run_stages_left_segment(const Run *run, const HistoryEntry *left, Lsn end)
{
    Lsn from = wal_segment_start(&run->shape, wal_segment_of(&run->shape, run->early.redo));
    uint64_t segment = wal_segment_of(&run->shape, left->end);

    return left->end > from && left->end < end && left->begin < left->end &&
           left->end != wal_segment_start(&run->shape, segment);
}

bool run_missing_wal_error(const char *names, Error *error)
{
    error_set(error, ERROR_FAILED, "the source no longer has WAL that the rewound target needs");
    error_detail(error, "Missing: %s.", names);
    return error_hint(error, "Put the files into the source's pg_wal, or let pg_rewind fetch them: "
                             "--wal-archive, --restore-command, or --restore-target-wal for the "
                             "target's own \"restore_command\".");
}

/* A source that says that its WAL ends far behind what it has would have us name millions. */
bool run_add_missing(Buffer *names, const char *name)
{
    const bool enough = names->size > MISSING_NAMES_SIZE_MAX;

    buffer_printf(names, "%s%s", names->size > 0 ? ", " : "", enough ? "..." : name);
    return !enough;
}

bool run_check_known_updates(const Run *run, const ScanResult *scanned, Error *error)
{
    char text[LSN_TEXT_SIZE];

    if (scanned->unknown_relation_update_at == LSN_INVALID)
        return true;
    return error_set(error, ERROR_FAILED, /* contract */
                     "WAL record modifies a relation, but record type is not recognized: lsn: %s, "
                     "rmid: %d, rmgr: %s, info: %02X",
                     run_lsn_text(run, scanned->unknown_relation_update_at, text),
                     scanned->unknown_rmgr, walrecord_rmgr_name(scanned->unknown_rmgr),
                     scanned->unknown_info);
}

void run_report_staged(Run *run)
{
    const StageStatistics *statistics;

    if (run->stage == NULL)
        return;
    statistics = stage_statistics(run->stage);
    for (int kind = 0; kind < KIND_COUNT; kind++)
        run->report->fetched_bytes_by_kind[kind] += statistics->fetched_bytes_by_kind[kind];
    run->report->fetched_bytes += statistics->fetched_bytes;
    run->report->equal_bytes += statistics->compared_bytes;
}

bool run_read_source_again(Run *run, Control *control, Error *error)
{
    Timeline timeline = run->position.timeline;

    if (!run->source->operations->read_control(run->source, control, error))
        return false;
    if (!run->source->is_server)
    {
        if (memcmp(control->bytes, run->source_control.bytes, sizeof(control->bytes)) != 0)
            return error_set(error, ERROR_FAILED, /* contract */
                             "source system was modified while pg_rewind was running");
        return true;
    }
    if (control->system_identifier != run->source_control.system_identifier)
        return error_set(error, ERROR_FAILED, /* contract */
                         "source system was modified while pg_rewind was running");
    if (control->state != STATE_IN_PRODUCTION && control->state != STATE_IN_ARCHIVE_RECOVERY)
        return error_set(error, ERROR_FAILED, /* contract */
                         "source system was in unexpected state at end of rewind");
    if (!run->source->operations->position(run->source, control, &run->position, error))
        return false;
    if (run->position.timeline != timeline)
    {
        error_set(error, ERROR_FAILED, "source system was modified while pg_rewind was running");
        return error_detail(error, "It went from timeline %u to %u.", timeline,
                            run->position.timeline);
    }
    return true;
}
