/*
 * The checksum of WAL records and pg_control in 9.3 and 9.4 (utils/pg_crc.h): a CRC-32 with the
 * table of the reflected polynomial in the algorithm of the unreflected one. No other program
 * computes this CRC.
 */
#include "format/crc32c.h"

#include "base/buffer.h"

#include <pthread.h>

#define POLYNOMIAL 0xEDB88320u
#define SLICES 16 /* bytes that one step adds */

/*
 * slices[n][byte] is the value that a byte in the highest place becomes after n + 1 steps of one
 * byte. Steps are linear, so the bytes of a slice are looked up independently and added: 16
 * independent lookups are faster than 16 that wait for each other.
 */
static uint32_t slices[SLICES][256];

static void fill_slices(void)
{
    for (uint32_t byte = 0; byte < 256; byte++)
    {
        uint32_t value = byte;

        for (int bit = 0; bit < 8; bit++)
            value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
        slices[0][byte] = value;
    }
    for (int n = 1; n < SLICES; n++)
        for (uint32_t byte = 0; byte < 256; byte++)
        {
            uint32_t before = slices[n - 1][byte];
            slices[n][byte] = before << 8 ^ slices[0][before >> 24];
        }
}

/* The part that four bytes, the first of them the highest of a word, and `added` contribute to the
 * CRC, if n more bytes follow them. */
static inline uint32_t look_up(uint32_t added, const uint8_t *bytes, int n)
{
    const uint32_t word = added ^ __builtin_bswap32(load_u32(bytes));

    return slices[n + 3][word >> 24] ^ slices[n + 2][word >> 16 & 0xFF] ^
           slices[n + 1][word >> 8 & 0xFF] ^ slices[n][word & 0xFF];
}

uint32_t old_crc_update(uint32_t running, const void *bytes, size_t size)
{
    static pthread_once_t filled = PTHREAD_ONCE_INIT;
    const uint8_t *position = bytes;

    pthread_once(&filled, fill_slices);
    for (; size >= SLICES; position += SLICES, size -= SLICES)
        running = look_up(running, position, 12) ^ look_up(0, position + 4, 8) ^
                  look_up(0, position + 8, 4) ^ look_up(0, position + 12, 0);
    for (; size >= 4; position += 4, size -= 4)
        running = look_up(running, position, 0);
    for (; size > 0; position++, size--)
        running = running << 8 ^ slices[0][running >> 24 ^ *position];
    return running;
}

uint32_t crc_of_version(const Version *version, const void *bytes, size_t size)
{
    if (version->old_wal)
        return crc32c_finish(old_crc_update(CRC32C_INIT, bytes, size));
    return crc32c(bytes, size);
}
