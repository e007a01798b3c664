/*
 * One WAL record: header, block references, and the few payloads that we understand.
 */
#ifndef FORMAT_WALRECORD_H
#define FORMAT_WALRECORD_H

#include "base/buffer.h"
#include "base/error.h"
#include "format/control.h"
#include "format/versions.h"

#include <stdbool.h>
#include <stdint.h>

#define WAL_RECORD_HEADER_SIZE 24       /* SizeOfXLogRecord, access/xlogrecord.h, 9.5 to 19 */
#define WAL_RECORD_OLD_HEADER_SIZE 32   /* SizeOfXLogRecord, access/xlog.h, 9.3 and 9.4 */
#define WAL_RECORD_BLOCKS_MAX 255       /* 33 since 9.5; before, a split of a gist page has more */
#define WAL_RECORD_SIZE_MAX 0x3FFFFFFFu /* what any reader can allocate (MaxAllocSize) */

#define FORK_MAIN 0
#define FORK_FSM 1
#define FORK_VM 2
#define FORK_INIT 3

/* Resource managers that carry facts for a rewind (access/rmgrlist.h; ids never moved). */
enum
{
    RM_XLOG = 0,
    RM_XACT = 1,
    RM_SMGR = 2,
    RM_DBASE = 4,
    RM_TBLSPC = 5,
    RM_RELMAP = 7,
    RM_STANDBY = 8,
    RM_SPGIST = 16
};

#define XLR_SPECIAL_REL_UPDATE 0x01

/* A relation: tablespace, database (0: shared), relfilenode. */
typedef struct RelationId
{
    Oid tablespace;
    Oid database;
    Oid relation;
} RelationId;

typedef struct BlockReference
{
    uint8_t id;
    uint8_t fork;
    bool has_image;
    bool image_applies; /* an image that redo restores, not one for consistency checks only */
    bool will_init;
    RelationId relation;
    BlockNumber block;
} BlockReference;

/* Pointers are into the bytes the record was parsed from. */
typedef struct WalRecord
{
    Lsn lsn;  /* where it starts */
    Lsn end;  /* set by the reader: where it ends, aligned; after a switch the next segment */
    Lsn prev; /* where the record before starts */
    uint32_t total_length;
    uint32_t xid;
    uint8_t info;
    uint8_t rmgr;
    uint8_t block_count;
    BlockReference blocks[WAL_RECORD_BLOCKS_MAX];
    const uint8_t *data; /* main data */
    uint32_t data_size;
} WalRecord;

/* Bytes of a header: WAL_RECORD_HEADER_SIZE, or WAL_RECORD_OLD_HEADER_SIZE. */
static inline uint32_t walrecord_header_size(const Version *version)
{
    return version->old_wal ? WAL_RECORD_OLD_HEADER_SIZE : WAL_RECORD_HEADER_SIZE;
}

/*
 * The header, before all bytes are there and the CRC can be checked: a length from that of the
 * header to WAL_RECORD_SIZE_MAX, a resource manager of the version, a prev that lies before lsn.
 * Messages as xlogreader.c of 16 and later.
 */
typedef struct WalRecordHeader
{
    uint32_t total_length;
    uint32_t xid;
    Lsn prev;
    uint8_t info;
    uint8_t rmgr;
    uint32_t crc;
} WalRecordHeader;
MUST_CHECK bool walrecord_header_parse(const Version *version, const uint8_t *bytes, size_t size,
                                       Lsn lsn, WalRecordHeader *header, Error *error);

/*
 * Parse the rest of a record, whose header walrecord_header_parse found in bytes, of which
 * header->total_length are there: CRC, block headers, data. Fails on a CRC that is wrong and on
 * anything that DecodeXLogRecord of the version refuses; block_size is that of data pages.
 *
 * Records of 9.3 and 9.4 do not say which blocks they change: each kind's data is known here. A
 * record of another kind, or with other data, gets XLR_SPECIAL_REL_UPDATE and is thereby one that
 * does something unknown to a relation. Of the info only the upper half is the record's.
 */
MUST_CHECK bool walrecord_decode(const Version *version, uint32_t block_size,
                                 const WalRecordHeader *header, const uint8_t *bytes, Lsn lsn,
                                 WalRecord *record, Error *error);

/* What a record means for a rewind. */
typedef enum WalEventKind
{
    WAL_EVENT_NONE,
    WAL_EVENT_CHECKPOINT,       /* shutdown or online: checkpoint is set, online says which */
    WAL_EVENT_SWITCH,           /* the rest of the segment is empty */
    WAL_EVENT_END_OF_RECOVERY,  /* timeline is the new one; time */
    WAL_EVENT_FPW_CHANGE,       /* flag: full_page_writes now */
    WAL_EVENT_PARAMETER_CHANGE, /* wal_level, flag: wal_log_hints */
    WAL_EVENT_COMMIT,  /* xid (of the prepared transaction for COMMIT PREPARED), time; relations
                          dropped */
    WAL_EVENT_ABORT,   /* likewise */
    WAL_EVENT_PREPARE, /* xid, time, gid */
    WAL_EVENT_RELATION_CREATE,   /* relation, fork */
    WAL_EVENT_RELATION_TRUNCATE, /* relation, block: the first one gone, flags: 1 heap 2 vm 4 fsm */
    WAL_EVENT_DATABASE_FILE_COPY, /* database, tablespace, source_database, source_tablespace */
    WAL_EVENT_DATABASE_CREATE,    /* by WAL: database, tablespace */
    WAL_EVENT_DATABASE_DROP,      /* database; tablespaces in list */
    WAL_EVENT_TABLESPACE_CREATE,  /* tablespace, path */
    WAL_EVENT_TABLESPACE_DROP,    /* tablespace */
    WAL_EVENT_RUNNING_XACTS,      /* next_xid, oldest_running_xid; xids in list; flag: not all */
    WAL_EVENT_UNKNOWN_RELATION_UPDATE /* XLR_SPECIAL_REL_UPDATE on a record that we do not know */
} WalEventKind;

/* Lists point into the record's bytes; read items with the functions below. */
typedef struct WalEvent
{
    WalEventKind kind;
    bool prepared; /* COMMIT PREPARED, ABORT PREPARED */
    bool online;
    bool flag;
    int32_t wal_level;
    uint32_t xid;
    int64_t time; /* microseconds since 2000-01-01 UTC */
    Timeline timeline;
    CheckPoint checkpoint;
    RelationId relation;
    uint8_t fork;
    BlockNumber block;
    uint32_t flags;
    Oid database, tablespace, source_database, source_tablespace;
    const char *path; /* not NUL-terminated; path_size bytes */
    size_t path_size;
    const char *gid; /* likewise */
    size_t gid_size;
    uint32_t next_xid, oldest_running_xid;
    uint32_t subxid_count;
    const uint8_t *subxids; /* u32 each */
    uint32_t dropped_count;
    const uint8_t *dropped; /* relations dropped at commit or abort, 12 bytes each */
    uint32_t list_count;
    const uint8_t *list; /* u32 each */
} WalEvent;

/*
 * Fails when a payload is shorter or longer than its version's layout (comments in walrecord.c).
 * For WAL_EVENT_NONE and WAL_EVENT_UNKNOWN_RELATION_UPDATE only the kind is set; for the others,
 * members that the kind does not name are zero.
 */
MUST_CHECK bool walrecord_event(const Version *version, const WalRecord *record, WalEvent *event,
                                Error *error);
RelationId wal_event_dropped(const WalEvent *event, uint32_t index);
Oid wal_event_list_item(const WalEvent *event, uint32_t index);

/* Name of a resource manager as pg_waldump prints it; "custom" from 128 on. */
const char *walrecord_rmgr_name(uint8_t rmgr);

#endif
