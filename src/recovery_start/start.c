#include "recovery_start/start.h"

#include "base/arena.h"
#include "format/relpath.h"
#include "wal/summary.h"

Start start_early(const ScanCheckpoint *common, const Control *source)
{
    /* The source's files may be as old as its own last checkpoint: a standby whose restartpoint is
     * old, also one that was just promoted. */
    if (source->checkpoint.redo < common->checkpoint.redo)
        return start_of_source(source);
    return (Start){.redo = common->checkpoint.redo,
                   .checkpoint = common->lsn,
                   .timeline = common->checkpoint.timeline,
                   .next_xid = common->checkpoint.next_xid,
                   .next_oid = common->checkpoint.next_oid};
}

Start start_of_source(const Control *source)
{
    return (Start){.redo = source->checkpoint.redo,
                   .checkpoint = source->checkpoint_lsn,
                   .timeline = source->checkpoint.timeline,
                   .next_xid = source->checkpoint.next_xid,
                   .next_oid = source->checkpoint.next_oid};
}

const ScanDatabase *start_last_copy(const ScanResult *chain)
{
    for (size_t i = chain->database_count; i-- > 0;)
    {
        if (chain->databases[i].kind == WAL_EVENT_DATABASE_FILE_COPY)
            return &chain->databases[i];
    }
    return NULL;
}

/* True if this database's directory was dropped after lsn. */
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
        /* Minor versions from before August 2022 cannot even replay the copy of a template that is
           not there, also if the copy is dropped soon after. */
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

/* True if recovery starts at a shutdown checkpoint, or replays one: then nothing runs but prepared
 * transactions, and these are known completely. */
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

bool start_late(const Control *source, Lsn divergence, Lsn after, Start *start)
{
    const CheckPoint *checkpoint = &source->checkpoint;

    if (checkpoint->redo < divergence || checkpoint->redo <= after || !checkpoint->full_page_writes)
        return false;
    *start = start_of_source(source);
    return true;
}
