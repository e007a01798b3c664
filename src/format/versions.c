#include "format/versions.h"

#include "base/text_cursor.h"

#include <stddef.h>
#include <stdio.h>

/*
 * struct CheckPoint, catalog/pg_control.h. Offsets from its start, which is checkpoint_copy in
 * pg_control and the first byte of a checkpoint record's data.
 */

/* 9.3, 9.4: the next xid in two halves. */
#define CHECKPOINT_SINCE_93                                                                        \
    {                                                                                              \
        .redo = 0, .timeline = 8, .previous_timeline = 12, .full_page_writes = 16,                 \
        .next_xid_epoch = 20, .next_xid = 24, .next_oid = 28, .oldest_xid = 40, .time = 56,        \
        .oldest_active_xid = 64, .size = 72                                                        \
    }

/* 9.5 to 11: oldestCommitTsXid, newestCommitTsXid at 64. */
#define CHECKPOINT_SINCE_95                                                                        \
    {                                                                                              \
        .redo = 0, .timeline = 8, .previous_timeline = 12, .full_page_writes = 16,                 \
        .next_xid_epoch = 20, .next_xid = 24, .next_oid = 28, .oldest_xid = 40, .time = 56,        \
        .oldest_active_xid = 72, .size = 80                                                        \
    }

/* 12 to 18: nextXid became nextFullXid (13: nextXid again), 64 bits. (17 put wal_level into
 * padding.)
 */
#define CHECKPOINT_SINCE_12                                                                        \
    {                                                                                              \
        .redo = 0, .timeline = 8, .previous_timeline = 12, .full_page_writes = 16,                 \
        .next_xid_epoch = OFFSET_NONE, .next_xid = 24, .next_oid = 32, .oldest_xid = 44,           \
        .time = 64, .oldest_active_xid = 80, .size = 88                                            \
    }

/* 19: logicalDecodingEnabled at 24, nextMultiOffset has 64 bits. */
#define CHECKPOINT_SINCE_19                                                                        \
    {                                                                                              \
        .redo = 0, .timeline = 8, .previous_timeline = 12, .full_page_writes = 16,                 \
        .next_xid_epoch = OFFSET_NONE, .next_xid = 32, .next_oid = 40, .oldest_xid = 56,           \
        .time = 72, .oldest_active_xid = 88, .size = 96                                            \
    }

/*
 * struct ControlFileData, catalog/pg_control.h. The fields before checkpoint_copy that we use
 * (system identifier, versions, state, time, checkpoint) never moved: control.c.
 */

/* 9.3: prevCheckPoint at 40; wal_log_hints came later. */
#define CONTROL_SINCE_93                                                                           \
    {                                                                                              \
        .checkpoint_copy = 48, .min_recovery_point = 128, .min_recovery_timeline = 136,            \
        .backup_start_point = 144, .backup_end_point = 152, .backup_end_required = 160,            \
        .wal_level = 164, .wal_log_hints = OFFSET_NONE, .block_size = 192,                         \
        .relation_segment_blocks = 196, .wal_block_size = 200, .wal_segment_size = 204,            \
        .integer_times = 220, .data_checksum_version = 224, .crc = 228, .size = 232                \
    }

/* 9.4: wal_log_hints, max_worker_processes, loblksize. */
#define CONTROL_SINCE_94                                                                           \
    {                                                                                              \
        .checkpoint_copy = 48, .min_recovery_point = 128, .min_recovery_timeline = 136,            \
        .backup_start_point = 144, .backup_end_point = 152, .backup_end_required = 160,            \
        .wal_level = 164, .wal_log_hints = 168, .block_size = 200, .relation_segment_blocks = 204, \
        .wal_block_size = 208, .wal_segment_size = 212, .integer_times = 232,                      \
        .data_checksum_version = 236, .crc = 240, .size = 248                                      \
    }

/* 9.5, 9.6: CheckPoint is 8 more, track_commit_timestamp. */
#define CONTROL_SINCE_95                                                                           \
    {                                                                                              \
        .checkpoint_copy = 48, .min_recovery_point = 136, .min_recovery_timeline = 144,            \
        .backup_start_point = 152, .backup_end_point = 160, .backup_end_required = 168,            \
        .wal_level = 172, .wal_log_hints = 176, .block_size = 216, .relation_segment_blocks = 220, \
        .wal_block_size = 224, .wal_segment_size = 228, .integer_times = 248,                      \
        .data_checksum_version = 252, .crc = 256, .size = 264                                      \
    }

/* 10: prevCheckPoint at 40; the nonce; times are integers. */
#define CONTROL_SINCE_10                                                                           \
    {                                                                                              \
        .checkpoint_copy = 48, .min_recovery_point = 136, .min_recovery_timeline = 144,            \
        .backup_start_point = 152, .backup_end_point = 160, .backup_end_required = 168,            \
        .wal_level = 172, .wal_log_hints = 176, .block_size = 216, .relation_segment_blocks = 220, \
        .wal_block_size = 224, .wal_segment_size = 228, .integer_times = OFFSET_NONE,              \
        .data_checksum_version = 252, .crc = 288, .size = 296                                      \
    }

/* 11: prevCheckPoint is gone, all is 8 less. */
#define CONTROL_SINCE_11                                                                           \
    {                                                                                              \
        .checkpoint_copy = 40, .min_recovery_point = 128, .min_recovery_timeline = 136,            \
        .backup_start_point = 144, .backup_end_point = 152, .backup_end_required = 160,            \
        .wal_level = 164, .wal_log_hints = 168, .block_size = 208, .relation_segment_blocks = 212, \
        .wal_block_size = 216, .wal_segment_size = 220, .integer_times = OFFSET_NONE,              \
        .data_checksum_version = 244, .crc = 280, .size = 288                                      \
    }

/* 12 to 17: CheckPoint is 8 more, max_wal_senders. (13 lost float4ByVal, in padding.) */
#define CONTROL_SINCE_12                                                                           \
    {                                                                                              \
        .checkpoint_copy = 40, .min_recovery_point = 136, .min_recovery_timeline = 144,            \
        .backup_start_point = 152, .backup_end_point = 160, .backup_end_required = 168,            \
        .wal_level = 172, .wal_log_hints = 176, .block_size = 216, .relation_segment_blocks = 220, \
        .wal_block_size = 224, .wal_segment_size = 228, .integer_times = OFFSET_NONE,              \
        .data_checksum_version = 252, .crc = 288, .size = 296                                      \
    }

/* 18: default_char_signedness at 256 moves the nonce by one, the CRC by four. */
#define CONTROL_SINCE_18                                                                           \
    {                                                                                              \
        .checkpoint_copy = 40, .min_recovery_point = 136, .min_recovery_timeline = 144,            \
        .backup_start_point = 152, .backup_end_point = 160, .backup_end_required = 168,            \
        .wal_level = 172, .wal_log_hints = 176, .block_size = 216, .relation_segment_blocks = 220, \
        .wal_block_size = 224, .wal_segment_size = 228, .integer_times = OFFSET_NONE,              \
        .data_checksum_version = 252, .crc = 292, .size = 296                                      \
    }

/* 19: CheckPoint is 8 more, slru_pages_per_segment at 232, data_checksum_version_init at 264. */
#define CONTROL_SINCE_19                                                                           \
    {                                                                                              \
        .checkpoint_copy = 40, .min_recovery_point = 144, .min_recovery_timeline = 152,            \
        .backup_start_point = 160, .backup_end_point = 168, .backup_end_required = 176,            \
        .wal_level = 180, .wal_log_hints = 184, .block_size = 224, .relation_segment_blocks = 228, \
        .wal_block_size = 236, .wal_segment_size = 240, .integer_times = OFFSET_NONE,              \
        .data_checksum_version = 268, .crc = 308, .size = 312                                      \
    }

/* PQconninfoOptions, interfaces/libpq/fe-connect.c of 9.3 to 9.6 */
static const char *const conninfo_options_since_93[] = {"service",
                                                        "user",
                                                        "password",
                                                        "connect_timeout",
                                                        "dbname",
                                                        "host",
                                                        "hostaddr",
                                                        "port",
                                                        "client_encoding",
                                                        "options",
                                                        "application_name",
                                                        "keepalives",
                                                        "keepalives_idle",
                                                        "keepalives_interval",
                                                        "keepalives_count",
                                                        "sslmode",
                                                        "sslcompression",
                                                        "sslcert",
                                                        "sslkey",
                                                        "sslrootcert",
                                                        "sslcrl",
                                                        "requirepeer",
                                                        "krbsrvname",
                                                        "gsslib",
                                                        "replication",
                                                        "fallback_application_name",
                                                        NULL};

/* catalog/pg_proc.h, catalog/system_views.sql, utils/misc/guc.c */
#define XLOG_FUNCTIONS                                                                             \
    .received_position = "pg_last_xlog_receive_location",                                          \
    .replayed_position = "pg_last_xlog_replay_location", .segment_name = "pg_xlogfile_name",       \
    .position_column = "location"

#define SQL_SINCE_93                                                                               \
    {                                                                                              \
        XLOG_FUNCTIONS, .written_position = "pg_current_xlog_location"                             \
    }

#define SQL_SINCE_94                                                                               \
    {                                                                                              \
        XLOG_FUNCTIONS, .written_position = "pg_current_xlog_location", .replication_slots = true, \
                        .archiver_view = true, .filenode_relation = true, .frozen_xmin = true      \
    }

#define SQL_SINCE_95                                                                               \
    {                                                                                              \
        XLOG_FUNCTIONS, .written_position = "pg_current_xlog_location", .missing_ok = true,        \
                        .replication_slots = true, .archiver_view = true,                          \
                        .filenode_relation = true, .frozen_xmin = true, .ssl_view = true           \
    }

#define SQL_SINCE_96                                                                               \
    {                                                                                              \
        XLOG_FUNCTIONS, .written_position = "pg_current_xlog_flush_location", .missing_ok = true,  \
                        .replication_slots = true, .archiver_view = true,                          \
                        .filenode_relation = true, .frozen_xmin = true, .slot_reserves = true,     \
                        .ssl_view = true, .receiver_view = true, .idle_timeout = true              \
    }

#define SQL_SINCE_10                                                                               \
    {                                                                                              \
        .written_position = "pg_current_wal_flush_lsn",                                            \
        .received_position = "pg_last_wal_receive_lsn",                                            \
        .replayed_position = "pg_last_wal_replay_lsn", .segment_name = "pg_walfile_name",          \
        .position_column = "lsn", .missing_ok = true, .replication_slots = true,                   \
        .archiver_view = true, .filenode_relation = true, .frozen_xmin = true,                     \
        .slot_reserves = true, .ssl_view = true, .receiver_view = true, .idle_timeout = true       \
    }

/* utils/misc/guc.c, libpq/hba.c; ALTER SYSTEM came with 9.4 */
#define REMEDIES_SINCE_93                                                                          \
    {                                                                                              \
        .set = "in postgresql.conf: ", .wal_level = "wal_level = hot_standby",                     \
        .wal_kept = "wal_keep_segments = 64", .password_method = "md5"                             \
    }

#define REMEDIES_SINCE_94                                                                          \
    {                                                                                              \
        .set = "ALTER SYSTEM SET ", .wal_level = "wal_level = hot_standby",                        \
        .wal_kept = "wal_keep_segments = 64", .password_method = "md5"                             \
    }

#define REMEDIES_SINCE_96                                                                          \
    {                                                                                              \
        .set = "ALTER SYSTEM SET ", .wal_level = "wal_level = replica",                            \
        .wal_kept = "wal_keep_segments = 64", .password_method = "md5"                             \
    }

#define REMEDIES_SINCE_10                                                                          \
    {                                                                                              \
        .set = "ALTER SYSTEM SET ", .wal_level = "wal_level = replica",                            \
        .wal_kept = "wal_keep_segments = 64", .password_method = "scram-sha-256"                   \
    }

#define REMEDIES_SINCE_13                                                                          \
    {                                                                                              \
        .set = "ALTER SYSTEM SET ", .wal_level = "wal_level = replica",                            \
        .wal_kept = "wal_keep_size = '1GB'", .password_method = "scram-sha-256"                    \
    }

/*
 * Each number stands with the header or source file of that version it comes from. A row is whole
 * by itself, so that it can be checked from top to bottom; tests/unit/format/test_versions.c proves
 * it with files of real servers.
 */
/* clang-format off */
static const Version rows[] = {
    {
        .name = "9.3",
        .number = 903,
        .control_version = 937,                  /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 201306121,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD075,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x0007,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0000, /* it came with 9.6.24 */
        .image_compressed_mask = 0x00,           /* nothing compresses */
        .image_apply = 0,                        /* all images are restored */
        .record_toplevel_xid = false,
        .old_wal = true,                         /* XLogRecord, BkpBlock, access/xlog.h */
        .old_wal_names_children = false,         /* access/nbtree.h, access/gin_private.h */
        .custom_rmgrs = false,
        .rmgr_max = 16,                          /* RM_SPGIST_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,
        .truncate_has_flags = false,             /* xl_smgr_truncate, catalog/storage_xlog.h */
        .database_create_wal_log = false,
        .database_drop_counted = false,          /* xl_dbase_drop_rec, commands/dbcommands.h */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = false,
        .parameter_wal_level = 12,               /* xl_parameter_change, catalog/pg_control.h */
        .parameter_wal_log_hints = OFFSET_NONE,  /* the setting came with 9.4 */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 45,               /* TwoPhaseFileHeader.gid, the same: 200 bytes */
        .twophase_gid_size_offset = OFFSET_NONE,
        .wal_directory = "pg_xlog",
        .xact_directory = "pg_clog",
        .wal_dump_program = "pg_xlogdump",
        .wal_level_archive = true,
        .sql = SQL_SINCE_93,
        .remedies = REMEDIES_SINCE_93,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_CONF,      /* access/transam/xlog.c */
        .conninfo_options = conninfo_options_since_93,
        .synchronizes_slots = false,
        .exclusion_lists = false,
        .excludes_backup_manifest = false,
        .excludes_ds_store = false,
        .grantable_file_functions = false,
        .control_time_is_set = false,
        .has_restore_command_setting = false,
        .hash_indexes_logged = false,            /* access/hash */
        .starts_at_shutdown = false,
        .has_jit = false,
        .has_sha256 = false,
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_93,
        .control = CONTROL_SINCE_93,
    },
    {
        .name = "9.4",
        .number = 904,
        .control_version = 942,                  /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 201409291,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD07E,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x0007,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0000, /* it came with 9.6.24 */
        .image_compressed_mask = 0x00,           /* nothing compresses */
        .image_apply = 0,                        /* all images are restored */
        .record_toplevel_xid = false,
        .old_wal = true,                         /* XLogRecord, BkpBlock, access/xlog.h */
        .old_wal_names_children = true,          /* access/nbtree.h, access/gin_private.h */
        .custom_rmgrs = false,
        .rmgr_max = 16,                          /* RM_SPGIST_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,
        .truncate_has_flags = false,             /* xl_smgr_truncate, catalog/storage_xlog.h */
        .database_create_wal_log = false,
        .database_drop_counted = false,          /* xl_dbase_drop_rec, commands/dbcommands.h */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = false,
        .parameter_wal_level = 16,               /* xl_parameter_change, catalog/pg_control.h */
        .parameter_wal_log_hints = 20,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 45,               /* TwoPhaseFileHeader.gid, the same: 200 bytes */
        .twophase_gid_size_offset = OFFSET_NONE,
        .wal_directory = "pg_xlog",
        .xact_directory = "pg_clog",
        .wal_dump_program = "pg_xlogdump",
        .wal_level_archive = true,
        .sql = SQL_SINCE_94,
        .remedies = REMEDIES_SINCE_94,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_CONF,      /* access/transam/xlog.c */
        .conninfo_options = conninfo_options_since_93,
        .synchronizes_slots = false,
        .exclusion_lists = false,
        .excludes_backup_manifest = false,
        .excludes_ds_store = false,
        .grantable_file_functions = false,
        .control_time_is_set = false,
        .has_restore_command_setting = false,
        .hash_indexes_logged = false,            /* access/hash */
        .starts_at_shutdown = false,
        .has_jit = false,
        .has_sha256 = false,
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_93,
        .control = CONTROL_SINCE_94,
    },
    {
        .name = "9.5",
        .number = 905,
        .control_version = 942,                  /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 201510051,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD087,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x0007,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0000, /* it came with 9.6.24 */
        .image_compressed_mask = 0x02,           /* BKPIMAGE_IS_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0,                        /* all images are restored */
        .record_toplevel_xid = false,
        .old_wal = false,                        /* access/xlogrecord.h */
        .custom_rmgrs = false,
        .rmgr_max = 19,                          /* RM_REPLORIGIN_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,
        .truncate_has_flags = false,             /* xl_smgr_truncate, catalog/storage_xlog.h */
        .database_create_wal_log = false,
        .database_drop_counted = false,          /* xl_dbase_drop_rec, commands/dbcommands.h */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = false,
        .parameter_wal_level = 16,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 20,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 45,               /* TwoPhaseFileHeader.gid, the same: 200 bytes */
        .twophase_gid_size_offset = OFFSET_NONE,
        .wal_directory = "pg_xlog",
        .xact_directory = "pg_clog",
        .wal_dump_program = "pg_xlogdump",
        .wal_level_archive = true,
        .sql = SQL_SINCE_95,
        .remedies = REMEDIES_SINCE_94,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_CONF,      /* access/transam/xlog.c */
        .conninfo_options = conninfo_options_since_93,
        .synchronizes_slots = false,
        .exclusion_lists = false,
        .excludes_backup_manifest = false,
        .excludes_ds_store = false,
        .grantable_file_functions = false,
        .control_time_is_set = false,
        .has_restore_command_setting = false,
        .hash_indexes_logged = false,            /* access/hash */
        .starts_at_shutdown = false,
        .has_jit = false,
        .has_sha256 = false,
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_95,
        .control = CONTROL_SINCE_95,
    },
    {
        .name = "9.6",
        .number = 906,
        .control_version = 960,                  /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 201608131,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD093,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same, 9.6.24 */
        .image_compressed_mask = 0x02,           /* BKPIMAGE_IS_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0,                        /* all images are restored */
        .record_toplevel_xid = false,
        .old_wal = false,                        /* access/xlogrecord.h */
        .custom_rmgrs = false,
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,
        .truncate_has_flags = true,             /* xl_smgr_truncate, catalog/storage_xlog.h */
        .database_create_wal_log = false,
        .database_drop_counted = false,          /* xl_dbase_drop_rec, commands/dbcommands.h */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = false,
        .parameter_wal_level = 16,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 20,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 48,               /* TwoPhaseFileHeader, the same */
        .twophase_gid_size_offset = 46,          /* the same */
        .wal_directory = "pg_xlog",
        .xact_directory = "pg_clog",
        .wal_dump_program = "pg_xlogdump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_96,
        .remedies = REMEDIES_SINCE_96,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_CONF,      /* access/transam/xlog.c */
        .conninfo_options = conninfo_options_since_93,
        .synchronizes_slots = false,
        .exclusion_lists = false,
        .excludes_backup_manifest = false,
        .excludes_ds_store = false,
        .grantable_file_functions = false,
        .control_time_is_set = false,
        .has_restore_command_setting = false,
        .hash_indexes_logged = false,            /* access/hash */
        .starts_at_shutdown = false,
        .has_jit = false,
        .has_sha256 = false,
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_95,
        .control = CONTROL_SINCE_95,
    },
    {
        .name = "10",
        .number = 1000,
        .control_version = 1002,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 201707211,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD097,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x02,           /* IS_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x04,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = false,            /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = false,                   /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,        /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = false,        /* dbcommands_xlog.h */
        .database_drop_counted = false,          /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = false,    /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 16,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 20,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 48,               /* TwoPhaseFileHeader, the same */
        .twophase_gid_size_offset = 46,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_10,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_CONF,      /* access/transam/xlog.c */
        .conninfo_options = NULL,
        .synchronizes_slots = false,
        .exclusion_lists = false,
        .excludes_backup_manifest = false,
        .excludes_ds_store = false,
        .grantable_file_functions = false,       /* catalog/system_views.sql */
        .control_time_is_set = false,            /* common/controldata_utils.c */
        .has_restore_command_setting = false,    /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = false,
        .has_jit = false,
        .has_sha256 = false,
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_95,
        .control = CONTROL_SINCE_10,
    },
    {
        .name = "11",
        .number = 1100,
        .control_version = 1100,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 201809051,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD098,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x02,           /* IS_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x04,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = false,            /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = false,                   /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,        /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = false,        /* dbcommands_xlog.h */
        .database_drop_counted = false,          /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 16,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 20,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 64,               /* TwoPhaseFileHeader, the same */
        .twophase_gid_size_offset = 46,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_10,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_CONF,      /* access/transam/xlog.c */
        .conninfo_options = NULL,
        .synchronizes_slots = false,
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = false,
        .excludes_ds_store = false,
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = false,            /* common/controldata_utils.c */
        .has_restore_command_setting = false,    /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = false,
        .has_jit = true, /* utils/misc/guc.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_95,
        .control = CONTROL_SINCE_11,
    },
    {
        .name = "12",
        .number = 1200,
        .control_version = 1201,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 201909212,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD101,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x02,           /* IS_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x04,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = false,            /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = false,                   /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,        /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = false,        /* dbcommands_xlog.h */
        .database_drop_counted = false,          /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 64,               /* TwoPhaseFileHeader, the same */
        .twophase_gid_size_offset = 46,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_10,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlog.c */
        .conninfo_options = NULL,
        .synchronizes_slots = false,
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = false,
        .excludes_ds_store = false,
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = false,            /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_12,
        .control = CONTROL_SINCE_12,
    },
    {
        .name = "13",
        .number = 1300,
        .control_version = 1300,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 202007201,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD106,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x02,           /* IS_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x04,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = false,            /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = false,                   /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = false,        /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = false,        /* dbcommands_xlog.h */
        .database_drop_counted = true,           /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 64,               /* xl_xact_prepare, access/xact.h */
        .twophase_gid_size_offset = 46,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_13,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlog.c */
        .conninfo_options = NULL,
        .synchronizes_slots = false,
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = true,        /* excludeFiles, the same */
        .excludes_ds_store = false,
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = false,            /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_12,
        .control = CONTROL_SINCE_12,
    },
    {
        .name = "14",
        .number = 1400,
        .control_version = 1300,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 202107181,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD10D,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x02,           /* IS_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x04,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = true,             /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = false,                   /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = true,         /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = false,        /* dbcommands_xlog.h */
        .database_drop_counted = true,           /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 0,
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 64,               /* xl_xact_prepare, access/xact.h */
        .twophase_gid_size_offset = 46,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_13,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlog.c */
        .conninfo_options = NULL,
        .synchronizes_slots = false,
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = true,        /* excludeFiles, the same */
        .excludes_ds_store = false,
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = false,            /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_12,
        .control = CONTROL_SINCE_12,
    },
    {
        .name = "15",
        .number = 1500,
        .control_version = 1300,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 202209061,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD110,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x1C,           /* BKPIMAGE_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x02,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = true,             /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = true,                    /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = true,         /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = true,         /* dbcommands_xlog.h */
        .database_drop_counted = true,           /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 12,              /* xl_xact_stats_item, access/xact.h */
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 72,               /* xl_xact_prepare, access/xact.h */
        .twophase_gid_size_offset = 54,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_13,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlogrecovery.c */
        .conninfo_options = NULL,
        .synchronizes_slots = false,
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = true,        /* excludeFiles, the same */
        .excludes_ds_store = true,               /* the same */
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = true,             /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_12,
        .control = CONTROL_SINCE_12,
    },
    {
        .name = "16",
        .number = 1600,
        .control_version = 1300,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 202307071,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD113,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x1C,           /* BKPIMAGE_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x02,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = true,             /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = true,                    /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = true,         /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = true,         /* dbcommands_xlog.h */
        .database_drop_counted = true,           /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 12,              /* xl_xact_stats_item, access/xact.h */
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 16,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 8,               /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 72,               /* xl_xact_prepare, access/xact.h */
        .twophase_gid_size_offset = 54,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_13,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlogrecovery.c */
        .conninfo_options = NULL,
        .synchronizes_slots = false,
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = true,        /* excludeFiles, the same */
        .excludes_ds_store = true,               /* the same */
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = true,             /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc_tables.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = false,
        .has_wal_summaries = false,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_12,
        .control = CONTROL_SINCE_12,
    },
    {
        .name = "17",
        .number = 1700,
        .control_version = 1700,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 202406281,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD116,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x1C,           /* BKPIMAGE_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x02,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = true,             /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = true,                    /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = true,         /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = true,         /* dbcommands_xlog.h */
        .database_drop_counted = true,           /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 12,              /* xl_xact_stats_item, access/xact.h */
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 24,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 16,              /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 72,               /* xl_xact_prepare, access/xact.h */
        .twophase_gid_size_offset = 54,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_13,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlogrecovery.c */
        .conninfo_options = NULL,
        .synchronizes_slots = true,              /* replication/logical/slotsync.c */
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = true,        /* excludeFiles, the same */
        .excludes_ds_store = true,               /* the same */
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = true,             /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc_tables.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = true,         /* utils/misc/guc_tables.c */
        .has_wal_summaries = true,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_12,
        .control = CONTROL_SINCE_12,
    },
    {
        .name = "18",
        .number = 1800,
        .control_version = 1800,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 202506291,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD118,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x000F,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0008, /* the same */
        .image_compressed_mask = 0x1C,           /* BKPIMAGE_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x02,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = true,             /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = true,                    /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = true,         /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = true,         /* dbcommands_xlog.h */
        .database_drop_counted = true,           /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 16,              /* xl_xact_stats_item, access/xact.h */
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 24,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 16,              /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 72,               /* xl_xact_prepare, access/xact.h */
        .twophase_gid_size_offset = 54,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_13,
        .lsn_padded = false,
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlogrecovery.c */
        .conninfo_options = NULL,
        .synchronizes_slots = true,              /* replication/logical/slotsync.c */
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = true,        /* excludeFiles, the same */
        .excludes_ds_store = true,               /* the same */
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = true,             /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc_tables.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = true,         /* utils/misc/guc_tables.c */
        .has_wal_summaries = true,
        .checksums_in_wal = false,
        .checkpoint = CHECKPOINT_SINCE_12,
        .control = CONTROL_SINCE_18,
    },
    /* 19rc1. The betas have other numbers and layouts: they get no row. */
    {
        .name = "19",
        .number = 1900,
        .control_version = 1905,                 /* PG_CONTROL_VERSION, catalog/pg_control.h */
        .catalog_version = 202610061,            /* CATALOG_VERSION_NO, catalog/catversion.h */
        .wal_magic = 0xD122,                     /* XLOG_PAGE_MAGIC, access/xlog_internal.h */
        .wal_page_flags = 0x0007,                /* XLP_ALL_FLAGS, access/xlog_internal.h */
        .wal_overwrite_contrecord_flag = 0x0004, /* the same; up to 18 XLP_BKP_REMOVABLE */
        .image_compressed_mask = 0x1C,           /* BKPIMAGE_COMPRESSED, access/xlogrecord.h */
        .image_apply = 0x02,                     /* BKPIMAGE_APPLY, the same */
        .record_toplevel_xid = true,             /* XLR_BLOCK_ID_TOPLEVEL_XID, the same */
        .old_wal = false,
        .custom_rmgrs = true,                    /* RM_MIN_CUSTOM_ID, access/rmgr.h */
        .rmgr_max = 21,                          /* RM_LOGICALMSG_ID, access/rmgrlist.h */
        .xact_special_rel_update = true,         /* XactLogCommitRecord, access/transam/xact.c */
        .truncate_has_flags = true,
        .database_create_wal_log = true,         /* dbcommands_xlog.h */
        .database_drop_counted = true,           /* xl_dbase_drop_rec, the same */
        .xact_stats_item_size = 16,              /* xl_xact_stats_item, access/xact.h */
        .abort_has_dbinfo_origin_gid = true,     /* xl_xact_abort, access/xact.h */
        .parameter_wal_level = 20,               /* xl_parameter_change, access/xlog_internal.h */
        .parameter_wal_log_hints = 24,           /* the same */
        .end_of_recovery_size = 24,              /* xl_end_of_recovery, the same */
        .twophase_name_digits = 16,              /* TwoPhaseFilePath, access/transam/twophase.c */
        .twophase_gid_offset = 72,               /* xl_xact_prepare, access/xact.h */
        .twophase_gid_size_offset = 54,          /* the same */
        .wal_directory = "pg_wal",
        .xact_directory = "pg_xact",
        .wal_dump_program = "pg_waldump",
        .wal_level_archive = false,
        .sql = SQL_SINCE_10,
        .remedies = REMEDIES_SINCE_13,
        .lsn_padded = true,                      /* access/xlogdefs.h */
        .recovery_settings = RECOVERY_SIGNAL_FILES, /* access/transam/xlogrecovery.c */
        .conninfo_options = NULL,
        .synchronizes_slots = true,              /* replication/logical/slotsync.c */
        .exclusion_lists = true,                 /* excludeDirContents, bin/pg_rewind/filemap.c */
        .excludes_backup_manifest = true,        /* excludeFiles, the same */
        .excludes_ds_store = true,               /* the same */
        .grantable_file_functions = true,        /* catalog/system_views.sql */
        .control_time_is_set = true,             /* common/controldata_utils.c */
        .has_restore_command_setting = true,     /* utils/misc/guc.c, later guc_tables.c */
        .hash_indexes_logged = true,
        .starts_at_shutdown = true,
        .has_jit = true, /* utils/misc/guc_tables.c */
        .has_sha256 = true, /* catalog/pg_proc.dat */
        .has_transaction_timeout = true,         /* utils/misc/guc_tables.c */
        .has_wal_summaries = true,
        .checksums_in_wal = true,
        .checkpoint = CHECKPOINT_SINCE_19,
        .control = CONTROL_SINCE_19,
    },
};
/* clang-format on */

#define ROW_COUNT ((int) (sizeof(rows) / sizeof(rows[0])))

const Version *version_find(uint32_t control_version, uint32_t catalog_version)
{
    const Version *only = NULL;
    int same_control = 0;

    for (int i = 0; i < ROW_COUNT; i++)
    {
        if (rows[i].control_version != control_version)
            continue;
        if (rows[i].catalog_version == catalog_version)
            return &rows[i];
        only = &rows[i];
        same_control++;
    }
    return same_control == 1 ? only : NULL;
}

const Version *version_of_server_number(int number)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].number == (number >= 100000 ? number / 10000 * 100 : number / 100))
            return &rows[i];
    return NULL;
}

bool version_take_name(TextCursor *text, const Version *version)
{
    TextCursor after = *text, more;
    uint32_t digit;

    if (!text_take(&after, version->name))
        return false;
    more = after;
    if (text_take_u32(&more, &digit))
        return false;
    *text = after;
    return true;
}

const Version *version_at(size_t index)
{
    return index < (size_t) ROW_COUNT ? &rows[index] : NULL;
}

const Version *version_of_wal_magic(uint16_t magic)
{
    for (int i = 0; i < ROW_COUNT; i++)
        if (rows[i].wal_magic == magic)
            return &rows[i];
    return NULL;
}

const char *lsn_text(const Version *version, Lsn lsn, char *text)
{
    if (version->lsn_padded)
        snprintf(text, LSN_TEXT_SIZE, "%X/%08X", LSN_ARGS(lsn));
    else
        snprintf(text, LSN_TEXT_SIZE, "%X/%X", LSN_ARGS(lsn));
    return text;
}

bool lsn_take(TextCursor *text, Lsn *lsn)
{
    TextCursor after = *text;
    TextCursor more;
    uint32_t high, low, digit;

    if (!text_take_hex(&after, 8, &high) || !text_take(&after, "/") ||
        !text_take_hex(&after, 8, &low))
        return false;
    more = after;
    if (text_take_hex(&more, 1, &digit))
        return false;
    *text = after;
    *lsn = (Lsn) high << 32 | low;
    return true;
}

Lsn lsn_of_text(const char *text)
{
    TextCursor cursor = text_cursor(text != NULL ? text : "");
    Lsn lsn = LSN_INVALID;

    (void) lsn_take(&cursor, &lsn);
    return lsn;
}
