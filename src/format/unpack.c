#include "format/unpack.h"

#include <limits.h>
#include <lz4.h>
#include <zstd.h>

/*
 * pg_lzcompress.c: a control byte tells of the next eight items, lowest bit first, whether each is
 * a byte (0) or a reference backwards: 4 bits of length, 12 of distance, and for the greatest
 * length a third byte that is added to it.
 */
static bool unpack_pglz(Cursor *from, uint8_t *to, size_t size)
{
    size_t done = 0;

    while (cursor_left(from) > 0 && done < size)
    {
        unsigned control = cursor_u8(from);

        for (int item = 0; item < 8 && cursor_left(from) > 0 && done < size; item++, control >>= 1)
        {
            const uint8_t first = cursor_u8(from);

            if (!(control & 1))
            {
                to[done++] = first;
                continue;
            }
            size_t length = (first & 0x0Fu) + 3;
            const size_t distance = (first & 0xF0u) << 4 | cursor_u8(from);
            if (length == 18)
                length += cursor_u8(from);
            if (from->failed || distance == 0 || distance > done)
                return false;
            for (length = length < size - done ? length : size - done; length > 0; length--, done++)
                to[done] = to[done - distance];
        }
    }
    return done == size && cursor_left(from) == 0;
}

bool unpack(PackMethod method, Slice packed, uint8_t *bytes, size_t size)
{
    Cursor cursor = slice_cursor(packed);

    if (packed.size > INT_MAX || size > INT_MAX)
        return false;
    switch (method)
    {
    case PACK_PGLZ:
        return unpack_pglz(&cursor, bytes, size);
    case PACK_LZ4:
        return LZ4_decompress_safe((const char *) packed.bytes, (char *) bytes, (int) packed.size,
                                   (int) size) == (int) size;
    default:
        return ZSTD_decompress(bytes, size, packed.bytes, packed.size) == size;
    }
}
