/*
 * The blocks of records of 9.3 and 9.4, whose headers do not name them: each kind's data is known
 * here, as the redo routines read it.
 */
#ifndef FORMAT_WALRECORD_OLD_H
#define FORMAT_WALRECORD_OLD_H

#include "format/walrecord.h"

/*
 * Sets the block references and the data of a record with total_length, info, rmgr, and the
 * header's data_size, whose bytes begin with its header. Returns what is wrong with the record, a
 * static string; NULL: nothing. See walrecord_decode for records that are not known.
 */
const char *old_record_take_blocks(const Version *version, uint32_t block_size,
                                   const uint8_t *bytes, WalRecord *record);

#endif
