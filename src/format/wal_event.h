/*
 * The few records whose payload we understand: what each means for a rewind.
 */
#ifndef FORMAT_WAL_EVENT_H
#define FORMAT_WAL_EVENT_H

#include "format/control.h"
#include "format/walrecord.h"

#define TRUNCATE_HEAP 1 /* SMGR_TRUNCATE_HEAP, catalog/storage_xlog.h: in flags of a truncation */

/* The meaning of a record for a rewind. */
typedef enum WalEventKind
{
    WAL_EVENT_NONE,
    WAL_EVENT_CHECKPOINT,       /* shutdown or online: checkpoint is set, online says which */
    WAL_EVENT_SWITCH,           /* the rest of the segment is empty */
    WAL_EVENT_END_OF_RECOVERY,  /* timeline is the new one; time */
    WAL_EVENT_FPW_CHANGE,       /* flag: full_page_writes now */
    WAL_EVENT_PARAMETER_CHANGE, /* wal_level, flag: wal_log_hints; limits in list */
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
 * Fails when a payload is shorter or longer than its version's layout (comments in wal_event.c).
 * For WAL_EVENT_NONE and WAL_EVENT_UNKNOWN_RELATION_UPDATE only the kind is set; for the others,
 * members that the kind does not name are zero.
 */
MUST_CHECK bool walrecord_event(const Version *version, const WalRecord *record, WalEvent *event,
                                Error *error);

static inline RelationId wal_event_dropped(const WalEvent *event, uint32_t index)
{
    return relation_at(event->dropped + (size_t) index * RELATION_ID_SIZE);
}

/* An item of `list` or `subxids`. */
static inline uint32_t wal_event_u32(const uint8_t *items, uint32_t index)
{
    return load_u32(items + (size_t) index * sizeof(uint32_t));
}

#endif
