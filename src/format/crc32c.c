#include "format/crc32c.h"

#include <isa-l/crc.h>

/* crc32_iscsi takes an int, and neither inverts at the beginning nor at the end. */
#define PIECE_MAX ((size_t) 1 << 30)

uint32_t crc32c_update(uint32_t running, const void *bytes, size_t size)
{
    unsigned char *position = (unsigned char *) bytes; /* only read, though not declared const */

    while (size > PIECE_MAX)
    {
        running = crc32_iscsi(position, (int) PIECE_MAX, running);
        position += PIECE_MAX;
        size -= PIECE_MAX;
    }
    return crc32_iscsi(position, (int) size, running);
}

uint32_t crc32c_finish(uint32_t running)
{
    return running ^ 0xFFFFFFFFu;
}

uint32_t crc32c(const void *bytes, size_t size)
{
    return crc32c_finish(crc32c_update(CRC32C_INIT, bytes, size));
}
