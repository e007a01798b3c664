/*
 * The checksums of WAL records and pg_control: CRC-32C since 9.5 (port/pg_crc32c.h), and the
 * checksum of 9.3 and 9.4 (old_crc.c).
 */
#ifndef FORMAT_CRC32C_H
#define FORMAT_CRC32C_H

#include "format/versions.h"

#define CRC32C_INIT 0xFFFFFFFFu

/* Add bytes, less than 2 GB, to a running CRC that began as CRC32C_INIT; crc32c_finish ends it.
 * ISA-L chooses the code for the CPU. */
uint32_t crc32c_update(uint32_t running, const void *bytes, size_t size);
uint32_t crc32c_finish(uint32_t running);
uint32_t crc32c(const void *bytes, size_t size); /* CRC of one piece, from init to finish */

/* The CRC of two pieces together, as a WAL record needs it. Pieces of at most 256 bytes are
 * fastest. */
uint32_t crc32c_joined(const void *first, size_t first_size, const void *second,
                       size_t second_size);

/* Like crc32c_update for the checksum of 9.3 and 9.4, with the same CRC32C_INIT and
 * crc32c_finish. */
uint32_t old_crc_update(uint32_t running, const void *bytes, size_t size);

/* The checksum that pg_control has in this version, of one piece. */
uint32_t crc_of_version(const Version *version, const void *bytes, size_t size);

#endif
