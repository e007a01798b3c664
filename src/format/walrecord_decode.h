/*
 * The rest of a WAL record: CRC, block references, where its data is.
 */
#ifndef FORMAT_WALRECORD_DECODE_H
#define FORMAT_WALRECORD_DECODE_H

#include "format/walrecord.h"

/*
 * Parse the rest of a record, whose header walrecord_header_parse found in bytes, of which
 * header->total_length are there. Fails on a CRC that is wrong and on anything that
 * DecodeXLogRecord of the version refuses; block_size is that of data pages.
 *
 * Records of 9.3 and 9.4 do not say which blocks they change: each kind's data is known
 * (walrecord_old.h). A record of another kind, or with other data, gets XLR_SPECIAL_REL_UPDATE and
 * is thereby one that does something unknown to a relation. Only the upper half of the info is then
 * the record's.
 */
MUST_CHECK bool walrecord_decode(const Version *version, uint32_t block_size,
                                 const WalRecordHeader *header, const uint8_t *bytes, Lsn lsn,
                                 WalRecord *record, Error *error);

#endif
