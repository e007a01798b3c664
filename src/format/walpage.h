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

/* Properties of the WAL of one cluster, from pg_control. Sizes are in bytes; block_size is that of
 * WAL pages. */
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
    uint32_t remaining; /* xlp_rem_len: bytes left of a record that began on an earlier page */
    uint32_t header_size;
} WalPage;

/*
 * Parse and check one page header: magic, flags, address, and in a long header system identifier,
 * segment size and block size. page_lsn is the LSN of the page's first byte; bytes hold at least
 * WAL_LONG_HEADER_SIZE bytes, or the whole page. Messages are those of xlogreader.c of 16 and
 * later, but name only the page's LSN: callers add the file's name. A long header that is not at
 * the start of a segment is refused, although servers do not check this. Layout:
 * XLogPageHeaderData, XLogLongPageHeaderData in access/xlog_internal.h, the same in 9.3 to 19.
 */
MUST_CHECK bool walpage_parse(const WalShape *shape, const void *bytes, size_t size, Lsn page_lsn,
                              WalPage *page, Error *error);

/*
 * Describe to people a file that does not begin like its segment. The text completes a sentence
 * whose subject is the file: "holds WAL of another cluster". bytes are the file's first ones, at
 * least WAL_LONG_HEADER_SIZE.
 */
#define WAL_DESCRIPTION_SIZE 160
void walpage_describe(const WalShape *shape, const uint8_t *bytes, size_t size,
                      char text[WAL_DESCRIPTION_SIZE]);

uint64_t wal_segment_of(const WalShape *shape, Lsn lsn); /* number of the segment that holds lsn */
uint64_t wal_segment_before(const WalShape *shape, Lsn lsn); /* segment that holds lsn - 1 */
Lsn wal_segment_start(const WalShape *shape, uint64_t segment);
uint32_t wal_header_size_at(const WalShape *shape,
                            Lsn page_lsn); /* bytes: 40 at the start of a segment, else 24 */

/* The first LSN at or after lsn where a record may start: after the header if lsn is a page
 * boundary. */
Lsn wal_skip_header(const WalShape *shape, Lsn lsn);

/* The unaligned end of a record of `size` bytes that starts at `begin`, counting the page headers
 * inside it. */
Lsn wal_record_end(const WalShape *shape, Lsn begin, uint32_t size);

/* Name of a segment file: 24 upper-case hexadecimal digits of timeline and segment number.
 * wal_segment_name_parse returns false for another name. */
#define WAL_NAME_SIZE 25
void wal_segment_name(const WalShape *shape, Timeline timeline, uint64_t segment,
                      char name[WAL_NAME_SIZE]);
bool wal_segment_name_parse(const WalShape *shape, const char *name, Timeline *timeline,
                            uint64_t *segment);

#endif
