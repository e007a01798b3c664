#include "phases/run.h"

#include <stdio.h>

const char *run_lsn_text(const Run *run, Lsn lsn, char *text)
{
    return lsn_text(run->shape.version, lsn, text);
}

/* The last position of the source's WAL that the target must have. */
Lsn run_wal_end(const Run *run)
{
    if (!run->position.in_recovery)
        return run->position.end;
    /* The target's own pages may be as new as the divergence, whatever the standby has on its disk. */
    return run->position.minimum > run->divergence ? run->position.minimum : run->divergence;
}

void run_segment_name(const Run *run, uint64_t segment, char name[WAL_NAME_SIZE])
{
    Lsn begin = wal_segment_start(&run->shape, segment);

    wal_segment_name(&run->shape,
                     history_timeline_of_segment(&run->source_history, begin,
                                                 begin + run->shape.segment_size),
                     segment, name);
}

/* Does the target have this segment of the source's history already, and keep it? */
bool run_keeps_segment(const Run *run, uint64_t segment)
{
    char name[WAL_NAME_SIZE], path[64];
    Timeline timeline;
    uint64_t number;
    const ListedFile *file;

    run_segment_name(run, segment, name);
    snprintf(path, sizeof(path), "pg_wal/%s", name);
    file = listing_find(&run->target_files, path);
    return file != NULL && file->size == run->shape.segment_size &&
           wal_segment_name_parse(&run->shape, name, &timeline, &number) &&
           plan_keeps_segment(&run->input, timeline, segment);
}

uint64_t run_wal_bytes_to_stage(const Run *run)
{
    uint64_t end = wal_segment_before(&run->shape, run_wal_end(run));
    uint64_t bytes = 0;

    for (uint64_t segment = wal_segment_of(&run->shape, run->start.redo); segment <= end; segment++)
        bytes += run_keeps_segment(run, segment) ? 0 : run->shape.segment_size;
    return bytes;
}

bool run_missing_wal_error(const char *names, Error *error)
{
    error_set(error, ERROR_FAILED, "the source no longer has WAL that the rewound target needs");
    error_detail(error, "Missing: %s.", names);
    return error_hint(error, "Put the files into the source's pg_wal, or let pg_rewind fetch them "
                             "with --restore-target-wal.");
}
