#include "wal/reader.h"

#include "base/workers.h"
#include "io/file.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_SIZE                                                                                \
    ((size_t) 256 * 1024)  /* fits a second-level cache; a multiple of every WAL block size */
#define RECORD_ALIGNMENT 8 /* MAXALIGN */

/*
 * A page is parsed where it lies in the window; records inside one page are handed out from there.
 * Only those that cross a page boundary are put together in assembly.
 */
typedef struct SegmentReader
{
    const WalStream *stream;
    WalSegmentFacts *facts;
    uint8_t *window;
    uint8_t *page; /* in window: the page at page_lsn; NULL: none */
    Lsn page_lsn;
    WalPage header; /* of that page */
    Lsn window_lsn; /* LSN of window's first byte */
    size_t window_size;
    int fd; /* descriptor of open_segment; -1: none is open */
    uint64_t open_segment;
    char name[WAL_NAME_SIZE];
    Timeline timeline; /* timeline of the page before in reading order; 0: none yet */
    Buffer assembly;
    WalRecord record; /* record that is being read */
    Error failure;    /* what a parser says about invalid bytes: a fact, not our error */
} SegmentReader;

typedef enum ReadStatus
{
    READ_OK,
    READ_ABANDONED, /* the record was aborted by a crash of its writer: reading continues at
                       facts->next_lsn */
    READ_END,       /* facts say why */
    READ_FAILED     /* error is set */
} ReadStatus;

static Lsn align_up(Lsn lsn)
{
    return (lsn + (RECORD_ALIGNMENT - 1)) & ~(Lsn) (RECORD_ALIGNMENT - 1);
}

/* For messages. */
#define SHOWN(lsn) LSN_TEXT(reader->stream->shape.version, lsn)

/* The end at facts->next_lsn; invalid_lsn is where the bytes are wrong. */
static PRINTF_LIKE(3, 4) ReadStatus
    end_invalid(SegmentReader *reader, Lsn invalid_lsn, const char *format, ...)
{
    WalSegmentFacts *facts = reader->facts;
    va_list arguments;

    facts->end = WAL_SEGMENT_INVALID;
    facts->invalid_lsn = invalid_lsn;
    va_start(arguments, format);
    vsnprintf(facts->reason, sizeof(facts->reason), format, arguments);
    va_end(arguments);
    return READ_END;
}

/* An end for the reason that a parser gave. */
static ReadStatus end_unparsable(SegmentReader *reader, Lsn invalid_lsn)
{
    return end_invalid(reader, invalid_lsn, "%s", reader->failure.message);
}

static ReadStatus end_at_limit(SegmentReader *reader)
{
    return end_invalid(reader, reader->stream->limit, "end of the WAL to read at %s",
                       SHOWN(reader->stream->limit));
}

static bool is_beyond_limit(const WalStream *stream, Lsn end)
{
    return stream->limit != LSN_INVALID && end > stream->limit;
}

Timeline wal_stream_timeline(const WalStream *stream, uint64_t segment)
{
    return history_timeline_of_segment(stream->history,
                                       wal_segment_start(&stream->shape, segment + 1));
}

const char *wal_stream_segment_name(const WalStream *stream, uint64_t segment,
                                    char name[WAL_NAME_SIZE])
{
    wal_segment_name(&stream->shape, wal_stream_timeline(stream, segment), segment, name);
    return name;
}

static ReadStatus open_segment(SegmentReader *reader, uint64_t segment, Error *error)
{
    const WalStream *stream = reader->stream;
    WalSegmentFacts *facts = reader->facts;
    bool found = false;
    int fd;

    file_close(reader->fd);
    reader->fd = -1;
    reader->window_size = 0;
    reader->open_segment = segment;
    wal_stream_segment_name(stream, segment, reader->name);
    if (!stream->open(stream->context, segment, &fd, &found, error))
        return READ_FAILED;
    if (found)
    {
        reader->fd = fd;
        return READ_OK;
    }
    facts->end = WAL_SEGMENT_MISSING;
    facts->missing_segment = segment;
    snprintf(facts->reason, sizeof(facts->reason), "WAL segment \"%s\" is missing", reader->name);
    return READ_END;
}

/* Check the header of the page that reader->page points to. has_records: records are read from it.
 */
static ReadStatus check_page(SegmentReader *reader, Lsn page_lsn, bool has_records)
{
    const WalStream *stream = reader->stream;
    const History *history = stream->history;

    if (!walpage_parse(&stream->shape, reader->page, stream->shape.block_size, page_lsn,
                       &reader->header, &reader->failure))
        return end_unparsable(reader, page_lsn);

    Timeline timeline = reader->header.timeline;
    if (timeline < reader->timeline)
        return end_invalid(reader, page_lsn,
                           "out-of-sequence timeline ID %u (after %u) in WAL segment %s, LSN %s",
                           timeline, reader->timeline, reader->name, SHOWN(page_lsn));
    /*
     * The page on which a timeline ends keeps the old number in its header, so ranges are compared
     * by whole pages. A history that lacks its oldest timelines does not show which of them the
     * first page of a segment belongs to. The server checks that only for pages from which it reads
     * records (ReadRecord, access/transam/xlogrecovery.c).
     */
    const bool is_older = timeline != 0 && timeline < history->entries[0].timeline &&
                          history_entry_at(history, page_lsn) == 0;
    if (!history_holds(history, timeline, page_lsn, page_lsn + stream->shape.block_size) &&
        (has_records || !is_older))
        return end_invalid(reader, page_lsn, "unexpected timeline ID %u in WAL segment %s, LSN %s",
                           timeline, reader->name, SHOWN(page_lsn));
    reader->timeline = timeline;
    return READ_OK;
}

/* Make the page at page_lsn the current one, its segment being open. */
static ReadStatus enter_page(SegmentReader *reader, Lsn page_lsn, bool has_records, Error *error)
{
    const WalShape *shape = &reader->stream->shape;
    uint64_t offset = page_lsn - wal_segment_start(shape, reader->open_segment);
    size_t wanted = WINDOW_SIZE;
    size_t length;

    reader->page = NULL;
    /* Fill the window from the page on; zeros follow the end of a short file. */
    if (page_lsn < reader->window_lsn || page_lsn - reader->window_lsn >= (Lsn) reader->window_size)
    {
        if (wanted > shape->segment_size - offset)
            wanted = (size_t) (shape->segment_size - offset);
        reader->window_size = 0;
        if (!stop_check(error) ||
            !file_read_at(reader->fd, reader->name, reader->window, wanted, offset, &length, error))
            return READ_FAILED;
        memset(reader->window + length, 0, wanted - length);
        reader->window_lsn = page_lsn;
        reader->window_size = wanted;
    }
    reader->page = reader->window + (page_lsn - reader->window_lsn);
    reader->page_lsn = page_lsn;
    ReadStatus status = check_page(reader, page_lsn, has_records);
    if (status != READ_OK)
        reader->page = NULL;
    return status;
}

/*
 * Make the page at page_lsn the current one. As xlogreader.c does, the first page of a segment is
 * checked before any other of it is believed.
 */
static ReadStatus load_page(SegmentReader *reader, Lsn page_lsn, Error *error)
{
    const WalStream *stream = reader->stream;
    const WalShape *shape = &stream->shape;

    if (reader->page != NULL && reader->page_lsn == page_lsn)
        return READ_OK;
    if (is_beyond_limit(stream, page_lsn + wal_header_size_at(shape, page_lsn)))
        return end_at_limit(reader);

    uint64_t segment = wal_segment_of(shape, page_lsn);
    if (reader->fd < 0 || reader->open_segment != segment)
    {
        Lsn first_page = wal_segment_start(shape, segment);
        reader->page = NULL;
        ReadStatus status = open_segment(reader, segment, error);
        if (status == READ_OK && first_page != page_lsn)
            status = enter_page(reader, first_page, false, error);
        if (status != READ_OK)
            return status;
    }
    return enter_page(reader, page_lsn, true, error);
}

/* Check a record's header, and its link to the previous record if that was read. */
static inline ReadStatus check_header(SegmentReader *reader, const uint8_t *bytes, size_t size,
                                      Lsn lsn)
{
    const Version *version = reader->stream->shape.version;
    const WalSegmentFacts *facts = reader->facts;
    WalRecord *record = &reader->record;

    if (!walrecord_header_parse(version, bytes, size, lsn, record, &reader->failure))
        return end_unparsable(reader, lsn);
    if (facts->last_lsn == LSN_INVALID || record->prev == facts->last_lsn)
        return READ_OK;
    return end_invalid(reader, lsn, "record with incorrect prev-link %s at %s", SHOWN(record->prev),
                       SHOWN(lsn));
}

/*
 * Check and decode the whole record, whose header was checked; `end` is that of its bytes, before
 * alignment.
 */
static ReadStatus decode_record(SegmentReader *reader, const uint8_t *bytes, Lsn end)
{
    const WalStream *stream = reader->stream;
    WalRecord *record = &reader->record;

    if (is_beyond_limit(stream, align_up(end)))
        return end_at_limit(reader);
    if (!walrecord_decode(stream->shape.version, stream->data_block_size, bytes, record,
                          &reader->failure))
        return end_unparsable(reader, end - 1);
    record->end = align_up(end);
    if (record->rmgr == RM_XLOG && walrecord_opcode(record) == XLOG_SWITCH)
    {
        record->end =
            wal_segment_start(&stream->shape, wal_segment_before(&stream->shape, record->end) + 1);
        if (is_beyond_limit(stream, record->end))
            return end_at_limit(reader);
    }
    return READ_OK;
}

/*
 * Put together a record of `total` bytes that starts at lsn on the current page and continues after
 * it; *record_end is where its bytes do end. No memory is taken for bytes that have not arrived:
 * total may be anything.
 */
static ReadStatus assemble_record(SegmentReader *reader, Lsn lsn, uint32_t total, Lsn *record_end,
                                  Error *error)
{
    const WalShape *shape = &reader->stream->shape;
    uint16_t abandoned_flag = shape->version->wal_overwrite_contrecord_flag;
    Buffer *assembly = &reader->assembly;
    Lsn page_lsn = reader->page_lsn;
    size_t offset = (size_t) (lsn - page_lsn);
    uint32_t header_size = walrecord_header_size(shape->version);
    bool header_checked = shape->block_size - offset >= header_size;
    ReadStatus status;

    buffer_clear(assembly);
    buffer_append(assembly, reader->page + offset, shape->block_size - offset);
    while (assembly->size < total)
    {
        page_lsn += shape->block_size;
        status = load_page(reader, page_lsn, error);
        if (status != READ_OK)
            return status;
        const WalPage *page = &reader->header;
        if (page->flags & abandoned_flag)
        {
            reader->facts->next_lsn = page_lsn;
            return READ_ABANDONED;
        }
        if (!(page->flags & WAL_FLAG_CONTRECORD))
            return end_invalid(reader, lsn, "there is no contrecord flag at %s", SHOWN(lsn));
        if (page->remaining == 0 || page->remaining != total - assembly->size)
            return end_invalid(reader, lsn, "invalid contrecord length %u (expected %llu) at %s",
                               page->remaining, (unsigned long long) (total - assembly->size),
                               SHOWN(lsn));
        size_t size = shape->block_size - page->header_size;
        if (size > page->remaining)
            size = page->remaining;
        buffer_append(assembly, reader->page + page->header_size, size);
        *record_end = page_lsn + page->header_size + size;
        if (!header_checked && assembly->size >= header_size)
        {
            status = check_header(reader, assembly->bytes, assembly->size, lsn);
            if (status != READ_OK)
                return status;
            header_checked = true;
        }
    }
    return READ_OK;
}

/* Read the record at lsn, or after the page header if lsn is a page boundary. XLogReadRecord. */
static ReadStatus read_record(SegmentReader *reader, Lsn lsn, Error *error)
{
    const WalShape *shape = &reader->stream->shape;
    Lsn page_lsn = lsn & ~((Lsn) shape->block_size - 1); /* block sizes are powers of two */

    if (reader->page == NULL || reader->page_lsn != page_lsn)
    {
        ReadStatus status = load_page(reader, page_lsn, error);
        if (status != READ_OK)
            return status;
    }
    const WalPage *page = &reader->header;
    if (lsn == page_lsn)
        lsn += page->header_size;
    size_t offset = (size_t) (lsn - page_lsn);
    if (offset < page->header_size || offset % RECORD_ALIGNMENT != 0)
        return end_invalid(reader, lsn, "invalid record offset at %s", SHOWN(lsn));
    if ((page->flags & WAL_FLAG_CONTRECORD) && offset == page->header_size)
        return end_invalid(reader, lsn, "contrecord is requested by at %s", SHOWN(lsn));

    const uint8_t *bytes = reader->page + offset;
    size_t available = shape->block_size - offset;
    uint32_t header_size = walrecord_header_size(shape->version);
    uint32_t total;
    if (available >= header_size)
    {
        ReadStatus status = check_header(reader, bytes, available, lsn);
        if (status != READ_OK)
            return status;
        total = reader->record.total_length;
    }
    else if ((total = load_u32(bytes)) < header_size) /* aligned: 8 bytes are here */
        return end_invalid(reader, lsn, "invalid record length at %s: expected at least %u, got %u",
                           SHOWN(lsn), header_size, total);
    Lsn end = lsn + total;
    if (total > available)
    {
        ReadStatus status = assemble_record(reader, lsn, total, &end, error);
        if (status != READ_OK)
            return status;
        bytes = reader->assembly.bytes;
    }
    return decode_record(reader, bytes, end);
}

/*
 * Find where the first record of the segment starts: after the rest of one that began before.
 * *position is the end of the segment when that fills it. XLogFindNextRecord.
 */
static ReadStatus find_first(SegmentReader *reader, Lsn start, Lsn *position, Error *error)
{
    const WalShape *shape = &reader->stream->shape;
    Lsn page_lsn = start;

    ReadStatus status = load_page(reader, page_lsn, error);
    if (status != READ_OK)
        return status;
    const WalPage *page = &reader->header;
    *position = page_lsn;
    if (!(page->flags & WAL_FLAG_CONTRECORD))
        return READ_OK;
    for (;;)
    {
        uint32_t remaining = page->remaining;
        uint32_t payload = shape->block_size - page->header_size;

        *position = page_lsn + page->header_size + align_up(remaining);
        if (remaining <= payload)
            return READ_OK;
        page_lsn += shape->block_size;
        *position = page_lsn;
        if (page_lsn == start + shape->segment_size)
            return READ_OK;
        reader->facts->next_lsn = page_lsn;
        status = load_page(reader, page_lsn, error);
        if (status != READ_OK)
            return status;
        if (page->flags & shape->version->wal_overwrite_contrecord_flag)
            return READ_OK;
        if (!(page->flags & WAL_FLAG_CONTRECORD) || page->remaining != remaining - payload)
            return end_invalid(reader, page_lsn, "there is no matching contrecord at %s",
                               SHOWN(page_lsn));
    }
}

static ReadStatus read_segment(SegmentReader *reader, uint64_t segment, Lsn from, WalVisitor visit,
                               void *context, Error *error)
{
    const WalShape *shape = &reader->stream->shape;
    WalSegmentFacts *facts = reader->facts;
    const WalRecord *record = &reader->record;
    Lsn start = wal_segment_start(shape, segment);
    Lsn position = from;
    ReadStatus status;

    facts->next_lsn = from != LSN_INVALID ? from : start;
    if (from == LSN_INVALID)
    {
        status = find_first(reader, start, &position, error);
        if (status != READ_OK)
            return status;
        facts->next_lsn = position;
    }
    while (facts->next_lsn < start + shape->segment_size)
    {
        position = facts->next_lsn;
        status = read_record(reader, position, error);
        if (status != READ_OK && status != READ_ABANDONED)
            return status;
        if (facts->begin_lsn == LSN_INVALID)
            facts->begin_lsn = wal_skip_header(shape, position);
        if (status == READ_ABANDONED)
            continue;
        if (facts->record_count++ == 0)
        {
            facts->first_lsn = record->lsn;
            facts->first_prev = record->prev;
        }
        facts->last_lsn = record->lsn;
        facts->next_lsn = record->end;
        if (visit != NULL && !visit(context, record, error))
            return READ_FAILED;
    }
    facts->end = WAL_SEGMENT_COMPLETE;
    return READ_OK;
}

bool wal_read_segment(const WalStream *stream, uint64_t segment, Lsn from, WalVisitor visit,
                      void *context, WalSegmentFacts *facts, Error *error)
{
    SegmentReader *reader = memory_allocate_zeroed(1, sizeof(SegmentReader));
    Lsn start, end;

    assert(from == LSN_INVALID || wal_segment_of(&stream->shape, from) == segment);
    memset(facts, 0, sizeof(*facts));
    facts->segment = segment;
    reader->stream = stream;
    reader->facts = facts;
    reader->fd = -1;
    reader->window = memory_allocate(
        stream->shape.segment_size < WINDOW_SIZE ? stream->shape.segment_size : WINDOW_SIZE);
    ReadStatus status = read_segment(reader, segment, from, visit, context, error);
    start = from != LSN_INVALID ? from : wal_segment_start(&stream->shape, segment);
    end = wal_segment_start(&stream->shape, segment + 1);
    if (facts->next_lsn < end)
        end = facts->next_lsn;
    facts->bytes = end > start ? end - start : 0;
    file_close(reader->fd);
    buffer_free(&reader->assembly);
    free(reader->window);
    free(reader);
    return status != READ_FAILED;
}

bool error_missing_wal(const WalStream *stream, uint64_t segment, Error *error)
{
    if (stream->missing != NULL)
        return stream->missing(stream->context, segment, error);
    return error_set(error, ERROR_FAILED, "WAL segment \"%s\" is missing",
                     SEGMENT_NAME(stream, segment));
}

bool error_damaged_wal(const WalStream *stream, uint64_t segment, Error *error)
{
    if (stream->missing == NULL)
        return false;
    return error_hint(error,
                      "Put an undamaged copy of segment \"%s\" into the target's %s (an archive "
                      "may have one), or compare all blocks with --compare, which needs none of "
                      "the target's WAL.",
                      SEGMENT_NAME(stream, segment), stream->shape.version->wal_directory);
}
