#include "format/walrecord.h"

#include "format/crc32c.h"
#include "format/walrecord_parts.h"

#include <string.h>

/* XLogRecord, access/xlogrecord.h, alike in 9.5 to 19. */
#define AT_TOTAL_LENGTH 0
#define AT_XID 4
#define AT_PREV 8
#define AT_INFO 16
#define AT_RMGR 17
#define AT_CRC 20

#define RMGR_CUSTOM_MIN 128

/* Ids of what follows the header; 0 .. BLOCK_ID_MAX are block references. */
#define BLOCK_ID_MAX 32 /* XLR_MAX_BLOCK_ID */
#define FRAGMENT_DATA_SHORT 255
#define FRAGMENT_DATA_LONG 254
#define FRAGMENT_ORIGIN 253
#define FRAGMENT_TOPLEVEL_XID 252

/* XLogRecordBlockHeader.fork_flags. */
#define BLOCK_FORK_MASK 0x0F
#define BLOCK_HAS_IMAGE 0x10
#define BLOCK_HAS_DATA 0x20
#define BLOCK_WILL_INIT 0x40
#define BLOCK_SAME_REL 0x80

#define IMAGE_HAS_HOLE 0x01 /* in all versions; the other bits: versions.c */

/*
 * The decoder runs over gigabytes, so it has readers of its own: one comparison for all fields of a
 * fragment, and no calls.
 */
typedef struct Fragments
{
    const uint8_t *position;
    const uint8_t *end;
    uint64_t announced; /* bytes of images and data that must follow the fragments */
} Fragments;

static inline const uint8_t *take_fragment_bytes(Fragments *fragments, size_t size)
{
    const uint8_t *here = fragments->position;

    if (size > (size_t) (fragments->end - here))
        return NULL;
    fragments->position += size;
    return here;
}

bool error_record(const Version *version, Lsn lsn, Error *error, const char *what)
{
    char text[LSN_TEXT_SIZE];

    return error_set(error, ERROR_FAILED, "%s at %s", what, lsn_text(version, lsn, text));
}

static bool rmgr_is_valid(const Version *version, uint8_t rmgr)
{
    return rmgr <= version->rmgr_max || (version->custom_rmgrs && rmgr >= RMGR_CUSTOM_MIN);
}

bool walrecord_check_length(const Version *version, const WalRecordHeader *header,
                            uint32_t header_size, Lsn lsn, Error *error)
{
    char text[LSN_TEXT_SIZE];

    if (header->total_length < header_size)
        return error_set(error, ERROR_FAILED,
                         "invalid record length at %s: expected at least %u, got %u",
                         lsn_text(version, lsn, text), header_size, header->total_length);
    if (header->total_length > WAL_RECORD_SIZE_MAX)
        return error_set(error, ERROR_FAILED, "record length %u at %s too long",
                         header->total_length, lsn_text(version, lsn, text));
    return true;
}

bool walrecord_check_origin(const Version *version, const WalRecordHeader *header, Lsn lsn,
                            Error *error)
{
    char text[LSN_TEXT_SIZE];
    char prev[LSN_TEXT_SIZE];

    if (!rmgr_is_valid(version, header->rmgr))
        return error_set(error, ERROR_FAILED, "invalid resource manager ID %u at %s", header->rmgr,
                         lsn_text(version, lsn, text));
    if (header->prev >= lsn)
        return error_set(error, ERROR_FAILED, "record with incorrect prev-link %s at %s",
                         lsn_text(version, header->prev, prev), lsn_text(version, lsn, text));
    return true;
}

bool walrecord_header_parse(const Version *version, const uint8_t *bytes, size_t size, Lsn lsn,
                            WalRecordHeader *header, Error *error)
{
    if (version->old_wal)
        return walrecord_old_header_parse(version, bytes, size, lsn, header, error);
    if (size < WAL_RECORD_HEADER_SIZE)
        return error_record(version, lsn, error, "incomplete record header");
    header->total_length = u32_at(bytes + AT_TOTAL_LENGTH);
    header->xid = u32_at(bytes + AT_XID);
    header->prev = u64_at(bytes + AT_PREV);
    header->info = bytes[AT_INFO];
    header->rmgr = bytes[AT_RMGR];
    header->crc = u32_at(bytes + AT_CRC);
    return walrecord_check_length(version, header, WAL_RECORD_HEADER_SIZE, lsn, error) &&
           walrecord_check_origin(version, header, lsn, error);
}

/* What a fragment may not look like; NULL for a good one. */
static __attribute__((noinline)) const char *take_image(const Version *version, uint32_t block_size,
                                                        Fragments *fragments, BlockReference *block)
{
    const uint8_t *image = take_fragment_bytes(fragments, 5);

    if (image == NULL)
        return "record with invalid length";
    uint32_t length = u16_at(image);
    uint32_t hole_offset = u16_at(image + 2);
    uint8_t info = image[4];
    bool has_hole = (info & IMAGE_HAS_HOLE) != 0;
    bool compressed = (info & version->image_compressed_mask) != 0;
    uint32_t hole_length = 0;

    if (length > block_size)
        return "block image longer than a block";
    if (!compressed)
        hole_length = block_size - length;
    else if (has_hole)
    {
        const uint8_t *hole = take_fragment_bytes(fragments, 2);
        if (hole == NULL)
            return "record with invalid length";
        hole_length = u16_at(hole);
    }
    fragments->announced += length;
    block->image_applies = version->image_apply == 0 || (info & version->image_apply) != 0;
    if (has_hole && (hole_offset == 0 || hole_length == 0 || length == block_size))
        return "BKPIMAGE_HAS_HOLE set, but no hole";
    if (!has_hole && (hole_offset != 0 || (compressed && hole_length != 0)))
        return "BKPIMAGE_HAS_HOLE not set, but a hole";
    if (compressed && length == block_size)
        return "BKPIMAGE_COMPRESSED set, but block image of a whole block";
    if (!has_hole && !compressed && length != block_size)
        return "neither BKPIMAGE_HAS_HOLE nor BKPIMAGE_COMPRESSED set, but block image is shorter "
               "than a block";
    return NULL;
}

/* before: the reference that stands before it in the record; NULL: it is the first. */
static const char *take_block(const Version *version, uint32_t block_size, uint8_t id,
                              Fragments *fragments, const BlockReference *before,
                              BlockReference *block)
{
    const uint8_t *start = take_fragment_bytes(fragments, 3);

    if (start == NULL)
        return "record with invalid length";
    if (before != NULL && id <= before->id)
        return "out-of-order block_id";

    uint8_t flags = start[0];
    uint16_t data_length = u16_at(start + 1);
    bool has_data = (flags & BLOCK_HAS_DATA) != 0;
    block->id = id;
    block->fork = flags & BLOCK_FORK_MASK;
    block->has_image = (flags & BLOCK_HAS_IMAGE) != 0;
    block->image_applies = false;
    block->will_init = (flags & BLOCK_WILL_INIT) != 0;
    if (has_data != (data_length != 0))
        return has_data ? "BKPBLOCK_HAS_DATA set, but no data included"
                        : "BKPBLOCK_HAS_DATA not set, but data included";
    fragments->announced += data_length;
    if (block->has_image)
    {
        /* A copy, so that the fragments of other blocks can stay in registers. */
        Fragments rest = *fragments;
        const char *wrong = take_image(version, block_size, &rest, block);
        if (wrong != NULL)
            return wrong;
        *fragments = rest;
    }
    if ((flags & BLOCK_SAME_REL) == 0)
    {
        const uint8_t *relation = take_fragment_bytes(fragments, RELATION_ID_SIZE);
        if (relation == NULL)
            return "record with invalid length";
        block->relation = relation_at(relation);
    }
    else if (before == NULL)
        return "BKPBLOCK_SAME_REL set but no previous rel";
    else
        block->relation = before->relation;

    const uint8_t *number = take_fragment_bytes(fragments, 4);
    if (number == NULL)
        return "record with invalid length";
    block->block = u32_at(number);
    return NULL;
}

/* The fragments up to the one of main data, or to where only announced bytes are left. */
static const char *take_fragments(const Version *version, uint32_t block_size, Fragments *fragments,
                                  WalRecord *record)
{
    BlockReference *block = record->blocks;
    const uint8_t *field;
    const char *wrong;

    while ((uint64_t) (fragments->end - fragments->position) > fragments->announced)
    {
        uint8_t id = *fragments->position++;
        if (id <= BLOCK_ID_MAX)
        {
            wrong = take_block(version, block_size, id, fragments,
                               block == record->blocks ? NULL : block - 1, block);
            if (wrong != NULL)
                return wrong;
            block++;
            record->block_count++;
            continue;
        }
        switch (id)
        {
        case FRAGMENT_DATA_SHORT:
            if ((field = take_fragment_bytes(fragments, 1)) == NULL)
                return "record with invalid length";
            record->data_size = field[0];
            fragments->announced += record->data_size;
            return NULL;
        case FRAGMENT_DATA_LONG:
            if ((field = take_fragment_bytes(fragments, 4)) == NULL)
                return "record with invalid length";
            record->data_size = u32_at(field);
            fragments->announced += record->data_size;
            return NULL;
        case FRAGMENT_ORIGIN:
            if (take_fragment_bytes(fragments, 2) == NULL)
                return "record with invalid length";
            break;
        case FRAGMENT_TOPLEVEL_XID:
            if (!version->record_toplevel_xid)
                return "invalid block_id 252";
            if (take_fragment_bytes(fragments, 4) == NULL)
                return "record with invalid length";
            break;
        default:
            return "invalid block_id";
        }
    }
    return NULL;
}

/* First what follows the header, then the header up to the CRC (since 9.5). */
static uint32_t record_crc(const uint8_t *bytes, size_t size)
{
    return crc32c_joined(bytes + WAL_RECORD_HEADER_SIZE, size - WAL_RECORD_HEADER_SIZE, bytes,
                         AT_CRC);
}

bool walrecord_decode(const Version *version, uint32_t block_size, const WalRecordHeader *header,
                      const uint8_t *bytes, Lsn lsn, WalRecord *record, Error *error)
{
    size_t size = header->total_length;

    if (version->old_wal)
        return walrecord_old_decode(version, block_size, header, bytes, lsn, record, error);
    if (record_crc(bytes, size) != header->crc)
        return error_record(version, lsn, error,
                            "incorrect resource manager data checksum in record");

    /* Member by member: there are many blocks, and most records use one. */
    record->lsn = lsn;
    record->end = LSN_INVALID;
    record->prev = header->prev;
    record->total_length = header->total_length;
    record->xid = header->xid;
    record->info = header->info;
    record->rmgr = header->rmgr;
    record->block_count = 0;
    record->data_size = 0;

    Fragments fragments = {bytes + WAL_RECORD_HEADER_SIZE, bytes + size, 0};
    const char *wrong = take_fragments(version, block_size, &fragments, record);
    if (wrong == NULL && (uint64_t) (fragments.end - fragments.position) != fragments.announced)
        wrong = "record with invalid length";
    if (wrong != NULL)
        return error_record(version, lsn, error, wrong);
    record->data = bytes + size - record->data_size; /* main data is last */
    return true;
}

/* Opcodes; "or later" ones are asked of the version's row. */
#define OPCODE_MASK 0xF0
#define XLOG_CHECKPOINT_SHUTDOWN 0x00 /* catalog/pg_control.h */
#define XLOG_CHECKPOINT_ONLINE 0x10
#define XLOG_SWITCH 0x40
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
#define SMGR_CREATE 0x10 /* catalog/storage_xlog.h */
#define SMGR_TRUNCATE 0x20
#define TRUNCATE_ALL 7     /* SMGR_TRUNCATE_ALL */
#define DBASE_CREATE 0x00  /* commands/dbcommands_xlog.h */
#define DBASE_SECOND 0x10  /* DROP, or CREATE_WAL_LOG where there is one */
#define DBASE_THIRD 0x20   /* then this is DROP */
#define TBLSPC_CREATE 0x00 /* commands/tablespace.h */
#define TBLSPC_DROP 0x10
#define STANDBY_RUNNING_XACTS 0x10 /* storage/standbydefs.h */

/* xinfo of commit and abort records, access/xact.h. */
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

/* A payload that its version's layout does not allow. */
static bool error_payload(const Version *version, const WalRecord *record, Error *error)
{
    char lsn[LSN_TEXT_SIZE];

    return error_set(error, ERROR_FAILED,
                     "unexpected data of %u bytes in record at %s, rmgr: %s, info: %02X",
                     record->data_size, lsn_text(version, record->lsn, lsn),
                     walrecord_rmgr_name(record->rmgr), record->info);
}

static RelationId cursor_relation(Cursor *cursor)
{
    RelationId relation;

    relation.tablespace = cursor_u32(cursor);
    relation.database = cursor_u32(cursor);
    relation.relation = cursor_u32(cursor);
    return relation;
}

/* {i32 count; items}: the items, and how many. A negative count fails as one that is too large. */
static const uint8_t *cursor_items(Cursor *cursor, size_t item_size, uint32_t *count)
{
    *count = cursor_u32(cursor);
    if (*count > cursor_left(cursor) / item_size)
    {
        cursor->failed = true;
        *count = 0;
        return NULL;
    }
    return cursor_bytes(cursor, *count * item_size);
}

/* The functions below read all of a payload; walrecord_event checks that nothing failed or is left.
 */

static bool read_checkpoint(const Version *version, const WalRecord *record, Cursor *cursor,
                            WalEvent *event, Error *error)
{
    event->kind = WAL_EVENT_CHECKPOINT;
    event->online = (record->info & OPCODE_MASK) == XLOG_CHECKPOINT_ONLINE;
    if (!checkpoint_parse(version, record->data, record->data_size, &event->checkpoint, error))
        return false;
    cursor_skip(cursor, version->checkpoint.size);
    event->timeline = event->checkpoint.timeline;
    return true;
}

static void read_parameter_change(const Version *version, Cursor *cursor, WalEvent *event)
{
    event->kind = WAL_EVENT_PARAMETER_CHANGE;
    cursor_seek(cursor, version->parameter_wal_level);
    event->wal_level = (int32_t) cursor_u32(cursor);
    if (version->parameter_wal_log_hints == OFFSET_NONE)
        return; /* wal_level is last */
    cursor_seek(cursor, version->parameter_wal_log_hints);
    event->flag = cursor_u8(cursor) != 0;
    cursor_skip(cursor, 3); /* track_commit_timestamp, padding */
}

static void read_end_of_recovery(const Version *version, Cursor *cursor, WalEvent *event)
{
    event->kind = WAL_EVENT_END_OF_RECOVERY;
    event->time = (int64_t) cursor_u64(cursor);
    event->timeline = cursor_u32(cursor);
    cursor_seek(cursor, version->end_of_recovery_size); /* PrevTimeLineID, wal_level */
}

static bool read_xlog(const Version *version, const WalRecord *record, Cursor *cursor,
                      WalEvent *event, Error *error)
{
    switch (record->info & OPCODE_MASK)
    {
    case XLOG_CHECKPOINT_SHUTDOWN:
    case XLOG_CHECKPOINT_ONLINE:
        return read_checkpoint(version, record, cursor, event, error);
    case XLOG_SWITCH:
        event->kind = WAL_EVENT_SWITCH;
        break;
    case XLOG_PARAMETER_CHANGE:
        read_parameter_change(version, cursor, event);
        break;
    case XLOG_FPW_CHANGE:
        event->kind = WAL_EVENT_FPW_CHANGE;
        event->flag = cursor_u8(cursor) != 0;
        break;
    case XLOG_END_OF_RECOVERY:
        read_end_of_recovery(version, cursor, event);
        break;
    default:
        break;
    }
    return true;
}

/* The end of a transaction: parts in the order of ParseCommitRecord, rmgrdesc/xactdesc.c. */
static void read_xact_end(const Version *version, const WalRecord *record, bool commit,
                          Cursor *cursor, WalEvent *event)
{
    uint32_t xinfo = 0;
    uint32_t count;
    bool full = commit || version->abort_has_dbinfo_origin_gid;

    event->kind = commit ? WAL_EVENT_COMMIT : WAL_EVENT_ABORT;
    event->xid = record->xid;
    event->time = (int64_t) cursor_u64(cursor);
    if (record->info & XACT_HAS_INFO)
        xinfo = cursor_u32(cursor);
    if (full && (xinfo & XINFO_DATABASE))
    {
        event->database = cursor_u32(cursor);
        event->tablespace = cursor_u32(cursor);
    }
    if (xinfo & XINFO_SUBXIDS)
        event->subxids = cursor_items(cursor, 4, &event->subxid_count);
    if (xinfo & XINFO_DROPPED)
        event->dropped = cursor_items(cursor, RELATION_ID_SIZE, &event->dropped_count);
    if (version->xact_stats_item_size != 0 && (xinfo & XINFO_DROPPED_STATS))
        cursor_items(cursor, version->xact_stats_item_size, &count);
    if (commit && (xinfo & XINFO_INVALIDATIONS))
        cursor_items(cursor, INVALIDATION_SIZE, &count);
    if (xinfo & XINFO_TWOPHASE)
        event->xid = cursor_u32(cursor);
    if (version->abort_has_dbinfo_origin_gid && (xinfo & XINFO_GID))
    {
        size_t left = cursor_left(cursor);
        const uint8_t *gid = cursor_bytes(cursor, 0);
        const uint8_t *nul = gid == NULL ? NULL : memchr(gid, 0, left);
        if (nul == NULL)
        {
            cursor->failed = true;
            return;
        }
        event->gid = (const char *) gid;
        event->gid_size = (size_t) (nul - gid);
        cursor_skip(cursor, event->gid_size + 1);
    }
    if (full && (xinfo & XINFO_ORIGIN))
        cursor_skip(cursor, ORIGIN_SIZE);
}

/* GIDSIZE, access/transam/twophase.c: what the gid's field holds where none says how long it is. */
#define GID_FIELD_SIZE 200

/* The gid of a prepared transaction; NULL: it does not end where it has to. */
static const char *take_gid(const Version *version, Cursor *cursor, size_t *size)
{
    const bool counted = version->twophase_gid_size_offset != OFFSET_NONE;
    size_t room = GID_FIELD_SIZE;

    if (counted)
    {
        cursor_seek(cursor, version->twophase_gid_size_offset);
        room = cursor_u16(cursor);
    }
    cursor_seek(cursor, version->twophase_gid_offset);
    const uint8_t *gid = cursor_bytes(cursor, room);
    const uint8_t *end = gid == NULL || room == 0 ? NULL
                         : counted                ? gid + room - 1
                                                  : memchr(gid, '\0', room);
    if (end == NULL || *end != '\0')
        return NULL;
    *size = (size_t) (end - gid);
    return (const char *) gid;
}

/* The state file of pg_twophase without its CRC. */
static void read_prepare(const Version *version, Cursor *cursor, WalEvent *event)
{
    size_t size = 0;

    event->kind = WAL_EVENT_PREPARE;
    cursor_seek(cursor, 8); /* after magic and length */
    event->xid = cursor_u32(cursor);
    event->database = cursor_u32(cursor);
    event->time = (int64_t) cursor_u64(cursor);
    event->gid = take_gid(version, cursor, &size);
    if (event->gid == NULL)
    {
        cursor->failed = true;
        return;
    }
    event->gid_size = size;
    cursor_skip(cursor, cursor_left(cursor));
}

static void read_xact(const Version *version, const WalRecord *record, Cursor *cursor,
                      WalEvent *event)
{
    uint8_t opcode = record->info & XACT_OPCODE_MASK;

    if (version->old_wal && opcode != XACT_PREPARE)
    {
        walrecord_old_xact_end(record, cursor, event);
        return;
    }
    switch (opcode)
    {
    case XACT_COMMIT:
    case XACT_COMMIT_PREPARED:
        event->prepared = opcode == XACT_COMMIT_PREPARED;
        read_xact_end(version, record, true, cursor, event);
        break;
    case XACT_ABORT:
    case XACT_ABORT_PREPARED:
        event->prepared = opcode == XACT_ABORT_PREPARED;
        read_xact_end(version, record, false, cursor, event);
        break;
    case XACT_PREPARE:
        read_prepare(version, cursor, event);
        break;
    default:
        break;
    }
}

static void read_smgr(const Version *version, const WalRecord *record, Cursor *cursor,
                      WalEvent *event)
{
    switch (record->info & OPCODE_MASK)
    {
    case SMGR_CREATE:
        event->kind = WAL_EVENT_RELATION_CREATE;
        event->relation = cursor_relation(cursor);
        uint32_t fork = cursor_u32(cursor);
        if (fork > FORK_INIT)
            cursor->failed = true;
        event->fork = (uint8_t) fork;
        break;
    case SMGR_TRUNCATE:
        event->kind = WAL_EVENT_RELATION_TRUNCATE;
        event->block = cursor_u32(cursor);
        event->relation = cursor_relation(cursor);
        event->flags = version->truncate_has_flags ? cursor_u32(cursor) : TRUNCATE_ALL;
        break;
    default:
        break;
    }
}

static void read_database_drop(const Version *version, Cursor *cursor, WalEvent *event)
{
    event->kind = WAL_EVENT_DATABASE_DROP;
    event->database = cursor_u32(cursor);
    if (version->database_drop_counted)
        event->list = cursor_items(cursor, sizeof(Oid), &event->list_count);
    else
    {
        event->list = cursor_bytes(cursor, sizeof(Oid));
        event->list_count = 1;
    }
}

static void read_database(const Version *version, const WalRecord *record, Cursor *cursor,
                          WalEvent *event)
{
    switch (record->info & OPCODE_MASK)
    {
    case DBASE_CREATE:
        event->kind = WAL_EVENT_DATABASE_FILE_COPY;
        event->database = cursor_u32(cursor);
        event->tablespace = cursor_u32(cursor);
        event->source_database = cursor_u32(cursor);
        event->source_tablespace = cursor_u32(cursor);
        break;
    case DBASE_SECOND:
        if (!version->database_create_wal_log)
        {
            read_database_drop(version, cursor, event);
            break;
        }
        event->kind = WAL_EVENT_DATABASE_CREATE;
        event->database = cursor_u32(cursor);
        event->tablespace = cursor_u32(cursor);
        break;
    case DBASE_THIRD:
        if (version->database_create_wal_log)
            read_database_drop(version, cursor, event);
        break;
    default:
        break;
    }
}

static void read_tablespace(const WalRecord *record, Cursor *cursor, WalEvent *event)
{
    switch (record->info & OPCODE_MASK)
    {
    case TBLSPC_CREATE:
        event->kind = WAL_EVENT_TABLESPACE_CREATE;
        event->tablespace = cursor_u32(cursor);
        event->path_size = cursor_left(cursor);
        event->path = (const char *) cursor_bytes(cursor, event->path_size);
        if (event->path_size == 0 || event->path[event->path_size - 1] != '\0')
            cursor->failed = true;
        else
            event->path_size--;
        break;
    case TBLSPC_DROP:
        event->kind = WAL_EVENT_TABLESPACE_DROP;
        event->tablespace = cursor_u32(cursor);
        break;
    default:
        break;
    }
}

/* xl_running_xacts, storage/standbydefs.h */
static void read_running_xacts(Cursor *cursor, WalEvent *event)
{
    event->kind = WAL_EVENT_RUNNING_XACTS;
    uint64_t count = cursor_u32(cursor);
    count += cursor_u32(cursor);
    event->flag = cursor_u8(cursor) != 0;
    cursor_skip(cursor, 3); /* padding */
    event->next_xid = cursor_u32(cursor);
    event->oldest_running_xid = cursor_u32(cursor);
    cursor_skip(cursor, 4); /* latestCompletedXid */
    if (count > cursor_left(cursor) / 4)
    {
        cursor->failed = true;
        return;
    }
    event->list_count = (uint32_t) count;
    event->list = cursor_bytes(cursor, (size_t) count * 4);
}

/* Records on which the flag is expected: what they do is known, and read above or needs no block.
 */
static bool special_update_is_known(const Version *version, const WalRecord *record)
{
    uint8_t opcode = record->info & OPCODE_MASK;

    switch (record->rmgr)
    {
    case RM_SMGR:
        return opcode == SMGR_CREATE || opcode == SMGR_TRUNCATE;
    case RM_DBASE:
        return opcode == DBASE_CREATE || opcode == DBASE_SECOND ||
               (version->database_create_wal_log && opcode == DBASE_THIRD);
    case RM_XACT:
        opcode = record->info & XACT_OPCODE_MASK;
        return version->xact_special_rel_update &&
               (opcode == XACT_COMMIT || opcode == XACT_COMMIT_PREPARED || opcode == XACT_ABORT ||
                opcode == XACT_ABORT_PREPARED);
    default:
        return false;
    }
}

bool walrecord_event(const Version *version, const WalRecord *record, WalEvent *event, Error *error)
{
    bool special = (record->info & XLR_SPECIAL_REL_UPDATE) != 0;

    event->kind = WAL_EVENT_NONE;
    if (special && !special_update_is_known(version, record))
    {
        event->kind = WAL_EVENT_UNKNOWN_RELATION_UPDATE;
        return true;
    }
    /* Of the records that fill WAL, hardly one gets further. */
    if (record->rmgr > RM_STANDBY)
        return true;

    Cursor cursor = cursor_over(record->data, record->data_size);
    memset(event, 0, sizeof(*event));
    switch (record->rmgr)
    {
    case RM_XLOG:
        if (!read_xlog(version, record, &cursor, event, error))
            return false;
        break;
    case RM_XACT:
        read_xact(version, record, &cursor, event);
        break;
    case RM_SMGR:
        read_smgr(version, record, &cursor, event);
        break;
    case RM_DBASE:
        read_database(version, record, &cursor, event);
        break;
    case RM_TBLSPC:
        read_tablespace(record, &cursor, event);
        break;
    case RM_STANDBY:
        if ((record->info & OPCODE_MASK) == STANDBY_RUNNING_XACTS)
            read_running_xacts(&cursor, event);
        break;
    default:
        break;
    }
    if (event->kind != WAL_EVENT_NONE && (cursor.failed || cursor_left(&cursor) != 0))
        return error_payload(version, record, error);
    return true;
}

RelationId wal_event_dropped(const WalEvent *event, uint32_t index)
{
    return relation_at(event->dropped + (size_t) index * RELATION_ID_SIZE);
}

Oid wal_event_list_item(const WalEvent *event, uint32_t index)
{
    return u32_at(event->list + (size_t) index * sizeof(Oid));
}

const char *walrecord_rmgr_name(uint8_t rmgr)
{
    static const char *const names[] = {
        "XLOG",       "Transaction",   "Storage", "CLOG",     "Database",
        "Tablespace", "MultiXact",     "RelMap",  "Standby",  "Heap2",
        "Heap",       "Btree",         "Hash",    "Gin",      "Gist",
        "Sequence",   "SPGist",        "BRIN",    "CommitTs", "ReplicationOrigin",
        "Generic",    "LogicalMessage"};

    if (rmgr >= RMGR_CUSTOM_MIN)
        return "custom";
    return rmgr < sizeof(names) / sizeof(names[0]) ? names[rmgr] : "unknown";
}
