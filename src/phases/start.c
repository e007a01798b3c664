#include "phases/run.h"

#include "base/buffer.h"
#include "base/log.h"

#include <string.h>

/* All of the source's WAL that an early start needs must be somewhere. */
static bool check_wal_is_there(Run *run, Lsn from, Lsn end, Error *error)
{
    uint64_t last = wal_segment_before(&run->shape, end);
    Buffer missing = {0};
    bool result = true;

    for (uint64_t segment = wal_segment_of(&run->shape, from); segment <= last && result; segment++)
    {
        char name[WAL_NAME_SIZE], path[PATH_SIZE];
        bool found;

        run_segment_name(run, segment, name);
        result = run_find_source_segment(run, segment, path, &found, error);
        if (result && !found && !run_add_missing(&missing, name))
            break;
    }
    if (result && missing.size > 0)
        result = run_missing_wal_error(buffer_string(&missing), error);
    buffer_free(&missing);
    return result;
}

/* What the source touched before a late start is no longer rebuilt by replay: it counts like what
 * the target touched. */
static bool take_source_changes(Run *run, Lsn from, Error *error)
{
    ScanResult result;
    ScanDatabase *databases;
    WalScan *scan;
    Lsn end;

    if (!run_scan_source_wal(run, run_open_source_segment, from, run->start.redo, &scan, &result,
                             &end, error))
        return false;
    if (!run_check_known_updates(run, &result, error))
    {
        scan_destroy(scan);
        return false;
    }
    blockmap_merge(run->scanned.blocks, result.blocks);
    databases = arena_allocate(
        run->arena, (run->scanned.database_count + result.database_count + 1) * sizeof(*databases));
    if (run->scanned.database_count > 0)
        memcpy(databases, run->scanned.databases, run->scanned.database_count * sizeof(*databases));
    if (result.database_count > 0)
        memcpy(databases + run->scanned.database_count, result.databases,
               result.database_count * sizeof(*databases));
    run->scanned.databases = databases;
    run->scanned.database_count += result.database_count;
    run->input.whole_from = from;
    scan_destroy(scan);
    return true;
}

static bool start_later(Run *run, const UnsafeCopy *unsafe, Error *error)
{
    Lsn early = run->start.redo;
    Lsn floor = early < run->start.scan_floor ? early : run->start.scan_floor;
    char text[LSN_TEXT_SIZE];

    if (!start_late(&run->source_control, run->divergence, unsafe->last_lsn, &run->start))
    {
        run_unsafe_copy_error(run, unsafe, error);
        return error_hint(error, "Run CHECKPOINT on the source, then pg_rewind again.");
    }
    log_debug("recovery starts late, at the source's checkpoint %s: replay would copy database %u "
              "wrongly",
              run_lsn_text(run, run->start.checkpoint, text), unsafe->copy.database);
    run->report->redo = run->start.redo;
    return take_source_changes(run, floor, error);
}

/* Read the WAL that would be replayed: is the start right for it? */
static bool check_start(Run *run, Lsn end, UnsafeCopy *unsafe, Error *error)
{
    ScanResult chain;
    WalScan *scan;
    Lsn last_end;
    bool result;

    if (!run_scan_source_wal(run, run_open_source_segment, run->start.redo, end, &scan, &chain,
                             &last_end, error))
        return false;
    result = run_check_full_page_writes(&chain, error) &&
             run_check_replayed_tablespaces(run, &chain, error) &&
             start_find_unsafe_copy(scan_stream(scan), run->options->jobs, &chain, unsafe, error);
    scan_destroy(scan);
    return result;
}

bool phase_start(Run *run, Error *error)
{
    Lsn end = run_wal_end(run);
    UnsafeCopy unsafe;

    if (!run_bring_source_wal(run, run->start.redo, end, error) ||
        !check_wal_is_there(run, run->start.redo, end, error))
        return false;
    run->source_wal_brought_end = end;
    if (!check_start(run, end, &unsafe, error))
        return false;
    if (!unsafe.found)
        return true;
    return start_later(run, &unsafe, error) && check_start(run, end, &unsafe, error) &&
           (!unsafe.found || run_unsafe_copy_error(run, &unsafe, error));
}
