#include "wal/scan.h"

#include "base/array.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* ---- Single records ---- */

static bool find_checkpoint_in(const SegmentContent *content, const ScanCheckpointWanted *wanted,
                               ScanCheckpoint *found)
{
    const ScanCheckpoint *items = (const ScanCheckpoint *) content->checkpoints.bytes;

    for (size_t i = content->checkpoints.size / sizeof(*items); i > 0; i--)
    {
        const CheckPoint *checkpoint = &items[i - 1].checkpoint;

        *found = items[i - 1];
        if (found->lsn < wanted->before &&
            (wanted->not_after == LSN_INVALID || found->lsn <= wanted->not_after) &&
            (wanted->redo_not_after == LSN_INVALID || checkpoint->redo <= wanted->redo_not_after) &&
            (wanted->next_xid_not_after == 0 ||
             !xid_precedes(wanted->next_xid_not_after, (uint32_t) checkpoint->next_xid)))
            return true;
    }
    return false;
}

bool scan_find_checkpoint(WalScan *scan, const ScanCheckpointWanted *wanted, ScanCheckpoint *found,
                          Error *error)
{
    if (!scan->begun)
    {
        scan->begun = true;
        scan->lowest = wal_segment_before(&scan->stream->shape, wanted->before) + 1;
    }
    for (size_t i = scan->segment_count;;)
    {
        for (; i > 0; i--)
            if (find_checkpoint_in(scan->segments[i - 1], wanted, found))
                return true;
        const size_t searched = scan->segment_count;
        if (!scan_back(scan, error))
            return false;
        /* The same number: the lowest segment is now complete, and is searched again. */
        i = scan->segment_count > searched ? scan->segment_count - searched : 1;
    }
}

typedef struct RecordAt
{
    const Version *version;
    Lsn wanted;
    Lsn start;      /* start of the last record at or before `wanted` */
    bool is_switch; /* the record ends its segment early (XLOG_SWITCH) */
} RecordAt;

static bool find_record_start(void *context, const WalRecord *record, Error *error)
{
    RecordAt *at = context;
    WalEvent event = {.kind = WAL_EVENT_NONE};

    if (record->lsn > at->wanted)
        return true;
    if (record->rmgr == RM_XLOG && !walrecord_event(at->version, record, &event, error))
        return false;
    at->start = record->lsn;
    at->is_switch = event.kind == WAL_EVENT_SWITCH;
    return true;
}

static bool find_record_at(WalScan *scan, Lsn lsn, RecordAt *at, Error *error)
{
    const WalStream *stream = scan->stream;

    *at = (RecordAt){.version = stream->shape.version, .wanted = lsn};

    for (uint64_t segment = wal_segment_of(&stream->shape, lsn); segment > 0; segment--)
    {
        WalSegmentFacts facts;

        if (!wal_read_segment(stream, segment, LSN_INVALID, find_record_start, at, &facts, error))
            return false;
        scan->bytes_read += facts.bytes;
        /* A last record without a known end reaches to the next one. */
        bool read = facts.end == WAL_SEGMENT_COMPLETE || lsn < facts.next_lsn;
        if (at->start != LSN_INVALID && read)
            return true;
        if (read)
            continue;
        if (facts.end == WAL_SEGMENT_MISSING)
        {
            error_missing_wal(stream, facts.missing_segment, error);
            return error_detail(error, "could not read WAL record at %s",
                                LSN_TEXT(stream->shape.version, lsn)); /* contract */
        }
        error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s",
                  LSN_TEXT(stream->shape.version, lsn), facts.reason); /* contract */
        return error_damaged_wal(stream, wal_segment_of(&stream->shape, facts.invalid_lsn), error);
    }
    error_set(error, ERROR_FAILED, "could not read WAL record at %s",
              LSN_TEXT(stream->shape.version, lsn)); /* contract */
    return error_damaged_wal(stream, wal_segment_of(&stream->shape, lsn), error);
}

bool scan_record_at(WalScan *scan, Lsn lsn, Lsn *start, Error *error)
{
    RecordAt at;

    if (!find_record_at(scan, lsn, &at, error))
        return false;
    *start = at.start;
    return true;
}

bool scan_is_after_switch(void *context, Lsn lsn, bool *after, Error *error)
{
    WalScan *scan = context;
    const WalShape *shape = &scan->stream->shape;
    RecordAt at;
    uint64_t segment;
    Lsn end;

    if (!find_record_at(scan, lsn, &at, error))
        return false;
    /* Its bytes, which are only a header, and may continue after that of the next page. */
    end = at.start + walrecord_header_size(shape->version);
    if (end / shape->block_size != at.start / shape->block_size && end % shape->block_size != 0)
        end += wal_header_size_at(shape, end - end % shape->block_size);
    segment = wal_segment_of(shape, end - 1);
    *after = at.is_switch && lsn >= end && wal_segment_of(shape, lsn) == segment;
    return true;
}

Lsn scan_recovery_end(const WalScan *scan)
{
    for (size_t i = 0; i < scan->segment_count; i++)
        if (scan->segments[i]->recovery_end != LSN_INVALID)
            return scan->segments[i]->recovery_end;
    return LSN_INVALID;
}

/* ---- The result ---- */

/* The segments from that of the floor on, as floor and divergence cut them. */
typedef struct Cut
{
    const WalShape *shape;
    Lsn floor;
    Lsn divergence;            /* at or after the floor */
    SegmentContent **whole;    /* the scan's */
    SegmentContent **segments; /* the same, or one that was read again with these limits */
    size_t count;
} Cut;

/* This segment has records on both sides of lsn. */
static bool is_cut_at(const Cut *cut, const SegmentContent *whole, Lsn lsn)
{
    return whole->facts.segment == wal_segment_of(cut->shape, lsn) &&
           whole->facts.record_count > 0 && whole->facts.first_lsn < lsn;
}

/* Read the segments that hold floor and divergence again, unless these leave all of them. The limit
 * for commits does no harm in a segment before that of the divergence: none counts. */
static bool cut_scan(WalScan *scan, Arena *arena, Cut *cut, Error *error)
{
    size_t first = 0;

    while (first < scan->segment_count &&
           scan->segments[first]->facts.segment < wal_segment_of(cut->shape, cut->floor))
        first++;
    cut->count = scan->segment_count - first;
    cut->whole = scan->segments + first;
    cut->segments = arena_allocate(arena, (cut->count + 1) * sizeof(SegmentContent *));
    if (cut->count > 0)
        memcpy(cut->segments, cut->whole, cut->count * sizeof(SegmentContent *));
    for (size_t i = 0; i < cut->count; i++)
    {
        const SegmentContent *whole = cut->whole[i];

        if (!is_cut_at(cut, whole, cut->floor) && !is_cut_at(cut, whole, cut->divergence))
            continue;
        cut->segments[i] = segment_content_read(scan->stream, whole->facts.segment, whole->from,
                                                cut->floor, cut->divergence, error);
        if (cut->segments[i] == NULL)
            return false;
        scan->bytes_read += cut->segments[i]->facts.bytes;
    }
    return true;
}

static void sum_segments(const Cut *cut, ScanResult *result)
{
    const uint64_t diverging = wal_segment_of(cut->shape, cut->divergence);

    for (size_t i = 0; i < cut->count; i++)
    {
        const SegmentContent *content = cut->segments[i];
        const uint64_t segment = content->facts.segment;

        result->record_count += content->record_count;
        result->full_page_writes_off |= content->full_page_writes_off;
        result->custom_rmgr_seen |= content->custom_rmgr_seen;
        if (result->first_work_lsn == LSN_INVALID)
            result->first_work_lsn = content->first_work_lsn;
        if (content->next_oid != 0)
            result->next_oid = content->next_oid;
        if (result->unknown_relation_update_at == LSN_INVALID &&
            content->unknown_lsn != LSN_INVALID)
        {
            result->unknown_relation_update_at = content->unknown_lsn;
            result->unknown_rmgr = content->unknown_rmgr;
            result->unknown_info = content->unknown_info;
        }
        /* If the divergence did not cut its segment, all records of that segment lie after it. */
        if (content->oldest_running_xid != 0 &&
            (segment < diverging ||
             (segment == diverging && content->divergence == cut->divergence)))
            result->oldest_running_xid = content->oldest_running_xid;
        if (segment < diverging)
            continue;
        /* Only commits at or after the divergence count. */
        if (content->lowest_committed_xid != 0 &&
            (result->lowest_committed_xid == 0 ||
             xid_precedes(content->lowest_committed_xid, result->lowest_committed_xid)))
            result->lowest_committed_xid = content->lowest_committed_xid;
        if (content->commit_count == 0)
            continue;
        if (result->commit_count == 0 || content->first_commit_time < result->first_commit_time)
            result->first_commit_time = content->first_commit_time;
        if (result->commit_count == 0 || content->last_commit_time > result->last_commit_time)
            result->last_commit_time = content->last_commit_time;
        if (result->commit_count == 0)
            result->first_commit_lsn = content->first_commit_lsn;
        result->commit_count += content->commit_count;
    }
}

static const Buffer *list_of(const SegmentContent *content, size_t offset)
{
    return (const Buffer *) (const void *) ((const char *) content + offset);
}

/* Join the lists of all segments, one after another, in the arena. offset is that of the Buffer in
 * SegmentContent. */
static void *join_lists(const Cut *cut, Arena *arena, size_t offset, size_t item_size,
                        size_t *count)
{
    size_t size = 0;
    size_t position = 0;

    for (size_t i = 0; i < cut->count; i++)
        size += list_of(cut->segments[i], offset)->size;
    *count = size / item_size;
    uint8_t *items = arena_allocate(arena, size == 0 ? 1 : size);
    for (size_t i = 0; i < cut->count; i++)
    {
        const Buffer *list = list_of(cut->segments[i], offset);
        if (list->size > 0)
            memcpy(items + position, list->bytes, list->size);
        position += list->size;
    }
    return items;
}

#define JOIN(list, type, count)                                                                    \
    join_lists(cut, arena, offsetof(SegmentContent, list), sizeof(type), (count))

static void join_origins(const Cut *cut, Arena *arena, ScanResult *result)
{
    size_t count;
    uint32_t *origins = JOIN(origins, uint32_t, &count);

    qsort(origins, count, sizeof(uint32_t), compare_u32);
    result->origins = origins;
    for (size_t i = 0; i < count; i++)
        if (i == 0 || origins[i] != origins[i - 1])
            origins[result->origin_count++] = origins[i];
}

/* The arena's items outlive the segments; strings are copied. */
static void join_all_lists(const Cut *cut, Arena *arena, ScanResult *result)
{
    size_t finished_count;
    uint32_t *finished = JOIN(finished, uint32_t, &finished_count);

    qsort(finished, finished_count, sizeof(uint32_t), compare_u32);
    result->prepared = JOIN(prepared, ScanPrepared, &result->prepared_count);
    for (size_t i = 0; i < result->prepared_count; i++)
    {
        ScanPrepared *prepared = &result->prepared[i];

        prepared->gid = arena_strdup(arena, prepared->gid);
        array_search(&prepared->xid, finished, finished_count, sizeof(uint32_t), compare_u32,
                     &prepared->finished);
    }
    result->databases = JOIN(databases, ScanDatabase, &result->database_count);
    result->tablespaces = JOIN(tablespaces, ScanTablespace, &result->tablespace_count);
    result->maps = JOIN(maps, ScanMap, &result->map_count);
    result->checkpoints = JOIN(checkpoints, ScanCheckpoint, &result->checkpoint_count);
    result->running = JOIN(running, ScanRunning, &result->running_count);
    result->parameters = JOIN(parameters, ScanParameters, &result->parameter_count);
    result->hint_images = JOIN(hint_images, Lsn, &result->hint_image_count);
    result->origin_drops = JOIN(origin_drops, ScanOriginDrop, &result->origin_drop_count);
    join_origins(cut, arena, result);
    for (size_t i = 0; i < result->tablespace_count; i++)
        if (result->tablespaces[i].path != NULL)
            result->tablespaces[i].path = arena_strdup(arena, result->tablespaces[i].path);
}

/* If a change's segment has no record of work before the change, that of an earlier segment counts.
 */
static void find_work_before_parameters(const Cut *cut, ScanResult *result)
{
    Lsn last_work_lsn = LSN_INVALID;
    size_t next = 0;

    for (size_t i = 0; i < cut->count; i++)
    {
        const SegmentContent *content = cut->segments[i];

        for (size_t k = 0; k < content->parameters.size / sizeof(ScanParameters); k++, next++)
            if (result->parameters[next].last_work_lsn == LSN_INVALID)
                result->parameters[next].last_work_lsn = last_work_lsn;
        if (content->last_work_lsn != LSN_INVALID)
            last_work_lsn = content->last_work_lsn;
    }
}

/* The server did nothing from the floor to lsn: the floor is a shutdown checkpoint, and between lie
 * no other one and no work. (A server that is opened after recovery need not make a checkpoint.) */
static bool was_down_until(const ScanResult *result, Lsn floor, Lsn lsn)
{
    const ScanCheckpoint *first = result->checkpoints;

    return result->checkpoint_count > 0 && first->lsn == floor && floor < lsn && !first->online &&
           (result->checkpoint_count == 1 || first[1].lsn >= lsn) &&
           (result->first_work_lsn == LSN_INVALID || result->first_work_lsn > lsn);
}

/*
 * A change record holds the new values only. The first one may have changed what it does not show
 * to have been right before; that it was right is known if a record before it proves it, or if the
 * server was down up to it.
 */
static void judge_parameters(Lsn floor, ScanResult *result)
{
    const ScanParameters *changes = result->parameters;

    if (result->parameter_count == 0)
        return;
    Lsn first = changes[0].lsn;
    bool down = was_down_until(result, floor, first);

    result->wal_level_from_stop = down;
    result->wal_level_proven =
        down || (result->running_count > 0 && result->running[0].lsn <= first);
    if (!down && (result->hint_image_count == 0 || result->hint_images[0] > first))
        result->hints_not_logged_at = first;
    for (size_t i = 0; i < result->parameter_count; i++)
    {
        if (result->hints_not_logged_at == LSN_INVALID && !changes[i].log_hints)
            result->hints_not_logged_at = changes[i].lsn;
        if (result->minimal_record_at == LSN_INVALID && changes[i].wal_level == 0)
            result->minimal_record_at = changes[i].lsn;
    }
}

bool scan_finish(WalScan *scan, Arena *arena, Lsn floor, Lsn divergence, ScanResult *result,
                 Error *error)
{
    const WalShape *shape = &scan->stream->shape;
    Cut cut = {
        .shape = shape, .floor = floor, .divergence = divergence < floor ? floor : divergence};

    assert(scan->begun);
    while (scan->lowest > wal_segment_of(shape, floor) ||
           (scan_first_is_partial(scan) && scan->segments[0]->from > floor))
        if (!scan_back(scan, error))
            return false;
    memset(result, 0, sizeof(*result));
    const bool done = cut_scan(scan, arena, &cut, error);
    if (done)
    {
        for (size_t i = 0; i < cut.count; i++)
        {
            if (cut.segments[i]->blocks == NULL)
                continue;
            if (cut.segments[i] == cut.whole[i])
                scan->kept_memory -= segment_content_memory(cut.segments[i]);
            scan_take_maps(scan, cut.segments[i]);
        }
        sum_segments(&cut, result);
        join_all_lists(&cut, arena, result);
        find_work_before_parameters(&cut, result);
        judge_parameters(floor, result);
        if (result->custom_rmgr_seen || result->unknown_relation_update_at != LSN_INVALID)
        {
            blockmap_destroy(scan->rebuilt);
            scan->rebuilt = NULL;
        }
        result->blocks = scan->blocks;
        result->rebuilt = scan->rebuilt;
        result->vm_read_lsn = scan->vm_read_lsn;
        result->wal_bytes = scan->bytes_read;
    }
    for (size_t i = 0; i < cut.count; i++)
        if (cut.segments[i] != cut.whole[i])
            segment_content_destroy(cut.segments[i]);
    return done;
}

WalScan *scan_read(const WalStream *stream, int jobs, Lsn from, Arena *arena, WalSegmentFacts *end,
                   ScanResult *result, Error *error)
{
    WalScan *scan = scan_create(stream, jobs, from);

    if (scan_forward(scan, from, end, error) && scan_finish(scan, arena, from, from, result, error))
        return scan;
    scan_destroy(scan);
    return NULL;
}

bool scan_has_tablespace_event(const ScanResult *scanned, bool created, Oid tablespace, Lsn from,
                               Lsn until)
{
    for (size_t i = 0; i < scanned->tablespace_count; i++)
    {
        const ScanTablespace *event = &scanned->tablespaces[i];

        if (event->created == created && event->tablespace == tablespace && event->lsn > from &&
            event->lsn < until)
            return true;
    }
    return false;
}

bool scan_has_database_event(const ScanResult *scanned, WalEventKind kind, RelationId id, Lsn from)
{
    for (size_t i = 0; i < scanned->database_count; i++)
    {
        const ScanDatabase *event = &scanned->databases[i];

        if (event->kind == kind && event->database == id.database && event->lsn >= from &&
            (kind != WAL_EVENT_DATABASE_FILE_COPY || event->tablespace == id.tablespace))
            return true;
    }
    return false;
}

bool scan_check_known_updates(const Version *version, const ScanResult *scanned, Error *error)
{
    if (scanned->unknown_relation_update_at == LSN_INVALID)
        return true;
    return error_set(error, ERROR_FAILED, /* contract */
                     "WAL record modifies a relation, but record type is not recognized: lsn: %s, "
                     "rmid: %d, rmgr: %s, info: %02X",
                     LSN_TEXT(version, scanned->unknown_relation_update_at), scanned->unknown_rmgr,
                     walrecord_rmgr_name(scanned->unknown_rmgr), scanned->unknown_info);
}
