/*
 * global/pg_control: read it, check it, and make the two that we write.
 */
#ifndef FORMAT_CONTROL_H
#define FORMAT_CONTROL_H

#include "format/walpage.h"

#define CONTROL_FILE_SIZE 8192 /* PG_CONTROL_FILE_SIZE, catalog/pg_control.h, all versions */
#define CONTROL_PATH "global/pg_control"

/* enum DBState, catalog/pg_control.h, alike in 9.1 to 19. */
typedef enum ControlState
{
    STATE_STARTUP = 0,
    STATE_SHUTDOWNED = 1,
    STATE_SHUTDOWNED_IN_RECOVERY = 2,
    STATE_SHUTDOWNING = 3,
    STATE_IN_CRASH_RECOVERY = 4,
    STATE_IN_ARCHIVE_RECOVERY = 5,
    STATE_IN_PRODUCTION = 6
} ControlState;

/* enum WalLevel, access/xlog.h: the first in all versions, the second in 9.3 to 9.5. */
#define WAL_LEVEL_MINIMAL 0
#define WAL_LEVEL_ARCHIVE 1

/* struct CheckPoint: in pg_control, and the body of a checkpoint record. */
typedef struct CheckPoint
{
    Lsn redo;
    Timeline timeline;
    bool full_page_writes;
    uint64_t next_xid; /* with epoch */
    Oid next_oid;      /* lower ones have been given away, or will be up to the next XLOG_NEXTOID */
    uint32_t oldest_xid;
    uint32_t oldest_active_xid;
    bool commit_timestamps; /* commits have their times in pg_commit_ts */
    int64_t time;           /* seconds since 1970 */
} CheckPoint;

typedef struct Control
{
    const Version *version;
    uint64_t system_identifier;
    uint32_t control_version;
    uint32_t catalog_version; /* version->catalog_version, or a fork's own */
    VersionDirectory version_directory;
    ControlState state;
    Lsn checkpoint_lsn; /* where the last checkpoint's record starts */
    CheckPoint checkpoint;
    Lsn min_recovery_point;
    Timeline min_recovery_timeline;
    Lsn backup_start_point;
    Lsn backup_end_point;
    bool backup_end_required;
    int32_t wal_level; /* 0 minimal, 1 replica, 2 logical */
    bool wal_log_hints;
    uint32_t limits[LIMITS_MAX];
    uint32_t data_checksum_version; /* 0: no checksums */
    uint32_t block_size;
    uint32_t relation_segment_blocks;
    uint32_t wal_block_size;
    uint32_t wal_segment_size;        /* bytes, a power of two, 1 MB to 1 GB */
    uint8_t bytes[CONTROL_FILE_SIZE]; /* the file as read */
} Control;

/* The file as it was read. */
typedef struct ControlFile
{
    const void *bytes;
    size_t size;
    const char *name;       /* for messages */
    const char *pg_version; /* the content of the cluster's PG_VERSION */
} ControlFile;

/*
 * Fails on a wrong size ("unexpected control file size"), an unknown version ("clusters are not
 * compatible ..."), a wrong CRC ("unexpected control file CRC", *crc_wrong set so that a reader of
 * a running server may try again), sizes that no server accepts.
 */
MUST_CHECK bool control_parse(const ControlFile *file, Control *control, bool *crc_wrong,
                              Error *error);

/* The server is a fork of PostgreSQL: its catalogs are not those of the release. False where the
 * version is not known. */
bool control_is_of_fork(const Control *control);

/* "PostgreSQL 15", or "a fork of PostgreSQL 15, catalog version 202299991". Returns text. */
#define CONTROL_SERVER_SIZE 80
const char *control_server(const Control *control, char text[CONTROL_SERVER_SIZE]);

/* A CheckPoint from the body of a checkpoint record or from pg_control: version->checkpoint.size
 * bytes. */
CheckPoint checkpoint_parse(const Version *version, const uint8_t *bytes);

/*
 * The timeline that a server is really on: the greater of the checkpoint's and minRecoveryPoint's.
 * A promotion writes END_OF_RECOVERY's timeline there first (CreateEndOfRecoveryRecord in xlog.c,
 * since 9.3). (Rule C15.)
 */
Timeline control_timeline(const Control *control);

/* The shape of the cluster's WAL. */
WalShape control_wal_shape(const Control *control);

/* State as pg_controldata prints it. */
const char *control_state_name(ControlState state);

/*
 * The pg_control of the rewound target: the source's bytes with state "in archive recovery",
 * minRecoveryPoint, its timeline, where the version's original does so the time, a new CRC, then
 * zeros. It also says that a backup which began at `redo` has not ended: a server that reads
 * backup_label overwrites that, and one that finds none never takes the target for consistent.
 * track_commit_timestamp is off if the start's checkpoint has no commit_timestamps. (Rule C48.)
 */
void control_make_rewound(const Control *source, Lsn redo, bool commit_timestamps,
                          Lsn min_recovery_point, Timeline timeline, int64_t now,
                          uint8_t bytes[CONTROL_FILE_SIZE]);

/*
 * The poison: the target's own bytes with state "shut down", as checkpoint location the first WAL
 * page boundary after wal_end (where no record can start), checkpoint timeline `timeline`, no
 * recovery or backup positions. No server starts from it, with or without a backup_label; every
 * reader reads it. It is never equal to the target's own pg_control, also where that is a poison
 * already: wal_end is not before its checkpoint location. (keeping others out; xlog.c, "invalid
 * checkpoint location")
 */
void control_make_poison(const Control *target, Lsn wal_end, Timeline timeline,
                         uint8_t bytes[CONTROL_FILE_SIZE]);

/* True if it is a poison, by its checkpoint location, which no tool changes. */
bool control_is_poison(const Control *control);

/* True if it is this poison, or what a tool has made of it. */
bool control_is_this_poison(const Control *control, const uint8_t poison[CONTROL_FILE_SIZE]);

#endif
