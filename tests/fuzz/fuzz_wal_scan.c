/*
 * A few segments of WAL: written here, so that pages, links and CRCs fit and what lies deep is
 * reached, then damaged, then scanned as a target's WAL is.
 *
 * The input begins with five bytes: version; where the WAL lies (lowest bit; 1: just before
 * LSN_HIGHEST) and with which record reading begins (the other bits); which LSN is asked for; how
 * far before it the floor is; how many bytes the limit is before the end (0: no limit). Then come
 * steps: what (u8), a number (u8), size (u16), as many bytes:
 *
 *   0  a record whose length, link and CRC are made to fit       4  WAL switch
 *   1  one whose length and CRC are                              5  damage: u32 place, then bytes
 *   2  one whose length is                                       6  go to the next timeline
 *   3  a record that means nothing, 256 times the number long    7  leave a record, as after a
 * crash 8  the segment is missing
 *
 * Steps above 8 count from 0 again. Damage is done when all has been written.
 */
#include "format/crc32c.h"
#include "wal/scan.h"

#include "../every_version.h"
#include "memory_files.h"

#include <string.h>

#define BLOCK_SIZE 1024u
#define SEGMENT_SIZE 16384u
#define SEGMENTS 6
#define WAL_SIZE (SEGMENTS * SEGMENT_SIZE)
#define SYSTEM_IDENTIFIER 0x1122334455667788u
#define RECORD_SIZE_MAX 40000u
#define DAMAGES_MAX 8
#define RECORDS_MAX 128
#define STEPS 9

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The WAL under way; base is the LSN of its first byte. */
typedef struct Wal
{
    WalShape shape;
    Lsn base;
    uint8_t bytes[WAL_SIZE];
    size_t position; /* where the next record begins; WAL_SIZE: full */
    Lsn last;
    Lsn records[RECORDS_MAX];
    size_t record_count;
    HistoryEntry entries[4];
    size_t entry_count;
    bool missing[SEGMENTS];
} Wal;

static Wal wal;

static void store_u16(uint8_t *bytes, uint16_t value)
{
    bytes[0] = (uint8_t) value;
    bytes[1] = (uint8_t) (value >> 8);
}

static Timeline timeline_now(void)
{
    return wal.entries[wal.entry_count - 1].timeline;
}

/* The header of the page at the position, behind which that goes. */
static void begin_page(uint16_t flags, uint32_t remaining)
{
    uint8_t *page = wal.bytes + wal.position;
    const bool first = wal.position % SEGMENT_SIZE == 0;

    store_u16(page, wal.shape.version->wal_magic);
    store_u16(page + 2, (uint16_t) (flags | (remaining > 0 ? WAL_FLAG_CONTRECORD : 0) |
                                    (first ? WAL_FLAG_LONG_HEADER : 0)));
    store_u32(page + 4, timeline_now());
    store_u64(page + 8, wal.base + wal.position);
    store_u32(page + 16, remaining);
    wal.position += first ? WAL_LONG_HEADER_SIZE : WAL_SHORT_HEADER_SIZE;
    if (!first)
        return;
    store_u64(page + 24, SYSTEM_IDENTIFIER);
    store_u32(page + 32, SEGMENT_SIZE);
    store_u32(page + 36, BLOCK_SIZE);
}

/* A record begins at the position. */
static void note_record(void)
{
    wal.last = wal.base + wal.position;
    if (wal.record_count < RECORDS_MAX)
        wal.records[wal.record_count++] = wal.last;
}

/* Write the first `written` bytes of a record of `size` bytes; a full buffer cuts them off. */
static void put_record(const uint8_t *bytes, uint32_t size, uint32_t written)
{
    for (uint32_t done = 0; done < written && wal.position < WAL_SIZE;)
    {
        size_t room;

        if (wal.position % BLOCK_SIZE == 0)
            begin_page(0, done > 0 ? size - done : 0);
        if (done == 0)
            note_record();
        room = BLOCK_SIZE - wal.position % BLOCK_SIZE;
        if (room > written - done)
            room = written - done;
        memcpy(wal.bytes + wal.position, bytes + done, room);
        wal.position += room;
        done += (uint32_t) room;
    }
    wal.position = (wal.position + 7) & ~(size_t) 7;
}

/* Bits: fields of a record's header that are set to right values. */
enum
{
    FIT_LENGTH = 1,
    FIT_LINK = 2,
    FIT_CRC = 4
};

static void fit_header(uint8_t *record, uint32_t total, unsigned fit)
{
    uint32_t crc;

    if (fit & FIT_LENGTH)
        store_u32(record, total);
    if (fit & FIT_LINK)
        store_u64(record + 8, wal.last);
    if (fit & FIT_CRC)
    {
        crc = crc32c_update(CRC32C_INIT, record + 24, total - 24);
        store_u32(record + 20, crc32c_finish(crc32c_update(crc, record, 20)));
    }
}

/* Set fields of a header of 9.3 or 9.4 to right values. The data may be shorter than the record,
 * but not longer. */
static void fit_old_header(uint8_t *record, uint32_t total, unsigned fit)
{
    uint32_t crc;

    if (fit & FIT_LENGTH)
    {
        store_u32(record, total);
        if (load_u32(record + 8) > total - WAL_RECORD_OLD_HEADER_SIZE)
            store_u32(record + 8, total - WAL_RECORD_OLD_HEADER_SIZE);
    }
    if (fit & FIT_LINK)
        store_u64(record + 16, wal.last);
    if (fit & FIT_CRC)
    {
        crc = old_crc_update(CRC32C_INIT, record + 32, total - 32);
        store_u32(record + 24, crc32c_finish(old_crc_update(crc, record, 24)));
    }
}

static void add_record(const uint8_t *bytes, uint32_t size, unsigned fit, uint32_t left_out)
{
    static uint8_t record[RECORD_SIZE_MAX];
    const uint32_t header_size = walrecord_header_size(wal.shape.version);
    const uint32_t total = size < header_size       ? header_size
                           : size < RECORD_SIZE_MAX ? size
                                                    : RECORD_SIZE_MAX;

    memset(record, 0, header_size);
    memcpy(record, bytes, size < total ? size : total);
    if (wal.shape.version->old_wal)
        fit_old_header(record, total, fit);
    else
        fit_header(record, total, fit);
    put_record(record, total, left_out < total ? total - left_out : total);
}

static void add_filler(uint32_t size, uint32_t left_out)
{
    static uint8_t record[RECORD_SIZE_MAX];

    if (size > RECORD_SIZE_MAX)
        size = RECORD_SIZE_MAX;
    memset(record, 0xA5, size);
    memset(record, 0, walrecord_header_size(wal.shape.version));
    if (wal.shape.version->old_wal)
    {
        record[13] = 15; /* RM_SEQ_ID */
        store_u32(record + 8, size);
    }
    else
    {
        record[17] = 21; /* generic */
        record[24] = 254;
        store_u32(record + 25, size - 29);
    }
    add_record(record, size, FIT_LENGTH | FIT_LINK | FIT_CRC, left_out);
}

static void add_switch(void)
{
    uint8_t record[WAL_RECORD_OLD_HEADER_SIZE] = {0};

    record[wal.shape.version->old_wal ? 12 : 16] = 0x40;
    add_record(record, walrecord_header_size(wal.shape.version), FIT_LENGTH | FIT_LINK | FIT_CRC,
               0);
    wal.position = (wal.position + SEGMENT_SIZE - 1) / SEGMENT_SIZE * SEGMENT_SIZE;
}

/* The next page, and those behind it, are of a new timeline. */
static void next_timeline(void)
{
    HistoryEntry *entry = &wal.entries[wal.entry_count];

    if (wal.entry_count == sizeof(wal.entries) / sizeof(wal.entries[0]))
        return;
    entry[-1].end = wal.base + wal.position;
    *entry = (HistoryEntry){.timeline = entry[-1].timeline + 1, .begin = entry[-1].end};
    wal.entry_count++;
}

/* A long record of which only the first pages came to the disk, and what a server does then. */
static void leave_record(uint8_t number)
{
    uint8_t record[48] = {0};
    Lsn left;

    add_filler(29 + 256u * (number + 8u), 2000);
    left = wal.last;
    wal.position = (wal.position + BLOCK_SIZE - 1) / BLOCK_SIZE * BLOCK_SIZE;
    if (wal.position >= WAL_SIZE)
        return;
    begin_page(wal.shape.version->wal_overwrite_contrecord_flag, 0);
    record[16] = 0xD0;
    record[24] = 255;
    record[25] = 16;
    store_u64(record + 26, left);
    add_record(record, 42, FIT_LENGTH | FIT_LINK | FIT_CRC, 0);
}

typedef struct Damage
{
    const uint8_t *bytes;
    uint16_t size;
} Damage;

static void take_step(uint8_t what, uint8_t number, const uint8_t *bytes, uint16_t size,
                      Damage damages[DAMAGES_MAX], size_t *damage_count)
{
    switch (what % STEPS)
    {
    case 0:
        add_record(bytes, size, FIT_LENGTH | FIT_LINK | FIT_CRC, 0);
        break;
    case 1:
        add_record(bytes, size, FIT_LENGTH | FIT_CRC, 0);
        break;
    case 2:
        add_record(bytes, size, FIT_LENGTH, 0);
        break;
    case 3:
        add_filler(29 + 128u * number, 0);
        break;
    case 4:
        add_switch();
        break;
    case 5:
        if (size > 4 && *damage_count < DAMAGES_MAX)
            damages[(*damage_count)++] = (Damage){bytes, size};
        break;
    case 6:
        next_timeline();
        break;
    case 7:
        leave_record(number);
        break;
    default:
        wal.missing[number % SEGMENTS] = true;
    }
}

static void write_wal(Cursor *cursor)
{
    Damage damages[DAMAGES_MAX];
    size_t damage_count = 0;

    while (cursor_left(cursor) >= 4 && wal.position < WAL_SIZE)
    {
        const uint8_t what = cursor_u8(cursor);
        const uint8_t number = cursor_u8(cursor);
        uint16_t size = cursor_u16(cursor);

        if (size > cursor_left(cursor))
            size = (uint16_t) cursor_left(cursor);
        take_step(what, number, cursor_bytes(cursor, size), size, damages, &damage_count);
    }
    for (size_t i = 0; i < damage_count; i++)
    {
        const uint32_t place = load_u32(damages[i].bytes);

        for (uint16_t k = 4; k < damages[i].size; k++)
            wal.bytes[(place + k - 4) % WAL_SIZE] ^= damages[i].bytes[k];
    }
}

/* A WalOpen. */
static bool open_segment(void *context, uint64_t segment, int *fd, bool *found, Error *error)
{
    const uint64_t first = wal.base / SEGMENT_SIZE;

    (void) context;
    (void) error;
    *found = segment >= first && segment - first < SEGMENTS && !wal.missing[segment - first] &&
             (segment - first) * SEGMENT_SIZE < wal.position;
    if (*found)
        *fd = memory_files_open(wal.bytes + (segment - first) * SEGMENT_SIZE, SEGMENT_SIZE);
    return true;
}

static void look_at_relation(const BlockMapRelation *relation)
{
    BlockNumber from = 0;
    BlockNumber first;
    BlockNumber count;

    for (int i = 0; i < 1000 && blockmap_next_run(relation, from, UINT32_MAX, &first, &count); i++)
    {
        if (first < from || count == 0 || first + count - 1 < first)
            __builtin_trap();
        from = first + count;
    }
}

static void look_at_result(const ScanResult *result)
{
    const BlockMapRelation *relation;
    size_t sum = 0;

    for (size_t at = 0; (relation = blockmap_next(result->blocks, &at)) != NULL;)
        look_at_relation(relation);
    for (size_t i = 0; i < result->prepared_count; i++)
        sum += strlen(result->prepared[i].gid);
    for (size_t i = 0; i < result->tablespace_count; i++)
        sum += result->tablespaces[i].path != NULL ? strlen(result->tablespaces[i].path) : 0;
    for (size_t i = 0; i < result->database_count; i++)
        sum += result->databases[i].database;
    if (sum == SIZE_MAX)
        __builtin_trap();
}

/* Positions with which one input calls the scan's functions. */
typedef struct Questions
{
    Lsn from, asked, floor;
} Questions;

static void scan(const WalStream *stream, const Questions *questions, Arena *arena)
{
    static Error error;
    static ScanResult result;
    const Lsn from = questions->from;
    const Lsn asked = questions->asked;
    WalScan *scan = scan_create(stream, 1, questions->floor);
    ScanCheckpointWanted wanted = {.before = asked, .not_after = asked + 1000};
    ScanCheckpoint checkpoint;
    WalSegmentFacts end;
    Lsn start;

    if (scan_forward(scan, from, &end, &error))
    {
        if (end.next_lsn < from ||
            (end.next_lsn > from && (scan->last_lsn < from || scan->last_lsn >= end.next_lsn)))
            __builtin_trap();
        (void) strlen(end.reason);
        if (scan_find_checkpoint(scan, &wanted, &checkpoint, &error) && checkpoint.lsn >= asked)
            __builtin_trap();
        if (scan_record_at(scan, asked, &start, &error) && start > asked)
            __builtin_trap();
        if (scan_finish(scan, arena, questions->floor, asked, &result, &error))
            look_at_result(&result);
    }
    scan_destroy(scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    Cursor cursor = cursor_over(bytes, size);
    const Version *version = version_by_number(cursor_u8(&cursor));
    const uint8_t place = cursor_u8(&cursor);
    const Lsn asked = (Lsn) cursor_u8(&cursor) * (WAL_SIZE / 256 + 13);
    const Lsn before = (Lsn) cursor_u8(&cursor) * (WAL_SIZE / 256);
    const Lsn limit = cursor_u8(&cursor);
    Questions questions;
    Arena *arena = arena_create();
    History history;
    WalStream stream;

    memory_files_clear();
    memset(&wal, 0, sizeof(wal));
    wal.shape = (WalShape){.version = version,
                           .system_identifier = SYSTEM_IDENTIFIER,
                           .segment_size = SEGMENT_SIZE,
                           .block_size = BLOCK_SIZE};
    wal.base = place % 2 == 1 ? LSN_HIGHEST + 1 - WAL_SIZE : SEGMENT_SIZE;
    wal.entries[0] = (HistoryEntry){.timeline = 1};
    wal.entry_count = 1;
    write_wal(&cursor);
    history = (History){.entries = wal.entries, .count = wal.entry_count};
    stream = (WalStream){.shape = wal.shape,
                         .data_block_size = 8192,
                         .history = &history,
                         .limit = limit == 0 ? LSN_INVALID : wal.base + wal.position - limit * 8,
                         .open = open_segment};
    questions.from = wal.record_count > 0 ? wal.records[place / 2 % wal.record_count]
                                          : wal.base + WAL_LONG_HEADER_SIZE;
    questions.asked = wal.base + asked;
    questions.floor = wal.base + (before < asked ? asked - before : 0);
    scan(&stream, &questions, arena);
    arena_destroy(arena);
    return 0;
}
