/* A page header; the first byte chooses the version, the second whether a segment starts here. */
#include "format/walpage.h"

#include "../every_version.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static Error error;
    WalPage page;

    if (size < 2)
        return 0;
    WalShape shape = {version_by_number(bytes[0]), 0, 1u << 20, 8192};
    Lsn lsn = size >= 18 ? load_u64(bytes + 10) : 0;
    lsn -= lsn % (bytes[1] & 1 ? shape.segment_size : shape.block_size);
    if (!walpage_parse(&shape, bytes + 2, size - 2, lsn, &page, &error))
        return 0;
    if (page.header_size > size - 2 || page.header_size != wal_header_size_at(&shape, lsn))
        __builtin_trap();
    return 0;
}
