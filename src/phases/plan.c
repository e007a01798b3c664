#include "phases/run.h"

#include "base/buffer.h"
#include "base/log.h"
#include "io/file.h"
#include "recovery.h"

#include <stdio.h>

/* Bytes of WAL that staging will write, but for segments that are here already and only change
 * their name. */
static uint64_t wal_bytes_to_write(const Run *run)
{
    uint64_t end = wal_segment_before(&run->shape, run_wal_end(run));
    uint64_t brought = wal_segment_of(&run->shape, run->source_wal_brought_end);
    uint64_t bytes = 0;

    for (uint64_t segment = wal_segment_of(&run->shape, run->start.redo); segment <= end; segment++)
        bytes += run_keeps_segment(run, segment) || (run->source->is_server && segment < brought)
                     ? 0
                     : run->shape.segment_size;
    return bytes;
}

static bool make_plan(Run *run, Error *error)
{
    log_progress_message("reading source file list"); /* contract */
    if (!listing_of_source(run->arena, run->source, &run->source_files, error))
        return false;
    log_progress_message("reading target file list"); /* contract */
    if (!listing_of_target(run->arena, &run->target, &run->target_files, error))
        return false;
    run->input.source = &run->source_files;
    run->input.target = &run->target_files;
    if (!plan_make(&run->input, &run->plan, error))
        return false;
    if (run->options->write_recovery_conf)
        recovery_claim_files(run->shape.version, &run->plan);
    plan_print(&run->plan);
    run->report->planned = true;
    run->report->planned_bytes = run->plan.fetch_bytes;
    run->report->source_bytes = run->plan.source_bytes;
    log_progress_message(
        "need to copy %lu MB (total source directory size is %lu MB)", /* contract */
        (unsigned long) (run->plan.fetch_bytes / (1024 * 1024)),
        (unsigned long) (run->plan.source_bytes / (1024 * 1024)));
    return true;
}

bool phase_plan(Run *run, Error *error)
{
    if (!make_plan(run, error))
        return false;
    /* A segment is staged from its first byte on. */
    run->report->planned_wal_bytes =
        run_wal_end(run) -
        wal_segment_start(&run->shape, wal_segment_of(&run->shape, run->start.redo));
    return stage_check(run->options->target, &run->plan, wal_bytes_to_write(run), error);
}
