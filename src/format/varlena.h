/*
 * Values of variable length (varlena; varatt.h, postgres.h before 16; the same in 9.3 to 19): their
 * headers, compressed values, and values in a TOAST table.
 */
#ifndef FORMAT_VARLENA_H
#define FORMAT_VARLENA_H

#include "base/buffer.h"
#include "format/versions.h"

/* Compression methods of values in rows and of full-page images in WAL; lz4 and pglz data has no
 * frame. */
typedef enum PackMethod
{
    PACK_PGLZ,
    PACK_LZ4,
    PACK_ZSTD
} PackMethod;

/* Decompress into exactly `size` bytes. Returns false if the packed bytes are damaged or give
 * another size. */
MUST_CHECK bool unpack(PackMethod method, Slice packed, uint8_t *bytes, size_t size);

typedef enum VarlenaKind
{
    VARLENA_PLAIN,      /* in the row, with a header of one or four bytes */
    VARLENA_COMPRESSED, /* in the row, compressed by pglz or lz4 */
    VARLENA_EXTERNAL    /* in a TOAST table, compressed there if stored_size < raw_size */
} VarlenaKind;

typedef struct Varlena
{
    VarlenaKind kind;
    Slice content; /* VARLENA_PLAIN: the value; VARLENA_COMPRESSED: size and method, then compressed
                      bytes */
    uint32_t raw_size;    /* bytes of the expanded value, without a header */
    uint32_t stored_size; /* VARLENA_EXTERNAL: bytes of all chunks together */
    Oid value, relation;  /* external: chunk_id, and OID of the TOAST table */
} Varlena;

/* The size of the value that begins at `bytes`, with its header; 0 if no value can begin there. */
size_t varlena_stored_size(const uint8_t *bytes, size_t size);

/* Parse the header of a stored value; content points into its bytes. Returns false, with *reason,
 * for bytes that no server stores. */
MUST_CHECK bool varlena_parse(Slice stored, Varlena *varlena, const char **reason);

/* Find the chunk of an external value with this chunk_seq. Returns its chunk_data without a header,
 * valid until the next call; bytes NULL if the chunk was not found. */
typedef Slice (*ToastChunkFunction)(void *context, const Varlena *pointer, uint32_t sequence);

typedef struct ToastReader
{
    ToastChunkFunction chunk;
    void *context;
} ToastReader;

/*
 * Get the value of a stored varlena, decompressed and without a header. *value points into the
 * stored bytes, or into `room`, which must be empty and which the caller frees. Returns false, with
 * *reason, for damaged bytes or a missing chunk.
 */
MUST_CHECK bool varlena_expand(Slice stored, const ToastReader *toast, Buffer *room, Slice *value,
                               const char **reason);

/*
 * Call the function for each piece of the value as it is stored: once for a plain or compressed
 * value, for each chunk of an external one. Returns false if a chunk is missing, and if the
 * function returns false; then *reason is not set.
 */
typedef bool (*PieceFunction)(void *context, Slice piece);
MUST_CHECK bool varlena_pieces(const Varlena *varlena, const ToastReader *toast,
                               PieceFunction function, void *context, const char **reason);

#endif
