#include "format/walrecord.h"

#include "format/crc32c.h"
#include "format/varlena.h"

#include <string.h>

/* Offsets in XLogRecord, access/xlogrecord.h, 9.5 to 19. */
#define AT_TOTAL_LENGTH 0
#define AT_XID 4
#define AT_PREV 8
#define AT_INFO 16
#define AT_RMGR 17
#define AT_CRC 20

/* Offsets in XLogRecord, access/xlog.h, 9.3 and 9.4, except the first two fields, which are as
 * above. Four bytes of padding follow the CRC. */
#define OLD_AT_DATA_SIZE 8
#define OLD_AT_INFO 12
#define OLD_AT_RMGR 13
#define OLD_AT_PREV 16
#define OLD_AT_CRC 24

/* Largest size of the backup blocks that may follow the data in 9.3 and 9.4 (BkpBlock,
 * access/xlog_internal.h). */
#define OLD_BACKUPS_SIZE_MAX ((uint64_t) 4 * (24 + 32768))

/* Ids of the fragments after the header: 0 to BLOCK_ID_MAX are block references. */
#define BLOCK_ID_MAX 32 /* XLR_MAX_BLOCK_ID */
#define FRAGMENT_DATA_SHORT 255
#define FRAGMENT_DATA_LONG 254
#define FRAGMENT_ORIGIN 253
#define FRAGMENT_TOPLEVEL_XID 252

/* Bits of XLogRecordBlockHeader.fork_flags. */
#define BLOCK_FORK_MASK 0x0F
#define BLOCK_HAS_IMAGE 0x10
#define BLOCK_HAS_DATA 0x20
#define BLOCK_WILL_INIT 0x40
#define BLOCK_SAME_REL 0x80

#define IMAGE_HAS_HOLE 0x01 /* in all versions; versions.c has the bits that changed */
#define IMAGE_PGLZ 0x04     /* since 15; before, compressed always means pglz */
#define IMAGE_LZ4 0x08
#define IMAGE_ZSTD 0x10

static bool error_record(const Version *version, Lsn lsn, Error *error, const char *what)
{
    return error_set(error, ERROR_FAILED, "%s at %s", what, LSN_TEXT(version, lsn));
}

/* Check the size of the data, as ValidXLogRecordHeader in xlogreader.c of 9.4 does: only a switch
 * has no data. */
static bool check_old_data_size(const Version *version, const WalRecord *record, Error *error)
{
    const uint64_t least = walrecord_header_size(version) + (uint64_t) record->data_size;
    const bool is_switch = record->rmgr == RM_XLOG && record->info == XLOG_SWITCH;

    if (is_switch && record->data_size != 0)
        return error_record(version, record->lsn, error, "invalid xlog switch record");
    if (!is_switch && record->data_size == 0)
        return error_record(version, record->lsn, error, "record with zero length");
    if (record->total_length < least || record->total_length > least + OLD_BACKUPS_SIZE_MAX)
        return error_record(version, record->lsn, error, "invalid record length");
    return true;
}

static bool check_record_header(const Version *version, const WalRecord *record, Error *error)
{
    const uint32_t least = walrecord_header_size(version);

    if (record->total_length < least)
        return error_set(error, ERROR_FAILED,
                         "invalid record length at %s: expected at least %u, got %u",
                         LSN_TEXT(version, record->lsn), least, record->total_length);
    if (record->total_length > WAL_RECORD_SIZE_MAX)
        return error_set(error, ERROR_FAILED, "record length %u at %s too long",
                         record->total_length, LSN_TEXT(version, record->lsn));
    if (version->old_wal && !check_old_data_size(version, record, error))
        return false;
    if (record->rmgr > version->rmgr_max &&
        !(version->custom_rmgrs && record->rmgr >= RM_CUSTOM_MIN))
        return error_set(error, ERROR_FAILED, "invalid resource manager ID %u at %s", record->rmgr,
                         LSN_TEXT(version, record->lsn));
    if (record->prev >= record->lsn)
        return error_set(error, ERROR_FAILED, "record with incorrect prev-link %s at %s",
                         LSN_TEXT(version, record->prev), LSN_TEXT(version, record->lsn));
    return true;
}

bool walrecord_header_parse(const Version *version, const uint8_t *bytes, size_t size, Lsn lsn,
                            WalRecord *record, Error *error)
{
    const bool old = version->old_wal;

    if (size < walrecord_header_size(version))
        return error_record(version, lsn, error, "incomplete record header");
    record->lsn = lsn;
    record->total_length = load_u32(bytes + AT_TOTAL_LENGTH);
    record->data_size = old ? load_u32(bytes + OLD_AT_DATA_SIZE) : 0;
    record->xid = load_u32(bytes + AT_XID);
    record->prev = load_u64(bytes + (old ? OLD_AT_PREV : AT_PREV));
    record->info = bytes[old ? OLD_AT_INFO : AT_INFO];
    record->rmgr = bytes[old ? OLD_AT_RMGR : AT_RMGR];
    record->crc = load_u32(bytes + (old ? OLD_AT_CRC : AT_CRC));
    return check_record_header(version, record, error);
}

/*
 * The fragments of a record while they are read. The decoder reads gigabytes, so it does not use
 * Cursor: one comparison for all fields of a fragment, and no calls.
 */
typedef struct Fragments
{
    const uint8_t *position;
    const uint8_t *end;
    uint64_t announced; /* bytes of images and data that must follow the fragments */
} Fragments;

static inline const uint8_t *take_fragment_bytes(Fragments *fragments, size_t size)
{
    const uint8_t *here = fragments->position;

    if (size > (size_t) (fragments->end - here))
        return NULL;
    fragments->position += size;
    return here;
}

/* Read an image's header. Returns what is wrong with it, or NULL. */
static __attribute__((noinline)) const char *take_image(const Version *version, uint32_t block_size,
                                                        Fragments *fragments, BlockReference *block)
{
    const uint8_t *image = take_fragment_bytes(fragments, 5);

    if (image == NULL)
        return "record with invalid length";
    uint32_t length = load_u16(image);
    uint32_t hole_offset = load_u16(image + 2);
    uint8_t info = image[4];
    bool has_hole = (info & IMAGE_HAS_HOLE) != 0;
    bool compressed = (info & version->image_compressed_mask) != 0;
    uint32_t hole_length = 0;

    if (length > block_size)
        return "block image longer than a block";
    if (!compressed)
        hole_length = block_size - length;
    else if (has_hole)
    {
        const uint8_t *hole = take_fragment_bytes(fragments, 2);
        if (hole == NULL)
            return "record with invalid length";
        hole_length = load_u16(hole);
    }
    fragments->announced += length;
    block->image_info = info;
    block->image_size = (uint16_t) length;
    block->hole_offset = (uint16_t) hole_offset;
    block->hole_size = (uint16_t) hole_length;
    block->image_applies = version->image_apply == 0 || (info & version->image_apply) != 0;
    if (has_hole && (hole_offset == 0 || hole_length == 0 || length == block_size))
        return "BKPIMAGE_HAS_HOLE set, but no hole";
    if (!has_hole && (hole_offset != 0 || (compressed && hole_length != 0)))
        return "BKPIMAGE_HAS_HOLE not set, but a hole";
    if (compressed && length == block_size)
        return "BKPIMAGE_COMPRESSED set, but block image of a whole block";
    if (!has_hole && !compressed && length != block_size)
        return "neither BKPIMAGE_HAS_HOLE nor BKPIMAGE_COMPRESSED set, but block image is shorter "
               "than a block";
    return NULL;
}

/* Read a block reference. before is the previous one of the record, NULL for the first. Returns
 * what is wrong, or NULL. */
static const char *take_block(const Version *version, uint32_t block_size, uint8_t id,
                              Fragments *fragments, const BlockReference *before,
                              BlockReference *block)
{
    const uint8_t *start = take_fragment_bytes(fragments, 3);

    if (start == NULL)
        return "record with invalid length";
    if (before != NULL && id <= before->id)
        return "out-of-order block_id";

    uint8_t flags = start[0];
    uint16_t data_length = load_u16(start + 1);
    bool has_data = (flags & BLOCK_HAS_DATA) != 0;
    block->id = id;
    block->fork = flags & BLOCK_FORK_MASK;
    block->has_image = (flags & BLOCK_HAS_IMAGE) != 0;
    block->image_applies = false;
    block->image_size = 0;
    block->data_size = data_length;
    block->will_init = (flags & BLOCK_WILL_INIT) != 0;
    if (has_data != (data_length != 0))
        return has_data ? "BKPBLOCK_HAS_DATA set, but no data included"
                        : "BKPBLOCK_HAS_DATA not set, but data included";
    fragments->announced += data_length;
    if (block->has_image)
    {
        /* Pass a copy, so that the fragments of blocks without image can stay in registers. */
        Fragments rest = *fragments;
        const char *wrong = take_image(version, block_size, &rest, block);
        if (wrong != NULL)
            return wrong;
        *fragments = rest;
    }
    if ((flags & BLOCK_SAME_REL) == 0)
    {
        const uint8_t *relation = take_fragment_bytes(fragments, RELATION_ID_SIZE);
        if (relation == NULL)
            return "record with invalid length";
        block->relation = relation_at(relation);
    }
    else if (before == NULL)
        return "BKPBLOCK_SAME_REL set but no previous rel";
    else
        block->relation = before->relation;

    const uint8_t *number = take_fragment_bytes(fragments, 4);
    if (number == NULL)
        return "record with invalid length";
    block->block = load_u32(number);
    return NULL;
}

/* Read the fragments up to that of the main data, or until only announced bytes are left. Returns
 * what is wrong, or NULL. */
static const char *take_fragments(const Version *version, uint32_t block_size, Fragments *fragments,
                                  WalRecord *record)
{
    static const uint8_t sizes[256] = {[FRAGMENT_DATA_SHORT] = 1,
                                       [FRAGMENT_DATA_LONG] = 4,
                                       [FRAGMENT_ORIGIN] = 2,
                                       [FRAGMENT_TOPLEVEL_XID] = 4};
    BlockReference *block = record->blocks;
    const uint8_t *field;
    const char *wrong;

    while ((uint64_t) (fragments->end - fragments->position) > fragments->announced)
    {
        uint8_t id = *fragments->position++;
        if (id <= BLOCK_ID_MAX)
        {
            wrong = take_block(version, block_size, id, fragments,
                               block == record->blocks ? NULL : block - 1, block);
            if (wrong != NULL)
                return wrong;
            block++;
            record->block_count++;
            continue;
        }
        if (sizes[id] == 0)
            return "invalid block_id";
        if (id == FRAGMENT_TOPLEVEL_XID && !version->record_toplevel_xid)
            return "invalid block_id 252";
        field = take_fragment_bytes(fragments, sizes[id]);
        if (field == NULL)
            return "record with invalid length";
        if (id < FRAGMENT_DATA_LONG)
        {
            if (id == FRAGMENT_ORIGIN)
                record->origin = load_u16(field);
            continue;
        }
        record->data_size = id == FRAGMENT_DATA_SHORT ? field[0] : load_u32(field);
        fragments->announced += record->data_size;
        return NULL;
    }
    return NULL;
}

/* Read block references and main data, since 9.5. Returns what is wrong with the record, or
 * NULL. */
static const char *take_blocks_and_data(const Version *version, uint32_t block_size,
                                        const uint8_t *bytes, WalRecord *record)
{
    const uint8_t *end = bytes + record->total_length;
    Fragments fragments = {bytes + walrecord_header_size(version), end, 0};
    const char *wrong = take_fragments(version, block_size, &fragments, record);

    if (wrong == NULL && (uint64_t) (fragments.end - fragments.position) != fragments.announced)
        wrong = "record with invalid length";
    if (wrong == NULL)
        record->data = end - record->data_size; /* main data is last */
    return wrong;
}

bool walrecord_decode(const Version *version, uint32_t block_size, const uint8_t *bytes,
                      WalRecord *record, Error *error)
{
    const uint8_t *rest = bytes + walrecord_header_size(version);
    const size_t rest_size = record->total_length - walrecord_header_size(version);
    const char *wrong;
    uint32_t crc;

    /* The CRC covers the bytes after the header, then the header up to the CRC. */
    if (version->old_wal)
        crc = crc32c_finish(
            old_crc_update(old_crc_update(CRC32C_INIT, rest, rest_size), bytes, OLD_AT_CRC));
    else
        crc = crc32c_joined(rest, rest_size, bytes, AT_CRC);
    if (crc != record->crc)
        return error_record(version, record->lsn, error,
                            "incorrect resource manager data checksum in record");
    record->end = LSN_INVALID;
    record->block_count = 0;
    record->origin = 0;
    wrong = version->old_wal ? old_record_take_blocks(version, block_size, bytes, record)
                             : take_blocks_and_data(version, block_size, bytes, record);
    return wrong == NULL || error_record(version, record->lsn, error, wrong);
}

/* ---- Image and data of a block ---- */

/* Image and data of a block in a record; NULL and 0 if it has none. */
typedef struct BlockContent
{
    const uint8_t *image; /* without hole; compressed if a bit of image_compressed_mask is set */
    uint32_t image_size;  /* bytes in the record */
    uint32_t hole_offset, hole_size;
    uint8_t image_info; /* bimg_info */
    const uint8_t *data;
    uint32_t data_size;
} BlockContent;

/* The image of a block in 9.3 and 9.4. Backup blocks follow the data, in the order of the
 * references; the data of a full-page image or of a new page begins like a backup block. In 9.3 a
 * new page has no hole. */
static BlockContent old_block_content(const Version *version, uint32_t block_size,
                                      const WalRecord *record, unsigned index)
{
    const bool is_new_page = walrecord_is_new_page(version, record);
    const bool is_data = record->rmgr == RM_XLOG || is_new_page;
    const bool has_hole = !is_new_page || version->old_wal_names_children;
    const uint32_t size = record->total_length - WAL_RECORD_OLD_HEADER_SIZE - record->data_size;
    Cursor cursor = is_data ? cursor_over(record->data, record->data_size)
                            : cursor_over(record->data + record->data_size, size);
    BlockContent content = {0};

    if (!record->blocks[index].has_image && !is_new_page)
        return content;
    for (unsigned i = is_data ? index : 0; i <= index; i++)
    {
        cursor_skip(&cursor, RELATION_ID_SIZE + 2 * sizeof(uint32_t)); /* fork and block */
        content.hole_offset = has_hole ? cursor_u16(&cursor) : 0;
        content.hole_size = has_hole ? cursor_u16(&cursor) : 0;
        content.image_size = block_size - content.hole_size;
        content.image = cursor_bytes(&cursor, content.image_size);
    }
    return content;
}

/* Image and data of a block. Since 9.5 they precede the main data, in the order of the
 * references. */
static BlockContent block_content(const Version *version, uint32_t block_size,
                                  const WalRecord *record, unsigned index)
{
    const BlockReference *block = &record->blocks[index];
    const uint8_t *begin = record->data;

    if (version->old_wal)
        return old_block_content(version, block_size, record, index);
    for (unsigned i = index; i < record->block_count; i++)
        begin -= record->blocks[i].image_size + record->blocks[i].data_size;
    return (BlockContent){.image = block->image_size > 0 ? begin : NULL,
                          .image_size = block->image_size,
                          .hole_offset = block->hole_offset,
                          .hole_size = block->hole_size,
                          .image_info = block->image_info,
                          .data = block->data_size > 0 ? begin + block->image_size : NULL,
                          .data_size = block->data_size};
}

Slice walrecord_block_data(const Version *version, uint32_t block_size, const WalRecord *record,
                           unsigned index)
{
    const BlockContent content = block_content(version, block_size, record, index);

    return (Slice){content.data, content.data_size};
}

static bool expand_image(const Version *version, const BlockContent *content, uint8_t *page,
                         size_t size)
{
    const Slice packed = {content->image, content->image_size};
    const uint8_t compressed = content->image_info & version->image_compressed_mask;

    if (compressed == 0 && packed.size == size)
        memcpy(page, packed.bytes, size);
    else if (compressed == version->image_compressed_mask || compressed == IMAGE_PGLZ)
        return unpack(PACK_PGLZ, packed, page, size);
    else if (compressed == IMAGE_LZ4)
        return unpack(PACK_LZ4, packed, page, size);
    else
        return compressed == IMAGE_ZSTD && unpack(PACK_ZSTD, packed, page, size);
    return true;
}

bool walrecord_restore_image(const Version *version, uint32_t block_size, const WalRecord *record,
                             unsigned index, uint8_t *page)
{
    const BlockContent content = block_content(version, block_size, record, index);
    const size_t size = block_size - content.hole_size;
    const size_t after = size - content.hole_offset;

    if (content.image == NULL || content.hole_size > block_size || content.hole_offset > size ||
        !expand_image(version, &content, page, size))
        return false;
    memmove(page + block_size - after, page + content.hole_offset, after);
    memset(page + content.hole_offset, 0, content.hole_size);
    return true;
}

const char *walrecord_rmgr_name(uint8_t rmgr)
{
#define RESOURCE_MANAGER_NAME(v, id, name, since) name,
    static const char *const names[] = {RESOURCE_MANAGERS(RESOURCE_MANAGER_NAME, 0)};

    if (rmgr >= RM_CUSTOM_MIN)
        return "custom";
    return rmgr < RM_COUNT ? names[rmgr] : "unknown";
}
