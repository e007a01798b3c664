/*
 * One WAL record: its type, its header, its block references, and where its data is
 * (walrecord_decode.c; of 9.3 and 9.4 walrecord_old.c). wal_event.h reads the few payloads that we
 * understand.
 */
#ifndef FORMAT_WALRECORD_H
#define FORMAT_WALRECORD_H

#include "base/buffer.h"
#include "format/versions.h"

#define WAL_RECORD_BLOCKS_MAX 255       /* 33 since 9.5; before, a split of a gist page has more */
#define WAL_RECORD_SIZE_MAX 0x3FFFFFFFu /* what any reader can allocate (MaxAllocSize) */

#define FORK_MAIN 0
#define FORK_FSM 1
#define FORK_VM 2
#define FORK_INIT 3

#define RM_CUSTOM_MIN 128 /* RM_MIN_CUSTOM_ID, access/rmgr.h, 15 and later */

#define WAL_OPCODE_MASK 0xF0 /* of info; Transaction and the two of Heap have one bit less */
#define XLR_SPECIAL_REL_UPDATE 0x01

/* Opcodes that several files look at. */
#define XLOG_SWITCH 0x40       /* catalog/pg_control.h */
#define XLOG_FPI_FOR_HINT 0xA0 /* likewise, 9.5 to 19; before, any full-page image */
#define SMGR_TRUNCATE 0x20     /* catalog/storage_xlog.h */
#define REPLORIGIN_DROP 0x10   /* replication/origin.h, XLOG_REPLORIGIN_DROP */
#define HEAP_OPCODE_MASK 0x70  /* access/heapam_xlog.h, 9.3 to 19 */
#define HEAP_NEWPAGE_OLD 0x50  /* likewise, 9.3 and 9.4 */
#define HEAP_INSERT 0x00
#define HEAP_DELETE 0x10
#define HEAP_UPDATE 0x20
#define HEAP_HOT_UPDATE 0x40
#define HEAP_INPLACE 0x70
#define HEAP2_MULTI_INSERT 0x50
#define HEAP2_LOCK_UPDATED 0x60

#define FIRST_NORMAL_OID 16384 /* FirstNormalObjectId, access/transam.h: below are catalogs */

/* A relation: tablespace, database (0: shared), relfilenode. */
typedef struct RelationId
{
    Oid tablespace;
    Oid database;
    Oid relation;
} RelationId;

#define RELATION_ID_SIZE 12 /* RelFileLocator, before 16 RelFileNode */

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
    bool image_applies; /* an image that redo restores, not one for consistency checks only */
    bool will_init;
    uint8_t image_info;              /* bimg_info; this and the following since 9.5 */
    uint16_t image_size, data_size;  /* as they stand there; 0: none */
    uint16_t hole_offset, hole_size; /* of the image, if there is one, expanded */
    RelationId relation;
    BlockNumber block;
} BlockReference;

/* Pointers are into the bytes the record was parsed from. */
typedef struct WalRecord
{
    Lsn lsn;  /* where it starts */
    Lsn end;  /* set by the reader: where it ends, aligned; after a switch the next segment */
    Lsn prev; /* where the record before starts */
    uint32_t total_length;
    uint32_t xid;
    uint32_t crc;
    uint8_t info;
    uint8_t rmgr;
    uint8_t block_count;
    BlockReference blocks[WAL_RECORD_BLOCKS_MAX];
    const uint8_t *data; /* main data */
    uint32_t data_size;
} WalRecord;

static inline uint8_t walrecord_opcode(const WalRecord *record)
{
    return record->info & WAL_OPCODE_MASK;
}

/* A full-page image for a hint: reading a page can set hints, so it is no change. */
static inline bool walrecord_is_hint_image(const WalRecord *record)
{
    return record->rmgr == RM_XLOG && walrecord_opcode(record) == XLOG_FPI_FOR_HINT;
}

/* Of 9.3 and 9.4: the data of the record is the page of its only block (log_newpage). Since 9.5
 * such a page is an image like others. */
static inline bool walrecord_is_new_page(const Version *version, const WalRecord *record)
{
    return version->old_wal && record->rmgr == RM_HEAP && record->block_count == 1 &&
           (record->info & HEAP_OPCODE_MASK) == HEAP_NEWPAGE_OLD;
}

/* SizeOfXLogRecord: access/xlogrecord.h, 9.5 to 19; access/xlog.h, 9.3 and 9.4. */
#define WAL_RECORD_HEADER_SIZE 24
#define WAL_RECORD_OLD_HEADER_SIZE 32
static inline uint32_t walrecord_header_size(const Version *version)
{
    return version->old_wal ? WAL_RECORD_OLD_HEADER_SIZE : WAL_RECORD_HEADER_SIZE;
}

/*
 * Read the header, before all bytes are there and the CRC can be checked: a length from that of the
 * header to WAL_RECORD_SIZE_MAX, a resource manager of the version, a prev that lies before lsn.
 * Sets the members of the header, and of 9.3 and 9.4 data_size. Messages as xlogreader.c of 16 and
 * later.
 */
MUST_CHECK bool walrecord_header_parse(const Version *version, const uint8_t *bytes, size_t size,
                                       Lsn lsn, WalRecord *record, Error *error);

/*
 * Parse the rest of a record, whose header walrecord_header_parse found in bytes, of which
 * record->total_length are there. Fails on a CRC that is wrong and on anything that
 * DecodeXLogRecord of the version refuses; block_size is that of data pages.
 */
MUST_CHECK bool walrecord_decode(const Version *version, uint32_t block_size, const uint8_t *bytes,
                                 WalRecord *record, Error *error);

/*
 * walrecord_decode for records of 9.3 and 9.4, which do not say which blocks they change: each
 * kind's data is known, as the redo routines read it. A record of another kind, or with other data,
 * gets XLR_SPECIAL_REL_UPDATE and is thereby one that does something unknown to a relation. Only
 * the upper half of the info is then the record's. Returns what is wrong with the record, a static
 * string; NULL: nothing.
 */
const char *old_record_take_blocks(const Version *version, uint32_t block_size,
                                   const uint8_t *bytes, WalRecord *record);

/* The data that a record has for the page of record->blocks[index]; since 9.5. Nothing in 9.3 and
 * 9.4, where it is part of the main data. */
Slice walrecord_block_data(const Version *version, uint32_t block_size, const WalRecord *record,
                           unsigned index);

/* Set page to the image of record->blocks[index], which has one, or is that of a new page. False:
 * its bytes are damaged, or compressed by a method that we do not know. */
MUST_CHECK bool walrecord_restore_image(const Version *version, uint32_t block_size,
                                        const WalRecord *record, unsigned index, uint8_t *page);

/* Name of a resource manager as pg_waldump prints it; "custom" from 128 on. */
const char *walrecord_rmgr_name(uint8_t rmgr);

#endif
