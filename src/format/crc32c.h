/*
 * CRC-32C, the checksum of WAL records and pg_control since 9.5 (port/pg_crc32c.h).
 */
#ifndef FORMAT_CRC32C_H
#define FORMAT_CRC32C_H

#include <stddef.h>
#include <stdint.h>

#define CRC32C_INIT 0xFFFFFFFFu

/* Go on with a running value (begin with CRC32C_INIT); end with crc32c_finish. ISA-L dispatches to
 * the CPU. */
uint32_t crc32c_update(uint32_t running, const void *bytes, size_t size);
uint32_t crc32c_finish(uint32_t running);
uint32_t crc32c(const void *bytes, size_t size); /* of one piece, init to finish */

/* The CRC of two pieces, one after the other, which a WAL record needs. Short ones are the fast
 * case. */
uint32_t crc32c_joined(const void *first, size_t first_size, const void *second,
                       size_t second_size);

#endif
