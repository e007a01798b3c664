#include "format/wal_summary.h"

#include "format/crc32c.h"

#include <stdio.h>
#include <string.h>

#define MAGIC 0x652b137b /* BLOCKREFTABLE_MAGIC, common/blkreftable.h */
#define CRC_SIZE 4

/* A fork's blocks are stored in chunks of 65,536 blocks: as block numbers of 16 bits, or, if that
 * is not shorter, as one bit for each block. */
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

/* Fields of an entry in the list of forks. An entry of zeros ends the list. */
enum
{
    ENTRY_TABLESPACE,
    ENTRY_DATABASE,
    ENTRY_RELATION,
    ENTRY_FORK, /* entries are sorted by the fields up to this one */
    ENTRY_LIMIT,
    ENTRY_CHUNKS,
    ENTRY_FIELDS
};

static bool entry_precedes(const uint32_t *entry, const uint32_t *next)
{
    for (int i = ENTRY_TABLESPACE; i <= ENTRY_FORK; i++)
        if (entry[i] != next[i])
            return entry[i] < next[i];
    return false;
}

/* Read the chunks of a fork: the number of words of each chunk, then the words. */
static bool read_chunks(Cursor *cursor, uint32_t count, const WalSummaryFork *fork,
                        const WalSummaryVisitor *visitor, const char **reason)
{
    const uint8_t *sizes = cursor_bytes(cursor, (size_t) count * 2);

    if (sizes == NULL)
        return untold(reason, "it ends too early");
    for (uint32_t i = 0; i < count; i++)
    {
        const uint16_t size = load_u16(sizes + (size_t) i * 2);
        const BlockNumber first = i * CHUNK_BLOCKS;
        const uint8_t *words;

        if (size > CHUNK_WORDS_MAX)
            return untold(reason, "a chunk is too large");
        words = cursor_bytes(cursor, (size_t) size * 2);
        if (words == NULL)
            return untold(reason, "it ends too early");
        for (uint32_t bit = 0; size == CHUNK_WORDS_MAX && bit < CHUNK_BLOCKS; bit++)
            if (words[bit / 8] >> bit % 8 & 1)
                visitor->block(visitor->context, fork, first + bit);
        for (uint16_t word = 0; size < CHUNK_WORDS_MAX && word < size; word++)
            visitor->block(visitor->context, fork, first + load_u16(words + (size_t) word * 2));
    }
    return true;
}

bool wal_summary_read(const void *bytes, size_t size, const WalSummaryVisitor *visitor,
                      const char **reason)
{
    static const uint32_t end[ENTRY_FIELDS];
    uint32_t last[ENTRY_FIELDS] = {0};
    Cursor cursor;

    if (size < CRC_SIZE)
        return untold(reason, "it ends too early");
    if (crc32c(bytes, size - CRC_SIZE) != load_u32((const uint8_t *) bytes + size - CRC_SIZE))
        return untold(reason, "its checksum is wrong");
    cursor = cursor_over(bytes, size - CRC_SIZE);
    if (cursor_u32(&cursor) != MAGIC || cursor.failed)
        return untold(reason, "it begins as no summary does");
    for (;;)
    {
        uint32_t entry[ENTRY_FIELDS];

        for (int i = 0; i < ENTRY_FIELDS; i++)
            entry[i] = cursor_u32(&cursor);
        if (cursor.failed)
            return untold(reason, "it ends too early");
        if (memcmp(entry, end, sizeof(entry)) == 0)
            break;
        if (entry[ENTRY_FORK] > FORK_INIT || entry[ENTRY_CHUNKS] > CHUNKS_MAX ||
            !entry_precedes(last, entry))
            return untold(reason, "it has an entry that no server writes");
        memcpy(last, entry, sizeof(last));
        WalSummaryFork fork = {
            .relation = {entry[ENTRY_TABLESPACE], entry[ENTRY_DATABASE], entry[ENTRY_RELATION]},
            .fork = (uint8_t) entry[ENTRY_FORK],
            .limit = entry[ENTRY_LIMIT]};
        visitor->fork(visitor->context, &fork);
        if (!read_chunks(&cursor, entry[ENTRY_CHUNKS], &fork, visitor, reason))
            return false;
    }
    return cursor_left(&cursor) == 0 || untold(reason, "its end comes too early");
}
