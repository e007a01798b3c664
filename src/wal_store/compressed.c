#include "wal_store/compressed.h"

#include "base/workers.h"

#include <lz4frame.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>

#define INPUT_SIZE 65536
#define OUTPUT_SIZE 131072

/* One file that is being expanded. */
typedef struct Expansion
{
    /* The library's state: one of these. */
    z_stream gzip;
    ZSTD_DCtx *zstd;
    LZ4F_dctx *lz4;

    FileRange from;
    FileRange to;
    uint64_t limit;
    uint64_t size;          /* written */
    bool whole;             /* a member or frame ends here, and all of it has been put out */
    const uint8_t *next_in; /* bytes that were read and not taken yet */
    size_t in_size;
    uint8_t *next_out; /* the room for bytes to be written */
    size_t out_size;
    uint8_t input[INPUT_SIZE];
    uint8_t output[OUTPUT_SIZE];
} Expansion;

/* Take from the input, put into the output, and move both on. False with the library's words for
 * what is wrong. */
typedef bool (*StepFunction)(Expansion *expansion, const char **reason);

static bool step_gzip(Expansion *expansion, const char **reason)
{
    z_stream *stream = &expansion->gzip;
    int result;

    if (expansion->whole) /* another member may follow */
        inflateReset(stream);
    stream->next_in = (Bytef *) expansion->next_in; /* not written to */
    stream->avail_in = (uInt) expansion->in_size;
    stream->next_out = expansion->next_out;
    stream->avail_out = (uInt) expansion->out_size;
    result = inflate(stream, Z_NO_FLUSH);
    if (result == Z_MEM_ERROR)
        out_of_memory();
    expansion->next_in = stream->next_in;
    expansion->in_size = stream->avail_in;
    expansion->next_out = stream->next_out;
    expansion->out_size = stream->avail_out;
    expansion->whole = result == Z_STREAM_END;
    *reason = stream->msg != NULL ? stream->msg : zError(result);
    return result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR;
}

static bool step_zstd(Expansion *expansion, const char **reason)
{
    ZSTD_inBuffer input = {.src = expansion->next_in, .size = expansion->in_size};
    ZSTD_outBuffer output = {.dst = expansion->next_out, .size = expansion->out_size};
    size_t result = ZSTD_decompressStream(expansion->zstd, &output, &input);

    expansion->next_in += input.pos;
    expansion->in_size -= input.pos;
    expansion->next_out += output.pos;
    expansion->out_size -= output.pos;
    expansion->whole = result == 0;
    *reason = ZSTD_getErrorName(result);
    return !ZSTD_isError(result);
}

static bool step_lz4(Expansion *expansion, const char **reason)
{
    size_t taken = expansion->in_size, put = expansion->out_size;
    size_t result = LZ4F_decompress(expansion->lz4, expansion->next_out, &put, expansion->next_in,
                                    &taken, NULL);

    *reason = LZ4F_getErrorName(result);
    if (LZ4F_isError(result))
        return false;
    expansion->next_in += taken;
    expansion->in_size -= taken;
    expansion->next_out += put;
    expansion->out_size -= put;
    expansion->whole = result == 0;
    return true;
}

static const struct Method
{
    const char *suffix;
    StepFunction step;
} methods[COMPRESSION_COUNT] = {
    [COMPRESSION_NONE] = {"", NULL}, /* copied as it is */
    [COMPRESSION_GZIP] = {".gz", step_gzip},
    [COMPRESSION_ZSTD] = {".zst", step_zstd},
    [COMPRESSION_LZ4] = {".lz4", step_lz4},
};

const char *compression_suffix(Compression compression)
{
    return methods[compression].suffix;
}

static bool error_too_large(const char *path, uint64_t limit, Error *error)
{
    return error_set(error, ERROR_FAILED, "file \"%s\" holds more than %llu bytes", path,
                     (unsigned long long) limit);
}

/* Expand `length` bytes of the input, and all that can be put out after them, and write it. */
static bool expand_input(Expansion *expansion, StepFunction step, size_t length, Error *error)
{
    bool filled = false;

    expansion->next_in = expansion->input;
    expansion->in_size = length;
    while (expansion->in_size > 0 || (filled && !expansion->whole))
    {
        size_t before = expansion->in_size, put;
        const char *reason = "";

        expansion->next_out = expansion->output;
        expansion->out_size = OUTPUT_SIZE;
        if (!step(expansion, &reason))
            return error_set(error, ERROR_FAILED, "compressed file \"%s\" is damaged: %s",
                             expansion->from.path, reason);
        /* No library promises to get on with every input. */
        if (before > 0 && expansion->in_size == before && expansion->out_size == OUTPUT_SIZE)
            return error_set(error, ERROR_FAILED, "compressed file \"%s\" is damaged: %s",
                             expansion->from.path, "nothing follows from its bytes");
        filled = expansion->out_size == 0;
        put = OUTPUT_SIZE - expansion->out_size;
        if (!stop_check(error))
            return false;
        if (put > expansion->limit - expansion->size)
            return error_too_large(expansion->from.path, expansion->limit, error);
        if (!file_write_at(expansion->to.fd, expansion->to.path, expansion->output, put,
                           expansion->size, error))
            return false;
        expansion->size += put;
    }
    return true;
}

static bool expand_file(Expansion *expansion, StepFunction step, Error *error)
{
    size_t length;

    do
    {
        if (!file_read_at(expansion->from.fd, expansion->from.path, expansion->input, INPUT_SIZE,
                          expansion->from.offset, &length, error) ||
            !expand_input(expansion, step, length, error))
            return false;
        expansion->from.offset += length;
    } while (length == INPUT_SIZE);
    if (!expansion->whole)
        return error_set(error, ERROR_FAILED, "compressed file \"%s\" ends early",
                         expansion->from.path);
    return true;
}

bool compressed_expand(Compression compression, const FileRange *from, const FileRange *to,
                       uint64_t limit, uint64_t *size, Error *error)
{
    Expansion *expansion;
    uint8_t next;
    size_t more = 0;
    bool result;

    if (compression == COMPRESSION_NONE)
        return file_copy_range(from, to, limit, size, error) &&
               (*size < limit ||
                file_read_at(from->fd, from->path, &next, 1, from->offset + limit, &more, error)) &&
               (more == 0 || error_too_large(from->path, limit, error));
    expansion = memory_allocate_zeroed(1, sizeof(*expansion));
    if (compression == COMPRESSION_GZIP) /* 16: its header and no other */
        result = inflateInit2(&expansion->gzip, 16 + MAX_WBITS) == Z_OK;
    else if (compression == COMPRESSION_ZSTD)
        result = (expansion->zstd = ZSTD_createDCtx()) != NULL;
    else
        result = !LZ4F_isError(LZ4F_createDecompressionContext(&expansion->lz4, LZ4F_VERSION));
    if (!result)
        out_of_memory();
    expansion->from = *from;
    expansion->to = *to;
    expansion->limit = limit;
    result = expand_file(expansion, methods[compression].step, error);
    *size = expansion->size;
    /* Libraries that have no state have nothing to free. */
    inflateEnd(&expansion->gzip);
    ZSTD_freeDCtx(expansion->zstd);
    LZ4F_freeDecompressionContext(expansion->lz4);
    free(expansion);
    return result;
}
