/*
 * Files as archives keep them: plain, or compressed by gzip, zstd or lz4.
 *
 * Several members or frames one after the other are one file, as for the programs of these names.
 */
#ifndef WAL_STORE_COMPRESSED_H
#define WAL_STORE_COMPRESSED_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum Compression
{
    COMPRESSION_NONE,
    COMPRESSION_GZIP,
    COMPRESSION_ZSTD,
    COMPRESSION_LZ4, /* frames (lz4frame.h), as the program lz4 and pg_receivewal write them */
    COMPRESSION_COUNT
} Compression;

/* How names of such files end: "", ".gz", ".zst", ".lz4". */
const char *compression_suffix(Compression compression);

/*
 * Write the content of the file open as fd to to_fd, from its start: *size bytes. Bytes that are
 * damaged, that end early, or that are more than limit are errors with the file's name; not more
 * than limit is written.
 */
MUST_CHECK bool compressed_expand(Compression compression, int fd, const char *path, int to_fd,
                                  const char *to_path, uint64_t limit, uint64_t *size,
                                  Error *error);

#endif
