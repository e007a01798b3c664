#include "wal/scan.h"

#include <stdlib.h>
#include <string.h>

#define XLOG_NEXTOID 0x30   /* catalog/pg_control.h; the number is all its data */
#define SPGIST_META_BLOCK 0 /* SPGIST_METAPAGE_BLKNO, access/spgist_private.h */

/* replication/origin.h: DoNotReplicateId, which is no origin; the size of xl_replorigin_drop, which
 * is a number; where the number is in xl_replorigin_set. */
#define ORIGIN_NOT_REPLICATED 0xFFFF
#define ORIGIN_DROP_SIZE 2
#define ORIGIN_SET_NUMBER 8

/* Append an item to one of the lists. */
#define NOTE(list, type, ...) buffer_append((list), &(type){__VA_ARGS__}, sizeof(type))

bool xid_precedes(uint32_t a, uint32_t b)
{
    return (int32_t) (a - b) < 0;
}

static const char *keep_string(SegmentContent *content, const char *text, size_t size)
{
    if (content->strings == NULL)
        content->strings = arena_create();
    return arena_strndup(content->strings, text, size);
}

/* Replay writes the whole block without reading it. */
static bool restores(const BlockReference *reference)
{
    return (reference->has_image && reference->image_applies) || reference->will_init;
}

/*
 * From 19 on, and in minor versions of 17 and 18 since July 2026, a record that clears bits of a
 * visibility map names its block, and replay must find it (heapam_xlog.c, RBM_NORMAL). Those that
 * set bits do not need to (RBM_ZERO_ON_ERROR).
 */
static void note_map_block(SegmentContent *content, const WalRecord *record,
                           const BlockReference *reference)
{
    const uint8_t opcode = record->info & HEAP_OPCODE_MASK;
    const bool clears_bits =
        record->rmgr == RM_HEAP || (record->rmgr == RM_HEAP2 &&
                                    (opcode == HEAP2_MULTI_INSERT || opcode == HEAP2_LOCK_UPDATED));

    if (!blockmap_add(content->vm_blocks, reference->relation, reference->block) ||
        restores(reference) || !clears_bits)
        return;
    blockmap_add(content->vm_reads, reference->relation, reference->block);
    content->vm_read_lsn = record->lsn;
}

static void note_blocks(SegmentContent *content, const WalRecord *record)
{
    for (unsigned i = 0; i < record->block_count; i++)
    {
        const BlockReference *reference = &record->blocks[i];

        if (reference->fork == FORK_MAIN &&
            blockmap_add(content->blocks, reference->relation, reference->block) &&
            content->rebuilds && restores(reference))
            blockmap_add(content->rebuilt, reference->relation, reference->block);
        if (reference->fork == FORK_VM)
            note_map_block(content, record, reference);
        /* Servers up to 10 do not log that they make the init fork of an index, only an image of
         * its block (index_build, catalog/index.c); later ones since 2020 log both. (Rule C76.) */
        if (reference->fork == FORK_INIT)
        {
            blockmap_storage_changed(content->blocks, reference->relation, record->lsn);
            blockmap_fork_made(content->blocks, reference->relation, FORK_INIT);
        }
        /* An insertion changes the meta page without WAL (SpGistUpdateMetaPage). */
        if (record->rmgr == RM_SPGIST && reference->fork == FORK_MAIN)
            blockmap_add(content->blocks, reference->relation, SPGIST_META_BLOCK);
    }
}

static void note_checkpoint(SegmentContent *content, const WalRecord *record, const WalEvent *event)
{
    NOTE(&content->checkpoints, ScanCheckpoint, .lsn = record->lsn, .end = record->end,
         .online = event->online, .checkpoint = event->checkpoint);
    if (!event->online)
        content->hint_image_noted = false;
    if (!event->checkpoint.full_page_writes)
        content->full_page_writes_off = true;
}

static void note_lowest_xid(SegmentContent *content, uint32_t xid)
{
    if (xid != 0 &&
        (content->lowest_committed_xid == 0 || xid_precedes(xid, content->lowest_committed_xid)))
        content->lowest_committed_xid = xid;
}

static void note_transaction_end(SegmentContent *content, const WalRecord *record,
                                 const WalEvent *event)
{
    const bool commits = event->kind == WAL_EVENT_COMMIT;

    for (uint32_t i = 0; i < event->dropped_count; i++)
        blockmap_dropped(content->blocks, wal_event_dropped(event, i), record->lsn);
    if (event->prepared)
        NOTE(&content->finished, uint32_t, event->xid);
    if (record->lsn < content->divergence)
        return;
    /* A prepared transaction that is rolled back here may be committed on the other side; any other
     * that ran at the divergence ends there as it does here, or not at all. */
    if (commits || event->prepared)
    {
        note_lowest_xid(content, event->xid);
        for (uint32_t i = 0; i < event->subxid_count; i++)
            note_lowest_xid(content, wal_event_u32(event->subxids, i));
    }
    if (!commits)
        return;
    if (content->commit_count == 0 || event->time < content->first_commit_time)
        content->first_commit_time = event->time;
    if (content->commit_count == 0 || event->time > content->last_commit_time)
        content->last_commit_time = event->time;
    if (content->commit_count++ == 0)
        content->first_commit_lsn = record->lsn;
}

static void note_database_event(SegmentContent *content, const WalRecord *record,
                                const WalEvent *event)
{
    const bool dropped = event->kind == WAL_EVENT_DATABASE_DROP;
    ScanDatabase item = {.lsn = record->lsn,
                         .kind = event->kind,
                         .tablespace = event->tablespace,
                         .database = event->database,
                         .source_tablespace = event->source_tablespace,
                         .source_database = event->source_database};

    for (uint32_t i = 0; i < (dropped ? event->list_count : 1); i++)
    {
        if (dropped)
            item.tablespace = wal_event_u32(event->list, i);
        buffer_append(&content->databases, &item, sizeof(item));
    }
}

static void note_parameters(SegmentContent *content, const WalRecord *record, const WalEvent *event)
{
    ScanParameters parameters = {
        .lsn = record->lsn,
        .wal_level = event->wal_level,
        .log_hints = event->flag,
        .last_work_lsn = content->last_work_lsn,
    };

    for (uint32_t i = 0; i < event->list_count; i++)
        parameters.limits[i] = wal_event_u32(event->list, i);
    buffer_append(&content->parameters, &parameters, sizeof(parameters));
}

/* Note a replication origin whose progress replay notes (replorigin_advance). */
static void note_origin(SegmentContent *content, uint32_t origin)
{
    if (origin == 0 || origin == ORIGIN_NOT_REPLICATED)
        return;
    for (size_t at = content->origins.size; at > 0; at -= sizeof(uint32_t))
        if (memcmp(content->origins.bytes + at - sizeof(uint32_t), &origin, sizeof(uint32_t)) == 0)
            return;
    NOTE(&content->origins, uint32_t, origin);
}

static void note_origin_record(SegmentContent *content, const WalRecord *record)
{
    const uint8_t opcode = walrecord_opcode(record);

    if (opcode == REPLORIGIN_DROP && record->data_size >= ORIGIN_DROP_SIZE)
        NOTE(&content->origin_drops, ScanOriginDrop, .lsn = record->lsn,
             .origin = load_u16(record->data));
    if (opcode == REPLORIGIN_SET && record->data_size >= ORIGIN_SET_NUMBER + sizeof(uint16_t))
        note_origin(content, load_u16(record->data + ORIGIN_SET_NUMBER));
}

static void note_event(SegmentContent *content, const WalRecord *record, const WalEvent *event)
{
    switch (event->kind)
    {
    case WAL_EVENT_CHECKPOINT:
        note_checkpoint(content, record, event);
        break;
    case WAL_EVENT_FPW_CHANGE:
        if (!event->flag)
            content->full_page_writes_off = true;
        break;
    case WAL_EVENT_PARAMETER_CHANGE:
        note_parameters(content, record, event);
        break;
    case WAL_EVENT_COMMIT:
    case WAL_EVENT_ABORT:
        note_origin(content, record->origin);
        note_transaction_end(content, record, event);
        break;
    case WAL_EVENT_PREPARE:
        note_origin(content, record->origin);
        NOTE(&content->prepared, ScanPrepared, .lsn = record->lsn, .xid = event->xid,
             .gid = keep_string(content, event->gid, event->gid_size));
        break;
    case WAL_EVENT_RELATION_CREATE:
        blockmap_storage_changed(content->blocks, event->relation, record->lsn);
        blockmap_fork_made(content->blocks, event->relation, event->fork);
        break;
    case WAL_EVENT_RELATION_TRUNCATE:
        if ((event->flags & TRUNCATE_HEAP) == 0)
            break;
        blockmap_truncate(content->blocks, event->relation, event->block);
        if (content->rebuilt != NULL)
            blockmap_truncate(content->rebuilt, event->relation, event->block);
        break;
    case WAL_EVENT_DATABASE_FILE_COPY:
    case WAL_EVENT_DATABASE_CREATE:
    case WAL_EVENT_DATABASE_DROP:
        note_database_event(content, record, event);
        break;
    case WAL_EVENT_MAP_UPDATE:
        if (event->database != 0)
            NOTE(&content->maps, ScanMap, .lsn = record->lsn, .tablespace = event->tablespace,
                 .database = event->database);
        break;
    case WAL_EVENT_TABLESPACE_CREATE:
        NOTE(&content->tablespaces, ScanTablespace, .lsn = record->lsn, .created = true,
             .tablespace = event->tablespace,
             .path = keep_string(content, event->path, event->path_size));
        break;
    case WAL_EVENT_TABLESPACE_DROP:
        NOTE(&content->tablespaces, ScanTablespace, .lsn = record->lsn,
             .tablespace = event->tablespace);
        break;
    case WAL_EVENT_RUNNING_XACTS:
        NOTE(&content->running, ScanRunning, .lsn = record->lsn, .next_xid = event->next_xid,
             .oldest_xid = event->oldest_running_xid,
             .complete = !event->flag || event->list_count == 0);
        if (content->divergence == LSN_INVALID || record->lsn < content->divergence)
            content->oldest_running_xid = event->oldest_running_xid;
        break;
    case WAL_EVENT_UNKNOWN_RELATION_UPDATE:
        if (content->unknown_lsn != LSN_INVALID)
            break;
        content->unknown_lsn = record->lsn;
        content->unknown_rmgr = record->rmgr;
        content->unknown_info = record->info;
        break;
    case WAL_EVENT_END_OF_RECOVERY:
        if (content->recovery_end == LSN_INVALID)
            content->recovery_end = record->end;
        content->hint_image_noted = false;
        break;
    case WAL_EVENT_NONE:
    case WAL_EVENT_SWITCH:
        break;
    }
}

/* The function is not inlined, because visit_record hardly ever calls it. */
static __attribute__((noinline)) bool note_record(SegmentContent *content, const WalRecord *record,
                                                  Error *error)
{
    WalEvent event;

    /* One image of each run of the server is enough. */
    if (walrecord_is_hint_image(record) && !content->hint_image_noted)
    {
        NOTE(&content->hint_images, Lsn, record->lsn);
        content->hint_image_noted = true;
    }
    if (record->rmgr == RM_XLOG && walrecord_opcode(record) == XLOG_NEXTOID &&
        record->data_size == sizeof(uint32_t))
        content->next_oid = load_u32(record->data);
    if (!walrecord_event(content->stream->shape.version, record, &event, error))
        return false;
    note_event(content, record, &event);
    return true;
}

static bool visit_record(void *context, const WalRecord *record, Error *error)
{
    SegmentContent *content = context;

    if (record->lsn < content->floor)
        return true;
    content->record_count++;
    note_blocks(content, record);
    if (record->rmgr >= RM_CUSTOM_MIN)
        content->custom_rmgr_seen = true;
    if (record->rmgr != RM_XLOG)
    {
        if (content->first_work_lsn == LSN_INVALID)
            content->first_work_lsn = record->lsn;
        content->last_work_lsn = record->lsn;
    }
    if (record->rmgr == RM_REPLORIGIN)
        note_origin_record(content, record);
    /* Hardly any record gets further. */
    if (record->rmgr > RM_STANDBY && !(record->info & XLR_SPECIAL_REL_UPDATE))
        return true;
    return note_record(content, record, error);
}

SegmentContent *segment_content_read(const WalStream *stream, uint64_t segment, Lsn from, Lsn floor,
                                     Lsn divergence, Error *error)
{
    SegmentContent *content = memory_allocate_zeroed(1, sizeof(SegmentContent));

    content->stream = stream;
    content->from = from;
    content->floor = floor;
    content->divergence = divergence;
    content->blocks = blockmap_create();
    content->vm_blocks = blockmap_create();
    content->vm_reads = blockmap_create();
    if (stream->rebuilds != NULL)
        content->rebuilt = blockmap_create();
    if ((stream->rebuilds == NULL ||
         stream->rebuilds(stream->context, segment, &content->rebuilds, error)) &&
        wal_read_segment(stream, segment, from, visit_record, content, &content->facts, error))
        return content;
    segment_content_destroy(content);
    return NULL;
}

size_t segment_content_memory(const SegmentContent *content)
{
    return blockmap_memory(content->blocks) + blockmap_memory(content->vm_blocks) +
           blockmap_memory(content->vm_reads);
}

void segment_content_destroy(SegmentContent *content)
{
    if (content == NULL)
        return;
    blockmap_destroy(content->blocks);
    blockmap_destroy(content->rebuilt);
    blockmap_destroy(content->vm_blocks);
    blockmap_destroy(content->vm_reads);
    buffer_free(&content->checkpoints);
    buffer_free(&content->databases);
    buffer_free(&content->maps);
    buffer_free(&content->tablespaces);
    buffer_free(&content->prepared);
    buffer_free(&content->finished);
    buffer_free(&content->running);
    buffer_free(&content->parameters);
    buffer_free(&content->hint_images);
    buffer_free(&content->origin_drops);
    buffer_free(&content->origins);
    arena_destroy(content->strings);
    free(content);
}
