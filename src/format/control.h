/*
 * global/pg_control: parsing and checking, and making the two that we write, the poison and the
 * rewound target's.
 */
#ifndef FORMAT_CONTROL_H
#define FORMAT_CONTROL_H

#include "format/walpage.h"

#define CONTROL_FILE_SIZE 8192 /* PG_CONTROL_FILE_SIZE, catalog/pg_control.h, all versions */
#define CONTROL_PATH "global/pg_control"

/*
 * enum DBState, catalog/pg_control.h, alike in 9.1 to 19, and a state that only this program has,
 * the last one. A server that is stopped in its crash recovery writes SHUTDOWNED_IN_RECOVERY, as a
 * standby does, but its pages are those of the crash. It has no minRecoveryPoint, which archive
 * recovery always sets. (Rule C107.)
 */
typedef enum ControlState
{
    STATE_STARTUP = 0,
    STATE_SHUTDOWNED = 1,
    STATE_SHUTDOWNED_IN_RECOVERY = 2,
    STATE_SHUTDOWNING = 3,
    STATE_IN_CRASH_RECOVERY = 4,
    STATE_IN_ARCHIVE_RECOVERY = 5,
    STATE_IN_PRODUCTION = 6,
    STATE_SHUTDOWNED_IN_CRASH_RECOVERY = 7
} ControlState;

/* enum WalLevel, access/xlog.h: minimal is 0 in all versions, archive is 1 in 9.3 to 9.5. */
#define WAL_LEVEL_MINIMAL 0
#define WAL_LEVEL_ARCHIVE 1

/* struct CheckPoint, in pg_control and as the data of a checkpoint record. */
typedef struct CheckPoint
{
    Lsn redo;
    Timeline timeline;
    bool full_page_writes;
    uint64_t next_xid; /* with the epoch in the upper 32 bits */
    Oid next_oid; /* OIDs below it were assigned, or can be before the next XLOG_NEXTOID record */
    uint32_t oldest_xid;
    uint32_t oldest_active_xid; /* 0 at a shutdown checkpoint, or if wal_level allows no standby */
    bool commit_timestamps; /* commit times were recorded in pg_commit_ts at this checkpoint; false
                               in versions that cannot (before 9.5) */
    int64_t time;           /* seconds since 1970 */
} CheckPoint;

typedef struct Control
{
    const Version *version; /* row of the version; NULL if control_parse knew none */
    uint64_t system_identifier;
    uint32_t control_version;
    uint32_t catalog_version; /* number in the file: version->catalog_version, or that of a fork */
    VersionDirectory version_directory;
    ControlState state;
    Lsn checkpoint_lsn; /* start of the last checkpoint's record */
    CheckPoint checkpoint;
    Lsn min_recovery_point;
    Timeline min_recovery_timeline;
    Lsn backup_start_point;
    Lsn backup_end_point;
    bool backup_end_required;
    int32_t wal_level; /* number in the file; version->wal_level_archive gives its meaning */
    bool wal_log_hints;
    uint32_t limits[LIMITS_MAX];    /* in the order of version_limit */
    uint32_t data_checksum_version; /* 0 if data checksums are off */
    uint32_t block_size;
    uint32_t relation_segment_blocks;
    uint32_t wal_block_size;
    uint32_t wal_segment_size;        /* bytes, a power of two, 1 MB to 1 GB */
    uint8_t bytes[CONTROL_FILE_SIZE]; /* content of the file */
} Control;

/* The input of control_parse; the strings are borrowed. */
typedef struct ControlFile
{
    const void *bytes;
    size_t size;
    const char *name;       /* the file's path, for messages */
    const char *pg_version; /* content of the cluster's PG_VERSION */
} ControlFile;

/*
 * Parse and check a pg_control. Fails on a wrong size ("unexpected control file size"), an unknown
 * version ("clusters are not compatible ..."), a wrong CRC ("unexpected control file CRC"), and on
 * sizes that no server accepts. *crc_wrong tells a wrong CRC from the others: a running server may
 * have been writing the file, so the caller may read it again.
 */
MUST_CHECK bool control_parse(const ControlFile *file, Control *control, bool *crc_wrong,
                              Error *error);

/* True if the cluster is of a fork of PostgreSQL, whose catalogs differ from those of the release.
 * False if control->version is NULL. */
bool control_is_of_fork(const Control *control);

/* Write the name of the server to text and return it: "PostgreSQL 15", or "a fork of PostgreSQL 15,
 * catalog version 202299991". */
#define CONTROL_SERVER_SIZE 80
const char *control_server(const Control *control, char text[CONTROL_SERVER_SIZE]);

/* Parse a CheckPoint: version->checkpoint.size bytes of a checkpoint record's data or of
 * pg_control. */
CheckPoint checkpoint_parse(const Version *version, const uint8_t *bytes);

/*
 * The timeline that a server is really on: the greater of the checkpoint's timeline and
 * minRecoveryPoint's. A promotion writes the new timeline to minRecoveryPoint first, before its
 * first checkpoint (CreateEndOfRecoveryRecord in xlog.c, since 9.3). (Rule C15.)
 */
Timeline control_timeline(const Control *control);

/*
 * True if the state is one of recovery, and minRecoveryPoint is on a newer timeline than the last
 * checkpoint: the server may have been promoted, have crashed before its first checkpoint had
 * ended, and have been started since, so that pages may be newer than minRecoveryPoint. A standby
 * that followed a promotion since its last restartpoint looks the same. (Rule C108.)
 */
bool control_may_be_of_promoted(const Control *control);

/*
 * True if control_may_be_of_promoted, and the WAL does not show that the server is a standby.
 * recovery_end: end of the first end-of-recovery record after the checkpoint record; LSN_INVALID if
 * the WAL has none.
 */
bool control_is_like_promoted(const Control *control, Lsn recovery_end);

/* The WalShape of the cluster. */
WalShape control_wal_shape(const Control *control);

/* The state as pg_controldata prints it; STATE_SHUTDOWNED_IN_CRASH_RECOVERY in its manner. */
const char *control_state_name(ControlState state);

/*
 * Make the pg_control of the rewound target: the source's bytes with the state "in archive
 * recovery", min_recovery_point and its timeline, a new CRC, then zeros. `now`, in seconds since
 * 1970, becomes its time if control_time_is_set.
 *
 * The result also says that a backup has not ended, which began where none can, one byte after
 * `redo`: a server that reads backup_label overwrites this, and a server without backup_label never
 * considers the target consistent. commit_timestamps is that of the checkpoint where recovery
 * starts; false switches track_commit_timestamp off. (Rule C48.)
 */
void control_make_rewound(const Control *source, Lsn redo, bool commit_timestamps,
                          Lsn min_recovery_point, Timeline timeline, int64_t now,
                          uint8_t bytes[CONTROL_FILE_SIZE]);

/*
 * Make the poison: a pg_control with which no server starts, with or without a backup_label, but
 * which all programs can read. The poison has the target's own bytes, except the state "shut down",
 * as checkpoint location the first WAL page boundary after wal_end, where no record can start, the
 * checkpoint timeline `timeline`, and no recovery or backup positions. (xlog.c, "invalid checkpoint
 * location")
 *
 * wal_end must not be before the target's checkpoint location: then the result always differs from
 * the target's own pg_control, even if that is a poison already.
 */
void control_make_poison(const Control *target, Lsn wal_end, Timeline timeline,
                         uint8_t bytes[CONTROL_FILE_SIZE]);

/* True if the pg_control is a poison: its checkpoint location is a page boundary. Tools that change
 * pg_control (pg_checksums) leave this location alone. */
bool control_is_poison(const Control *control);

/* True if the pg_control is this poison, or this poison changed by a tool (pg_checksums). */
bool control_is_this_poison(const Control *control, const uint8_t poison[CONTROL_FILE_SIZE]);

#endif
