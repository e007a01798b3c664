/*
 * Values in rows and full-page images in WAL are compressed by the same methods, without a frame.
 */
#ifndef FORMAT_UNPACK_H
#define FORMAT_UNPACK_H

#include "base/buffer.h"

typedef enum PackMethod
{
    PACK_PGLZ,
    PACK_LZ4,
    PACK_ZSTD
} PackMethod;

/* Expand into `size` bytes. False unless all that is packed makes exactly these. */
MUST_CHECK bool unpack(PackMethod method, Slice packed, uint8_t *bytes, size_t size);

#endif
