/*
 * What walrecord.c and walrecord_old.c share: readers of numbers, and the decoder of 9.3 and 9.4,
 * which walrecord.c's public functions call when the version's row says old_wal.
 */
#ifndef FORMAT_WALRECORD_PARTS_H
#define FORMAT_WALRECORD_PARTS_H

#include "format/walrecord.h"

#define RELATION_ID_SIZE 12 /* RelFileLocator, before 16 RelFileNode */

/* Loads are spelled so that the compiler makes one instruction of each. */
static inline uint16_t u16_at(const uint8_t *bytes)
{
    return (uint16_t) (bytes[0] | bytes[1] << 8);
}

static inline uint32_t u32_at(const uint8_t *bytes)
{
    return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 |
           (uint32_t) bytes[3] << 24;
}

static inline uint64_t u64_at(const uint8_t *bytes)
{
    return (uint64_t) u32_at(bytes + 4) << 32 | u32_at(bytes);
}

static inline RelationId relation_at(const uint8_t *bytes)
{
    return (RelationId){
        .tablespace = u32_at(bytes), .database = u32_at(bytes + 4), .relation = u32_at(bytes + 8)};
}

/* Sets "WHAT at LSN". Returns false. */
bool error_record(const Version *version, Lsn lsn, Error *error, const char *what);

/* Of a header that is parsed: its length, and where it comes from (resource manager, prev). */
MUST_CHECK bool walrecord_check_length(const Version *version, const WalRecordHeader *header,
                                       uint32_t header_size, Lsn lsn, Error *error);
MUST_CHECK bool walrecord_check_origin(const Version *version, const WalRecordHeader *header,
                                       Lsn lsn, Error *error);

/* walrecord_header_parse, walrecord_decode */
MUST_CHECK bool walrecord_old_header_parse(const Version *version, const uint8_t *bytes,
                                           size_t size, Lsn lsn, WalRecordHeader *header,
                                           Error *error);
MUST_CHECK bool walrecord_old_decode(const Version *version, uint32_t block_size,
                                     const WalRecordHeader *header, const uint8_t *bytes, Lsn lsn,
                                     WalRecord *record, Error *error);

/* The event of a commit or an abort, but not of PREPARE; as in walrecord_event all of the data is
 * read. */
void walrecord_old_xact_end(const WalRecord *record, Cursor *cursor, WalEvent *event);

#endif
