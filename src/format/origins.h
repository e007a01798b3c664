/*
 * The file of replication origins: those that the server tracked at its last checkpoint or
 * restartpoint. A server loads it before recovery.
 *
 * Layout: CheckPointReplicationOrigin, replication/logical/origin.c, 9.5 to 19: a magic number of
 * four bytes; for each origin its number, padding to eight bytes, and a position; a CRC of four
 * bytes.
 */
#ifndef FORMAT_ORIGINS_H
#define FORMAT_ORIGINS_H

#include "base/buffer.h"

#define ORIGINS_PATH "pg_logical/replorigin_checkpoint"
#define ORIGINS_HEADER_SIZE 4
#define ORIGINS_ITEM_SIZE 16
#define ORIGINS_CRC_SIZE 4
#define ORIGINS_FILE_SIZE_MAX                                                                      \
    ((size_t) UINT16_MAX * ORIGINS_ITEM_SIZE + ORIGINS_HEADER_SIZE + ORIGINS_CRC_SIZE)

/* The number of origins in a file of this size; 0: no file. */
static inline uint32_t origins_count(uint64_t file_size)
{
    const uint64_t least = ORIGINS_HEADER_SIZE + ORIGINS_CRC_SIZE;

    if (file_size > ORIGINS_FILE_SIZE_MAX)
        file_size = ORIGINS_FILE_SIZE_MAX;
    return file_size < least ? 0 : (uint32_t) ((file_size - least) / ORIGINS_ITEM_SIZE);
}

/* True if the file has the origin with this number. */
static inline bool origins_has(const Buffer *file, uint32_t origin)
{
    for (uint32_t i = 0; i < origins_count(file->size); i++)
        if (load_u16(file->bytes + ORIGINS_HEADER_SIZE + (size_t) i * ORIGINS_ITEM_SIZE) == origin)
            return true;
    return false;
}

#endif
