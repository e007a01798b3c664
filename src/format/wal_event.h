/*
 * WAL records with a meaning for a rewind beyond their block references: their data, decoded.
 */
#ifndef FORMAT_WAL_EVENT_H
#define FORMAT_WAL_EVENT_H

#include "format/control.h"
#include "format/walrecord.h"

#define TRUNCATE_HEAP 1 /* SMGR_TRUNCATE_HEAP, catalog/storage_xlog.h: a bit of WalEvent.flags */

/* The meaning of a record for a rewind. Each kind names the members of WalEvent that it sets. */
typedef enum WalEventKind
{
    WAL_EVENT_NONE,
    WAL_EVENT_CHECKPOINT,       /* checkpoint; timeline; online: false for a shutdown checkpoint */
    WAL_EVENT_SWITCH,           /* the rest of the segment is empty */
    WAL_EVENT_END_OF_RECOVERY,  /* timeline: the new one; time */
    WAL_EVENT_FPW_CHANGE,       /* flag: the new full_page_writes */
    WAL_EVENT_PARAMETER_CHANGE, /* wal_level; flag: wal_log_hints; list: limits (version_limit) */
    WAL_EVENT_COMMIT,  /* prepared; xid (of the prepared transaction if prepared); time; subxids;
                          dropped; database and tablespace of the session, 0 if not in the record;
                          gid, NULL if not in the record */
    WAL_EVENT_ABORT,   /* members of WAL_EVENT_COMMIT */
    WAL_EVENT_PREPARE, /* xid, database, time, gid */
    WAL_EVENT_RELATION_CREATE,    /* relation, fork */
    WAL_EVENT_RELATION_TRUNCATE,  /* relation; block: the first one cut off; flags: 1 heap, 2 vm, 4
                                     fsm */
    WAL_EVENT_DATABASE_FILE_COPY, /* database, tablespace, source_database, source_tablespace */
    WAL_EVENT_DATABASE_CREATE,    /* database whose content follows in WAL: database, tablespace */
    WAL_EVENT_DATABASE_DROP,      /* database; list: tablespaces */
    WAL_EVENT_MAP_UPDATE,         /* a map of catalogs (pg_filenode.map) is written: database and
                                     tablespace; database 0: the map of shared catalogs */
    WAL_EVENT_TABLESPACE_CREATE,  /* tablespace, path */
    WAL_EVENT_TABLESPACE_DROP,    /* tablespace */
    WAL_EVENT_RUNNING_XACTS, /* next_xid, oldest_running_xid; list: xids; flag: some subtransactions
                                are not listed */
    WAL_EVENT_UNKNOWN_RELATION_UPDATE /* a record of an unknown kind with XLR_SPECIAL_REL_UPDATE */
} WalEventKind;

/* A decoded record. Lists, path and gid point into the record's bytes; read list items with the
 * functions below. */
typedef struct WalEvent
{
    WalEventKind kind;
    bool prepared; /* the record is COMMIT PREPARED or ABORT PREPARED */
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
    const char *path; /* path_size bytes, without a NUL */
    size_t path_size;
    const char *gid; /* likewise */
    size_t gid_size;
    uint32_t next_xid, oldest_running_xid;
    uint32_t subxid_count;
    const uint8_t *subxids; /* u32 each */
    uint32_t dropped_count;
    const uint8_t *dropped; /* relations dropped at the end: wal_event_dropped */
    uint32_t list_count;
    const uint8_t *list; /* u32 each */
} WalEvent;

/*
 * Decode a record. Fails if its data is shorter or longer than in its version (layouts:
 * wal_event.c). For WAL_EVENT_NONE and WAL_EVENT_UNKNOWN_RELATION_UPDATE only kind is set; for
 * other kinds, members that the kind does not name are zero.
 */
MUST_CHECK bool walrecord_event(const Version *version, const WalRecord *record, WalEvent *event,
                                Error *error);

static inline RelationId wal_event_dropped(const WalEvent *event, uint32_t index)
{
    return relation_at(event->dropped + (size_t) index * RELATION_ID_SIZE);
}

/* Item number `index`, from 0 on, of `list` or `subxids`. */
static inline uint32_t wal_event_u32(const uint8_t *items, uint32_t index)
{
    return load_u32(items + (size_t) index * sizeof(uint32_t));
}

#endif
