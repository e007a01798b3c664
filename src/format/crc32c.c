#include "format/crc32c.h"

#include <isa-l/crc.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* crc32_iscsi takes an int, and neither inverts at the beginning nor at the end. */
#define PIECE_MAX ((size_t) 1 << 30)

/*
 * ISA-L's AVX-512 code (2.30) leaves the upper halves of the vector registers in use. All SSE code
 * that follows is then slowed down: reading a WAL record took 205 ns instead of 44.
 */
#if defined(__x86_64__)
__attribute__((target("avx"))) static void zero_upper_halves(void)
{
    _mm256_zeroupper();
}

static void leave_vector_code(void)
{
    if (__builtin_cpu_supports("avx"))
        zero_upper_halves();
}
#else
static void leave_vector_code(void)
{
}
#endif

uint32_t crc32c_update(uint32_t running, const void *bytes, size_t size)
{
    unsigned char *position = (unsigned char *) bytes; /* only read, though not declared const */

    while (size > PIECE_MAX)
    {
        running = crc32_iscsi(position, (int) PIECE_MAX, running);
        position += PIECE_MAX;
        size -= PIECE_MAX;
    }
    running = crc32_iscsi(position, (int) size, running);
    leave_vector_code();
    return running;
}

uint32_t crc32c_finish(uint32_t running)
{
    return running ^ 0xFFFFFFFFu;
}

uint32_t crc32c(const void *bytes, size_t size)
{
    return crc32c_finish(crc32c_update(CRC32C_INIT, bytes, size));
}
