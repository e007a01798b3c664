/*
 * Writes WAL into memory, with an encoder of its own, and hands it to a WalStream.
 *
 * Segments are small (8 pages) and there are few of them, so a test can write records longer than
 * one. To be included after cmocka.h.
 */
#ifndef TESTS_WAL_WRITER_H
#define TESTS_WAL_WRITER_H

#include "../../every_version.h"
#include "base/buffer.h"
#include "format/crc32c.h"
#include "wal/reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The shape: tests/meson.build has those that are not the usual one. */
#ifndef BLOCK_SIZE
#define BLOCK_SIZE 8192u /* of WAL */
#define DATA_BLOCK_SIZE 8192u
#define MAJOR 15
#endif
#define SEGMENT_SIZE (8 * BLOCK_SIZE)
/* A size that is chosen for pages of 8 kB, in proportion to BLOCK_SIZE. */
#define IN_PROPORTION(size) (((size_t) (size) *BLOCK_SIZE / 8192) & ~(size_t) 7)
#define SEGMENTS_MAX 24
#define SYSTEM_IDENTIFIER 0x1122334455667788u

typedef struct WalWriter
{
    WalShape shape;
    HistoryEntry entries[4];
    History history;
    WalStream stream;
    uint8_t bytes[SEGMENTS_MAX * SEGMENT_SIZE]; /* from LSN 0 on */
    bool missing[SEGMENTS_MAX];
    Timeline timeline;
    Lsn position; /* where the next record starts, before a page header */
    Lsn last;     /* the record before */
    int open_count;
    uint64_t archived; /* a segment for which writer_rebuilds says no */
} WalWriter;

static inline bool writer_open(void *context, uint64_t segment, int *fd, bool *found, Error *error)
{
    WalWriter *writer = context;

    (void) error;
    __atomic_fetch_add(&writer->open_count, 1, __ATOMIC_SEQ_CST);
    *found = segment < SEGMENTS_MAX && !writer->missing[segment];
    if (!*found)
        return true;
    *fd = memfd_create("segment", MFD_CLOEXEC);
    ssize_t written = write(*fd, writer->bytes + segment * SEGMENT_SIZE, SEGMENT_SIZE);
    assert(written == (ssize_t) SEGMENT_SIZE);
    return true;
}

static inline bool writer_rebuilds(void *context, uint64_t segment, bool *rebuilds, Error *error)
{
    const WalWriter *writer = context;

    (void) error;
    *rebuilds = segment != writer->archived;
    return true;
}

/* An empty WAL: the first record will be the first of segment 1. All other segments are missing
 * until they are written to. */
static inline WalWriter *writer_create(void)
{
    WalWriter *writer = calloc(1, sizeof(WalWriter));

    writer->shape = (WalShape){.version = version_of_major(MAJOR),
                               .system_identifier = SYSTEM_IDENTIFIER,
                               .segment_size = SEGMENT_SIZE,
                               .block_size = BLOCK_SIZE};
    writer->entries[0] = (HistoryEntry){.timeline = 1};
    writer->history = (History){.entries = writer->entries, .count = 1};
    writer->stream = (WalStream){.shape = writer->shape,
                                 .data_block_size = DATA_BLOCK_SIZE,
                                 .history = &writer->history,
                                 .open = writer_open,
                                 .context = writer};
    memset(writer->missing, true, sizeof(writer->missing));
    writer->timeline = 1;
    writer->position = SEGMENT_SIZE;
    return writer;
}

static inline void put_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t) value;
    bytes[1] = (uint8_t) (value >> 8);
}

/* The header of the page at lsn, with as much of a record left as remaining says. */
static inline void writer_page(WalWriter *writer, Lsn lsn, uint16_t flags, uint32_t remaining)
{
    uint8_t *page = writer->bytes + lsn;
    bool first = lsn % SEGMENT_SIZE == 0;

    assert(lsn + BLOCK_SIZE <= sizeof(writer->bytes));
    memset(page, 0, BLOCK_SIZE);
    put_u16(page, writer->shape.version->wal_magic);
    put_u16(page + 2, (uint16_t) (flags | (remaining > 0 ? WAL_FLAG_CONTRECORD : 0) |
                                  (first ? WAL_FLAG_LONG_HEADER : 0)));
    store_u32(page + 4, writer->timeline);
    store_u64(page + 8, lsn);
    store_u32(page + 16, remaining);
    if (first)
    {
        store_u64(page + 24, SYSTEM_IDENTIFIER);
        store_u32(page + 32, SEGMENT_SIZE);
        store_u32(page + 36, BLOCK_SIZE);
        writer->missing[lsn / SEGMENT_SIZE] = false;
    }
}

/* LSN at which a record put at lsn starts: at the start of a page, after the header, which is
 * written. */
static inline Lsn writer_enter(WalWriter *writer, Lsn lsn, uint32_t remaining)
{
    if (lsn % BLOCK_SIZE != 0)
        return lsn;
    writer_page(writer, lsn, 0, remaining);
    return lsn + wal_header_size_at(&writer->shape, lsn);
}

/*
 * Write the first `written` of size bytes of a record; what is behind them is never written.
 * Returns where the record starts.
 */
static inline Lsn writer_put(WalWriter *writer, const uint8_t *bytes, size_t size, size_t written)
{
    Lsn start = writer_enter(writer, writer->position, 0);
    Lsn lsn = start;

    for (size_t i = 0; i < written; i++)
    {
        if (i > 0)
            lsn = writer_enter(writer, lsn, (uint32_t) (size - i));
        writer->bytes[lsn++] = bytes[i];
    }
    writer->position = (lsn + 7) & ~(Lsn) 7;
    return start;
}

/* A record of these fragments and data, as it stands in WAL. */
static inline void encode_record(const WalWriter *writer, uint8_t rmgr, uint8_t info, uint32_t xid,
                                 const Buffer *body, Buffer *record)
{
    buffer_append_u32(record, (uint32_t) (body->size + WAL_RECORD_HEADER_SIZE));
    buffer_append_u32(record, xid);
    buffer_append_u64(record, writer->last);
    buffer_append_u8(record, info);
    buffer_append_u8(record, rmgr);
    buffer_append_u16(record, 0);
    uint32_t crc = crc32c_update(CRC32C_INIT, body->bytes, body->size);
    crc = crc32c_finish(crc32c_update(crc, record->bytes, record->size));
    buffer_append_u32(record, crc);
    buffer_append(record, body->bytes, body->size);
}

#define IMAGE_SIZE 100u                        /* the rest of the page is a hole */
#define IMAGE_APPLY (MAJOR < 15 ? 0x04 : 0x02) /* BKPIMAGE_APPLY, access/xlogrecord.h */

static inline void writer_reference(const BlockReference *block, Buffer *body)
{
    buffer_append_u8(body, 0);
    buffer_append_u8(body, (uint8_t) (block->fork | (block->has_image ? 0x10 : 0) |
                                      (block->will_init ? 0x40 : 0)));
    buffer_append_u16(body, 0);
    if (block->has_image)
    {
        buffer_append_u16(body, IMAGE_SIZE);
        buffer_append_u16(body, IMAGE_SIZE);
        buffer_append_u8(body, (uint8_t) (0x01 | (block->image_applies ? IMAGE_APPLY : 0)));
    }
    buffer_append_u32(body, block->relation.tablespace);
    buffer_append_u32(body, block->relation.database);
    buffer_append_u32(body, block->relation.relation);
    buffer_append_u32(body, block->block);
}

/* Write a record with main data, and with a reference to a block if block is not NULL (with what it
 * says of an image). */
static inline Lsn writer_record(WalWriter *writer, uint8_t rmgr, uint8_t info, uint32_t xid,
                                const BlockReference *block, const void *data, size_t size)
{
    Buffer body = {0};
    Buffer record = {0};

    if (block != NULL)
        writer_reference(block, &body);
    if (size > 0)
    {
        buffer_append_u8(&body, 254);
        buffer_append_u32(&body, (uint32_t) size);
    }
    for (unsigned i = 0; block != NULL && block->has_image && i < IMAGE_SIZE; i++)
        buffer_append_u8(&body, 0x3C);
    if (size > 0)
        buffer_append(&body, data, size);
    encode_record(writer, rmgr, info, xid, &body, &record);
    Lsn lsn = writer_put(writer, record.bytes, record.size, record.size);
    writer->last = lsn;
    buffer_free(&body);
    buffer_free(&record);
    return lsn;
}

/* A record of `size` bytes in all, at least 29, that means nothing. */
static inline Lsn writer_filler(WalWriter *writer, size_t size)
{
    size_t data_size = size - WAL_RECORD_HEADER_SIZE - 5;
    uint8_t *data = malloc(data_size + 1);

    memset(data, 0xA5, data_size);
    Lsn lsn = writer_record(writer, 21, 0, 0, NULL, data, data_size);
    free(data);
    return lsn;
}

/* One record that ends at lsn: the next one will start there, or behind the page header if that
 * stands there. */
static inline Lsn writer_fill_to(WalWriter *writer, Lsn lsn)
{
    Lsn start = wal_skip_header(&writer->shape, writer->position);
    size_t size = (size_t) (lsn - start);

    for (Lsn page = (start / BLOCK_SIZE + 1) * BLOCK_SIZE; page < lsn; page += BLOCK_SIZE)
        size -= wal_header_size_at(&writer->shape, page);
    start = writer_filler(writer, size);
    assert(writer->position == lsn);
    return start;
}

/* Write only the first `written` bytes of a long record, as if the server crashed, and continue as
 * the server does after its restart. */
static inline Lsn writer_abandon(WalWriter *writer, size_t size, size_t written)
{
    Buffer body = {0};
    Buffer record = {0};
    uint8_t zeros[16] = {0};

    buffer_append_u8(&body, 254);
    buffer_append_u32(&body, (uint32_t) (size - WAL_RECORD_HEADER_SIZE - 5));
    while (body.size + WAL_RECORD_HEADER_SIZE < size)
        buffer_append_u8(&body, 0x5A);
    encode_record(writer, 21, 0, 0, &body, &record);
    Lsn lsn = writer_put(writer, record.bytes, record.size, written);
    buffer_free(&body);
    buffer_free(&record);

    Lsn page = (writer->position + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
    writer_page(writer, page, writer->shape.version->wal_overwrite_contrecord_flag, 0);
    writer->position = page + wal_header_size_at(&writer->shape, page);
    store_u64(zeros, lsn);
    writer_record(writer, RM_XLOG, 0xD0, 0, NULL, zeros, sizeof(zeros));
    return lsn;
}

static inline Lsn writer_switch(WalWriter *writer)
{
    Lsn lsn = writer_record(writer, RM_XLOG, 0x40, 0, NULL, NULL, 0);

    writer->position = (writer->position + SEGMENT_SIZE - 1) / SEGMENT_SIZE * SEGMENT_SIZE;
    return lsn;
}

/* Make the segment a recycled one: whole, but of another place. */
static inline void writer_recycle(WalWriter *writer, uint64_t segment)
{
    Lsn start = segment * SEGMENT_SIZE;
    Lsn position = writer->position;

    for (Lsn lsn = start; lsn < start + SEGMENT_SIZE; lsn += BLOCK_SIZE)
    {
        writer_page(writer, lsn, 0, 0);
        store_u64(writer->bytes + lsn + 8, lsn - SEGMENT_SIZE);
    }
    writer->position = position;
}

/* ---- Texts of errors ---- */

static inline void assert_in(const char *part, const char *text)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}

/* WHAT, followed by this place. */
static inline const char *said_at(const char *what, const WalWriter *writer, Lsn lsn)
{
    static char text[256];

    snprintf(text, sizeof(text), "%s %s", what, LSN_TEXT(writer->shape.version, lsn));
    return text;
}

#endif
