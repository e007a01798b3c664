#include "format/varlena.h"

#include <limits.h>
#include <lz4.h>
#include <zstd.h>

#define HEADER_SIZE 4    /* VARHDRSZ */
#define EXTERNAL_SIZE 18 /* two bytes and varatt_external */
#define EXTERNAL_TAG 18  /* VARTAG_ONDISK */
/* Mask of the size in va_tcinfo and va_extinfo; the bits above are the method (14+), 0 for pglz. */
#define SIZE_MASK 0x3FFFFFFFu
#define METHOD_SHIFT 30
#define METHOD_PGLZ 0
#define METHOD_LZ4 1

/* No compressed byte expands to more: 3 bytes of pglz to 273, 1 byte of lz4 to 255. */
#define EXPANSION_MAX 256

/* ---- Compressed bytes ---- */

/*
 * Decompress pglz (pg_lzcompress.c). Each bit of a control byte, lowest first, describes one of the
 * next eight items: 0 for a byte, 1 for a reference backwards, with 4 bits of length and 12 of
 * distance; the greatest length has a third byte that is added to it.
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

/* ---- Values ---- */

size_t varlena_stored_size(const uint8_t *bytes, size_t size)
{
    size_t stored;

    if (size == 0)
        return 0;
    if (bytes[0] == 1)
        stored = size > 1 && bytes[1] == EXTERNAL_TAG ? EXTERNAL_SIZE : 0;
    else if (bytes[0] & 1)
        stored = bytes[0] >> 1;
    else
        stored = size >= HEADER_SIZE ? load_u32(bytes) >> 2 : 0;
    if (!(bytes[0] & 1) && stored < HEADER_SIZE)
        return 0;
    return stored <= size ? stored : 0;
}

bool varlena_parse(Slice stored, Varlena *varlena, const char **reason)
{
    const size_t size = stored.bytes != NULL ? varlena_stored_size(stored.bytes, stored.size) : 0;
    Cursor cursor = slice_cursor(stored);
    uint32_t raw_size;

    *varlena = (Varlena){0};
    if (size == 0 || size != stored.size)
        return untold(reason, "its length is impossible");
    if (stored.bytes[0] == 1)
    {
        cursor_skip(&cursor, 2);
        raw_size = cursor_u32(&cursor);
        varlena->kind = VARLENA_EXTERNAL;
        varlena->raw_size = raw_size - HEADER_SIZE;
        varlena->stored_size = cursor_u32(&cursor) & SIZE_MASK;
        varlena->value = cursor_u32(&cursor);
        varlena->relation = cursor_u32(&cursor);
        if (raw_size < HEADER_SIZE || varlena->raw_size > SIZE_MASK ||
            varlena->stored_size > varlena->raw_size || varlena->stored_size == 0)
            return untold(reason, "its TOAST pointer has impossible sizes");
        return true;
    }
    const size_t header = stored.bytes[0] & 1 ? 1 : HEADER_SIZE;
    varlena->content = (Slice){stored.bytes + header, size - header};
    varlena->raw_size = (uint32_t) (size - header);
    if ((stored.bytes[0] & 3) != 2)
        return true;
    varlena->kind = VARLENA_COMPRESSED;
    if (varlena->content.size < sizeof(uint32_t))
        return untold(reason, "its compressed bytes have no size");
    varlena->raw_size = load_u32(varlena->content.bytes) & SIZE_MASK;
    return true;
}

/* Decompress content, which begins with size and method, into the empty room. */
static bool expand_compressed(Slice content, uint32_t raw_size, Buffer *room, const char **reason)
{
    Cursor cursor = slice_cursor(content);
    const uint32_t info = cursor_u32(&cursor);
    const size_t size = cursor_left(&cursor);
    const uint32_t method = info >> METHOD_SHIFT;

    if (cursor.failed || (info & SIZE_MASK) != raw_size || raw_size / EXPANSION_MAX > size)
        return untold(reason, "the size of its compressed bytes is impossible");
    buffer_reserve(room, raw_size + 1);
    if (method != METHOD_PGLZ && method != METHOD_LZ4)
        return untold(reason, "its compression method is unknown");
    if (!unpack(method == METHOD_PGLZ ? PACK_PGLZ : PACK_LZ4,
                (Slice){cursor_bytes(&cursor, size), size}, room->bytes, raw_size))
        return untold(reason, "its compressed bytes cannot be expanded");
    room->size = raw_size;
    return true;
}

bool varlena_pieces(const Varlena *varlena, const ToastReader *toast, PieceFunction function,
                    void *context, const char **reason)
{
    uint32_t left = varlena->stored_size;

    if (varlena->kind != VARLENA_EXTERNAL)
        return function(context, varlena->content);
    for (uint32_t sequence = 0; left > 0; sequence++)
    {
        const Slice chunk = toast->chunk(toast->context, varlena, sequence);

        if (chunk.bytes == NULL)
            return untold(reason, "a chunk of the TOASTed value is missing");
        if (chunk.size == 0 || chunk.size > left)
            return untold(reason, "the chunks of the TOASTed value have another size than it has");
        left -= (uint32_t) chunk.size;
        if (!function(context, chunk))
            return false;
    }
    return true;
}

/* A PieceFunction that appends the piece to a Buffer. */
static bool append_piece(void *context, Slice piece)
{
    buffer_append(context, piece.bytes, piece.size);
    return true;
}

bool varlena_expand(Slice stored, const ToastReader *toast, Buffer *room, Slice *value,
                    const char **reason)
{
    Varlena varlena;

    if (!varlena_parse(stored, &varlena, reason))
        return false;
    if (varlena.kind == VARLENA_PLAIN)
    {
        *value = varlena.content;
        return true;
    }
    if (varlena.kind == VARLENA_COMPRESSED)
    {
        if (!expand_compressed(varlena.content, varlena.raw_size, room, reason))
            return false;
    }
    else if (varlena.stored_size == varlena.raw_size)
    {
        if (!varlena_pieces(&varlena, toast, append_piece, room, reason))
            return false;
    }
    else
    {
        AUTO_BUFFER Buffer chunks = {0};

        if (!varlena_pieces(&varlena, toast, append_piece, &chunks, reason) ||
            !expand_compressed((Slice){chunks.bytes, chunks.size}, varlena.raw_size, room, reason))
            return false;
    }
    *value = (Slice){room->bytes, room->size};
    return true;
}
