#include "format/walpage.h"

#include <stdio.h>
#include <string.h>

/* Offsets in XLogPageHeaderData, and after it in XLogLongPageHeaderData, the header of a segment's
 * first page. */
#define AT_MAGIC 0
#define AT_FLAGS 2
#define AT_TIMELINE 4
#define AT_ADDRESS 8
#define AT_REMAINING 16
#define AT_SYSTEM_IDENTIFIER 24
#define AT_SEGMENT_SIZE 32
#define AT_BLOCK_SIZE 36

/* Bytes of WAL that a file name's middle part counts. */
#define POSITIONS_OF_XLOGID ((uint64_t) 1 << 32)

/* Set an error that ends with " in WAL page at LSN X, offset N". Callers that know the file's name
 * add it as a detail. */
static PRINTF_LIKE(4, 5) bool error_page(const WalShape *shape, Lsn page_lsn, Error *error,
                                         const char *format, ...)
{
    char what[96];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    return error_set(error, ERROR_FAILED, "%s in WAL page at LSN %s, offset %u", what,
                     LSN_TEXT(shape->version, page_lsn),
                     (unsigned) (page_lsn % shape->segment_size));
}

bool walpage_parse(const WalShape *shape, const void *bytes, size_t size, Lsn page_lsn,
                   WalPage *page, Error *error)
{
    const uint8_t *start = bytes;
    uint32_t header_size = wal_header_size_at(shape, page_lsn);

    if (size < header_size)
        return error_page(shape, page_lsn, error, "incomplete page header");

    uint16_t magic = load_u16(start + AT_MAGIC);
    if (magic != shape->version->wal_magic)
        return error_page(shape, page_lsn, error, "invalid magic number %04X", magic);
    page->flags = load_u16(start + AT_FLAGS);
    /* Only the first page of a segment has a long header. */
    bool is_long = (page->flags & WAL_FLAG_LONG_HEADER) != 0;
    if ((page->flags & ~shape->version->wal_page_flags) != 0 ||
        is_long != (header_size == WAL_LONG_HEADER_SIZE))
        return error_page(shape, page_lsn, error, "invalid info bits %04X", page->flags);
    uint64_t system_identifier = is_long ? load_u64(start + AT_SYSTEM_IDENTIFIER) : 0;
    if (is_long && system_identifier != shape->system_identifier)
        return error_set(
            error, ERROR_FAILED,
            "WAL file is from different database system: WAL file database system identifier is "
            "%llu, pg_control database system identifier is %llu",
            (unsigned long long) system_identifier, (unsigned long long) shape->system_identifier);
    if (is_long && load_u32(start + AT_SEGMENT_SIZE) != shape->segment_size)
        return error_page(shape, page_lsn, error, "incorrect segment size");
    if (is_long && load_u32(start + AT_BLOCK_SIZE) != shape->block_size)
        return error_page(shape, page_lsn, error, "incorrect XLOG_BLCKSZ");
    /* A recycled segment has old pages, valid except for the address. */
    Lsn address = load_u64(start + AT_ADDRESS);
    if (address != page_lsn)
        return error_page(shape, page_lsn, error, "unexpected pageaddr %s",
                          LSN_TEXT(shape->version, address));
    page->timeline = load_u32(start + AT_TIMELINE);
    page->remaining = load_u32(start + AT_REMAINING);
    page->header_size = header_size;
    return true;
}

void walpage_describe(const WalShape *shape, const uint8_t *bytes, size_t size,
                      char text[WAL_DESCRIPTION_SIZE])
{
    const uint16_t magic = load_u16(bytes + AT_MAGIC);

    /* True if all bytes are 0: the first is, and each is equal to the previous one. */
    if (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0)
        snprintf(text, WAL_DESCRIPTION_SIZE,
                 "begins with zeros: it was created in advance, or its content is lost");
    else if (magic != shape->version->wal_magic && version_of_wal_magic(magic) != NULL)
        snprintf(text, WAL_DESCRIPTION_SIZE, "holds WAL of PostgreSQL %s",
                 version_of_wal_magic(magic)->name);
    else if (magic != shape->version->wal_magic)
        snprintf(text, WAL_DESCRIPTION_SIZE,
                 "does not begin with a WAL header: it is damaged, or encrypted by a fork of "
                 "PostgreSQL");
    else if (load_u64(bytes + AT_SYSTEM_IDENTIFIER) != shape->system_identifier)
        snprintf(text, WAL_DESCRIPTION_SIZE, "holds WAL of another cluster");
    else
        snprintf(text, WAL_DESCRIPTION_SIZE,
                 "is an older segment that was recycled: it begins with the WAL of %s",
                 LSN_TEXT(shape->version, load_u64(bytes + AT_ADDRESS)));
}

uint64_t wal_segment_of(const WalShape *shape, Lsn lsn)
{
    return lsn / shape->segment_size;
}

uint64_t wal_segment_before(const WalShape *shape, Lsn lsn)
{
    return (lsn - 1) / shape->segment_size;
}

Lsn wal_segment_start(const WalShape *shape, uint64_t segment)
{
    return segment * shape->segment_size;
}

uint32_t wal_header_size_at(const WalShape *shape, Lsn page_lsn)
{
    return page_lsn % shape->segment_size == 0 ? WAL_LONG_HEADER_SIZE : WAL_SHORT_HEADER_SIZE;
}

Lsn wal_skip_header(const WalShape *shape, Lsn lsn)
{
    return lsn % shape->block_size == 0 ? lsn + wal_header_size_at(shape, lsn) : lsn;
}

Lsn wal_record_end(const WalShape *shape, Lsn begin, uint32_t size)
{
    Lsn page_end = begin - begin % shape->block_size + shape->block_size;
    uint64_t left = size;

    while (left > page_end - begin)
    {
        left -= page_end - begin;
        begin = wal_skip_header(shape, page_end);
        page_end += shape->block_size;
    }
    return begin + left;
}

void wal_segment_name(const WalShape *shape, Timeline timeline, uint64_t segment,
                      char name[WAL_NAME_SIZE])
{
    uint64_t of_xlogid = POSITIONS_OF_XLOGID / shape->segment_size;

    snprintf(name, WAL_NAME_SIZE, "%08X%08X%08X", timeline, (unsigned) (segment / of_xlogid),
             (unsigned) (segment % of_xlogid));
}

bool wal_segment_name_parse(const WalShape *shape, const char *name, Timeline *timeline,
                            uint64_t *segment)
{
    uint64_t of_xlogid = POSITIONS_OF_XLOGID / shape->segment_size;
    TextCursor text = text_cursor(name);
    uint32_t xlogid, rest;

    if (strlen(name) != WAL_NAME_SIZE - 1 || strspn(name, UPPER_HEX_DIGITS) != WAL_NAME_SIZE - 1)
        return false;
    if (!text_take_hex(&text, 8, timeline) || !text_take_hex(&text, 8, &xlogid) ||
        !text_take_hex(&text, 8, &rest))
        return false;
    /* The last part is less than the number of segments for one value of the middle part. */
    if (rest >= of_xlogid || *timeline == 0)
        return false;
    *segment = xlogid * of_xlogid + rest;
    return true;
}
