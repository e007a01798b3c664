#include "format/walrecord_decode.h"

#include "format/crc32c.h"
#include "format/old_crc.h"
#include "format/walrecord_old.h"

/* Ids of what follows the header; 0 .. BLOCK_ID_MAX are block references. */
#define BLOCK_ID_MAX 32 /* XLR_MAX_BLOCK_ID */
#define FRAGMENT_DATA_SHORT 255
#define FRAGMENT_DATA_LONG 254
#define FRAGMENT_ORIGIN 253
#define FRAGMENT_TOPLEVEL_XID 252

/* XLogRecordBlockHeader.fork_flags. */
#define BLOCK_FORK_MASK 0x0F
#define BLOCK_HAS_IMAGE 0x10
#define BLOCK_HAS_DATA 0x20
#define BLOCK_WILL_INIT 0x40
#define BLOCK_SAME_REL 0x80

#define IMAGE_HAS_HOLE 0x01 /* in all versions; the other bits: versions.c */

/*
 * The decoder runs over gigabytes, so it does not use Cursor: one comparison for all fields of a
 * fragment, and no calls.
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

/* Returns what is wrong with the image's header; NULL: nothing. */
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

/* before: the reference that stands before it in the record; NULL: it is the first. */
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
    block->will_init = (flags & BLOCK_WILL_INIT) != 0;
    if (has_data != (data_length != 0))
        return has_data ? "BKPBLOCK_HAS_DATA set, but no data included"
                        : "BKPBLOCK_HAS_DATA not set, but data included";
    fragments->announced += data_length;
    if (block->has_image)
    {
        /* A copy, so that the fragments of other blocks can stay in registers. */
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

/* The fragments up to the one of main data, or to where only announced bytes are left. */
static const char *take_fragments(const Version *version, uint32_t block_size, Fragments *fragments,
                                  WalRecord *record)
{
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
        switch (id)
        {
        case FRAGMENT_DATA_SHORT:
            if ((field = take_fragment_bytes(fragments, 1)) == NULL)
                return "record with invalid length";
            record->data_size = field[0];
            fragments->announced += record->data_size;
            return NULL;
        case FRAGMENT_DATA_LONG:
            if ((field = take_fragment_bytes(fragments, 4)) == NULL)
                return "record with invalid length";
            record->data_size = load_u32(field);
            fragments->announced += record->data_size;
            return NULL;
        case FRAGMENT_ORIGIN:
            if (take_fragment_bytes(fragments, 2) == NULL)
                return "record with invalid length";
            break;
        case FRAGMENT_TOPLEVEL_XID:
            if (!version->record_toplevel_xid)
                return "invalid block_id 252";
            if (take_fragment_bytes(fragments, 4) == NULL)
                return "record with invalid length";
            break;
        default:
            return "invalid block_id";
        }
    }
    return NULL;
}

/* Of what follows the header, then of the header up to its CRC. */
static uint32_t record_crc(const Version *version, const uint8_t *bytes, size_t size)
{
    const size_t header_size = walrecord_header_size(version);
    const uint8_t *rest = bytes + header_size;

    if (!version->old_wal)
        return crc32c_joined(rest, size - header_size, bytes, 20);
    return old_crc_finish(
        old_crc_update(old_crc_update(OLD_CRC_INIT, rest, size - header_size), bytes, 24));
}

/* The block references since 9.5. Returns what is wrong with the record; NULL: nothing. */
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

bool walrecord_decode(const Version *version, uint32_t block_size, const WalRecordHeader *header,
                      const uint8_t *bytes, Lsn lsn, WalRecord *record, Error *error)
{
    const char *wrong;

    if (record_crc(version, bytes, header->total_length) != header->crc)
        return error_record(version, lsn, error,
                            "incorrect resource manager data checksum in record");

    /* Member by member: there are many blocks, and most records use one. */
    record->lsn = lsn;
    record->end = LSN_INVALID;
    record->prev = header->prev;
    record->total_length = header->total_length;
    record->xid = header->xid;
    record->info = header->info;
    record->rmgr = header->rmgr;
    record->block_count = 0;
    record->data_size = header->old_data_size;
    wrong = version->old_wal ? old_record_take_blocks(version, block_size, bytes, record)
                             : take_blocks_and_data(version, block_size, bytes, record);
    return wrong == NULL || error_record(version, lsn, error, wrong);
}
