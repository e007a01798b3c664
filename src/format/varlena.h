/*
 * Values of variable length (varlena; varatt.h, postgres.h before 16; alike in 9.3 to 19): their
 * headers, compressed ones, and those that a TOAST table has.
 */
#ifndef FORMAT_VARLENA_H
#define FORMAT_VARLENA_H

#include "base/buffer.h"
#include "format/versions.h"

/* Values in rows and full-page images in WAL are compressed by the same methods, without a frame.
 */
typedef enum PackMethod
{
    PACK_PGLZ,
    PACK_LZ4,
    PACK_ZSTD
} PackMethod;

/* Expand into `size` bytes. False unless all that is packed makes exactly these. */
MUST_CHECK bool unpack(PackMethod method, Slice packed, uint8_t *bytes, size_t size);

typedef enum VarlenaKind
{
    VARLENA_PLAIN,      /* with a header of one byte or of four */
    VARLENA_COMPRESSED, /* by pglz or lz4, in the row */
    VARLENA_EXTERNAL    /* in a TOAST table, compressed there if stored_size < raw_size */
} VarlenaKind;

typedef struct Varlena
{
    VarlenaKind kind;
    Slice content;        /* plain: the value. Compressed: its size and method, then its bytes */
    uint32_t raw_size;    /* of the expanded value, without a header */
    uint32_t stored_size; /* external: of all chunks */
    Oid value, relation;  /* external: chunk_id, and the TOAST table in pg_class */
} Varlena;

/* The size of the value that begins there, with its header; 0: no value begins so. */
size_t varlena_stored_size(const uint8_t *bytes, size_t size);

/* False for bytes that no server stores. The content points into the stored bytes. */
MUST_CHECK bool varlena_parse(Slice stored, Varlena *varlena, const char **reason);

/* The chunk of an external value with that chunk_seq: chunk_data without a header, valid until the
 * next call; bytes NULL: it was not found. */
typedef Slice (*ToastChunkFunction)(void *context, const Varlena *pointer, uint32_t sequence);

typedef struct ToastReader
{
    ToastChunkFunction chunk;
    void *context;
} ToastReader;

/*
 * The value of a stored varlena, without a header: *value points into the stored bytes, or into
 * `room`, which must be empty and is the caller's to free. False for damaged bytes and if a chunk
 * is missing.
 */
MUST_CHECK bool varlena_expand(Slice stored, const ToastReader *toast, Buffer *room, Slice *value,
                               const char **reason);

/*
 * Call the function for each piece of the value as it is stored: all of a plain or compressed one,
 * each chunk of an external one. False if a chunk is missing; also if the function returns false,
 * and then *reason is not set.
 */
typedef bool (*PieceFunction)(void *context, Slice piece);
MUST_CHECK bool varlena_pieces(const Varlena *varlena, const ToastReader *toast,
                               PieceFunction function, void *context, const char **reason);

#endif
