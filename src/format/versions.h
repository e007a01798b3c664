/*
 * One row for each PostgreSQL major version: all that differs between them. No other file knows
 * major numbers.
 */
#ifndef FORMAT_VERSIONS_H
#define FORMAT_VERSIONS_H

#include "base/text_cursor.h"

typedef uint64_t Lsn; /* byte position in the WAL */
typedef uint32_t Timeline;
typedef uint32_t BlockNumber;
typedef uint32_t Oid;

#define LSN_INVALID ((Lsn) 0)

/* No server gets there; a foreign LSN beyond it is refused, so that segments can be added to it. */
#define LSN_HIGHEST ((Lsn) INT64_MAX)

/* Arguments for the conversions "%X/%X" (10 to 18) and "%X/%08X" (19). */
#define LSN_ARGS(lsn) ((unsigned) ((lsn) >> 32)), ((unsigned) (lsn))

/* An LSN as the row's server prints it; text holds at least LSN_TEXT_SIZE bytes. Returns text. */
#define LSN_TEXT_SIZE 24
struct Version;
const char *lsn_text(const struct Version *version, Lsn lsn, char *text);

/* The same in a text that lives to the end of the block. */
#define LSN_TEXT(version, lsn) lsn_text((version), (lsn), (char[LSN_TEXT_SIZE]){0})

/* An LSN as any server prints it: one to eight hexadecimal digits, a slash, one to eight more. */
bool lsn_take(TextCursor *text, Lsn *lsn);

/* The LSN with which the text begins; LSN_INVALID: it does not begin with one, or it is NULL. */
Lsn lsn_of_text(const char *text);

typedef enum RecoverySettings
{
    RECOVERY_CONF,        /* recovery.conf with standby_mode */
    RECOVERY_SIGNAL_FILES /* standby.signal, settings in postgresql.auto.conf */
} RecoverySettings;

/* Resource managers, access/rmgrlist.h: in the order of their ids, which never moved, with the
 * server's name and the first version that has it. */
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
    uint16_t next_xid_epoch; /* OFFSET_NONE: next_xid is a u64 epoch << 32 | xid */
    uint16_t next_xid, next_oid, oldest_xid, time, oldest_commit_ts_xid, oldest_active_xid;
    uint16_t size;
} CheckPointOffsets;

/* Byte offsets into pg_control; OFFSET_NONE where the version lacks the field. */
typedef struct ControlOffsets
{
    uint16_t checkpoint_copy, min_recovery_point, min_recovery_timeline, backup_start_point,
        backup_end_point, backup_end_required, wal_level, wal_log_hints, commit_timestamps,
        block_size, relation_segment_blocks, wal_block_size, wal_segment_size, integer_times,
        data_checksum_version, crc, size;
} ControlOffsets;

/* Names of functions in pg_catalog, and the features of SQL that the server has. */
typedef struct ServerSql
{
    const char *written_position; /* WAL is flushed up to here; 9.3 to 9.5 tell only how far it
                                     was handed to the kernel */
    const char *received_position, *replayed_position; /* of a standby */
    const char *segment_name;                          /* of the segment that a position lies in */
    const char *position_column; /* pg_stat_replication's sent_lsn, ...: what follows sent_ */
    bool missing_ok;             /* functions on files give NULL for what is not there (9.5+), on
                                    demand; else an error */
    bool replication_slots;      /* 9.4+ */
    bool slot_reserves;          /* a slot can keep WAL before it is first used (9.6+) */
    bool archiver_view;          /* pg_stat_archiver (9.4+) */
    bool ssl_view;               /* pg_stat_ssl (9.5+) */
    bool receiver_view;          /* pg_stat_wal_receiver (9.6+) */
    bool idle_timeout;           /* idle_in_transaction_session_timeout (9.6+) */
    bool on_conflict;            /* INSERT ... ON CONFLICT (9.5+) */
    bool row_security;           /* policies, and the setting row_security (9.5+) */
    bool identity_columns;       /* INSERT ... OVERRIDING SYSTEM VALUE (10+) */
    bool transaction_status;     /* txid_status (10+) */
    bool publications;           /* pg_publication (10+) */
} ServerSql;

/* The words for settings in remedies. */
typedef struct RemedyWords
{
    const char *set;             /* comes before a setting with its value */
    const char *wal_level;       /* the lowest with which a standby can be queried */
    const char *wal_kept;        /* so much that it lasts through a failover: 1 GB */
    const char *password_method; /* in pg_hba.conf */
} RemedyWords;

typedef struct Version
{
    const char *name;         /* of the major version: "9.6", "10" */
    int number;               /* ascending: 100 times the major number; 903 to 906 for 9.3 to 9.6 */
    uint32_t control_version; /* pg_control_version, catalog/pg_control.h */
    uint32_t catalog_version; /* catalog_version_no of the release, catalog/catversion.h */
    uint16_t wal_magic;       /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
    uint16_t wal_page_flags;  /* XLP_ALL_FLAGS */
    uint16_t wal_overwrite_contrecord_flag; /* XLP_FIRST_IS_OVERWRITE_CONTRECORD */
    uint8_t image_compressed_mask;          /* bimg_info bits, any of which says compressed;
                                               access/xlogrecord.h */
    uint8_t image_apply;                    /* BKPIMAGE_APPLY; 0: all images are restored */
    bool record_toplevel_xid;               /* fragment 252 in a record (14+) */
    bool old_wal; /* records do not say which blocks they change, the CRC is another (9.3, 9.4) */
    bool old_wal_names_children;  /* with old_wal: index records name the page whose split they end,
                                     and other kinds of records than in 9.3 are there (9.4) */
    bool custom_rmgrs;            /* resource managers 128..255 (15+) */
    uint8_t rmgr_max;             /* highest built-in resource manager */
    bool xact_special_rel_update; /* commit and abort may carry XLR_SPECIAL_REL_UPDATE (14+) */
    bool truncate_has_flags;      /* SMGR TRUNCATE says which forks (9.6+) */
    bool database_create_wal_log; /* DBASE opcode 0x10 is CREATE_WAL_LOG, 0x20 DROP (15+) */
    bool
        database_drop_counted; /* DBASE DROP is {db, n, tablespaces} (13+), else {db, tablespace} */
    uint8_t xact_stats_item_size; /* dropped statistics item: 12 in 15..17, 16 in 18+, 0: none */
    bool abort_has_dbinfo_origin_gid;                      /* 11+ */
    uint16_t parameter_wal_level, parameter_wal_log_hints; /* offsets in XLOG PARAMETER_CHANGE */
    uint16_t end_of_recovery_size;     /* XLOG END_OF_RECOVERY: 16, 24 with a wal_level (17+) */
    uint16_t twophase_name_digits;     /* digits of a file name in pg_twophase: 8 (10..16) or 16 */
    uint16_t twophase_gid_offset;      /* of the gid in PREPARE's data: 45 to 72 */
    uint16_t twophase_gid_size_offset; /* of the u16 that says how long it is, with its NUL;
                                          OFFSET_NONE: up to its NUL (9.3 to 9.5) */
    const char *wal_directory;         /* pg_wal, or pg_xlog (9.3 to 9.6) */
    const char *xact_directory;        /* pg_xact, or pg_clog */
    const char *wal_dump_program;      /* pg_waldump, or pg_xlogdump */
    bool wal_level_archive;            /* 1 is archive, 2 hot_standby, 3 logical (9.3 to 9.5), else
                                          1 replica, 2 logical */
    ServerSql sql;
    RemedyWords remedies;
    bool lsn_padded; /* LSNs are printed %X/%08X (19) */
    RecoverySettings recovery_settings;
    bool synchronizes_slots; /* a standby may, which needs a dbname in
                                primary_conninfo (17+) */
    bool exclusion_lists;    /* contents of pg_replslot etc. are left out (11+); 10 copies them */
    bool excludes_backup_manifest; /* 13+ */
    bool excludes_ds_store;        /* 15+ */
    bool grantable_file_functions; /* 11+; before, superuser only */
    bool control_time_is_set;      /* the original stamps pg_control's time (15+) */
    bool hash_indexes_logged;      /* 10+; before, WAL does not tell of them */
    bool starts_at_shutdown;       /* 12+: a standby that starts at a shutdown checkpoint knows the
                                      subtransactions of prepared transactions; before, they count as
                                      failed (StandbyRecoverPreparedTransactions, twophase.c) */
    bool hot_standby_by_default;   /* hot_standby is on unless it is set (10+) */
    uint16_t locks_by_default;     /* max_locks_per_transaction: 64, or 128 (19) */
    bool has_jit;                  /* 11+ */
    bool keeps_prior_wal; /* a checkpoint leaves the WAL since the one before it (until 10) */
    bool has_sha256;      /* sha256(bytea) (11+) */
    bool has_transaction_timeout; /* 17+ */
    bool infinite_intervals;      /* 17+ */
    bool char_escapes;            /* "char" prints bytes from 0x80 on as \ooo (15+) */
    bool has_wal_summaries;       /* pg_wal/summaries, common/blkreftable.h (17+) */
    uint16_t sequence_value;      /* in the row of a sequence: the offset of last_value */
    uint16_t attribute_length, attribute_alignment; /* of a row of pg_attribute: offsets of attlen,
                                                       which attnum follows, and of attalign */
    CheckPointOffsets checkpoint;
    ControlOffsets control;
} Version;

/*
 * The settings that limit a server's connections, processes and locks, as they follow each other in
 * pg_control and, before wal_level, in XLOG PARAMETER_CHANGE. max_prepared_transactions is the last
 * but one; max_worker_processes came with 9.4, max_wal_senders with 12.
 */
#define LIMITS_MAX 5
static inline uint32_t version_limit_count(const Version *version)
{
    return version->parameter_wal_level / 4u;
}

/* One of these settings. */
typedef struct ServerLimit
{
    const char *name;
    uint32_t by_default; /* its value where no configuration sets it */
} ServerLimit;

ServerLimit version_limit(const Version *version, uint32_t index);

/*
 * The row for a pg_control: the one with both its versions. A fork of PostgreSQL has its own
 * catalog version: its row has the control version, and the name that pg_version, the content of
 * PG_VERSION, begins with. Returns NULL if no row fits.
 */
const Version *version_find(uint32_t control_version, uint32_t catalog_version,
                            const char *pg_version);

/* TABLESPACE_VERSION_DIRECTORY, common/relpath.h: in each tablespace the directory of the files of
 * one cluster, "PG_15_202209061". */
typedef struct VersionDirectory
{
    char name[40];
} VersionDirectory;

VersionDirectory version_directory(const Version *version, uint32_t catalog_version);

/* The version with that magic number of its WAL; NULL: none. */
const Version *version_of_wal_magic(uint16_t magic);

/* The row for what a server says of itself in server_version_num (90624, 180004), or NULL. */
const Version *version_of_server_number(int number);

/*
 * Takes the major version's name off a text, where no digit follows: a minor version may. True if
 * it was there.
 */
bool version_take_name(TextCursor *text, const Version *version);

/* All rows, by ascending number; NULL after the last. */
const Version *version_at(size_t index);

#endif
