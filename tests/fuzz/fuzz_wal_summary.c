/* A summary of WAL of a stranger: as it is, and with the checksum that it must have. */
#include "base/buffer.h"
#include "format/crc32c.h"
#include "format/wal_summary.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool forks_seen;

static void see_fork(void *context, const WalSummaryFork *fork)
{
    if (fork->fork > FORK_INIT)
        __builtin_trap();
    *(WalSummaryFork *) context = *fork;
    forks_seen = true;
}

static void see_block(void *context, const WalSummaryFork *fork, BlockNumber block)
{
    (void) block;
    if (!forks_seen || memcmp(context, fork, sizeof(*fork)) != 0)
        __builtin_trap();
}

static void read_it(const uint8_t *bytes, size_t size)
{
    WalSummaryFork last;
    const WalSummaryVisitor visitor = {see_fork, see_block, &last};
    const char *reason = NULL;

    forks_seen = false;
    memset(&last, 0, sizeof(last));
    if (!wal_summary_read(bytes, size, &visitor, &reason) && reason == NULL)
        __builtin_trap();
}

/* A name that the parser accepts is identical to the name that a server gives to its range. */
static void read_name(const uint8_t *bytes, size_t size)
{
    char name[64] = "", again[WAL_SUMMARY_NAME_SIZE];
    WalSummaryRange range;

    memcpy(name, bytes, size < sizeof(name) ? size : sizeof(name) - 1);
    if (!wal_summary_name_parse(name, &range))
        return;
    wal_summary_name(&range, again);
    if (strcmp(name, again) != 0)
        __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Buffer whole = {0};

    read_it(bytes, size);
    read_name(bytes, size);
    buffer_append(&whole, bytes, size);
    buffer_append_u32(&whole, crc32c(bytes, size));
    read_it(whole.bytes, whole.size);
    buffer_free(&whole);
    return 0;
}
