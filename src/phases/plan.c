#include "phases/run.h"

#include "base/buffer.h"
#include "base/log.h"
#include "io/file.h"
#include "recovery.h"

#include <stdio.h>

/* Is every segment that the rewound target needs somewhere, as far as the listings tell? */
static bool check_wal_is_there(Run *run, Error *error)
{
    uint64_t end = wal_segment_before(&run->shape, run_wal_end(run));
    Buffer missing = {0};
    bool result = true;

    for (uint64_t segment = wal_segment_of(&run->shape, run->start.redo); segment <= end && result;
         segment++)
    {
        char name[WAL_NAME_SIZE], path[64];
        Lsn begin = wal_segment_start(&run->shape, segment);
        bool found;
        int fd;

        run_segment_name(run, segment, name);
        snprintf(path, sizeof(path), "pg_wal/%s", name);
        if (listing_find(&run->source_files, path) != NULL || run_keeps_segment(run, segment))
            continue;
        result = archive_open(run->archive,
                              history_timeline_of_segment(&run->source_history, begin,
                                                          begin + run->shape.segment_size),
                              segment, &fd, &found, error);
        if (result && found)
            file_close(fd);
        else if (result)
            buffer_printf(&missing, "%s%s", missing.size > 0 ? ", " : "", name);
    }
    if (result && missing.size > 0)
        result = run_missing_wal_error(buffer_string(&missing), error);
    buffer_free(&missing);
    return result;
}

static bool make_plan(Run *run, Error *error)
{
    const Control *control = &run->target.control;

    log_progress_message("reading source file list"); /* contract */
    if (!listing_of_source(run->arena, run->source, &run->source_files, error))
        return false;
    log_progress_message("reading target file list"); /* contract */
    if (!listing_of_target(run->arena, &run->target, &run->target_files, error))
        return false;
    run->input = (PlanInput){.version = control->version,
                             .shape = run->shape,
                             .block_size = control->block_size,
                             .relation_segment_blocks = control->relation_segment_blocks,
                             .source = &run->source_files,
                             .target = &run->target_files,
                             .scan = &run->scanned,
                             .source_history = &run->source_history,
                             .divergence = run->divergence,
                             .redo = run->start.redo,
                             .start_next_xid = run->start.next_xid};
    if (!plan_make(&run->input, &run->plan, error))
        return false;
    if (run->options->write_recovery_conf)
        recovery_claim_files(run->shape.version, &run->plan);
    plan_print(&run->plan);
    run->report->planned = true;
    run->report->planned_bytes = run->plan.fetch_bytes;
    run->report->source_bytes = run->plan.source_bytes;
    log_progress_message("need to copy %lu MB (total source directory size is %lu MB)", /* contract */
                         (unsigned long) (run->plan.fetch_bytes / (1024 * 1024)),
                         (unsigned long) (run->plan.source_bytes / (1024 * 1024)));
    return true;
}

bool phase_plan(Run *run, Error *error)
{
    if (!make_plan(run, error))
        return false;
    run->report->planned_wal_bytes = run_wal_bytes_to_stage(run);
    return stage_check(run->options->target, &run->plan, run->report->planned_wal_bytes, error) &&
           check_wal_is_there(run, error);
}
