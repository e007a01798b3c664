#include "format/control.h"

#include "format/crc32c.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* Offsets in struct ControlFileData, catalog/pg_control.h, that never changed; versions.c has the
 * others. */
#define AT_SYSTEM_IDENTIFIER 0
#define AT_CONTROL_VERSION 8
#define AT_CATALOG_VERSION 12
#define AT_STATE 16
#define AT_TIME 24
#define AT_CHECKPOINT 32

#define KILOBYTE 1024u
#define MEGABYTE (1024u * KILOBYTE)
#define WAL_SEGMENT_SIZE_MIN MEGABYTE
#define WAL_SEGMENT_SIZE_MAX (1024u * MEGABYTE)
#define BLOCK_SIZE_MIN KILOBYTE
#define BLOCK_SIZE_MAX (32u * KILOBYTE)     /* --with-blocksize */
#define WAL_BLOCK_SIZE_MAX (64u * KILOBYTE) /* --with-wal-blocksize */

static bool power_of_two_between(uint32_t value, uint32_t least, uint32_t most)
{
    return value >= least && value <= most && (value & (value - 1)) == 0;
}

static bool check_fields(const Control *control, const char *name, Error *error)
{
    const uint16_t integer_times = control->version->control.integer_times;
    const Lsn positions[] = {control->checkpoint_lsn, control->checkpoint.redo,
                             control->min_recovery_point, control->backup_start_point,
                             control->backup_end_point};

    /* false with configure --disable-integer-datetimes, before 10 */
    if (integer_times != OFFSET_NONE && control->bytes[integer_times] == 0)
    {
        error_set(error, ERROR_FAILED, "cluster with floating-point times is not supported");
        return error_detail(error,
                            "The file is \"%s\": its server was built with "
                            "--disable-integer-datetimes.",
                            name);
    }
    if (!power_of_two_between(control->wal_segment_size, WAL_SEGMENT_SIZE_MIN,
                              WAL_SEGMENT_SIZE_MAX))
    {
        error_set(error, ERROR_FAILED, "invalid WAL segment size in control file (%u bytes)",
                  control->wal_segment_size); /* contract */
        error_detail(error, "The WAL segment size must be a power of two between 1 MB and 1 GB.");
        return error_detail(error, "The file is \"%s\".", name);
    }
    if (!power_of_two_between(control->block_size, BLOCK_SIZE_MIN, BLOCK_SIZE_MAX))
        return error_set(error, ERROR_FAILED, "invalid block size in control file \"%s\": %u bytes",
                         name, control->block_size);
    if (!power_of_two_between(control->wal_block_size, BLOCK_SIZE_MIN, WAL_BLOCK_SIZE_MAX))
        return error_set(error, ERROR_FAILED,
                         "invalid WAL block size in control file \"%s\": %u bytes", name,
                         control->wal_block_size);
    if (control->relation_segment_blocks == 0)
        return error_set(error, ERROR_FAILED,
                         "invalid relation segment size in control file \"%s\": %u blocks", name,
                         control->relation_segment_blocks);
    for (size_t i = 0; i < sizeof(positions) / sizeof(positions[0]); i++)
        if (positions[i] > LSN_HIGHEST)
            return error_set(error, ERROR_FAILED, "invalid WAL location in control file \"%s\": %s",
                             name, LSN_TEXT(control->version, positions[i]));
    return true;
}

/* Set the fields of control from its bytes. The caller has checked size and version, so all offsets
 * of the row are inside the file. */
static void parse_fields(Control *control)
{
    const ControlOffsets *offsets = &control->version->control;
    const uint8_t *bytes = control->bytes;
    const uint8_t *limits =
        bytes + 4 +
        (offsets->wal_log_hints != OFFSET_NONE ? offsets->wal_log_hints : offsets->wal_level);

    control->system_identifier = load_u64(bytes + AT_SYSTEM_IDENTIFIER);
    control->state = (ControlState) load_u32(bytes + AT_STATE);
    control->checkpoint_lsn = load_u64(bytes + AT_CHECKPOINT);
    control->min_recovery_point = load_u64(bytes + offsets->min_recovery_point);
    if (control->state == STATE_SHUTDOWNED_IN_RECOVERY &&
        control->min_recovery_point == LSN_INVALID)
        control->state = STATE_SHUTDOWNED_IN_CRASH_RECOVERY;
    control->min_recovery_timeline = load_u32(bytes + offsets->min_recovery_timeline);
    control->backup_start_point = load_u64(bytes + offsets->backup_start_point);
    control->backup_end_point = load_u64(bytes + offsets->backup_end_point);
    control->backup_end_required = bytes[offsets->backup_end_required] != 0;
    control->wal_level = (int32_t) load_u32(bytes + offsets->wal_level);
    control->wal_log_hints =
        offsets->wal_log_hints != OFFSET_NONE && bytes[offsets->wal_log_hints] != 0;
    for (uint32_t i = 0; i < version_limit_count(control->version); i++)
        control->limits[i] = load_u32(limits + (size_t) i * 4);
    control->data_checksum_version = load_u32(bytes + offsets->data_checksum_version);
    control->block_size = load_u32(bytes + offsets->block_size);
    control->relation_segment_blocks = load_u32(bytes + offsets->relation_segment_blocks);
    control->wal_block_size = load_u32(bytes + offsets->wal_block_size);
    control->wal_segment_size = load_u32(bytes + offsets->wal_segment_size);
    control->checkpoint = checkpoint_parse(control->version, bytes + offsets->checkpoint_copy);
}

bool control_parse(const ControlFile *file, Control *control, bool *crc_wrong, Error *error)
{
    *crc_wrong = false;
    if (file->size != CONTROL_FILE_SIZE)
    {
        error_set(error, ERROR_FAILED, "unexpected control file size %zu, expected %d", file->size,
                  CONTROL_FILE_SIZE); /* contract */
        return error_detail(error, "The file is \"%s\".", file->name);
    }
    memcpy(control->bytes, file->bytes, CONTROL_FILE_SIZE);
    control->control_version = load_u32(control->bytes + AT_CONTROL_VERSION);
    control->catalog_version = load_u32(control->bytes + AT_CATALOG_VERSION);
    control->version =
        version_find(control->control_version, control->catalog_version, file->pg_version);
    if (control->version == NULL)
    {
        error_set(error, ERROR_FAILED,
                  "clusters are not compatible with this version of pg_rewind"); /* contract */
        return error_detail(error,
                            "File \"%s\" has control version %u and catalog version %u, "
                            "PG_VERSION contains \"%.*s\".",
                            file->name, control->control_version, control->catalog_version,
                            (int) strcspn(file->pg_version, "\n"), file->pg_version);
    }

    uint16_t crc_offset = control->version->control.crc;
    if (crc_of_version(control->version, control->bytes, crc_offset) !=
        load_u32(control->bytes + crc_offset))
    {
        *crc_wrong = true;
        error_set(error, ERROR_FAILED, "unexpected control file CRC"); /* contract */
        return error_detail(error, "The file is \"%s\".", file->name);
    }
    control->version_directory = version_directory(control->version, control->catalog_version);
    parse_fields(control);
    return check_fields(control, file->name, error);
}

bool control_is_of_fork(const Control *control)
{
    return control->version != NULL &&
           control->catalog_version != control->version->catalog_version;
}

const char *control_server(const Control *control, char text[CONTROL_SERVER_SIZE])
{
    if (control_is_of_fork(control))
        snprintf(text, CONTROL_SERVER_SIZE, "a fork of PostgreSQL %s, catalog version %u",
                 control->version->name, control->catalog_version);
    else
        snprintf(text, CONTROL_SERVER_SIZE, "PostgreSQL %s", control->version->name);
    return text;
}

CheckPoint checkpoint_parse(const Version *version, const uint8_t *bytes)
{
    const CheckPointOffsets *offsets = &version->checkpoint;
    CheckPoint checkpoint = {
        .redo = load_u64(bytes + offsets->redo),
        .timeline = load_u32(bytes + offsets->timeline),
        .full_page_writes = bytes[offsets->full_page_writes] != 0,
        .next_oid = load_u32(bytes + offsets->next_oid),
        .oldest_xid = load_u32(bytes + offsets->oldest_xid),
        .oldest_active_xid = load_u32(bytes + offsets->oldest_active_xid),
        .time = (int64_t) load_u64(bytes + offsets->time),
    };

    /* oldestCommitTsXid is 0 while commit timestamps are off (ActivateCommitTs,
     * DeactivateCommitTs). */
    if (offsets->oldest_commit_ts_xid != OFFSET_NONE)
        checkpoint.commit_timestamps = load_u32(bytes + offsets->oldest_commit_ts_xid) != 0;
    if (offsets->next_xid_epoch == OFFSET_NONE)
        checkpoint.next_xid = load_u64(bytes + offsets->next_xid);
    else
        checkpoint.next_xid = (uint64_t) load_u32(bytes + offsets->next_xid_epoch) << 32 |
                              load_u32(bytes + offsets->next_xid);
    return checkpoint;
}

Timeline control_timeline(const Control *control)
{
    if (control->min_recovery_timeline > control->checkpoint.timeline)
        return control->min_recovery_timeline;
    return control->checkpoint.timeline;
}

bool control_may_be_of_promoted(const Control *control)
{
    return (control->state == STATE_SHUTDOWNED_IN_RECOVERY ||
            control->state == STATE_IN_CRASH_RECOVERY ||
            control->state == STATE_IN_ARCHIVE_RECOVERY) &&
           control->min_recovery_timeline > control->checkpoint.timeline;
}

bool control_is_like_promoted(const Control *control, Lsn recovery_end)
{
    if (!control_may_be_of_promoted(control) || recovery_end == LSN_INVALID)
        return false;
    /* A stop moves minRecoveryPoint to where replay was. Without one the promotion's stays until
     * replay has passed it; a standby's is there by chance only. */
    return control->state == STATE_IN_ARCHIVE_RECOVERY
               ? recovery_end == control->min_recovery_point
               : recovery_end <= control->min_recovery_point;
}

WalShape control_wal_shape(const Control *control)
{
    return (WalShape){.version = control->version,
                      .system_identifier = control->system_identifier,
                      .segment_size = control->wal_segment_size,
                      .block_size = control->wal_block_size};
}

const char *control_state_name(ControlState state)
{
    static const char *const names[] = {
        [STATE_STARTUP] = "starting up",
        [STATE_SHUTDOWNED] = "shut down",
        [STATE_SHUTDOWNED_IN_RECOVERY] = "shut down in recovery",
        [STATE_SHUTDOWNING] = "shutting down",
        [STATE_IN_CRASH_RECOVERY] = "in crash recovery",
        [STATE_IN_ARCHIVE_RECOVERY] = "in archive recovery",
        [STATE_IN_PRODUCTION] = "in production",
        [STATE_SHUTDOWNED_IN_CRASH_RECOVERY] = "shut down in crash recovery",
    };

    if ((uint32_t) state >= sizeof(names) / sizeof(names[0]))
        return "unrecognized status code";
    return names[state];
}

/* Set the CRC. Padding inside the struct is part of the CRC and stays; the bytes after the struct
 * are zero. */
static void set_crc(const Version *version, uint8_t bytes[CONTROL_FILE_SIZE])
{
    const ControlOffsets *offsets = &version->control;

    memset(bytes + offsets->size, 0, (size_t) (CONTROL_FILE_SIZE - offsets->size));
    store_u32(bytes + offsets->crc, crc_of_version(version, bytes, offsets->crc));
}

void control_make_rewound(const Control *source, Lsn redo, bool commit_timestamps,
                          Lsn min_recovery_point, Timeline timeline, int64_t now,
                          uint8_t bytes[CONTROL_FILE_SIZE])
{
    const ControlOffsets *offsets = &source->version->control;

    memcpy(bytes, source->bytes, CONTROL_FILE_SIZE);
    store_u32(bytes + AT_STATE, STATE_IN_ARCHIVE_RECOVERY);
    store_u64(bytes + offsets->min_recovery_point, min_recovery_point);
    store_u32(bytes + offsets->min_recovery_timeline, timeline);
    /* The record that ends a backup names where it began. Redo positions are multiples of 8, so no
     * record names this one. */
    store_u64(bytes + offsets->backup_start_point, redo + 1);
    store_u64(bytes + offsets->backup_end_point, LSN_INVALID);
    bytes[offsets->backup_end_required] = 1;
    if (!commit_timestamps && offsets->commit_timestamps != OFFSET_NONE)
        bytes[offsets->commit_timestamps] = 0;
    if (source->version->control_time_is_set)
        store_u64(bytes + AT_TIME, (uint64_t) now);
    set_crc(source->version, bytes);
}

void control_make_poison(const Control *target, Lsn wal_end, Timeline timeline,
                         uint8_t bytes[CONTROL_FILE_SIZE])
{
    const Version *version = target->version;
    const ControlOffsets *offsets = &version->control;
    const Lsn boundary = wal_end - wal_end % target->wal_block_size + (Lsn) target->wal_block_size;

    assert(wal_end != LSN_INVALID);
    memcpy(bytes, target->bytes, CONTROL_FILE_SIZE);
    store_u32(bytes + AT_STATE, STATE_SHUTDOWNED);
    store_u64(bytes + AT_CHECKPOINT, boundary);
    store_u32(bytes + offsets->checkpoint_copy + version->checkpoint.timeline, timeline);
    store_u64(bytes + offsets->min_recovery_point, LSN_INVALID);
    store_u32(bytes + offsets->min_recovery_timeline, 0);
    store_u64(bytes + offsets->backup_start_point, LSN_INVALID);
    store_u64(bytes + offsets->backup_end_point, LSN_INVALID);
    bytes[offsets->backup_end_required] = 0;
    set_crc(version, bytes);
}

bool control_is_poison(const Control *control)
{
    return control->checkpoint_lsn % control->wal_block_size == 0;
}

bool control_is_this_poison(const Control *control, const uint8_t poison[CONTROL_FILE_SIZE])
{
    return control->checkpoint_lsn == load_u64(poison + AT_CHECKPOINT);
}
