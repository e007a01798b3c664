/*
 * The checksum of WAL records and pg_control in 9.3 and 9.4 (utils/pg_crc.h): the table of the
 * mirrored CRC-32 polynomial, used as if it were not mirrored. It is no CRC that others compute.
 */
#ifndef FORMAT_OLD_CRC_H
#define FORMAT_OLD_CRC_H

#include "format/versions.h"

#include <stddef.h>
#include <stdint.h>

#define OLD_CRC_INIT 0xFFFFFFFFu

/* Go on with a running value (begin with OLD_CRC_INIT); end with old_crc_finish. */
uint32_t old_crc_update(uint32_t running, const void *bytes, size_t size);
uint32_t old_crc_finish(uint32_t running);

/* The checksum that a version's pg_control has, of one piece. */
uint32_t crc_of_version(const Version *version, const void *bytes, size_t size);

#endif
