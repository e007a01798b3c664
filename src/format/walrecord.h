/*
 * One WAL record: type, header, block references, and the place of its data (walrecord_decode.c;
 * walrecord_old.c for 9.3 and 9.4). wal_event.h decodes the data of some kinds of records.
 */
#ifndef FORMAT_WALRECORD_H
#define FORMAT_WALRECORD_H

#include "base/buffer.h"
#include "format/versions.h"

/* Limit of block references: 33 since 9.5; before, a split of a gist page can have more. */
#define WAL_RECORD_BLOCKS_MAX 255
#define WAL_RECORD_SIZE_MAX 0x3FFFFFFFu /* largest that servers can allocate */

#define FORK_MAIN 0
#define FORK_FSM 1
#define FORK_VM 2
#define FORK_INIT 3

#define RM_CUSTOM_MIN 128 /* RM_MIN_CUSTOM_ID, access/rmgr.h, 15 and later */

/* Opcode bits of info; in the resource managers Transaction, Heap and Heap2 only 0x70. */
#define WAL_OPCODE_MASK 0xF0
#define XLR_SPECIAL_REL_UPDATE 0x01

/* Opcodes that more than one file uses. */
#define XLOG_SWITCH 0x40 /* catalog/pg_control.h */
/* catalog/pg_control.h; in 9.3 and 9.4 the opcode of all full-page images. */
#define XLOG_FPI_FOR_HINT 0xA0
#define SMGR_TRUNCATE 0x20    /* catalog/storage_xlog.h */
#define REPLORIGIN_SET 0x00   /* replication/origin.h, XLOG_REPLORIGIN_SET */
#define REPLORIGIN_DROP 0x10  /* replication/origin.h, XLOG_REPLORIGIN_DROP */
#define HEAP_OPCODE_MASK 0x70 /* access/heapam_xlog.h, 9.3 to 19 */
#define HEAP_NEWPAGE_OLD 0x50 /* access/heapam_xlog.h, 9.3 and 9.4 */
#define HEAP_INSERT 0x00
#define HEAP_DELETE 0x10
#define HEAP_UPDATE 0x20
#define HEAP_HOT_UPDATE 0x40
#define HEAP_INPLACE 0x70
#define HEAP2_MULTI_INSERT 0x50
#define HEAP2_LOCK_UPDATED 0x60

#define FIRST_NORMAL_OID 16384 /* FirstNormalObjectId, access/transam.h; lower: catalogs */

/* A relation's storage: tablespace, database (0 if shared) and relfilenode (RelFileLocator, before
 * 16 RelFileNode). */
typedef struct RelationId
{
    Oid tablespace;
    Oid database;
    Oid relation;
} RelationId;

#define RELATION_ID_SIZE 12 /* bytes of a RelFileLocator in WAL */

static inline RelationId relation_at(const uint8_t *bytes)
{
    return (RelationId){.tablespace = load_u32(bytes),
                        .database = load_u32(bytes + 4),
                        .relation = load_u32(bytes + 8)};
}

typedef struct BlockReference
{
    uint8_t id;
    uint8_t fork;
    bool has_image;
    bool image_applies; /* redo restores the image: it is not only for consistency checks */
    bool will_init;
    uint8_t image_info;             /* bimg_info; set since 9.5, like the sizes and offsets below */
    uint16_t image_size, data_size; /* bytes in the record, as compressed, or 0 */
    uint16_t hole_offset, hole_size; /* hole of the expanded image */
    RelationId relation;
    BlockNumber block;
} BlockReference;

/* A WAL record. Pointers point into the bytes from which the record was parsed. */
typedef struct WalRecord
{
    Lsn lsn;  /* start of the record */
    Lsn end;  /* aligned end of the record, set by the reader; after a switch, the start of the next
                 segment */
    Lsn prev; /* start of the previous record */
    uint32_t total_length;
    uint32_t xid;
    uint32_t crc;
    uint8_t info;
    uint8_t rmgr;
    uint8_t block_count;
    uint16_t origin; /* number of the replication origin of the transaction; 0: none */
    BlockReference blocks[WAL_RECORD_BLOCKS_MAX];
    const uint8_t *data; /* main data of the record */
    uint32_t data_size;
} WalRecord;

static inline uint8_t walrecord_opcode(const WalRecord *record)
{
    return record->info & WAL_OPCODE_MASK;
}

/* True for a full-page image that was logged for a hint bit. Reading a page can set hint bits, so
 * such a record does not count as a change. */
static inline bool walrecord_is_hint_image(const WalRecord *record)
{
    return record->rmgr == RM_XLOG && walrecord_opcode(record) == XLOG_FPI_FOR_HINT;
}

/* True for a record of 9.3 or 9.4 whose main data is the page of its only block (log_newpage).
 * Since 9.5 such a page is an image like others. */
static inline bool walrecord_is_new_page(const Version *version, const WalRecord *record)
{
    return version->old_wal && record->rmgr == RM_HEAP && record->block_count == 1 &&
           (record->info & HEAP_OPCODE_MASK) == HEAP_NEWPAGE_OLD;
}

/* Bytes of a record's header (SizeOfXLogRecord): access/xlogrecord.h, 9.5 to 19; access/xlog.h, 9.3
 * and 9.4. */
#define WAL_RECORD_HEADER_SIZE 24
#define WAL_RECORD_OLD_HEADER_SIZE 32
static inline uint32_t walrecord_header_size(const Version *version)
{
    return version->old_wal ? WAL_RECORD_OLD_HEADER_SIZE : WAL_RECORD_HEADER_SIZE;
}

/*
 * Parse the header only, so that a reader learns the length before it has all bytes. Checks the
 * length (from that of the header to WAL_RECORD_SIZE_MAX), the resource manager, and that prev is
 * before lsn; the CRC cannot be checked yet. Sets the members of the header, and data_size in 9.3
 * and 9.4. Messages are those of xlogreader.c of 16 and later.
 */
MUST_CHECK bool walrecord_header_parse(const Version *version, const uint8_t *bytes, size_t size,
                                       Lsn lsn, WalRecord *record, Error *error);

/*
 * Parse the rest of a record after walrecord_header_parse; bytes hold record->total_length bytes.
 * Fails on a wrong CRC and on anything that DecodeXLogRecord of the version refuses. block_size is
 * that of data pages.
 */
MUST_CHECK bool walrecord_decode(const Version *version, uint32_t block_size, const uint8_t *bytes,
                                 WalRecord *record, Error *error);

/*
 * The part of walrecord_decode for 9.3 and 9.4, whose records have no block references: the blocks
 * are found in each kind's data, as the redo routines read it. A record of another kind, or with
 * other data, gets XLR_SPECIAL_REL_UPDATE, so that it counts as an unknown change of a relation.
 * The lower half of info, which has the flags of backup blocks, is cleared first. The data of a
 * multi-insert begins after relation and block, as in later versions. Returns what is wrong with
 * the record, a static string; NULL if nothing is.
 */
const char *old_record_take_blocks(const Version *version, uint32_t block_size,
                                   const uint8_t *bytes, WalRecord *record);

/* The data in the record for the page of record->blocks[index], since 9.5. Empty in 9.3 and 9.4,
 * where it is part of the main data. */
Slice walrecord_block_data(const Version *version, uint32_t block_size, const WalRecord *record,
                           unsigned index);

/* Restore the full-page image of record->blocks[index] to page, with zeros in its hole. The block
 * must have an image, or be that of a new page (walrecord_is_new_page). Returns false if the image
 * is damaged, or compressed by an unknown method. */
MUST_CHECK bool walrecord_restore_image(const Version *version, uint32_t block_size,
                                        const WalRecord *record, unsigned index, uint8_t *page);

/* Name of a resource manager as pg_waldump prints it; "custom" for ids from RM_CUSTOM_MIN on. */
const char *walrecord_rmgr_name(uint8_t rmgr);

#endif
