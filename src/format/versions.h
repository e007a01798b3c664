/*
 * One row for each major version of PostgreSQL, with all properties that differ between versions.
 * No other file may know major numbers.
 */
#ifndef FORMAT_VERSIONS_H
#define FORMAT_VERSIONS_H

#include "base/text_cursor.h"

typedef uint64_t Lsn; /* byte position in the WAL */
typedef uint32_t Timeline;
typedef uint32_t BlockNumber;
typedef uint32_t Oid;

#define LSN_INVALID ((Lsn) 0)

/* The highest LSN that is accepted from files or servers. No server reaches it, and adding segments
 * to it cannot overflow. */
#define LSN_HIGHEST ((Lsn) INT64_MAX)

/* Arguments for the conversions "%X/%X" (to 18) and "%X/%08X" (19). */
#define LSN_ARGS(lsn) ((unsigned) ((lsn) >> 32)), ((unsigned) (lsn))

/* Print an LSN as a server of this version does, into text of at least LSN_TEXT_SIZE bytes. Returns
 * text. */
#define LSN_TEXT_SIZE 24
struct Version;
const char *lsn_text(const struct Version *version, Lsn lsn, char *text);

/* An LSN as text that lives until the end of the enclosing block. */
#define LSN_TEXT(version, lsn) lsn_text((version), (lsn), (char[LSN_TEXT_SIZE]){0})

/* Take an LSN as any server prints it: one to eight hexadecimal digits, a slash, one to eight
 * digits. */
bool lsn_take(TextCursor *text, Lsn *lsn);

/* The LSN with which the text begins; LSN_INVALID if it does not begin with one, or is NULL. */
Lsn lsn_of_text(const char *text);

typedef enum RecoverySettings
{
    RECOVERY_CONF,        /* recovery.conf with standby_mode (to 11) */
    RECOVERY_SIGNAL_FILES /* standby.signal, and settings in postgresql.auto.conf (12+) */
} RecoverySettings;

/* Resource managers, access/rmgrlist.h, in the order of their ids, which never changed. Each has
 * the server's name and the first version that has it. EACH is a macro of the caller, v an argument
 * that is handed to it. */
/* clang-format off */
#define RESOURCE_MANAGERS(EACH, v)                                                                 \
    EACH(v, RM_XLOG, "XLOG", 903)                                                                  \
    EACH(v, RM_XACT, "Transaction", 903)                                                           \
    EACH(v, RM_SMGR, "Storage", 903)                                                               \
    EACH(v, RM_CLOG, "CLOG", 903)                                                                  \
    EACH(v, RM_DBASE, "Database", 903)                                                             \
    EACH(v, RM_TBLSPC, "Tablespace", 903)                                                          \
    EACH(v, RM_MULTIXACT, "MultiXact", 903)                                                        \
    EACH(v, RM_RELMAP, "RelMap", 903)                                                              \
    EACH(v, RM_STANDBY, "Standby", 903)                                                            \
    EACH(v, RM_HEAP2, "Heap2", 903)                                                                \
    EACH(v, RM_HEAP, "Heap", 903)                                                                  \
    EACH(v, RM_BTREE, "Btree", 903)                                                                \
    EACH(v, RM_HASH, "Hash", 903)                                                                  \
    EACH(v, RM_GIN, "Gin", 903)                                                                    \
    EACH(v, RM_GIST, "Gist", 903)                                                                  \
    EACH(v, RM_SEQ, "Sequence", 903)                                                               \
    EACH(v, RM_SPGIST, "SPGist", 903)                                                              \
    EACH(v, RM_BRIN, "BRIN", 905)                                                                  \
    EACH(v, RM_COMMIT_TS, "CommitTs", 905)                                                         \
    EACH(v, RM_REPLORIGIN, "ReplicationOrigin", 905)                                               \
    EACH(v, RM_GENERIC, "Generic", 906)                                                            \
    EACH(v, RM_LOGICALMSG, "LogicalMessage", 906)

#define RESOURCE_MANAGER_ID(v, id, name, since) id,
enum
{
    RESOURCE_MANAGERS(RESOURCE_MANAGER_ID, 0)
    RM_COUNT
};
/* clang-format on */

/* Byte offsets into a CheckPoint struct; OFFSET_NONE where the version lacks the field. */
#define OFFSET_NONE 0xFFFF
typedef struct CheckPointOffsets
{
    uint16_t redo, timeline, full_page_writes;
    uint16_t next_xid_epoch; /* OFFSET_NONE if next_xid is a u64, epoch << 32 | xid */
    uint16_t next_xid, next_oid, oldest_xid, time, oldest_commit_ts_xid, oldest_active_xid;
    uint16_t size;
} CheckPointOffsets;

/* Byte offsets into pg_control; OFFSET_NONE where the version lacks the field. size is that of
 * ControlFileData with its CRC, not of the file. */
typedef struct ControlOffsets
{
    uint16_t checkpoint_copy, min_recovery_point, min_recovery_timeline, backup_start_point,
        backup_end_point, backup_end_required, wal_level, wal_log_hints, commit_timestamps,
        block_size, relation_segment_blocks, wal_block_size, wal_segment_size, integer_times,
        data_checksum_version, crc, size;
} ControlOffsets;

/* Names of functions in pg_catalog, and features of SQL in this version. */
typedef struct ServerSql
{
    const char *flushed_position; /* gives the LSN up to which WAL is flushed; in 9.3 to 9.5, only
                                     handed to the kernel */
    const char *received_position, *replayed_position; /* give LSNs of a standby */
    const char *segment_name;    /* gives the name of the segment that holds an LSN */
    const char *position_column; /* end of names of pg_stat_replication's columns: "lsn" as in
                                    sent_lsn, or "location" (before 10) */
    bool missing_ok;             /* functions on files have the parameter missing_ok (9.5+) */
    bool replication_slots;      /* 9.4+ */
    bool slot_reserves;          /* a new slot can reserve WAL before its first use (9.6+) */
    bool archiver_view;          /* pg_stat_archiver (9.4+) */
    bool ssl_view;               /* pg_stat_ssl (9.5+) */
    bool receiver_view;          /* pg_stat_wal_receiver (9.6+) */
    bool idle_timeout;           /* idle_in_transaction_session_timeout (9.6+) */
    bool on_conflict;            /* INSERT ... ON CONFLICT (9.5+) */
    bool transaction_timeout;    /* the setting transaction_timeout (17+) */
    bool row_security;           /* policies, and the setting row_security (9.5+) */
    bool identity_columns;       /* INSERT ... OVERRIDING SYSTEM VALUE (10+) */
    bool transaction_status;     /* txid_status (10+) */
    bool publications;           /* pg_publication (10+) */
    bool stats_role;             /* the role pg_read_all_stats (10+) */
    bool checkpoint_role;        /* the role pg_checkpoint (15+) */
} ServerSql;

/* Words for settings in the remedies of messages. */
typedef struct RemedyWords
{
    const char *set;             /* text before "name = value": "ALTER SYSTEM SET ", ... */
    const char *wal_level;       /* "wal_level = ..." with the lowest level for a hot standby */
    const char *wal_kept;        /* setting that keeps 1 GB of WAL, enough for a failover */
    const char *password_method; /* recommended method in pg_hba.conf */
} RemedyWords;

typedef struct Version
{
    const char *name; /* major version: "9.6", "10" */
    int number; /* 100 times the major number; 903 to 906 for 9.3 to 9.6. Rows are ascending */
    uint32_t control_version; /* pg_control_version, catalog/pg_control.h */
    uint32_t catalog_version; /* catalog_version_no of the release, catalog/catversion.h */
    uint16_t wal_magic;       /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
    uint16_t wal_page_flags;  /* XLP_ALL_FLAGS */
    uint16_t wal_overwrite_contrecord_flag; /* XLP_FIRST_IS_OVERWRITE_CONTRECORD */
    uint8_t image_compressed_mask; /* bits of bimg_info of which each means a compressed image;
                                      access/xlogrecord.h */
    uint8_t image_apply;           /* BKPIMAGE_APPLY; 0 if all images are restored */
    bool record_toplevel_xid;      /* records can have a XLR_BLOCK_ID_TOPLEVEL_XID (14+) */
    bool old_wal;                /* records have no block references, and another CRC (9.3, 9.4) */
    bool old_wal_names_children; /* 9.4: index records name the child page whose split they end, and
                                    some kinds of records differ from 9.3 */
    bool custom_rmgrs;           /* resource managers 128..255 (15+) */
    uint8_t rmgr_max;            /* highest id of a built-in resource manager */
    bool xact_special_rel_update; /* commit and abort may carry XLR_SPECIAL_REL_UPDATE (14+) */
    bool truncate_has_flags;      /* SMGR TRUNCATE has flags for forks (9.6+) */
    bool database_create_wal_log; /* DBASE opcode 0x10 is CREATE_WAL_LOG, 0x20 DROP (15+) */
    bool redo_names_its_blocks;   /* while no session is connected, redo routines read only blocks
                                     that a record names; up to 9.3.2 that of btree's VACUUM reads
                                     others, too */
    bool database_drop_counted;   /* data of DBASE DROP is {db, n, tablespaces} (13+), else {db,
                                     tablespace} */
    uint8_t xact_stats_item_size; /* bytes of a dropped statistics item: 12 in 15 to 17, 16 in 18+;
                                     else 0 */
    bool abort_has_dbinfo_origin_gid;                      /* 11+ */
    uint16_t parameter_wal_level, parameter_wal_log_hints; /* offsets in XLOG PARAMETER_CHANGE */
    uint16_t end_of_recovery_size; /* XLOG END_OF_RECOVERY has 16 bytes, or 24 (17+) */
    uint16_t twophase_name_digits; /* hex digits of a file name in pg_twophase: 8, or 16 (17+) */
    uint16_t twophase_gid_offset;  /* offset of the gid in PREPARE's data */
    uint16_t twophase_gid_size_offset; /* offset of the gid's size, a u16 that counts the NUL;
                                          OFFSET_NONE without a size (9.3 to 9.5) */
    const char *wal_directory;         /* pg_wal, or pg_xlog (9.3 to 9.6) */
    const char *xact_directory;        /* pg_xact, or pg_clog */
    const char *wal_dump_program;      /* pg_waldump, or pg_xlogdump */
    bool wal_level_archive; /* wal_level 1 is archive, 2 hot_standby, 3 logical (9.3 to 9.5); else 1
                               replica, 2 logical */
    ServerSql sql;
    RemedyWords remedies;
    bool lsn_padded; /* LSNs are printed as %X/%08X (19) */
    RecoverySettings recovery_settings;
    bool synchronizes_slots;          /* standbys can synchronize slots, which requires a dbname in
                                         primary_conninfo (17+) */
    bool has_conflict_slot;           /* a server with subscriptions creates and drops the slot
                                         pg_conflict_detection (19) */
    const char *wal_level_by_default; /* default of wal_level: replica, or minimal (to 9.6) */
    bool slot_needs_level_logical;    /* with a logical slot a server starts only with wal_level =
                                         logical (to 18) */
    bool slot_needs_hot_standby;      /* with a logical slot a standby starts only with hot_standby
                                         = on (16+) */
    bool exclusion_lists; /* PostgreSQL's pg_rewind leaves out contents of pg_replslot etc. (11+);
                             before, it copies them */
    bool excludes_backup_manifest;   /* pg_rewind leaves out backup_manifest (13+) */
    bool excludes_ds_store;          /* pg_rewind leaves out .DS_Store (15+) */
    bool grantable_file_functions;   /* EXECUTE on file functions can be granted (11+); before,
                                        superusers only */
    bool control_time_is_set;        /* PostgreSQL's pg_rewind sets pg_control's time (15+) */
    bool hash_indexes_logged;        /* hash indexes are WAL-logged (10+) */
    bool recovers_prepared_subxacts; /* a standby that starts at a shutdown checkpoint knows the
                                        subtransactions of prepared transactions (12+); before, it
                                        takes them for aborted (StandbyRecoverPreparedTransactions,
                                        twophase.c) */
    bool hot_standby_by_default;     /* default of hot_standby is on (10+) */
    uint16_t locks_by_default;       /* default of max_locks_per_transaction: 64, or 128 (19) */
    const char *origins_setting;     /* setting that limits replication slots and origins:
                                        max_replication_slots; origins only:
                                        max_active_replication_origins (18+); NULL: the version has
                                        neither (9.3) */
    uint16_t origins_by_default;     /* default of this setting: 10, or 0 (9.4 to 9.6) */
    bool holds_prepared;             /* recovery holds prepared transactions in an array of the size
                                        max_prepared_transactions (10+) */
    bool group_may_read;             /* a data directory of mode 0750 (11+) */
    bool has_jit;                    /* the setting jit exists (11+) */
    bool keeps_two_checkpoints;      /* a checkpoint keeps the WAL since the previous one (to 10) */
    bool has_sha256;                 /* sha256(bytea) (11+) */
    bool has_transaction_timeout;    /* the setting transaction_timeout exists (17+) */
    bool infinite_intervals;         /* the type interval has infinity (17+) */
    bool char_escapes;               /* the type "char" prints bytes from 0x80 on as \ooo (15+) */
    bool has_wal_summaries;          /* pg_wal/summaries, common/blkreftable.h (17+) */
    uint16_t sequence_value;         /* offset of last_value in the data of a sequence's row */
    uint16_t attribute_length, attribute_alignment; /* offsets in the data of a pg_attribute row:
                                                       attlen, which attnum follows, and attalign */
    CheckPointOffsets checkpoint;
    ControlOffsets control;
} Version;

/*
 * The settings that limit a server's connections, processes and locks, in the order of pg_control
 * and, before wal_level, of XLOG PARAMETER_CHANGE: max_connections, max_worker_processes (9.4+),
 * max_wal_senders (12+), max_prepared_transactions, max_locks_per_transaction. LIMITS_MAX is the
 * most that a version has; version_limit_count is the number of this version.
 */
#define LIMITS_MAX 5
static inline uint32_t version_limit_count(const Version *version)
{
    return version->parameter_wal_level / 4u;
}

/* A setting that limits a server. */
typedef struct ServerLimit
{
    const char *name;
    uint32_t by_default; /* default value */
} ServerLimit;

ServerLimit version_limit(const Version *version, uint32_t index);

/* Numbers that the settings of a standby's server must allow at least. */
typedef struct NeededLimits
{
    uint32_t limits[LIMITS_MAX]; /* index: version_limit; needed with hot_standby on */
    uint32_t origins;            /* replication origins, or copied slots if these are more
                                    (Version.origins_setting) */
    bool prepared; /* prepared transactions exist: max_prepared_transactions is needed with
                      hot_standby off, too */
} NeededLimits;

/*
 * The row for a pg_control: the row with both version numbers. A fork of PostgreSQL, or a
 * pre-release with the release's formats, has another catalog version; its row is the one with the
 * control version and with the name that pg_version, the content of PG_VERSION, begins with. NULL
 * if no row fits.
 */
const Version *version_find(uint32_t control_version, uint32_t catalog_version,
                            const char *pg_version);

/* Name of the directory in each tablespace that holds the files of one cluster: "PG_15_202209061"
 * (TABLESPACE_VERSION_DIRECTORY, common/relpath.h). */
typedef struct VersionDirectory
{
    char name[40];
} VersionDirectory;

VersionDirectory version_directory(const Version *version, uint32_t catalog_version);

/* The row with this magic number of WAL pages, or NULL. */
const Version *version_of_wal_magic(uint16_t magic);

/* The row for a server's server_version_num (90624, 180004), or NULL. */
const Version *version_of_server_number(int number);

/*
 * Take the major version's name if the text begins with it and no further digit follows ("9.6" in
 * "9.6.24", but not "1" in "15"). Returns false, and takes nothing, otherwise.
 */
bool version_take_name(TextCursor *text, const Version *version);

/* The row with this index, in ascending order of versions; NULL after the last. */
const Version *version_at(size_t index);

#endif
