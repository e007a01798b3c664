#include "format/wal_summary.h"

#include "base/buffer.h"
#include "base/text_cursor.h"
#include "format/crc32c.h"

#include <stdio.h>
#include <string.h>

#define MAGIC 0x652b137b /* BLOCKREFTABLE_MAGIC, common/blkreftable.h */
#define CRC_SIZE 4

/* A fork's blocks come in chunks of 65,536: as numbers of 16 bits, or, where these would not be
 * shorter, as one bit for each. */
#define CHUNK_BLOCKS 65536u
#define CHUNK_WORDS_MAX (CHUNK_BLOCKS / 16)
#define CHUNKS_MAX 65536u
#define NAME_DIGITS 40

void wal_summary_name(const WalSummaryRange *range, char name[WAL_SUMMARY_NAME_SIZE])
{
    snprintf(name, WAL_SUMMARY_NAME_SIZE, "%08X%08X%08X%08X%08X.summary", range->timeline,
             LSN_ARGS(range->start), LSN_ARGS(range->end));
}

bool wal_summary_name_parse(const char *name, WalSummaryRange *range)
{
    TextCursor text = text_cursor(name);
    uint32_t parts[NAME_DIGITS / 8];

    if (strspn(name, UPPER_HEX_DIGITS) != NAME_DIGITS ||
        strcmp(name + NAME_DIGITS, ".summary") != 0)
        return false;
    for (size_t i = 0; i < NAME_DIGITS / 8; i++)
        if (!text_take_hex(&text, 8, &parts[i]))
            return false;
    *range = (WalSummaryRange){.timeline = parts[0],
                               .start = (Lsn) parts[1] << 32 | parts[2],
                               .end = (Lsn) parts[3] << 32 | parts[4]};
    return range->timeline != 0 && range->start < range->end && range->end <= LSN_HIGHEST;
}

static bool is_of_no_use(const char *what, const char **reason)
{
    *reason = what;
    return false;
}

/* An entry of zeros is the end. */
static bool fork_is_end(const WalSummaryFork *fork, uint32_t fork_number, uint32_t chunks)
{
    return fork->relation.tablespace == 0 && fork->relation.database == 0 &&
           fork->relation.relation == 0 && fork_number == 0 && fork->limit == 0 && chunks == 0;
}

static int compare_numbers(uint32_t one, uint32_t other)
{
    return (one > other) - (one < other);
}

/* The order in which a server writes them. */
static int compare_forks(const WalSummaryFork *one, const WalSummaryFork *other)
{
    int order = compare_numbers(one->relation.tablespace, other->relation.tablespace);

    if (order == 0)
        order = compare_numbers(one->relation.database, other->relation.database);
    if (order == 0)
        order = compare_numbers(one->relation.relation, other->relation.relation);
    return order != 0 ? order : compare_numbers(one->fork, other->fork);
}

static void visit_bits(const uint8_t *words, BlockNumber first, const WalSummaryFork *fork,
                       const WalSummaryVisitor *visitor)
{
    for (uint32_t i = 0; i < CHUNK_BLOCKS; i++)
        if (words[i / 8] >> i % 8 & 1)
            visitor->block(visitor->context, fork, first + i);
}

static void visit_numbers(const uint8_t *words, uint16_t count, BlockNumber first,
                          const WalSummaryFork *fork, const WalSummaryVisitor *visitor)
{
    for (uint16_t i = 0; i < count; i++)
        visitor->block(visitor->context, fork, first + load_u16(words + (size_t) i * 2));
}

/* The chunks of a fork: how many words each has, then the words. */
static bool read_chunks(Cursor *cursor, uint32_t count, const WalSummaryFork *fork,
                        const WalSummaryVisitor *visitor, const char **reason)
{
    const uint8_t *sizes = cursor_bytes(cursor, (size_t) count * 2);

    if (sizes == NULL)
        return is_of_no_use("it ends too early", reason);
    for (uint32_t i = 0; i < count; i++)
    {
        const uint16_t size = load_u16(sizes + (size_t) i * 2);
        const BlockNumber first = i * CHUNK_BLOCKS;
        const uint8_t *words;

        if (size > CHUNK_WORDS_MAX)
            return is_of_no_use("a chunk is too large", reason);
        words = cursor_bytes(cursor, (size_t) size * 2);
        if (words == NULL)
            return is_of_no_use("it ends too early", reason);
        if (size == CHUNK_WORDS_MAX)
            visit_bits(words, first, fork, visitor);
        else
            visit_numbers(words, size, first, fork, visitor);
    }
    return true;
}

static bool read_forks(Cursor *cursor, const WalSummaryVisitor *visitor, const char **reason)
{
    WalSummaryFork last = {0};

    for (;;)
    {
        WalSummaryFork fork;
        uint32_t number, chunks;

        fork.relation.tablespace = cursor_u32(cursor);
        fork.relation.database = cursor_u32(cursor);
        fork.relation.relation = cursor_u32(cursor);
        number = cursor_u32(cursor);
        fork.limit = cursor_u32(cursor);
        chunks = cursor_u32(cursor);
        if (cursor->failed)
            return is_of_no_use("it ends too early", reason);
        if (fork_is_end(&fork, number, chunks))
            break;
        fork.fork = (uint8_t) number;
        if (number > FORK_INIT || chunks > CHUNKS_MAX || compare_forks(&last, &fork) >= 0)
            return is_of_no_use("it has an entry that no server writes", reason);
        last = fork;
        visitor->fork(visitor->context, &fork);
        if (!read_chunks(cursor, chunks, &fork, visitor, reason))
            return false;
    }
    return cursor_left(cursor) == 0 || is_of_no_use("its end comes too early", reason);
}

bool wal_summary_read(const void *bytes, size_t size, const WalSummaryVisitor *visitor,
                      const char **reason)
{
    Cursor cursor;

    if (size < CRC_SIZE)
        return is_of_no_use("it ends too early", reason);
    if (crc32c(bytes, size - CRC_SIZE) != load_u32((const uint8_t *) bytes + size - CRC_SIZE))
        return is_of_no_use("its checksum is wrong", reason);
    cursor = cursor_over(bytes, size - CRC_SIZE);
    if (cursor_u32(&cursor) != MAGIC || cursor.failed)
        return is_of_no_use("it begins as no summary does", reason);
    return read_forks(&cursor, visitor, reason);
}
