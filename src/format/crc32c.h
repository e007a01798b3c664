/*
 * The checksums of WAL records and pg_control: CRC-32C since 9.5 (port/pg_crc32c.h), and that
 * of 9.3 and 9.4 (old_crc.c).
 */
#ifndef FORMAT_CRC32C_H
#define FORMAT_CRC32C_H

#include "format/versions.h"

#define CRC32C_INIT 0xFFFFFFFFu

/* Go on with a running value (begin with CRC32C_INIT), by less than 2 GB; end with crc32c_finish.
 * ISA-L dispatches to the CPU. */
uint32_t crc32c_update(uint32_t running, const void *bytes, size_t size);
uint32_t crc32c_finish(uint32_t running);
uint32_t crc32c(const void *bytes, size_t size); /* of one piece, init to finish */

/* The CRC of two pieces, one after the other, which a WAL record needs. Short ones are the fast
 * case. */
uint32_t crc32c_joined(const void *first, size_t first_size, const void *second,
                       size_t second_size);

/* Likewise for 9.3 and 9.4, with the same beginning and end. */
uint32_t old_crc_update(uint32_t running, const void *bytes, size_t size);

/* The checksum that a version's pg_control has, of one piece. */
uint32_t crc_of_version(const Version *version, const void *bytes, size_t size);

#endif
