#include "recovery_start/by_summaries.h"

#include "base/log.h"
#include "base/workers.h"

/*
 * Do the summaries of the common WAL say what the target's own WAL says? No chain of records leads
 * from it to the source's: that both are one history must show here.
 */
static bool match_common_wal(const Divergence *divergence, Lsn from,
                             const SourceSummaries *summaries, int jobs, Arena *arena,
                             bool *matches, Error *error)
{
    WalStream stream = *scan_stream(divergence->scan);
    const Lsn first = wal_skip_header(&stream.shape, from);
    ScanResult read;
    WalScan *scan;
    Lsn end, last;
    bool missing;
    Error why = {0};

    *matches = false;
    if (summaries->common_end <= first)
        return true;
    stream.limit = summaries->common_end;
    scan = scan_create(&stream, jobs, first);
    if (scan_forward(scan, first, &end, &last, &missing, NULL, &why) &&
        scan_finish(scan, arena, first, first, &read, &why))
        *matches = wal_skip_header(&stream.shape, end) ==
                       wal_skip_header(&stream.shape, summaries->common_end) &&
                   source_summaries_match(summaries->common, read.blocks);
    else
        log_debug("%s", why.message);
    scan_destroy(scan);
    return stop_check(error);
}

bool read_source_summaries(const Clusters *clusters, const Divergence *divergence,
                           const TargetChanges *changes, Lsn from, Lsn to, int jobs, Arena *arena,
                           SourceSummaries *summaries, bool *usable, Error *error)
{
    *usable = false;
    if (!source_summaries_read(clusters->source, &clusters->shape, &clusters->source_history, from,
                               to, divergence->lsn, summaries, error))
        return false;
    /* What a record of a custom resource manager does to a relation may be in no summary. */
    if (summaries->end < divergence->lsn || changes->scanned.custom_rmgr_seen)
        return true;
    if (!match_common_wal(divergence, from, summaries, jobs, arena, usable, error))
        return false;
    if (!*usable)
        log_debug("the source's WAL summaries do not say what the target's own WAL says");
    return true;
}
