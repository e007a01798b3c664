#include "format/wal_event.h"

#include <string.h>

#define XLOG_CHECKPOINT_SHUTDOWN 0x00 /* catalog/pg_control.h */
#define XLOG_CHECKPOINT_ONLINE 0x10
#define XLOG_PARAMETER_CHANGE 0x60
#define XLOG_FPW_CHANGE 0x80
#define XLOG_END_OF_RECOVERY 0x90
#define XACT_OPCODE_MASK 0x70 /* access/xact.h */
#define XACT_HAS_INFO 0x80
#define XACT_COMMIT 0x00
#define XACT_PREPARE 0x10
#define XACT_ABORT 0x20
#define XACT_COMMIT_PREPARED 0x30
#define XACT_ABORT_PREPARED 0x40
#define XACT_COMMIT_COMPACT 0x60 /* 9.3 and 9.4 */
#define SMGR_CREATE 0x10         /* catalog/storage_xlog.h */
#define TRUNCATE_ALL 7           /* SMGR_TRUNCATE_ALL */
#define DBASE_FILE_COPY 0x00     /* commands/dbcommands_xlog.h: CREATE, CREATE_FILE_COPY */
#define DBASE_WAL_LOG 0x10       /* with database_create_wal_log */
#define DBASE_DROP 0x20          /* likewise */
#define DBASE_OLD_DROP 0x10      /* otherwise */
#define TBLSPC_CREATE 0x00       /* commands/tablespace.h */
#define TBLSPC_DROP 0x10
#define RELMAP_UPDATE 0x00         /* utils/relmapper.h */
#define STANDBY_RUNNING_XACTS 0x10 /* storage/standbydefs.h */

/* GIDSIZE, access/transam/twophase.c: bytes of the gid's field if the record does not tell its
 * size. */
#define GID_FIELD_SIZE 200

/* Bits of xinfo in commit and abort records, access/xact.h. */
#define XINFO_DATABASE 0x001
#define XINFO_SUBXIDS 0x002
#define XINFO_DROPPED 0x004
#define XINFO_INVALIDATIONS 0x008
#define XINFO_TWOPHASE 0x010
#define XINFO_ORIGIN 0x020
#define XINFO_GID 0x080
#define XINFO_DROPPED_STATS 0x100

#define INVALIDATION_SIZE 16 /* SharedInvalidationMessage */
#define ORIGIN_SIZE 16       /* xl_xact_origin */

/* The data of a record while it is decoded. */
typedef struct Payload
{
    const Version *version;
    const WalRecord *record;
    Cursor cursor;
    WalEvent *event;
} Payload;

static RelationId take_relation(Payload *payload)
{
    const uint8_t *bytes = cursor_bytes(&payload->cursor, RELATION_ID_SIZE);

    return bytes != NULL ? relation_at(bytes) : (RelationId){0};
}

/* Take `count` items. A negative count, which was read as a huge one, fails. */
static const uint8_t *take_items(Payload *payload, uint64_t count, size_t item_size)
{
    if (count > cursor_left(&payload->cursor) / item_size)
    {
        payload->cursor.failed = true;
        return NULL;
    }
    return cursor_bytes(&payload->cursor, (size_t) count * item_size);
}

/* Take {i32 count; items}: returns the items and sets *count. */
static const uint8_t *take_counted(Payload *payload, size_t item_size, uint32_t *count)
{
    *count = cursor_u32(&payload->cursor);
    return take_items(payload, *count, item_size);
}

/* Take a text that ends with a NUL within the next `room` bytes; with `fills` the last of them must
 * be the NUL. */
static const char *payload_string(Payload *payload, size_t room, bool fills, size_t *size)
{
    const uint8_t *text = cursor_bytes(&payload->cursor, room);
    const uint8_t *end = text != NULL ? memchr(text, '\0', room) : NULL;

    if (end == NULL || (fills && end != text + room - 1))
    {
        payload->cursor.failed = true;
        return NULL;
    }
    *size = (size_t) (end - text);
    return (const char *) text;
}

static void read_checkpoint(Payload *payload)
{
    const Version *version = payload->version;
    const uint8_t *bytes = cursor_bytes(&payload->cursor, version->checkpoint.size);

    payload->event->online = walrecord_opcode(payload->record) == XLOG_CHECKPOINT_ONLINE;
    if (bytes == NULL)
        return;
    payload->event->checkpoint = checkpoint_parse(version, bytes);
    payload->event->timeline = payload->event->checkpoint.timeline;
}

static void read_parameter_change(Payload *payload)
{
    const Version *version = payload->version;
    Cursor *cursor = &payload->cursor;

    payload->event->list_count = version_limit_count(version);
    payload->event->list = take_items(payload, payload->event->list_count, sizeof(uint32_t));
    payload->event->wal_level = (int32_t) cursor_u32(cursor);
    if (version->parameter_wal_log_hints == OFFSET_NONE)
        return; /* 9.3: wal_level is the last field */
    cursor_seek(cursor, version->parameter_wal_log_hints);
    payload->event->flag = cursor_u8(cursor) != 0;
    cursor_skip(cursor, 3); /* track_commit_timestamp, padding */
}

/* Read xl_xact_commit or xl_xact_abort of 9.3 and 9.4: counts, then relations, subtransactions,
 * messages. A prepared transaction's xid and padding precede them. */
static void read_old_xact_end(Payload *payload)
{
    WalEvent *event = payload->event;
    const bool commit = event->kind == WAL_EVENT_COMMIT;
    uint32_t messages = 0;

    if (event->prepared)
    {
        event->xid = cursor_u32(&payload->cursor);
        cursor_skip(&payload->cursor, 4);
    }
    event->time = (int64_t) cursor_u64(&payload->cursor);
    if (commit)
        cursor_skip(&payload->cursor, 4); /* xinfo */
    event->dropped_count = cursor_u32(&payload->cursor);
    event->subxid_count = cursor_u32(&payload->cursor);
    if (commit)
    {
        messages = cursor_u32(&payload->cursor);
        event->database = cursor_u32(&payload->cursor);
        event->tablespace = cursor_u32(&payload->cursor);
    }
    event->dropped = take_items(payload, event->dropped_count, RELATION_ID_SIZE);
    event->subxids = take_items(payload, event->subxid_count, sizeof(uint32_t));
    take_items(payload, messages, INVALIDATION_SIZE);
}

/* Read a commit or abort since 9.5, whose parts have the order of ParseCommitRecord,
 * rmgrdesc/xactdesc.c. */
static void read_new_xact_end(Payload *payload)
{
    const Version *version = payload->version;
    WalEvent *event = payload->event;
    const bool commit = event->kind == WAL_EVENT_COMMIT;
    const bool full = commit || version->abort_has_dbinfo_origin_gid;
    uint32_t xinfo = 0;
    uint32_t count;
    size_t before;

    event->time = (int64_t) cursor_u64(&payload->cursor);
    if (payload->record->info & XACT_HAS_INFO)
        xinfo = cursor_u32(&payload->cursor);
    if (full && (xinfo & XINFO_DATABASE))
    {
        event->database = cursor_u32(&payload->cursor);
        event->tablespace = cursor_u32(&payload->cursor);
    }
    if (xinfo & XINFO_SUBXIDS)
        event->subxids = take_counted(payload, sizeof(uint32_t), &event->subxid_count);
    if (xinfo & XINFO_DROPPED)
        event->dropped = take_counted(payload, RELATION_ID_SIZE, &event->dropped_count);
    if (version->xact_stats_item_size != 0 && (xinfo & XINFO_DROPPED_STATS))
        take_counted(payload, version->xact_stats_item_size, &count);
    if (commit && (xinfo & XINFO_INVALIDATIONS))
        take_counted(payload, INVALIDATION_SIZE, &count);
    if (xinfo & XINFO_TWOPHASE)
        event->xid = cursor_u32(&payload->cursor);
    before = payload->cursor.position;
    if (version->abort_has_dbinfo_origin_gid && (xinfo & XINFO_GID))
    {
        event->gid =
            payload_string(payload, cursor_left(&payload->cursor), false, &event->gid_size);
        cursor_seek(&payload->cursor, before + event->gid_size + 1); /* after its NUL */
    }
    if (full && (xinfo & XINFO_ORIGIN))
        cursor_skip(&payload->cursor, ORIGIN_SIZE);
}

static void read_xact_end(Payload *payload)
{
    const uint8_t opcode = payload->record->info & XACT_OPCODE_MASK;
    WalEvent *event = payload->event;

    event->xid = payload->record->xid;
    event->prepared = opcode == XACT_COMMIT_PREPARED || opcode == XACT_ABORT_PREPARED;
    if (opcode == XACT_COMMIT_COMPACT)
    {
        event->time = (int64_t) cursor_u64(&payload->cursor);
        event->subxids = take_counted(payload, sizeof(uint32_t), &event->subxid_count);
    }
    else if (payload->version->old_wal)
        read_old_xact_end(payload);
    else
        read_new_xact_end(payload);
}

/* Read PREPARE, whose data is the state file of pg_twophase without its CRC. */
static void read_prepare(Payload *payload)
{
    const Version *version = payload->version;
    const bool counted = version->twophase_gid_size_offset != OFFSET_NONE;
    Cursor *cursor = &payload->cursor;
    WalEvent *event = payload->event;
    size_t room = GID_FIELD_SIZE;

    cursor_seek(cursor, 8); /* after magic and length */
    event->xid = cursor_u32(cursor);
    event->database = cursor_u32(cursor);
    event->time = (int64_t) cursor_u64(cursor);
    if (counted)
    {
        cursor_seek(cursor, version->twophase_gid_size_offset);
        room = cursor_u16(cursor);
    }
    cursor_seek(cursor, version->twophase_gid_offset);
    event->gid = payload_string(payload, room, counted, &event->gid_size);
    cursor_skip(cursor, cursor_left(cursor));
}

/* Read xl_running_xacts, storage/standbydefs.h. */
static void read_running_xacts(Payload *payload)
{
    WalEvent *event = payload->event;
    uint64_t count = cursor_u32(&payload->cursor);

    count += cursor_u32(&payload->cursor);
    event->flag = cursor_u8(&payload->cursor) != 0;
    cursor_skip(&payload->cursor, 3); /* padding */
    event->next_xid = cursor_u32(&payload->cursor);
    event->oldest_running_xid = cursor_u32(&payload->cursor);
    cursor_skip(&payload->cursor, 4); /* latestCompletedXid */
    event->list_count = (uint32_t) count;
    event->list = take_items(payload, count, sizeof(uint32_t));
}

/* Read the whole data into the event, whose kind is set. The caller checks that nothing failed and
 * that no byte is left. */
static void read_payload(Payload *payload)
{
    const Version *version = payload->version;
    Cursor *cursor = &payload->cursor;
    WalEvent *event = payload->event;
    uint32_t fork;

    switch (event->kind)
    {
    case WAL_EVENT_CHECKPOINT:
        read_checkpoint(payload);
        break;
    case WAL_EVENT_PARAMETER_CHANGE:
        read_parameter_change(payload);
        break;
    case WAL_EVENT_FPW_CHANGE:
        event->flag = cursor_u8(cursor) != 0;
        break;
    case WAL_EVENT_END_OF_RECOVERY:
        event->time = (int64_t) cursor_u64(cursor);
        event->timeline = cursor_u32(cursor);
        cursor_seek(cursor, version->end_of_recovery_size); /* PrevTimeLineID, wal_level */
        break;
    case WAL_EVENT_COMMIT:
    case WAL_EVENT_ABORT:
        read_xact_end(payload);
        break;
    case WAL_EVENT_PREPARE:
        read_prepare(payload);
        break;
    case WAL_EVENT_RELATION_CREATE:
        event->relation = take_relation(payload);
        fork = cursor_u32(cursor);
        cursor->failed |= fork > FORK_INIT;
        event->fork = (uint8_t) fork;
        break;
    case WAL_EVENT_RELATION_TRUNCATE:
        event->block = cursor_u32(cursor);
        event->relation = take_relation(payload);
        event->flags = version->truncate_has_flags ? cursor_u32(cursor) : TRUNCATE_ALL;
        break;
    case WAL_EVENT_DATABASE_FILE_COPY:
    case WAL_EVENT_DATABASE_CREATE:
        event->database = cursor_u32(cursor);
        event->tablespace = cursor_u32(cursor);
        if (event->kind == WAL_EVENT_DATABASE_CREATE)
            break;
        event->source_database = cursor_u32(cursor);
        event->source_tablespace = cursor_u32(cursor);
        break;
    case WAL_EVENT_DATABASE_DROP:
        event->database = cursor_u32(cursor);
        event->list_count = version->database_drop_counted ? cursor_u32(cursor) : 1;
        event->list = take_items(payload, event->list_count, sizeof(Oid));
        break;
    case WAL_EVENT_MAP_UPDATE:
        event->database = cursor_u32(cursor);
        event->tablespace = cursor_u32(cursor);
        cursor_skip(cursor, cursor_left(cursor)); /* the map */
        break;
    case WAL_EVENT_TABLESPACE_CREATE:
        event->tablespace = cursor_u32(cursor);
        event->path = payload_string(payload, cursor_left(cursor), true, &event->path_size);
        break;
    case WAL_EVENT_TABLESPACE_DROP:
        event->tablespace = cursor_u32(cursor);
        break;
    case WAL_EVENT_RUNNING_XACTS:
        read_running_xacts(payload);
        break;
    case WAL_EVENT_NONE:
    case WAL_EVENT_SWITCH:
    case WAL_EVENT_UNKNOWN_RELATION_UPDATE:
        break;
    }
}

/* A kind of record that we decode. updates_relation: it may have XLR_SPECIAL_REL_UPDATE. */
typedef struct EventRow
{
    uint8_t rmgr;
    uint8_t opcode;
    bool updates_relation;
    WalEventKind kind;
} EventRow;

/* The kinds that we decode, most frequent first. */
static const EventRow event_rows[] = {
    {RM_XACT, XACT_COMMIT, true, WAL_EVENT_COMMIT},
    {RM_XACT, XACT_ABORT, true, WAL_EVENT_ABORT},
    {RM_XACT, XACT_COMMIT_PREPARED, true, WAL_EVENT_COMMIT},
    {RM_XACT, XACT_ABORT_PREPARED, true, WAL_EVENT_ABORT},
    {RM_XACT, XACT_COMMIT_COMPACT, false, WAL_EVENT_COMMIT},
    {RM_XACT, XACT_PREPARE, false, WAL_EVENT_PREPARE},
    {RM_STANDBY, STANDBY_RUNNING_XACTS, false, WAL_EVENT_RUNNING_XACTS},
    {RM_XLOG, XLOG_CHECKPOINT_SHUTDOWN, false, WAL_EVENT_CHECKPOINT},
    {RM_XLOG, XLOG_CHECKPOINT_ONLINE, false, WAL_EVENT_CHECKPOINT},
    {RM_XLOG, XLOG_SWITCH, false, WAL_EVENT_SWITCH},
    {RM_XLOG, XLOG_PARAMETER_CHANGE, false, WAL_EVENT_PARAMETER_CHANGE},
    {RM_XLOG, XLOG_FPW_CHANGE, false, WAL_EVENT_FPW_CHANGE},
    {RM_XLOG, XLOG_END_OF_RECOVERY, false, WAL_EVENT_END_OF_RECOVERY},
    {RM_SMGR, SMGR_CREATE, true, WAL_EVENT_RELATION_CREATE},
    {RM_SMGR, SMGR_TRUNCATE, true, WAL_EVENT_RELATION_TRUNCATE},
    {RM_DBASE, DBASE_FILE_COPY, true, WAL_EVENT_DATABASE_FILE_COPY},
    {RM_DBASE, DBASE_WAL_LOG, true, WAL_EVENT_DATABASE_CREATE},
    {RM_DBASE, DBASE_DROP, true, WAL_EVENT_DATABASE_DROP},
    {RM_TBLSPC, TBLSPC_CREATE, false, WAL_EVENT_TABLESPACE_CREATE},
    {RM_TBLSPC, TBLSPC_DROP, false, WAL_EVENT_TABLESPACE_DROP},
    {RM_RELMAP, RELMAP_UPDATE, false, WAL_EVENT_MAP_UPDATE},
};

static const EventRow *find_row(const Version *version, const WalRecord *record)
{
    uint8_t opcode = walrecord_opcode(record);

    if (record->rmgr == RM_XACT && !version->old_wal)
    {
        opcode &= XACT_OPCODE_MASK;
        /* Since 14 this opcode means invalidations. */
        if (opcode == XACT_COMMIT_COMPACT)
            return NULL;
    }
    if (record->rmgr == RM_DBASE && !version->database_create_wal_log && opcode != DBASE_FILE_COPY)
    {
        if (opcode != DBASE_OLD_DROP)
            return NULL;
        opcode = DBASE_DROP;
    }
    for (size_t i = 0; i < sizeof(event_rows) / sizeof(event_rows[0]); i++)
        if (event_rows[i].rmgr == record->rmgr && event_rows[i].opcode == opcode)
            return &event_rows[i];
    return NULL;
}

bool walrecord_event(const Version *version, const WalRecord *record, WalEvent *event, Error *error)
{
    const bool special = (record->info & XLR_SPECIAL_REL_UPDATE) != 0;
    /* Skip the search for the resource managers of most records, which have no row. */
    const EventRow *row = record->rmgr > RM_STANDBY ? NULL : find_row(version, record);

    event->kind = WAL_EVENT_NONE;
    if (special && (row == NULL || !row->updates_relation ||
                    (record->rmgr == RM_XACT && !version->xact_special_rel_update)))
    {
        event->kind = WAL_EVENT_UNKNOWN_RELATION_UPDATE;
        return true;
    }
    if (row == NULL)
        return true;

    Payload payload = {version, record, cursor_over(record->data, record->data_size), event};
    memset(event, 0, sizeof(*event));
    event->kind = row->kind;
    read_payload(&payload);
    if (!payload.cursor.failed && cursor_left(&payload.cursor) == 0)
        return true;
    return error_set(error, ERROR_FAILED,
                     "unexpected data of %u bytes in record at %s, rmgr: %s, info: %02X",
                     record->data_size, LSN_TEXT(version, record->lsn),
                     walrecord_rmgr_name(record->rmgr), record->info);
}
