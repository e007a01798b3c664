#include "plan/divergence.h"

#include "base/log.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One piece of one segment, on both sides. */
typedef struct Piece
{
    uint8_t digest[16];
    const uint8_t *local;
    size_t local_size;
    bool there; /* the source has it */
    bool equal;
    size_t first_difference;
} Piece;

static bool take_digest(void *context, size_t index, const uint8_t *bytes, size_t size,
                        Error *error)
{
    Piece *piece = context;

    (void) index;
    (void) error;
    piece->there = bytes != NULL && size == sizeof(piece->digest);
    if (piece->there)
        memcpy(piece->digest, bytes, size);
    return true;
}

static bool take_bytes(void *context, size_t index, const uint8_t *bytes, size_t size, Error *error)
{
    Piece *piece = context;
    size_t common = size < piece->local_size ? size : piece->local_size;

    (void) index;
    (void) error;
    /* A shorter file on the source is an interrupted copy or a hole: what is there counts. */
    piece->there = bytes != NULL && size > 0;
    piece->equal = true;
    for (size_t i = 0; piece->there && i < common; i++)
    {
        if (bytes[i] != piece->local[i])
        {
            piece->equal = false;
            piece->first_difference = i;
            break;
        }
    }
    return true;
}

static bool compare_piece(Source *source, const char *path, uint64_t offset, Piece *piece,
                          Error *error)
{
    FetchRequest request = {.path = path, .offset = offset, .size = (uint32_t) piece->local_size};
    uint8_t digest[16];
    bool supported = digest_bytes(piece->local, piece->local_size, digest);

    if (supported &&
        !source->operations->digest(source, 0, &request, 1, take_digest, piece, &supported, error))
        return false;
    if (supported && (!piece->there || memcmp(digest, piece->digest, sizeof(digest)) == 0))
    {
        piece->equal = true;
        return true;
    }
    return source->operations->fetch(source, 0, &request, 1, take_bytes, piece, error);
}

static bool compare_segment(const WalStream *target, Source *source, const History *source_history,
                            Lsn begin, Lsn end, uint8_t *bytes, bool *differs, Lsn *lsn,
                            uint64_t *compared, Error *error)
{
    uint64_t segment = wal_segment_of(&target->shape, begin);
    Lsn segment_start = wal_segment_start(&target->shape, segment);
    Lsn segment_end = wal_segment_start(&target->shape, segment + 1);
    char name[WAL_NAME_SIZE], path[64];
    bool found, result = true;
    int fd;

    if (!target->open(target->context,
                      history_timeline_of_segment(target->history, segment_start, segment_end),
                      segment, &fd, &found, error))
        return false;
    if (!found)
        return true;
    wal_segment_name(&target->shape,
                     history_timeline_of_segment(source_history, segment_start, segment_end),
                     segment, name);
    snprintf(path, sizeof(path), "pg_wal/%s", name);
    for (Lsn at = begin; at < end && !*differs; at += FETCH_SIZE_MAX)
    {
        size_t size = end - at < FETCH_SIZE_MAX ? (size_t) (end - at) : FETCH_SIZE_MAX;
        Piece piece = {.local = bytes, .local_size = size};

        if (!file_read_at(fd, name, bytes, size, at - segment_start, &piece.local_size, error) ||
            (piece.local_size > 0 &&
             !compare_piece(source, path, at - segment_start, &piece, error)))
        {
            result = false;
            break;
        }
        if (piece.local_size == 0 || !piece.there)
            break;
        *differs = !piece.equal;
        *lsn = at + piece.first_difference;
        *compared += piece.local_size;
    }
    file_close(fd);
    return result;
}

bool divergence_compare(const WalStream *target, Source *source, const History *source_history,
                        Lsn from, Lsn to, bool *differs, Lsn *lsn, uint64_t *compared, Error *error)
{
    uint8_t *bytes = memory_allocate(FETCH_SIZE_MAX);
    bool result = true;

    *differs = false;
    for (Lsn at = from; at < to && !*differs && result;)
    {
        Lsn segment_end = wal_segment_start(&target->shape, wal_segment_of(&target->shape, at) + 1);
        Lsn end = segment_end < to ? segment_end : to;

        result = compare_segment(target, source, source_history, at, end, bytes, differs, lsn,
                                 compared, error);
        at = segment_end;
    }
    free(bytes);
    return result;
}
