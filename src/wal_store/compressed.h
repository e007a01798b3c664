/*
 * Files as archives keep them: plain, or compressed by gzip, zstd or lz4.
 *
 * Several members or frames one after the other are one file, as for the programs of these names.
 */
#ifndef WAL_STORE_COMPRESSED_H
#define WAL_STORE_COMPRESSED_H

#include "io/file.h"

typedef enum Compression
{
    COMPRESSION_NONE,
    COMPRESSION_GZIP,
    COMPRESSION_ZSTD,
    COMPRESSION_LZ4, /* frames (lz4frame.h), as the program lz4 and pg_receivewal write them */
    COMPRESSION_COUNT
} Compression;

/* The suffix of a compressed file's name: "", ".gz", ".zst", ".lz4". Static. */
const char *compression_suffix(Compression compression);

/*
 * Write the uncompressed content of one file, from its offset, to the start of another: *size
 * bytes; with COMPRESSION_NONE copy it. Bytes that are damaged, that end early, or that are more
 * than limit are errors with the file's name; not more than limit is written.
 */
MUST_CHECK bool compressed_expand(Compression compression, const FileRange *from,
                                  const FileRange *to, uint64_t limit, uint64_t *size,
                                  Error *error);

#endif
