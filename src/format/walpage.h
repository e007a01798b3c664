/*
 * WAL page headers, segment names, LSN arithmetic.
 */
#ifndef FORMAT_WALPAGE_H
#define FORMAT_WALPAGE_H

#include "base/buffer.h"
#include "format/versions.h"

#define WAL_SHORT_HEADER_SIZE 24 /* SizeOfXLogShortPHD, access/xlog_internal.h */
#define WAL_LONG_HEADER_SIZE 40  /* SizeOfXLogLongPHD */

#define WAL_FLAG_CONTRECORD 0x0001
#define WAL_FLAG_LONG_HEADER 0x0002

/* The properties of the WAL of one cluster; from pg_control. */
typedef struct WalShape
{
    const Version *version;
    uint64_t system_identifier;
    uint32_t segment_size;
    uint32_t block_size;
} WalShape;

typedef struct WalPage
{
    uint16_t flags;
    Timeline timeline;
    uint32_t remaining; /* xlp_rem_len: bytes of a record continued from the page before */
    uint32_t header_size;
} WalPage;

/*
 * Read one page header and check it: magic, flags, address, and in a long header system identifier,
 * segment and block size. page_lsn is the LSN of the page's first byte; bytes hold at least
 * WAL_LONG_HEADER_SIZE (or the whole page). Messages as xlogreader.c of 16 and later, but with the
 * page's LSN only: callers that know the file's name add it. A long header that is not at the start
 * of a segment is refused, though servers do not look. Layout: XLogPageHeaderData,
 * XLogLongPageHeaderData in access/xlog_internal.h, alike in 9.3 to 19.
 */
MUST_CHECK bool walpage_parse(const WalShape *shape, const void *bytes, size_t size, Lsn page_lsn,
                              WalPage *page, Error *error);

/*
 * Describe a file that does not begin as its segment does, for people: the end of a sentence that
 * begins with the file. bytes are its first ones, at least WAL_LONG_HEADER_SIZE.
 */
#define WAL_DESCRIPTION_SIZE 160
void walpage_describe(const WalShape *shape, const uint8_t *bytes, size_t size,
                      char text[WAL_DESCRIPTION_SIZE]);

uint64_t wal_segment_of(const WalShape *shape, Lsn lsn); /* number of the segment that holds lsn */
uint64_t wal_segment_before(const WalShape *shape, Lsn lsn); /* the one that holds lsn - 1 */
Lsn wal_segment_start(const WalShape *shape, uint64_t segment);
uint32_t wal_header_size_at(const WalShape *shape,
                            Lsn page_lsn); /* 40 at the start of a segment, else 24 */

/* The first position at or after lsn where a record may start: after the header if lsn is a page
 * boundary. */
Lsn wal_skip_header(const WalShape *shape, Lsn lsn);

/* The end, not aligned, of a record of `size` bytes that starts at `begin`, past the headers of the
 * pages that it crosses. */
Lsn wal_record_end(const WalShape *shape, Lsn begin, uint32_t size);

/* Segment file names: 24 upper-case hex digits of timeline and number. */
#define WAL_NAME_SIZE 25
void wal_segment_name(const WalShape *shape, Timeline timeline, uint64_t segment,
                      char name[WAL_NAME_SIZE]);
bool wal_segment_name_parse(const WalShape *shape, const char *name, Timeline *timeline,
                            uint64_t *segment);

#endif
