#include "format/walrecord.h"

/* XLogRecord: access/xlogrecord.h, alike in 9.5 to 19. */
#define AT_TOTAL_LENGTH 0
#define AT_XID 4
#define AT_PREV 8
#define AT_INFO 16
#define AT_RMGR 17
#define AT_CRC 20

/* XLogRecord: access/xlog.h, alike in 9.3 and 9.4; the first two fields as later. Four bytes of
 * padding follow the CRC. */
#define OLD_AT_DATA_SIZE 8
#define OLD_AT_INFO 12
#define OLD_AT_RMGR 13
#define OLD_AT_PREV 16
#define OLD_AT_CRC 24

/* BkpBlock, access/xlog_internal.h of 9.3 and 9.4: the bytes of backups that may follow the data.
 */
#define OLD_BACKUPS_SIZE_MAX ((uint64_t) 4 * (24 + 32768))

bool error_record(const Version *version, Lsn lsn, Error *error, const char *what)
{
    char text[LSN_TEXT_SIZE];

    return error_set(error, ERROR_FAILED, "%s at %s", what, lsn_text(version, lsn, text));
}

static bool rmgr_is_valid(const Version *version, uint8_t rmgr)
{
    return rmgr <= version->rmgr_max || (version->custom_rmgrs && rmgr >= RM_CUSTOM_MIN);
}

static bool check_length(const Version *version, const WalRecordHeader *header, Lsn lsn,
                         Error *error)
{
    const uint32_t least = walrecord_header_size(version);
    char text[LSN_TEXT_SIZE];

    if (header->total_length < least)
        return error_set(error, ERROR_FAILED,
                         "invalid record length at %s: expected at least %u, got %u",
                         lsn_text(version, lsn, text), least, header->total_length);
    if (header->total_length > WAL_RECORD_SIZE_MAX)
        return error_set(error, ERROR_FAILED, "record length %u at %s too long",
                         header->total_length, lsn_text(version, lsn, text));
    return true;
}

/* ValidXLogRecordHeader of 9.4's xlogreader.c; only a switch has no data. */
static bool check_old_data_size(const Version *version, const WalRecordHeader *header, Lsn lsn,
                                Error *error)
{
    const uint64_t least = walrecord_header_size(version) + (uint64_t) header->old_data_size;
    const bool is_switch = header->rmgr == RM_XLOG && header->info == XLOG_SWITCH;

    if (is_switch && header->old_data_size != 0)
        return error_record(version, lsn, error, "invalid xlog switch record");
    if (!is_switch && header->old_data_size == 0)
        return error_record(version, lsn, error, "record with zero length");
    if (header->total_length < least || header->total_length > least + OLD_BACKUPS_SIZE_MAX)
        return error_record(version, lsn, error, "invalid record length");
    return true;
}

static bool check_origin(const Version *version, const WalRecordHeader *header, Lsn lsn,
                         Error *error)
{
    char text[LSN_TEXT_SIZE];
    char prev[LSN_TEXT_SIZE];

    if (!rmgr_is_valid(version, header->rmgr))
        return error_set(error, ERROR_FAILED, "invalid resource manager ID %u at %s", header->rmgr,
                         lsn_text(version, lsn, text));
    if (header->prev >= lsn)
        return error_set(error, ERROR_FAILED, "record with incorrect prev-link %s at %s",
                         lsn_text(version, header->prev, prev), lsn_text(version, lsn, text));
    return true;
}

bool walrecord_header_parse(const Version *version, const uint8_t *bytes, size_t size, Lsn lsn,
                            WalRecordHeader *header, Error *error)
{
    const bool old = version->old_wal;

    if (size < walrecord_header_size(version))
        return error_record(version, lsn, error, "incomplete record header");
    header->total_length = load_u32(bytes + AT_TOTAL_LENGTH);
    header->old_data_size = old ? load_u32(bytes + OLD_AT_DATA_SIZE) : 0;
    header->xid = load_u32(bytes + AT_XID);
    header->prev = load_u64(bytes + (old ? OLD_AT_PREV : AT_PREV));
    header->info = bytes[old ? OLD_AT_INFO : AT_INFO];
    header->rmgr = bytes[old ? OLD_AT_RMGR : AT_RMGR];
    header->crc = load_u32(bytes + (old ? OLD_AT_CRC : AT_CRC));
    return check_length(version, header, lsn, error) &&
           (!old || check_old_data_size(version, header, lsn, error)) &&
           check_origin(version, header, lsn, error);
}

const char *walrecord_rmgr_name(uint8_t rmgr)
{
    static const char *const names[] = {
        "XLOG",       "Transaction",   "Storage", "CLOG",     "Database",
        "Tablespace", "MultiXact",     "RelMap",  "Standby",  "Heap2",
        "Heap",       "Btree",         "Hash",    "Gin",      "Gist",
        "Sequence",   "SPGist",        "BRIN",    "CommitTs", "ReplicationOrigin",
        "Generic",    "LogicalMessage"};

    if (rmgr >= RM_CUSTOM_MIN)
        return "custom";
    return rmgr < sizeof(names) / sizeof(names[0]) ? names[rmgr] : "unknown";
}
