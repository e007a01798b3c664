/* Compressed files of an archive: whatever they hold, not more than the limit comes out, and it
 * ends. */
#include "memory_files.h"
#include "wal_store/compressed.h"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIMIT 100000

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static Error error;
    static int to = -1;
    struct stat status;
    uint64_t expanded;

    if (size == 0)
        return 0;
    if (to < 0)
        to = memfd_create("expanded", MFD_CLOEXEC);
    memory_files_clear();
    if (ftruncate(to, 0) != 0)
        __builtin_trap();
    int from = memory_files_open(bytes + 1, size - 1);
    bool result =
        compressed_expand(bytes[0] % COMPRESSION_COUNT, &(FileRange){from, "compressed", 0},
                          &(FileRange){to, "expanded", 0}, LIMIT, &expanded, &error);
    if (fstat(to, &status) != 0 || status.st_size > LIMIT || expanded > LIMIT ||
        (result && (uint64_t) status.st_size != expanded))
        __builtin_trap();
    close(from);
    return 0;
}
