#include "format/versions.h"

#include <stdio.h>

/*
 * The rows of all versions. Each number is next to the name of the header or source file it comes
 * from. The tables show side by side what changes in nearly every version; ROW has one line for
 * each property that changed once or twice, with the version of the change.
 * tests/unit/format/test_versions.c checks each row against files of real servers.
 */
/* clang-format off */

/*
 * Offsets in struct CheckPoint, catalog/pg_control.h, which begins at checkpoint_copy in pg_control
 * and at the first byte of a checkpoint record's data. The first fields never changed.
 */
#define CHECKPOINT(epoch_at, xid_at, oid_at, oldest_at, time_at, active_at, all)                   \
    {                                                                                              \
        .redo = 0, .timeline = 8, .full_page_writes = 16,                                          \
        .next_xid_epoch = (epoch_at), .next_xid = (xid_at), .next_oid = (oid_at),                  \
        .oldest_xid = (oldest_at), .time = (time_at), .oldest_active_xid = (active_at),            \
        /* oldestCommitTsXid, newestCommitTsXid since 9.5, between these two */                    \
        .oldest_commit_ts_xid = (active_at) - (time_at) == 8 ? OFFSET_NONE : (active_at) - 8,      \
        .size = (all)                                                                              \
    }

/*                                      epoch     xid oid oldest time active all */
/* 9.3, 9.4: the next xid in two halves. */
#define CHECKPOINT_SINCE_93 CHECKPOINT(20,          24, 28, 40,    56,  64,    72)
/* 9.5 to 11. */
#define CHECKPOINT_SINCE_95 CHECKPOINT(20,          24, 28, 40,    56,  72,    80)
/* 12 to 18: nextXid became nextFullXid (13: nextXid again), 64 bits. 17: wal_level, in padding. */
#define CHECKPOINT_SINCE_12 CHECKPOINT(OFFSET_NONE, 24, 32, 44,    64,  80,    88)
/* 19: logicalDecodingEnabled at 24, nextMultiOffset has 64 bits. */
#define CHECKPOINT_SINCE_19 CHECKPOINT(OFFSET_NONE, 32, 40, 56,    72,  88,    96)

/*
 * Offsets in struct ControlFileData, catalog/pg_control.h. The fields before checkpoint_copy that
 * we use (system identifier, versions, state, time, checkpoint) never changed: control.c. The
 * fields from minRecoveryPoint to wal_level always follow each other, as do blcksz and relseg_size,
 * and xlog_blcksz and xlog_seg_size.
 */
#define CONTROL(copy_at, recovery_at, hints_at, stamps_at, block_at, wal_block_at, times_at,       \
                checksum_at, crc_at, all)                                                          \
    {                                                                                              \
        .checkpoint_copy = (copy_at), .min_recovery_point = (recovery_at),                         \
        .min_recovery_timeline = (recovery_at) + 8, .backup_start_point = (recovery_at) + 16,      \
        .backup_end_point = (recovery_at) + 24, .backup_end_required = (recovery_at) + 32,         \
        .wal_level = (recovery_at) + 36, .wal_log_hints = (hints_at), .block_size = (block_at),    \
        .commit_timestamps = (stamps_at),                                                          \
        .relation_segment_blocks = (block_at) + 4, .wal_block_size = (wal_block_at),               \
        .wal_segment_size = (wal_block_at) + 4, .integer_times = (times_at),                       \
        .data_checksum_version = (checksum_at), .crc = (crc_at), .size = (all)                     \
    }

/*                               copy recovery hints  stamps block wal_block times   checksum crc  all */
/* 9.3: prevCheckPoint at 40; wal_log_hints came later. */
#define CONTROL_SINCE_93 CONTROL(48, 128, OFFSET_NONE, OFFSET_NONE, 192, 200, 220, 224,     228, 232)
/* 9.4: wal_log_hints, max_worker_processes, loblksize. */
#define CONTROL_SINCE_94 CONTROL(48, 128, 168, OFFSET_NONE, 200, 208, 232, 236,     240, 248)
/* 9.5, 9.6: CheckPoint is 8 more, track_commit_timestamp. */
#define CONTROL_SINCE_95 CONTROL(48, 136, 176, 196,    216, 224, 248,         252,     256, 264)
/* 10: prevCheckPoint at 40; the nonce; times are integers. */
#define CONTROL_SINCE_10 CONTROL(48, 136, 176, 196,    216, 224, OFFSET_NONE, 252,     288, 296)
/* 11: prevCheckPoint is gone, all is 8 less. */
#define CONTROL_SINCE_11 CONTROL(40, 128, 168, 188,    208, 216, OFFSET_NONE, 244,     280, 288)
/* 12 to 17: CheckPoint is 8 more, max_wal_senders. (13 lost float4ByVal, in padding.) */
#define CONTROL_SINCE_12 CONTROL(40, 136, 176, 200,    216, 224, OFFSET_NONE, 252,     288, 296)
/* 18: default_char_signedness at 256 moves the nonce by one, the CRC by four. */
#define CONTROL_SINCE_18 CONTROL(40, 136, 176, 200,    216, 224, OFFSET_NONE, 252,     292, 296)
/* 19: CheckPoint is 8 more, slru_pages_per_segment at 232, data_checksum_version_init at 264. */
#define CONTROL_SINCE_19 CONTROL(40, 144, 184, 208,    224, 236, OFFSET_NONE, 268,     308, 312)

#define COUNT_RESOURCE_MANAGER(v, id, name, since) +((v) >= (since))

/* v is the row's number. */
#define ROW(v, of_major, of_control, of_catalog, of_wal, checkpoint_offsets, control_offsets)      \
    {                                                                                              \
        .name = (of_major),                                                                        \
        .number = (v),                                                                             \
        .control_version = (of_control), /* PG_CONTROL_VERSION, catalog/pg_control.h */            \
        .catalog_version = (of_catalog), /* CATALOG_VERSION_NO, catalog/catversion.h */            \
        /* XLOG_PAGE_MAGIC, XLP_ALL_FLAGS, XLP_FIRST_IS_OVERWRITE_CONTRECORD, all of               \
           access/xlog_internal.h. The last came with 9.6.24; 0x0004 was XLP_BKP_REMOVABLE up      \
           to 18. */                                                                               \
        .wal_magic = (of_wal),                                                                     \
        .wal_page_flags = (v) >= 1900 || (v) < 906 ? 0x0007 : 0x000F,                              \
        .wal_overwrite_contrecord_flag = (v) >= 1900 ? 0x0004 : (v) >= 906 ? 0x0008 : 0,           \
        /* BKPIMAGE_IS_COMPRESSED, from 15 on BKPIMAGE_COMPRESSED; BKPIMAGE_APPLY;                 \
           XLR_BLOCK_ID_TOPLEVEL_XID, access/xlogrecord.h */                                       \
        .image_compressed_mask = (v) >= 1500 ? 0x1C : (v) >= 905 ? 0x02 : 0,                       \
        .image_apply = (v) >= 1500 ? 0x02 : (v) >= 1000 ? 0x04 : 0,                                \
        .record_toplevel_xid = (v) >= 1400,                                                        \
        .old_wal = (v) < 905,                /* XLogRecord, BkpBlock, access/xlog.h */             \
        .old_wal_names_children = (v) == 904, /* access/nbtree.h, access/gin_private.h */          \
        .custom_rmgrs = (v) >= 1500,         /* RM_MIN_CUSTOM_ID, access/rmgr.h */                 \
        .rmgr_max = RESOURCE_MANAGERS(COUNT_RESOURCE_MANAGER, v) - 1,                              \
        .xact_special_rel_update = (v) >= 1400, /* XactLogCommitRecord, access/transam/xact.c */   \
        .truncate_has_flags = (v) >= 906,    /* xl_smgr_truncate, catalog/storage_xlog.h */        \
        /* commands/dbcommands_xlog.h, to 9.4 commands/dbcommands.h: xl_dbase_drop_rec */          \
        .database_create_wal_log = (v) >= 1500,                                                    \
        .redo_names_its_blocks = (v) >= 904, /* btree_xlog_vacuum, access/nbtree/nbtxlog.c */      \
        .database_drop_counted = (v) >= 1300,                                                      \
        /* xl_xact_stats_item, xl_xact_abort, access/xact.h */                                     \
        .xact_stats_item_size = (v) >= 1800 ? 16 : (v) >= 1500 ? 12 : 0,                           \
        .abort_has_dbinfo_origin_gid = (v) >= 1100,                                                \
        /* xl_parameter_change, xl_end_of_recovery, access/xlog_internal.h, to 9.4                 \
           catalog/pg_control.h; the setting wal_log_hints came with 9.4 */                        \
        .parameter_wal_level = (v) >= 1200 ? 20 : (v) >= 904 ? 16 : 12,                            \
        .parameter_wal_log_hints = (v) >= 1200 ? 24 : (v) >= 904 ? 20 : OFFSET_NONE,               \
        .end_of_recovery_size = (v) >= 1700 ? 24 : 16,                                             \
        /* TwoPhaseFilePath, TwoPhaseFileHeader, access/transam/twophase.c: to 9.5 the gid has a   \
           field of 200 bytes; from 15 on xl_xact_prepare, access/xact.h */                        \
        .twophase_name_digits = (v) >= 1700 ? 16 : 8,                                              \
        .twophase_gid_offset = (v) >= 1500 ? 72 : (v) >= 1100 ? 64 : (v) >= 906 ? 48 : 45,         \
        .twophase_gid_size_offset = (v) >= 1500 ? 54 : (v) >= 906 ? 46 : OFFSET_NONE,              \
        .wal_directory = (v) >= 1000 ? "pg_wal" : "pg_xlog",                                       \
        .xact_directory = (v) >= 1000 ? "pg_xact" : "pg_clog",                                     \
        .wal_dump_program = (v) >= 1000 ? "pg_waldump" : "pg_xlogdump",                            \
        .wal_level_archive = (v) < 906,      /* access/xlog.h */                                   \
        /* catalog/pg_proc.h, catalog/system_views.sql, utils/misc/guc.c */                        \
        .sql = {                                                                                   \
            .flushed_position = (v) >= 1000 ? "pg_current_wal_flush_lsn"                           \
                                : (v) >= 906 ? "pg_current_xlog_flush_location"                    \
                                             : "pg_current_xlog_location",                         \
            .received_position = (v) >= 1000 ? "pg_last_wal_receive_lsn"                           \
                                             : "pg_last_xlog_receive_location",                    \
            .replayed_position = (v) >= 1000 ? "pg_last_wal_replay_lsn"                            \
                                             : "pg_last_xlog_replay_location",                     \
            .segment_name = (v) >= 1000 ? "pg_walfile_name" : "pg_xlogfile_name",                  \
            .position_column = (v) >= 1000 ? "lsn" : "location",                                   \
            .missing_ok = (v) >= 905,                                                              \
            .replication_slots = (v) >= 904,                                                       \
            .slot_reserves = (v) >= 906,                                                           \
            .archiver_view = (v) >= 904,                                                           \
            .ssl_view = (v) >= 905,                                                                \
            .receiver_view = (v) >= 906,                                                           \
            .idle_timeout = (v) >= 906,                                                            \
            .on_conflict = (v) >= 905,                                                             \
            .transaction_timeout = (v) >= 1700,                                                    \
            .row_security = (v) >= 905,                                                            \
            .identity_columns = (v) >= 1000,                                                       \
            .transaction_status = (v) >= 1000,                                                     \
            .publications = (v) >= 1000,                                                           \
            .stats_role = (v) >= 1000,      /* catalog/pg_authid.dat */                            \
            .checkpoint_role = (v) >= 1500,                                                        \
        },                                                                                         \
        /* utils/misc/guc.c, libpq/hba.c; ALTER SYSTEM came with 9.4 */                            \
        .remedies = {                                                                              \
            .set = (v) >= 904 ? "ALTER SYSTEM SET " : "in postgresql.conf: ",                      \
            .wal_level = (v) >= 906 ? "wal_level = replica" : "wal_level = hot_standby",           \
            .wal_kept = (v) >= 1300 ? "wal_keep_size = '1GB'" : "wal_keep_segments = 64",          \
            .password_method = (v) >= 1000 ? "scram-sha-256" : "md5",                              \
        },                                                                                         \
        .lsn_padded = (v) >= 1900,           /* access/xlogdefs.h */                               \
        /* access/transam/xlog.c, from 15 on xlogrecovery.c; utils/misc/guc.c, later               \
           guc_tables.c */                                                                         \
        .recovery_settings = (v) >= 1200 ? RECOVERY_SIGNAL_FILES : RECOVERY_CONF,                  \
        .synchronizes_slots = (v) >= 1700,   /* replication/logical/slotsync.c */                  \
        .has_conflict_slot = (v) >= 1900,    /* replication/logical/launcher.c */                  \
        .wal_level_by_default = (v) >= 1000 ? "replica" : "minimal", /* utils/misc/guc.c */        \
        /* RestoreSlotFromDisk, replication/slot.c */                                              \
        .slot_needs_level_logical = (v) < 1900,                                                    \
        .slot_needs_hot_standby = (v) >= 1600,                                                     \
        /* excludeDirContents, excludeFiles, bin/pg_rewind/filemap.c */                            \
        .exclusion_lists = (v) >= 1100,                                                            \
        .excludes_backup_manifest = (v) >= 1300,                                                   \
        .excludes_ds_store = (v) >= 1500,                                                          \
        .grantable_file_functions = (v) >= 1100, /* catalog/system_views.sql */                    \
        .control_time_is_set = (v) >= 1500,  /* common/controldata_utils.c */                      \
        .hash_indexes_logged = (v) >= 1000,  /* access/hash */                                     \
        .recovers_prepared_subxacts = (v) >= 1200, /* access/transam/twophase.c */                 \
        /* utils/misc/guc.c, later guc_tables.c, guc_parameters.dat */                             \
        .hot_standby_by_default = (v) >= 1000,                                                     \
        .locks_by_default = (v) >= 1900 ? 128 : 64,                                                \
        .origins_setting = (v) >= 1800 ? "max_active_replication_origins"                          \
                           : (v) >= 904 ? "max_replication_slots" : NULL,                          \
        .origins_by_default = (v) >= 1000 ? 10 : 0,                                                \
        .holds_prepared = (v) >= 1000,       /* PrepareRedoAdd, access/transam/twophase.c */       \
        .group_may_read = (v) >= 1100, /* checkDataDir, utils/init/miscinit.c */                   \
        .has_jit = (v) >= 1100,                                                                    \
        .keeps_two_checkpoints = (v) < 1100, /* CreateCheckPoint, access/transam/xlog.c */         \
        .has_sha256 = (v) >= 1100,           /* catalog/pg_proc.dat */                             \
        .has_transaction_timeout = (v) >= 1700, /* utils/misc/guc_tables.c */                      \
        .infinite_intervals = (v) >= 1700, /* utils/timestamp.h */                                 \
        .char_escapes = (v) >= 1500,         /* charout, utils/adt/char.c */                       \
        .has_wal_summaries = (v) >= 1700,    /* common/blkreftable.h */                            \
        .sequence_value = (v) >= 1000 ? 0 : 64, /* commands/sequence.h: after the name until 9.6 */ \
        /* FormData_pg_attribute, catalog/pg_attribute.h */                                        \
        .attribute_length = (v) >= 1600 ? 72 : 76,                                                 \
        .attribute_alignment = (v) >= 1800 ? 83 : (v) >= 1600 ? 87 : (v) >= 1400 ? 93 : 94,        \
        .checkpoint = checkpoint_offsets,                                                          \
        .control = control_offsets,                                                                \
    }

static const Version rows[] = {
    ROW( 903, "9.3",  937, 201306121, 0xD075, CHECKPOINT_SINCE_93, CONTROL_SINCE_93),
    ROW( 904, "9.4",  942, 201409291, 0xD07E, CHECKPOINT_SINCE_93, CONTROL_SINCE_94),
    ROW( 905, "9.5",  942, 201510051, 0xD087, CHECKPOINT_SINCE_95, CONTROL_SINCE_95),
    ROW( 906, "9.6",  960, 201608131, 0xD093, CHECKPOINT_SINCE_95, CONTROL_SINCE_95),
    ROW(1000, "10",  1002, 201707211, 0xD097, CHECKPOINT_SINCE_95, CONTROL_SINCE_10),
    ROW(1100, "11",  1100, 201809051, 0xD098, CHECKPOINT_SINCE_95, CONTROL_SINCE_11),
    ROW(1200, "12",  1201, 201909212, 0xD101, CHECKPOINT_SINCE_12, CONTROL_SINCE_12),
    ROW(1300, "13",  1300, 202007201, 0xD106, CHECKPOINT_SINCE_12, CONTROL_SINCE_12),
    ROW(1400, "14",  1300, 202107181, 0xD10D, CHECKPOINT_SINCE_12, CONTROL_SINCE_12),
    ROW(1500, "15",  1300, 202209061, 0xD110, CHECKPOINT_SINCE_12, CONTROL_SINCE_12),
    ROW(1600, "16",  1300, 202307071, 0xD113, CHECKPOINT_SINCE_12, CONTROL_SINCE_12),
    ROW(1700, "17",  1700, 202406281, 0xD116, CHECKPOINT_SINCE_12, CONTROL_SINCE_12),
    ROW(1800, "18",  1800, 202506291, 0xD118, CHECKPOINT_SINCE_12, CONTROL_SINCE_18),
    /* 19rc1. Betas 1 to 3 have other numbers and layouts, so they have no row. Beta 4 has other
       catalogs only: version_find takes it for a fork. */
    ROW(1900, "19",  1905, 202610061, 0xD122, CHECKPOINT_SINCE_19, CONTROL_SINCE_19),
};
/* clang-format on */

#define ROW_COUNT ((int) (sizeof(rows) / sizeof(rows[0])))

const Version *version_find(uint32_t control_version, uint32_t catalog_version,
                            const char *pg_version)
{
    const Version *named = NULL;

    for (int i = 0; i < ROW_COUNT; i++)
    {
        TextCursor text = text_cursor(pg_version);

        if (rows[i].control_version != control_version)
            continue;
        if (rows[i].catalog_version == catalog_version)
            return &rows[i];
        if (version_take_name(&text, &rows[i]))
            named = &rows[i];
    }
    return named;
}

ServerLimit version_limit(const Version *version, uint32_t index)
{
    const ServerLimit limits[LIMITS_MAX] = {
        {"max_connections", 100},
        {"max_worker_processes", 8},
        {"max_wal_senders", 10},
        {"max_prepared_transactions", 0},
        {"max_locks_per_transaction", version->locks_by_default},
    };
    const uint32_t count = version_limit_count(version);

    /* A version with fewer limits lacks those before the last two. */
    return limits[index + 2 < count ? index : index + LIMITS_MAX - count];
}

VersionDirectory version_directory(const Version *version, uint32_t catalog_version)
{
    VersionDirectory directory;

    snprintf(directory.name, sizeof(directory.name), "PG_%s_%u", version->name, catalog_version);
    return directory;
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
